"""A queue for work that cannot be stopped half-way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock

T = TypeVar("T")


@define(eq=False)
class SerialQueue:
    """One piece of work at a time, in the order in which they were asked for.

    Somebody who stops waiting (a cancelled request) does not stop a thread. So the
    next in the queue waits for the thread, and not for whoever asked for it.
    """

    _lock: DeferredLock = field(factory=DeferredLock, init=False)

    def run(self, work: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Call *work* when those before are done; cancelling only stops waiting."""
        heard: Deferred[T] = Deferred()
        self._lock.run(work).addCallbacks(heard.callback, heard.errback)
        return heard
