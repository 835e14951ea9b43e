"""Writing to a consumer with back-pressure."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer


def _nothing() -> None:
    """Do nothing."""


@implementer(IPushProducer)
@define(eq=False)
class Gate:
    """A push producer that opens and closes; whoever writes awaits :meth:`passage`.

    :ivar _stop: called when the consumer wants no more, so that nobody waits for what
        it would not take.
    :ivar stopped: the consumer wants no more, ever, and has let go of us.
    """

    _stop: Callable[[], None] = _nothing
    stopped: bool = field(default=False, init=False)
    _paused: bool = field(default=False, init=False)
    _waiting: Deferred[None] | None = field(default=None, init=False)

    def pauseProducing(self) -> None:
        """Close until further notice."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Open, and let through who waits."""
        self._paused = False
        if self._waiting is not None:
            self._waiting.callback(None)

    def stopProducing(self) -> None:
        """Close for good, and send away who waits."""
        self.stopped = True
        if self._waiting is not None:
            self._waiting.cancel()
        self._stop()

    async def passage(self) -> None:
        """Return when the consumer takes more.

        :raises CancelledError: it never will.
        """
        if self.stopped:
            raise CancelledError
        if self._paused:
            self._waiting = Deferred()
            try:
                await self._waiting
            finally:
                self._waiting = None


async def deliver(
    consumer: IConsumer,
    pieces: AsyncIterable[bytes],
    stop: Callable[[], None] = _nothing,
) -> None:
    """Write *pieces* to *consumer*, each when it takes more.

    :param stop: ends *pieces* at once, when the consumer goes away.
    :raises CancelledError: the consumer went away.
    """
    gate = Gate(stop)
    consumer.registerProducer(gate, True)
    try:
        async for piece in pieces:
            await gate.passage()
            consumer.write(piece)
        if gate.stopped:
            raise CancelledError
    except Exception:
        if gate.stopped:
            raise CancelledError from None
        raise
    finally:
        # A consumer that stopped us has forgotten us, and may have lost what it
        # would need for this (twisted.web's Request has lost its channel).
        if not gate.stopped:
            consumer.unregisterProducer()
