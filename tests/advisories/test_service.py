"""Reading a source, now and then."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.advisories import make_zip
from pypicloud_tw.advisories.reading import Reading, read_source
from pypicloud_tw.advisories.records import advisories_of
from pypicloud_tw.advisories.screen import MalwareScreen
from pypicloud_tw.advisories.service import (
    TABLE,
    Advisories,
    AdvisorySettings,
    LocalSource,
)
from pypicloud_tw.advisories.table import AdvisoryTable, TableMaker
from pypicloud_tw.advisories.values import AdvisoriesStanding, Severity
from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.errors import RefusedByRule, StoreError, Unavailable
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.memory import MemoryStore
from tests.advisories.osv import record
from tests.doubles import InlineOffload

DAY = 86_400.0
SHA = "ab" * 32
MALWARE = record(
    "MAL-1",
    "evil",
    affected={"versions": ["1.0"]},
    database_specific={"iocs": {"files": [{"sha256": SHA}]}},
)
FLAW = record("GHSA-1", "acme")


class SourceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "deep" / "er").mkdir(parents=True)

    def write(self, *records: Any) -> None:
        for number, told in enumerate(records):
            text = told if isinstance(told, str) else json.dumps(told)
            (self.folder / "deep" / "er" / f"{number}.json").write_text(text)

    def table(self, reading: Reading | None) -> AdvisoryTable:
        assert reading is not None
        table = AdvisoryTable.decode(reading.table, 2**20)
        assert table is not None
        return table

    def test_a_folder(self) -> None:
        self.write(MALWARE, FLAW, "{", json.dumps(["no record"]))
        reading = read_source(str(self.folder), "")
        table = self.table(reading)
        self.assertEqual((table.records, table.skipped), (2, 2))
        [one] = table.of("evil")
        self.assertEqual((one.id, one.malware, one.affects("1")), ("MAL-1", True, True))
        self.assertEqual(table.digests.id_of(SHA), "MAL-1")
        self.assertEqual([o.project for o in table.named("GHSA-1")], ["acme"])
        self.assertEqual(table.named("GHSA-2"), ())
        self.assertEqual((table.of("\ud800"), table.named("\ud800")), ((), ()))
        assert reading is not None
        self.assertIsNone(read_source(str(self.folder), reading.state))
        self.write(MALWARE)
        (self.folder / "deep" / "new.json").write_text(json.dumps(record("X-1", "new")))
        self.assertEqual(
            list(self.table(read_source(str(self.folder), reading.state)).projects),
            ["acme", "evil", "new"],
        )

    def test_what_is_measured(self) -> None:
        """The benchmark's records are read, every one, and are always the same."""
        path, again = self.folder / "all.zip", self.folder / "again.zip"
        make_zip(path, 60)
        make_zip(again, 60)
        self.assertEqual(path.read_bytes(), again.read_bytes())
        table = self.table(read_source(str(path), ""))
        self.assertEqual((table.records, table.skipped), (60, 0))
        told = [one for name in table.projects for one in table.of(name)]
        self.assertEqual(sum(one.malware for one in told), 30)
        self.assertEqual(table.digests.id_of(f"{59:064x}"), "MAL-2026-59")
        worst = {one.severity for one in told if not one.malware}
        self.assertEqual(worst, set(Severity) - {Severity.LOW})
        self.assertEqual(sum(bool(one.fixed) for one in told), 30)

    def test_a_zip(self) -> None:
        path = self.folder / "all.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("MAL-1.json", json.dumps(MALWARE))
            archive.writestr("huge.json", " " * (8 * 2**20 + 1))
            archive.writestr("README", "no record")
        table = self.table(read_source(str(path), ""))
        self.assertEqual((table.records, table.skipped), (1, 1))

    def test_a_damaged_member_is_left_out(self) -> None:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            archive.writestr("a.json", json.dumps(MALWARE))
            archive.writestr("b.json", json.dumps(FLAW))
        data = held.getvalue().replace(b"GHSA-1", b"GHSA-2", 1)
        path = self.folder / "all.zip"
        path.write_bytes(data)
        table = self.table(read_source(str(path), ""))
        self.assertEqual((table.records, table.skipped), (1, 1))

    def test_no_source(self) -> None:
        error = self.assertRaises(Unavailable, read_source, "/nowhere/osv", "")
        self.assertIn("'osv' cannot be read: No such file", error.message)

    def test_what_is_no_file(self) -> None:
        os.mkfifo(self.folder / "pipe")
        os.symlink("loop", self.folder / "loop")
        for name in ("pipe", "loop"):
            self.assertRaises(Unavailable, read_source, str(self.folder / name), "")
        self.write(FLAW)
        os.mkfifo(self.folder / "pipe.json")
        table = self.table(read_source(str(self.folder), ""))
        self.assertEqual((table.records, table.skipped), (1, 0))

    def test_a_damaged_table(self) -> None:
        self.write(MALWARE)
        reading = read_source(str(self.folder), "")
        assert reading is not None
        for cut in range(0, len(reading.table), 7):
            self.assertRaises(
                ValueError, AdvisoryTable.decode, reading.table[:cut], 2**20
            )


class FakeSource:
    """A source that is what it is told to be."""

    def __init__(self) -> None:
        self.records: list[Any] = [MALWARE, FLAW]
        self.state = "one"
        self.away = False
        self.asked = 0

    async def read(self, known: str) -> Reading | None:
        self.asked += 1
        if self.away:
            raise Unavailable("It is away.")
        if known == self.state:
            return None
        maker = TableMaker()
        for told in self.records:
            maker.add(advisories_of(told))
        return Reading(maker.encode(), self.state)


class ServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.offload = InlineOffload()
        self.store = MemoryStore(self.offload)
        self.source = FakeSource()

    def service(self, **settings: Any) -> Advisories:
        return Advisories(
            "osv",
            self.source,
            self.store,
            self.offload,
            self.clock,
            AdvisorySettings(**settings),
        )

    def look(self, service: Advisories) -> None:
        self.successResultOf(service.look())

    def test_read_and_known(self) -> None:
        service = self.service()
        self.assertEqual(service.of("evil").advisories, ())
        self.look(service)
        self.assertEqual(service.of("evil").malware_of("1.0", None), "MAL-1")
        self.assertEqual(service.of("other").malware_of("1", SHA), "MAL-1")
        self.assertEqual((service.edition, service.age), (1, 0.0))

    def test_asked_when_due_and_unchanged_changes_nothing(self) -> None:
        service = self.service(every=3600.0)
        self.look(service)
        self.clock.advance(60)
        self.look(service)
        self.assertEqual(self.source.asked, 1)
        self.clock.advance(4000)
        self.look(service)
        self.assertEqual((self.source.asked, service.edition), (2, 1))
        self.source.state, self.source.records = "two", [FLAW, record("X-1", "new")]
        self.clock.advance(4000)
        self.look(service)
        self.assertEqual(service.of("evil").advisories, ())
        self.assertEqual(service.edition, 2)

    def test_what_was_known_holds_after_a_restart(self) -> None:
        self.look(self.service())
        self.source.away = True
        self.clock.advance(2 * 3600)
        later = self.service()
        self.look(later)
        self.assertEqual(later.of("evil").malware_of("1.0", None), "MAL-1")
        self.assertEqual(later.age, 2 * 3600)
        self.flushLoggedErrors()

    def test_another_server_has_read(self) -> None:
        first, second = self.service(), self.service()
        self.look(first)
        self.source.away = True
        self.look(second)
        self.assertEqual(second.of("evil").malware_of("1.0", None), "MAL-1")
        self.source.away = False
        self.clock.advance(4000)
        self.look(first)
        self.look(second)
        self.look(second)
        self.assertEqual(self.source.asked, 4)

    def test_another_server_whose_clock_is_ahead(self) -> None:
        service, ahead = self.service(every=3600.0), self.service()
        ahead.clock = Clock()
        ahead.clock.advance(1_000_000 + 365 * DAY)
        self.look(service)
        self.look(ahead)
        self.source.state, self.source.records = "two", [FLAW, MALWARE, FLAW]
        self.clock.advance(4000)
        self.look(service)
        self.assertEqual(service.age, 0.0)
        for _ in range(3):
            self.clock.advance(4000)
            self.look(service)
        self.assertEqual(service.table.records, 3)

    def test_another_source_is_not_taken_over(self) -> None:
        self.look(self.service())
        self.source.records = []
        other = self.service()
        other.name = "other"
        self.look(other)
        self.assertEqual(other.of("evil").advisories, ())

    def test_a_source_that_lost_much_is_doubted(self) -> None:
        service = self.service()
        self.source.records = [MALWARE, FLAW, record("X-1", "b"), record("X-2", "c")]
        self.look(service)
        self.source.state, self.source.records = "cut", [FLAW]
        self.clock.advance(4000)
        self.look(service)
        self.assertEqual(service.of("evil").malware_of("1.0", None), "MAL-1")
        self.assertEqual(service.failures, 1)

    def test_open_and_closed(self) -> None:
        for when_away in ("open", "closed"):
            self.source.away = True
            service = self.service(when_away=when_away, max_age=3 * DAY)
            closed = when_away == "closed"
            self.assertEqual(service.trouble is not None, closed)
            self.source.away = False
            self.look(service)
            self.assertIsNone(service.trouble)
            edition = service.edition
            self.source.away = True
            self.clock.advance(3 * DAY + 1)
            self.look(service)
            self.assertEqual(service.trouble is not None, closed)
            self.assertEqual(service.edition != edition, closed)
            self.source.away = False
            self.store.objects.clear()

    def test_one_warning_a_day_and_what_is_told_meanwhile(self) -> None:
        self.source.away = True
        service = self.service(max_age=3 * DAY)
        self.assertIsNone(service.standing.trouble)
        events: list[Any] = []
        observer: Any = events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for _ in range(24 * 60 - 1):
            self.look(service)
            self.clock.advance(60)
        warned = [one for one in events if one["log_level"] is LogLevel.warn]
        self.assertEqual(
            [formatEvent(one) for one in warned],
            ["The source of advisories osv fails: It is away."],
        )
        self.assertIn("have not been read yet", str(service.standing.trouble))
        self.source.away = False
        self.clock.advance(600)
        self.look(service)
        self.assertEqual(service.standing, AdvisoriesStanding(2, 0.0, None))
        self.assertIn("osv is back", formatEvent(events[-1]))
        self.source.away = True
        self.clock.advance(3 * DAY + 3600)
        self.look(service)
        self.assertEqual(
            service.standing.trouble,
            "Advisories are 73 hours old: their source is away. What was read before "
            "holds.",
        )

    def test_what_was_not_saved_is_at_the_next_reading(self) -> None:
        service = self.service(every=3600.0)
        self.store.fail_next("put", StoreError("It is away."))
        self.look(service)
        self.assertNotIn(TABLE, self.store.objects)
        for _ in range(2):
            self.clock.advance(4000)
            self.look(service)
        self.assertIn(TABLE, self.store.objects)

    def test_a_damaged_object_is_not_used(self) -> None:
        self.look(self.service())
        for data in (b"", b"{}\n", b'{"_format":9}\n'):
            self.successResultOf(self.put(data))
            later = self.service()
            self.look(later)
            self.assertEqual(later.of("evil").malware_of("1.0", None), "MAL-1")

    def put(self, data: bytes) -> Any:
        return Deferred.fromCoroutine(self.store.put(TABLE, data))

    def test_the_real_source(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "a.json").write_text(json.dumps(MALWARE))
        service = Advisories(
            "osv",
            LocalSource(str(folder), self.offload),
            self.store,
            self.offload,
            self.clock,
        )
        self.look(service)
        self.assertEqual(service.of("evil").malware_of("1.0", None), "MAL-1")


class ScreenTests(SynchronousTestCase):
    def setUp(self) -> None:
        clock, offload = Clock(), InlineOffload()
        self.service = Advisories(
            "osv", FakeSource(), MemoryStore(offload), offload, clock
        )
        self.successResultOf(self.service.look())
        self.exempt: tuple[Exemption, ...] = ()

    def refused(self, name: str, version: str, sha: str, private: bool) -> bool:
        screen = MalwareScreen(
            self.service, lambda _n: private, lambda _n: self.exempt, lambda: 0.0
        )
        try:
            screen(NormalizedName(name), version, sha)
        except RefusedByRule as e:
            self.assertEqual(e.rule, "malware")
            self.assertIn("known malware (MAL-1)", e.message)
            return True
        return False

    def test_by_digest_always(self) -> None:
        self.assertTrue(self.refused("mine", "1.0", SHA, private=True))

    def test_by_version_unless_the_name_is_reserved(self) -> None:
        self.assertTrue(self.refused("evil", "1.0", "0" * 64, private=False))
        self.assertFalse(self.refused("evil", "2.0", "0" * 64, private=False))
        self.assertFalse(self.refused("evil", "1.0", "0" * 64, private=True))

    def test_exempt(self) -> None:
        line = "evil==1.0 rule:malware until 2026-12-24 false alarm"
        self.exempt = (Exemption.parse(line),)
        self.assertFalse(self.refused("evil", "1.0", "0" * 64, private=False))
