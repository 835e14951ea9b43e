"""Copying an object within the bucket: its bytes stay where they are.

One request copies up to 5 GB ("CopyObject", Amazon S3 API reference). A large object is
copied in parts, so that no request takes longer than a client waits for its answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen
from twisted.logger import Logger

from pypicloud_tw.store.interfaces import ByteRange
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.faults import S3Error, S3Fault
from pypicloud_tw.store.s3.objects import kept_headers
from pypicloud_tw.store.s3.upload import MAX_PARTS
from pypicloud_tw.store.s3.xml import Part

_log = Logger()


def lacks_copying(error: S3Error) -> bool:
    """Return whether the server does not know how to copy: some small ones do not."""
    return error.status == 501 or error.code == "NotImplemented"


@frozen
class BucketCopy:
    """One object, and where its copy goes: keys in the bucket.

    :ivar told: the header fields of the source.
    :ivar piece: bytes that one request copies.
    """

    client: S3Client
    source: str
    target: str
    told: Mapping[str, str]
    piece: int

    async def make(self, size: int) -> None:
        """Copy it.

        :raises S3Fault: it may or may not be there.
        """
        if size > self.piece:
            await self._in_parts(size)
            return
        # Without a class the copy gets the usual one; all else is kept by itself.
        headers = {
            name: value
            for name, value in kept_headers(self.told).items()
            if name == "x-amz-storage-class"
        }
        await self.client.copy_object(self.source, self.target, headers=headers)

    async def _in_parts(self, size: int) -> None:
        upload_id = await self.client.init_multipart_upload(
            self.target, headers=kept_headers(self.told), checksums=False
        )
        try:
            parts = [
                await self._copy_part(upload_id, number, part)
                for number, part in enumerate(self._cut(size), 1)
            ]
            await self._complete(upload_id, parts)
        except BaseException:
            await self._abort(upload_id)
            raise

    async def _copy_part(self, upload_id: str, number: int, part: ByteRange) -> Part:
        return await self.client.upload_part_copy(
            self.source, self.target, upload_id, number, part
        )

    def _cut(self, size: int) -> Iterator[ByteRange]:
        piece = max(self.piece, -(-size // MAX_PARTS))
        for start in range(0, size, piece):
            yield ByteRange(start, min(size, start + piece))

    async def _complete(self, upload_id: str, parts: list[Part]) -> None:
        try:
            await self.client.complete_multipart_upload(self.target, upload_id, parts)
        except S3Error as error:
            # An earlier try whose answer was lost may have done it; whoever copies
            # looks at what is there.
            if not (error.unknown and error.code == "NoSuchUpload"):
                raise

    async def _abort(self, upload_id: str) -> None:
        try:
            await self.client.abort_multipart_upload(self.target, upload_id)
        except S3Fault as fault:
            _log.warn(
                "The parts of a copy are left for the sweep: {error}", error=str(fault)
            )
