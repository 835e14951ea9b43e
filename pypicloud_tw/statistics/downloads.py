"""Counts what this server hands out, and knows what all servers did.

An increment is all that a download costs. What was counted is written every few minutes
to an object of this server's own, one for each day, so that no two servers write one;
what others have written is read now and then. The objects of a day that is over are
summed up, by one of the servers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Mapping
from datetime import UTC, date, datetime, time, timedelta
from secrets import token_hex
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from pypicloud_tw.errors import BadRequest, ObjectNotFound, PypicloudError
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.statistics.counts import (
    FOLDER,
    MAX_DAY,
    SUM,
    DayCounts,
    day_and_name,
    key_of,
    servers,
    summed,
)
from pypicloud_tw.store.interfaces import IObjectStore

#: Seconds between two writings: 144 a day, whatever is fetched.
FLUSH_EVERY = 600.0
#: Seconds between two readings of what others have written.
READ_EVERY = 3600.0
#: Files of a day that are counted one by one; more are counted together.
MOST_FILES = 200_000
#: What is counted beyond that.
OTHERS = "(others)"


@define(eq=False)
class CountedDownloads:
    """Counts downloads; see :class:`~.projects.affected.interface.IFetches`.

    :ivar keep: days that are remembered; older ones are removed from the store.
    :ivar counted: how many this server has counted.
    """

    store: IObjectStore
    offload: IOffload
    clock: IReactorTime
    keep: int = 90
    counted: int = field(default=0, init=False)
    # Another name for each time that a day begins: where a clock is set back to a day
    # that was written, its object must not be written over.
    _names: dict[str, str] = field(factory=dict, init=False)
    _own: dict[str, DayCounts] = field(factory=dict, init=False)
    _dirty: set[str] = field(factory=set, init=False)
    _sizes: Counter[str] = field(factory=Counter, init=False)
    _others: dict[str, DayCounts] = field(factory=dict, init=False)
    _etags: dict[str, str] = field(factory=dict, init=False)
    _read_at: float = field(default=float("-inf"), init=False)
    _working: Deferred[None] | None = field(default=None, init=False)
    _loop: LoopingCall | None = field(default=None, init=False)
    _log = Logger()

    def register(self, metrics: Metrics) -> None:
        """Have its counter shown."""
        metrics.read(
            "pypicloud_downloads",
            "Files handed out by this server",
            lambda: self.counted,
            counts=True,
        )

    def count(self, project: str, filename: str) -> None:
        """Count a file that is handed out; never fails."""
        self.counted += 1
        day = self._today()
        own = self._own.get(day) or self._begin(day)
        files = own.files.get(project)
        if files is None or filename not in files:
            if self._sizes[day] >= MOST_FILES:
                project = filename = OTHERS
            self._sizes[day] += 1
        own.add(project, filename)
        self._dirty.add(day)

    # See IFetches

    async def names(self, days: int) -> frozenset[str]:
        """Return the projects that were fetched within so many days."""
        found: set[str] = set()
        for counts in self._within(days):
            found.update(counts.files)
        return frozenset(found - {OTHERS})

    async def versions(self, name: str, days: int) -> Mapping[str, int]:
        """Return how often each version of a project was fetched within these days."""
        found: Counter[str] = Counter()
        for counts in self._within(days):
            for filename, count in counts.files.get(name, {}).items():
                version = _version(filename, name)
                if version is not None:
                    found[version] += count
        return found

    def last(self, name: str) -> Mapping[str, datetime]:
        """Return when each version of a project was fetched last, at the latest."""
        found: dict[str, datetime] = {}
        for held in (self._others, self._own):
            for day, counts in held.items():
                for filename in counts.files.get(name, ()):
                    version = _version(filename, name)
                    if version is not None:
                        end = _end_of(day)
                        found[version] = max(end, found.get(version, end))
        return found

    @property
    def since(self) -> datetime | None:
        """From when on all that was fetched is known; None: it is not known at all.

        Each server writes an object for each day, be it empty: of a day without one
        nobody has counted what was fetched. Of one that had too many files not all is
        known.
        """
        known = {*self._others, *self._own} - {
            day
            for held in (self._others, self._own)
            for day, counts in held.items()
            if OTHERS in counts.files
        }
        day = date.fromisoformat(self._today())
        if day.isoformat() not in known or self._read_at == float("-inf"):
            return None
        while (day - timedelta(days=1)).isoformat() in known:
            day -= timedelta(days=1)
        return datetime.combine(day, time(), UTC)

    # At work

    def start(self) -> None:
        """Begin to write and to read from time to time."""
        self._loop = LoopingCall(self.work)
        self._loop.clock = self.clock
        self._loop.start(FLUSH_EVERY, now=False)
        self._run(self._read_due())

    async def stop(self) -> None:
        """Write what is not yet written, and end."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        if self._working is not None:
            self._working.cancel()
        await self._flush()

    def work(self) -> Deferred[None]:
        """Write and read, if that is not under way."""
        if self._working is None:
            self._run(self._work())
        return self._working or succeed(None)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._working = Deferred.fromCoroutine(self._guarded(work))
        self._working.addBoth(self._worked)

    def _worked(self, result: object) -> None:
        self._working = None

    async def _work(self) -> None:
        """Write, and read if that is due; a day without downloads is written too."""
        today = self._today()
        if today not in self._own:
            self._begin(today)
        await self._flush()
        await self._read_due()

    async def _read_due(self) -> None:
        if self.clock.seconds() - self._read_at >= READ_EVERY:
            await self.read()

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

    async def _flush(self) -> None:
        """Write the days of which more was counted."""
        today = self._today()
        for day in sorted(self._dirty):
            try:
                await self._write(day)
            except PypicloudError as e:
                self._log.warn(
                    "Counts of downloads were not written, and are kept: {error}",
                    error=e.message,
                )
                return
        for day in [day for day in self._own if day < today]:
            self._close(day)

    def _begin(self, day: str) -> DayCounts:
        """Begin to count a day; that is written, be it zero."""
        self._names[day] = token_hex(8)
        self._dirty.add(day)
        own = self._own[day] = DayCounts()
        return own

    async def _write(self, day: str) -> None:
        """Write a day's object."""
        # First: what is counted meanwhile is to be written again.
        self._dirty.discard(day)
        try:
            data = await self.offload.in_thread(self._own[day].encode)
            await self.store.put(key_of(day, self._names[day]), data)
        except BaseException:  # cancelled, too
            self._dirty.add(day)
            raise

    def _close(self, day: str) -> None:
        """Let go of a day that is over and written: it is read as others' are."""
        own = self._own.pop(day)
        del self._names[day], self._sizes[day]
        if day in self._others:
            # Its object may have been listed already, and left out as one's own.
            self._others[day].add_all(own)
        self._read_at = float("-inf")

    async def read(self) -> None:
        """Read what all servers have written of the days that are remembered.

        :raises StoreError: the store is away.
        """
        first = self._first_day(self.keep)
        names: dict[str, list[str]] = {}
        async for info in self.store.list(FOLDER):
            found = day_and_name(info.key)
            if found is not None and found[0] >= first:
                names.setdefault(found[0], []).append(found[1])
                if self._etags.get(info.key) != info.etag:
                    self._others.pop(found[0], None)
                    self._etags[info.key] = info.etag
        for day in names:
            if day not in self._others:
                self._others[day] = await self._read_day(day, names[day])
        self._others = {d: c for d, c in self._others.items() if d in names}
        self._etags = {
            key: etag
            for key, etag in self._etags.items()
            if (found := day_and_name(key)) is not None and found[0] in names
        }
        self._read_at = self.clock.seconds()

    async def _read_day(self, day: str, names: list[str]) -> DayCounts:
        """Sum a day's objects up, without this server's own of what it has at hand."""
        objects = {}
        for name in names:
            if name == self._names.get(day):
                continue
            counts = await self._read_object(key_of(day, name))
            if counts is not None:
                objects[name] = counts
        return summed(objects)

    async def _read_object(self, key: str) -> DayCounts | None:
        try:
            stored = await self.store.get(key, limit=MAX_DAY)
        except ObjectNotFound:
            return None
        assert stored is not None, "an unconditional read gives bytes"
        try:
            return await self.offload.in_thread(DayCounts.decode, stored.data)
        except ValueError as e:
            self._log.warn("{key} is left out: {error}", key=key, error=str(e))
            return None

    async def sum_up(self) -> str:
        """Sum up the days that are over, and remove those that are too old.

        Ends at any point and done again it counts nothing twice: a sum says which
        objects it covers before these are removed.

        :return: what came of it, the rest of a sentence.
        :raises StoreError: the store is away.
        """
        names: dict[str, list[str]] = {}
        async for info in self.store.list(FOLDER):
            found = day_and_name(info.key)
            if found is not None:
                names.setdefault(found[0], []).append(found[1])
        first, last = self._first_day(self.keep), self._first_day(2)
        done = 0
        for day, present in sorted(names.items()):
            if day < first:
                for name in present:
                    await self.store.delete(key_of(day, name))
            # Of yesterday a server may still have to write.
            elif day < last and servers(present):
                await self._sum_day(day, present)
                done += 1
        return f"downloads of {done} days are summed up"

    async def _sum_day(self, day: str, present: list[str]) -> None:
        objects = {}
        for name in present:
            counts = await self._read_object(key_of(day, name))
            if counts is None:
                return  # damaged, or of a newer version: nothing is lost of it
            objects[name] = counts
        result = summed(objects)
        covered = frozenset(servers(present))
        result.covers = result.covers | covered
        data = await self.offload.in_thread(result.encode)
        await self.store.put(key_of(day, SUM), data)
        for name in sorted(covered):
            await self.store.delete(key_of(day, name))

    def _within(self, days: int) -> list[DayCounts]:
        first = self._first_day(days)
        kept = (self._others, self._own)
        return [counts for held in kept for day, counts in held.items() if day >= first]

    def _today(self) -> str:
        return _day(self.clock.seconds())

    def _first_day(self, days: int) -> str:
        today = date.fromisoformat(self._today())
        return (today - timedelta(days=days - 1)).isoformat()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _end_of(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), UTC)


def _version(filename: str, name: str) -> str | None:
    try:
        parsed = Filename.parse(filename, legacy=True, project=NormalizedName(name))
    except BadRequest:
        return None
    return None if parsed.version is None else str(parsed.version)
