"""The page of what was taken that advisories affect, for those who manage it."""

from __future__ import annotations

from urllib.parse import urlencode

from attrs import evolve, frozen

from pypicloud_tw.access.administration.authority import PrincipalAuthority
from pypicloud_tw.projects.affected.stored import (
    AdministeredAdvisories,
    StoredAdvisories,
)
from pypicloud_tw.projects.affected.values import AffectedPage, AffectedQuestion
from pypicloud_tw.web.api.advisories import question_of
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.tabs import tabs_of
from pypicloud_tw.web.pages.door import PageDoor

#: Rows of a page: 10 ms of rendering.
MOST_ON_PAGE = 200


@frozen(eq=False)
class AffectedReleasesPage:
    """Sends it; what it says is what the API says."""

    door: PageDoor
    administered: AdministeredAdvisories

    async def send(self, request: Request) -> bytes:
        """Answer a GET; its parameters are those of the API.

        :raises PypicloudError: as of :meth:`.StoredAdvisories.affected`.
        """
        access = self.door.access
        principal = await self.door.find(request)
        authority = PrincipalAuthority(access, principal)
        question = question_of(request)
        question = evolve(question, limit=min(question.limit, MOST_ON_PAGE))
        doer = StoredAdvisories(self.administered, authority)
        page = await doer.affected(question)
        visitor = self.door.visitor(request, principal)
        following = _next(question, page)
        return self.door.send_once(
            request,
            "affected",
            visitor,
            page=page,
            following=following,
            tabs=tabs_of(authority),
        )


def _next(question: AffectedQuestion, page: AffectedPage) -> str | None:
    """Return the address of what follows, relative to this one."""
    if page.cursor is None:
        return None
    asked = {"severity": question.severity, "limit": str(question.limit)}
    if question.project is not None:
        asked["project"] = question.project
    if question.malware:
        asked["malware"] = "true"
    return f"advisories?{urlencode({**asked, 'cursor': page.cursor})}"
