"""Doubles of the HTTP edge: a transport that half-closes, and a client in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.internet import main
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from pypicloud_tw.web.http.access_log import AccessLog
from pypicloud_tw.web.http.connection import Channel
from pypicloud_tw.web.http.proxies import Proxies
from pypicloud_tw.web.http.request import Request
from pypicloud_tw.web.http.site import ConnectionLimits, Site

PEER = IPv4Address("TCP", "192.0.2.7", 4711)
HOST = IPv4Address("TCP", "192.0.2.1", 6543)

#: Each limit differs, so that a test tells which one held.
LIMITS = ConnectionLimits(
    idle=60, head=10, body=20, send=40, linger=30, linger_bytes=1000
)

Handler = Callable[[Request], Awaitable[None]]


class Wire(StringTransport):
    """A TCP connection in memory, which tells in which ways it was closed."""

    half_closed = False
    aborted = False

    def __init__(self, peer: IAddress = PEER) -> None:
        super().__init__(HOST, peer)  # type: ignore[no-untyped-call]  # Twisted's

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Take note of nothing; TLS passes this on."""

    def loseWriteConnection(self) -> None:
        """Remember that nothing more will be written."""
        self.half_closed = True

    def abortConnection(self) -> None:
        """Remember that it was cut."""
        self.aborted = True
        super().abortConnection()  # type: ignore[no-untyped-call]  # Twisted's

    @property
    def paused(self) -> bool:
        """Whether the sender has to wait."""
        return self.producerState == "paused"


class AsyncResource(Resource):
    """A leaf that lets a coroutine handle every request."""

    isLeaf = True

    def __init__(self, handler: Handler) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.handler = handler
        self.requests: list[Request] = []

    def render(self, request: Request) -> int:
        """Start the handler; what it raises fails the request."""
        self.requests.append(request)

        async def handle() -> None:
            try:
                await self.handler(request)
            except Exception:
                request.processingFailed(Failure())

        Deferred.fromCoroutine(handle())
        return NOT_DONE_YET


@define
class Client:
    """One connection to a site that one handler serves.

    :ivar log: what the access log was given.
    """

    handler: Handler
    limits: ConnectionLimits = LIMITS
    proxies: Proxies | None = None
    peer: IAddress = PEER
    log: list[bytes] = field(factory=list)
    clock: Clock = field(factory=Clock)
    resource: AsyncResource = field(init=False)
    site: Site = field(init=False)
    channel: Channel = field(init=False)
    wire: Wire = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.resource = AsyncResource(self.handler)
        self.site = Site(
            self.resource,
            reactor=self.clock,
            limits=self.limits,
            proxies=self.proxies,
            access_log=AccessLog(self.log.append, self.clock),
        )
        self.wire, self.channel = self.connect()

    def connect(self) -> tuple[Wire, Channel]:
        """Open another connection."""
        wire = Wire(self.peer)
        channel = self.site.buildProtocol(self.peer)
        channel.makeConnection(wire)
        return wire, channel

    def send(self, data: bytes, *, at_once: int = 0) -> None:
        """Send bytes, *at_once* in a packet (0: all)."""
        step = at_once or max(len(data), 1)
        for start in range(0, len(data), step):
            self.channel.dataReceived(data[start : start + step])

    def received(self) -> bytes:
        """Take what has been answered since the last time."""
        data: bytes = self.wire.value()
        self.wire.clear()
        return data

    def leave(self) -> None:
        """Close the connection from the client's side."""
        self.channel.connectionLost(Failure(main.CONNECTION_DONE))
