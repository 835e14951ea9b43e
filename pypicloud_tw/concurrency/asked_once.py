"""An answer that is asked for once, by whoever needs it first, and then kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import define, field

from pypicloud_tw.concurrency.coalesced import Coalesced

T = TypeVar("T")


@define(eq=False)
class AskedOnce(Generic[T]):
    """Asks when it is first wanted; who wants it meanwhile waits for the same answer.

    A question that failed is asked again by who wants it next.
    """

    _question: Callable[[], Awaitable[T]]
    _answer: list[T] = field(factory=list, init=False, repr=False)
    _asking: Coalesced[T] = field(factory=Coalesced, init=False, repr=False)

    async def answer(self) -> T:
        """Return the answer.

        :raises Exception: what the question raised.
        """
        if not self._answer:
            self._answer[:] = [await self._asking.ask(None, self._question)]
        return self._answer[0]
