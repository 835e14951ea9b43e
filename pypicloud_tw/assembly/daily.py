"""Makes what servers do by themselves once a day."""

from __future__ import annotations

from twisted.logger import Logger

from pypicloud_tw.access.access import Access
from pypicloud_tw.index.audit import SERVER
from pypicloud_tw.index.index import Index
from pypicloud_tw.maintenance.daily import Daily, DailyJob
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.projects.stored_pruning import AdministeredPruning

_log = Logger()


def make_daily(
    index: Index, access: Access, pruning: AdministeredPruning, metrics: Metrics
) -> Daily:
    """Make what is done once a day, by one of all servers of a store."""
    jobs = (make_prune_job(access, pruning),)
    daily = Daily(index.store, index.standing, index.clock, jobs)
    daily.register(metrics)
    return daily


def make_prune_job(access: Access, pruning: AdministeredPruning) -> DailyJob:
    """Make the job that prunes by the rules of the ini that say so."""
    pruner, rules = pruning.pruner, pruning.rules

    def is_due() -> bool:
        return rules.is_daily and access.read_only is None

    async def prune() -> str:
        pruned = await pruner.prune(rules.find_daily, SERVER)
        for notice in (*pruned.notices, *pruned.stayed):
            _log.warn("Not pruned: {notice}", notice=notice)
        return pruned.sentence

    return DailyJob("prune", is_due, prune)
