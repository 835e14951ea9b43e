"""The body of an answer, piece by piece, with back-pressure and a bound of silence."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from pypicloud_tw.upstream.failures import AskingFailed, Slow, Truncated

#: Bytes and seconds that reading what nobody wants may take, to keep the connection.
DRAIN_BYTES, DRAIN_SECONDS = 64 * 1024, 5.0
#: Bytes that may wait to be read before the upstream is told to pause.
HIGH_WATER = 256 * 1024


class Body(Protocol):
    """Reads a response's body: ``response.deliverBody(body)``, then :meth:`read`.

    Silence is counted only while a piece is waited for: a slow reader of ours is no
    slow upstream.

    :ivar whole: the body ended where the answer's head said that it would; false as
        well for one that ends with its connection and has no length.
    """

    def __init__(self, clock: IReactorTime, silence: float, host: str) -> None:
        self._clock = clock
        self._silence = silence
        self._host = host
        # Not a list of pieces: they may be of a byte each.
        self._received = bytearray()
        self._waiting: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._paused = False
        self._ended = False
        self._error: AskingFailed | None = None
        self._drained: int | None = None
        self.whole = False

    async def read(self) -> bytes:
        """Give what has come, at least one byte; empty at the end.

        :raises Truncated: it ended before its end.
        :raises Slow: nothing came for too long.
        """
        if not self._received and not self._ended:
            self._resume()
            await self._more()
        if self._received:
            data = bytes(self._received)
            self._received.clear()
            return data
        if self._error is not None:
            raise self._error
        return b""

    def abort(self) -> None:
        """Take no more; the connection is closed unless the body is at its end."""
        if not self._ended:
            self._end(Truncated(f"The answer of {self._host} was given up."))
            self._close()

    def drain(self) -> None:
        """Read the rest unseen, if it is little, so that the connection can be kept."""
        if self._ended:
            return
        self._drained = len(self._received)
        self._received.clear()
        if self._drained > DRAIN_BYTES:
            self.abort()
            return
        self._timer = self._clock.callLater(DRAIN_SECONDS, self.abort)
        self._resume()

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece for :meth:`read`."""
        if self._ended:
            return
        if self._drained is not None:
            self._drained += len(data)
            if self._drained > DRAIN_BYTES:
                self.abort()
            return
        self._received += data
        held = len(self._received)
        if self._waiting is None and not self._paused and held > HIGH_WATER:
            self._paused = True
            self._transport.pauseProducing()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Learn how it ended."""
        if self._ended:
            return
        self.whole = isinstance(reason.value, ResponseDone)
        # No length and no chunks: the end of the connection is all there is.
        if self.whole or isinstance(reason.value, PotentialDataLoss):
            self._end(None)
        else:
            self._end(Truncated(f"The answer of {self._host} ended before its end."))

    @property
    def _transport(self) -> Any:
        return self.transport

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resumeProducing()

    async def _more(self) -> None:
        # Resuming may have brought something already.
        if self._received or self._ended:
            return
        self._waiting = Deferred()
        self._timer = self._clock.callLater(self._silence, self._silent)
        try:
            await self._waiting
        finally:
            self._waiting = None
            self._stop_timer()

    def _silent(self) -> None:
        self._end(
            Slow(f"{self._host} sent nothing for {self._silence:g} s amid an answer.")
        )
        self._close()

    def _close(self) -> None:
        if self.transport is not None:
            abort = getattr(self.transport, "abortConnection", None)
            (abort or self._transport.stopProducing)()

    def _end(self, error: AskingFailed | None) -> None:
        self._ended = True
        self._error = error
        self._stop_timer()
        self._wake()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.called:
            self._waiting.callback(None)
