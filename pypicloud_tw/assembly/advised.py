"""Makes what tells what was taken that advisories affect, and the daily report."""

from __future__ import annotations

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.patterns import match_any
from pypicloud_tw.index.index import Index
from pypicloud_tw.maintenance.reports.reporter import Reporter
from pypicloud_tw.maintenance.reports.values import IReportSource
from pypicloud_tw.projects.affected.interface import (
    IFetches,
    IKept,
    IRecords,
    IVisible,
    NothingKept,
    NothingVisible,
)
from pypicloud_tw.projects.affected.kept import KeptInStore
from pypicloud_tw.projects.affected.reporting import NewlyAffected, WaitingFixes
from pypicloud_tw.projects.affected.stored import AdministeredAdvisories
from pypicloud_tw.projects.affected.visible import VisibleUpstream
from pypicloud_tw.web.fallback import Fallback


def make_advised(
    index: Index,
    access: Access,
    fallback: Fallback | None,
    advisories: IRecords,
    fetches: IFetches | None,
) -> AdministeredAdvisories:
    """Make what is asked of advisories about an index.

    :param fetches: None: downloads are not counted.
    """

    def is_private(name: str) -> bool:
        return match_any(access.policy.settings.private, name)

    kept: IKept = NothingKept()
    visible: IVisible = NothingVisible()
    if fallback is not None:
        kept = KeptInStore(index.store, fallback.kept_names)
        visible = VisibleUpstream(fallback.upstreams, index.publisher.offload)
    return AdministeredAdvisories.of(
        index, advisories, is_private, kept, fetches, visible
    )


def make_reporter(
    index: Index, advised: AdministeredAdvisories, *others: IReportSource
) -> Reporter:
    """Make what writes the daily report.

    :param others: what other parts have to tell.
    """
    newly = NewlyAffected(advised.affected.auditor)
    sources: tuple[IReportSource, ...] = (newly, WaitingFixes(newly), *others)
    return Reporter(advised.reports, index.clock, sources)
