"""The front page: search, how to use this server, and what is new."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

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
from pypicloud_tw.web.pages.visitor import Visitor

#: Releases and projects that are listed.
LISTED = 8


@frozen
class Setup:
    """What installers and upload clients are told, for one visitor.

    :ivar simple: the simple API's address, with placeholders if a log-in is needed.
    :ivar plain_simple: the same without them.
    :ivar uploads: where uploads go.
    :ivar insecure_host: the host that pip refuses until it is told to trust it; None
        if there is none.
    :ivar log_in: whether reading takes one.
    """

    simple: str
    plain_simple: str
    uploads: str
    insecure_host: str | None
    log_in: bool

    @classmethod
    def of(cls, visitor: Visitor, *, open_to_all: bool | None = None) -> Setup:
        """Make it for a visitor.

        :param open_to_all: what is installed can be read without a log-in; None: so can
            all that the visitor can read.
        """
        if open_to_all is None:
            open_to_all = visitor.reading != "log-in"
        base = visitor.base
        shown = base if open_to_all else _with_user(base)
        return cls(
            f"{shown}/simple/",
            f"{base}/simple/",
            f"{base}/legacy/",
            _insecure_host(base),
            not open_to_all,
        )


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
            setup=Setup.of(visitor),
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


def _with_user(base: str) -> str:
    """Put placeholders for a log-in into an address."""
    scheme, separator, rest = base.partition("://")
    return f"{scheme}{separator}USER:PASSWORD@{rest}"


def _insecure_host(base: str) -> str | None:
    """Return the host that pip refuses until it is told to trust it; None if none.

    That is one without TLS, unless it is this machine.
    """
    try:
        address = urlsplit(base)
        host = address.hostname
    except ValueError:
        return None
    if address.scheme != "http" or not host or host == "localhost":
        return None
    try:
        return None if ip_address(host).is_loopback else host
    except ValueError:
        return host
