"""A store that counts and times its calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar

from attrs import frozen
from zope.interface import implementer

from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.store.interfaces import (
    ByteRange,
    Condition,
    IDownload,
    IObjectStore,
    IUpload,
    ObjectInfo,
    Placer,
    SignedUrl,
    StoredBytes,
    Unlisted,
    enter,
)
from pypicloud_tw.store.spool import Spool

T = TypeVar("T")


class Observe(Protocol):
    """Takes an operation's name, its result and its duration in seconds."""

    def __call__(self, operation: str, result: str, seconds: float) -> None:
        """Count it."""


@implementer(IObjectStore)
@frozen
class MeteredStore:
    """Passes everything on to *store* and tells *observe*."""

    store: IObjectStore
    observe: Observe
    seconds: Callable[[], float]

    async def prepare(self) -> None:
        """See :class:`IObjectStore`."""
        await self.timed("prepare", self.store.prepare())

    async def ping(self) -> None:
        """See :class:`IObjectStore`."""
        await self.timed("ping", self.store.ping())

    async def get(
        self, key: str, *, unless: str | None = None, limit: int = 64 * 2**20
    ) -> StoredBytes | None:
        """See :class:`IObjectStore`."""
        call = self.store.get(key, unless=unless, limit=limit)
        return await self.timed("get", call)

    async def head(self, key: str) -> ObjectInfo:
        """See :class:`IObjectStore`."""
        return await self.timed("head", self.store.head(key))

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
        call = self.store.put(
            key,
            data,
            condition=condition,
            content_type=content_type,
            metadata=metadata,
            durable=durable,
        )
        return await self.timed("put", call)

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
        call = self.store.begin(
            key,
            size_hint=size_hint,
            small=small,
            content_type=content_type,
            metadata=metadata,
        )
        return _MeteredUpload(await self.timed("begin", call), self)

    async def abandon_uploads(
        self, before: datetime, *, dry_run: bool = False
    ) -> int | None:
        """See :class:`IObjectStore`."""
        call = self.store.abandon_uploads(before, dry_run=dry_run)
        return await self.timed("abandon_uploads", call)

    async def open(self, key: str, *, byte_range: ByteRange | None = None) -> IDownload:
        """See :class:`IObjectStore`."""
        return await self.timed("open", self.store.open(key, byte_range=byte_range))

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """See :class:`IObjectStore`."""
        return await self.timed("copy", self.store.copy(source, target))

    async def delete(self, key: str) -> None:
        """See :class:`IObjectStore`."""
        await self.timed("delete", self.store.delete(key))

    def list(
        self,
        prefix: str,
        *,
        after: str = "",
        unlisted: Callable[[Unlisted], None] | None = None,
        skip: Callable[[str], bool] = enter,
    ) -> AsyncIterator[ObjectInfo]:
        """See :class:`IObjectStore`."""
        return self.store.list(prefix, after=after, unlisted=unlisted, skip=skip)

    def url(self, key: str, *, filename: str) -> SignedUrl | None:
        """See :class:`IObjectStore`."""
        return self.store.url(key, filename=filename)

    async def timed(self, operation: str, call: Awaitable[T]) -> T:
        """Await *call*, and tell how long it took and how it ended."""
        began = self.seconds()
        result = "error"
        try:
            value = await call
            result = "ok"
            return value
        except PypicloudError as e:
            result = e.code
            raise
        finally:
            self.observe(operation, result, self.seconds() - began)


@implementer(IUpload)
@frozen
class _MeteredUpload:
    """One upload, whose commit is counted too: there the bytes become durable.

    Its writes are not: what they wait for is the sender.
    """

    upload: IUpload
    store: MeteredStore

    @property
    def spool(self) -> Spool:
        """See :class:`IUpload`."""
        spool: Spool = self.upload.spool
        return spool

    async def write(self, data: bytes) -> None:
        """See :class:`IUpload`."""
        await self.upload.write(data)

    async def commit(self) -> ObjectInfo:
        """See :class:`IUpload`."""
        return await self.store.timed("commit", self.upload.commit())

    @property
    def places(self) -> bool:
        """See :class:`IUpload`."""
        places: bool = self.upload.places
        return places

    def placer(self) -> Placer:
        """See :class:`IUpload`."""
        return self.upload.placer()

    def placed(self, receipt: object) -> None:
        """See :class:`IUpload`."""
        self.upload.placed(receipt)

    async def abort(self) -> None:
        """See :class:`IUpload`."""
        await self.upload.abort()
