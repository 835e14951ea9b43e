"""The marker: one small object that tells every server what changed (decision D3).

It lists the most recent changes, each under a random id, newest last: a project's name,
or a key that begins with a point where something else changed, as ``.access``. A server
that finds the id it saw last knows exactly what changed since; one that does not find
it takes everything for changed. So a marker that was overwritten blindly, by a store
without conditional writes or after a lost race, costs questions and no truth.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from random import Random, SystemRandom

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.errors import ObjectNotFound, PreconditionFailed, StoreError
from pypicloud_tw.store.interfaces import IfAbsent, IfMatch, IObjectStore, StoredBytes

KEY = ".marker"
REMEMBERED = 256
#: Entries of one folder of keys that one write may add. More of them become one, the
#: folder with its slash, for everything in it: they must not drive projects out.
TOGETHER = 8
#: Conditional tries before the marker is overwritten blindly.
ATTEMPTS = 4

RecentChange = tuple[str, str]


@define
class Marker:
    """This process's side of the marker.

    :ivar random: for the ids.
    """

    store: IObjectStore
    random: Random = field(factory=SystemRandom)
    _etag: str | None = field(default=None, init=False)
    _entries: tuple[RecentChange, ...] = field(default=(), init=False)
    _seen: str | None = field(default=None, init=False)
    _found: bool = field(default=False, init=False)
    _pending: set[str] = field(factory=set, init=False)
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
            self._etag, self._entries = None, ()
        else:
            if stored is not None:
                self._learn(stored)
        return self._news()

    def tell(self, entry: str) -> Deferred[None]:
        """Let every server know that *entry* changed; fires once it is durable.

        Calls that come while the marker is being written share the next write.

        :param entry: a project's name, or a key that begins with a point.

        :raises StoreError: it could not be written.
        """
        self._pending.add(entry)
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
                names, self._pending = self._pending, set()
                try:
                    await self._write(_gathered(names))
                except Exception as e:
                    # Whatever it was, who waits must hear of it.
                    self._pending |= names
                    waiting.answer(Failure(e))
                else:
                    waiting.answer(None)
        finally:
            self._writing = False

    async def _write(self, names: Iterable[str]) -> None:
        fresh = tuple((self.random.randbytes(8).hex(), name) for name in names)
        for _ in range(ATTEMPTS):
            entries = (*self._entries, *fresh)[-REMEMBERED:]
            condition = IfAbsent() if self._etag is None else IfMatch(self._etag)
            try:
                info = await self.store.put(
                    KEY,
                    _encode(entries),
                    condition=condition,
                    content_type="application/json",
                )
            except (PreconditionFailed, StoreError):
                # Another was first, or the answer was lost: what is there will tell.
                await self._reread()
                if fresh[-1] in self._entries:
                    return
                continue
            self._adopt(info.etag, entries, len(fresh))
            return
        await self.store.put(KEY, _encode(fresh), content_type="application/json")

    async def _reread(self) -> None:
        try:
            stored = await self.store.get(KEY)
        except ObjectNotFound:
            self._etag, self._entries = None, ()
        else:
            if stored is not None:
                self._learn(stored)

    def _learn(self, stored: StoredBytes) -> None:
        self._etag, self._entries = stored.info.etag, _decode(stored.data)
        self._found = True

    def _adopt(self, etag: str, entries: tuple[RecentChange, ...], own: int) -> None:
        """Take over what we wrote; what others wrote before it is news still."""
        before = entries[-own - 1][0] if len(entries) > own else None
        if self._seen == before:
            self._seen = entries[-1][0]
        self._etag, self._entries, self._found = etag, entries, True

    def _news(self) -> set[str] | None:
        seen, self._seen = self._seen, self._entries[-1][0] if self._entries else None
        if self._seen is None and self._found:
            return None  # it may have told of something, and been lost again
        if seen == self._seen:
            return set()
        ids = [entry[0] for entry in self._entries]
        if seen not in ids:
            return None
        return {name for _, name in self._entries[ids.index(seen) + 1 :]}


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


def _encode(entries: Iterable[RecentChange]) -> bytes:
    return json.dumps({"_format": 1, "recent": list(entries)}).encode()


def _decode(data: bytes) -> tuple[RecentChange, ...]:
    """Read a marker; one that is damaged tells nothing, so everything has changed."""
    try:
        return tuple((str(i), str(name)) for i, name in json.loads(data)["recent"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
