"""Everything that is hosted, kept or was fetched is held against advisories."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.values import Severity
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.names import project_name
from pypicloud_tw.projects.affected.audit import Audit, Auditor
from pypicloud_tw.projects.affected.interface import KeptFile
from pypicloud_tw.projects.affected.values import Fix
from tests.maintenance.retention.doubles import PrunedIndex
from tests.projects.affected.doubles import (
    Fetched,
    Kept,
    Known,
    Visible,
    digests,
    flaw,
    malware,
)
from tests.web.doubles import stored_project


class AuditCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.index = PrunedIndex()
        self.known, self.kept = Known(), Kept()
        self.fetched, self.visible = Fetched(), Visible()

    def auditor(self, **more: Any) -> Auditor:
        domain = self.index.domain
        return Auditor(
            domain.index,
            self.known,
            Pieces(domain.clock),
            **{
                "kept": self.kept,
                "fetches": self.fetched,
                "visible": self.visible,
                **more,
            },
        )

    def look(self, *, thorough: bool = False, **more: Any) -> Audit:
        auditor = self.auditor(**more)
        work = Deferred.fromCoroutine(auditor.look(thorough=thorough))
        self.index.domain.settle(work)
        return self.successResultOf(work)


class AuditTests(AuditCase):
    def test_only_affected_releases_are_told(self) -> None:
        self.index.add("acme", ("1.0", "1.1", "2.0"))
        self.index.add("other", ("1.0",))
        self.known.add(flaw("acme"), flaw("absent"))
        audit = self.look()
        self.assertEqual(
            [(row.project, row.version, row.places) for row in audit.rows],
            [("acme", "1.0", ("hosted",)), ("acme", "1.1", ("hosted",))],
        )
        self.assertEqual(audit.looked_at, 1)

    def test_one_matter_of_two_records_is_one_row(self) -> None:
        self.index.add("acme", ("1.0",))
        self.known.add(
            flaw("acme", "PYSEC-1", aliases=("CVE-1",), severity=Severity.UNKNOWN),
            flaw("acme", "GHSA-1", aliases=("CVE-1",)),
        )
        (row,) = self.look().rows
        self.assertEqual(row.ids, ("GHSA-1", "PYSEC-1", "CVE-1"))
        self.assertEqual(row.severity, "high")

    def test_kept_and_fetched_releases_count_by_version(self) -> None:
        name = project_name("acme")
        self.kept.files[name] = [KeptFile("acme-1.0.tar.gz", "1.0", "f" * 64)]
        self.fetched.counts = {"acme": {"1": 7, "1.2": 3, "2.0": 9}}
        self.known.add(flaw("acme"))
        rows = self.look().rows
        self.assertEqual(
            [(row.version, row.places, row.fetches) for row in rows],
            [("1.0", ("kept", "fetched"), 7), ("1.2", ("fetched",), 3)],
        )

    def test_nothing_is_counted_where_there_are_no_statistics(self) -> None:
        self.index.add("acme", ("1.0",))
        self.known.add(flaw("acme"))
        audit = self.look(fetches=None)
        self.assertFalse(audit.counted)
        self.assertIsNone(audit.rows[0].fetches)

    def test_malware_comes_first_then_severity_then_fetches(self) -> None:
        for name in ("rare", "often", "worse", "evil"):
            self.index.add(name, ("1.1",))
        self.fetched.counts = {"often": {"1.1": 5}, "rare": {"1.1": 1}}
        self.known.add(
            flaw("rare"),
            flaw("often"),
            flaw("worse", severity=Severity.CRITICAL),
            malware("evil"),
        )
        self.assertEqual(
            [row.project for row in self.look().rows],
            ["evil", "worse", "often", "rare"],
        )

    def test_a_file_without_a_version_is_affected_where_all_are(self) -> None:
        name = project_name("acme")
        self.kept.files[name] = [KeptFile("odd.zip", None, "f" * 64)]
        self.known.add(flaw("acme"))
        self.assertEqual(self.look().rows, ())


class FixTests(AuditCase):
    def fix(self) -> Fix | None:
        self.known.add(flaw("acme"))
        (row,) = self.look().rows
        self.assertEqual(row.fixes, ("2.0",))
        return row.fix

    def test_a_fix_that_is_published_here_is_visible(self) -> None:
        self.index.add("acme", ("1.0", "2.0.0"))
        self.assertEqual(self.fix(), Fix("2.0", "visible"))

    def test_a_fix_that_nobody_knows_of_is_unknown(self) -> None:
        self.index.add("acme", ("1.0",))
        self.assertEqual(self.fix(), Fix("2.0", "unknown"))

    def test_of_what_is_hosted_no_upstream_hears(self) -> None:
        self.visible.known["2.0"] = Fix("2.0", "visible")
        self.index.add("acme", ("1.0",))
        self.assertEqual(self.fix(), Fix("2.0", "unknown"))

    def test_a_hidden_fix_says_until_when(self) -> None:
        hidden = Fix("2.0", "hidden", "min-age", datetime(2026, 12, 24, tzinfo=UTC))
        self.visible.known["2.0"] = hidden
        self.fetched.counts = {"acme": {"1.0": 1}}
        self.assertEqual(self.fix(), hidden)


class DigestTests(AuditCase):
    def setUp(self) -> None:
        super().setUp()
        self.index.add("acme", ("1.0",))
        (file,) = stored_project(self.index.domain.store, "acme").files
        self.known.digests = digests(MAL_9=file.sha256)

    def test_a_thorough_audit_finds_bytes_whatever_they_are_called(self) -> None:
        self.assertEqual(self.look().rows, ())
        audit = self.look(thorough=True)
        (row,) = audit.rows
        self.assertEqual((row.ids, row.malware), (("MAL_9",), True))
        self.assertEqual(audit.by_digest, {"acme"})

    def test_who_was_found_by_bytes_is_looked_at_again(self) -> None:
        auditor = self.auditor()
        work = Deferred.fromCoroutine(auditor.look(also={"acme"}))
        self.index.domain.settle(work)
        self.assertEqual(len(self.successResultOf(work).rows), 1)

    def test_of_a_private_name_only_bytes_tell(self) -> None:
        self.known.add(flaw("acme"), malware("acme", "1.0"))
        audit = self.look(is_private=lambda name: name == "acme")
        self.assertEqual([row.ids for row in audit.rows], [("MAL_9",)])


class BoundsTests(AuditCase):
    def test_the_worst_rows_stay(self) -> None:
        for number in range(9):
            self.index.add(f"acme{number}", ("1.0",))
            self.known.add(flaw(f"acme{number}", severity=Severity.LOW))
        self.index.add("worst", ("1.0",))
        self.known.add(flaw("worst"))
        audit = self.look(most_rows=2)
        self.assertEqual([row.project for row in audit.rows], ["worst", "acme0"])
        self.assertEqual(audit.left_out, 8)

    def test_a_closed_auditor_begins_nothing(self) -> None:
        self.index.add("acme", ("1.0",))
        self.known.add(flaw("acme"))
        auditor = self.auditor()
        auditor.close()
        work = Deferred.fromCoroutine(auditor.look())
        self.index.domain.settle(work)
        self.assertEqual(
            self.failureResultOf(work, Unavailable).value.message, "The server stops."
        )

    def test_a_damaged_manifest_says_nothing_of_the_others(self) -> None:
        for name in ("acme", "broken"):
            self.index.add(name, ("1.0",))
            self.known.add(flaw(name))
        store = self.index.domain.store
        self.index.domain.settle(
            Deferred.fromCoroutine(store.put(".index/broken.json", b"{"))
        )
        audit = self.look()
        self.assertEqual([row.project for row in audit.rows], ["acme"])
        self.assertEqual(len(audit.notices), 1)
