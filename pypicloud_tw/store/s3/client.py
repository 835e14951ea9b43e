"""S3's operations on one bucket, in the vocabulary of txAWS.

Every operation signs, sends, retries and reads answers; none knows what the objects
mean. They raise :class:`~pypicloud_tw.store.s3.faults.S3Error` for what S3 says and
:class:`~pypicloud_tw.store.s3.faults.S3Unreachable` where it says nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import datetime

from attrs import define, field, frozen

from pypicloud_tw.outbound.sending import BytesBody, RepeatableBody
from pypicloud_tw.store.interfaces import ByteRange, Condition, IfAbsent
from pypicloud_tw.store.s3.checksums import Algorithm
from pypicloud_tw.store.s3.endpoint import DEFAULT_REGION, Endpoint
from pypicloud_tw.store.s3.faults import ErrorDocument, S3Error, S3Unreachable
from pypicloud_tw.store.s3.request import MAX_LISTING, Call, S3Reply, S3Requester
from pypicloud_tw.store.s3.sigv4 import (
    AWSCredentials,
    Presigner,
    canonical_query,
    quote_path,
)
from pypicloud_tw.store.s3.xml import (
    LifecycleRule,
    Listing,
    Part,
    UploadListing,
    parse_completed,
    parse_copied,
    parse_error,
    parse_lifecycle,
    parse_listing,
    parse_upload_id,
    parse_uploads,
    parse_versioning,
    unquote_etag,
    write_completion,
    write_location,
)

_CHECKSUM = "x-amz-checksum-"


@frozen
class Written:
    """What S3 says to a write.

    :ivar etag: without quotes; empty if the server tells none.
    :ivar date: the server's clock.
    """

    etag: str
    date: datetime


@define(eq=False)
class S3Client:
    """Speaks to one bucket.

    :ivar common: header fields that every object is written with.
    :ivar checksums: send ``x-amz-checksum-sha256``, or ``-crc32`` of parts over TLS.
    :ivar quoted: whether ``If-Match`` bears the ETag's quotes, as RFC 9110 has it.
    """

    requester: S3Requester
    common: Mapping[str, str] = field(factory=dict)
    checksums: bool = True
    quoted: bool = True

    @property
    def part_algorithm(self) -> Algorithm:
        """What parts have as their checksum; without TLS SHA-256 is signed, too."""
        return "CRC32" if self.endpoint.secure else "SHA256"

    @property
    def endpoint(self) -> Endpoint:
        """Where the bucket is, as far as we know."""
        return self.requester.endpoint

    # -- the bucket --

    async def head_bucket(self) -> None:
        """Return if the bucket is there and may be listed."""
        await self._perform(Call("head_bucket", "HEAD"))

    async def create_bucket(self) -> None:
        """Create the bucket in our region; harmless if it is ours already."""
        body = None
        # Other servers know nothing of regions, or call theirs as they like.
        if self.endpoint.server is None and self.endpoint.region != DEFAULT_REGION:
            body = BytesBody(write_location(self.endpoint.region))
        try:
            await self._perform(Call("create_bucket", "PUT", body=body))
        except S3Error as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    async def get_bucket(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        start_after: str = "",
        max_keys: int = 1000,
        continuation: str | None = None,
    ) -> Listing:
        """Read one page of a listing (ListObjectsV2)."""
        query = {
            "list-type": "2",
            # Keys may hold characters that XML cannot.
            "encoding-type": "url",
            "prefix": prefix,
            "delimiter": delimiter,
            "start-after": start_after,
            "max-keys": str(max_keys),
            "continuation-token": continuation or "",
        }
        pairs = [(name, value) for name, value in query.items() if value]
        reply = await self._perform(
            Call("get_bucket", "GET", query=pairs, limit=MAX_LISTING)
        )
        return parse_listing(reply.data)

    async def get_lifecycle(self) -> list[LifecycleRule]:
        """Read what the bucket does to objects by itself; nothing else asks this."""
        try:
            data = await self._setting("get_lifecycle", "lifecycle")
        except S3Error as error:
            if error.code != "NoSuchLifecycleConfiguration":
                raise
            return []
        return parse_lifecycle(data)

    async def get_versioning(self) -> str:
        """Read whether old versions are kept: see :func:`.xml.parse_versioning`."""
        return parse_versioning(await self._setting("get_versioning", "versioning"))

    async def _setting(self, operation: str, name: str) -> bytes:
        call = Call(operation, "GET", query=[(name, "")], limit=MAX_LISTING)
        return (await self._perform(call)).data

    async def status_for_anybody(
        self, method: str, key: str | None, data: bytes | None = None
    ) -> int:
        """Ask without a signature, as anybody may; return the status.

        :raises S3Unreachable: there was no answer.
        """
        endpoint = self.endpoint
        headers = {"user-agent": self.requester.user_agent}
        reply = await self.requester.wire.send(
            method,
            f"{endpoint.origin}{endpoint.path(key)}",
            headers,
            None if data is None else BytesBody(data),
        )
        reply.discard()
        return reply.status

    # -- objects --

    async def put_object(
        self,
        key: str,
        body: bytes | RepeatableBody,
        *,
        condition: Condition = None,
        headers: Mapping[str, str] | None = None,
    ) -> Written:
        """Write an object whole.

        A failed *condition* is an S3Error of status 412 (or 404, if there is nothing to
        match); if an earlier try may have been carried out, its ``unknown`` is set.
        """
        body = BytesBody(body) if isinstance(body, bytes) else body
        reply = await self._perform(
            Call(
                "put_object",
                "PUT",
                key,
                headers={
                    **self.common,
                    **(headers or {}),
                    **self._condition(condition),
                    **_checksum_headers(self._checksums(body)),
                },
                body=body,
            )
        )
        return _written(reply)

    async def get_object(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        unless: str | None = None,
        match: str | None = None,
        limit: int | None = None,
    ) -> S3Reply:
        """Open an object.

        :param limit: read it whole if it has no more bytes than this; with None the
            bytes wait in the reply's answer, which must be delivered or discarded.
        :param unless: answer 304 if it still has this ETag.
        :param match: fail with 412 if it no longer has this ETag.
        """
        headers = {}
        if byte_range is not None:
            headers["range"] = f"bytes={byte_range.start}-{byte_range.stop - 1}"
        if unless is not None:
            headers["if-none-match"] = f'"{unless}"'
        if match is not None:
            headers["if-match"] = self._etag(match)
        call = Call(
            "get_object",
            "GET",
            key,
            headers=headers,
            good=frozenset({200, 206, 304}),
            limit=limit,
        )
        return await self._perform(call)

    async def head_object(self, key: str) -> Mapping[str, str]:
        """Return an object's header fields, by lower-case name."""
        reply = await self._perform(Call("head_object", "HEAD", key))
        return reply.answer.headers()

    async def copy_object(
        self, source: str, key: str, *, headers: Mapping[str, str] | None = None
    ) -> Written:
        """Copy an object within the bucket, on the server."""
        reply = await self._perform(
            Call(
                "copy_object",
                "PUT",
                key,
                headers={**self.common, **(headers or {}), **self._source(source)},
                judge=_refuse_hidden_error,
            )
        )
        return Written(parse_copied(reply.data), reply.answer.date)

    async def delete_object(self, key: str) -> None:
        """Delete an object; harmless if there is none."""
        await self._perform(Call("delete_object", "DELETE", key))

    # -- multipart uploads --

    async def init_multipart_upload(
        self,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        checksums: bool = True,
    ) -> str:
        """Begin a multipart upload; tell its id.

        :param checksums: those of its parts will be sent, if they are at all.
        """
        algorithm = {}
        if checksums and self.checksums:
            algorithm = {"x-amz-checksum-algorithm": self.part_algorithm}
        reply = await self._perform(
            Call(
                "init_multipart_upload",
                "POST",
                key,
                query=[("uploads", "")],
                headers={**self.common, **(headers or {}), **algorithm},
            )
        )
        return parse_upload_id(reply.data)

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: RepeatableBody
    ) -> Part:
        """Send one part; numbers begin at 1."""
        checksums = self._checksums(body)
        reply = await self._perform(
            Call(
                "upload_part",
                "PUT",
                key,
                query=[("partNumber", str(number)), ("uploadId", upload_id)],
                headers=_checksum_headers(checksums),
                body=body,
            )
        )
        # Who knows of checksums tells it again ("UploadPart"), and wants it at the
        # end; OpenStack Swift does not, and takes an end that has it for malformed.
        told = {
            algorithm: value
            for algorithm in checksums
            if (value := reply.answer.header(f"{_CHECKSUM}{algorithm.lower()}"))
        }
        return Part(number, _written(reply).etag, told)

    async def upload_part_copy(
        self, source: str, key: str, upload_id: str, number: int, part: ByteRange
    ) -> Part:
        """Take one part from an object of the bucket; numbers begin at 1."""
        reply = await self._perform(
            Call(
                "upload_part_copy",
                "PUT",
                key,
                query=[("partNumber", str(number)), ("uploadId", upload_id)],
                headers={
                    **self._source(source),
                    "x-amz-copy-source-range": f"bytes={part.start}-{part.stop - 1}",
                },
                judge=_refuse_hidden_error,
            )
        )
        return Part(number, parse_copied(reply.data))

    async def complete_multipart_upload(
        self, key: str, upload_id: str, parts: Iterable[Part]
    ) -> Written:
        """Make an object of the parts, which must be in order.

        If the upload is not known (any more), an earlier try may have completed it:
        then the S3Error's ``unknown`` is set.
        """
        call = Call(
            "complete_multipart_upload",
            "POST",
            key,
            query=[("uploadId", upload_id)],
            headers={"content-type": "application/xml"},
            body=BytesBody(write_completion(parts)),
            judge=_refuse_incomplete,
        )
        reply = await self._perform(call)
        return Written(str(parse_completed(reply.data)), reply.answer.date)

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        """Forget a multipart upload and its parts; harmless if it is not known."""
        call = Call(
            "abort_multipart_upload", "DELETE", key, query=[("uploadId", upload_id)]
        )
        try:
            await self._perform(call)
        except S3Error as error:
            if error.code != "NoSuchUpload":
                raise

    async def list_multipart_uploads(
        self,
        prefix: str = "",
        *,
        key_marker: str | None = None,
        upload_id_marker: str | None = None,
    ) -> UploadListing:
        """Read one page of the multipart uploads under way."""
        query = {
            "encoding-type": "url",
            "prefix": prefix,
            "key-marker": key_marker or "",
            "upload-id-marker": upload_id_marker or "",
        }
        pairs = [("uploads", "")]
        pairs += [(name, value) for name, value in query.items() if value]
        reply = await self._perform(
            Call("list_multipart_uploads", "GET", query=pairs, limit=MAX_LISTING)
        )
        return parse_uploads(reply.data)

    # -- addresses --

    def presigner(self, credentials: AWSCredentials) -> Presigner:
        """Make what signs addresses at the present endpoint."""
        return Presigner(self.requester.identity(credentials), self.endpoint.origin)

    def presign(
        self, key: str, expires: int, query: Iterable[tuple[str, str]] = ()
    ) -> str:
        """Make an address that serves an object for *expires* seconds from now.

        :param query: ``response-*`` parameters.
        :raises S3Unreachable: there are no credentials at hand.
        """
        credentials = self.requester.credentials.current()
        if credentials is None:
            raise S3Unreachable("There are no AWS credentials at hand to sign with.")
        return self.presigner(credentials).presign(
            self.endpoint.path(key),
            int(self.requester.instant()),
            expires,
            canonical_query(query),
        )

    # -- what several of them share --

    def _source(self, key: str) -> dict[str, str]:
        path = f"/{quote_path(self.endpoint.bucket)}/{quote_path(key)}"
        return {"x-amz-copy-source": path}

    def _condition(self, condition: Condition) -> dict[str, str]:
        if condition is None:
            return {}
        if isinstance(condition, IfAbsent):
            return {"if-none-match": "*"}
        return {"if-match": self._etag(condition.etag)}

    def _etag(self, etag: str) -> str:
        return f'"{etag}"' if self.quoted else etag

    def _checksums(self, body: RepeatableBody) -> dict[Algorithm, bytes]:
        """Choose what S3 shall compare the bytes with: one of them at most."""
        if not self.checksums:
            return {}
        if (digest := body.sha256) is not None:
            return {"SHA256": digest}
        return {} if body.crc32 is None else {"CRC32": body.crc32}

    async def _perform(self, call: Call) -> S3Reply:
        return await self.requester.perform(call)


def _checksum_headers(checksums: Mapping[Algorithm, bytes]) -> dict[str, str]:
    return {
        f"{_CHECKSUM}{algorithm.lower()}": base64.b64encode(value).decode()
        for algorithm, value in checksums.items()
    }


def _written(reply: S3Reply) -> Written:
    etag = unquote_etag(reply.answer.header("etag") or "")
    return Written(etag, reply.answer.date)


def _refuse_hidden_error(data: bytes) -> None:
    """Find the error in a 200, which S3 sends before it knows ("CopyObject")."""
    document = parse_error(data.lstrip())
    if document.code:
        raise S3Error.of(document, 200)


def _refuse_incomplete(data: bytes) -> None:
    completed = parse_completed(data)
    if isinstance(completed, ErrorDocument):
        raise S3Error.of(completed, 200)
