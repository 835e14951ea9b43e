"""Searching projects by words: ours, and names that other indexes have."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, product

from attrs import evolve, frozen

from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.derived.service import DerivedProjects
from pypicloud_tw.projects.derived.table import Block, Table, rarest
from pypicloud_tw.projects.derived.values import DerivedEntry, Reads
from pypicloud_tw.projects.values import (
    Found,
    FoundPage,
    Origin,
    ProjectName,
    ProjectsPage,
)

#: Words, and characters of all of them.
MOST_WORDS, LONGEST_QUERY = 16, 256

#: Names that are looked at in a piece: two milliseconds at worst.
BATCH = 250

_SEPARATORS = re.compile(r"[-_.]+")

#: What stands in a project's name (PEP 503, normalized).
NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_NAME = re.compile(NAME.replace("$", r"\Z"))

#: Names of lists that are looked at in vain, after which no more are: 30 ms.
_MOST_IN_VAIN = 20_000

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

    @property
    def whole(self) -> str:
        """The name that they are, if they are one's parts."""
        return "-".join(self.in_names)

    def name(self, name: str) -> bool:
        """Return whether all of them are in a name."""
        return all(word in name for word in self.in_names)

    def rarest(self, names: bytes) -> bytes:
        """Return the one that is most seldom in some names."""
        return rarest([(_bytes(word),) for word in self.in_names], names)[0]

    def rank(self, name: str) -> int | None:
        """Return how well a name fits, 0 best; None: it does not."""
        if not self.name(name):
            return None
        if name == self.whole:
            return 0
        return 1 if name.startswith(self.in_names[0]) else 2


@frozen
class Search:
    """Looks through all projects; no more are kept than are shown.

    :ivar allows: tells whether one may be shown to whoever asks.
    """

    words: Words
    allows: Reads
    limit: int

    def ours(self, table: Table, unknown: _Names) -> Steps[list[Found]]:
        """Find projects of ours, the best first; those that fit alike by name.

        :param unknown: those that have no entry yet, sorted; only their names tell.
        """
        found: list[Found] = []
        exact = table.get(self.words.whole)
        if exact is not None and self.allows(exact.name):
            found.append(_found(exact))
        for look in (self._beginning, self._containing, self._described):
            for block in table.blocks:
                room = self.limit - len(found)
                if room <= 0:
                    break
                found += map(_found, islice(look(block), room))
                yield
        named = yield from self.named(unknown, "ours")
        if named:
            # Behind every name comes what is only described so.
            found = sorted(chain(found, named), key=self._place)
        return found[: self.limit]

    def _place(self, found: Found) -> tuple[int, str]:
        rank = self.words.rank(found.name)
        return (3 if rank is None else rank), found.name

    def named(self, names: _Names, origin: Origin) -> Steps[list[Found]]:
        """Find names, the best first.

        :param names: sorted.
        """
        ranked: dict[int, list[Found]] = {0: [], 1: [], 2: []}
        for batch in _batches(names, 0):
            for name in batch:
                rank = self.words.rank(name)
                if rank is None or len(ranked[rank]) >= self.limit:
                    continue
                if self.allows(name):
                    ranked[rank].append(Found(name, origin=origin))
            yield
        return [one for some in ranked.values() for one in some][: self.limit]

    def listed(self, names: Iterable[Sequence[bytes]]) -> Steps[list[Found]]:
        """Find names in lists of other indexes, the best first.

        :param names: of each list its parts, see :func:`.packed.parts`.
        """
        found: dict[str, Found] = {}
        in_vain = 0
        hopeful = yield from self._hopeful(chain.from_iterable(names))
        for look, part in product((_exactly, _beginning, _containing), hopeful):
            for name in look(part, self.words):
                if name in found:
                    continue
                if self.words.name(name) and self.allows(name):
                    found[name] = Found(name, origin="upstream")
                else:
                    in_vain += 1
                if len(found) == self.limit or in_vain == _MOST_IN_VAIN:
                    return list(found.values())
            yield
        return list(found.values())

    def _hopeful(self, parts: Iterable[bytes]) -> Steps[list[bytes]]:
        """Return the parts of lists that have all words."""
        words = list(map(_bytes, self.words.in_names))
        hopeful = []
        for part in parts:
            if all(word in part for word in words):
                hopeful.append(part)
            yield
        return hopeful

    def _beginning(self, block: Block) -> Iterator[DerivedEntry]:
        """Give the projects whose names begin so, but for the exact one."""
        first, names = self.words.in_names[0], block.names
        for at in range(bisect_left(names, first), len(names)):
            name = names[at]
            if not name.startswith(first):
                return
            if name != self.words.whole and self.words.name(name) and self.allows(name):
                yield block.entry(at)

    def _containing(self, block: Block) -> Iterator[DerivedEntry]:
        """Give the others that have all words in their names."""
        words = self.words
        for at in block.spelled.having(words.rarest(block.spelled.joined)):
            name = block.names[at]
            if words.rank(name) == 2 and self.allows(name):
                yield block.entry(at)

    def _described(self, block: Block) -> Iterator[DerivedEntry]:
        """Give the projects that have some of the words in their texts alone."""
        words = self.words
        pairs = [
            (_bytes(name), _bytes(text))
            for name, text in zip(words.in_names, words.in_texts, strict=True)
        ]
        for at in block.candidates(pairs):
            name = block.names[at]
            if self.allows(name) and block.is_found(at, pairs) and not words.name(name):
                yield block.entry(at)


@frozen
class Others:
    """Names of other indexes that are looked at.

    :ivar kept: those of which the cache keeps files, sorted.
    :ivar lists: see :meth:`Search.listed`.
    :ivar hidden: tells of a name whether it is ours, and so not to be shown as theirs.
    :ivar shows_kept: whether the first are shown.
    """

    kept: _Names
    lists: Sequence[Sequence[bytes]]
    hidden: Reads
    shows_kept: bool = True

    def found(self, search: Search) -> Steps[list[Found]]:
        """Find them, those that are kept before the others."""
        allows, kept = search.allows, frozenset(self.kept)

        def is_shown(name: str) -> bool:
            return allows(name) and not self.hidden(name)

        found: list[Found] = []
        if self.shows_kept:
            found = yield from evolve(search, allows=is_shown).named(self.kept, "kept")
        room = search.limit - len(found)
        if room > 0:
            others = Search(search.words, lambda n: n not in kept and is_shown(n), room)
            found += yield from others.listed(self.lists)
        return found


def searching(
    search: Search,
    derived: DerivedProjects,
    names: tuple[NormalizedName, ...] | None,
    others: Others | None,
) -> Steps[FoundPage]:
    """Search among our projects, and those of others.

    :param names: of all of ours; None: these are not asked for.
    :param others: None: these are not.
    """
    found: list[Found] = []
    complete = True
    if names is not None:
        unknown = yield from derived.unknown(names)
        found = yield from search.ours(derived.table, unknown)
        for batch in _batches(unknown, 0):
            complete = complete and not any(map(search.allows, batch))
            yield
    if others is not None and len(found) < search.limit:
        found += (yield from others.found(search))[: search.limit - len(found)]
    return FoundPage(tuple(found), complete)


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "replace")


def _found(entry: DerivedEntry) -> Found:
    return Found(
        entry.name, entry.version, entry.summary, "ours", entry.uploaded, entry.status
    )


def _exactly(part: bytes, words: Words) -> Iterator[str]:
    return _having(part, f"\n{words.whole}\n".encode("utf-8", "replace"))


def _beginning(part: bytes, words: Words) -> Iterator[str]:
    return _having(part, f"\n{words.in_names[0]}".encode("utf-8", "replace"))


def _containing(part: bytes, words: Words) -> Iterator[str]:
    return _having(part, words.rarest(part))


def _having(part: bytes, pattern: bytes) -> Iterator[str]:
    """Give the names of a part of a list in whose lines a pattern is."""
    at = part.find(pattern)
    while at >= 0:
        begin = part.rfind(b"\n", 0, at + 1) + 1
        end = part.find(b"\n", begin)
        yield part[begin:end].decode()
        at = part.find(pattern, end)


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
