"""Searching one's own projects by words: all names, and the summaries in memory."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from attrs import define, field, frozen

from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.summaries import Summary
from pypicloud_tw.projects.values import Found, FoundPage, ProjectName, ProjectsPage

#: Words, and characters of all of them.
MOST_WORDS, LONGEST_QUERY = 16, 256

#: Names that are looked at in a piece: two milliseconds at worst.
BATCH = 250

_SEPARATORS = re.compile(r"[-_.]+")

#: What stands in a project's name (PEP 503, normalized).
NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_NAME = re.compile(NAME.replace("$", r"\Z"))

_Names = Sequence[NormalizedName]


@frozen
class Words:
    """What is searched for: words that all must be there, in any order.

    :ivar in_names: as they would stand in a normalized name.
    :ivar in_texts: as they would in a summary, in lower case.
    """

    in_names: tuple[str, ...]
    in_texts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Words:
        """Understand a query.

        :raises BadRequest: it has no words, or too many.
        """
        if len(text) > LONGEST_QUERY:
            raise BadRequest(f"A search has at most {LONGEST_QUERY} characters.")
        words = text.lower().split()
        if len(words) > MOST_WORDS:
            raise BadRequest(f"A search has at most {MOST_WORDS} words.")
        return cls(tuple(_SEPARATORS.sub("-", w) for w in words), tuple(words))

    def name(self, name: str) -> bool:
        """Return whether all of them are in a name."""
        return all(word in name for word in self.in_names)

    def rank(self, name: str, summary: Summary | None) -> int | None:
        """Return how well a project fits, 0 best; None: it does not."""
        if not self.in_names:
            return None
        if self.name(name):
            if name == "-".join(self.in_names):
                return 0
            return 1 if name.startswith(self.in_names[0]) else 2
        if summary is None or not summary.text:
            return None
        text = summary.text.lower()
        pairs = zip(self.in_names, self.in_texts, strict=True)
        return 3 if all(n in name or t in text for n, t in pairs) else None


@define(eq=False)
class Search:
    """Looks through all names, in order.

    :ivar allows: tells whether the asker may read a project.
    :ivar summary: finds what is known of one; None: it is not in memory.
    """

    words: Words
    allows: Callable[[NormalizedName], bool]
    summary: Callable[[NormalizedName], Summary | None]
    limit: int
    _ranked: dict[int, list[NormalizedName]] = field(factory=dict, init=False)

    def over(self, names: _Names) -> Steps[FoundPage]:
        """Find the best; no more are kept than are shown."""
        complete = True
        for batch in _batches(names, 0):
            complete = self._look_at(batch, complete)
            yield
        best = [name for _, some in sorted(self._ranked.items()) for name in some]
        return FoundPage(tuple(map(self._found, best[: self.limit])), complete)

    def _look_at(self, names: _Names, complete: bool) -> bool:
        for name in names:
            summary = self.summary(name)
            rank = self.words.rank(name, summary)
            if summary is None and complete and rank is None:
                complete = not self.allows(name)
            if rank is not None and self._room(rank) and self.allows(name):
                self._ranked.setdefault(rank, []).append(name)
        return complete

    def _room(self, rank: int) -> bool:
        return len(self._ranked.get(rank, ())) < self.limit

    def _found(self, name: NormalizedName) -> Found:
        known = self.summary(name)
        return Found(name) if known is None else Found(name, known.version, known.text)


def page_of(
    names: _Names,
    cursor: str | None,
    limit: int,
    wanted: Callable[[NormalizedName], bool],
) -> Steps[ProjectsPage]:
    """Take the names that follow a cursor.

    :param names: sorted.
    :param cursor: the last name of the page before.
    :raises BadRequest: the cursor is no such thing.
    """
    if cursor is not None and _NAME.match(cursor) is None:
        raise BadRequest("This is no cursor of a list of projects: begin without one.")
    start = 0 if cursor is None else bisect_right(names, cursor)
    found: list[NormalizedName] = []
    for batch in _batches(names, start):
        found += filter(wanted, batch)
        if len(found) > limit:
            break
        yield
    items = tuple(map(ProjectName, found[:limit]))
    return ProjectsPage(items, items[-1].name if len(found) > limit else None)


def _batches(names: _Names, start: int) -> Iterator[_Names]:
    for at in range(start, len(names), BATCH):
        yield names[at : at + BATCH]
