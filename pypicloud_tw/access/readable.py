"""Which projects somebody may read, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from attrs import frozen

from pypicloud_tw.access.patterns import match_any
from pypicloud_tw.access.rules import Rules

N = TypeVar("N", bound=str)


@frozen
class Readable:
    """Equal for readers with equal rights under the same policy, and hashable.

    :ivar rules: whose numbers these are.
    :ivar anywhere: the numbers of rights by which it may read.
    :ivar within: those by which it may read what *names* or *unfixed* name.
    :ivar names: names and patterns.
    :ivar unfixed: those that do not count where the ini decides.
    """

    rules: Rules
    anywhere: frozenset[int]
    within: frozenset[int] = frozenset()
    names: tuple[str, ...] = ()
    unfixed: tuple[str, ...] = ()

    def __call__(self, name: str) -> bool:
        """See :meth:`allows`."""
        return self.allows(name)

    def allows(self, name: str) -> bool:
        """Whether a project may be read, by its normalized name."""
        return self._allows(name, self.rules.find(name).number)

    def select(self, names: Iterable[N], numbers: Mapping[N, int]) -> list[N]:
        """Return which of many projects may be read, in their order.

        :param numbers: of each one's rights by these :attr:`rules`.
        """
        if self.within:
            return [name for name in names if self._allows(name, numbers[name])]
        anywhere = self.anywhere
        return [name for name in names if numbers[name] in anywhere]

    def _allows(self, name: str, number: int) -> bool:
        if number in self.anywhere:
            return True
        if number not in self.within:
            return False
        if match_any(self.names, name):
            return True
        return match_any(self.unfixed, name) and not self.rules.is_fixed(name)
