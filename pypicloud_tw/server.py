"""The running server: listens, reloads, and stops in good order."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.errors import ConfigError, Unavailable
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.listening.service_manager import ServiceManager
from pypicloud_tw.listening.systemd_sockets import AdoptingReactor
from pypicloud_tw.process import Process
from pypicloud_tw.web.http.site import Site
from pypicloud_tw.web.http.tls import ClientCertificates, tls_endpoint

#: What is said of a server whose store is not ready yet.
_NOT_YET = "Listening; the store is being got ready."


@frozen
class Front:
    """Where clients reach the server.

    :ivar grace: seconds that requests under way have to finish after a stop.
    """

    endpoint: IStreamServerEndpoint
    site: Site
    grace: float


class Server(Service):
    """One process that serves.

    It listens at once, and answers ``/health``; what it needs for the rest is got ready
    beside that.

    :param standing: is told of the stop.
    :param manager: is told how this process stands.
    :param open_logs: opens the files that are written to; they belong to whom the
        process runs as.
    :param start: does what is to be done at the start, beside the requests.
    :param on_hangup: what SIGHUP does.
    :param close: frees what is held, after everything has ended.
    """

    name = "pypicloud"
    _log = Logger()

    def __init__(
        self,
        process: Process,
        front: Front,
        standing: Standing,
        manager: ServiceManager,
        *,
        open_logs: Callable[[], None],
        start: Callable[[], Awaitable[None]],
        on_hangup: Callable[[], None],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self._process = process
        self._front = front
        self._standing = standing
        self._manager = manager
        self._open_logs = open_logs
        self._start = start
        self._on_hangup = on_hangup
        self._close = close
        self._port: Deferred[IListeningPort] | None = None
        self._work: Deferred[None] | None = None

    @property
    def site(self) -> Site:
        """What answers the requests."""
        return self._front.site

    def privilegedStartService(self) -> None:
        """Listen; before privileges are dropped, so that port 80 can be had."""
        self._port = listen(self._front.endpoint, self.site)

    def startService(self) -> None:
        """Begin to get ready."""
        if self._port is None:
            self.privilegedStartService()
        try:
            self._open_logs()
        except ConfigError as e:
            raise SystemExit(f"pypicloud: {e.message}") from None
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._process.start()
        catch_hangup(self._process.reactor, self.hang_up)
        # What it answers before the store is ready, a restart would not mend.
        self._manager.ready(_NOT_YET)
        self._work = Deferred.fromCoroutine(self._run())
        self._work.addErrback(self._work_failed)

    def stopService(self) -> Deferred[None]:
        """Stop listening, let requests finish, end the work, free what is held."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._standing.stop()
        self._manager.stopping(self._front.grace)
        return Deferred.fromCoroutine(self._stop())

    def hang_up(self) -> None:
        """Do what SIGHUP does."""
        self._manager.reloading()
        try:
            self._on_hangup()
        finally:
            self._manager.ready(self._status())

    async def _run(self) -> None:
        told = Deferred.fromCoroutine(self._tell_when_ready())
        try:
            await self._start()
        finally:
            told.cancel()

    async def _tell_when_ready(self) -> None:
        try:
            await self._standing.opened()
        except CancelledError:
            return
        self._manager.status(self._status())

    def _status(self) -> str:
        try:
            self._standing.check_ready()
        except Unavailable as e:
            return e.message
        return "Serving."

    def _work_failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._log.failure("Background work failed", failure)

    async def _stop(self) -> None:
        if self._port is not None:
            port = await self._port
            await maybeDeferred(port.stopListening)
        await self.site.drain(self._front.grace)
        if self._work is not None:
            self._work.cancel()
            # It clears away what it has begun, while there is a store to do it in.
            await self._work
        await self._close()
        await self._process.stop()
        self._manager.stopped()


def catch_hangup(reactor: Any, hang_up: Callable[[], None]) -> None:
    """Have SIGHUP call something."""

    def caught(number: int, frame: object) -> None:
        # In the middle of whatever Python did: leave it to the reactor.
        reactor.callLater(0, hang_up)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, caught)


def listen(
    endpoint: IStreamServerEndpoint, factory: IProtocolFactory
) -> Deferred[IListeningPort]:
    """Listen at an endpoint.

    :raises SystemExit: it cannot be done; the message says why.
    """
    port = endpoint.listen(factory)
    failed: list[Any] = []
    port.addErrback(failed.append)
    if failed:
        # Not a traceback: this is the operator's to mend.
        raise SystemExit(f"pypicloud: {_reason(failed[0].value)}")
    return port


def make_endpoint(
    reactor: Any, listen: str, clients: ClientCertificates | None = None
) -> IStreamServerEndpoint:
    """Make an endpoint of its description.

    :param clients: what certificates are asked of clients; None: none are.
    :raises SystemExit: it cannot be made; the message says why.
    """
    try:
        if clients is not None:
            return tls_endpoint(reactor, listen, clients)
        adopting = AdoptingReactor(reactor)
        made: IStreamServerEndpoint = serverFromString(adopting, listen)
        return made
    except Exception as e:
        # Each kind of endpoint has a parser of its own, which raises what it likes;
        # TLS reads its files here. Not a traceback: this is the operator's to mend.
        raise SystemExit(f"pypicloud: cannot listen at {listen!r}: {_why(e)}") from None


def _why(error: Exception) -> str:
    """Say what a parser of endpoints means by its error."""
    if isinstance(error, LookupError):
        return "systemd has given no such socket; its unit needs a .socket unit"
    # A wrong option is a wrong argument of the parser; its name tells nobody anything.
    return re.sub(r"^_\w+\(\) ", "", str(error))


def _reason(error: BaseException) -> str:
    """Say why it cannot listen; a Unix socket's lock file fails as files do."""
    if isinstance(error, CannotListenError):
        return (
            f"{error} End what listens there, or listen elsewhere: by --listen, or by "
            "server.port in the ini."
        )
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    path = os.fsdecode(error.filename2 or error.filename)
    return f"cannot listen at {path}: {error.strerror}"
