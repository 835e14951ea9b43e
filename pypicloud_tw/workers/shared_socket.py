"""One listening socket that several processes accept from.

It is opened by the parent and inherited, rather than opened by each with SO_REUSEPORT:
what waits in the one backlog is taken by whoever is free, and is not lost with a worker
that dies (``python -m benchmarks.workers``). Twisted's own way to adopt a socket would
remove the path of a Unix socket when one worker ends, and takes all that waits at once,
so that one worker has all connections of a client that opens many.
"""

from __future__ import annotations

import errno
import re
import socket
from typing import Any, Protocol, cast

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReadDescriptor,
)
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from pypicloud_tw.server import listen, make_endpoint

#: Seconds without new connections, where no descriptor is left for one.
PAUSE = 0.1

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


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


@implementer(IAddress)
class _Elsewhere:
    """Where the parent listens."""


@implementer(IReadDescriptor, IListeningPort)
@define(eq=False)
class SharedPort:
    """A worker's side: accepts one connection whenever there is one.

    One at a time, so that whoever has nothing else to do is faster.
    """

    reactor: Any
    socket: socket.socket
    factory: IProtocolFactory
    _resuming: IDelayedCall | None = field(default=None, init=False)
    _open: bool = field(default=True, init=False)
    _told: bool = field(default=False, init=False)
    _log = Logger()

    def startListening(self) -> None:
        """Begin to accept."""
        self.socket.setblocking(False)
        self.factory.doStart()
        self.reactor.addReader(self)

    def stopListening(self) -> Deferred[None]:
        """Accept no more."""
        if self._open:
            self._open = False
            if self._resuming is not None:
                self._resuming.cancel()
            self.reactor.removeReader(self)
            self.socket.close()
            self.factory.doStop()
        return succeed(None)

    def getHost(self) -> IAddress:
        """Return no address: which it is, the parent knows."""
        return _Elsewhere()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.socket.fileno()

    def logPrefix(self) -> str:
        """Return the name for Twisted's log."""
        return "SharedPort"

    def doRead(self) -> None:
        """Accept a connection, if no sibling was faster."""
        try:
            accepted, _ = self.socket.accept()
        except OSError as e:
            if e.errno in _NO_ROOM:
                self._pause(e)
            return
        try:
            # It has a descriptor of its own then.
            self.reactor.adoptStreamConnection(
                accepted.fileno(), self.socket.family, self.factory
            )
        except OSError as e:
            # It has ended already, or there is no room for a second descriptor.
            if e.errno in _NO_ROOM:
                self._pause(e)
        else:
            self._told = False
        finally:
            accepted.close()

    def connectionLost(self, reason: Failure) -> None:
        """Accept no more: the descriptor was closed beneath us."""
        self.stopListening()

    def _pause(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            self._log.error(
                "No connection can be accepted for now: {why}.", why=error.strerror
            )
        self.reactor.removeReader(self)
        self._resuming = self.reactor.callLater(PAUSE, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        self.reactor.addReader(self)


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
