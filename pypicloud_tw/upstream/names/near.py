"""Names that are one edit apart: a slip of the fingers, or a trap for one."""

from __future__ import annotations

from collections.abc import Container, Iterator
from string import ascii_lowercase, digits

#: Of what normalized names consist.
_CHARACTERS = f"{ascii_lowercase}{digits}-"


def near(name: str, names: Container[str]) -> tuple[str, ...]:
    """Return which names are one edit from a name, sorted; all are normalized.

    An edit inserts, deletes or replaces a character, or transposes two neighbours. Each
    that is possible is looked up, 900 for a name of 12 characters in 0.1 ms, so that it
    does not matter how many names there are.
    """
    return tuple(sorted({edit for edit in _edits(name) if edit in names} - {name}))


def _edits(name: str) -> Iterator[str]:
    for at in range(len(name) + 1):
        before, after = name[:at], name[at:]
        for character in _CHARACTERS:
            yield before + character + after
        if not after:
            return
        yield before + after[1:]
        for character in _CHARACTERS:
            yield before + character + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
