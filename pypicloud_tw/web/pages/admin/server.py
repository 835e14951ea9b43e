"""How the server stands, shown on a page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from attrs import frozen

from pypicloud_tw.errors import StoreError
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.outbound.origins import shown
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.servers_seen import SeenServer, servers_seen
from pypicloud_tw.projects.stored import StoredProjects
from pypicloud_tw.upstream.breaker import BreakerStanding
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.visits import AdminDoor
from pypicloud_tw.web.projects import Projects
from pypicloud_tw.web.representation import Page

#: Servers and origins that are listed; there are a handful.
MOST = 50


@frozen
class ShownOrigin:
    """Another index, or where its files are, and whether it is asked."""

    address: str
    standing: BreakerStanding


@frozen(eq=False)
class ServerPage:
    """Shows it to administrators."""

    door: AdminDoor
    administered: AdministeredProjects
    projects: Projects
    metrics: Metrics

    async def show(self, request: Request) -> bytes:
        """Answer a GET; that the store is away is shown, and is no error."""
        visit = await self.door.enter(request)
        doer = StoredProjects(self.administered, visit.who.actor, visit.who.authority)
        return visit.send(
            "server",
            status=await doer.server(),
            problem_of_rules=visit.access.problem,
            servers=await self._servers(),
            sources=self._sources(),
            origins=self._origins(),
            readings=tuple(self.metrics.readings()),
        )

    async def _servers(self) -> Sequence[SeenServer] | None:
        index = self.administered.index
        with suppress(StoreError):
            return (await servers_seen(index.store, index.clock.seconds()))[:MOST]
        return None

    @property
    def _upstreams(self) -> Upstreams[Page] | None:
        fallback = self.projects.fallback
        return None if fallback is None else fallback.upstreams

    def _sources(self) -> list[str]:
        """Name the indexes that are asked, in order."""
        upstreams = self._upstreams
        return [shown(one.base) for one in upstreams.sources] if upstreams else []

    def _origins(self) -> list[ShownOrigin]:
        upstreams = self._upstreams
        if upstreams is None:
            return []
        now = self.administered.index.clock.seconds()
        standings = upstreams.client.breakers.standings(now)
        return [ShownOrigin(_address(one), one) for one in standings[:MOST]]


def _address(standing: BreakerStanding) -> str:
    scheme, host, port = standing.origin
    return f"{scheme}://{host}:{port}"
