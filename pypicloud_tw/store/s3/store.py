"""The store in a bucket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import datetime
from math import inf
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger
from zope.interface import implementer

from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.errors import (
    AmbiguousWrite,
    ObjectNotFound,
    ObjectUnfit,
    ObjectUnreadable,
    PreconditionFailed,
    RangeNotSatisfiable,
    StoreError,
)
from pypicloud_tw.metrics import Metrics
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
    SignedUrl,
    StoredBytes,
    StoreKind,
    Unlisted,
    enter,
)
from pypicloud_tw.store.keys import key_order, key_segments
from pypicloud_tw.store.s3.checksums import PartChecksums
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.copying import BucketCopy, lacks_copying
from pypicloud_tw.store.s3.download import S3Download
from pypicloud_tw.store.s3.explain import ARCHIVED, explain, iam_policy
from pypicloud_tw.store.s3.faults import S3Error, S3Fault, S3TooLong, S3Unreachable
from pypicloud_tw.store.s3.listing import ListingPages
from pypicloud_tw.store.s3.objects import ObjectHeaders, object_info
from pypicloud_tw.store.s3.probe import Abilities, Conditional, probe
from pypicloud_tw.store.s3.signed_urls import SignedUrls
from pypicloud_tw.store.s3.upload import S3Upload, Sizes
from pypicloud_tw.store.s3.xml import ListedObject, MultipartUpload
from pypicloud_tw.store.small import SmallSpool
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.store.streamed_copy import streamed_copy

#: "Creating object key names", Amazon S3 User Guide; in bytes.
MAX_KEY = 1024

#: What is said of how the S3 server honours conditions.
ONE_WRITER = (
    "The S3 server does not honour conditional writes ({reason}): only ONE process may "
    "use this bucket, or uploads will be lost."
)
HONOURED = "The S3 server honours conditional writes (If-Match {style})."

#: What this program uploads by parts; others may use the bucket too.
_OUR_UPLOADS = re.compile(r"[a-z0-9-]+/[0-9a-f]{32}/[^/]+|\.(?:cache|probe)/.+")


@implementer(IObjectStore)
@define(eq=False)
class S3Store:
    """Objects in a bucket, below *prefix*. Any number of processes may share it.

    Call :meth:`prepare` before anything else and :meth:`close` after everything.

    :ivar signed_urls: None if every byte goes through this server.
    :ivar abilities: what :meth:`prepare` has found out about the server, or None.
    """

    client: S3Client
    offload: IOffload
    prefix: str = ""
    headers: ObjectHeaders = field(factory=ObjectHeaders)
    signed_urls: SignedUrls | None = None
    budget: BufferBudget = field(factory=lambda: BufferBudget(64 * 2**20))
    create_bucket: bool = False
    temp_dir: Path | None = None
    sizes: Sizes = field(factory=Sizes)
    abilities: Abilities | None = field(default=None, init=False)
    _swaps: DeferredLock = field(factory=DeferredLock, init=False, repr=False)
    _shown: set[str] = field(factory=set, init=False, repr=False)
    _log = Logger()

    @property
    def conditional(self) -> Conditional | None:
        """How the server honours conditions; None before :meth:`prepare`."""
        return None if self.abilities is None else self.abilities.conditional

    @property
    def kind(self) -> StoreKind:
        """See :class:`~pypicloud_tw.index.index.Backend`."""
        return "bucket"

    @property
    def one_writer(self) -> bool:
        """Whether only one process may write: conditions are not honoured."""
        return self.conditional is Conditional.NONE

    def register(self, metrics: Metrics) -> None:
        """Have its numbers shown."""
        metrics.read(
            "pypicloud_upload_buffer_bytes",
            "What is taken of aws.buffer_memory",
            lambda: self.budget.used,
        )
        metrics.read(
            "pypicloud_s3_clock_skew_seconds",
            "How far S3's clock is ahead of this machine's",
            lambda: self.client.requester.skew,
            together="max",
        )
        metrics.read(
            "pypicloud_s3_credentials_end_timestamp_seconds",
            "When the credentials that are at hand end",
            self._credentials_end,
            together="min",
        )
        if self.signed_urls is not None:
            self.signed_urls.register(metrics)

    def _credentials_end(self) -> float:
        credentials = self.client.requester.credentials.current()
        if credentials is None:
            return 0.0
        return inf if credentials.expires is None else credentials.expires

    # -- the bucket --

    async def prepare(self) -> None:
        """See :class:`IObjectStore`; finds out what the server can be trusted with."""
        self.client.requester.credentials.start()
        if self.abilities is not None:
            return
        await self._reach()
        self._tell(await self.try_conditions())

    async def try_conditions(self) -> Abilities:
        """Find out what the server can be trusted with, and mind it from now on.

        :raises StoreError: it is away, or refuses.
        """
        with self._explained():
            self.abilities = await probe(self.client, self.prefix)
        return self.abilities

    async def close(self) -> None:
        """Stop what goes on in the background."""
        self.client.requester.credentials.stop()
        if self.signed_urls is not None:
            self.signed_urls.clear()

    async def ping(self) -> None:
        """See :class:`IObjectStore`."""
        with self._explained():
            await self.client.get_bucket(self.prefix, max_keys=1)

    async def _reach(self) -> None:
        """Return if the bucket is there and may be used; create it if asked to."""
        try:
            await self.client.get_bucket(self.prefix, max_keys=1)
        except S3Error as error:
            if error.code != "NoSuchBucket" or not self.create_bucket:
                raise self._explain(error) from error
            with self._explained():
                await self.client.create_bucket()
            self._log.info(
                "Created bucket {bucket}.", bucket=self.client.endpoint.bucket
            )
        except S3Fault as fault:
            raise self._explain(fault) from fault

    def _tell(self, abilities: Abilities) -> None:
        if abilities.conditional is Conditional.NONE:
            self._log.critical(ONE_WRITER, reason=abilities.reason)
        else:
            self._log.info(HONOURED, style=abilities.conditional.value)

    # -- small objects --

    async def get(
        self, key: str, *, unless: str | None = None, limit: int = 64 * 2**20
    ) -> StoredBytes | None:
        """See :class:`IObjectStore`."""
        path = self._path(key)
        try:
            reply = await self.client.get_object(path, unless=unless, limit=limit)
        except S3TooLong:
            raise await self._too_long(key, limit) from None
        except S3Fault as fault:
            raise await self._absent(fault, path) from fault
        if reply.answer.status == 304:
            return None
        info = object_info(key, reply.answer.headers())
        if info.size != len(reply.data):
            raise StoreError("S3 sent fewer bytes of an object than there are.")
        return StoredBytes(info, reply.data)

    async def head(self, key: str) -> ObjectInfo:
        """See :class:`IObjectStore`."""
        path = self._path(key)
        try:
            return object_info(key, await self.client.head_object(path))
        except S3Fault as fault:
            raise await self._absent(fault, path) from fault

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
        key_segments(key)
        headers = self.headers.small(content_type, metadata)
        if condition is not None and self.conditional is Conditional.NONE:
            return await self._put_alone(key, data, condition, headers)
        return await self._put(key, data, condition, headers)

    async def delete(self, key: str) -> None:
        """See :class:`IObjectStore`."""
        path = self._path(key)
        with self._explained():
            await self.client.delete_object(path)

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """See :class:`IObjectStore`; the server copies, if it knows how."""
        key_segments(target)
        path = self._path(source)
        try:
            told = await self.client.head_object(path)
            size, piece = object_info(source, told).size, self.sizes.copied
            copy = BucketCopy(self.client, path, self._path(target), told, piece)
            await copy.make(size)
        except S3Error as error:
            if lacks_copying(error):
                return await streamed_copy(self, source, target)
            raise await self._absent(error, path) from error
        except S3Fault as fault:
            raise self._explain(fault) from fault
        return await self.head(target)

    # -- large objects --

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
        key_segments(key)
        path = self._path(key)
        filename = key.rpartition("/")[2]
        headers = self.headers.file(filename, content_type, metadata)
        sizes = self.sizes.reaching(size_hint)
        checksums = None if small else self._part_checksums(sizes, size_hint)
        spool: Spool = SmallSpool.make()
        if not small:
            spool = await Spool.temporary(
                self.offload,
                folder=self.temp_dir,
                size_hint=size_hint,
                also=None if checksums is None else checksums.take,
            )
        return S3Upload(
            key, path, spool, self.client, self.budget, headers, sizes, checksums
        )

    def _part_checksums(
        self, sizes: Sizes, size_hint: int | None
    ) -> PartChecksums | None:
        """Begin those of an upload that may have parts, if they are wanted."""
        algorithm = self.client.part_algorithm
        if size_hint is not None and size_hint <= sizes.single:
            return None
        if algorithm == "CRC32" and not self.client.checksums:
            return None
        return PartChecksums(algorithm, sizes.part)

    async def abandon_uploads(
        self, before: datetime, *, dry_run: bool = False
    ) -> int | None:
        """See :class:`IObjectStore`; S3 would keep the parts, and bill for them."""
        count = 0
        with self._explained():
            try:
                async for upload in self._uploads():
                    if upload.initiated < before and self._is_ours(upload.key):
                        count += 1
                        if not dry_run:
                            await self.client.abort_multipart_upload(
                                upload.key, upload.upload_id
                            )
            except S3Error as error:
                if error.status != 501:
                    raise
                # NotImplemented, by s3rver and others that are small.
                return None
        return count

    async def _uploads(self) -> AsyncIterator[MultipartUpload]:
        key_marker = upload_id_marker = None
        while True:
            page = await self.client.list_multipart_uploads(
                self.prefix, key_marker=key_marker, upload_id_marker=upload_id_marker
            )
            for upload in page.uploads:
                yield upload
            if not page.key_marker:
                return
            if (key_marker, upload_id_marker) == (
                page.key_marker,
                page.upload_id_marker,
            ):
                raise S3Unreachable("S3 lists the same uploads again and again.")
            key_marker, upload_id_marker = page.key_marker, page.upload_id_marker

    def _is_ours(self, path: str) -> bool:
        key = path.removeprefix(self.prefix)
        return path.startswith(self.prefix) and _OUR_UPLOADS.fullmatch(key) is not None

    async def open(self, key: str, *, byte_range: ByteRange | None = None) -> IDownload:
        """See :class:`IObjectStore`."""
        path = self._path(key)
        try:
            reply = await self.client.get_object(path, byte_range=byte_range)
        except S3Error as error:
            if error.status == 416 and byte_range is not None:
                raise await self._beyond(key, byte_range) from None
            raise await self._absent(error, path) from error
        except S3Fault as fault:
            raise await self._absent(fault, path) from fault
        return S3Download.of(key, self.client, path, reply.answer, byte_range)

    def url(self, key: str, *, filename: str) -> SignedUrl | None:
        """See :class:`IObjectStore`."""
        if self.signed_urls is None:
            return None
        found = self.signed_urls.look_up(self._path(key), filename)
        off = self.client.requester.offset
        if found is None or not off:
            return found
        return SignedUrl(found.url, found.fresh_until - off, found.ends - off)

    # -- listing --

    async def list(
        self,
        prefix: str,
        *,
        after: str = "",
        unlisted: Callable[[Unlisted], None] | None = None,
        skip: Callable[[str], bool] = enter,
    ) -> AsyncIterator[ObjectInfo]:
        """See :class:`IObjectStore`; whoever may list a bucket may list all of it.

        From a server that lists in another order, all is read before the first one is
        told: a quarter of a kilobyte each.
        """
        ordered = self.abilities is not None and self.abilities.ordered
        pages = ListingPages(self.client, _encodable(self.prefix + prefix), ordered)
        start = _encodable(self.prefix + after) if after else ""
        with self._explained():
            if ordered and unlisted is not None:
                async for found in self._visible(pages, prefix, start):
                    yield self._info(found)
                return
            if ordered:
                async for found in pages.read(start):
                    yield self._info(found)
                return
            everything = [found async for found in pages.read("")]
        everything.sort(key=lambda found: key_order(found.key))
        for found in everything:
            if key_order(found.key) > key_order(start):
                yield self._info(found)

    async def _visible(
        self, pages: ListingPages, prefix: str, start: str
    ) -> AsyncIterator[ListedObject]:
        """List what is not hidden by a dot, for a request more.

        There may be far more records and minted tokens than packages.
        """
        dot = _encodable(f"{self.prefix}{prefix}.")
        async with aclosing(pages.read(start)) as before:
            async for found in before:
                if key_order(found.key) >= key_order(dot):
                    break
                yield found
            else:
                return
        async for found in pages.read(max(start, f"{dot}~", key=key_order)):
            yield found

    def _info(self, found: ListedObject) -> ObjectInfo:
        key = found.key.removeprefix(self.prefix)
        return ObjectInfo(key, found.size, found.etag, found.modified)

    # -- how --

    def _path(self, key: str) -> str:
        """Return an object's key in the bucket.

        What others have put there may be called anything, but not nothing (that would
        be the bucket itself), nor lead elsewhere where a path is tidied up on the way.

        :raises StoreError: there can be no such key.
        """
        path = self.prefix + key
        try:
            size = len(path.encode())
        except UnicodeEncodeError:
            raise ObjectUnfit("No object can have this key: not Unicode.") from None
        if not key or size > MAX_KEY or "\0" in key:
            raise ObjectUnfit(f"No object can have this key: 1 to {MAX_KEY} bytes.")
        if {".", ".."} & set(key.split("/")):
            raise ObjectUnfit("No object can have this key: it would lead elsewhere.")
        return path

    async def _put(
        self, key: str, data: bytes, condition: Condition, headers: Mapping[str, str]
    ) -> ObjectInfo:
        path = self._path(key)
        try:
            written = await self.client.put_object(
                path, data, condition=condition, headers=headers
            )
        except S3Error as error:
            raise self._lost(error, condition) or self._explain(error) from error
        except S3Fault as fault:
            raise self._explain(fault) from fault
        if not written.etag:
            return await self.head(key)
        return ObjectInfo(key, len(data), written.etag, written.date)

    async def _put_alone(
        self, key: str, data: bytes, condition: Condition, headers: Mapping[str, str]
    ) -> ObjectInfo:
        """Look, then write, one at a time: right only while nobody else writes."""
        await self._swaps.acquire()
        try:
            try:
                etag: str | None = (await self.head(key)).etag
            except ObjectNotFound:
                etag = None
            wanted = condition.etag if isinstance(condition, IfMatch) else None
            if etag != wanted:
                raise PreconditionFailed("The object is not the one that was read.")
            return await self._put(key, data, None, headers)
        finally:
            self._swaps.release()

    def _lost(
        self, error: S3Error, condition: Condition
    ) -> AmbiguousWrite | PreconditionFailed | None:
        """Return what a refusal of a conditional write means, if it is one."""
        # A bucket that is gone is no conflict; all else that is not there is.
        missing = error.status == 404 and error.code != "NoSuchBucket"
        if condition is None or not (error.status == 412 or missing):
            return None
        if error.unknown:
            return AmbiguousWrite(
                "The store's first answer was lost; look whether it was written."
            )
        if isinstance(condition, IfAbsent):
            return PreconditionFailed("There is such an object already.")
        return PreconditionFailed("The object is not the one that was read.")

    async def _absent(self, fault: S3Fault, path: str) -> StoreError | ObjectNotFound:
        """Say what a read that failed means: absence must be proved (D5)."""
        if isinstance(fault, S3Error) and fault.status in (400, 403):
            return await self._refused(fault, path)
        if not isinstance(fault, S3Error) or fault.status != 404:
            return self._explain(fault)
        if fault.code == "NoSuchBucket":
            return self._explain(fault)
        if fault.code != "NoSuchKey":
            # HEAD has no body; and what sits in front of S3 may say 404 as well.
            with self._explained():
                listing = await self.client.get_bucket(path, max_keys=1)
            if any(found.key == path for found in listing.objects):
                return StoreError("S3 lists an object that it does not find.")
        return ObjectNotFound("There is no such object in the store.")

    async def _refused(self, fault: S3Error, path: str) -> ObjectUnreadable:
        """Make sure that it is this object that must not be read, and not every one.

        :raises StoreError: nothing may be asked.
        """
        error = self._explain(fault)
        with self._explained():
            await self.client.get_bucket(path, max_keys=1)
        return ObjectUnreadable(error.message)

    async def _too_long(self, key: str, limit: int) -> ObjectUnfit:
        size = (await self.head(key)).size
        return ObjectUnfit(
            f"An object of {size} bytes lies where at most {limit} are expected."
        )

    async def _beyond(self, key: str, byte_range: ByteRange) -> RangeNotSatisfiable:
        size = (await self.head(key)).size
        return RangeNotSatisfiable(
            f"The range begins at byte {byte_range.start} of {size}.", size
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except S3Fault as fault:
            raise self._explain(fault) from fault

    def _explain(self, fault: S3Fault) -> StoreError:
        error = explain(fault, self.client.endpoint)
        if not isinstance(fault, S3Error) or fault.code == ARCHIVED:
            return error
        if fault.status == 403:
            self._show_policy(fault, error.message)
        return error

    def _show_policy(self, fault: S3Error, message: str) -> None:
        """Say what would be enough; once for each operation, for it is long."""
        if fault.operation not in self._shown:
            self._shown.add(fault.operation)
            self._log.error(
                "{error} S3 says: {fault}. This is enough:\n{policy}",
                error=message,
                fault=str(fault),
                policy=iam_policy(
                    self.client.endpoint,
                    self.prefix,
                    self.client.common,
                    create_bucket=self.create_bucket,
                ),
            )


def _encodable(text: str) -> str:
    """What is no Unicode is the beginning of no key."""
    return text.encode("utf-8", "replace").decode()
