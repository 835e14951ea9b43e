"""Namespaces: beginnings of names that are ours (PEP 752).

One is where both a name and all that begin with it and a hyphen are private: ``acme``
and ``acme-*``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen
from packaging.utils import is_normalized_name

_ALL = "-*"


@frozen
class Namespaces:
    """The namespaces of one index.

    :ivar names: normalized and sorted, so that a parent comes before its children.
    """

    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, private: Iterable[str]) -> Namespaces:
        """Find them among names and patterns, all normalized."""
        patterns = set(private)
        names = filter(is_normalized_name, patterns)
        return cls(tuple(sorted(n for n in names if n + _ALL in patterns)))

    def over(self, name: str) -> list[str]:
        """Return the namespaces that a name is in, the widest first."""
        return [space for space in self.names if f"{name}-".startswith(f"{space}-")]

    def told(self, name: str) -> list[dict[str, object]] | None:
        """Return what a project's page says of them: null where there is none.

        All are owned by this index: whoever could upload to it has the right to.
        """
        return [{"name": n, "owned": True} for n in self.over(name)] or None

    def parent(self, space: str) -> str | None:
        """Return the narrowest namespace that one is in."""
        return next((n for n in reversed(self.over(space)) if n != space), None)

    def children(self, space: str) -> list[str]:
        """Return those that are in one, and in none between."""
        return [name for name in self.names if self.parent(name) == space]


#: Of an index that has none.
NO_NAMESPACES = Namespaces()


def missing_halves(private: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Tell what is private, and what besides would make a namespace of it.

    A name alone is half of one where another private name begins with it.
    """
    patterns = set(private)
    for pattern in sorted(patterns):
        if pattern.endswith(_ALL):
            name = pattern.removesuffix(_ALL)
            if is_normalized_name(name) and name not in patterns:
                yield pattern, name
        elif pattern + _ALL not in patterns and any(
            other.startswith(f"{pattern}-") for other in patterns
        ):
            yield pattern, pattern + _ALL
