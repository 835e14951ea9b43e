"""The HTTP edge: connections, requests with streamed bodies, limits, the access log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import formatdate
from http import HTTPStatus

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web import server
from twisted.web.resource import IResource, getChildForRequest

from pypicloud_tw import __version__
from pypicloud_tw.concurrency.slices import Slices
from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.web.http.access_log import AccessLog
from pypicloud_tw.web.http.body import RequestBody
from pypicloud_tw.web.http.connection import Channel
from pypicloud_tw.web.http.fields import GUARDS
from pypicloud_tw.web.http.head import HeadParser
from pypicloud_tw.web.http.limits import ConnectionLimits
from pypicloud_tw.web.http.proxies import Notices, Origin, Peer, Proxies
from pypicloud_tw.web.http.request import Request

__all__ = [
    "Channel",
    "ConnectionLimits",
    "Origin",
    "Proxies",
    "Request",
    "RequestBody",
    "Site",
]


class Site(server.Site):
    """Serves one resource; to be given to an endpoint's ``listen``.

    :ivar draining: the server stops: no connection outlives the answer it waits for.
    :ivar channels: the open connections.
    :ivar slices: in which requests begin.
    :ivar express: see :class:`~pypicloud_tw.web.http.connection.ConnectionSite`.
    :ivar observe: called with each request at its end, and with its duration in
        seconds.
    """

    def __init__(
        self,
        resource: IResource,
        *,
        reactor: IReactorTime,
        limits: ConnectionLimits | None = None,
        proxies: Proxies | None = None,
        access_log: AccessLog | None = None,
        observe: Callable[[Request, float], None] | None = None,
        express: Callable[[Channel, bytes], bool] | None = None,
        slices: Slices | None = None,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Twisted's
            resource, reactor=reactor, parsePOSTFormSubmission=False
        )
        self.limits = limits or ConnectionLimits()
        self.proxies = proxies or Proxies()
        self.notices = Notices(self.proxies.identity)
        self.access_log = access_log
        self.observe = observe
        self.draining = False
        self.channels: set[Channel] = set()
        self.slices = slices or Slices(reactor)
        self.heads = HeadParser()
        self.express = express
        self._server = f"pypicloud-tw/{__version__}".encode()
        self._second = -1
        self._date = b""
        self._answer_heads: dict[int, bytes] = {}
        self._drained: Waiters[None] = Waiters()

    def buildProtocol(  # type: ignore[override]  # the original's is one of its own
        self, addr: IAddress | None
    ) -> Channel:
        """Make a connection."""
        return Channel(self)

    def getResourceFor(self, request: Request) -> IResource:
        """Return the one resource, if it is a leaf; else look below it."""
        resource: IResource = self.resource
        if not resource.isLeaf:
            resource = getChildForRequest(resource, request)
        return resource

    def acceptableProtocols(self) -> list[bytes]:
        """Return what TLS may negotiate: HTTP/1.1 alone."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Do nothing: the original opens Twisted's log and starts a clock for it."""

    def stopFactory(self) -> None:
        """Write the lines of the access log that wait."""
        if self.access_log is not None:
            self.access_log.flush()

    # --- what every answer begins with

    def answer_head(self, status: int) -> bytes:
        """Return status line, Server and Date; made once a second for each status."""
        self._look_at_clock()
        head = self._answer_heads.get(status)
        if head is None:
            reason = HTTPStatus(status).phrase.encode()
            head = b"HTTP/1.1 %d %b\r\nServer: %b\r\nDate: %b\r\n" % (
                status,
                reason,
                self._server,
                self._date,
            )
            self._answer_heads[status] = head
        return head

    def common_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Return the fields that every answer has, unless its handler set others."""
        self._look_at_clock()
        return (b"Server", self._server), (b"Date", self._date), *GUARDS

    def _look_at_clock(self) -> None:
        second = int(self.reactor.seconds())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True).encode()
            self._answer_heads.clear()

    # --- what operators see

    def log(  # type: ignore[override]  # we make no other requests
        self, request: Request
    ) -> None:
        """Report a request that has ended to the access log and the observer."""
        seconds = max(0.0, self.reactor.seconds() - request.began)
        if self.access_log is not None:
            get = request.requestHeaders.getRawHeaders
            referrer, agent = get(b"Referer"), get(b"User-Agent")
            self.access_log.record(
                client=request.client_address.encode(),
                user=request.principal_name,
                method=request.method,
                target=request.uri,
                version=request.clientproto,
                status=request.code,
                length=request.sentLength,
                referrer=referrer[-1] if referrer else None,
                agent=agent[-1] if agent else None,
                seconds=seconds,
            )
        if self.observe is not None:
            self.observe(request, seconds)

    def log_refusal(self, peer: Peer, status: int) -> None:
        """Write bytes that were no request into the access log."""
        if self.access_log is not None:
            self.access_log.record(
                client=peer.text.encode(),
                user=None,
                method=b"-",
                target=b"-",
                version=b"-",
                status=status,
                length=0,
                referrer=None,
                agent=None,
                seconds=0.0,
            )

    # --- the end

    def drain(self, grace: float) -> Deferred[None]:
        """Let requests end, and close every connection.

        To be called when no more connections are accepted.

        :param grace: seconds after which what is still open is cut.
        :returns: fires when no connection is open any more.
        """
        self.draining = True
        self.express = None  # it knows no last answer of a connection
        done = self._drained.wait()
        for channel in tuple(self.channels):
            channel.drain()
        self._tell_drained()
        if not done.called:
            cut = self.reactor.callLater(grace, self._cut_all)
            done.addCallback(lambda _: cut.cancel() if cut.active() else None)
        done.addCallback(lambda _: self._close_log())
        return done

    def channel_lost(self, channel: Channel) -> None:
        """Forget a connection that has ended."""
        self.channels.discard(channel)
        self._tell_drained()

    def _close_log(self) -> None:
        if self.access_log is not None:
            self.access_log.close()

    def _cut_all(self) -> None:
        for channel in tuple(self.channels):
            channel.abort()

    def _tell_drained(self) -> None:
        if not self.channels:
            self._drained.answer(None)
