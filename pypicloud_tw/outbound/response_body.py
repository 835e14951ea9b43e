"""The body of a response: read piece by piece, with back-pressure and a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from pypicloud_tw.concurrency.body_reader import HIGH_WATER, BodyReader
from pypicloud_tw.concurrency.deadline import Deadline

#: Bytes and seconds that reading what nobody wants may take, to keep the connection.
DRAIN_BYTES, DRAIN_SECONDS = 64 * 1024, 5.0

#: Bytes below which pieces are joined: an answer may come byte by byte, and an object
#: for each takes thirty times as much.
_SMALL = 4 * 1024


class ResponseBody(Protocol):
    """Reads a response's body: ``response.deliverBody(body)``, then :meth:`read`.

    :param timeout: seconds for which the sender may be silent while we wait.
    :param broken: makes the error for a body that "ended before its end" or "was given
        up", which are the words that it is called with.
    :param silent: makes the error for a sender that was silent for too long.
    :ivar whole: the body ended where the answer's head said that it would; false as
        well for one that ends with its connection and has no length.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float,
        broken: Callable[[str], Exception],
        silent: Callable[[], Exception],
        high_water: int = HIGH_WATER,
    ) -> None:
        self._broken = broken
        self._silent = silent
        self._reader = BodyReader(
            clock,
            timeout,
            self._fell_silent,
            lambda: self._transport.pauseProducing(),
            lambda: self._transport.resumeProducing(),
            high_water,
        )
        self._draining = Deadline(clock, self.abort)
        self._drained: int | None = None
        self.whole = False

    async def read(self) -> bytes:
        """Return what has come, at least one byte; empty at the end.

        :raises Exception: what *broken* or *silent* made.
        """
        return await self._reader.read()

    async def read_all(
        self, limit: int, too_long: Callable[[], Exception]
    ) -> list[bytes]:
        """Read to the end, and let go of the connection if that is not reached.

        :param too_long: makes the error for more than *limit* bytes.
        :raises Exception: what it made, or as :meth:`read` does.
        """
        pieces: list[bytes] = []
        small = bytearray()
        size = 0
        try:
            while piece := await self.read():
                size += len(piece)
                if size > limit:
                    raise too_long()
                if not small and len(piece) >= _SMALL:
                    pieces.append(piece)
                    continue
                small += piece
                if len(small) >= _SMALL:
                    pieces.append(bytes(small))
                    small.clear()
        finally:
            self.abort()
        return [*pieces, bytes(small)]

    def abort(self) -> None:
        """Take no more; the connection is closed unless the body is at its end."""
        if not self._reader.ended:
            self._end(self._broken("was given up"))
            self._hang_up()

    def drain(self) -> None:
        """Read the rest unseen, if it is little, so that the connection can be kept."""
        if self._reader.ended:
            return
        self._drained = len(self._reader)
        if self._drained > DRAIN_BYTES:
            self.abort()
            return
        self._draining.set(DRAIN_SECONDS)
        self._reader.take()

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece for :meth:`read`."""
        if self._drained is None:
            self._reader.feed(data)
            return
        self._drained += len(data)
        if self._drained > DRAIN_BYTES:
            self.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Learn how it ended."""
        if self._reader.ended:
            return
        self.whole = isinstance(reason.value, ResponseDone)
        # No length and no chunks: the end of the connection is all there is, and
        # whoever knows the length checks it.
        if self.whole or isinstance(reason.value, PotentialDataLoss):
            self._end(None)
        else:
            self._end(self._broken("ended before its end"))

    @property
    def _transport(self) -> Any:
        return self.transport

    def _fell_silent(self) -> None:
        self._end(self._silent())
        self._hang_up()

    def _hang_up(self) -> None:
        """Close the connection at once, with all that is still to come."""
        # Twisted puts a proxy before the transport that has no abortConnection. Without
        # it, TLS would wait for the other side's farewell behind a body nobody reads.
        transport = getattr(self._transport, "_producer", self._transport)
        if transport is not None:
            abort = getattr(transport, "abortConnection", None)
            (abort or transport.stopProducing)()

    def _end(self, error: Exception | None) -> None:
        self._draining.cancel()
        if error is None:
            self._reader.end()
        else:
            self._reader.fail(error)
