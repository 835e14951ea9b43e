"""The routes below /api/v1/pins/: who publishes the projects of upstreams."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.access import Access
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.audit import Audit
from pypicloud_tw.projects.pinning import NewPin, PinnedPublisher, StoredPins
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.web.api.declared import Listed, Routes
from pypicloud_tw.web.api.json_api import read_json, send_answer, send_list
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.requester import Requester


@define(eq=False)
class PinsApi:
    """Authenticates, judges, reads the request, and calls what does the work.

    :ivar pieces: writes what may be long with pauses.
    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    access: Access
    pins: Pins
    audit: Audit
    pieces: Pieces
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False
    routes = Routes("/api/v1/pins", router)

    def resource(self) -> Resource:
        """Make the resource of ``/api/v1/pins/``."""
        resource: Resource = self.router.resource()
        return resource

    @routes.get("/", Listed(PinnedPublisher), asks=Action.ADMINISTER)
    async def list_pins(self, request: Request) -> bytes:
        """List who publishes which project of other indexes, as is known here."""
        doer = await self._doer(request)
        return await send_list(request, await doer.pins(), self.pieces)

    @routes.put(
        "/<name>",
        PinnedPublisher,
        asks=Action.ADMINISTER,
        body=NewPin,
        conditional=False,
    )
    async def set_pin(self, request: Request, name: str) -> bytes:
        """Pin the publisher of a project of other indexes, or accept another."""
        await self._changer(request)
        new = await read_json(request, NewPin)
        doer = await self._changer(request)
        return send_answer(request, await doer.set_pin(name, new))

    @routes.delete(
        "/<name>", PinnedPublisher, asks=Action.ADMINISTER, conditional=False
    )
    async def remove_pin(self, request: Request, name: str) -> bytes:
        """Pin nobody: whoever publishes the next file that is asked for will be."""
        doer = await self._changer(request)
        return send_answer(request, await doer.remove_pin(name))

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)

    async def _changer(self, request: Request) -> StoredPins:
        doer = await self._doer(request)
        self.access.refuse_while_read_only()
        return doer

    async def _doer(self, request: Request) -> StoredPins:
        """Return what does the work for whoever administers everything.

        :raises Unauthorized: a log-in would help.
        :raises Forbidden: it would not; or another site's page asks.
        """
        who = await Requester.find(request, self.access)
        who.authority.check(Action.ADMINISTER, None)
        return StoredPins(self.pins, self.audit, who.actor, who.authority)
