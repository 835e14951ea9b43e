"""Makes what counts downloads."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.maintenance.daily import DailyJob
from pypicloud_tw.maintenance.retention.judgement import Fetched
from pypicloud_tw.maintenance.retention.pruner import LastFetched, nothing_known
from pypicloud_tw.process import Process
from pypicloud_tw.statistics.downloads import (
    FLUSH_BUCKET,
    FLUSH_FOLDER,
    CountedDownloads,
)
from pypicloud_tw.statistics.journal import journal_folder
from pypicloud_tw.statistics.journaling import Journaling


def make_downloads(
    config: Config, index: Index, process: Process
) -> CountedDownloads | None:
    """Make what counts downloads; None if nothing shall."""
    if not config.statistics.downloads:
        return None
    store, offload, keep = index.store, process.offload, config.statistics.keep
    journaling = None
    every = FLUSH_FOLDER
    if config.aws.bucket is not None:
        every = FLUSH_BUCKET
        journaling = Journaling(_journals(config), store, offload)
    counted = CountedDownloads(store, offload, process.reactor, keep, every, journaling)
    counted.register(process.metrics)
    return counted


def _journals(config: Config) -> Path:
    """Return where servers of the bucket keep what is not in it yet."""
    aws = config.aws
    parent = config.storage.temp_dir or Path(gettempdir())
    return journal_folder(parent, aws.endpoint_url, aws.bucket, aws.prefix)


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
