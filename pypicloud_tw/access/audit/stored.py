"""Records in the store, so that they survive the machine.

``.audit/{day}/{server}/{hhmmss}-{number}.jsonl``, by the clock of the server that wrote
them, in UTC. Only that process writes there, so that nothing is compared or swapped.

An object is written about a second after its first record, and written anew, longer,
for those that come after: until it has 64 KiB, is an hour old, or the day ends. So a
server that always has something to tell makes 24 objects a day, and one more for every
160 records or so, and is killed at worst with a second of records.
"""

from __future__ import annotations

import re
from collections import deque
from datetime import UTC, datetime, timedelta

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.outages import Outages
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.timeout import in_time

#: {AUDIT}{day}/{server}/{name}
AUDIT = ".audit/"

CONTENT_TYPE = "application/jsonl"

_KEY = re.compile(
    rf"{re.escape(AUDIT)}(?P<day>\d{{4}}-\d\d-\d\d)/[\w-]+/(?P<time>\d{{6}})-\d+\.jsonl"
)

#: Seconds that a record waits for others.
PATIENCE = 1.0

#: Bytes of an object, and seconds after its first record, from which on it is complete.
OBJECT, OBJECT_AGE = 64 * 1024, 3600.0

#: Bytes of records that wait while the store is away; what is more is dropped. Changes
#: are made in the store, so that hardly any happens while it is.
WAITING = 4 * 2**20

#: Seconds between two tries to write, at first and at the most.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0

#: Seconds that a stop waits for what is left.
FAREWELL = 10.0


@frozen
class _Line:
    at: float
    text: bytes = field(repr=False)

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


@frozen
class _Object:
    """What is in the store already, under a key that may be written again."""

    key: str
    first: _Line
    data: bytes = field(default=b"", repr=False)

    def takes(self, line: _Line) -> bool:
        """Return whether a record still goes into it."""
        same_day = line.moment.date() == self.first.moment.date()
        young = 0 <= line.at - self.first.at < OBJECT_AGE
        return same_day and young and len(self.data) < OBJECT


@define(eq=False)
class StoredRecords:
    """Brings one process's records into the store.

    :ivar server: names the process among all of this store.
    :ivar dropped: how many records were, because too many waited.
    """

    clock: IReactorTime
    server: str
    dropped: int = field(default=0, init=False)
    _store: IObjectStore | None = field(default=None, init=False)
    _waiting: deque[_Line] = field(factory=deque, init=False, repr=False)
    _size: int = field(default=0, init=False)
    _number: int = field(default=0, init=False)
    _open: _Object | None = field(default=None, init=False)
    _timer: IDelayedCall | None = field(default=None, init=False)
    _writing: Deferred[None] | None = field(default=None, init=False)
    _pause: float = field(default=FIRST_PAUSE, init=False)
    _outages: Outages = field(init=False)
    _log = Logger()

    @_outages.default
    def _make_outages(self) -> Outages:
        return Outages("Writing records to", self.clock.seconds)

    @property
    def waiting(self) -> int:
        """Bytes of records that wait to be written."""
        return self._size

    def start(self, store: IObjectStore) -> None:
        """Begin to write; what was added before waits for that."""
        self._store = store
        self._write_in(PATIENCE)

    def add(self, line: bytes, at: float) -> None:
        """Take a record; never fails, and waits for nothing.

        :param at: when it was made.
        """
        if self._size + len(line) > WAITING:
            self.dropped += 1
            self._outages.failed(AUDIT, "too many wait; one was dropped")
            return
        self._waiting.append(_Line(at, line))
        self._size += len(line)
        if not self._busy:
            self._write_in(PATIENCE)

    async def close(self) -> None:
        """Write what waits; give up after :data:`FAREWELL` seconds."""
        store, self._store = self._store, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if store is None:
            return
        try:
            await in_time(self._finish(store), FAREWELL, self.clock)
        except PypicloudError as e:
            self._log.error(
                "{count} records of changes are lost: {error}",
                count=len(self._waiting),
                error=e.message,
            )

    async def _finish(self, store: IObjectStore) -> None:
        """Write what is left, when what is being written is."""
        if self._writing is not None and not self._writing.called:
            done: Deferred[None] = Deferred()
            self._writing.addCallback(done.callback)
            await done
        await self._write_all(store)

    @property
    def _busy(self) -> bool:
        """Whether it is written, or will be without being asked for."""
        writing = self._writing is not None and not self._writing.called
        return writing or self._timer is not None

    def _write_in(self, pause: float) -> None:
        """Write what waits after so many seconds, if there is where to."""
        if self._waiting and self._store is not None:
            self._timer = self.clock.callLater(pause, self._begin, self._store)

    def _begin(self, store: IObjectStore) -> None:
        self._timer = None
        self._writing = Deferred.fromCoroutine(self._try(store))

    async def _try(self, store: IObjectStore) -> None:
        """Write what waits; again after a while if the store is away."""
        try:
            await self._write_all(store)
        except PypicloudError as e:
            self._outages.failed(AUDIT, e.message)
            self._pause = min(LONGEST_PAUSE, self._pause * 2)
        else:
            self._outages.succeeded(AUDIT)
            self._pause = FIRST_PAUSE
        self._write_in(self._pause)

    async def _write_all(self, store: IObjectStore) -> None:
        while self._waiting:
            await self._write_object(store)

    async def _write_object(self, store: IObjectStore) -> None:
        """Write as many records as go into one object."""
        first = self._waiting[0]
        longer = self._open
        if longer is None or not longer.takes(first):
            longer = self._new(first)
        count = 0
        for line in self._waiting:
            if not longer.takes(line):
                break
            longer = _Object(longer.key, longer.first, longer.data + line.text)
            count += 1
        await store.put(longer.key, longer.data, content_type=CONTENT_TYPE)
        self._open = longer
        for _ in range(count):
            self._size -= len(self._waiting.popleft().text)

    def _new(self, first: _Line) -> _Object:
        self._number += 1
        name = f"{first.moment:%H%M%S}-{self._number:06}.jsonl"
        return _Object(f"{day_folder(first.moment)}{self.server}/{name}", first)


def day_folder(moment: datetime) -> str:
    """Name the folder of a day's records."""
    return f"{AUDIT}{moment.astimezone(UTC):%Y-%m-%d}/"


def begin_of(key: str) -> str | None:
    """Tell the second of an object's first record, as records have it; None: of none.

    :param key: the object's.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    hours, minutes, seconds = found["time"][:2], found["time"][2:4], found["time"][4:]
    return f"{found['day']}T{hours}:{minutes}:{seconds}"


async def sweep_records(
    store: IObjectStore, now: datetime, *, keep: float, dry_run: bool
) -> list[str]:
    """Remove the records of days that ended long enough ago, or only tell.

    :param keep: seconds that records are kept.
    :returns: the keys of their objects.
    :raises StoreError: the store is away.
    """
    oldest, old = day_folder(now - timedelta(seconds=keep)), []
    async for info in store.list(AUDIT):
        if info.key >= oldest:
            break
        if begin_of(info.key) is not None:
            old.append(info.key)
    if not dry_run:
        for key in old:
            await store.delete(key)
    return old
