"""What a worker does: it serves, as its parent says."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Factory
from twisted.internet.stdio import StandardIO
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, Logger, globalLogBeginner

from pypicloud_tw.assembly.server import assemble
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.garbage import ShortCollections
from pypicloud_tw.server import Server
from pypicloud_tw.workers.link import Link
from pypicloud_tw.workers.member import Member
from pypicloud_tw.workers.messages import (
    FROM_PARENT,
    LISTENING,
    TO_PARENT,
    Message,
    unpack,
)


class ServingWorker:
    """Does what its parent says.

    :ivar code: the exit code.
    """

    _log = Logger()

    def __init__(self, reactor: Any, environ: Mapping[str, str]) -> None:
        self.code = 0
        self.link = Link(reactor, self)
        self._reactor = reactor
        self._environ = environ
        self._server: Server | None = None
        self._latest: Config | None = None

    def start(self, message: Message) -> None:
        """Begin to serve; see :class:`~pypicloud_tw.workers.link.Side`."""
        try:
            self._server = self._make(message)
            self._server.privilegedStartService()
            self._server.startService()
        except ConfigError as e:
            self._fail(e.message)
        except SystemExit as e:
            self._fail(str(e.code).removeprefix("pypicloud: "))
        except Exception:
            # Nothing that an operator could mend: the same will be in the next one.
            self._log.failure("A worker cannot begin")
            self._fail("A worker cannot begin; the log has a traceback.")
        else:
            # The server has taken it over. Here the parent passes it on.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
            # As in a server that is alone.
            ShortCollections().start()
            self.link.serving()
            if message["latest"] is not None:
                self.hang_up(message["latest"])

    def hang_up(self, config: str | None) -> None:
        """See :class:`~pypicloud_tw.workers.link.Side`."""
        self._latest = None if config is None else unpack(config)
        if self._server is not None:
            self._server.hang_up()

    def orphaned(self) -> None:
        """See :class:`~pypicloud_tw.workers.link.Side`."""
        with suppress(ReactorNotRunning):
            self._reactor.stop()

    def _make(self, message: Message) -> Server:
        config = unpack(message["config"])
        count = config.server.workers
        member = Member.of(
            self._reactor,
            self.link,
            message["number"],
            count,
            greets=message["greets"],
            fd=LISTENING,
        )
        return assemble(
            config, self._reactor, self._environ, read=self._read, member=member
        )

    def _read(self) -> Config:
        if self._latest is None:
            # The parent has told what is wrong with it.
            raise ConfigError([])
        return self._latest

    def _fail(self, problem: str) -> None:
        self.code = 1
        self.link.failed(problem)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._flush)
        self._reactor.callLater(0, self.orphaned)

    def _stop(self) -> Deferred[None]:
        # It may come twice: from systemd, which sends it to all, and from the parent.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return Deferred.fromCoroutine(self._stopping())

    async def _stopping(self) -> None:
        assert self._server is not None, "it was started"
        await self._server.stopService()
        self.link.stopped()
        await self._flush()

    def _flush(self) -> Deferred[None]:
        # What was said last is written by the reactor, in its next turn.
        return deferLater(self._reactor, 0.01)


def serve(reactor: Any) -> int:
    """Serve until the parent says so, or is gone; return the exit code."""
    Factory.noisy = False
    for fd in (FROM_PARENT, TO_PARENT, LISTENING):
        os.set_inheritable(fd, False)
    worker = ServingWorker(reactor, os.environ)
    # mypy knows that of Windows, which takes no descriptors.
    StandardIO(worker.link, FROM_PARENT, TO_PARENT, reactor)  # type: ignore[call-arg]
    observer = cast(ILogObserver, worker.link.write_log)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    reactor.run()
    return worker.code
