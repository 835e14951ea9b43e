"""Makes what counts downloads."""

from __future__ import annotations

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.maintenance.daily import DailyJob
from pypicloud_tw.maintenance.retention.judgement import Fetched
from pypicloud_tw.maintenance.retention.pruner import LastFetched, nothing_known
from pypicloud_tw.process import Process
from pypicloud_tw.statistics.downloads import CountedDownloads


def make_downloads(
    config: Config, index: Index, process: Process
) -> CountedDownloads | None:
    """Make what counts downloads; None if nothing shall."""
    if not config.statistics.downloads:
        return None
    counted = CountedDownloads(
        index.store, process.offload, process.reactor, config.statistics.keep
    )
    counted.register(process.metrics)
    return counted


def make_last_fetched(counted: CountedDownloads | None) -> LastFetched:
    """Make what tells retention when releases were fetched last."""
    if counted is None:
        return nothing_known

    async def last_fetched(project: NormalizedName) -> Fetched | None:
        since = counted.since
        return None if since is None else Fetched(since, counted.last(project))

    return last_fetched


def make_statistics_jobs(counted: CountedDownloads | None) -> tuple[DailyJob, ...]:
    """Make what is done with the counts once a day."""
    if counted is None:
        return ()
    return (DailyJob("statistics", lambda: True, counted.sum_up),)
