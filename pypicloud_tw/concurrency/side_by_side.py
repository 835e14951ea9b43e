"""Work that is done side by side, and workers that empty one queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore

T = TypeVar("T")


async def all_at_once(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all at the same time, and return what comes of it, in order.

    All have ended when this does, whatever one says; then the first failure is raised.
    """
    results: list[tuple[bool, Any]] = await DeferredList(
        [Deferred.fromCoroutine(one) for one in work], consumeErrors=True
    )
    for succeeded, result in results:
        if not succeeded:
            result.raiseException()
    return [result for _, result in results]


async def side_by_side(
    count: int, worker: Callable[[], Coroutine[Any, Any, None]], queue: deque[Any]
) -> None:
    """Have workers empty *queue*; where one fails, the others leave the rest in it.

    This returns when all have ended, also after a failure: nobody shall work on in an
    index that its owner takes to be at rest.
    """

    async def work() -> None:
        try:
            await worker()
        except BaseException:
            queue.clear()
            raise

    await all_at_once(work() for _ in range(count))


async def next_of(queue: deque[T], turns: DeferredSemaphore) -> T | None:
    """Take one from the queue as soon as there is a turn; None at the queue's end.

    :param turns: was acquired for the one that is returned.
    """
    await turns.acquire()
    if queue:
        return queue.popleft()
    turns.release()
    return None
