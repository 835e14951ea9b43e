"""The entries of all projects in memory, in the order of their names.

They are kept in blocks, each with what is searched of it as one text: to look through
100,000 projects takes some milliseconds, and to change one, one block.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime
from heapq import heappush, heapreplace
from typing import Any

from attrs import astuple, define, field, fields, frozen

from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.derived.lines import Lines
from pypicloud_tw.projects.derived.values import (
    DerivedEntry,
    DescribedProject,
    NewestRelease,
    Reads,
)

#: Entries of a block when it is made. One of twice as many is split.
BLOCK = 256

#: Entries that are put until their blocks are made anew, unless something is searched
#: before. A block takes 0.4 ms, and these at most a block each.
FRESH = 32

_NAMES = [one.name for one in fields(DerivedEntry)]
_NAME, _UPLOADED = _NAMES.index("name"), _NAMES.index("uploaded")

#: Between the name and what else is searched.
_BEHIND_NAME = b"\0"


@frozen(eq=False)
class Row:
    """An entry as a block has it.

    :ivar values: the entry's. Python's collector looks at every object of a class, and
        at a plain tuple of texts once.
    :ivar state: stands for the ETag of the manifest that it is of, in this process.
    :ivar searched: the name, and summary and keywords in lower case.
    :ivar required: names, with a blank before and behind each.
    """

    values: tuple[Any, ...]
    state: int
    searched: bytes
    required: bytes

    @classmethod
    def of(cls, described: DescribedProject) -> Row:
        """Make one."""
        entry = described.entry
        texts = f"{entry.summary or ''} {described.keywords}".lower()
        searched = entry.name.encode() + _BEHIND_NAME + texts.encode()
        required = f" {' '.join(described.requires)} ".encode()
        if not described.requires:
            required = b""
        values = astuple(entry, recurse=False)
        return cls(values, _state(described.etag), searched, required)

    @property
    def name(self) -> NormalizedName:
        """The project's."""
        name: NormalizedName = self.values[_NAME]
        return name


@frozen(eq=False)
class Block:
    """Some entries whose names follow each other; never changed."""

    names: Sequence[NormalizedName]
    values: Sequence[tuple[Any, ...]]
    spelled: Lines
    searched: Lines
    required: Lines
    states: array[int]
    uploaded: array[float]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Block:
        """Make one of rows in order."""
        names = tuple(row.name for row in rows)
        return cls(
            names,
            tuple(row.values for row in rows),
            Lines.of(name.encode() for name in names),
            Lines.of(row.searched for row in rows),
            Lines.of(row.required for row in rows),
            array("Q", (row.state for row in rows)),
            array("d", (_seconds(row.values[_UPLOADED]) for row in rows)),
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def rows(self) -> list[Row]:
        """Take it apart."""
        return [
            Row(values, state, self.searched[number], self.required[number])
            for number, (values, state) in enumerate(
                zip(self.values, self.states, strict=True)
            )
        ]

    def entry(self, number: int) -> DerivedEntry:
        """Return an entry."""
        return DerivedEntry(*self.values[number])

    def place(self, name: str) -> int | None:
        """Find a project; None: it is not in here."""
        at = bisect_left(self.names, name)
        return at if at < len(self) and self.names[at] == name else None

    def is_found(self, number: int, words: Sequence[tuple[bytes, bytes]]) -> bool:
        """Return whether a project has all words: each in its name or in its texts.

        :param words: as they would stand in the one, and in the other.
        """
        name, _, texts = self.searched[number].partition(_BEHIND_NAME)
        for in_name, in_text in words:  # twice as quick as all()
            if in_name not in name and in_text not in texts:
                return False
        return True

    def candidates(self, words: Sequence[tuple[bytes, bytes]]) -> Iterable[int]:
        """Return which can have all words: those that have the rarest."""
        in_name, in_text = rarest(words, self.searched.joined)
        found = self.searched.having(in_name)
        if in_name == in_text:
            return found
        return sorted({*found, *self.searched.having(in_text)})


@define(eq=False)
class Table:
    """All entries.

    :ivar edition: changes whenever they do.
    """

    edition: int = field(default=0, init=False)
    _blocks: list[Block] = field(factory=list, init=False)
    _firsts: list[NormalizedName] = field(factory=list, init=False)
    _count: int = field(default=0, init=False)
    _fresh: dict[str, Row] = field(factory=dict, init=False)

    @classmethod
    def building(cls, rows: Iterable[Row]) -> Steps[Table]:
        """Make one of many rows; those that are out of order are left out."""
        table, some = cls(), list[Row]()
        last = ""
        for row in rows:
            if row.name <= last:
                continue
            last = row.name
            if len(some) == BLOCK:
                table._append(some)
                some = []
                yield
            some.append(row)
        table._append(some)
        return table

    def _append(self, rows: Sequence[Row]) -> None:
        if rows:
            self._blocks.append(Block.of(rows))
            self._firsts.append(rows[0].name)
            self._count += len(rows)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str) -> DerivedEntry | None:
        """Find a project."""
        found = self._find_row(name)
        return None if found is None else DerivedEntry(*found[0])

    def is_of(self, name: str, etag: str) -> bool:
        """Return whether a project's entry is of that state of its manifest."""
        found = self._find_row(name)
        return found is not None and found[1] == _state(etag)

    def _find_row(self, name: str) -> tuple[tuple[Any, ...], int] | None:
        """Find a project's values and its state."""
        row = self._fresh.get(name)
        if row is not None:
            return row.values, row.state
        if self._blocks:
            block = self._blocks[self._block_of(name)]
            place = block.place(name)
            if place is not None:
                return block.values[place], block.states[place]
        return None

    def put(self, described: DescribedProject) -> None:
        """Add a project, or replace what was known of it."""
        self.edition += 1
        row = Row.of(described)
        self._count += self._find_row(row.name) is None
        self._fresh[row.name] = row
        if len(self._fresh) >= FRESH:
            self._settle()

    def _settle(self) -> None:
        """Bring what was put lately into its blocks; each is made anew once."""
        rows = deque(sorted(self._fresh.values(), key=lambda row: row.name))
        self._fresh.clear()
        while rows:
            at = self._block_of(rows[0].name)
            new = [rows.popleft()]
            while rows and self._block_of(rows[0].name) == at:
                new.append(rows.popleft())
            replaced = {row.name for row in new}
            there = self._blocks[at].rows if self._blocks else []
            new += (row for row in there if row.name not in replaced)
            self._replace(at, sorted(new, key=lambda row: row.name))

    def drop(self, name: str) -> None:
        """Forget a project, if it is there."""
        if name not in self:
            return
        self._settle()
        self.edition += 1
        self._count -= 1
        at = self._block_of(name)
        self._replace(at, [row for row in self._blocks[at].rows if row.name != name])

    def lacking(self, names: Container[str]) -> Steps[list[NormalizedName]]:
        """Return which projects are not among some names."""
        found: list[NormalizedName] = []
        for block in self.blocks:
            found += (name for name in block.names if name not in names)
            yield
        return found

    def beginning(self, prefix: str) -> Iterator[DerivedEntry]:
        """Give the entries of the names that begin so, in order."""
        self._settle()
        for block in self._blocks[self._block_of(prefix) :]:
            for at in range(bisect_left(block.names, prefix), len(block)):
                if not block.names[at].startswith(prefix):
                    return
                yield block.entry(at)

    def newest(self, limit: int, reads: Reads) -> Steps[tuple[NewestRelease, ...]]:
        """Find the newest releases of projects that somebody may read."""
        best: list[tuple[float, NormalizedName, DerivedEntry]] = []
        for block in sorted(self.blocks, key=lambda one: -max(one.uploaded)):
            for at, moment in enumerate(block.uploaded):
                if moment <= (best[0][0] if len(best) == limit else 0.0):
                    continue
                name = block.names[at]
                if reads(name):
                    add = heapreplace if len(best) == limit else heappush
                    add(best, (moment, name, block.entry(at)))
            yield
        return tuple(_newest(entry) for _, _, entry in sorted(best, reverse=True))

    def dependents(
        self, name: str, limit: int, reads: Reads
    ) -> Steps[tuple[DerivedEntry, ...]]:
        """Find the projects whose newest release requires one, by name."""
        found: list[DerivedEntry] = []
        word = f" {name} ".encode()
        for block in self.blocks:
            for at in block.required.having(word):
                if reads(block.names[at]):
                    found.append(block.entry(at))
                if len(found) == limit:
                    return tuple(found)
            yield
        return tuple(found)

    def count(self, reads: Reads) -> Steps[int]:
        """Count the projects that somebody may read."""
        count = 0
        for block in self.blocks:
            count += sum(map(reads, block.names))
            yield
        return count

    @property
    def blocks(self) -> Sequence[Block]:
        """All of it, as it is now, for who looks through it in pieces."""
        self._settle()
        return tuple(self._blocks)

    def _block_of(self, name: str) -> int:
        return max(0, bisect_right(self._firsts, name) - 1)

    def _replace(self, at: int, rows: list[Row]) -> None:
        half = len(rows) // 2
        parts = [rows] if len(rows) < 2 * BLOCK else [rows[:half], rows[half:]]
        self._blocks[at : at + 1] = [Block.of(part) for part in parts if part]
        self._firsts[at : at + 1] = [part[0].name for part in parts if part]


def rarest(words: Sequence[tuple[bytes, ...]], among: bytes) -> tuple[bytes, ...]:
    """Return which word is most seldom in a text, so that fewest lines are looked at.

    :param words: each in all of its forms.
    """
    if len(words) == 1:
        return words[0]
    for word in words:
        if not any(form in among for form in word):
            return word  # to count one that is often there takes longer
    return min(words, key=lambda word: sum(map(among.count, {*word})))


def _state(etag: str) -> int:
    return hash(etag) % 2**64


def _seconds(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


def _newest(entry: DerivedEntry) -> NewestRelease:
    assert entry.version is not None, "what was uploaded has a version"
    assert entry.uploaded is not None, "and a moment"
    return NewestRelease(
        entry.name, entry.version, entry.uploaded, entry.summary, entry.uploader
    )
