"""Which projects of a source are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen
from packaging.utils import InvalidName, canonicalize_name

from pypicloud_tw.access.patterns import is_pattern, matches, project_or_pattern


@frozen
class Wanted:
    """Names and patterns of projects.

    :ivar patterns: normalized; none: all projects.
    :ivar excluded: normalized; they count more.
    """

    patterns: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @classmethod
    def parse(cls, patterns: Iterable[str], excluded: Iterable[str] = ()) -> Wanted:
        """Read them as people write them.

        :raises BadRequest: one is neither a name nor a pattern.
        """
        return cls(
            tuple(map(project_or_pattern, patterns)),
            tuple(map(project_or_pattern, excluded)),
        )

    @property
    def named(self) -> tuple[str, ...] | None:
        """The names, where only names are given: no list is needed then."""
        if not self.patterns or any(map(is_pattern, self.patterns)):
            return None
        return self._of(self.patterns)

    def choose(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those that are wanted, in their order.

        A source knows a name by any spelling: of several the first is returned.
        """
        if self.patterns:
            names = [n for n in names if _any(self.patterns, n)]
        return self._of(names)

    def _of(self, names: Iterable[str]) -> tuple[str, ...]:
        kept: dict[str, str] = {}
        for name in names:
            if not _any(self.excluded, name):
                kept.setdefault(_normal(name), name)
        return tuple(kept.values())


def _any(patterns: Sequence[str], name: str) -> bool:
    normal = _normal(name)
    return any(matches(pattern, normal) for pattern in patterns)


def _normal(name: str) -> str:
    try:
        return canonicalize_name(name, validate=True)
    except InvalidName:
        return name  # it is said of it later that it is none
