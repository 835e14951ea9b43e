"""Records get into the store soon, in few objects, and wait while it is away."""

from __future__ import annotations

import re
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit import stored
from pypicloud_tw.access.audit.stored import AUDIT, OBJECT, StoredRecords, begin_of
from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload
from tests.web.doubles import started

#: 2026-11-27, 12:00:00.
NOON = 1795780800.0


@define(eq=False)
class Store:
    """A store whose writing waits or fails as it is told."""

    memory: MemoryStore
    away: bool = False
    slow: Deferred[None] | None = None
    puts: int = 0

    async def put(self, key: str, data: bytes, **more: Any) -> object:
        self.puts += 1
        if self.slow is not None:
            await self.slow
        if self.away:
            raise StoreError("The store is away.")
        return await self.memory.put(key, data, **more)


class StoredCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOON)
        memory = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.store = Store(memory)
        self.records = StoredRecords(self.clock, "server")

    def start(self) -> None:
        store: Any = self.store
        self.records.start(store)

    def add(self, line: bytes) -> None:
        self.records.add(line, self.clock.seconds())

    def objects(self) -> dict[str, bytes]:
        return {key: one.data for key, one in self.store.memory.objects.items()}


class StoredTests(StoredCase):
    def test_together_after_a_second(self) -> None:
        self.start()
        for line in (b"1\n", b"2\n"):
            self.add(line)
        self.assertEqual(self.objects(), {})
        self.clock.advance(1)
        key = f"{AUDIT}2026-11-27/server/120000-000001.jsonl"
        self.assertEqual(self.objects(), {key: b"1\n2\n"})
        self.assertEqual(begin_of(key), "2026-11-27T12:00:00")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_same_object_grows(self) -> None:
        self.start()
        for number in range(10):
            self.add(b"%d\n" % number)
            self.clock.advance(5)
        [data] = self.objects().values()
        self.assertEqual(data.split(), [b"%d" % n for n in range(10)])

    def test_another_after_an_hour(self) -> None:
        self.start()
        for wait in (3599, 10, 1):
            self.add(b"x\n")
            self.clock.advance(1)
            self.clock.advance(wait)
        self.assertEqual([len(d) for d in self.objects().values()], [2, 4])

    def test_another_the_next_day(self) -> None:
        self.clock.advance(12 * 3600 - 1.5)
        self.start()
        self.add(b"1\n")
        self.clock.advance(1)
        self.clock.advance(1)
        self.add(b"2\n")
        self.clock.advance(1)
        days = [re.findall(r"-(\d\d)/", key)[0] for key in self.objects()]
        self.assertEqual(days, ["27", "28"])

    def test_another_when_it_is_full(self) -> None:
        self.start()
        for _ in range(30):
            self.add(b"x" * 9999 + b"\n")
        self.clock.advance(1)
        sizes = [len(data) for data in self.objects().values()]
        self.assertEqual(sum(sizes), 300_000)
        self.assertTrue(all(size < OBJECT + 10_000 for size in sizes))
        self.assertEqual(len(sizes), 5)

    def test_a_clock_that_was_set_back(self) -> None:
        self.start()
        self.add(b"1\n")
        self.clock.advance(1)
        self.records.add(b"0\n", NOON - 100)
        self.clock.advance(1)
        self.assertEqual(sorted(self.objects().values()), [b"0\n", b"1\n"])

    def test_busy_for_a_day(self) -> None:
        """The number of objects that the module promises."""
        self.start()
        for _ in range(24 * 60):
            self.add(b"x" * 399 + b"\n")
            self.clock.advance(60)
        count = len(self.objects())
        self.assertLessEqual(count, 24 + 24 * 60 // 160)

    def test_before_there_is_a_store(self) -> None:
        self.add(b"early\n")
        self.clock.advance(100)
        self.start()
        self.clock.advance(1)
        self.assertEqual(list(self.objects().values()), [b"early\n"])

    def test_one_write_at_a_time(self) -> None:
        self.start()
        slow: Deferred[None] = Deferred()
        self.store.slow = slow
        self.add(b"1\n")
        self.clock.advance(1)
        self.add(b"2\n")
        self.clock.advance(100)
        self.assertEqual(self.store.puts, 1)
        self.store.slow = None
        slow.callback(None)
        self.clock.advance(1)
        self.assertEqual(list(self.objects().values()), [b"1\n2\n"])


class AwayTests(StoredCase):
    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.store.away = True

    def test_tried_again(self) -> None:
        with capturedLogs() as logs:
            self.add(b"1\n")
            for _ in range(300):
                self.clock.advance(1)
            self.assertLess(self.store.puts, 12)
            self.assertEqual(self.records.waiting, 2)
            self.store.away = False
            for _ in range(60):
                self.clock.advance(1)
        self.assertEqual(list(self.objects().values()), [b"1\n"])
        self.assertEqual(self.records.waiting, 0)
        told = [formatEvent(event) for event in logs]
        self.assertIn("Writing records to .audit/ fails: The store is away.", told[0])
        self.assertIn("is back", told[-1])

    def test_too_many(self) -> None:
        with capturedLogs() as logs:
            for _ in range(500):
                self.add(b"x" * 9999 + b"\n")
        self.assertLessEqual(self.records.waiting, stored.WAITING)
        self.assertEqual(self.records.dropped, 500 - stored.WAITING // 10_000)
        self.assertIn("too many wait; one was dropped", formatEvent(logs[0]))
        self.assertEqual(len(logs), 1)


class CloseTests(StoredCase):
    def test_what_waits_is_written(self) -> None:
        self.start()
        self.add(b"1\n")
        self.successResultOf(started(self.records.close()))
        self.assertEqual(list(self.objects().values()), [b"1\n"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_what_is_being_written(self) -> None:
        self.start()
        slow: Deferred[None] = Deferred()
        self.store.slow = slow
        self.add(b"1\n")
        self.clock.advance(1)
        self.add(b"2\n")
        closing = started(self.records.close())
        self.assertNoResult(closing)
        self.store.slow = None
        slow.callback(None)
        self.successResultOf(closing)
        self.assertEqual(list(self.objects().values()), [b"1\n2\n"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_store_that_is_away(self) -> None:
        self.start()
        self.store.away = True
        self.add(b"1\n")
        with capturedLogs() as logs:
            self.successResultOf(started(self.records.close()))
        self.assertIn("1 records of changes are lost", formatEvent(logs[-1]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_store_that_is_silent(self) -> None:
        self.start()
        self.store.slow = Deferred()
        self.add(b"1\n")
        with capturedLogs() as logs:
            closing = started(self.records.close())
            self.clock.advance(10)
            self.successResultOf(closing)
        self.assertIn("does not answer within 10 s", formatEvent(logs[-1]))

    def test_nothing_ever_started(self) -> None:
        self.successResultOf(started(self.records.close()))


class KeyTests(SynchronousTestCase):
    def test_what_is_no_object_of_records(self) -> None:
        for key in (
            ".audit/README",
            ".audit/2026-11-27/server/x.jsonl",
            ".audit/2026-11-27/120000-000001.jsonl",
            "acme/2026-11-27/server/120000-000001.jsonl",
        ):
            self.assertIsNone(begin_of(key))
