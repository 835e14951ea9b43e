"""Counts what this server hands out, and knows what all servers did.

An increment is all that a download costs. What was counted is written from time to time
to an object of this server's own, one for each day, so that no two servers write one;
what others have written is read now and then. The objects of a day that is over are
summed up, by one of the servers.

Into a folder it is written each minute. Into a bucket, where each write costs money, a
few times an hour, and each minute into a journal on this machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.statistics.agents import LONGEST, client_of
from pypicloud_tw.statistics.counts import (
    OTHERS,
    day_of,
    days_before,
    end_of,
    start_of,
    version_of,
)
from pypicloud_tw.statistics.journaling import Journaling
from pypicloud_tw.statistics.own_day import OwnDay
from pypicloud_tw.statistics.stored import StoredCounts
from pypicloud_tw.statistics.summing import Summing
from pypicloud_tw.store.interfaces import IObjectStore

#: Seconds between two looks at what is to be written.
LOOK_EVERY = 60.0
#: Seconds between two writings to a folder, and to a bucket: 96 a day, whatever is
#: fetched.
FLUSH_FOLDER, FLUSH_BUCKET = 60.0, 900.0
#: Seconds between two readings of what others have written, and so many more for each
#: object that had changed: 48 reads a day at the most, of however many servers.
READ_EVERY, READ_PER_OBJECT = 3600.0, 1800.0
#: Projects that are looked at in a piece. Each has a few hundred counts.
_BATCH = 20
#: Kinds of clients that are remembered by what they send; each has a few hundred bytes.
REMEMBERED = 2048


def _remember() -> Callable[[bytes | None], str]:
    """Make what tells the key of a client: 0.1 us where it is remembered, else 8."""
    return lru_cache(REMEMBERED)(lambda agent: client_of(agent).key)


@define(eq=False)
class CountedDownloads:
    """Counts downloads; see :class:`~.projects.affected.interface.IFetches`.

    :ivar keep: days that are remembered; older ones are removed from the store.
    :ivar flush_every: seconds between two writings to the store.
    :ivar journaling: keeps on this machine what the store does not have yet; None:
        nothing does.
    :ivar counted: how many this server has counted.
    """

    store: IObjectStore
    offload: IOffload
    clock: IReactorTime
    keep: int = 90
    flush_every: float = FLUSH_FOLDER
    journaling: Journaling | None = None
    counted: int = field(default=0, init=False)
    stored: StoredCounts = field(init=False)
    _own: dict[str, OwnDay] = field(factory=dict, init=False)
    _client: Callable[[bytes | None], str] = field(factory=_remember, init=False)
    _flushed: float = field(default=float("-inf"), init=False)
    _read: float = field(default=float("-inf"), init=False)
    _read_every: float = field(default=READ_EVERY, init=False)
    _under_way: dict[str, Deferred[None]] = field(factory=dict, init=False)
    _since: tuple[object, datetime | None] = field(default=(None, None), init=False)
    _loop: LoopingCall | None = field(default=None, init=False)
    _log = Logger()

    @stored.default
    def _make_stored(self) -> StoredCounts:
        return StoredCounts(self.store, self.offload, Pieces(self.clock))

    def register(self, metrics: Metrics) -> None:
        """Have its counter shown."""
        metrics.read(
            "pypicloud_downloads",
            "Files handed out by this server",
            lambda: self.counted,
            counts=True,
        )

    def count(self, project: str, filename: str, agent: bytes | None = None) -> None:
        """Count a file that is handed out; never fails.

        :param agent: the client's User-Agent.
        """
        self.counted += 1
        day = self.today
        own = self._own.get(day) or self._begin(day)
        if agent is not None and len(agent) > LONGEST:
            agent = agent[:LONGEST]
        own.count(project, filename, self._client(agent))

    # See IFetches

    async def names(self, days: int) -> frozenset[str]:
        """Return the projects that were fetched within so many days."""
        return await self.stored.pieces.finish(self._names(days))

    def _names(self, days: int) -> Steps[frozenset[str]]:
        found: set[str] = set()
        for batch in batches(self.projects(), _BATCH):
            found.update(name for name in batch if any(self.files(name, days)))
            yield
        return frozenset(found)

    async def versions(self, name: str, days: int) -> Mapping[str, int]:
        """Return how often each version of a project was fetched within these days."""
        found: Counter[str] = Counter()
        version = cache(version_of)
        for _, filename, count in self.files(name, days):
            told = version(filename, name)
            if told is not None:
                found[told] += count
        return found

    def last(self, name: str) -> Mapping[str, datetime]:
        """Return when each version of a project was fetched last, at the latest."""
        found: dict[str, datetime] = {}
        version = cache(version_of)
        for day, filename, _ in self.files(name, self.keep):
            told = version(filename, name)
            if told is not None:
                end = end_of(day)
                found[told] = max(end, found.get(told, end))
        return {**self.stored.last(name), **found}

    @property
    def since(self) -> datetime | None:
        """From when on all that was fetched is known; None: it is not known at all.

        Each server writes an object for each day, be it empty: of a day without one
        nobody has counted what was fetched. Of one that had too many files not all is
        known. What is known of days that are removed stands in their month.
        """
        # It takes 3 ms of three years, and is asked for each project of a prune.
        own = tuple((one.day, one.counts.whole) for one in self._own.values())
        made_of = self.today, self.stored.revision, own
        if self.stored.is_changing or self._since[0] != made_of:
            self._since = made_of, self._find_since()
        return self._since[1]

    def _find_since(self) -> datetime | None:
        day = self.today
        if not self.knows(day):
            return None
        while self.knows(before := days_before(day, 1)):
            day = before
        return start_of(day)

    def knows(self, day: str) -> bool:
        """Whether all that was fetched on a day is known."""
        stored, own = self.stored, self._own.get(day)
        if not stored.is_read or (own is not None and not own.counts.whole):
            return False
        if stored.has(day) or day in stored.gaps:
            return stored.is_whole(day)
        in_month = stored.months.days.get(day)
        return own is not None or (in_month is not None and in_month.whole)

    def projects(self) -> set[str]:
        """Return the projects that were fetched on any day that is remembered."""
        found = self.stored.projects()
        return found.union(*(own.counts.files for own in self._own.values())) - {OTHERS}

    def files(self, project: str, days: int) -> Iterator[tuple[str, str, int]]:
        """Give day, filename and count of a project, within so many days."""
        first = self._first_day(days)
        yield from self.stored.files(project, first)
        for day, own in self._own.items():
            if day >= first:
                for name, count in own.counts.files.get(project, {}).items():
                    yield day, name, count

    def clients(self, project: str, days: int) -> Iterator[tuple[str, int]]:
        """Give the keys of clients that fetched a project, and how often."""
        first = self._first_day(days)
        for _, key, count in self.stored.clients(project, first):
            yield key, count
        for day, own in self._own.items():
            if day >= first:
                yield from own.counts.clients.get(project, {}).items()

    @property
    def today(self) -> str:
        """The day that is counted now."""
        return day_of(self.clock.seconds())

    def _first_day(self, days: int) -> str:
        """Return the first of so many days, the last of which is today."""
        return days_before(self.today, days - 1)

    # At work

    def start(self) -> None:
        """Begin to write and to read from time to time."""
        self._loop = LoopingCall(self.work)
        self._loop.clock = self.clock
        self._loop.start(LOOK_EVERY, now=False)
        self._flushed = self.clock.seconds()
        self._run("write", self._first())

    async def stop(self) -> None:
        """Write what is not yet written, and end."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        for name in ("write", "read"):
            if name in self._under_way:
                self._under_way[name].cancel()
        if "keep" in self._under_way:
            # Threads that write one file must not overtake each other.
            await self._under_way["keep"]
        if self.journaling is not None:
            await self.journaling.write(self._own.values())
        await self._flush()
        if self.journaling is not None:
            await self.journaling.stop(keep=self._is_dirty)

    def work(self) -> None:
        """Begin what is due and not under way; a day without downloads is written too.

        Each by itself: what is counted is kept while a store takes long to answer.
        """
        today = self.today
        if today not in self._own:
            self._begin(today)
        self._run("keep", self._keep())
        self._run("write", self._write_due())
        self._run("read", self._read_due())

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        if name in self._under_way:
            work.close()
            return
        ended = self._under_way[name] = Deferred.fromCoroutine(self._guarded(work))
        ended.addBoth(self._ended, name)

    def _ended(self, result: object, name: str) -> None:
        del self._under_way[name]

    async def _first(self) -> None:
        if self.journaling is not None:
            await self.journaling.take_over()
        self._run("read", self._read_due())

    async def _keep(self) -> None:
        if self.journaling is not None:
            await self.journaling.write(self._own.values())

    async def _write_due(self) -> None:
        if self.journaling is not None:
            await self.journaling.take_over()
        if self._is_over(self._flushed, self.flush_every):
            await self._flush()

    async def _read_due(self) -> None:
        if self._is_over(self._read, self._read_every):
            await self.read()

    def _is_over(self, since: float, seconds: float) -> bool:
        # Also where the clock was set back; looks come a little early or late.
        return not 0 <= self.clock.seconds() - since < seconds - LOOK_EVERY / 2

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except CancelledError:
            raise
        except PypicloudError as e:
            self._log.info("Counts of downloads wait: {error}", error=e.message)
        except Exception:
            # Nobody's download fails for what is counted.
            self._log.failure("Counting downloads failed")

    @property
    def _is_dirty(self) -> bool:
        return any(own.stored != own.changes for own in self._own.values())

    async def _flush(self) -> None:
        """Write the days of which more was counted."""
        now, today = self.clock.seconds(), self.today
        for day, own in sorted(self._own.items()):
            try:
                if own.stored != own.changes:
                    await self._write(own)
            except PypicloudError as e:
                self._log.warn(
                    "Counts of downloads were not written, and are kept: {error}",
                    error=e.message,
                )
                return
            is_over = day < today and own.stored == own.changes
            # Who reads the store leaves out what is at hand here.
            if is_over and not self.stored.is_changing:
                await self._close(own)
        self._flushed = now

    def _begin(self, day: str) -> OwnDay:
        """Begin to count a day; that is written, be it zero."""
        own = self._own[day] = OwnDay(day)
        return own

    async def _write(self, own: OwnDay) -> None:
        """Write a day's object."""
        # First: what is counted meanwhile is to be written again.
        changes = own.changes
        data = await self.offload.in_thread(own.counts.encode)
        if self.journaling is not None:
            # First: what it has takes the place of what the store has.
            await self.journaling.keep(own, data, changes)
        own.etag = (await self.store.put(own.key, data)).etag
        own.stored = changes

    async def _close(self, own: OwnDay) -> None:
        """Let go of a day that is over and written: it is kept as others' are."""
        del self._own[own.day]
        self.stored.note(own.day, own.name, own.etag, own.counts)
        if self.journaling is not None:
            await self.journaling.drop(own)

    async def read(self) -> None:
        """Read what all servers have written of the days that are remembered.

        :raises StoreError: the store is away.
        """
        changed = await self.stored.read(
            self._first_day(self.keep), lambda: {own.key for own in self._own.values()}
        )
        self._read_every = max(READ_EVERY, changed * READ_PER_OBJECT)
        self._read = self.clock.seconds()

    async def sum_up(self) -> str:
        """Sum up the days that are over; see :class:`Summing`.

        :return: what came of it, the rest of a sentence.
        :raises StoreError: the store is away.
        """
        summing = Summing(self.store, self.offload, self.keep)
        return await summing.sum_up(self.today)
