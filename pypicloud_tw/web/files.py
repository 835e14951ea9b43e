"""Distribution files: by redirect or by stream, whole or a range, and their metadata.

Addresses carry the digest, so what lies under one never changes (decision D4).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from attrs import field, frozen
from twisted.logger import Logger

from pypicloud_tw.errors import (
    NotFound,
    StoreError,
    UpstreamError,
)
from pypicloud_tw.index.layout import METADATA_SUFFIX
from pypicloud_tw.index.model import File
from pypicloud_tw.projects.stored_files import open_named
from pypicloud_tw.store.interfaces import ByteRange, IDownload, IObjectStore
from pypicloud_tw.web.http.conditions import check_required, is_known
from pypicloud_tw.web.http.fields import GUARDS, http_date, joined, lines, single
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.media import content_type
from pypicloud_tw.web.ranges import content_range, resolve

_log = Logger()

# RFC 8246: what has the digest in its address never changes.
_FOREVER = "max-age=31536000, immutable"

# RFC 9111, sections 5.2.2.8 and 5.2.2.10: a client keeps what it got, but a proxy that
# many share asks before it gives it to the next one.
_ASKED_AGAIN = ", s-maxage=0, proxy-revalidate"

#: Seconds by which a redirect is forgotten before the signature in it ends.
_MARGIN = 60

#: Says what an upstream has done with a file, for whoever looks.
_MARK = b"X-Pypicloud-Upstream"

_REDIRECT = (
    b"Content-Length: 0\r\n"
    + lines(GUARDS)
    + (b"Location: %b\r\nCache-Control: %b\r\n")
)


@frozen
class Blob:
    """Bytes with an address of their own: a file, or the core metadata beside it.

    :ivar sha256: None where it is not known.
    :ivar size: None where it is only known when it is opened.
    :ivar key: where it lies in the store, if it does.
    :ivar open: asks for the bytes, or a range of them.
    :ivar permanent: the address says which bytes these are.
    :ivar judged: it may be refused one day.
    :ivar mark: what an upstream has done with a file that is kept here: ``deleted`` or
        ``yanked``.
    :ivar how: by which way its bytes come, as of :class:`.Download`, unless the client
        is sent to the store for them.
    """

    filename: str
    sha256: str | None
    size: int | None
    modified: datetime | None
    open: Callable[[ByteRange | None], Awaitable[IDownload]] = field(repr=False)
    key: str | None = None
    permanent: bool = True
    judged: bool = False
    how: str = "streamed"
    mark: str | None = None

    @property
    def etag(self) -> bytes | None:
        """Strong, and the same on every server and in every store."""
        return None if self.sha256 is None else f'"{self.sha256}"'.encode()


def find_blob(
    find: Callable[[str, str], File | None],
    digest: str,
    filename: str,
    store: IObjectStore,
) -> Blob:
    """Find what lies under an address.

    :param find: finds a file by the digest in its address and its name.
    :raises NotFound: nothing does.
    """
    file = find(digest, filename)
    if file is not None:
        return _stored(store, file, filename, file.key, file.sha256, file.size)
    file = find(digest, filename.removesuffix(METADATA_SUFFIX))
    if file is None or not filename.endswith(METADATA_SUFFIX):
        raise NotFound("There is no such file here; it may have been removed.")
    if file.metadata_key is None or file.metadata_sha256 is None:
        raise NotFound("This file's core metadata is not kept here.")
    return _stored(store, file, filename, file.metadata_key, file.metadata_sha256, None)


def _stored(
    store: IObjectStore,
    file: File,
    filename: str,
    key: str,
    digest: str,
    size: int | None,
) -> Blob:
    async def opened(part: ByteRange | None) -> IDownload:
        return await open_named(store, key, size, part)

    return Blob(filename, digest, size, file.upload_time, opened, key)


def redirect_to_store(request: Request, blob: Blob, store: IObjectStore) -> bool:
    """Answer a GET with an address that the store itself serves, if it gives any.

    HEAD and core metadata are answered here: an address that is signed for GET refuses
    HEAD, and metadata is small (decision D4).
    """
    if request.method != b"GET" or blob.key is None:
        return False
    now = request.site.reactor.seconds()
    block = redirect_block(store, blob.key, blob.filename, now)
    if block is None:
        return False
    if blob.mark is not None:
        block += lines(((_MARK, _mark(blob.mark)),))
    request.send_whole(302, block, b"")
    return True


def redirect_block(
    store: IObjectStore, key: str, filename: str, now: float
) -> bytes | None:
    """Write the header fields of a redirect to an object, if the store serves it.

    :returns: None: it does not, or this is core metadata.
    """
    if filename.endswith(METADATA_SUFFIX):
        return None
    signed = store.url(key, filename=filename)
    if signed is None:
        return None
    left = int(signed.ends - now) - _MARGIN
    # Private: whoever holds the address may read the file until it ends.
    scope = b"private, max-age=%d" % left if left > 0 else b"no-store"
    return _REDIRECT % (signed.url.encode(), scope)


async def send_blob(request: Request, blob: Blob, *, private: bool) -> None:
    """Answer with the bytes, or as many of them as are asked for.

    :raises ConditionFailed: these are not the bytes that the client requires.
    :raises RangeNotSatisfiable: none of the bytes asked for exists.
    :raises StoreError: the store is away, or has lost what the manifest names.
    """
    _set_headers(request, blob, private)
    if _is_known(request, blob):
        request.setResponseCode(304)
        return
    opened = None if blob.size is not None else await blob.open(None)
    try:
        size = opened.info.size if opened is not None else blob.size
        assert size is not None, "either is known"
        part = _asked_part(request, blob, size)
        if _sends_head(request, part, size):
            return
        if opened is None or part is not None:
            if opened is not None:
                opened.abandon()
            opened = await blob.open(part)
        await _deliver(request, blob, opened)
    finally:
        if opened is not None:
            opened.abandon()


def _is_known(request: Request, blob: Blob) -> bool:
    """Judge the request's conditions, in the order of RFC 9110, section 13.2.2."""
    if blob.etag is None:
        return False
    check_required(request, blob.etag, blob.modified)
    return is_known(request, blob.etag, blob.modified)


def _asked_part(request: Request, blob: Blob, size: int) -> ByteRange | None:
    if request.method != b"GET" or blob.etag is None:
        return None
    # Two of If-Range name nothing that we have, so all of the bytes are sent.
    asked, on_condition = single(request, b"Range"), joined(request, b"If-Range")
    return resolve(asked, on_condition, size, blob.etag, blob.modified)


def _sends_head(request: Request, part: ByteRange | None, size: int) -> bool:
    """Set status and length; true if there is no body to send."""
    length = size if part is None else part.stop - part.start
    request.setHeader(b"Content-Length", b"%d" % length)
    if part is not None:
        request.setResponseCode(206)
        request.setHeader(b"Content-Range", content_range(part, size))
    return request.method == b"HEAD" or length == 0


async def _deliver(request: Request, blob: Blob, download: IDownload) -> None:
    try:
        await download.deliver(request)
    except (StoreError, UpstreamError) as e:
        if not request.startedWriting:
            raise
        # The status is gone already. An answer that is cut short is the only honest
        # one left: the client sees that bytes are missing.
        _log.error(
            "Sending {filename} broke off: {error}",
            filename=blob.filename,
            error=e.message,
        )
        request.abort()


def _set_headers(request: Request, blob: Blob, private: bool) -> None:
    scope = "private" if private else "public"
    request.setHeader(b"Content-Type", content_type(blob.filename))
    if blob.etag is not None:
        request.setHeader(b"ETag", blob.etag)
        request.setHeader(b"Accept-Ranges", b"bytes")
    if blob.modified is not None:
        request.setHeader(b"Last-Modified", http_date(blob.modified))
    if blob.mark is not None:
        request.setHeader(_MARK, _mark(blob.mark))
    lifetime = _FOREVER if blob.permanent else "no-cache"
    if blob.permanent and blob.judged:
        lifetime += _ASKED_AGAIN
    request.setHeader(b"Cache-Control", f"{scope}, {lifetime}".encode())


def _mark(mark: str) -> bytes:
    return mark.encode("ascii", "backslashreplace")
