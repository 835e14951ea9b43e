"""Distribution files: by redirect or by stream, whole or a range, and their metadata.

Addresses carry the digest, so what lies under one never changes (DESIGN.md D4).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen
from twisted.logger import Logger

from pypicloud_tw.errors import NotFound, ObjectNotFound, StoreError
from pypicloud_tw.index.layout import METADATA_SUFFIX
from pypicloud_tw.index.model import File
from pypicloud_tw.store.interfaces import ByteRange, IDownload, IObjectStore
from pypicloud_tw.web.media import content_type
from pypicloud_tw.web.negotiation import http_date, is_not_modified
from pypicloud_tw.web.ranges import content_range, resolve
from pypicloud_tw.web.site import Request

_log = Logger()

# RFC 8246: what has the digest in its address never changes.
_FOREVER = "max-age=31536000, immutable"


@frozen
class Blob:
    """Bytes with an address of their own: a file, or the core metadata beside it.

    :ivar size: None where the manifest does not tell, as of metadata.
    """

    key: str
    filename: str
    sha256: str
    size: int | None
    file: File

    @property
    def etag(self) -> bytes:
        """Strong, and the same on every server and in every store."""
        return f'"{self.sha256}"'.encode()


def find_blob(
    files: Mapping[tuple[str, str], File], digest: str, filename: str
) -> Blob:
    """Find what lies under an address.

    :raises NotFound: nothing does.
    """
    file = files.get((digest, filename))
    if file is not None:
        return Blob(file.key, filename, file.sha256, file.size, file)
    file = files.get((digest, filename.removesuffix(METADATA_SUFFIX)))
    if file is not None and filename.endswith(METADATA_SUFFIX):
        if file.metadata_key is None or file.metadata_sha256 is None:
            raise NotFound("This file's core metadata is not kept here.")
        return Blob(file.metadata_key, filename, file.metadata_sha256, None, file)
    raise NotFound("There is no such file here; it may have been removed.")


async def send_blob(
    request: Request, blob: Blob, store: IObjectStore, *, private: bool
) -> None:
    """Answer with the bytes, or as many of them as are asked for.

    :raises RangeNotSatisfiable: none of the bytes asked for exists.
    :raises StoreError: the store is away, or has lost what the manifest names.
    """
    _set_headers(request, blob, private)
    get = request.getHeader
    if is_not_modified(
        get(b"If-None-Match"),
        blob.etag,
        get(b"If-Modified-Since"),
        blob.file.upload_time,
    ):
        request.setResponseCode(304)
        return
    blob = await _sized(blob, store)
    assert blob.size is not None, "_sized tells the size"
    part = resolve(
        get(b"Range") if request.method == b"GET" else None,
        get(b"If-Range"),
        blob.size,
        blob.etag,
        blob.file.upload_time,
    )
    length = blob.size if part is None else part.stop - part.start
    request.setHeader(b"Content-Length", b"%d" % length)
    if part is not None:
        request.setResponseCode(206)
        request.setHeader(b"Content-Range", content_range(part, blob.size))
    if request.method == b"HEAD" or length == 0:
        return
    download = await _open(blob, store, part)
    try:
        await download.deliver(request)
    except StoreError as e:
        # The status is gone already. An answer that is cut short is the only honest
        # one left: the client sees that bytes are missing.
        _log.error("Sending {key} broke off: {error}", key=blob.key, error=e.message)
        request.abort()
    finally:
        download.abandon()


def _set_headers(request: Request, blob: Blob, private: bool) -> None:
    scope = "private" if private else "public"
    request.setHeader(b"Content-Type", content_type(blob.filename))
    request.setHeader(b"ETag", blob.etag)
    request.setHeader(b"Last-Modified", http_date(blob.file.upload_time))
    request.setHeader(b"Cache-Control", f"{scope}, {_FOREVER}".encode())
    request.setHeader(b"Accept-Ranges", b"bytes")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")


async def _sized(blob: Blob, store: IObjectStore) -> Blob:
    if blob.size is not None:
        return blob
    try:
        return evolve(blob, size=(await store.head(blob.key)).size)
    except ObjectNotFound:
        raise _lost(blob) from None


async def _open(blob: Blob, store: IObjectStore, part: ByteRange | None) -> IDownload:
    try:
        download = await store.open(blob.key, byte_range=part)
    except ObjectNotFound:
        raise _lost(blob) from None
    if download.info.size != blob.size:
        download.abandon()
        raise _lost(blob)
    return download


def _lost(blob: Blob) -> StoreError:
    _log.error(
        "The object {key} is gone or not what the manifest says; 'pypicloud verify' "
        "lists all such.",
        key=blob.key,
    )
    return StoreError("The store has lost this file; tell who runs this index.")
