"""Concurrent calls for the same key share one answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred

from pypicloud_tw.concurrency.waiters import Waiters

T = TypeVar("T")


class Coalesced(Generic[T]):
    """One question at a time by key; who asks meanwhile waits for the same answer.

    Who stops waiting does not stop the question: its answer is worth having.

    :param unwanted: called with the key when the last who waited has stopped.
    """

    def __init__(self, unwanted: Callable[[Any], None] = lambda key: None) -> None:
        self._unwanted = unwanted
        self._waiting: dict[Hashable, Waiters[T]] = {}

    def __contains__(self, key: Hashable) -> bool:
        """Return whether this is being asked, so that :meth:`ask` would join."""
        return key in self._waiting

    def ask(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> Deferred[T]:
        """Ask, or join who asked already."""
        if key in self._waiting:
            return self._waiting[key].wait()
        waiters = self._waiting[key] = Waiters(lambda: self._unwanted(key))
        waiting = waiters.wait()
        Deferred.fromCoroutine(_run(question)).addBoth(self._answer, key)
        return waiting

    def _answer(self, result: Any, key: Hashable) -> None:
        self._waiting.pop(key).answer(result)


async def _run(question: Callable[[], Awaitable[T]]) -> T:
    return await question()
