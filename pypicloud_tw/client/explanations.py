"""What a client sees, and why, asked through a server."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.client.api import ApiClient, check_path
from pypicloud_tw.projects.explained.values import Explanation


@frozen
class RemoteExplanations:
    """See :class:`~.explained.interface.Explanations`; each is one request."""

    client: ApiClient

    async def explain(self, name: str, version: str | None = None) -> Explanation:
        """See the interface."""
        path = "upstream", "explain", name
        check_path(path)
        answer = await self.client.ask("GET", *path, query={"version": version})
        return answer.read(Explanation)
