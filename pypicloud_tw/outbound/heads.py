"""A bound for the head of a response: Twisted's client has none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import implementer

#: Bytes of one answer's status line and header fields: four times what most servers and
#: CDNs send at most (16 KiB), and twenty times what an index with a long
#: Content-Security-Policy does (3 KiB).
MAX_HEAD = 64 * 1024

#: How a head ends, for a parser that takes lines with and without their CR.
_ENDS = b"\n\r\n", b"\n\n"


class _Bounded(ProtocolWrapper):
    """Cuts a connection whose answer's head does not end.

    The next head begins with the answer to what is sent next; until then, what comes
    is a body, which whoever reads it bounds.
    """

    _head: int | None = 0
    _tail = b""

    def write(self, data: bytes) -> None:
        """Ask something; an answer is to begin."""
        self._begin()
        super().write(data)  # type: ignore[no-untyped-call]  # Twisted's

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Ask something; an answer is to begin."""
        self._begin()
        super().writeSequence(data)  # type: ignore[no-untyped-call]  # Twisted's

    def dataReceived(self, data: bytes) -> None:
        """Count a head, and pass on what is within the bound."""
        if self._head is not None:
            self._head = self._counted(self._head, data)
        if self._head is None or self._head <= MAX_HEAD:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's
        else:
            transport: Any = self.transport
            transport.abortConnection()

    def _begin(self) -> None:
        self._head, self._tail = 0, b""

    def _counted(self, head: int, data: bytes) -> int | None:
        joined = self._tail + data
        self._tail = joined[-2:]
        return None if any(end in joined for end in _ENDS) else head + len(data)


class _Factory(WrappingFactory):
    protocol = _Bounded
    noisy = False


# By identity: a pool keeps connections to a proxy by its endpoint.
@implementer(IStreamClientEndpoint)
@define(eq=False)
class BoundedHeads:
    """An endpoint for an HTTP client, with the bound."""

    endpoint: IStreamClientEndpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :class:`~twisted.internet.interfaces.IStreamClientEndpoint`."""
        # Twisted's is not typed.
        factory = _Factory(protocolFactory)  # type: ignore[no-untyped-call]
        connecting: Deferred[Any] = self.endpoint.connect(factory)
        return connecting.addCallback(_within)


def _within(wrapper: ProtocolWrapper) -> IProtocol:
    protocol: IProtocol = wrapper.wrappedProtocol
    return protocol
