"""Names and patterns of projects, and which of several is the most specific."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from pypicloud_tw.concurrency.steps import Steps, at_once, batches
from pypicloud_tw.config.names import parse_project
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest

V = TypeVar("V")

#: Names or patterns that are looked at in a piece: a millisecond.
BATCH = 250

#: Names whose pattern is remembered; what strangers ask for cannot take more.
_MOST_NAMES = 2**16


def project_or_pattern(text: str) -> str:
    """Read a project's name or a pattern, normalized.

    :raises BadRequest: it is neither.
    """
    try:
        return parse_project(text)
    except BadValueError as e:
        raise BadRequest(f"The project {text[:80]!r} {e}") from None


def is_pattern(text: str) -> bool:
    """Whether it stands for several names."""
    return "*" in text or "?" in text


def matches(pattern: str, name: str) -> bool:
    """Whether a name or pattern, both normalized, stands for a project."""
    # Not by fnmatch, which makes a regular expression of each: up to 4 ms and 7 kB, and
    # whoever makes a token chooses a hundred patterns.
    head, *between = pattern.split("*")
    if not between:
        return len(name) == len(head) and _is_at(head, name, 0)
    tail = between.pop()
    at, end = len(head), len(name) - len(tail)
    if at > end or not (_is_at(head, name, 0) and _is_at(tail, name, end)):
        return False
    for part in between:
        at = _find(part, name, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _is_at(part: str, name: str, at: int) -> bool:
    """Whether a part of a pattern, without stars, stands at a place of a name."""
    if "?" not in part:
        return name.startswith(part, at)
    for literal in part.split("?"):
        if not name.startswith(literal, at):
            return False
        at += len(literal) + 1
    return at - 1 <= len(name)


def _find(part: str, name: str, begin: int, end: int) -> int:
    """Return where a part first stands in a slice of a name; -1: nowhere."""
    if "?" not in part:
        return name.find(part, begin, end)
    places = range(begin, end - len(part) + 1)
    return next((at for at in places if _is_at(part, name, at)), -1)


def covers(wide: str, narrow: str) -> bool:
    """Whether all that one name or pattern stands for is among what another does.

    A pattern matches another as if that were a name: its stars have to fall to stars.
    Where that would take a proof it is no: of question marks in the wider one.
    """
    if is_pattern(narrow) and "?" in wide:
        return wide == narrow
    return matches(wide, narrow)


def overlap(one: str, other: str) -> bool:
    """Whether two could stand for the same name; yes where that is not plain."""
    if not is_pattern(one):
        return matches(other, one)
    if not is_pattern(other):
        return matches(one, other)
    heads, tails = (_head(one), _head(other)), (_tail(one), _tail(other))
    return _fit(*heads, str.startswith) and _fit(*tails, str.endswith)


def _fit(a: str, b: str, begins: Callable[[str, str], bool]) -> bool:
    return begins(a, b) or begins(b, a)


def match_any(patterns: Iterable[str], name: str) -> bool:
    """Whether any of some names or patterns stands for a project."""
    # No generator: of a token that takes half of the whole decision.
    for pattern in patterns:  # noqa: SIM110
        if matches(pattern, name):
            return True
    return False


def specificity(pattern: str) -> tuple[bool, int, int, int, str]:
    """Return what patterns are sorted by, the most specific first.

    A name comes before every pattern. Among patterns that with more literal characters
    does; then that with fewer stars; then that with more question marks; then the
    first in the alphabet, so that the order of lines never decides.
    """
    stars, marks = pattern.count("*"), pattern.count("?")
    literal = len(pattern) - stars - marks
    return is_pattern(pattern), -literal, stars, -marks, pattern


def by_specificity(patterns: Iterable[str]) -> Steps[list[str]]:
    """Sort names and patterns, the most specific first, in pieces."""
    ranked = []
    for batch in batches(patterns, BATCH):
        yield
        ranked += [(specificity(pattern), pattern) for pattern in batch]
    return [pattern for _, pattern in sorted(ranked)]


class ProjectIndex(Generic[V]):
    """Values by names and patterns; a name has that of the most specific.

    Found by the literal characters that a pattern begins or ends with, so that ten
    thousand patterns cost a name a few look-ups.
    """

    def __init__(self, values: Mapping[str, V]) -> None:
        at_once(self._fill(values))

    @classmethod
    def building(cls, values: Mapping[str, V]) -> Steps[ProjectIndex[V]]:
        """Make one in pieces."""
        index = cls({})
        yield from index._fill(values)
        return index

    def _fill(self, values: Mapping[str, V]) -> Steps[None]:
        self._exact: dict[str, V] = {}
        self._ranked: list[tuple[str, V]] = []
        self._heads: dict[str, list[int]] = {}
        self._tails: dict[str, list[int]] = {}
        self._anywhere: list[int] = []
        self._known: dict[str, V | None] = {}
        patterns = yield from by_specificity(values)
        for batch in batches(patterns, BATCH):
            yield
            for text in batch:
                self._add(text, values[text])
        self._head_lengths = sorted({*map(len, self._heads)})
        self._tail_lengths = sorted({*map(len, self._tails)})

    def _add(self, text: str, value: V) -> None:
        if not is_pattern(text):
            self._exact[text] = value
            return
        number = len(self._ranked)
        self._ranked.append((text, value))
        if head := _head(text):
            self._heads.setdefault(head, []).append(number)
        elif tail := _tail(text):
            self._tails.setdefault(tail, []).append(number)
        else:
            self._anywhere.append(number)

    def find(self, name: str) -> V | None:
        """Return what the most specific name or pattern has; None if none matches."""
        found = self._exact.get(name)
        if found is not None or not self._ranked:
            return found
        try:
            return self._known[name]
        except KeyError:
            return self._remember(name, self._search(name))

    def _remember(self, name: str, found: V | None) -> V | None:
        if len(self._known) >= _MOST_NAMES:
            self._known.clear()
        self._known[name] = found
        return found

    def _search(self, name: str) -> V | None:
        numbers = list(self._anywhere)
        for length in self._head_lengths:
            numbers += self._heads.get(name[:length], ())
        for length in self._tail_lengths:
            numbers += self._tails.get(name[-length:], ())
        for number in sorted(numbers):
            pattern, value = self._ranked[number]
            if matches(pattern, name):
                return value
        return None


def _head(pattern: str) -> str:
    """Return the literal characters that a pattern begins with."""
    return pattern.replace("?", "*").partition("*")[0]


def _tail(pattern: str) -> str:
    """Return the literal characters that a pattern ends with."""
    return pattern.replace("?", "*").rpartition("*")[2]
