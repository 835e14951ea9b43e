"""A request's body on its way in: read by its handler, never held whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.concurrency.deadline import Deadline
from pypicloud_tw.errors import PayloadTooLarge, RequestTimeout

#: Bytes that may wait unread before the sender is paused. What was under way then (one
#: read of the socket, 64 KiB) still comes.
ENOUGH = 256 * 1024

# What a piece costs beside its bytes: a body in chunks of one byte must not hold 50
# times its length.
_PIECE = 64


class Sender(Protocol):
    """The connection that a body comes from."""

    def body_wanted(self) -> None:
        """Somebody reads the body for the first time."""

    def body_drained(self) -> None:
        """There is room again, after there was not."""


@define(eq=False)
class RequestBody:
    """The body of one request.

    :ivar length: in bytes, as the sender declared it; None if it comes in chunks.
    :ivar limit: at most so many bytes are taken; None is no limit. May be set until
        the first read.
    :ivar received: bytes that have come so far, read or not.
    :ivar complete: all of it has come.
    """

    length: int | None
    _sender: Sender
    _clock: IReactorTime
    _timeout: float
    limit: int | None = None
    received: int = field(default=0, init=False)
    complete: bool = field(default=False, init=False)
    _pieces: list[bytes] = field(factory=list, init=False, repr=False)
    _waiting: int = field(default=0, init=False)
    _begun: bool = field(default=False, init=False)
    _error: BaseException | None = field(default=None, init=False)
    _reader: Deferred[None] | None = field(default=None, init=False)
    _stall: Deadline = field(init=False)

    @_stall.default
    def _make_stall(self) -> Deadline:
        return Deadline(self._clock, self._stalled)

    @property
    def full(self) -> bool:
        """Whether so much waits unread that no more is welcome."""
        return self._waiting > ENOUGH

    async def read(self) -> bytes:
        """Wait for more bytes, and take all that have come; none at the end.

        :raises PayloadTooLarge: it is, or is declared, longer than :attr:`limit`.
        :raises RequestTimeout: nothing came for too long while we waited for it.
        :raises BadRequest: its chunks are not to be understood.
        :raises twisted.internet.error.ConnectionLost: the sender went away.
        """
        if self._reader is not None:
            raise RuntimeError("A body has one reader at a time.")
        self._check_limit(max(self.length or 0, self.received))
        if not self._begun:
            self._begun = True
            self._sender.body_wanted()
        if not self._pieces and not self.complete and self._error is None:
            await self._more()
        if self._pieces:
            return self._take()
        if self._error is not None:
            raise self._error
        return b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Read to the end."""
        while data := await self.read():
            yield data

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        if self._error is not None:
            return
        self.received += len(data)
        try:
            self._check_limit(self.received)
        except PayloadTooLarge as error:
            self.fail(error)
            return
        self._pieces.append(data)
        self._waiting += len(data) + _PIECE
        self._wake()

    def end(self) -> None:
        """All of it has come."""
        self.complete = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """No more of it will come; what waits unread is dropped."""
        if self._error is None:
            self._error = error
        self._pieces.clear()
        self._waiting = 0
        self._stall.cancel()
        self._wake()

    def _check_limit(self, size: int) -> None:
        if self.limit is not None and size > self.limit:
            error = PayloadTooLarge(
                f"The request is longer than the {self.limit} bytes that are taken."
            )
            self._error = self._error or error
            raise self._error

    def _take(self) -> bytes:
        was_full = self.full
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        if was_full:
            self._sender.body_drained()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _more(self) -> None:
        reader: Deferred[None] = Deferred(self._given_up)
        self._reader = reader
        # Only now does a sender's silence count: before, it may have been our own.
        self._stall.set(self._timeout)
        await reader

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is None:
            return
        if self.complete:
            self._stall.cancel()
        else:
            self._stall.clear()
        reader.callback(None)

    def _given_up(self, _reader: Deferred[None]) -> None:
        self._reader = None
        self._stall.cancel()

    def _stalled(self) -> None:
        self.fail(
            RequestTimeout(
                f"Nothing more of the request came for {self._timeout:g} seconds."
            )
        )
