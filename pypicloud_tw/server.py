"""The running server: starts, gets its store ready, reloads, stops in good order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.concurrency.timeout import in_time
from pypicloud_tw.errors import PypicloudError, Unavailable
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.web.http.site import Site

#: Seconds between two tries to reach a store that is away, at first and at the most.
FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0

#: Seconds for the store to show that it is there: whoever asks ``/ready`` is impatient.
PING_PATIENCE = 5.0


class Server(Service):
    """One process of the index.

    It listens at once, and answers ``/health``; the store is got ready beside that, as
    long as it takes (DESIGN.md 3: a server never exits because its store blinked).

    :param secure: claims the store, where it cannot keep two writers apart.
    :param once_ready: what to do in the background when the store is ready.
    :param close: frees what the index holds, after everything has ended.
    :ivar on_hangup: what SIGHUP does; set before the start.
    :param grace: seconds that requests under way have to finish after a stop.
    """

    name = "pypicloud"
    _log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        endpoint: IStreamServerEndpoint,
        site: Site,
        store: IObjectStore,
        secure: Callable[[], Awaitable[None]],
        offload: Offload,
        metrics: Metrics,
        once_ready: Callable[[], Deferred[None]],
        close: Callable[[], Awaitable[None]],
        grace: float,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._site = site
        self._store = store
        self._secure = secure
        self._offload = offload
        self._metrics = metrics
        self._once_ready = once_ready
        self._close = close
        self._grace = grace
        self._port: Deferred[IListeningPort] | None = None
        self._work: Deferred[None] | None = None
        self._away: str | None = "The store is being got ready; try again."
        self.on_hangup: Callable[[], None] | None = None

    async def ready(self) -> None:
        """Return if the store answers and the server is not stopping.

        :raises Unavailable: not so; the message says which.
        """
        if not self.running:
            raise Unavailable("This server is stopping.")
        if self._away is not None:
            raise Unavailable(self._away)
        await in_time(self._store.ping(), PING_PATIENCE, self._clock)

    def privilegedStartService(self) -> None:
        """Listen; before privileges are dropped, so that port 80 can be had."""
        self._port = self._endpoint.listen(self._site)
        failed: list[Any] = []
        self._port.addErrback(failed.append)
        if failed:
            # Not a traceback: this is the operator's to mend.
            raise SystemExit(f"pypicloud: {_reason(failed[0].value)}")

    def startService(self) -> None:
        """Begin to get the store ready."""
        if self._port is None:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
        self._metrics.start()
        self._catch_hangup()
        self._work = Deferred.fromCoroutine(self._run())
        self._work.addErrback(self._work_failed)

    def stopService(self) -> Deferred[None]:
        """Stop listening, let requests finish, end the work, free what is held."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        return Deferred.fromCoroutine(self._stop())

    def _catch_hangup(self) -> None:
        def caught(number: int, frame: object) -> None:
            # In the middle of whatever Python did: leave it to the reactor.
            if self.on_hangup is not None:
                self._clock.callLater(0, self.on_hangup)

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, caught)

    def _work_failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._log.failure("Background work failed", failure)

    async def _run(self) -> None:
        await self._prepare()
        await self._once_ready()

    async def _prepare(self) -> None:
        pause = FIRST_RETRY
        while True:
            try:
                await self._store.prepare()
                await self._secure()
            except PypicloudError as e:
                self._away = e.message
                self._log.error(
                    "The store is not ready, next try in {pause:.0f} s: {error}",
                    pause=pause,
                    error=e.message,
                )
                await deferLater(self._clock, pause, lambda: None)
                pause = min(LONGEST_RETRY, pause * 2)
            else:
                self._away = None
                self._log.info("The store is ready.")
                return

    async def _stop(self) -> None:
        if self._port is not None:
            port = await self._port
            await maybeDeferred(port.stopListening)
        await self._site.drain(self._grace)
        if self._work is not None:
            self._work.cancel()
            # It clears away what it has begun, while there is a store to do it in.
            await self._work
        self._metrics.stop()
        await self._close()


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
