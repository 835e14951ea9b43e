"""What all servers have counted, as it was last read from the store."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from attrs import define, field
from twisted.logger import Logger

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.statistics.archive import Archive
from pypicloud_tw.statistics.counts import (
    FOLDER,
    MAX_DAY,
    OTHERS,
    SUM,
    DayCounts,
    counting,
    day_and_name,
    end_of,
    key_of,
)
from pypicloud_tw.statistics.months import (
    KEPT,
    DayInMonth,
    MonthCounts,
    month_key,
    month_number,
    month_of,
    month_of_key,
    months_before,
    numbered_month,
)
from pypicloud_tw.store.interfaces import IObjectStore

T = TypeVar("T")

#: Projects of a month that are taken in a piece.
_BATCH = 250


@define
class Listing:
    """The objects of the counts, with their ETags.

    :ivar days: by name, by day.
    :ivar months: by month.
    """

    days: dict[str, dict[str, str]] = field(factory=dict)
    months: dict[str, str] = field(factory=dict)

    @classmethod
    async def of(cls, store: IObjectStore) -> Listing:
        """List them.

        :raises StoreError: the store is away.
        """
        found = cls()
        async for info in store.list(FOLDER):
            month = month_of_key(info.key)
            if month is not None:
                found.months[month] = info.etag
            elif (parts := day_and_name(info.key)) is not None:
                day, name = parts
                found.days.setdefault(day, {})[name] = info.etag
        return found


@define(eq=False)
class Months:
    """What is held of months: of each project how often, of each version when last.

    :ivar days: every day that is in one of them.
    :ivar totals: fetches by month.
    """

    days: dict[str, DayInMonth] = field(factory=dict, init=False)
    totals: dict[str, int] = field(factory=dict, init=False)
    # Pairs of a month's number and a count: 16 bytes in place of a dictionary's 100.
    _projects: dict[str, array[int]] = field(factory=dict, init=False)
    _last: dict[str, dict[str, str]] = field(factory=dict, init=False)

    def take(self, month: str, counts: MonthCounts) -> Steps[None]:
        """Take a month, in place of what it was before."""
        self.days = {d: one for d, one in self.days.items() if month_of(d) != month}
        self.days |= counts.days
        self.totals[month] = sum(day.fetches for day in counts.days.values())
        number = month_number(month)
        for batch in batches(counts.versions.items(), _BATCH):
            for project, versions in batch:
                self._take(project, number, sum(versions.values()))
                last = self._last.setdefault(project, {})
                for version in versions:
                    last[version] = max(month, last.get(version, month))
            yield

    def _take(self, project: str, number: int, fetches: int) -> None:
        kept = self._projects.setdefault(project, array("Q"))
        for at in range(0, len(kept), 2):
            if kept[at] == number:
                kept[at + 1] = fetches
                return
        kept.extend((number, fetches))

    def of(self, project: str) -> Mapping[str, int]:
        """Return how often a project was fetched, by month."""
        kept = self._projects.get(project, ())
        return {numbered_month(kept[at]): kept[at + 1] for at in range(0, len(kept), 2)}

    def projects(self) -> list[str]:
        """Return those that were fetched in any of them."""
        return [project for project in self._projects if project != OTHERS]

    def last(self, project: str) -> Mapping[str, str]:
        """Return the month in which each version of a project was fetched last."""
        return self._last.get(project, {})


@define(eq=False)
class StoredCounts:
    """What all servers have written, but for what this one has at hand itself.

    Days that are summed up are in an archive; few are not.

    :ivar days: of each of those the counts that are to be added up.
    :ivar gaps: days of which not all could be read.
    :ivar is_read: whether it was ever read to its end.
    :ivar is_changing: whether it is being read.
    :ivar revision: another number after each change.
    """

    store: IObjectStore
    offload: IOffload
    pieces: Pieces
    days: dict[str, tuple[DayCounts, ...]] = field(factory=dict, init=False)
    archive: Archive = field(factory=Archive, init=False)
    months: Months = field(factory=Months, init=False)
    gaps: set[str] = field(factory=set, init=False)
    is_read: bool = field(default=False, init=False)
    is_changing: bool = field(default=False, init=False)
    revision: int = field(default=0, init=False)
    _parts: dict[str, dict[str, DayCounts]] = field(factory=dict, init=False)
    _etags: dict[str, str] = field(factory=dict, init=False)
    _ends: dict[str, datetime] = field(factory=dict, init=False)
    _log = Logger()

    async def read(self, first: str, own: Callable[[], Collection[str]]) -> int:
        """Read what is new, and return of how many objects.

        :param first: the first day that is remembered.
        :param own: tells the keys of objects that are known better than the store has
            them; of those that are written meanwhile, too.
        :raises StoreError: the store is away.
        """
        self.is_changing = True
        try:
            return await self._read(first, own)
        finally:
            self.is_changing = False
            self.revision += 1

    async def _read(self, first: str, own: Callable[[], Collection[str]]) -> int:
        listing = await Listing.of(self.store)
        ours = own()  # now: none that is in the list has begun since
        known, count = len(self._etags), 0
        for day, names in listing.days.items():
            if day >= first:
                count += await self._read_day(day, names, ours)
        last = max(listing.months, default="")
        for month, etag in listing.months.items():
            if last and month > months_before(last, KEPT):
                count += await self._read_month(month, etag)
        self._forget(listing, first)
        await self.pieces.finish(self.archive.tidy())
        self.is_read = True
        return count if known else 0

    def note(self, day: str, name: str, etag: str | None, counts: DayCounts) -> None:
        """Take what this server has counted on a day that it lets go of."""
        parts = {**self._parts.get(day, {}), name: counts}
        self._parts[day], self.days[day] = parts, counting(parts)
        self.revision += 1
        if etag is not None:
            self._etags[key_of(day, name)] = etag

    async def _read_day(
        self, day: str, names: Mapping[str, str], own: Collection[str]
    ) -> int:
        if day in self.archive:
            if (
                names.keys() == {SUM}
                and self._etags.get(key_of(day, SUM)) == names[SUM]
            ):
                return 0
            self._etags.pop(key_of(day, SUM), None)
        before, count = self._parts.get(day, {}), 0
        parts: dict[str, DayCounts] = {}
        self.gaps.discard(day)
        for name, etag in names.items():
            key = key_of(day, name)
            if key in own:
                continue
            if name in before and self._etags.get(key) == etag:
                parts[name] = before[name]
                continue
            if self._etags.get(key) == etag:
                self.gaps.add(day)  # damaged when it was read
                continue
            count += 1
            counts = await read_day(self.store, self.offload, key, self._log)
            if counts is not None:
                parts[name] = counts
            else:
                self.gaps.add(day)
            self._etags[key] = etag
        if parts and names.keys() == {SUM}:
            await self.pieces.finish(self.archive.take(day, parts[SUM]))
            self._parts.pop(day, None)
            self.days.pop(day, None)
        elif parts and (parts.keys() != before.keys() or count):
            self._parts[day], self.days[day] = parts, counting(parts)
            self.archive.drop(day)
        return count

    async def _read_month(self, month: str, etag: str) -> int:
        key = month_key(month)
        if self._etags.get(key) == etag:
            return 0
        counts = await read_month(self.store, self.offload, month, self._log)
        if counts is not None:
            await self.pieces.finish(self.months.take(month, counts))
        self._etags[key] = etag
        return 1

    def _forget(self, listing: Listing, first: str) -> None:
        """Let go of what is not there any more, or too old."""
        there = {day for day in listing.days if day >= first}
        self.days = {d: c for d, c in self.days.items() if d in there}
        self._parts = {d: p for d, p in self._parts.items() if d in there}
        keys = {key_of(d, n) for d in there for n in listing.days.get(d, ())}
        keys |= set(map(month_key, listing.months))
        self._etags = {k: e for k, e in self._etags.items() if k in keys}
        self.gaps &= there
        for day in [day for day in self.archive if day not in there]:
            self.archive.drop(day)
        self._ends = {month: self._end(month) for month in self.months.totals}

    def _end(self, month: str) -> datetime:
        """Return the end of a month, as far as its days are not at hand."""
        days = [day for day in self.months.days if month_of(day) == month]
        gone = [day for day in days if not self.has(day)]
        return end_of(max(gone or days, default=f"{month}-01"))

    def has(self, day: str) -> bool:
        """Whether a day is at hand."""
        return day in self.days or day in self.archive

    def is_whole(self, day: str) -> bool:
        """Whether all that was fetched on a day that is at hand is known."""
        if day in self.gaps:
            return False
        loose = self.days.get(day)
        if loose is None:
            return self.archive.is_whole(day)
        return all(counts.whole for counts in loose)

    def projects(self) -> set[str]:
        """Return the projects that were fetched on any day."""
        return set(self.archive.projects()).union(
            *(counts.files for loose in self.days.values() for counts in loose)
        )

    def files(self, project: str, first: str) -> Iterator[tuple[str, str, int]]:
        """Give day, filename and count of a project, since a day."""
        yield from self.archive.files(project, first)
        for day, counts in self._loose(first):
            for name, count in counts.files.get(project, {}).items():
                yield day, name, count

    def clients(self, project: str, first: str) -> Iterator[tuple[str, str, int]]:
        """Give day, key of a client and count of a project, since a day."""
        yield from self.archive.clients(project, first)
        for day, counts in self._loose(first):
            for key, count in counts.clients.get(project, {}).items():
                yield day, key, count

    def _loose(self, first: str) -> Iterator[tuple[str, DayCounts]]:
        """Give the counts of days that are not summed up."""
        for day, loose in self.days.items():
            if day >= first:
                for counts in loose:
                    yield day, counts

    def last(self, project: str) -> Mapping[str, datetime]:
        """Return by when at the latest each version was fetched, by the months alone.

        What was fetched on the days that are at hand is told by these.
        """
        last = self.months.last(project)
        return {version: self._ends[month] for version, month in last.items()}


async def read_day(
    store: IObjectStore, offload: IOffload, key: str, log: Logger
) -> DayCounts | None:
    """Read a day's object; None: it is gone, damaged, or of a newer version."""
    return await _read(store, offload, key, DayCounts.decode, log)


async def read_month(
    store: IObjectStore, offload: IOffload, month: str, log: Logger
) -> MonthCounts | None:
    """Read a month; None: as of :func:`read_day`."""
    return await _read(store, offload, month_key(month), MonthCounts.decode, log)


async def _read(
    store: IObjectStore,
    offload: IOffload,
    key: str,
    decode: Callable[[bytes], T | None],
    log: Logger,
) -> T | None:
    try:
        stored = await store.get(key, limit=MAX_DAY)
    except ObjectNotFound:
        return None
    assert stored is not None, "an unconditional read gives bytes"
    try:
        return await offload.in_thread(decode, stored.data)
    except ValueError as e:
        log.warn("{key} is left out: {error}", key=key, error=str(e))
        return None
