"""The routes below /api/v1/stats/: how often projects are fetched."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.authority import PrincipalAuthority
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.names import asked_project
from pypicloud_tw.projects.statistics.stored import (
    AdministeredStatistics,
    StoredStatistics,
)
from pypicloud_tw.projects.statistics.values import (
    MOST,
    MOST_DAYS,
    USUAL,
    USUAL_DAYS,
    ProjectFetches,
    TopPage,
    TotalFetches,
)
from pypicloud_tw.web.api.declared import (
    Parameter,
    Routes,
    cursor_parameter,
    limit_parameter,
)
from pypicloud_tw.web.api.json_api import number, parameter, send_long, send_value
from pypicloud_tw.web.authorization import authorize_list, authorize_reader
from pypicloud_tw.web.http.site import Request

_DAYS = Parameter(
    "days",
    {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_DAYS,
        "default": USUAL_DAYS,
    },
    "Within so many, the last of which is today.",
)


@define(eq=False)
class StatisticsApi:
    """Authenticates, judges, and calls what knows.

    Whoever may not read a project is refused by the name alone, before anything is
    looked up.

    :ivar administered: what is counted.
    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    access: Access
    administered: AdministeredStatistics
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False
    routes = Routes("/api/v1/stats", router)

    def resource(self) -> Resource:
        """Make the resource of ``/api/v1/stats/``."""
        resource: Resource = self.router.resource()
        return resource

    @routes.get(
        "/totals",
        TotalFetches,
        asks=Action.READ,
        query=(_DAYS,),
        conditional=False,
    )
    async def total_fetches(self, request: Request) -> bytes:
        """Tell how often all projects were fetched that one may read, and by what."""
        doer = self._doer(await authorize_list(request, self.access))
        return send_value(request, await doer.totals(_days(request)))

    @routes.get(
        "/top",
        TopPage,
        asks=Action.READ,
        query=(
            _DAYS,
            cursor_parameter("^[0-9]{1,18},[a-z0-9]+(-[a-z0-9]+)*$"),
            limit_parameter(MOST, USUAL),
        ),
        conditional=False,
    )
    async def most_fetched(self, request: Request) -> bytes:
        """List the projects that one may read, those that were fetched most first."""
        doer = self._doer(await authorize_list(request, self.access))
        page = await doer.top(
            _days(request),
            parameter(request, "cursor"),
            number(request, "limit", USUAL, MOST),
        )
        return send_value(request, page)

    @routes.get(
        "/projects/<name>",
        ProjectFetches,
        asks=Action.READ,
        query=(_DAYS,),
        conditional=False,
    )
    async def project_fetches(self, request: Request, name: str) -> bytes:
        """Tell how often a project was fetched, by day, version and client.

        One of another index, too, that was handed out here. Of one that nobody has
        fetched the numbers are zero.
        """
        principal = await authorize_reader(request, self.access, asked_project(name))
        found = await self._doer(principal).project(name, _days(request))
        return await send_long(request, found, "", self.administered.pieces)

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)

    def _doer(self, principal: Principal) -> StoredStatistics:
        authority = PrincipalAuthority(self.access, principal)
        return StoredStatistics(self.administered, authority)


def _days(request: Request) -> int:
    return number(request, "days", USUAL_DAYS, MOST_DAYS)
