"""Searching projects, as a page; scripts take its results while somebody types."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.stored import StoredProjects
from pypicloud_tw.projects.values import FoundPage, Origin, OwnRight
from pypicloud_tw.web.api.json_api import parameter, word
from pypicloud_tw.web.authorization import actor_of
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.door import PageDoor

#: Projects that are shown.
SHOWN = 50


@frozen(eq=False)
class SearchPage:
    """Sends it."""

    door: PageDoor
    administered: AdministeredProjects

    async def send(self, request: Request) -> bytes:
        """Answer a GET; ``q`` has the words, ``origin`` and ``right`` narrow it.

        :raises PypicloudError: as of :meth:`.PageDoor.admit`.
        """
        visitor = await self.door.admit(request)
        query = (parameter(request, "q") or "").strip()
        origin = word(request, "origin", Origin)
        right = word(request, "right", OwnRight)
        found, complaint = FoundPage(()), None
        if query:
            authority = self.door.authority(visitor)
            actor = actor_of(request, visitor.principal)
            doer = StoredProjects(self.administered, actor, authority)
            try:
                found = await doer.search(query, SHOWN, origin, right)
            except BadRequest as e:
                complaint = e.message
        return self.door.send(
            request,
            "search",
            visitor,
            query=query,
            origin=origin,
            right=right,
            found=found,
            complaint=complaint,
            most=SHOWN,
        )
