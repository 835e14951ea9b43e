"""Back-pressure on the answers of a connection.

A transport has one producer, the connection, for as long as it is open. Requests come
and go below it, each with a producer of its own for its answer's body, or none.
"""

from __future__ import annotations

from typing import cast

from attrs import define, field
from twisted.internet.interfaces import (
    IDelayedCall,
    IProducer,
    IPullProducer,
    IPushProducer,
    IReactorTime,
)
from zope.interface import implementer


@define(eq=False)
class ProducerBridge:
    """Passes what the transport says on to the producer of the current answer.

    :ivar paused: the transport takes no more for now.
    """

    _clock: IReactorTime
    paused: bool = field(default=False, init=False)
    _producer: IPushProducer | _Pulled | None = field(default=None, init=False)

    def register(self, producer: IProducer, streaming: bool) -> None:
        """Let a producer write; it is paused at once if the transport is full.

        :param streaming: it is an ``IPushProducer``; else an ``IPullProducer``.
        :raises RuntimeError: another one is registered.
        """
        if self._producer is not None:
            raise RuntimeError("An answer has one producer at a time.")
        if streaming:
            self._producer = cast(IPushProducer, producer)
            if self.paused:
                self._producer.pauseProducing()
        else:
            pulled = _Pulled(cast(IPullProducer, producer), self._clock)
            self._producer = pulled
            if not self.paused:
                pulled.resumeProducing()

    def unregister(self) -> None:
        """Forget the producer, if there is one."""
        producer, self._producer = self._producer, None
        if isinstance(producer, _Pulled):
            producer.pauseProducing()

    def pause(self) -> None:
        """The transport is full."""
        self.paused = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume(self) -> None:
        """The transport has room again."""
        self.paused = False
        if self._producer is not None:
            self._producer.resumeProducing()

    def stop(self) -> None:
        """The transport is closed."""
        if self._producer is not None:
            self._producer.stopProducing()


@implementer(IPushProducer)
@define(eq=False)
class _Pulled:
    """Asks a pull producer for one piece after the other, a piece a turn."""

    _producer: IPullProducer
    _clock: IReactorTime
    _next: IDelayedCall | None = field(default=None, init=False)

    def resumeProducing(self) -> None:
        """Ask from the next turn on."""
        if self._next is None:
            self._next = self._clock.callLater(0, self._ask)

    def pauseProducing(self) -> None:
        """Ask for nothing more."""
        call, self._next = self._next, None
        if call is not None and call.active():
            call.cancel()

    def stopProducing(self) -> None:
        """Ask for nothing more, and have it close what it reads from."""
        self.pauseProducing()
        self._producer.stopProducing()

    def _ask(self) -> None:
        # Still set while it produces: it may well be paused or unregistered by that.
        asked = self._next
        self._producer.resumeProducing()
        if self._next is asked:
            self._next = self._clock.callLater(0, self._ask)
