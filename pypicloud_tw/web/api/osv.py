"""The routes below /osv/: the OSV API's, for ``uv audit`` and its like.

Errors have the form that OSV gives them, a code of gRPC's and a message.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from attrs import define
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.access import Access
from pypicloud_tw.errors import BadRequest, NotFound, PypicloudError, Unavailable
from pypicloud_tw.projects.affected.osv import Osv, Query, read_batch
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.authorization import authorize_list
from pypicloud_tw.web.http.site import Request

#: Bytes of a batch: 1,000 queries by purl have half of it.
MAX_BATCH = 512 * 1024

#: Codes of gRPC's (INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE), by our errors.
_CODES: dict[type[Exception], int] = {BadRequest: 3, NotFound: 5, Unavailable: 14}


@define(eq=False)
class OsvApi:
    """Answers whoever may read the list of projects.

    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    access: Access
    osv: Osv
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False

    def resource(self) -> Resource:
        """Make the resource of ``/osv/``."""
        resource: Resource = self.router.resource()
        return resource

    @router.route("/v1/querybatch", methods=["POST"])
    async def batch(self, request: Request) -> bytes:
        """Tell the ids of what affects each of many packages."""
        await authorize_list(request, self.access)
        queries = read_batch(await _document(request))
        return _json(request, json.dumps(await self.osv.batch(queries)).encode())

    @router.route("/v1/query", methods=["POST"])
    async def query(self, request: Request) -> bytes:
        """Give the records of what affects a package."""
        await authorize_list(request, self.access)
        query = Query.of(await _document(request))
        return _json(request, json.dumps(await self.osv.query(query)).encode())

    @router.route("/v1/vulns/<identity>", methods=["GET", "HEAD"])
    async def record(self, request: Request, identity: str) -> bytes:
        """Give a record."""
        await authorize_list(request, self.access)
        return _json(request, await self.osv.record(identity))

    @router.handle_errors(*_CODES)  # type: ignore[arg-type]  # Site makes our Request
    def refused(self, request: Request, failure: Failure) -> bytes:
        """Answer an error as OSV does."""
        error = failure.value
        assert isinstance(error, PypicloudError), "no other is handled here"
        request.setResponseCode(error.status)
        for name, value in error.headers.items():
            request.setHeader(name.encode(), value.encode())
        code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
        told = {"code": code, "message": error.message}
        return _json(request, json.dumps(told).encode())

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)


async def _document(request: Request) -> object:
    """Read a body, whatever type it is said to have: OSV's examples name none.

    :raises BadRequest: it is not JSON.
    :raises PayloadTooLarge: it is longer than :data:`MAX_BATCH`.
    """
    try:
        document: object = json.loads(await request.body.whole(MAX_BATCH))
    except (ValueError, RecursionError):
        raise BadRequest("The request's body is not a JSON document.") from None
    return document


def _json(request: Request, body: bytes) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    # Clients keep what they were told for as long as they like.
    request.setHeader(b"Cache-Control", b"private, no-cache")
    return measured(request, body)
