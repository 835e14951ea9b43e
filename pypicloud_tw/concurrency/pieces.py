"""Long work in the reactor's thread, in pieces, so that nobody waits for all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

from pypicloud_tw.concurrency.steps import Steps

T = TypeVar("T")

#: Seconds after which everybody else has a turn.
SLICE = 0.003


class Pieces:
    """Does work piece by piece; all that it does shares one slice of each turn.

    :param longest: seconds of a slice; it ends with the piece that goes beyond.
    """

    def __init__(self, clock: IReactorTime, longest: float = SLICE) -> None:
        def begin_slice() -> Callable[[], bool]:
            end = clock.seconds() + longest
            return lambda: clock.seconds() >= end

        self._begin_slice = begin_slice
        self._cooperator = Cooperator(
            terminationPredicateFactory=begin_slice,
            scheduler=lambda tick: clock.callLater(0, tick),
        )

    async def collect(self, pieces: Iterable[T]) -> list[T]:
        """Take every piece, pausing between them; what the iterable raises ends it."""
        collected: list[T] = []
        await self._cooperator.coiterate(map(collected.append, pieces))
        return collected

    async def finish(self, steps: Steps[T]) -> T:
        """Do work to its end, and return what it comes to; raises what it raises.

        It begins at once, and pauses only if it takes longer than a slice.
        """
        results: list[T] = []
        left = _keeping(steps, results)
        is_over = self._begin_slice()
        for _ in left:
            if is_over():
                await self._cooperator.coiterate(left)
        return results[0]


def _keeping(steps: Steps[T], results: list[T]) -> Iterator[None]:
    results.append((yield from steps))
