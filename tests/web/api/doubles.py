"""A server in memory whose access can be administered, and clients of its API."""

from __future__ import annotations

import json
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from pypicloud_tw.access.policy import Policy
from tests.access.administration.doubles import settings
from tests.doubles import QuickHashes
from tests.web.doubles import Response, Web, basic


@define
class AccessWeb(Web):
    """A server whose administrator is ann."""

    policy: Policy | None = field(factory=lambda: Policy(settings()))

    def __attrs_post_init__(self) -> None:
        self.domain.offload = QuickHashes()
        super().__attrs_post_init__()

    def ask(
        self,
        method: str,
        path: str,
        value: object = None,
        *,
        login: dict[str, str] | None = None,
        **fields: str,
    ) -> Response:
        """Ask below ``/api/v1/access/``, as ann unless *login* says otherwise."""
        headers = {**(basic() if login is None else login)}
        headers |= {name.replace("_", "-"): text for name, text in fields.items()}
        body = b""
        if value is not None:
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(value).encode()
        return self.request(method, f"/api/v1/access/{path}", headers, body)


class Canned:
    """Answers what it is told to, whatever it is asked."""

    def answer(self, status: int, body: bytes) -> None:
        """Answer so from now on."""
        self._response = Response(status, "", {}, body)

    def request(self, *asked: object) -> Response:
        """Answer."""
        return self._response


@implementer(IAgent)
@define(eq=False)
class WebAgent:
    """Asks a server in memory.

    :ivar asked: the bytes of every request.
    """

    web: Web | Canned
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(factory=list)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See :class:`~twisted.web.iweb.IAgent`."""
        fields = {
            name.decode(): ", ".join(value.decode() for value in values)
            for name, values in (headers or Headers()).getAllRawHeaders()
        }
        fields.pop("Host", None)
        consumer = _Kept()
        if bodyProducer is not None:
            bodyProducer.startProducing(consumer)
        path = "/" + uri.decode().split("/", 3)[3]
        asked = (method.decode(), path, fields, bytes(consumer.data))
        self.asked.append(asked)
        return succeed(_Answer(self.web.request(*asked)))


@implementer(IConsumer)
@define
class _Kept:
    data: bytearray = field(factory=bytearray)

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def write(self, data: bytes) -> None:
        self.data += data


@implementer(IResponse)
class _Answer:
    """What treq reads of a response."""

    version = (b"HTTP", 1, 1)
    request = previousResponse = None

    def __init__(self, response: Response) -> None:
        self.code = response.status
        self.phrase = response.reason.encode()
        self.headers = Headers({k: [v] for k, v in response.fields.items()})
        self.length = len(response.body)
        self._body = response.body

    def deliverBody(self, protocol: IProtocol) -> None:
        protocol.makeConnection(_NoTransport())  # type: ignore[arg-type]  # all it asks
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))

    def setPreviousResponse(self, response: Any) -> None: ...


class _NoTransport:
    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def abortConnection(self) -> None: ...
