"""Parts of long lists, for whoever looks at them page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from attrs import frozen

from pypicloud_tw.concurrency.steps import Steps, batches

S = TypeVar("S")
T = TypeVar("T")

#: Of a list that are looked at in a piece, where a look is quick: a millisecond.
BATCH = 250


@frozen
class Window:
    """Which part of a list is asked for.

    :ivar containing: this stands in whatever is listed, whatever its case; empty: all
        is.
    :ivar begin: how many are left out before it.
    :ivar size: how many it has at most.
    """

    containing: str = ""
    begin: int = 0
    size: int = 50

    def has(self, *texts: str) -> bool:
        """Return whether what is looked for stands in one of some texts."""
        wanted = self.containing.casefold()
        return any(wanted in text.casefold() for text in texts)

    def cut(
        self,
        everything: Iterable[S],
        fits: Callable[[S], bool],
        show: Callable[[S], T],
        *,
        at_a_time: int = BATCH,
    ) -> Steps[Slice[T]]:
        """Look through a list, and show what is within.

        :param at_a_time: how many are looked at in a piece.
        """
        items: list[T] = []
        total = 0
        for batch in batches(everything, at_a_time):
            yield
            for one in batch:
                if fits(one):
                    if self.begin <= total < self.begin + self.size:
                        items.append(show(one))
                    total += 1
        return Slice(self, tuple(items), total)


@frozen
class Slice(Generic[T]):
    """A part of a list.

    :ivar total: how many there are in all.
    """

    window: Window
    items: tuple[T, ...]
    total: int
