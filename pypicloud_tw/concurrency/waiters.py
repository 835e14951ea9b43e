"""Many waiters for one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

T = TypeVar("T")


@define(eq=False)
class Waiters(Generic[T]):
    """The Deferreds of everybody who waits for the next answer.

    Cancelling one waiter leaves the others and the work that they wait for alone.

    :ivar unwanted: called when the last waiter was cancelled.
    """

    unwanted: Callable[[], None] = field(default=lambda: None)
    _waiting: dict[Deferred[Any], Any] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self) -> Deferred[T]:
        """Fire with the next answer."""
        waiter: Deferred[T] = Deferred(self._left)
        self._waiting[waiter] = None
        return waiter

    def wait_at_most(self, seconds: float, clock: IReactorTime) -> Deferred[T | None]:
        """Fire with the next answer, or with None if it takes longer than that."""
        waiter: Deferred[T | None] = self.wait()  # type: ignore[assignment]  # wider
        return waiter.addTimeout(seconds, clock, lambda *_: None)

    def answer(self, result: T | Failure) -> None:
        """Give a value or a failure to everybody who waits now.

        Who begins to wait meanwhile waits for the next answer.
        """
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            # One of those before it may have cancelled it.
            if not waiter.called:
                waiter.callback(result)

    def _left(self, waiter: Deferred[Any]) -> None:
        # Those who are being answered are not here any more.
        if waiter in self._waiting:
            del self._waiting[waiter]
            if not self._waiting:
                self.unwanted()
