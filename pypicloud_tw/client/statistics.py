"""How often projects are fetched, asked through a server."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.client.api import ApiClient, check_path
from pypicloud_tw.projects.statistics.values import (
    USUAL,
    USUAL_DAYS,
    ProjectFetches,
    TopPage,
    TotalFetches,
)


@frozen
class RemoteStatistics:
    """See :class:`~.statistics.interface.Statistics`; each is one request."""

    client: ApiClient

    async def project(self, name: str, days: int = USUAL_DAYS) -> ProjectFetches:
        """See the interface."""
        path = "stats", "projects", name
        check_path(path)
        answer = await self.client.ask("GET", *path, query={"days": str(days)})
        return answer.read(ProjectFetches)

    async def top(
        self, days: int = USUAL_DAYS, cursor: str | None = None, limit: int = USUAL
    ) -> TopPage:
        """See the interface."""
        query = {"days": str(days), "cursor": cursor, "limit": str(limit)}
        answer = await self.client.ask("GET", "stats", "top", query=query)
        return answer.read(TopPage)

    async def totals(self, days: int = USUAL_DAYS) -> TotalFetches:
        """See the interface."""
        query = {"days": str(days)}
        answer = await self.client.ask("GET", "stats", "totals", query=query)
        return answer.read(TotalFetches)
