"""Fetching a file from the upstream into the store, and to clients meanwhile.

The upstream's pace is the store's: no client slows it, and a client that goes away
leaves it to the others and to the store. The newest bytes are at hand; who is further
behind reads them from the upload's spool, and from the store when it is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from zope.interface import implementer

from pypicloud_tw.concurrency.delivery import deliver
from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.errors import (
    BadRequest,
    Forbidden,
    ObjectNotFound,
    PypicloudError,
    StoreError,
    UpstreamError,
)
from pypicloud_tw.index.archive import Inspection
from pypicloud_tw.index.names import Filename, NormalizedName, without_variant
from pypicloud_tw.json_documents import compact
from pypicloud_tw.store.interfaces import (
    ByteRange,
    IDownload,
    IObjectStore,
    IUpload,
    ObjectInfo,
)
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.upstream.client import Client, UpstreamResponse
from pypicloud_tw.upstream.failures import AskingFailed
from pypicloud_tw.upstream.judgement.judge import upload_time
from pypicloud_tw.upstream.keeper import record_key
from pypicloud_tw.upstream.links import Link
from pypicloud_tw.upstream.relay import EPOCH, mismatch, size_of
from pypicloud_tw.upstream.source import UpstreamIndex

#: Bytes at hand of each file on its way: most are smaller than that.
WINDOW = 1024 * 1024
#: And of all of them, but for a piece of each.
WINDOWS = 32 * 1024 * 1024
#: Bytes that are written to a client at once.
_PIECE = 64 * 1024
#: How often a body that broke off is continued.
_RESUMES = 2


#: Looks into a file; see :meth:`pypicloud_tw.index.publish.Publisher.inspect`.
Judge = Callable[[Spool, Filename], Awaitable[Inspection]]


@define(eq=False)
class CacheFill:
    """Fetches a file into the store; see :meth:`run` and :meth:`download`.

    :ivar link: has a sha256: only what can be checked is kept.
    :ivar judge: looks into the file when it has come, as into an upload, and refuses it
        before its end is passed on; None keeps whatever has the right digest.
    :ivar window: tells how many bytes may be at hand; twice that for a moment.
    :ivar records: what was said of it is kept beside it.
    :ivar size: of the file, as soon as it is known: when the upstream has begun to
        answer, or at the end where it does not tell.
    :ivar received: bytes so far.
    :ivar verified: all of them came, and are the right ones.
    :ivar stored: they are in the store.
    :ivar error: why it ended before that.
    """

    link: Link
    source: UpstreamIndex
    key: str
    client: Client
    store: IObjectStore
    window: Callable[[], int] = lambda: WINDOW
    judge: Judge | None = None
    records: bool = True
    size: int | None = field(default=None, init=False)
    received: int = field(default=0, init=False)
    verified: bool = field(default=False, init=False)
    stored: bool = field(default=False, init=False)
    error: PypicloudError | None = field(default=None, init=False)
    _upload: IUpload | None = field(default=None, init=False)
    _window: bytearray = field(factory=bytearray, init=False, repr=False)
    _last: int = field(default=0, init=False)
    _changed: Waiters[None] = field(factory=Waiters, init=False)
    _log = Logger()

    async def run(self) -> None:
        """Fetch, check and store; never fails, but says so in :attr:`error`."""
        try:
            await self._run()
        except PypicloudError as e:
            self.error = e
            self._log.warn(
                "{filename} was not cached: {error}",
                filename=self.link.filename,
                error=e.message,
            )
        except CancelledError:
            self.error = StoreError("The server is stopping.")
        except Exception:
            self._log.failure("Caching {name} failed", name=self.link.filename)
            self.error = StoreError(f"{self.link.filename} could not be cached.")
        finally:
            if self._upload is not None and not self.stored:
                await self._upload.abort()
            self._changed.answer(None)

    async def begun(self) -> int:
        """Wait until the file's size is known.

        :raises PypicloudError: there is none, or the store takes none.
        """
        while self.size is None:
            await self._wait()
        return self.size

    async def kept(self) -> None:
        """Wait until the file is in the store.

        :raises PypicloudError: it could not be kept.
        """
        while not self.stored:
            await self._wait()

    async def download(self, part: ByteRange | None) -> IDownload:
        """Offer the bytes, those to come included.

        :raises PypicloudError: there is none, or the store takes none.
        """
        size = await self.begun()
        if self.judge is not None and size <= WINDOW:
            # So soon here that who is refused is told why; later the answer has begun,
            # and is broken off.
            await self._until_verified()
        assert self.link.sha256 is not None, "only what can be checked is kept"
        info = ObjectInfo(self.key, size, self.link.sha256, EPOCH)
        return CacheFillDownload(info, self, part or ByteRange(0, size))

    async def _run(self) -> None:
        response = await self.client.open(self.source, self.link.url)
        try:
            size = size_of(response, self.link, None)
            self._upload = await self.store.begin(self.key, size_hint=size)
            self.size = size
            self._changed.answer(None)
            await self._take_all(response, self._upload)
            self.size = self.received
            await self._judge(self._upload.spool)
        finally:
            response.body.abort()
        self.verified = True
        self._changed.answer(None)
        await self._commit(self._upload)

    async def _judge(self, spool: Spool) -> None:
        """Refuse what an upload would be refused for, but for what only falls short.

        :raises Forbidden: it is refused, in the words that an upload would be.
        """
        if self.judge is None:
            return
        for warning in await refuse_unfit(self.judge, spool, self.link):
            self._log.info(
                "{filename} was cached: {sentence}",
                filename=self.link.filename,
                sentence=warning,
            )

    async def _commit(self, upload: IUpload) -> None:
        # First, so that whoever finds the file finds what was said of it.
        if self.records:
            await self.store.put(*record_of(self.link))
        try:
            await upload.commit()
        except StoreError:
            # Another process may have kept the same file; what lies there was checked.
            if not await self._is_there():
                raise
        self.stored = True

    async def _is_there(self) -> bool:
        try:
            return (await self.store.head(self.key)).size == self.size
        except PypicloudError:
            return False

    async def _take_all(self, response: UpstreamResponse, upload: IUpload) -> None:
        resumes, size = 0, self.size
        most = self.client.limits.untold if size is None else size
        while True:
            try:
                piece = await response.body.read()
            except AskingFailed as e:
                if not e.again or resumes == _RESUMES or size is None:
                    raise
                resumes += 1
                response = await self._continued()
                continue
            if not piece:
                break
            if self.received + len(piece) > most:
                raise mismatch(self.link.filename)
            await upload.write(piece)
            self._arrived(piece)
        # The spool hashes in its thread what it writes.
        digests = await upload.spool.finish()
        if size not in (None, self.received) or digests.sha256 != self.link.sha256:
            raise mismatch(self.link.filename)

    async def _continued(self) -> UpstreamResponse:
        """Ask for the rest of a body that broke off; the digest tells if it fits."""
        span = ByteRange(self.received, self.size or 0)
        response = await self.client.open(
            self.source, self.link.url, {"Range": f"bytes={span.start}-"}
        )
        try:
            if response.code != 206:
                raise UpstreamError("The upstream index cannot continue a file.")
            size_of(response, self.link, span)
        except UpstreamError:
            response.body.abort()
            raise
        return response

    def _arrived(self, piece: bytes) -> None:
        self.received += len(piece)
        self._last = len(piece)
        self._window += piece
        # Never less than the last piece, which may not be passed on yet: what is
        # before the window is read from the spool.
        window = max(self.window(), self._last)
        if len(self._window) > 2 * window:
            del self._window[:-window]
        self._changed.answer(None)

    # For the downloads

    @property
    def released(self) -> int:
        """Bytes that may be passed on: all but the last piece until it is verified."""
        return self.received if self.verified else self.received - self._last

    async def read(self, offset: int, limit: int) -> bytes | None:
        """Return bytes from *offset*, when there are any; None: read them in the store.

        :raises PypicloudError: they will never come.
        """
        while True:
            begin = self.received - len(self._window)
            if begin <= offset < self.released:
                stop = min(offset + limit, self.released)
                return bytes(self._window[offset - begin : stop - begin])
            if self.stored:
                return None
            if self.error is not None:
                raise self.error
            if offset < begin and not self.verified and self._upload is not None:
                return await self._upload.spool.read_at(
                    offset, min(limit, begin - offset)
                )
            await self._wait()

    async def _until_verified(self) -> None:
        while not self.verified:
            await self._wait()

    async def _wait(self) -> None:
        if self.error is not None:
            raise self.error
        await self._changed.wait()
        if self.size is None and self.error is not None:
            raise self.error


@implementer(IDownload)
@define(eq=False)
class CacheFillDownload:
    """A client's download of a file that is still being fetched."""

    info: ObjectInfo
    fill: CacheFill
    span: ByteRange
    _at: int = field(default=0, init=False)

    async def deliver(self, consumer: IConsumer) -> None:
        """See :class:`IDownload`.

        :raises UpstreamError: the upstream failed half-way, or sent something else.
        :raises StoreError: what was put there cannot be read.
        """
        self._at = self.span.start
        await deliver(consumer, self._pieces())
        if self._at < self.span.stop:
            rest = ByteRange(self._at, self.span.stop)
            download = await self._stored(rest)
            await download.deliver(consumer)

    async def _stored(self, part: ByteRange) -> IDownload:
        try:
            return await self.fill.store.open(self.info.key, byte_range=part)
        except ObjectNotFound:
            raise StoreError("The cache was emptied while it was read.") from None

    def abandon(self) -> None:
        """See :class:`IDownload`. The file goes on into the store."""

    async def _pieces(self) -> AsyncIterator[bytes]:
        while self._at < self.span.stop:
            limit = min(_PIECE, self.span.stop - self._at)
            piece = await self.fill.read(self._at, limit)
            if piece is None:
                return
            self._at += len(piece)
            yield piece


async def refuse_unfit(judge: Judge, spool: Spool, link: Link) -> tuple[str, ...]:
    """Refuse a file for what an upload of it would be refused for.

    :return: what it only falls short of, as sentences.
    :raises Forbidden: it is refused, in the words that an upload would be.
    """
    try:
        filename = Filename.parse(
            _judged_as(link.filename), legacy=True, project=link.project
        )
    except BadRequest:
        return ()  # of a kind that is not known here, and that nobody would install
    try:
        inspection = await judge(spool, filename)
    except BadRequest as e:
        raise Forbidden(e.message) from None
    return inspection.lenient().warnings


def record_of(link: Link) -> tuple[str, bytes]:
    """Make the record of what an upstream says of a file, and its key."""
    assert link.sha256 is not None, "only what can be checked is kept"
    uploaded = upload_time(link.uploaded)
    key = record_key(NormalizedName(link.project), link.sha256, uploaded)
    told = {
        "_format": 1,
        "filename": link.filename,
        "upload-time": link.uploaded or None,
        "provenance": link.provenance or None,
    }
    return key, compact(told)


def _judged_as(filename: str) -> str:
    """Return by which name a file is judged: a variant of a wheel is a wheel."""
    if filename.endswith(".whl"):
        return without_variant(filename) or filename
    return filename
