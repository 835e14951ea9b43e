"""The marker: one small object that tells every server what changed (decision D3).

It lists the most recent changes, each under a random id, newest last: a project's name,
or a key that begins with a point where something else changed, as ``.access``. A server
that finds the id it saw last knows exactly what changed since; one that does not find
it takes everything for changed. So a marker that was overwritten blindly, by a store
without conditional writes or after a lost race, costs questions and no truth.

Each change has a serial, larger than those before it, for mirrors
(:mod:`pypicloud_tw.index.changelog`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from random import Random, SystemRandom
from typing import NamedTuple

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.errors import ObjectNotFound, PreconditionFailed, StoreError
from pypicloud_tw.index.changelog import FIRST, Changelog
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.store.interfaces import IfAbsent, IfMatch, IObjectStore, StoredBytes

KEY = ".marker"
REMEMBERED = 256
#: Entries of one folder of keys that one write may add. More of them become one, the
#: folder with its slash, for everything in it: they must not drive projects out.
TOGETHER = 8
#: Conditional tries before the marker is overwritten blindly.
ATTEMPTS = 4
#: Serials that are left out where it was overwritten: another's, unseen, may have had
#: those.
GAP = 1000
#: Stands in the marker for the floor, where that was raised.
RAISED = ".serials"
#: Has the serial up to which markers may tell some: where one was lost, the next begins
#: behind that. It is written once for so many.
RESERVED_KEY, RESERVED = ".serials", 1_000_000


class RecentChange(NamedTuple):
    """An entry of the marker: a list of three in its JSON."""

    id: str
    name: str
    serial: int


class Told(NamedTuple):
    """What a marker tells.

    :ivar entries: newest last.
    :ivar floor: the serial that changes had before these; None: an older version wrote
        it, or it is damaged.
    :ivar reserved: no serial is larger, until more are reserved.
    """

    entries: tuple[RecentChange, ...] = ()
    floor: int | None = None
    reserved: int = 0

    @property
    def last(self) -> int:
        """The last serial that it tells."""
        return self.entries[-1].serial if self.entries else self.floor or FIRST

    def with_fresh(self, fresh: Iterable[RecentChange]) -> Told:
        """Add entries, and forget the oldest."""
        entries = (*self.entries, *fresh)
        dropped, kept = entries[:-REMEMBERED], entries[-REMEMBERED:]
        floor = self.floor
        if floor is None:
            # All that is known is what begins here.
            floor = entries[len(self.entries)].serial - 1
        floor = max([floor, *(entry.serial for entry in dropped)])
        return self._replace(entries=kept, floor=floor)


@define
class Marker:
    """This process's side of the marker.

    :ivar random: for the ids.
    """

    store: IObjectStore
    random: Random = field(factory=SystemRandom)
    _etag: str | None = field(default=None, init=False)
    _told_of: Told = field(default=Told(), init=False)
    #: The least floor that the marker is to have: it was overwritten, as seen here.
    _lowest: int = field(default=FIRST, init=False)
    _reserved: int = field(default=0, init=False)
    _changelog: Changelog | None = field(default=None, init=False)
    _seen: str | None = field(default=None, init=False)
    _found: bool = field(default=False, init=False)
    _pending: dict[str, int] = field(factory=dict, init=False)
    _writing: bool = field(default=False, init=False)
    _told: bool = field(default=False, init=False)
    _next: Waiters[None] = field(factory=Waiters, init=False)
    _log = Logger()

    async def ask(self) -> set[str] | None:
        """Return which entries others told since the last call; None for any.

        One that ends in a slash stands for every key that begins with it.

        :raises StoreError: the store does not answer.
        """
        try:
            stored = await self.store.get(KEY, unless=self._etag)
        except ObjectNotFound:
            self._take(None, Told())
        else:
            if stored is not None:
                self._learn(stored)
        if self._broken and not self._told:
            self.tell(RAISED, self._lowest).addErrback(self._not_raised)
        return self._news()

    def _not_raised(self, failure: Failure) -> None:
        self._log.info(
            "The marker was overwritten; mirrors are not told yet: {error}",
            error=failure.getErrorMessage(),
        )

    @property
    def changelog(self) -> Changelog:
        """What was last known of projects' changes: the same object until another."""
        if self._changelog is None:
            told = self._told_of
            # No serial is given out that the marker has not: others would use it again.
            self._changelog = Changelog.of_entries(
                told.last if self._broken else told.floor or FIRST,
                # is_project(), 256 times for each change: without calling it
                [(name, at) for _, name, at in told.entries if name[:1] != "."],
                known=told.floor is not None and not self._broken,
            )
        return self._changelog

    @property
    def _broken(self) -> bool:
        """Whether what a mirror may have seen was overwritten, and none is told yet."""
        floor = self._told_of.floor
        return self._lowest > (FIRST if floor is None else floor)

    def tell(self, entry: str, serial: int = 0) -> Deferred[None]:
        """Let every server know that *entry* changed; fires once it is durable.

        Calls that come while the marker is being written share the next write.

        :param entry: a project's name, or a key that begins with a point.
        :param serial: the least that the change may have.
        :raises StoreError: it could not be written.
        """
        self._pending[entry] = max(serial, self._pending.get(entry, 0))
        self._told = True
        waiting = self._next.wait()
        if not self._writing:
            Deferred.fromCoroutine(self._write_all()).addErrback(
                lambda failure: self._log.failure("Writing the marker", failure)
            )
        return waiting

    async def _write_all(self) -> None:
        self._writing = True
        try:
            while self._told:
                self._told = False
                waiting, self._next = self._next, Waiters()
                serials, self._pending = self._pending, {}
                try:
                    await self._write(_gathered(serials), max(serials.values()))
                except Exception as e:
                    # Whatever it was, who waits must hear of it.
                    self._pending = serials | self._pending
                    waiting.answer(Failure(e))
                else:
                    waiting.answer(None)
        finally:
            self._writing = False

    async def _write(self, names: Iterable[str], least: int) -> None:
        """Add entries.

        :param least: the least serial that they may have.
        """
        ids = [(self.random.randbytes(8).hex(), name) for name in names]
        if self._told_of.floor is None:
            await self._reread()  # a command tells before it has asked
        for _ in range(ATTEMPTS):
            fresh = await self._numbered(ids, least)
            told = self._known().with_fresh(fresh)
            condition = IfAbsent() if self._etag is None else IfMatch(self._etag)
            try:
                info = await self.store.put(
                    KEY,
                    _encode(told),
                    condition=condition,
                    content_type="application/json",
                )
            except (PreconditionFailed, StoreError):
                # Another was first, or the answer was lost: what is there will tell.
                await self._reread()
                if fresh[-1].id in {entry.id for entry in self._told_of.entries}:
                    return
                continue
            self._adopt(info.etag, told, len(fresh))
            return
        fresh = await self._numbered(ids, max(least, self._last + GAP))
        told = Told(reserved=self._reserved).with_fresh(fresh)
        await self.store.put(KEY, _encode(told), content_type="application/json")

    @property
    def _last(self) -> int:
        return max(self._told_of.last, self._lowest)

    async def _numbered(
        self, ids: Iterable[tuple[str, str]], least: int
    ) -> tuple[RecentChange, ...]:
        """Give each its serial.

        :raises StoreError: none can be reserved.
        """
        begin = max(self._last + 1, least)
        if self._told_of.floor is None:
            begin = max(begin, await self._find_reserved() + 1)
        fresh = tuple(
            RecentChange(id, name, serial)
            for serial, (id, name) in enumerate(ids, begin)
        )
        self._reserved = max(self._reserved, self._told_of.reserved)
        if fresh[-1].serial > self._reserved:
            reserved = fresh[-1].serial + RESERVED
            await self.store.put(RESERVED_KEY, compact({"reserved": reserved}))
            self._reserved = reserved
        return fresh

    async def _find_reserved(self) -> int:
        """Return the largest serial that a marker before may have told."""
        try:
            stored = await self.store.get(RESERVED_KEY)
            return FIRST if stored is None else int(json.loads(stored.data)["reserved"])
        except (ObjectNotFound, *DAMAGED):
            return FIRST  # the time must do

    def _known(self) -> Told:
        """Return what the marker told, and what this process knows better."""
        told = self._told_of._replace(reserved=self._reserved)
        if told.floor is None:
            return told
        return told._replace(floor=max(told.floor, self._lowest))

    async def _reread(self) -> None:
        try:
            stored = await self.store.get(KEY)
        except ObjectNotFound:
            self._take(None, Told())
        else:
            if stored is not None:
                self._learn(stored)

    def _learn(self, stored: StoredBytes) -> None:
        self._take(stored.info.etag, _decode(stored.data))
        self._found = True

    def _adopt(self, etag: str, told: Told, own: int) -> None:
        """Take over what we wrote; what others wrote before it is news still."""
        entries = told.entries
        before = entries[-own - 1].id if len(entries) > own else None
        if self._seen == before:
            self._seen = entries[-1].id
        self._take(etag, told)
        self._found = True

    def _take(self, etag: str | None, told: Told) -> None:
        if _is_broken(self._told_of, told):
            # It was overwritten, and with it what a mirror may have seen or not.
            self._lowest = max(self._last, told.last) + 1
        self._etag, self._told_of, self._changelog = etag, told, None

    def _news(self) -> set[str] | None:
        entries = self._told_of.entries
        seen, self._seen = self._seen, entries[-1].id if entries else None
        if self._seen is None and self._found:
            return None  # it may have told of something, and been lost again
        if seen == self._seen:
            return set()
        ids = [entry.id for entry in entries]
        if seen not in ids:
            return None
        return {entry.name for entry in entries[ids.index(seen) + 1 :]}


def is_project(entry: str) -> bool:
    """Return whether an entry of the marker is a project's name.

    Those that begin with a point are keys, as ``.access``: something else changed.
    """
    return not entry.startswith(".")


def _is_broken(before: Told, after: Told) -> bool:
    """Return whether what was the last entry should be there, and is not."""
    if not before.entries:
        return False
    id, _, serial = before.entries[-1]
    if after.floor is not None and after.floor >= serial:
        return False
    return id not in {entry.id for entry in after.entries}


def _gathered(entries: Iterable[str]) -> list[str]:
    """Name the folder instead of the keys in it, where those are many."""
    by_folder: dict[str, list[str]] = {}
    for entry in entries:
        folder = entry.rpartition("/")[0]  # no project's name has a slash
        by_folder.setdefault(folder, []).append(entry)
    return sorted(
        entry
        for folder, told in by_folder.items()
        for entry in ([f"{folder}/"] if folder and len(told) > TOGETHER else told)
    )


def _encode(told: Told) -> bytes:
    document = {
        "_format": 1,
        "floor": told.floor,
        "reserved": told.reserved,
        "recent": told.entries,
    }
    return json.dumps(document).encode()


def _decode(data: bytes) -> Told:
    """Read a marker; one that is damaged tells nothing, so everything has changed."""
    try:
        document = json.loads(data)
        entries = tuple(
            RecentChange(str(id), str(name), int(serial))
            for id, name, serial in document["recent"]
        )
        return Told(entries, int(document["floor"]), int(document["reserved"]))
    except DAMAGED:
        return Told()
