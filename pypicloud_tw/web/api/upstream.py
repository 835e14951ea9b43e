"""The routes below /api/v1/upstream/: what is made of the other index, and why."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.authority import PrincipalAuthority
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.names import asked_project
from pypicloud_tw.projects.explained.explainer import Explainer
from pypicloud_tw.projects.explained.stored import (
    LONGEST_VERSION,
    StoredExplanations,
)
from pypicloud_tw.projects.explained.values import Explanation
from pypicloud_tw.web.api.declared import Routes, text_parameter
from pypicloud_tw.web.api.json_api import parameter, send_value
from pypicloud_tw.web.authorization import authorize
from pypicloud_tw.web.http.site import Request

_VERSION = text_parameter(
    "version", "The release; without it, the newest.", longest=LONGEST_VERSION
)


@define(eq=False)
class UpstreamApi:
    """Authenticates, judges, and calls what does the work.

    Whoever may not read is refused by the name alone, before anything is looked up.

    :ivar explainer: makes what explains.
    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    access: Access
    explainer: Callable[[], Explainer]
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False
    routes = Routes("/api/v1/upstream", router)

    def resource(self) -> Resource:
        """Make the resource of ``/api/v1/upstream/``."""
        resource: Resource = self.router.resource()
        return resource

    @routes.get(
        "/explain/<name>",
        Explanation,
        asks=Action.READ,
        query=(_VERSION,),
        conditional=False,
    )
    async def explain(self, request: Request, name: str) -> bytes:
        """Tell what a client sees of a project, or of a release, and why."""
        normalized = asked_project(name)
        principal = await authorize(request, self.access, Action.READ, normalized)
        authority = PrincipalAuthority(self.access, principal)
        doer = StoredExplanations(self.explainer(), authority)
        return send_value(
            request, await doer.explain(normalized, parameter(request, "version"))
        )

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)
