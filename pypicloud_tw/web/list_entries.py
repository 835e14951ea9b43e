"""The entries of the lists of projects, kept in batches from one list to the next.

Where one project of 100,000 is added, one batch is written anew; the others are the
very tuples that they were, and have their entries.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Sequence

from attrs import define, field

from pypicloud_tw.concurrency.steps import batches
from pypicloud_tw.index.changelog import Changelog
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.web.simple import html_entries, json_entries, with_serials

Names = Sequence[NormalizedName]
Batch = tuple[NormalizedName, ...]

#: Names of a batch: two milliseconds at worst. With twice as many it is taken apart.
BATCH = 250

#: Bytes of a batch's object beside its entries.
_OVERHEAD = 200


def regrouped(own: Names, kept: Names, before: Sequence[Batch]) -> Iterator[Batch]:
    """Group names, each once; those of a batch to which none came are that batch.

    :param own: sorted, as *kept* is.
    :param before: the batches of the list before.
    """
    bounds = [batch[0] for batch in before[1:]]
    if not before:
        bounds = list(max(own, kept, key=len)[BATCH::BATCH])
    mine, theirs = _cut(own, bounds), _cut(kept, bounds)
    for number, (some, others) in enumerate(zip(mine, theirs, strict=True)):
        batch = tuple(sorted({*some, *others})) if others else tuple(some)
        if before and batch == before[number]:
            yield before[number]
        elif len(batch) < 2 * BATCH:
            if batch:
                yield batch
        else:
            yield from map(tuple, batches(batch, BATCH))


def _cut(names: Names, bounds: Sequence[NormalizedName]) -> Iterator[Names]:
    begin = 0
    for bound in bounds:
        end = bisect_left(names, bound, begin)
        yield names[begin:end]
        begin = end
    yield names[begin:]


@define
class Entries:
    """The entries of one form of the list, for all who may read the same.

    :ivar is_json: in JSON, with places for serials; else in HTML.
    """

    is_json: bool
    _by_batch: dict[Batch, bytes] = field(factory=dict, repr=False)

    @property
    def weight(self) -> int:
        """Bytes of memory, about."""
        return sum(len(text) + _OVERHEAD for text in self._by_batch.values())

    def of(self, batch: Batch) -> bytes | None:
        """Return a batch's entries, if they are known."""
        return self._by_batch.get(batch)

    def write(
        self, batch: Batch, allowed: Names, strangers: Container[NormalizedName]
    ) -> bytes:
        """Write a batch's entries, and keep them.

        :param allowed: those of the batch that may be read.
        :param strangers: those that have no serial.
        """
        text = (
            json_entries(allowed, strangers) if self.is_json else html_entries(allowed)
        )
        self._by_batch[batch] = text
        return text

    def forget_others(self, current: Iterable[Batch]) -> None:
        """Forget the batches of lists before."""
        known = self._by_batch
        self._by_batch = {batch: known[batch] for batch in current if batch in known}


@define
class Serials:
    """Puts the projects' serials into their entries."""

    changelog: Changelog
    _recent: dict[Batch, list[tuple[str, int]]] = field(init=False, factory=dict)

    @classmethod
    def over(cls, changelog: Changelog, current: Sequence[Batch]) -> Serials:
        """Find the batches of what changed lately."""
        serials = cls(changelog)
        bounds = [batch[0] for batch in current[1:]]
        for name, serial in changelog.latest if current else ():
            batch = current[bisect_right(bounds, name)]
            serials._recent.setdefault(batch, []).append((name, serial))
        return serials

    def into(self, batch: Batch, entries: bytes) -> bytes:
        """Return a batch's entries with their serials."""
        floor = self.changelog.floor
        return with_serials(entries, floor, self._recent.get(batch, ()))
