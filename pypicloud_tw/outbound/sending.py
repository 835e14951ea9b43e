"""The body of a request: bytes of known length that can be sent more than once."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from pypicloud_tw.concurrency.delivery import Gate

#: Bodies are read and written in pieces of this many bytes; a quarter of it costs a
#: large upload 8 % more of the processor. It is part of what a body was given of
#: ``aws.buffer_memory``.
CHUNK = 1024 * 1024


class RepeatableBody(Protocol):
    """Bytes of known length that can be sent more than once."""

    @property
    def length(self) -> int:
        """How many bytes."""

    @property
    def sha256(self) -> bytes | None:
        """Their digest, where it is known."""

    @property
    def crc32(self) -> bytes | None:
        """Their CRC-32, where it is known and SHA-256 is not."""

    async def read(self, offset: int, size: int) -> bytes:
        """Return up to *size* bytes; none only at the end."""


@frozen
class BytesBody:
    """A body in memory."""

    data: bytes = field(repr=False)

    @property
    def length(self) -> int:
        """How many bytes."""
        return len(self.data)

    @property
    def sha256(self) -> bytes:
        """Their digest."""
        return sha256(self.data).digest()

    @property
    def crc32(self) -> None:
        """Not known."""

    async def read(self, offset: int, size: int) -> bytes:
        """Return a piece."""
        return self.data[offset : offset + size]


@implementer(IBodyProducer)
@define(eq=False)
class BodyProducer:
    """Sends a :class:`RepeatableBody` as fast as it is taken, and no faster.

    :ivar _progress: called after every piece.
    """

    _body: RepeatableBody
    _progress: Callable[[], None]
    length: int = field(init=False)
    _consumer: Any = field(init=False, default=None)
    _sent: bool = field(init=False, default=False)
    _gate: Gate = field(init=False, factory=Gate)

    def __attrs_post_init__(self) -> None:
        self.length = self._body.length

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Send everything; the Deferred fires at the end, unless stopped."""
        self._consumer = consumer
        # The Deferred that the caller gets must stay silent once we were stopped.
        done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        sending = Deferred.fromCoroutine(self._send())
        sending.addCallbacks(
            lambda _: None if self._gate.stopped else done.callback(None),
            lambda failure: None if self._gate.stopped else done.errback(failure),
        )
        return done

    def pauseProducing(self) -> None:
        """Wait."""
        self._gate.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on."""
        self._gate.resumeProducing()

    def stopProducing(self) -> None:
        """Send no more."""
        self._gate.stopProducing()

    def cease(self) -> None:
        """Close the connection if the server has answered before it had everything.

        Twisted lets go of it then, but TLS closes only when its producer has ended.
        """
        if self._consumer is not None and not self._sent:
            self.stopProducing()
            # What checks the length of a body stands before the transport.
            getattr(self._consumer, "_consumer", self._consumer).abortConnection()

    async def _send(self) -> None:
        offset = 0
        while offset < self.length:
            await self._gate.passage()
            data = await self._body.read(offset, min(CHUNK, self.length - offset))
            if self._gate.stopped:
                return
            if not data:
                raise EOFError("The body is shorter than it said.")
            self._consumer.write(data)
            offset += len(data)
            self._progress()
        self._sent = True
