"""Making the day's report, once a day, by one server of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.errors import NotFound, ObjectUnreadable, PypicloudError
from pypicloud_tw.maintenance.daily import DailyJob
from pypicloud_tw.maintenance.reports.stored import StoredReport, StoredReports
from pypicloud_tw.maintenance.reports.values import (
    DailyReport,
    IReportSource,
    ReportSection,
)

_NOTHING: frozenset[str] = frozenset()


@frozen(eq=False)
class Reporter:
    """Asks every source what is to be told, and keeps it.

    :ivar sources: in the order in which they are told.
    """

    reports: StoredReports
    clock: IReactorTime
    sources: Sequence[IReportSource]
    _log = Logger()

    @property
    def job(self) -> DailyJob:
        """What is to be done once a day."""
        return DailyJob("report", lambda: bool(self.sources), self.make)

    async def make(self) -> str:
        """Make today's report, log its headlines, and return what came of it.

        A source that fails is told of in its place, and is given tomorrow what it was
        given today.

        :raises StoreError: the store is away.
        """
        before = await self._before()
        remembered = dict(before)
        sections = []
        for source in self.sources:
            given = before.get(source.name, _NOTHING)
            try:
                findings = await source.findings(given)
            except PypicloudError as e:
                section = ReportSection(source.name, source.title, trouble=e.message)
            else:
                remembered[source.name] = findings.remembered
                section = ReportSection.of(source.name, source.title, findings.items)
            sections.append(section)
        now = datetime.fromtimestamp(self.clock.seconds(), UTC)
        report = DailyReport(now.date().isoformat(), now, tuple(sections))
        await self.reports.write(StoredReport(report, remembered))
        return self._tell(report)

    async def _before(self) -> Mapping[str, frozenset[str]]:
        try:
            return (await self.reports.read()).remembered
        except NotFound:
            return {}
        except ObjectUnreadable as e:
            self._log.warn("{error} All of today is told as new.", error=e.message)
            return {}

    def _tell(self, report: DailyReport) -> str:
        told = [s for s in report.sections if s.items or s.trouble is not None]
        for section in told:
            self._log.info("Report: {line}", line=section.headline)
        if not told:
            return "the report has nothing to tell"
        return f"the report tells of {len(told)} matters; see pypicloud report"
