"""A connection through an HTTP proxy (RFC 9110, section 9.3.6: CONNECT)."""

from __future__ import annotations

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

#: A proxy's answer to CONNECT is at most this long, in bytes: real ones have some
#: hundred. The text of a refusal comes after it and does not count.
MAX_HEAD = 16 * 1024


class ProxyError(ConnectError):
    """A proxy is away, or refuses; its text is a sentence, fit for a log."""

    def __init__(self, sentence: str) -> None:
        # Twisted's is not typed.
        super().__init__(string=sentence)  # type: ignore[no-untyped-call]

    def __str__(self) -> str:
        return str(self.args[0])


@implementer(IStreamClientEndpoint)
@frozen
class TunnelEndpoint:
    """Reaches *host* and *port* through *proxy*."""

    proxy: IStreamClientEndpoint
    host: bytes
    port: int
    authorization: bytes | None = field(default=None, repr=False)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fires with the protocol that speaks through the tunnel."""
        host = b"[%b]" % self.host if b":" in self.host else self.host
        head = b"CONNECT %b:%d HTTP/1.1\r\nHost: %b:%d\r\n" % ((host, self.port) * 2)
        if self.authorization is not None:
            head += b"Proxy-Authorization: %b\r\n" % self.authorization
        return Deferred.fromCoroutine(self._connect(head + b"\r\n", protocolFactory))

    async def _connect(self, head: bytes, inner: IProtocolFactory) -> IProtocol:
        opening = await self.proxy.connect(_OpeningFactory(head, inner))
        assert isinstance(opening, _Opening)
        return await opening.opened


@define(eq=False)
class _Opening(Protocol):
    """Asks for a tunnel, then passes everything on.

    :ivar opened: fires with the inner protocol.
    """

    _head: bytes = field(repr=False)
    _factory: IProtocolFactory
    opened: Deferred[IProtocol] = field(init=False)
    _received: bytes = field(init=False, default=b"")
    _inner: IProtocol | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.opened = Deferred(lambda _: self._close())

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._head)

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if end:
            self._decide(head, rest)
        elif len(self._received) > MAX_HEAD:
            self._refuse("The proxy's answer to CONNECT is too long.")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        else:
            self._refuse("The proxy closed the connection.")

    def _decide(self, head: bytes, rest: bytes) -> None:
        version, _, status = head.partition(b"\r\n")[0].partition(b" ")
        if not version.startswith(b"HTTP/1.") or not status.startswith(b"2"):
            said = "".join(filter(str.isprintable, status[:60].decode("latin-1")))
            self._refuse(f"The proxy refused: {said}")
            return
        assert self.transport is not None
        inner = self._factory.buildProtocol(self.transport.getPeer())
        if inner is None:
            self._refuse("Nobody wants the connection any more.")
            return
        self._inner = inner
        inner.makeConnection(self.transport)
        if rest:
            inner.dataReceived(rest)
        self.opened.callback(inner)

    def _refuse(self, reason: str) -> None:
        if not self.opened.called:
            self.opened.errback(ProxyError(reason))
        self._close()

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


@define(eq=False)
class _OpeningFactory(Factory):
    """Makes one opening."""

    _head: bytes = field(repr=False)
    _inner: IProtocolFactory

    def buildProtocol(self, addr: object) -> _Opening:
        return _Opening(self._head, self._inner)
