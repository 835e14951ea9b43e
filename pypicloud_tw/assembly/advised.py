"""Makes what tells what was taken that advisories affect, and the daily report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from pypicloud_tw.access.patterns import match_any
from pypicloud_tw.advisories.service import Advisories
from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.index.index import Index
from pypicloud_tw.maintenance.reports.reporter import Reporter
from pypicloud_tw.maintenance.reports.sources import AgeOfAdvisories, EndingExemptions
from pypicloud_tw.maintenance.reports.values import IReportSource
from pypicloud_tw.projects.affected.interface import (
    IFetches,
    IRecords,
    IVisible,
    NoRecords,
    NothingVisible,
)
from pypicloud_tw.projects.affected.kept import KeptInStore
from pypicloud_tw.projects.affected.records import KeptRecords
from pypicloud_tw.projects.affected.reporting import (
    NewlyAffected,
    QuarantinedKept,
    WaitingFixes,
)
from pypicloud_tw.projects.affected.stored import AdministeredAdvisories
from pypicloud_tw.projects.affected.visible import VisibleUpstream
from pypicloud_tw.web.fallback import Fallback


def make_advised(
    index: Index,
    private: Callable[[], Iterable[str]],
    advisories: Advisories | None,
    fallback: Fallback | None = None,
    fetches: IFetches | None = None,
) -> AdministeredAdvisories:
    """Make what is asked of advisories about an index.

    :param private: gives the patterns of private names (``pypi.private``).
    :param fetches: None: downloads are not counted.
    """

    def is_private(name: str) -> bool:
        return match_any(private(), name)

    records: IRecords = NoRecords()
    if advisories is not None:
        records = KeptRecords(advisories, lambda: advisories.table.projects)
    visible: IVisible = NothingVisible()
    if fallback is not None and not fallback.redirects:
        visible = VisibleUpstream(index, fallback.upstreams)
    return AdministeredAdvisories.of(
        index,
        records,
        is_private,
        KeptInStore(index.store),
        fetches,
        visible,
        lambda: None if advisories is None else advisories.standing,
    )


def make_reporter(
    index: Index,
    advised: AdministeredAdvisories,
    advisories: Advisories | None,
    exemptions: Callable[[], Iterable[Exemption]],
    *others: IReportSource,
    fallback: Fallback | None = None,
) -> Reporter:
    """Make what writes the daily report.

    :param exemptions: gives those in force.
    :param others: what other parts have to tell.
    """
    ending = EndingExemptions(exemptions, index.clock)
    sources: list[IReportSource] = [ending, *others]
    if fallback is not None:
        auditor, judges = advised.affected.auditor, fallback.upstreams.judges
        standing = judges.standings.of
        sources = [QuarantinedKept(auditor.kept, standing, auditor.pieces), *sources]
    if advisories is not None:
        newly = NewlyAffected(advised.affected.auditor)
        age = AgeOfAdvisories(partial(_checked, advisories), index.clock)
        sources = [newly, WaitingFixes(newly), *sources, age]
    return Reporter(advised.reports, index.clock, sources)


def _checked(advisories: Advisories) -> float | None:
    return advisories.checked
