"""Copying an object from a store into a spool, with back-pressure."""

from __future__ import annotations

from typing import Protocol

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.store.interfaces import IDownload


class Writes(Protocol):
    """What takes bytes at its own pace; a :class:`.Spool` is one."""

    async def write(self, data: bytes) -> None:
        """Take more of them."""


async def copy(download: IDownload, spool: Writes) -> None:
    """Read an object that was opened into *spool*, and let go of it.

    :raises InsufficientStorage: there is no room for it.
    :raises StoreError: the store or the spool failed.
    """
    consumer = _SpoolConsumer(spool)
    try:
        await download.deliver(consumer)
    except CancelledError:
        # We stopped the store because the spool failed; that is what to tell.
        consumer.check()
        raise
    finally:
        download.abandon()
    await consumer.drained()


@implementer(IConsumer)
@define(eq=False)
class _SpoolConsumer:
    """Takes what a store delivers into *spool*."""

    spool: Writes
    _producer: IPushProducer | None = field(default=None, init=False)
    _writing: int = field(default=0, init=False)
    _failure: Failure | None = field(default=None, init=False)
    _idle: Waiters[None] = field(factory=Waiters, init=False)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Take a push producer's bytes from now on."""
        assert streaming, "stores deliver by push producers"
        self._producer = IPushProducer(producer)

    def unregisterProducer(self) -> None:
        """Take no more."""
        self._producer = None

    def write(self, data: bytes) -> None:
        """Take bytes; the producer pauses until they are in the spool."""
        self._writing += 1
        if self._producer is not None:
            self._producer.pauseProducing()
        work = Deferred.fromCoroutine(self.spool.write(data))
        work.addErrback(self._failed).addCallback(self._written)

    async def drained(self) -> None:
        """Return once every byte that came is taken, or raise as :meth:`check`."""
        if self._writing:
            await self._idle.wait()
        self.check()

    def check(self) -> None:
        """Raise what the spool raised, if it did."""
        if self._failure is not None:
            self._failure.raiseException()

    def _failed(self, failure: Failure) -> None:
        self._failure = failure
        if self._producer is not None:
            self._producer.stopProducing()

    def _written(self, _: None) -> None:
        self._writing -= 1
        if self._writing:
            return
        self._idle.answer(None)
        if self._producer is not None and self._failure is None:
            self._producer.resumeProducing()
