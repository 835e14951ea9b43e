"""One listening socket that several processes accept from.

It is opened by the parent and inherited, rather than opened by each with SO_REUSEPORT:
what waits in the one backlog is taken by whoever is free, and is not lost with a worker
that dies (``python -m benchmarks.workers``).
"""

from __future__ import annotations

import re
import socket
from typing import Any, Protocol, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ServerFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from pypicloud_tw.listening.shared_port import SharedPort
from pypicloud_tw.server import listen, make_endpoint


class _Port(Protocol):
    """What is asked of a port of Twisted's, beside its interface."""

    def fileno(self) -> int: ...
    def stopReading(self) -> None: ...
    def stopListening(self) -> Deferred[None] | None: ...


@define(eq=False)
class OpenSocket:
    """The socket, as the parent has it: it listens, and accepts nothing.

    :ivar description: the endpoint.
    """

    reactor: Any
    description: str
    _port: _Port | None = field(default=None, init=False)

    def open(self) -> None:
        """Listen.

        :raises SystemExit: it cannot; the message says why.
        """
        endpoint = make_endpoint(self.reactor, self.description)
        ports: list[Any] = []
        # An endpoint of a socket listens at once.
        listen(endpoint, ServerFactory()).addCallback(ports.append)
        if not ports or not hasattr(ports[0], "fileno"):
            raise SystemExit(
                f"pypicloud: server.workers must be 1 with {self.description!r}, "
                "whose socket cannot be shared."
            )
        self._port = cast(_Port, ports[0])
        self._port.stopReading()

    def fileno(self) -> int:
        """Return the descriptor that workers inherit."""
        assert self._port is not None, "open comes before"
        return self._port.fileno()

    async def close(self) -> None:
        """Listen no more, as far as this process goes; a path is removed."""
        port, self._port = self._port, None
        if port is not None and (closed := port.stopListening()) is not None:
            await closed


@define(eq=False)
class InheritingReactor:
    """Has whatever endpoint is made listen at the socket that was inherited.

    So what the endpoint has beside its address (TLS, the PROXY protocol) is as ever.

    :ivar fileno: of the socket.
    """

    reactor: Any
    fileno: int

    def listenTCP(
        self, port: int, factory: IProtocolFactory, *_args: Any, **_options: Any
    ) -> SharedPort:
        """Listen, wherever that is."""
        return self.adopt(factory)

    def listenUNIX(
        self, path: str, factory: IProtocolFactory, *_args: Any, **_options: Any
    ) -> SharedPort:
        """Listen, wherever that is."""
        return self.adopt(factory)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,  # endpoints give it by this name
        *_args: Any,
        **_options: Any,
    ) -> SharedPort:
        """Listen, wherever that is, for TLS."""
        return self.adopt(
            TLSMemoryBIOFactory(contextFactory, False, factory, clock=self.reactor)
        )

    def adopt(self, factory: IProtocolFactory) -> SharedPort:
        """Accept from the socket."""
        port = SharedPort(self.reactor, socket.socket(fileno=self.fileno), factory)
        port.startListening()
        return port

    def __getattr__(self, name: str) -> Any:
        # Everything else is the reactor's.
        return getattr(self.reactor, name)


def without_systemd(description: str) -> str:
    """Replace a socket that systemd gave to the parent alone; where it is, is known."""
    return re.sub(r"(?:^|(?<=:))systemd:.*", "tcp:0", description, flags=re.DOTALL)
