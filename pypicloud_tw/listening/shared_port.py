"""A port of a socket that somebody else has opened, and that stays open without us.

Twisted's own way to adopt a socket would remove the path of a Unix socket when one
process ends, make it anybody's to write to, shorten its backlog to 50, and take all
that waits at once, so that one of several workers has all connections of a client that
opens many.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReadDescriptor,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

#: Seconds without new connections, where no descriptor is left for one.
PAUSE = 0.1

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@implementer(IAddress)
class _Elsewhere:
    """Where whoever opened it listens."""


@implementer(IReadDescriptor, IListeningPort)
@define(eq=False)
class SharedPort:
    """Accepts one connection whenever there is one.

    One at a time, so that of several processes one that has nothing to do is faster.
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

    def stopReading(self) -> None:
        """Accept nothing, and leave that to others."""
        self.reactor.removeReader(self)

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
        """Return no address: which it is, others know."""
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
