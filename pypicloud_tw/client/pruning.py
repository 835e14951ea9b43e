"""Prunes, planned and carried out through a server."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.maintenance.retention.plan import PlanPage
from pypicloud_tw.projects.pruning import AppliedPart, PlanQuestion, PruneOrder

_PRUNE = "prune"


@frozen
class RemotePruning:
    """See :class:`~.projects.pruning.PruningAdministration`."""

    client: ApiClient

    async def plan(self, question: PlanQuestion) -> PlanPage:
        """See the interface."""
        answer = await self.client.ask("POST", _PRUNE, "plan", value=question)
        return answer.read(PlanPage)

    async def apply(self, order: PruneOrder) -> AppliedPart:
        """See the interface."""
        answer = await self.client.ask("POST", _PRUNE, "apply", value=order)
        return answer.read(AppliedPart)
