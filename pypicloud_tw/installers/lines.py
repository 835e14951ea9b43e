"""Lines of a file of settings, with the ends that they have there."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO


def split(text: str) -> list[str]:
    """Split at the ends of lines, which stay.

    ``splitlines`` takes form feeds and U+2028 for some, too.
    """
    return list(StringIO(text, newline=""))


def end_of(text: str) -> str:
    """Return what lines are ended by in a file: what its first is ended by."""
    first = next(StringIO(text, newline=""), "")
    return first[len(_begun(first)) :] or "\n"


def appended(text: str, more: str) -> str:
    """Return a file with more at its end, behind an empty line.

    :param more: its lines are ended as the file's are.
    """
    end = end_of(text)
    if text and _begun(text) == text:
        text += end
    gap = end if text.strip() else ""
    return "".join((text, gap, _with_ends(more.split("\n"), end)))


def spliced(text: str, place: int, more: Iterable[str], instead_of: int = 0) -> str:
    """Return a file with more lines, behind those that go before *place*.

    :param instead_of: lines that stand there and go.
    """
    lines = split(text)
    before, after = lines[:place], lines[place + instead_of :]
    end = end_of(text)
    if before and _begun(before[-1]) == before[-1]:
        before[-1] += end
    return "".join([*before, _with_ends(more, end), *after])


def _with_ends(lines: Iterable[str], end: str) -> str:
    return "".join(f"{line}{end}" for line in lines)


def _begun(text: str) -> str:
    return text.rstrip("\r\n")
