"""Names that somebody may have meant who asks for one that is not here."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from attrs import frozen

from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.derived.table import Table
from pypicloud_tw.projects.derived.values import Reads
from pypicloud_tw.upstream.names.near import near

#: Characters of a name for which edits are tried: 0.3 ms.
_LONGEST = 40

#: A part of a name that is worth looking for.
_SHORTEST = 3

#: Names that are looked at, and of which most may be others' to read.
_MOST = 500


@frozen
class _Has:
    table: Table

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.table


def near_names(
    table: Table, name: str, limit: int, reads: Reads
) -> tuple[NormalizedName, ...]:
    """Return names of ours that are like one, those that are most like it first."""
    found: dict[NormalizedName, None] = {}
    for one in islice(_candidates(table, name), _MOST):
        if len(found) == limit:
            break
        if one != name and reads(one):
            found[one] = None
    return tuple(found)


def _candidates(table: Table, name: str) -> Iterator[NormalizedName]:
    edits = near(name, _Has(table)) if len(name) <= _LONGEST else ()
    yield from map(NormalizedName, edits)
    first = name.partition("-")[0]
    prefixes = [name, name[: max(_SHORTEST, len(name) - 2)], first]
    entries = chain.from_iterable(
        table.beginning(prefix) for prefix in prefixes if len(prefix) >= _SHORTEST
    )
    yield from (entry.name for entry in entries)
