"""The front page: search, how to use this server, and what is new."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.access.administration.authority import (
    Authority,
)
from pypicloud_tw.projects.derived.service import DerivedProjects
from pypicloud_tw.projects.statistics.stored import (
    AdministeredStatistics,
    StoredStatistics,
)
from pypicloud_tw.projects.statistics.values import TopPage
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.door import PageDoor
from pypicloud_tw.web.pages.setups import setup_for

#: Releases and projects that are listed.
LISTED = 8


@frozen(eq=False)
class HomePage:
    """Sends it."""

    door: PageDoor
    derived: DerivedProjects
    statistics: AdministeredStatistics

    async def send(self, request: Request) -> bytes:
        """Answer a GET.

        :raises PypicloudError: as of :meth:`.PageDoor.admit`.
        """
        visitor = await self.door.admit(request)
        authority = self.door.authority(visitor)
        reads = authority.reads()
        return self.door.send(
            request,
            "home",
            visitor,
            setup=setup_for(visitor),
            newest=await self.derived.newest(LISTED, reads),
            projects=await self.derived.total(reads),
            fetched=await self._fetched(authority),
        )

    async def _fetched(self, authority: Authority) -> tuple[TopPage, int] | None:
        """Tell what was fetched most and how much was; None: nothing is counted."""
        if self.statistics.counted is None:
            return None
        doer = StoredStatistics(self.statistics, authority)
        top = await doer.top(limit=LISTED)
        return top, (await doer.totals()).fetches
