"""A timeout for calls of the store: its retries and timeouts add up to minutes."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from pypicloud_tw.errors import StoreError

T = TypeVar("T")


async def in_time(
    work: Coroutine[Any, Any, T], seconds: float, clock: IReactorTime
) -> T:
    """Await *work*, and cancel it after so many seconds.

    :raises StoreError: it took longer.
    """

    def late(result: object, seconds: float) -> object:
        if isinstance(result, Failure):
            raise StoreError(f"The store does not answer within {seconds:.0f} s.")
        return result  # it did not let itself be cancelled

    waiting = Deferred.fromCoroutine(work)
    waiting.addTimeout(seconds, clock, late)
    return await waiting
