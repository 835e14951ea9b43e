"""Work that goes on to its end although nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def _ignore() -> None:
    """Have work go on as if somebody waited for it."""


async def shielded(
    work: Coroutine[Any, Any, T], given_up: Callable[[], None] = _ignore
) -> T:
    """Await *work* without passing a cancellation on to it; it goes on to its end.

    :param given_up: called when it is awaited no longer, to end what may be ended.
    """
    waiting: Deferred[T] = Deferred(lambda _: given_up())

    def answer(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)

    Deferred.fromCoroutine(work).addBoth(answer)
    return await waiting
