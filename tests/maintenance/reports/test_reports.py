"""The daily report: who adds to it, what is kept of it, and for how long."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.errors import NotFound, ObjectUnreadable, Unavailable
from pypicloud_tw.maintenance.daily import Daily
from pypicloud_tw.maintenance.reports.reporter import Reporter
from pypicloud_tw.maintenance.reports.sources import (
    OLD,
    AgeOfAdvisories,
    EndingExemptions,
)
from pypicloud_tw.maintenance.reports.stored import KEPT, REPORTS, StoredReports
from pypicloud_tw.maintenance.reports.values import (
    MOST_ITEMS,
    Findings,
    IReportSource,
    ReportItem,
)
from tests.web.doubles import BEGINNING, Domain

T = TypeVar("T")
DAY = 86_400


def _same(read: float | None) -> float | None:
    return read


@define
class Source:
    """Tells what it is given, and remembers how often it was asked."""

    items: Iterable[ReportItem] = ()
    name: str = "one"
    title: str = "Ones"
    error: Exception | None = None
    given: list[frozenset[str]] = field(factory=list)

    async def findings(self, remembered: frozenset[str]) -> Findings:
        self.given.append(remembered)
        if self.error is not None:
            raise self.error
        return Findings(tuple(self.items), frozenset({str(len(self.given))}))


class ReportsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.reports = StoredReports(self.domain.store)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        waiting = Deferred.fromCoroutine(work)
        self.domain.settle(waiting)
        return self.successResultOf(waiting)

    def reporter(self, *sources: IReportSource) -> Reporter:
        return Reporter(self.reports, self.domain.clock, sources)

    def make(self, *sources: IReportSource) -> str:
        return self.wait(self.reporter(*sources).make())


class ReporterTests(ReportsCase):
    def test_every_source_has_its_section(self) -> None:
        item = ReportItem("It is so.", "acme")
        said = self.make(Source([item]), Source(name="two", title="Twos"))
        self.assertEqual(said, "the report tells of 1 matters; see pypicloud report")
        report = self.wait(self.reports.read()).report
        self.assertEqual(report.date, "2026-03-01")
        one, two = report.sections
        self.assertEqual((one.items, one.headline), ((item,), "Ones: 1"))
        self.assertEqual(two.items, ())

    def test_a_source_is_given_what_it_asked_for(self) -> None:
        source = Source()
        self.make(source)
        self.domain.clock.advance(DAY)
        self.make(source)
        self.assertEqual(source.given, [frozenset(), {"1"}])

    def test_one_that_fails_is_told_of_and_asked_again(self) -> None:
        source = Source(error=Unavailable("The store is away."))
        self.make(source)
        (section,) = self.wait(self.reports.read()).report.sections
        self.assertEqual(section.trouble, "The store is away.")
        self.assertEqual(section.headline, "Ones: not known today. The store is away.")

    def test_items_are_bounded(self) -> None:
        self.make(Source([ReportItem("x" * 10_000)] * (MOST_ITEMS + 5)))
        (section,) = self.wait(self.reports.read()).report.sections
        self.assertEqual((len(section.items), section.left_out), (MOST_ITEMS, 5))
        self.assertEqual(len(section.items[0].sentence), 500)

    def test_it_is_due_where_there_are_sources(self) -> None:
        self.assertFalse(self.reporter().job.due())
        self.assertTrue(self.reporter(Source()).job.due())

    def test_one_of_two_servers_makes_it(self) -> None:
        source = Source([ReportItem("It is so.")])
        for domain in (self.domain, self.domain.beside()):
            job = self.reporter(source).job
            daily = Daily(domain.store, domain.index.standing, domain.clock, [job])
            self.wait(domain.index.secure())
            self.wait(daily.look())
        self.assertEqual(len(source.given), 1)
        self.assertEqual(self.wait(self.reports.dates()), ["2026-03-01"])

    def test_a_damaged_report_makes_all_new(self) -> None:
        self.wait(self.domain.store.put(f"{REPORTS}2026-02-28.json", b"{"))
        source = Source()
        self.make(source)
        self.assertEqual(source.given, [frozenset()])


class StoredTests(ReportsCase):
    def test_only_so_many_are_kept(self) -> None:
        for _ in range(KEPT + 2):
            self.make(Source())
            self.domain.clock.advance(DAY)
        dates = self.wait(self.reports.dates())
        self.assertEqual((len(dates), dates[0]), (KEPT, "2026-03-03"))

    def test_by_date(self) -> None:
        self.make(Source())
        self.assertEqual(
            self.wait(self.reports.read("2026-03-01")).report.date, "2026-03-01"
        )
        for date in ("2026-03-02", "../x", ""):
            waiting = Deferred.fromCoroutine(self.reports.read(date))
            self.failureResultOf(waiting, NotFound)

    def test_what_cannot_be_read(self) -> None:
        for data in (b"{", b"{}", b'{"_format": 2}', b'{"_format": 1, "report": 1}'):
            self.wait(self.domain.store.put(f"{REPORTS}2026-02-28.json", data))
            waiting = Deferred.fromCoroutine(self.reports.read())
            error = self.failureResultOf(waiting, ObjectUnreadable).value
            self.assertIn("2026-02-28", error.message)


class SourcesTests(ReportsCase):
    def test_exemptions_that_end_within_a_week(self) -> None:
        now = datetime.fromtimestamp(BEGINNING, UTC)
        ends = (timedelta(days=3), timedelta(days=8), timedelta(days=-1))
        exemptions = [
            Exemption("acme", now + end, "a fix", f"=={abs(end.days)}") for end in ends
        ]
        source = EndingExemptions(lambda: exemptions, self.domain.clock)
        (item,) = self.wait(source.findings(frozenset())).items
        self.assertIn("acme==3", item.sentence)
        self.assertIn("2026-03-04 09:30 UTC: a fix", item.sentence)

    def test_advisories_that_are_old(self) -> None:
        for age, told in ((None, 0), (OLD - 1, 0), (OLD, 1)):
            read = None if age is None else BEGINNING - age
            source = AgeOfAdvisories(partial(_same, read), self.domain.clock)
            found = self.wait(source.findings(frozenset()))
            self.assertEqual(len(found.items), told, age)
