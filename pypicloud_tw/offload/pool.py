"""The server's side of its helper processes; :mod:`~.helper` is theirs."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.errors import Unavailable
from pypicloud_tw.offload.helper import HEADER
from pypicloud_tw.offload.limits import JobLimits

#: Longer lines from a helper's standard error are cut, in bytes.
_MAX_LOG_LINE = 4096

#: Seconds after which a helper that nobody has needed ends, with its 20 to 60 MiB.
#: Starting another takes 0.1 s, and 0.3 s more for what it imports.
IDLE = 300.0

#: Bytes in memory above which a helper is not used again. A page of 30 MB leaves
#: 130 MiB behind, a small one 50.
KEPT = 96 * 2**20


def resident(pid: int | None) -> int:
    """Return the bytes that a process has in memory; 0 where there is no ``/proc``."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def not_running() -> Unavailable:
    """Say that nothing can be sent elsewhere now."""
    return Unavailable("The server is starting or stopping; try again.")


@define(eq=False)
class _Call:
    """One request on its way; *helper* is None while it waits."""

    request: bytes
    result: Deferred[Any]
    helper: _Helper | None = None


class HelperPool:
    """A bounded number of helpers, and a bounded queue before them.

    :param spawn: starts a process whose memory is limited already.
    :param limits: of each call.
    :param size: at most so many helpers.
    :param queue: at most so many calls wait.
    :param measure: tells the memory of a process.
    """

    _log = Logger()

    def __init__(
        self,
        spawn: Callable[[ProcessProtocol], None],
        clock: IReactorTime,
        limits: JobLimits,
        *,
        size: int,
        queue: int,
        measure: Callable[[int | None], int] = resident,
    ) -> None:
        self._spawn = spawn
        self._clock = clock
        self._limits = limits
        self._limit = size
        self._queue = queue
        self._measure = measure
        self._waiting: deque[_Call] = deque()
        self._idle: list[_Helper] = []
        self._all: set[_Helper] = set()
        self._ending: set[_Helper] = set()

    @property
    def running(self) -> int:
        """How many helpers there are now."""
        return len(self._all)

    @property
    def waiting(self) -> int:
        """How many calls wait for one."""
        return len(self._waiting)

    def call(self, request: bytes) -> Deferred[Any]:
        """Send a request to a helper, or queue it."""
        if not self._room() and len(self._waiting) >= self._queue:
            return fail(Unavailable("The server is busy; try again in a few seconds."))
        call = _Call(request, Deferred(lambda _: self._cancelled(call)))
        self._waiting.append(call)
        self._feed()
        return call.result

    def stop(self) -> Deferred[None]:
        """Fail every call and end every helper; fires when all have gone."""
        waiting = [call for helper in self._all if (call := helper.call)]
        waiting.extend(self._waiting)
        self._waiting.clear()
        for helper in tuple(self._all):
            self._end(helper)
        gone = DeferredList([h.ended for h in self._ending], consumeErrors=True)
        for call in waiting:
            call.result.errback(not_running())
        return gone.addCallback(lambda _: None)

    def answered(self, helper: _Helper, call: _Call, reply: bytes) -> None:
        """Take a helper's reply, and give it the next call first."""
        if self._measure(helper.pid) > KEPT:
            self._end(helper)
        else:
            self._idle.append(helper)
            helper.alarm(self._clock.callLater(IDLE, self._end, helper))
        self._feed()
        try:
            success, value = pickle.loads(reply)  # noqa: S301  from our own helper
        except Exception as error:
            call.result.errback(error)
            return
        if success:
            call.result.callback(value)
        elif isinstance(value, MemoryError):
            call.result.errback(self._limits.too_large())
        else:
            call.result.errback(value)

    def lost(self, helper: _Helper, call: _Call | None) -> bool:
        """Replace a helper that died; its call is not tried again, it may be why.

        :return: whether that was news, and not our own doing.
        """
        if helper not in self._all:
            return False
        self._end(helper)
        self._feed()
        if call is not None:
            call.result.errback(
                Unavailable("A helper process died over this; try again.")
            )
        return True

    def _room(self) -> bool:
        return bool(self._idle) or len(self._all) < self._limit

    def _feed(self) -> None:
        while self._waiting and self._room():
            call = self._waiting.popleft()
            try:
                call.helper = self._idle.pop() if self._idle else self._start()
            except OSError as error:
                self._log.error("No helper process can be started: {e}", e=error)
                call.result.errback(
                    Unavailable("The server cannot start a process; try again.")
                )
            else:
                call.helper.run(call)
                call.helper.alarm(
                    self._clock.callLater(self._limits.seconds, self._too_slow, call)
                )

    def _start(self) -> _Helper:
        helper = _Helper(self)
        self._spawn(helper)
        self._all.add(helper)
        return helper

    def _end(self, helper: _Helper) -> None:
        self._all.discard(helper)
        if helper in self._idle:
            self._idle.remove(helper)
        self._ending.add(helper)
        helper.ended.addBoth(lambda _: self._ending.discard(helper))
        helper.end()

    def _too_slow(self, call: _Call) -> None:
        assert call.helper is not None, "it runs"
        self._end(call.helper)
        self._feed()
        call.result.errback(self._limits.too_slow())

    def _cancelled(self, call: _Call) -> None:
        if call.helper is None:
            self._waiting.remove(call)
        else:
            self._end(call.helper)
            self._feed()


class _Helper(ProcessProtocol):
    """The server's end of one helper process.

    :ivar call: what it works on.
    :ivar ended: fires when the process is gone and reaped.
    """

    _log = Logger()

    def __init__(self, helpers: HelperPool) -> None:
        self._helpers = helpers
        self._received = bytearray()
        self._error_line = b""
        self._died = False
        self._alarm: IDelayedCall | None = None
        self.call: _Call | None = None
        self.ended: Deferred[None] = Deferred()

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        pid: int | None = getattr(self.transport, "pid", None)
        return pid

    def alarm(self, alarm: IDelayedCall | None) -> None:
        """Remember what is to happen later, in the place of what was to happen."""
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = alarm

    def run(self, call: _Call) -> None:
        """Send a request; the helper is idle."""
        assert self.transport is not None
        self.call = call
        self.transport.write(call.request)

    def end(self) -> None:
        """End the process now. It holds nothing that would want a warning."""
        assert self.transport is not None
        self.alarm(None)
        self.call = None
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")
        self.transport.loseConnection()

    def outReceived(self, data: bytes) -> None:
        """Collect a reply."""
        self._received += data
        call, whole = self.call, self._whole()
        if call is not None and whole is not None:
            self.call = None
            self._helpers.answered(self, call, whole)

    def _whole(self) -> bytes | None:
        if len(self._received) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._received)
        stop = HEADER.size + length
        if len(self._received) < stop:
            return None
        reply = bytes(self._received[HEADER.size : stop])
        del self._received[:stop]
        return reply

    def errReceived(self, data: bytes) -> None:
        """Log what the helper, or a library in it, says."""
        *lines, rest = (self._error_line + data).split(b"\n")
        self._error_line = rest[:_MAX_LOG_LINE]
        for line in lines:
            self._log_line(line[:_MAX_LOG_LINE])

    def errConnectionLost(self) -> None:
        """Log what had no end of line."""
        self._log_line(self._error_line)

    def _log_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace").rstrip()
        if text:
            # !r: a terminal's control sequences do not belong into a log.
            self._log.warn("Helper process says: {text!r}", text=text)

    def inConnectionLost(self) -> None:
        """It takes no more requests."""
        self._lost()

    def outConnectionLost(self) -> None:
        """It gives no more replies."""
        self._lost()

    def processEnded(self, reason: Failure) -> None:
        """It is gone and reaped."""
        self._lost()
        if self._died:
            self._log.error("A helper process died: {why}", why=reason.value)
        if not self.ended.called:
            self.ended.callback(None)

    def _lost(self) -> None:
        call, self.call = self.call, None
        self._died |= self._helpers.lost(self, call)
