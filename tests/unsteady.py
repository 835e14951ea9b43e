"""Ways to one store in memory that are slow, cut, and lose answers: one per server.

What was sent arrives, whoever waits for it. Everything is drawn from one source, so
that a seed replays exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import datetime
from random import Random
from typing import Any, TypeVar, cast

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer
from zope.interface.verify import verifyClass

from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.errors import (
    AmbiguousWrite,
    ObjectNotFound,
    PreconditionFailed,
    StoreError,
)
from pypicloud_tw.store.interfaces import (
    ByteRange,
    Condition,
    IDownload,
    IfMatch,
    IObjectStore,
    IUpload,
    ObjectInfo,
    StoredBytes,
    StoreKind,
    Unlisted,
    enter,
)
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.store.small import OneByOne
from pypicloud_tw.store.spool import Spool

T = TypeVar("T")

#: Seconds that one way of a request takes: mostly none that matter.
_WAYS = (0.0, 0.0, 0.0, 0.0, 0.05, 0.3, 1.2, 4.0)

#: Seconds after which a store's client has given up whatever it tried.
GIVES_UP = 30.0


@frozen
class Profile:
    """What one kind of store does that others do not.

    :ivar conditions: conditional writes are honoured.
    :ivar hides: of 100 lost races, how many are told as answers that were lost.
    :ivar lag: seconds that a listing may be behind, at most.
    :ivar part: objects in one part of a listing; the next sees what changed since.
    :ivar local: there is no wire. What was asked is answered, and whoever is killed has
        done it or never will.
    """

    name: str
    conditions: bool = True
    hides: int = 0
    lag: float = 0.0
    part: int = 8
    local: bool = False


AWS = Profile("aws")
#: Its answers to lost races are often errors, which are tried again.
RGW = Profile("rgw", hides=60)
SEAWEEDFS = Profile("seaweedfs", lag=2.0)
#: Container listings are eventually consistent.
SWIFT = Profile("swift", conditions=False, lag=10.0)
FOLDER = Profile("folder", local=True, part=3)

PROFILES: Mapping[str, Profile] = {
    profile.name: profile for profile in (AWS, RGW, SEAWEEDFS, SWIFT, FOLDER)
}


@define
class Weather:
    """How steady all ways are.

    :ivar faults: of 100 requests, how many fail.
    :ivar silent: of 100 of those, how many are answered by nothing at all.
    """

    faults: int
    silent: int = 0


@define(eq=False)
class LateStore(MemoryStore):
    """A store whose listings can be asked what they told some seconds ago."""

    _told: dict[str, list[tuple[float, ObjectInfo | None]]] = field(
        factory=lambda: defaultdict(list), init=False, repr=False
    )

    def add(
        self, key: str, data: bytes, metadata: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """See :class:`MemoryStore`."""
        info = super().add(key, data, metadata)
        self._told[key].append((self.clock(), info))
        return info

    def lose(self, key: str) -> StoredBytes | None:
        """Have an object be gone at once, without hooks and counting."""
        stored = self.objects.pop(key, None)
        self._told[key].append((self.clock(), None))
        return stored

    async def delete(self, key: str) -> None:
        """See :class:`MemoryStore`."""
        await super().delete(key)
        self._told[key].append((self.clock(), None))

    def listed(
        self, prefix: str, after: str, most: int, behind: float
    ) -> list[ObjectInfo]:
        """Return the next part of a listing, as it was so many seconds ago."""
        keys = sorted(k for k in self._told if k.startswith(prefix) and k > after)
        at, found = self.clock() - behind, list[ObjectInfo]()
        for key in keys:
            told = self._told[key]
            known = next((info for when, info in reversed(told) if when <= at), None)
            if known is not None:
                found.append(known)
                if len(found) == most:
                    break
        return found


def _unheard(line: str) -> None:
    """Tell nobody what happens."""


@implementer(IObjectStore)
@define(eq=False)
class Line:
    """One server's way to the store.

    :ivar profile: what the store is like.
    :ivar tell: told of everything that arrives, a line each.
    :ivar dead: the server was killed: it sends nothing more, and hears nothing. What it
        had sent arrives, or does not.
    """

    store: LateStore
    clock: Clock
    dice: Random
    weather: Weather
    profile: Profile = AWS
    tell: Callable[[str], None] = _unheard
    dead: bool = field(default=False, init=False)
    _alone: DeferredLock = field(factory=DeferredLock, init=False)

    @property
    def kind(self) -> StoreKind:
        """See :class:`pypicloud_tw.index.index.Backend`."""
        return "folder" if self.profile.local else "bucket"

    @property
    def one_writer(self) -> bool:
        """See :class:`pypicloud_tw.index.index.Backend`."""
        return not self.profile.conditions

    async def close(self) -> None:
        """See :class:`pypicloud_tw.index.index.Backend`."""

    async def prepare(self) -> None:
        """See :class:`IObjectStore`."""
        await self._carry("prepare", "", self.store.prepare)

    async def ping(self) -> None:
        """See :class:`IObjectStore`."""
        await self._carry("ping", "", self.store.ping)

    async def get(
        self, key: str, *, unless: str | None = None, limit: int = 64 * 2**20
    ) -> StoredBytes | None:
        """See :class:`IObjectStore`."""
        return await self._carry(
            "get", key, lambda: self.store.get(key, unless=unless, limit=limit)
        )

    async def head(self, key: str) -> ObjectInfo:
        """See :class:`IObjectStore`."""
        return await self._carry("head", key, lambda: self.store.head(key))

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        condition: Condition = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> ObjectInfo:
        """See :class:`IObjectStore`."""

        def write(condition: Condition) -> Coroutine[Any, Any, ObjectInfo]:
            return self.store.put(key, data, condition=condition, metadata=metadata)

        if condition is None:
            return await self._carry("put", key, lambda: write(None))
        if not self.profile.conditions:
            return await self._put_alone(key, condition, lambda: write(None))
        # What tries a conditional write again finds its own, and cannot tell.
        lost = StoreError if self.profile.local else AmbiguousWrite
        try:
            return await self._carry("put", key, lambda: write(condition), lost)
        except PreconditionFailed:
            if self.dice.randrange(100) < self.profile.hides:
                raise AmbiguousWrite("The race was lost, or the answer.") from None
            raise

    async def _put_alone(
        self,
        key: str,
        condition: Condition,
        write: Callable[[], Coroutine[Any, Any, ObjectInfo]],
    ) -> ObjectInfo:
        """Look, then write, as the client of such a store does."""
        await self._alone.acquire()
        try:
            try:
                etag: str | None = (await self.head(key)).etag
            except ObjectNotFound:
                etag = None
            if etag != (condition.etag if isinstance(condition, IfMatch) else None):
                raise PreconditionFailed("The object is not the one that was read.")
            return await self._carry("put", key, write)
        finally:
            self._alone.release()

    async def begin(
        self,
        key: str,
        *,
        size_hint: int | None = None,
        small: bool = False,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> IUpload:
        """See :class:`IObjectStore`."""
        return _UploadByLine(self, key, await self.store.begin(key, metadata=metadata))

    async def abandon_uploads(self, before: datetime, *, dry_run: bool = False) -> int:
        """See :class:`IObjectStore`."""
        return await self.store.abandon_uploads(before, dry_run=dry_run)

    async def open(self, key: str, *, byte_range: ByteRange | None = None) -> IDownload:
        """See :class:`IObjectStore`."""
        return await self._carry(
            "open", key, lambda: self.store.open(key, byte_range=byte_range)
        )

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """See :class:`IObjectStore`."""
        return await self._carry(
            "copy", f"{source} {target}", lambda: self.store.copy(source, target)
        )

    async def delete(self, key: str) -> None:
        """See :class:`IObjectStore`."""
        await self._carry("delete", key, lambda: self.store.delete(key))

    async def list(
        self,
        prefix: str,
        *,
        after: str = "",
        unlisted: Callable[[Unlisted], None] | None = None,
        skip: Callable[[str], bool] = enter,
    ) -> AsyncIterator[ObjectInfo]:
        """See :class:`IObjectStore`."""
        part = self.profile.part

        async def listed() -> list[ObjectInfo]:
            behind = self.profile.lag and self.dice.uniform(0, self.profile.lag)
            return self.store.listed(prefix, after, part, behind)

        while True:
            found = await self._carry("list", prefix, listed)
            for info in found:
                yield info
            if len(found) < part:
                return
            after = found[-1].key

    def url(self, key: str, *, filename: str) -> None:
        """See :class:`IObjectStore`."""

    async def _carry(
        self,
        operation: str,
        key: str,
        request: Callable[[], Coroutine[Any, Any, T]],
        lost: type[StoreError] = StoreError,
    ) -> T:
        return await shielded(self._through(f"{operation} {key}", request, lost))

    async def _through(
        self,
        what: str,
        request: Callable[[], Coroutine[Any, Any, T]],
        lost: type[StoreError],
    ) -> T:
        if self.dead:
            await Deferred()
        draw, faults = self.dice.random, self.weather.faults
        fails = faults > 0 and 100 * draw() < faults
        unheard = fails and draw() < 0.5
        silent = fails and 100 * draw() < self.weather.silent
        ends = self.clock.seconds() + GIVES_UP
        if silent and not self.profile.local:
            await self._wait(GIVES_UP * draw())
        elif faults and (way := _WAYS[int(len(_WAYS) * draw())]):
            await self._wait(way)
        if self.dead and (self.profile.local or self.dice.random() < 0.5):
            await Deferred()
        # Nothing is awaited while an exception passes: this may be forgotten half-way.
        result, error = await self._done(request, fails, unheard, lost)
        self.tell(what if error is None else f"{what}: {error}")
        if silent:
            await self._wait(max(0.0, ends - self.clock.seconds()))
        elif faults and (way := _WAYS[int(len(_WAYS) * draw())]):
            await self._wait(way)
        if self.dead:
            await Deferred()
        if error is not None:
            raise error
        return cast("T", result)

    async def _done(
        self,
        request: Callable[[], Coroutine[Any, Any, T]],
        fails: bool,
        unheard: bool,
        lost: type[StoreError],
    ) -> tuple[T | None, Exception | None]:
        """Return what came of a request, or what its sender is told instead."""
        if fails and not unheard:
            return None, StoreError("The line is cut.")
        try:
            result = await request()
        except Exception as e:
            return None, e
        if unheard:
            return None, self.dice.choice((lost, StoreError))("The answer was lost.")
        return result, None

    async def _wait(self, seconds: float) -> None:
        await deferLater(self.clock, seconds, lambda: None)


@implementer(IUpload)
@define(eq=False)
class _UploadByLine(OneByOne):
    """See :class:`IUpload`."""

    line: Line
    key: str
    upload: IUpload

    @property
    def spool(self) -> Spool:
        return self.upload.spool

    async def write(self, data: bytes) -> None:
        await self.upload.write(data)

    async def commit(self) -> ObjectInfo:
        return await self.line._carry("commit", self.key, self.upload.commit)

    async def abort(self) -> None:
        await self.upload.abort()


verifyClass(IObjectStore, Line)
