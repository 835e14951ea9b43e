"""Records are read in the order of their times, as much as is asked for."""

from __future__ import annotations

import random
from contextlib import aclosing

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.reading import (
    Position,
    Reader,
    Record,
    Wanted,
    instant,
)
from pypicloud_tw.access.audit.record import encode_act, time_text
from pypicloud_tw.access.audit.stored import StoredRecords, sweep_records
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.audit import Act, Actor
from tests.web.doubles import Domain, started

#: 2026-11-27, 12:00:00.
NOON = 1795780800.0
DAY = 86400.0


class ReadingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.clock = self.domain.clock
        self.clock.advance(NOON - self.clock.seconds())
        self.store = self.domain.store
        self.broken: list[str] = []
        self.servers = [self.server(name) for name in "abc"]

    def server(self, name: str) -> StoredRecords:
        records = StoredRecords(self.clock, name)
        records.start(self.store)
        return records

    def add(
        self, server: int, act: str, project: str = "acme", who: str = "ann"
    ) -> None:
        now = self.clock.seconds()
        line = encode_act(Act(Actor(who), act, project), now)
        self.servers[server].add(line, now)

    def read(self, wanted: Wanted | None = None) -> list[Record]:
        async def collect() -> list[Record]:
            reader = Reader(self.store, self.broken.append)
            everything = Wanted(0, NOON + 1000 * DAY)
            return [record async for record in reader.read(wanted or everything)]

        return self.successResultOf(started(collect()))

    def acts(self, wanted: Wanted | None = None) -> list[object]:
        return [record.fields["act"] for record in self.read(wanted)]


class OrderTests(ReadingCase):
    def test_several_servers_and_days(self) -> None:
        chance = random.Random(7)
        expected = []
        for number in range(300):
            expected.append(str(number))
            self.add(chance.randrange(3), str(number))
            for _ in range(3):
                self.clock.advance(chance.choice((0.4, 20, 700)))
        self.clock.advance(2)
        self.assertEqual(self.acts(), expected)
        days = {key.split("/")[1] for key in self.store.objects}
        self.assertGreater(len(days), 2)

    def test_little_is_held(self) -> None:
        """Only objects that overlap in time are open together."""
        for number in range(40):
            self.add(number % 3, str(number))
            self.clock.advance(1)
            self.clock.advance(1800)
        opened: list[int] = []
        reader = Reader(self.store, self.broken.append)

        async def watch() -> None:
            async with aclosing(reader.read(Wanted(0, NOON + 9 * DAY))) as records:
                async for _ in records:
                    opened.append(self.reads())

        self.successResultOf(started(watch()))
        self.assertEqual(len(opened), 40)
        self.assertTrue(all(n - i <= 6 for i, n in enumerate(opened)), opened)

    def reads(self) -> int:
        return sum(1 for call in self.store.calls if call[0] == "get")


class WantedTests(ReadingCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(5):
            project, who = ("acme", "ann") if number % 2 else ("zope", "bob")
            self.add(0, str(number), project, who)
            self.clock.advance(1)
            self.clock.advance(DAY - 1)

    def test_times(self) -> None:
        wanted = Wanted(NOON + DAY, NOON + 3 * DAY)
        self.assertEqual(self.acts(wanted), ["1", "2"])

    def test_what_matches(self) -> None:
        for wanted, count in (
            (Wanted(0, 0, "acme"), 2),
            (Wanted(0, 0, user="bob"), 3),
            (Wanted(0, 0, act="4"), 1),
            (Wanted(0, 0, "acme", "bob"), 0),
        ):
            matching = [r for r in self.read() if wanted.matches(r)]
            self.assertEqual(len(matching), count)

    def test_other_days_are_not_read(self) -> None:
        self.store.calls.clear()
        self.read(Wanted(NOON + 2 * DAY, NOON + 2 * DAY + 60))
        reads = [call for call in self.store.calls if call[0] == "get"]
        self.assertEqual(len(reads), 1)

    def test_behind_a_position(self) -> None:
        everything = self.read()
        for number, record in enumerate(everything):
            after = Position.parse(str(record.position))
            self.assertEqual(after, record.position)
            wanted = Wanted(after.at - 1, NOON + 9 * DAY, after=after)
            self.assertEqual(self.read(wanted), everything[number + 1 :])

    def test_no_position(self) -> None:
        key = ".audit/2026-11-27/a/120000-000001.jsonl"
        for text in (
            "",
            "x",
            f"2026-11-27T12:00:00.000000Z 1 {key}x",
            f"2026-02-31T12:00:00.000000Z 1 {key}",
            f"2026-11-27 1 {key}",
            f"2026-11-27T12:00:00.000000Z x {key}",
        ):
            error = self.assertRaises(BadRequest, Position.parse, text)
            self.assertIn("cursor", error.message)


class BrokenTests(ReadingCase):
    def test_a_broken_line_is_left_out(self) -> None:
        self.add(0, "1")
        self.clock.advance(1)
        self.add(0, "2")
        self.clock.advance(1)
        [key] = self.store.objects
        data = self.store.objects[key].data
        first, second, _ = data.split(b"\n")
        for broken in (b"", b"{", b"\xff\xfe", first[:-9]):
            self.broken.clear()
            put = self.store.put(key, b"\n".join((first, broken, second)))
            self.successResultOf(started(put))
            self.assertEqual(self.acts(), ["1", "2"])
            self.assertEqual(self.broken, [f"{key}, line 2"])

    def test_one_that_is_no_object_of_ours(self) -> None:
        for key in (".audit/README", ".audit/2026-11-27/a/x", ".audit/z/y"):
            self.successResultOf(started(self.store.put(key, b"x")))
        self.add(0, "1")
        self.clock.advance(1)
        self.assertEqual(self.acts(), ["1"])
        self.assertEqual(self.broken, [])

    def test_one_that_is_too_large(self) -> None:
        key = ".audit/2026-11-27/a/120000-000001.jsonl"
        self.successResultOf(started(self.store.put(key, b"x" * 2**21)))
        self.add(1, "1")
        self.clock.advance(1)
        self.assertEqual(self.acts(), ["1"])
        self.assertEqual(self.broken, [key])


class InstantTests(SynchronousTestCase):
    def test_understood(self) -> None:
        for text, at in (
            ("7d", NOON - 7 * DAY),
            ("90", NOON - 90),
            ("99999d", 0.0),
            ("2026-11-27", NOON - DAY / 2),
            ("2026-11-27T12:00:00Z", NOON),
            ("2026-11-27T13:00:00+01:00", NOON),
        ):
            self.assertEqual(instant(text, NOON), at)

    def test_the_end_of_a_day(self) -> None:
        end = instant("2026-11-27", NOON, ends=True)
        self.assertEqual(time_text(end)[:19], "2026-11-27T23:59:59")

    def test_the_end_of_all_days(self) -> None:
        for text in ("9999-12-31", "9999-12-31T23:59:59-12:00"):
            for ends in (False, True):
                time_text(instant(text, NOON, ends=ends))

    def test_none(self) -> None:
        for text in ("", "yesterday", "-7d", "2026-13-01", "0001-01-01T00:00+23:00"):
            if text[:2] == "00":
                self.assertEqual(instant(text, NOON), 0.0)
            else:
                error = self.assertRaises(BadRequest, instant, text, NOON)
                self.assertIn("7d", error.message)


class OutdatedTests(ReadingCase):
    def test_days_that_ended_long_ago(self) -> None:
        for number in range(5):
            self.add(0, str(number))
            self.clock.advance(1)
            self.clock.advance(DAY - 1)
        self.successResultOf(started(self.store.put(".audit/1", b"x")))

        async def collect() -> list[str]:
            now = self.domain.publisher.now()
            return await sweep_records(self.store, now, keep=2 * DAY, dry_run=dry_run)

        for dry_run in (True, False):
            before = set(self.store.objects)
            keys = self.successResultOf(started(collect()))
            days = [key[7:17] for key in keys]
            self.assertEqual(days, ["2026-11-27", "2026-11-28", "2026-11-29"])
            gone = before - set(self.store.objects)
            self.assertEqual(gone, set() if dry_run else set(keys))
