"""Makes what servers do by themselves once a day."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from pypicloud_tw.access.access import Access
from pypicloud_tw.index.audit import SERVER
from pypicloud_tw.index.index import Index
from pypicloud_tw.maintenance.daily import Daily, DailyJob
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.projects.stored_pruning import AdministeredPruning

#: Problems of a run that the log tells.
TOLD = 20

_log = Logger()


def make_daily(
    index: Index,
    access: Access,
    pruning: AdministeredPruning,
    metrics: Metrics,
    *others: DailyJob,
) -> Daily:
    """Make what is done once a day, by one of all servers of a store.

    :param others: what other parts have to do.
    """
    jobs = (make_moves_job(index), make_prune_job(access, pruning), *others)
    daily = Daily(index.store, index.standing, index.clock, jobs)
    daily.register(metrics)
    return daily


def make_moves_job(index: Index) -> DailyJob:
    """Make the job that moves what a quarantine has left where its server died."""

    async def finish() -> str:
        problems = await index.acts.moves.finish_begun()
        _warn(problems)
        return "what quarantines had left is moved" + _but(problems)

    return DailyJob("moves", lambda: True, finish)


def make_prune_job(access: Access, pruning: AdministeredPruning) -> DailyJob:
    """Make the job that prunes by the rules of the ini that say so."""
    pruner, rules = pruning.pruner, pruning.rules

    def is_due() -> bool:
        return rules.is_daily and access.read_only is None

    async def prune() -> str:
        pruned = await pruner.prune(rules.find_daily, SERVER)
        left = (*pruned.notices, *pruned.stayed)
        _warn(left)
        return pruned.sentence + _but(left)

    return DailyJob("prune", is_due, prune)


def _warn(problems: Sequence[str]) -> None:
    for problem in problems[:TOLD]:
        _log.warn("{problem}", problem=problem)


def _but(problems: Sequence[str]) -> str:
    """Say how much was left, for not all of it is told."""
    return f" (but for {len(problems)} problems)" if problems else ""
