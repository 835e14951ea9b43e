"""What stands in for proxies, and for the reactor before them."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IHostnameResolver,
    IReactorPluggableNameResolver,
    IStreamClientEndpoint,
)
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer


@implementer(IStreamClientEndpoint)
class ProxyEndpoint:
    """Connects to a proxy that a test plays."""

    def connect(self, factory: Any) -> Deferred[Any]:
        self.transport = StringTransport()
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        return succeed(self.protocol)


@implementer(IHostnameResolver)
class _EachItself:
    """Resolves every name to itself, so that a test sees who was connected to."""

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        resolutionReceiver.resolutionBegan(None)
        resolutionReceiver.addressResolved(IPv4Address("TCP", hostName, portNumber))
        resolutionReceiver.resolutionComplete()


class ResolvingReactor(MemoryReactorClock):
    """A reactor whose ``tcpClients`` name the hosts that were meant."""

    def __init__(self) -> None:
        # Twisted's is not typed.
        super().__init__()  # type: ignore[no-untyped-call]
        self.nameResolver = _EachItself()
        alsoProvides(self, IReactorPluggableNameResolver)

    def accept(self) -> tuple[Any, StringTransport]:
        """Let the first connection come about: what speaks there, and its wire."""
        protocol, wire = self._factory().buildProtocol(None), _Wire()
        protocol.makeConnection(wire)
        return protocol, wire

    def refuse(self, why: Exception) -> None:
        """Let the first connection fail."""
        self._factory().clientConnectionFailed(None, Failure(why))
        self.advance(1)

    def _factory(self) -> Any:
        _host, _port, factory, *_ = self.tcpClients[0]
        return factory


class _Wire(StringTransport):
    """A connection over TCP."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """There are no packets."""
