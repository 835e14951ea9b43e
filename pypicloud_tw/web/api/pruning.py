"""The routes below /api/v1/prune/: plans of what may go, and carrying them out."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.access import Access
from pypicloud_tw.config.rights import Action
from pypicloud_tw.maintenance.retention.plan import PlanPage
from pypicloud_tw.projects.pruning import (
    AppliedPart,
    PlanQuestion,
    PruneOrder,
)
from pypicloud_tw.projects.stored_pruning import AdministeredPruning, StoredPruning
from pypicloud_tw.web.api.declared import Routes
from pypicloud_tw.web.api.json_api import read_json, send_answer
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.requester import Requester

#: Bytes of an order: the versions of 500 projects, or 40,000 of one.
MAX_ORDER = 2**20


@define(eq=False)
class PruningApi:
    """Authenticates, judges, reads the request, and calls what does the work.

    Whoever may delete nothing at all is refused before the body is read; whoever may
    not delete what it names, before anything is looked up.

    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    access: Access
    administered: AdministeredPruning
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False
    routes = Routes("/api/v1/prune", router)

    def resource(self) -> Resource:
        """Make the resource of ``/api/v1/prune/``."""
        resource: Resource = self.router.resource()
        return resource

    @routes.post(
        "/plan", PlanPage, asks=Action.DELETE, body=PlanQuestion, conditional=False
    )
    async def plan_prune(self, request: Request) -> bytes:
        """Plan what a prune would delete, by the rules of the ini or those given.

        Nothing is changed. Only projects that one may delete from are looked at.
        """
        await self._doer(request)
        question = await read_json(request, PlanQuestion)
        doer = await self._doer(request)
        return send_answer(request, await doer.plan(question))

    @routes.post(
        "/apply", AppliedPart, asks=Action.DELETE, body=PruneOrder, conditional=False
    )
    async def apply_prune(self, request: Request) -> bytes:
        """Carry out projects of a plan, each only if nothing changed in it since.

        It may be repeated. After a project that failed no other is begun.
        """
        await self._changer(request)
        order = await read_json(request, PruneOrder, MAX_ORDER)
        doer = await self._changer(request)
        return send_answer(request, await doer.apply(order))

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)

    async def _changer(self, request: Request) -> StoredPruning:
        doer = await self._doer(request)
        self.access.refuse_while_read_only()
        return doer

    async def _doer(self, request: Request) -> StoredPruning:
        """Return what does the work for whoever may delete something.

        :raises Unauthorized: a log-in would help.
        :raises Forbidden: it would not; or another site's page asks.
        """
        who = await Requester.find(request, self.access)
        who.authority.check_some(Action.DELETE)
        return StoredPruning(self.administered, who.actor, who.authority)
