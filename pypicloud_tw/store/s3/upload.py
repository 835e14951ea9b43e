"""Uploads to the bucket, in one PUT or in parts.

Its bytes go to the spool first, and from there to S3: a single PUT at commit when they
are few, else parts, several at a time, while the rest still arrives. A part is read
back from the spool whenever it is sent, so a retry needs no memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from zope.interface import implementer

from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.errors import PypicloudError, StoreError
from pypicloud_tw.outbound.sending import CHUNK
from pypicloud_tw.store.interfaces import IUpload, ObjectInfo
from pypicloud_tw.store.s3.checksums import (
    Algorithm,
    PartChecksums,
    running_checksum,
)
from pypicloud_tw.store.s3.client import S3Client, Written
from pypicloud_tw.store.s3.explain import explained
from pypicloud_tw.store.s3.faults import S3Error, S3Fault
from pypicloud_tw.store.s3.objects import object_info
from pypicloud_tw.store.s3.xml import Part
from pypicloud_tw.store.small import OneByOne
from pypicloud_tw.store.spool import Spool

#: "Amazon S3 multipart upload limits".
MAX_PARTS = 10_000


@frozen
class Sizes:
    """Where an object is cut, in bytes.

    :ivar single: up to so many go in one PUT.
    :ivar part: all parts but the last have one size, as some servers demand; 10,000
        of these are 78 GiB.
    :ivar copied: so many are copied by one request.
    """

    single: int = 16 * 2**20
    part: int = 8 * 2**20
    copied: int = 256 * 2**20

    def reaching(self, size_hint: int | None) -> Sizes:
        """Make parts larger where so many bytes would need too many of them."""
        least = -(-(size_hint or 0) // MAX_PARTS)
        return self if least <= self.part else evolve(self, part=least)


#: Parts of one upload that are under way or wait for memory; with more, its sender
#: waits.
MAX_AHEAD = 4


@frozen
class SpoolBody:
    """A piece of a spool, as a request's body; see :class:`.sending.RepeatableBody`."""

    spool: Spool
    offset: int
    length: int
    sha256: bytes | None = None
    crc32: bytes | None = None

    async def read(self, offset: int, size: int) -> bytes:
        """Return a part of the piece."""
        return await self.spool.read_at(self.offset + offset, size)


async def checksum_of(
    algorithm: Algorithm, spool: Spool, offset: int, length: int
) -> bytes:
    """Work out the checksum of a piece of a spool, in threads."""
    checksum = running_checksum(algorithm)
    end = offset + length
    while offset < end:
        data = await spool.read_at(offset, min(CHUNK, end - offset))
        if not data:
            raise StoreError("The temporary file of an upload has lost bytes.")
        await spool.offload.in_thread(checksum.update, memoryview(data))
        offset += len(data)
    return checksum.digest()


@implementer(IUpload)
@define(eq=False)
class S3Upload(OneByOne):
    """See :class:`IUpload`.

    :ivar key: what the store calls the object; *path* is its key in the bucket.
    :ivar headers: of the object.
    :ivar _part_checksums: of what the spool has taken; None where few bytes were to
        come, so that a part's is worked out if there is one after all.
    """

    key: str
    path: str
    spool: Spool
    _client: S3Client = field(repr=False)
    _budget: BufferBudget = field(repr=False)
    _headers: Mapping[str, str]
    _sizes: Sizes = Sizes()
    _part_checksums: PartChecksums | None = None
    _upload_id: str | None = field(default=None, init=False)
    _scheduled: int = field(default=0, init=False)
    _parts: dict[int, Part] = field(factory=dict, init=False)
    _sending: set[Deferred[None]] = field(factory=set, init=False)
    _error: PypicloudError | None = field(default=None, init=False)
    _over: bool = field(default=False, init=False)
    _log = Logger()

    async def write(self, data: bytes) -> None:
        """See :class:`IUpload`."""
        self._check()
        await self.spool.write(data)
        if self.spool.size <= self._sizes.single:
            return
        with explained(self._client.endpoint):
            await self._begin()
            while self.spool.size - self._scheduled >= self._sizes.part:
                await self._room()
                self._schedule(self._sizes.part)
        self._check()

    async def commit(self) -> ObjectInfo:
        """See :class:`IUpload`. What fails is aborted."""
        self._check()
        try:
            with explained(self._client.endpoint):
                await self.spool.finish()
                info = await self._finish()
        except BaseException:
            await self.abort()
            raise
        self._over = True
        await self.spool.close()
        return info

    async def abort(self) -> None:
        """See :class:`IUpload`."""
        if self._over:
            return
        self._over = True
        self._error = self._error or StoreError("The upload was given up.")
        try:
            sending = list(self._sending)
            for one in sending:
                one.cancel()
            # A part that arrives after the abort would be kept, and paid for.
            await DeferredList(sending)
            await self.spool.close()
            if self._upload_id is not None:
                await self._client.abort_multipart_upload(self.path, self._upload_id)
        except (S3Fault, PypicloudError) as error:
            self._log.warn(
                "The parts of an aborted upload are left for the sweep: {error}",
                error=str(error),
            )

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._over:
            raise StoreError("The upload has ended.")

    async def _begin(self) -> None:
        if self._upload_id is None:
            self._upload_id = await self._client.init_multipart_upload(
                self.path, headers=self._headers
            )

    async def _room(self) -> None:
        """Wait until fewer parts are under way, or until one has failed."""
        while len(self._sending) >= MAX_AHEAD:
            await DeferredList(list(self._sending), fireOnOneCallback=True)
        self._check()

    def _schedule(self, size: int) -> None:
        number = self._scheduled // self._sizes.part + 1
        if number > MAX_PARTS:
            raise StoreError("The file has more bytes than S3 takes in parts.")
        offset, self._scheduled = self._scheduled, self._scheduled + size
        sending = Deferred.fromCoroutine(self._send(number, offset, size))
        self._sending.add(sending)
        sending.addBoth(lambda _: self._sending.discard(sending))
        if sending.called:
            self._sending.discard(sending)

    async def _send(self, number: int, offset: int, size: int) -> None:
        """Send a part; what fails is remembered rather than raised."""
        try:
            assert self._upload_id is not None
            with explained(self._client.endpoint):
                taken = await self._budget.acquire(size)
                try:
                    body = await self._body(number, offset, size)
                    self._parts[number] = await self._client.upload_part(
                        self.path, self._upload_id, number, body
                    )
                finally:
                    self._budget.release(taken)
        except CancelledError:
            self._error = self._error or StoreError("The upload was given up.")
            raise
        except PypicloudError as error:
            self._error = self._error or error

    async def _body(self, number: int, offset: int, size: int) -> SpoolBody:
        algorithm, known = self._client.part_algorithm, self._part_checksums
        if algorithm == "CRC32" and not self._client.checksums:
            return SpoolBody(self.spool, offset, size)
        if known is not None:
            await self.spool.reach(offset + size)
            checksum = known.of(number)
        else:
            checksum = await checksum_of(algorithm, self.spool, offset, size)
        if algorithm == "CRC32":
            return SpoolBody(self.spool, offset, size, crc32=checksum)
        return SpoolBody(self.spool, offset, size, sha256=checksum)

    async def _finish(self) -> ObjectInfo:
        size = self.spool.size
        if self._upload_id is None:
            return await self._put(size)
        if size > self._scheduled:
            self._schedule(size - self._scheduled)
        await DeferredList(list(self._sending))
        self._check()
        parts = [part for _, part in sorted(self._parts.items())]
        assert len(parts) == -(-size // self._sizes.part), "a part is missing"
        try:
            written = await self._client.complete_multipart_upload(
                self.path, self._upload_id, parts
            )
        except S3Error as error:
            # An earlier try whose answer was lost may have done it; no other writer
            # has our key, so whatever is there now is ours.
            if not (error.unknown and error.code == "NoSuchUpload"):
                raise
            return await self._look(size)
        return await self._info(written, size)

    async def _put(self, size: int) -> ObjectInfo:
        digest = bytes.fromhex(self.spool.digests.sha256)
        taken = await self._budget.acquire(size)
        try:
            written = await self._client.put_object(
                self.path,
                SpoolBody(self.spool, 0, size, digest),
                headers=self._headers,
            )
        finally:
            self._budget.release(taken)
        return await self._info(written, size)

    async def _info(self, written: Written, size: int) -> ObjectInfo:
        if not written.etag:
            # Ceph tells none of what was made of parts.
            return await self._look(size)
        return ObjectInfo(self.key, size, written.etag, written.date)

    async def _look(self, size: int) -> ObjectInfo:
        info = object_info(self.key, await self._client.head_object(self.path))
        if info.size != size:
            raise StoreError("S3 has lost bytes of an upload.")
        return info
