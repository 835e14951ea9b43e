"""A request's body on its way in: read by its handler, never held whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.concurrency.body_reader import BodyReader
from pypicloud_tw.errors import PayloadTooLarge, RequestTimeout

#: What a piece counts beside its bytes: handling one costs more than the byte that it
#: may have, so a sender of tiny chunks is paused sooner.
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
    _begun: bool = field(default=False, init=False)
    _reader: BodyReader = field(init=False)

    @_reader.default
    def _make_reader(self) -> BodyReader:
        return BodyReader(
            self._clock,
            self._timeout,
            self._stalled,
            resume=self._sender.body_drained,
            piece=_PIECE,
        )

    @property
    def full(self) -> bool:
        """Whether so much waits unread that no more is welcome."""
        return self._reader.full

    async def read(self) -> bytes:
        """Wait for more bytes, and take all that have come; none at the end.

        :raises PayloadTooLarge: it is, or is declared, longer than :attr:`limit`.
        :raises RequestTimeout: nothing came for too long while we waited for it.
        :raises BadRequest: its chunks are not to be understood.
        :raises twisted.internet.error.ConnectionLost: the sender went away.
        """
        self._check_limit(max(self.length or 0, self.received))
        if not self._begun and self._reader.error is None:
            self._begun = True
            self._sender.body_wanted()
        return await self._reader.read()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Read to the end."""
        while data := await self.read():
            yield data

    async def whole(self, limit: int) -> bytes:
        """Read all of it into memory; errors as of :meth:`read`.

        :param limit: at most so many bytes are taken.
        """
        self.limit = limit
        return b"".join([piece async for piece in self])

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        if self._reader.error is None:
            self.received += len(data)
            self._check_limit(self.received)
            self._reader.feed(data)

    def end(self) -> None:
        """All of it has come."""
        self.complete = True
        self._reader.end()

    def fail(self, error: BaseException) -> None:
        """No more of it will come; what waits unread is dropped."""
        self._reader.fail(error, drop=True)

    def _check_limit(self, size: int) -> None:
        if self.limit is not None and size > self.limit:
            self.fail(
                PayloadTooLarge(
                    f"The request is longer than the {self.limit} bytes that are taken."
                )
            )

    def _stalled(self) -> None:
        self.fail(
            RequestTimeout(
                f"Nothing more of the request came for {self._timeout:g} seconds."
            )
        )
