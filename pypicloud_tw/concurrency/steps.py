"""Long work that can be done in pieces. Helper processes load this: no Twisted."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

#: Work that yields between its pieces, and returns what it comes to.
Steps = Generator[None, None, T]


def at_once(steps: Steps[T]) -> T:
    """Do work to its end without a pause, and return what it comes to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Take apart what is too much for one piece."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
