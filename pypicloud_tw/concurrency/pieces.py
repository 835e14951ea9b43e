"""Long work in the reactor's thread, in pieces, so that nobody waits for all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

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

        self._cooperator = Cooperator(
            terminationPredicateFactory=begin_slice,
            scheduler=lambda tick: clock.callLater(0, tick),
        )

    async def collect(self, pieces: Iterable[T]) -> list[T]:
        """Take every piece, pausing between them; what the iterable raises ends it."""
        collected: list[T] = []
        await self._cooperator.coiterate(map(collected.append, pieces))
        return collected
