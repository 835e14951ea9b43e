"""A store in memory, for tests: it fails and stalls when told to, and keeps count."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from itertools import count

from attrs import define, field
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from pypicloud_tw.concurrency.delivery import deliver
from pypicloud_tw.errors import (
    ObjectNotFound,
    ObjectUnfit,
    PreconditionFailed,
    RangeNotSatisfiable,
    StoreError,
)
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import (
    ByteRange,
    Condition,
    IDownload,
    IfAbsent,
    IfMatch,
    IObjectStore,
    IUpload,
    ObjectInfo,
    StoredBytes,
    StoreKind,
    Unlisted,
    enter,
)
from pypicloud_tw.store.keys import key_order, key_segments
from pypicloud_tw.store.small import OneByOne
from pypicloud_tw.store.spool import Spool

#: Bytes that a delivery writes at once.
PIECE = 64 * 1024

#: Called with an operation and its key; may raise, or return what is then awaited.
Hook = Callable[[str, str], Awaitable[None] | None]


def _nothing(_operation: str, _key: str) -> None:
    """Let every operation pass."""


@implementer(IObjectStore)
@define(eq=False)
class MemoryStore:
    """Objects in a dictionary.

    :ivar clock: seconds since 1970, for what is written from now on.
    :ivar calls: every operation that was begun and its key (a listing's prefix), in
        order: ``prepare``, ``ping``, ``get``, ``head``, ``put``, ``begin``,
        ``commit``, ``open``, ``deliver``, ``copy`` (of a source), ``delete``, ``list``.
    :ivar before: called before an operation does anything.
    :ivar after: called when it is done, before its caller hears: what this raises is
        an answer that was lost.
    :ivar one_writer: only one process may write, as if it honoured no conditions.
    :ivar kind: what it passes for.
    :ivar objects: what there is, by key.
    """

    offload: IOffload = field(repr=False)
    clock: Callable[[], float] = field(default=time.time, kw_only=True)
    before: Hook = field(default=_nothing, kw_only=True)
    after: Hook = field(default=_nothing, kw_only=True)
    one_writer: bool = field(default=False, kw_only=True)
    kind: StoreKind = field(default="folder", kw_only=True)
    calls: list[tuple[str, str]] = field(factory=list, init=False)
    objects: dict[str, StoredBytes] = field(factory=dict, init=False, repr=False)
    _failures: list[tuple[str, Exception]] = field(factory=list, init=False)
    _etags: count[int] = field(factory=lambda: count(1), init=False, repr=False)

    def fail_next(self, operation: str, error: Exception) -> None:
        """Have the next *operation* raise *error* instead of doing anything.

        Several are queued, also for one operation.
        """
        self._failures.append((operation, error))

    async def prepare(self) -> None:
        """See :class:`IObjectStore`."""
        await self._enter("prepare", "")
        await self._leave("prepare", "")

    async def close(self) -> None:
        """Do nothing: nothing goes on in the background."""

    async def ping(self) -> None:
        """See :class:`IObjectStore`."""
        await self._enter("ping", "")
        await self._leave("ping", "")

    async def get(
        self, key: str, *, unless: str | None = None, limit: int = 64 * 2**20
    ) -> StoredBytes | None:
        """See :class:`IObjectStore`."""
        await self._enter("get", key)
        stored = self._find(key)
        known = stored.info.etag == unless
        if not known and stored.info.size > limit:
            raise ObjectUnfit(
                f"An object of {stored.info.size} bytes lies where at most {limit} "
                "are expected."
            )
        await self._leave("get", key)
        return None if known else stored

    async def head(self, key: str) -> ObjectInfo:
        """See :class:`IObjectStore`."""
        await self._enter("head", key)
        info = self._find(key).info
        await self._leave("head", key)
        return info

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
        await self._enter("put", key)
        there = self.objects.get(key)
        if isinstance(condition, IfAbsent) and there is not None:
            raise PreconditionFailed("There is such an object already.")
        if isinstance(condition, IfMatch) and (
            there is None or there.info.etag != condition.etag
        ):
            raise PreconditionFailed("The object is not the one that was read.")
        info = self.add(key, data, metadata)
        await self._leave("put", key)
        return info

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
        await self._enter("begin", key)
        spool = Spool(BytesIO(), self.offload)
        upload = MemoryUpload(self, key, spool, metadata or {})
        await self._leave("begin", key)
        return upload

    async def abandon_uploads(self, before: datetime, *, dry_run: bool = False) -> int:
        """See :class:`IObjectStore`; nothing outlives the process."""
        return 0

    async def open(self, key: str, *, byte_range: ByteRange | None = None) -> IDownload:
        """See :class:`IObjectStore`."""
        await self._enter("open", key)
        stored = self._find(key)
        start, stop = 0, stored.info.size
        if byte_range is not None:
            if byte_range.start >= stop:
                raise RangeNotSatisfiable("The range begins beyond the end.", stop)
            start, stop = byte_range.start, min(byte_range.stop, stop)
        await self._leave("open", key)
        return MemoryDownload(stored.info, self, stored.data[start:stop])

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """See :class:`IObjectStore`."""
        await self._enter("copy", source)
        key_segments(target)
        stored = self._find(source)
        info = self.add(target, stored.data, stored.info.metadata)
        await self._leave("copy", target)
        return info

    async def delete(self, key: str) -> None:
        """See :class:`IObjectStore`."""
        await self._enter("delete", key)
        self.objects.pop(key, None)
        await self._leave("delete", key)

    async def list(
        self,
        prefix: str,
        *,
        after: str = "",
        unlisted: Callable[[Unlisted], None] | None = None,
        skip: Callable[[str], bool] = enter,
    ) -> AsyncIterator[ObjectInfo]:
        """See :class:`IObjectStore`."""
        await self.check("list", prefix)
        wanted = [
            key
            for key in self.objects
            if key.startswith(prefix) and key_order(key) > key_order(after)
        ]
        for key in sorted(wanted, key=key_order):
            if key in self.objects:
                yield self.objects[key].info
        await self._leave("list", prefix)

    def url(self, key: str, *, filename: str) -> None:
        """Return None: nothing else serves the object."""

    def add(
        self, key: str, data: bytes, metadata: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Have an object at once, without hooks and counting."""
        modified = datetime.fromtimestamp(self.clock(), UTC)
        names = {name.lower(): value for name, value in (metadata or {}).items()}
        info = ObjectInfo(
            key, len(data), f"memory-{next(self._etags)}", modified, names
        )
        self.objects[key] = StoredBytes(info, data)
        return info

    async def check(self, operation: str, key: str) -> None:
        """Count an operation, and fail or stall it if that was asked for."""
        self.calls.append((operation, key))
        for failure in self._failures:
            if failure[0] == operation:
                self._failures.remove(failure)
                raise failure[1]
        await _heed(self.before, operation, key)

    async def _enter(self, operation: str, key: str) -> None:
        if key:
            key_segments(key)
        await self.check(operation, key)

    async def _leave(self, operation: str, key: str) -> None:
        await _heed(self.after, operation, key)

    def _find(self, key: str) -> StoredBytes:
        if key not in self.objects:
            raise ObjectNotFound("There is no such object in the store.")
        return self.objects[key]


async def _heed(hook: Hook, operation: str, key: str) -> None:
    waiting = hook(operation, key)
    if waiting is not None:
        await waiting


@implementer(IUpload)
@define(eq=False)
class MemoryUpload(OneByOne):
    """See :class:`IUpload`."""

    store: MemoryStore
    key: str
    spool: Spool
    metadata: Mapping[str, str]

    async def write(self, data: bytes) -> None:
        """See :class:`IUpload`."""
        await self.spool.write(data)

    async def commit(self) -> ObjectInfo:
        """See :class:`IUpload`."""
        await self.spool.finish()
        await self.store.check("commit", self.key)
        if self.key in self.store.objects:
            raise StoreError("There is an object of that key already.")
        data = await self.spool.read_at(0, self.spool.size)
        info = self.store.add(self.key, data, self.metadata)
        await self.spool.close()
        await _heed(self.store.after, "commit", self.key)
        return info

    async def abort(self) -> None:
        """See :class:`IUpload`."""
        await self.spool.close()


@implementer(IDownload)
@define(eq=False)
class MemoryDownload:
    """See :class:`IDownload`."""

    info: ObjectInfo
    _store: MemoryStore = field(repr=False)
    _data: bytes = field(repr=False)

    async def deliver(self, consumer: IConsumer) -> None:
        """See :class:`IDownload`."""
        await self._store.check("deliver", self.info.key)
        await deliver(consumer, self._pieces())

    def abandon(self) -> None:
        """See :class:`IDownload`."""

    async def _pieces(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._data), PIECE):
            yield self._data[at : at + PIECE]
