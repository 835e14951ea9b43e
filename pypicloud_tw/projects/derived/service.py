"""Keeps the entries of all projects up, in memory and in the store.

Whoever changes a project describes it anew when that is done, and writes its shard.
Another server hears of it by the marker, waits for a moment, and reads the shard: one
request, for however many projects of it. What it does not find there, because the
writer ended before it could, it describes itself. What nobody was told of is found by
comparing the ETags of the manifests with those of the entries: at the start, where the
marker was lost, and once an hour.

Nobody waits for any of this, and nothing fails for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from random import Random

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.outages import Outages
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.errors import (
    AmbiguousWrite,
    ManifestDamaged,
    NotFound,
    PreconditionFailed,
    PypicloudError,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.marker import is_project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.watch import NEVER
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.projects.derived.describing import Describer
from pypicloud_tw.projects.derived.near import near_names
from pypicloud_tw.projects.derived.shards import (
    SHARDS,
    Shard,
    Shards,
    decode_entry,
    merging,
    shard_key,
    shard_of,
)
from pypicloud_tw.projects.derived.table import Row, Table
from pypicloud_tw.projects.derived.values import (
    DerivedEntry,
    DescribedProject,
    NewestRelease,
    Reads,
)
from pypicloud_tw.projects.derived.waiting import Waiting, Wanted

#: Seconds between two looks at what is to be done. What changes meanwhile is written
#: together.
WORK_EVERY = 3.0
#: Seconds for which a change of another server's is left to that.
OTHERS_PATIENCE = 10.0
#: Seconds after which the marker is asked though nobody asked for a page.
POLL_EVERY = 20.0
#: Seconds between two comparisons with the manifests, and between those that a marker
#: asks for.
COMPARE_EVERY, COMPARE_AT_LEAST = 3600.0, 30.0
#: Seconds after a failure.
PAUSE = 30.0

#: Projects that a server describes at once, and a command, for which somebody waits;
#: shards that are read.
AT_ONCE, COMMAND_AT_ONCE, SHARDS_AT_ONCE = 4, 16, 8

#: Tries to write a shard that others write too.
ATTEMPTS = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0

#: Names of a listing after which everybody else has a turn: 3 ms.
_LISTED = 1000

#: Seconds for which a number of projects is shown; readers for whom it is remembered.
_COUNTED_FOR, _COUNTED = 60.0, 256


def _ignore(name: NormalizedName, why: str) -> None:
    """Tell nobody."""


@frozen
class Rebuilt:
    """What came of describing every project.

    :ivar described: how many were.
    :ivar unreadable: those that could not be read, and why.
    :ivar left: keys of a newer version's shards, which stay as they are.
    """

    described: int
    unreadable: tuple[tuple[NormalizedName, str], ...]
    left: tuple[str, ...]


@define(eq=False)
class DerivedProjects:
    """What is known of all projects of an index at once.

    What is asked for is answered from memory.

    :ivar writes: whether what is found out is written into the store.
    :ivar at_once: projects that are described side by side.
    :ivar loaded: what the store has was read since the start.
    """

    index: Index
    writes: bool = True
    at_once: int = AT_ONCE
    random: Random = field(factory=Random)
    table: Table = field(factory=Table, init=False)
    loaded: bool = field(default=False, init=False)
    pieces: Pieces = field(init=False)
    _describer: Describer = field(init=False)
    _shards: Shards = field(init=False)
    _outages: Outages = field(init=False)
    _counts: Cache[Reads, int] = field(factory=lambda: Cache(_COUNTED), init=False)
    _counted: float = field(default=NEVER, init=False)
    _waiting: Waiting = field(init=False)
    _lacking: (
        tuple[tuple[NormalizedName, ...], Table, int, list[NormalizedName]] | None
    ) = field(default=None, init=False)
    _unwritten: set[int] = field(factory=set, init=False)
    _compare_soon: bool = field(default=True, init=False)
    _compared: float = field(default=NEVER, init=False)
    _not_before: float = field(default=NEVER, init=False)
    _polled: float = field(default=NEVER, init=False)
    _loop: LoopingCall | None = field(default=None, init=False)
    _working: Deferred[None] | None = field(default=None, init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        index, clock = self.index, self.index.clock
        offload = index.publisher.offload
        self.pieces = Pieces(clock)
        self._waiting = Waiting(self.random.randrange(SHARDS))
        self._describer = Describer(index.store, index.manifests, offload)
        self._shards = Shards(index.store, offload)
        self._outages = Outages("Keeping up", clock.seconds, self._log)
        index.watch.subscribe(self._hear)
        index.watch.subscribe_own(self._note)

    def register(self, metrics: Metrics) -> None:
        """Have its numbers shown."""
        metrics.read(
            "pypicloud_derived_projects",
            "Projects that searches and pages know",
            lambda: len(self.table),
            together="max",
        )
        metrics.read(
            "pypicloud_derived_waiting",
            "Projects that changed, and are to be described anew",
            lambda: len(self._waiting),
            together="max",
        )
        metrics.read(
            "pypicloud_derived_compared_timestamp_seconds",
            "When these were compared with the store last; 0: never",
            lambda: max(0.0, self._compared),
            together="min",
        )

    # -- what is asked ---------------------------------------------------------------

    def entry(self, name: str) -> DerivedEntry | None:
        """Return what is known of a project; None: it is not here, or not known yet."""
        return self.table.get(name)

    async def newest(self, limit: int, reads: Reads) -> tuple[NewestRelease, ...]:
        """Return the newest releases of projects that somebody may read.

        Of each project its newest release counts, by when it was uploaded.
        """
        return await self.pieces.finish(self.table.newest(limit, reads))

    async def dependents(
        self, name: str, limit: int, reads: Reads
    ) -> tuple[DerivedEntry, ...]:
        """Return the projects whose newest release requires one, by name."""
        return await self.pieces.finish(self.table.dependents(name, limit, reads))

    async def total(self, reads: Reads) -> int:
        """Return how many projects somebody may read; it may be a minute old."""
        now = self.index.clock.seconds()
        if not 0 <= now - self._counted < _COUNTED_FOR:
            # All at once: the keys may be readers under rules of long ago.
            self._counts.clear()
            self._counted = now
        known = self._counts.get(reads)
        if known is None:
            known = await self.pieces.finish(self.table.count(reads))
            # Where nothing is known yet, as at the start, more will be in a moment.
            if len(self.table):
                self._counts.put(reads, known)
        return known

    def near(self, name: str, limit: int, reads: Reads) -> tuple[NormalizedName, ...]:
        """Return names that somebody may read and that are like one, best first."""
        return near_names(self.table, name, limit, reads)

    def unknown(self, names: tuple[NormalizedName, ...]) -> Steps[list[NormalizedName]]:
        """Return which projects of the index have no entry, sorted.

        :param names: all of them; the same tuple while nothing changed.
        """
        known, edition, table = self._lacking, self.table.edition, self.table
        if known is None or known[0] is not names or known[1:3] != (table, edition):
            left = set(names)
            for block in table.blocks:
                left.difference_update(block.names)
                yield
            known = self._lacking = (names, table, edition, sorted(left))
        return known[3]

    # -- at work ---------------------------------------------------------------------

    def start(self) -> None:
        """Begin to keep it up."""
        self._loop = LoopingCall(self.work)
        self._loop.clock = self.index.clock
        self._loop.start(WORK_EVERY)

    def stop(self) -> None:
        """End; what was not done another server does, or the next start."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        if self._working is not None:
            self._working.cancel()

    def work(self) -> None:
        """Do what is to be done, if that is not under way."""
        if self._working is None:
            working = Deferred.fromCoroutine(self._guarded())
            if not working.called:
                self._working = working.addBoth(self._worked)

    def _worked(self, result: object) -> None:
        self._working = None

    async def _guarded(self) -> None:
        now = self.index.clock.seconds()
        if 0 < self._not_before - now <= PAUSE:
            return
        try:
            await self.catch_up()
        except CancelledError:
            return
        except PypicloudError as e:
            self._outages.failed("what is searched", e.message)
            self._not_before = self.index.clock.seconds() + PAUSE
        except Exception:
            # Nobody's upload or page fails for what is searched.
            self._log.failure("Keeping up what is searched failed")
            self._not_before = self.index.clock.seconds() + PAUSE
        else:
            self._outages.succeeded("what is searched")

    async def catch_up(self) -> None:
        """Read what the store has, and bring up what differs; all that is due.

        :raises StoreError: the store is away.
        """
        if not self.loaded:
            await self._load()
        while True:
            await self._poll()
            if self._is_compare_due():
                await self._compare()
            due = self._waiting.next(self.index.clock.seconds())
            if due is None:
                return
            await self._bring_up(*due)
            self._waiting.done(*due)

    def _hear(self, news: set[str] | None) -> None:
        """Take up what the marker says has changed."""
        if news is None:
            self._compare_soon = True
            return
        changelog = self.index.watch.changelog
        due = self.index.clock.seconds() + OTHERS_PATIENCE
        for name in map(NormalizedName, filter(is_project, news)):
            self._waiting.add(name, Wanted(due, serial=changelog.of(name)))

    def _note(self, entry: str) -> None:
        """Take up what this server changed."""
        if is_project(entry):
            now = self.index.clock.seconds()
            self._waiting.add(NormalizedName(entry), Wanted(now))

    async def _poll(self) -> None:
        """Ask the marker, where no page was asked for lately."""
        now = self.index.clock.seconds()
        if self.index.watch.fresh or 0 <= now - self._polled < POLL_EVERY:
            return
        await self.index.watch.freshen()
        self._polled = now

    # -- from the store --------------------------------------------------------------

    async def _load(self) -> None:
        """Read all shards; what is damaged is made again."""
        queue = deque(await self._shards.numbers())
        shards: list[Shard] = []

        async def work() -> None:
            while queue:
                shards.append(await self._shards.read(queue.popleft()))
                self._tell(shards[-1])

        await side_by_side(SHARDS_AT_ONCE, work, queue)
        rows = merge(*map(_rows, shards), key=lambda row: row.name)
        self.table = await self.pieces.finish(Table.building(rows))
        self.loaded = True

    def _tell(self, shard: Shard) -> None:
        key = shard_key(shard.number)
        if shard.state == "damaged":
            self._log.warn(
                "{key} is damaged. What was in it is made again of the manifests.",
                key=key,
            )
        if shard.state == "newer":
            self._log.warn(
                "{key} is of a newer version, and left as it is. What is in it is made "
                "of the manifests at each start.",
                key=key,
            )

    def _is_compare_due(self) -> bool:
        age = self.index.clock.seconds() - self._compared
        at_least = COMPARE_AT_LEAST if self._compare_soon else COMPARE_EVERY
        return not 0 <= age < at_least

    async def _compare(self) -> None:
        """Find the projects whose entries are of another state than the store has.

        :raises StoreError: the store is away.
        """
        now = self.index.clock.seconds()
        self._compare_soon, soon = False, True
        listed: set[str] = set()
        try:
            async for name, info in self.index.manifests.names():
                listed.add(name)
                if not self.table.is_of(name, info.etag):
                    self._waiting.add(name, Wanted(now, etag=info.etag))
                if len(listed) % _LISTED == 0:
                    await deferLater(self.index.clock, 0, lambda: None)
            soon = False
        finally:
            self._compare_soon = self._compare_soon or soon
        # Those that have lost their manifest cannot be shown.
        for name in await self.pieces.finish(self.table.lacking(listed)):
            self.table.drop(name)
        self._compared = now

    # -- bringing up -----------------------------------------------------------------

    async def _bring_up(
        self, number: int, wanted: Mapping[NormalizedName, Wanted]
    ) -> None:
        """Take what others have written of a shard, and make and write the rest."""
        shard = await self._shards.read(number)
        met = await self.pieces.finish(self._taking(shard, wanted))
        missing = [name for name in wanted if name not in met]
        if shard.state in ("absent", "damaged") and number not in self._unwritten:
            self._tell(shard)
            others = await self.pieces.finish(_of_shard(self.table, number))
            missing = list({*missing, *others})
        await self._write(shard, await self._describe(missing))

    def _taking(
        self, shard: Shard, wanted: Mapping[NormalizedName, Wanted]
    ) -> Steps[frozenset[str]]:
        """Take what others have written as it is wanted; return whose that is."""
        met = set()
        for found in shard.entries(wanted):
            if wanted[found.entry.name].is_met_by(found):
                self.table.put(found)
                met.add(found.entry.name)
            yield
        return frozenset(met)

    async def _describe(
        self,
        names: list[NormalizedName],
        unreadable: Callable[[NormalizedName, str], None] = _ignore,
    ) -> list[DescribedProject]:
        """Describe projects, some at a time, and know them.

        :param unreadable: told of those that cannot be, and why. What was known of one
            is kept; its page says what is wrong.
        :raises StoreError: the store is away.
        """
        queue, found = deque(names), list[DescribedProject]()

        async def work() -> None:
            while queue:
                name = queue.popleft()
                try:
                    described = await self._describer.describe(name)
                except (NotFound, ManifestDamaged) as e:
                    unreadable(name, e.message)
                except StoreError as e:
                    # One object that cannot be read is no outage.
                    await self.index.store.ping()
                    unreadable(name, e.message)
                else:
                    self.table.put(described)
                    found.append(described)

        await side_by_side(self.at_once, work, queue)
        return found

    async def _write(self, shard: Shard, described: list[DescribedProject]) -> None:
        """Write what was described, unless another has the store for itself.

        What is not written is known here all the same; others, and the next start, find
        that the shard lacks it.
        """
        if not self.writes or not described or shard.state == "newer":
            return
        self._unwritten.add(shard.number)
        try:
            await self._merge(shard, described)
            self._unwritten.discard(shard.number)
        except StoreError as e:
            self._log.warn(
                "{key} was not written, and others make what it lacks: {error}",
                key=shard_key(shard.number),
                error=e.message,
            )
        except Unavailable:
            return  # it is another's to write, who hears of the change

    async def _merge(self, shard: Shard, described: list[DescribedProject]) -> None:
        for attempt in range(ATTEMPTS):
            if attempt:
                ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
                pause = self.random.uniform(0, ceiling)
                await deferLater(self.index.clock, pause, lambda: None)
                shard = await self._shards.read(shard.number)
            self.index.standing.check()
            if shard.state == "newer":
                return
            written = await self.pieces.finish(merging(shard, described))
            try:
                await self._shards.write(shard, written)
            except (PreconditionFailed, AmbiguousWrite):
                continue  # what is there by now tells what is left to write
            return
        raise StoreError("Too many writers change it at once.")

    async def rebuild(
        self, report: Callable[[int], None] = lambda described: None
    ) -> Rebuilt:
        """Write all shards anew, of the manifests alone.

        :param report: told how many projects are described.
        :raises Unavailable: another process alone may write.
        :raises StoreError: the store is away.
        """
        by_shard: dict[int, list[NormalizedName]] = {n: [] for n in range(SHARDS)}
        async for name, _ in self.index.manifests.names():
            by_shard[shard_of(name)].append(name)
        count = 0
        unreadable: list[tuple[NormalizedName, str]] = []
        left: list[str] = []

        def tell(name: NormalizedName, why: str) -> None:
            unreadable.append((name, why))

        for number, names in by_shard.items():
            shard = await self._shards.read(number)
            if shard.state == "newer":
                left.append(shard_key(number))
                continue
            if not names and shard.state == "absent":
                continue
            described = await self._describe(names, tell)
            await self._replace(shard, described)
            count += len(described)
            report(count)
        return Rebuilt(count, tuple(sorted(unreadable)), tuple(left))

    async def _replace(self, shard: Shard, described: list[DescribedProject]) -> None:
        """Write a shard without what was in it, but for what others add meanwhile."""
        self.index.standing.check()
        written = await self.pieces.finish(
            merging(Shard(shard.number, "absent"), described)
        )
        try:
            await self._shards.write(shard, written)
        except (PreconditionFailed, AmbiguousWrite):
            await self._merge(await self._shards.read(shard.number), described)


def _rows(shard: Shard) -> Iterator[Row]:
    """Read the entries of a shard, one by one: all of them are many."""
    for name, line in shard.lines():
        described = decode_entry(name, line)
        if described is not None:
            yield Row.of(described)


def _of_shard(table: Table, number: int) -> Steps[list[NormalizedName]]:
    found: list[NormalizedName] = []
    for block in table.blocks:
        found += (name for name in block.names if shard_of(name) == number)
        yield
    return found
