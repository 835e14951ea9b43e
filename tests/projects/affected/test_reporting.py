"""What the daily report tells of advisories: what is new, and fixes that wait."""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.internet.defer import Deferred

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance.reports.reporter import Reporter
from pypicloud_tw.maintenance.reports.stored import StoredReports
from pypicloud_tw.maintenance.reports.values import Findings, IReportSource
from pypicloud_tw.projects.affected.reporting import (
    NewlyAffected,
    QuarantinedKept,
    WaitingFixes,
    found_by_digest,
)
from pypicloud_tw.projects.affected.values import Fix
from pypicloud_tw.upstream.judgement.values import Standing
from tests.projects.affected.doubles import digests, flaw
from tests.projects.affected.test_audit import AuditCase
from tests.web.doubles import stored_project


class ReportingCase(AuditCase):
    def findings(self, source: IReportSource, remembered: frozenset[str]) -> Findings:
        work = Deferred.fromCoroutine(source.findings(remembered))
        self.index.domain.settle(work)
        return self.successResultOf(work)


class NewlyAffectedTests(ReportingCase):
    def test_only_what_was_not_known_yesterday(self) -> None:
        self.index.add("acme", ("1.0",))
        self.known.add(flaw("acme"))
        source = NewlyAffected(self.auditor())
        first = self.findings(source, frozenset())
        (item,) = first.items
        self.assertEqual((item.version, item.id), ("1.0", "GHSA-1"))
        self.assertIn("2.0 repairs it", item.sentence)
        self.assertEqual(self.findings(source, first.remembered).items, [])
        self.index.add("acme", ("1.1",))
        (second,) = self.findings(source, first.remembered).items
        self.assertEqual(second.version, "1.1")

    def test_another_id_of_a_matter_is_nothing_new(self) -> None:
        self.index.add("acme", ("1.0",))
        self.known.add(flaw("acme", "PYSEC-1", aliases=("CVE-1",)))
        source = NewlyAffected(self.auditor())
        first = self.findings(source, frozenset())
        self.known.add(flaw("acme", "GHSA-1", aliases=("CVE-1",)))
        self.assertEqual(self.findings(source, first.remembered).items, [])

    def test_what_a_digest_told_is_remembered(self) -> None:
        self.index.add("acme", ("1.0",))
        domain = self.index.domain
        (file,) = stored_project(domain.store, "acme").files
        self.known.digests = digests(MAL_9=file.sha256)
        reports = StoredReports(domain.store)
        reporter = Reporter(reports, domain.clock, [NewlyAffected(self.auditor())])
        domain.settle(Deferred.fromCoroutine(reporter.make()))
        found = Deferred.fromCoroutine(found_by_digest(reports))
        self.assertEqual(self.successResultOf(found), {"acme"})


class QuarantinedKeptTests(ReportingCase):
    def test_what_is_in_quarantine_elsewhere(self) -> None:
        self.kept.files = {project_name(name): [] for name in ("acme", "evil")}
        known = {"evil": Standing("quarantined", "Malware.", 0.0)}
        pieces = Pieces(self.index.domain.clock)
        source = QuarantinedKept(
            self.kept, lambda name: known.get(name, Standing()), pieces
        )
        (item,) = self.findings(source, frozenset()).items
        self.assertEqual(
            item.sentence,
            "evil is in quarantine at the other index since 1970-01-01 00:00 UTC: "
            "Malware. What is kept of it is not given out.",
        )


class WaitingFixesTests(ReportingCase):
    def test_a_fix_that_min_age_hides(self) -> None:
        self.fetched.counts = {"acme": {"1.0": 2, "1.1": 1}}
        self.known.add(flaw("acme"))
        until = datetime(2026, 12, 24, tzinfo=UTC)
        self.visible.known["2.0"] = Fix("2.0", "hidden", "min-age", until)
        newly = NewlyAffected(self.auditor())
        self.assertEqual(self.findings(WaitingFixes(newly), frozenset()).items, ())
        self.findings(newly, frozenset())
        (item,) = self.findings(WaitingFixes(newly), frozenset()).items
        self.assertEqual(
            item.sentence,
            "acme 2.0 repairs GHSA-1 of 1.0, and is hidden by min-age until 2026-12-24 "
            "00:00 UTC. 'pypicloud exempt add' lets it through before.",
        )

    def test_one_that_clients_get_does_not_wait(self) -> None:
        self.index.add("acme", ("1.0", "2.0"))
        self.known.add(flaw("acme"))
        newly = NewlyAffected(self.auditor())
        self.findings(newly, frozenset())
        self.assertEqual(self.findings(WaitingFixes(newly), frozenset()).items, ())
