"""One question at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Coalesced(Generic[T]):
    """One question at a time by key; who asks meanwhile waits for the same answer.

    Who stops waiting does not stop the question: its answer is worth having.

    :param unwanted: called with the key when the last who waited has stopped.
    """

    def __init__(self, unwanted: Callable[[str], None] = lambda key: None) -> None:
        self._unwanted = unwanted
        self._waiting: dict[str, list[Deferred[T]]] = {}

    def ask(self, key: str, question: Callable[[], Awaitable[T]]) -> Deferred[T]:
        """Ask, or join who asked already."""
        waiting: Deferred[T] = Deferred(lambda gone: self._stop(key, gone))
        if key in self._waiting:
            self._waiting[key].append(waiting)
            return waiting
        self._waiting[key] = [waiting]
        Deferred.fromCoroutine(_run(question)).addBoth(self._answer, key)
        return waiting

    def _stop(self, key: str, gone: Deferred[T]) -> None:
        waiting = self._waiting.get(key, [])
        if gone in waiting:
            waiting.remove(gone)
            if not waiting:
                self._unwanted(key)

    def _answer(self, result: Any, key: str) -> None:
        for waiting in self._waiting.pop(key):
            # One that gave up has been called by its cancellation.
            if not waiting.called:
                waiting.callback(result)


async def _run(question: Callable[[], Awaitable[T]]) -> T:
    return await question()
