"""Upstream files, streamed through with back-pressure (``relay``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.delivery import deliver
from pypicloud_tw.errors import NotFound, UpstreamError
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.interfaces import ByteRange, IDownload, ObjectInfo
from pypicloud_tw.upstream.client import Client, UpstreamResponse
from pypicloud_tw.upstream.links import METADATA, Link
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.upstream.source import UpstreamIndex

#: When a file was last changed that never changes, and of which nobody tells.
EPOCH = datetime.fromtimestamp(0, UTC)


@frozen
class LocatedFile:
    """A file of an upstream that may be had here.

    :ivar sha256: of its bytes, for an ETag; None where nobody tells.
    :ivar size: None where it is only known when it is opened (``info.size``).
    :ivar key: where it lies in the store, if it does: it may be served as ours are.
    :ivar mark: see :meth:`.Upstreams.mark`.
    :ivar open: asks for the bytes, or a range of them; raises NotFound or
        UpstreamError. Delivering them may raise UpstreamError or StoreError: then the
        connection must be broken, not ended.
    """

    filename: str
    sha256: str | None
    size: int | None
    open: Callable[[ByteRange | None], Awaitable[IDownload]] = field(repr=False)
    key: str | None = None
    mark: str | None = None


class IFiles(Protocol):
    """Files of upstream projects, by their addresses here."""

    async def locate(
        self, name: NormalizedName, segment: str, filename: str
    ) -> LocatedFile:
        """Find a file, or the core metadata beside it.

        :raises NotFound: there is none, or the rules hide it.
        :raises RefusedByRule: it may not be had now.
        :raises UpstreamError: an upstream fails, and nothing is known.
        """

    def knows(self, name: NormalizedName, segment: str, filename: str) -> bool:
        """Return whether :meth:`locate` tells no upstream the project's name."""


@define
class Relay:
    """Gives what the upstream has, checked where its page tells a digest."""

    upstreams: Upstreams[Any]
    client: Client
    _metadata: Coalesced[bytes] = field(factory=Coalesced, init=False)

    async def locate(
        self, name: NormalizedName, segment: str, filename: str
    ) -> LocatedFile:
        """See :class:`IFiles`."""
        link, source = await self.link(name, segment, filename)
        if filename.endswith(METADATA):
            data = await self.metadata(link, source)
            return in_memory(filename, data)

        async def open_it(part: ByteRange | None) -> IDownload:
            return await self.open(link, source, part)

        return LocatedFile(filename, link.sha256, link.size, open_it)

    def knows(self, name: NormalizedName, segment: str, filename: str) -> bool:
        """See :class:`IFiles`."""
        return self.upstreams.knows(name)

    async def link(
        self, name: NormalizedName, segment: str, filename: str
    ) -> tuple[Link, UpstreamIndex]:
        """Find the file that an address is of, or beside of.

        :raises PypicloudError: as :meth:`IFiles.locate` does.
        """
        self.upstreams.check_release_of(name, filename)
        beside = filename.removesuffix(METADATA)
        link, source = await self.upstreams.link(name, segment, beside)
        if beside != filename and link.metadata is None:
            raise NotFound(f"The upstream index has no core metadata of {beside}.")
        return link, source

    async def open(
        self, link: Link, source: UpstreamIndex, part: ByteRange | None = None
    ) -> IDownload:
        """Ask the upstream for a file's bytes.

        :raises NotFound: it says that it has none.
        :raises UpstreamError: it fails, or gives something else than its page says.
        """
        headers = {}
        if part is not None:
            headers["Range"] = f"bytes={part.start}-{part.stop - 1}"
        response = await self.client.open(source, link.url, headers)
        try:
            size = size_of(response, link, part)
            if size is None:
                raise UpstreamError(
                    f"The upstream index does not tell the size of {link.filename}."
                )
        except UpstreamError:
            response.body.abort()
            raise
        info = ObjectInfo(link.filename, size, link.sha256 or link.segment, EPOCH)
        span = part or ByteRange(0, size)
        skip = 0 if response.code == 206 else span.start
        return RelayDownload(
            info, response, skip, span.stop - span.start, None if part else link.sha256
        )

    async def metadata(self, link: Link, source: UpstreamIndex) -> bytes:
        """Fetch a file's core metadata, checked where the page tells its digest.

        :raises NotFound: the upstream says that it has none.
        :raises UpstreamError: it fails, or gives something else than its page says.
        """
        return await self._metadata.ask(
            link.url, lambda: self._fetch_metadata(link, source)
        )

    async def _fetch_metadata(self, link: Link, source: UpstreamIndex) -> bytes:
        response = await self.client.open(source, link.url + METADATA)
        data = await self.client.whole(response, self.client.limits.metadata)
        if link.metadata and sha256(data).hexdigest() != link.metadata:
            raise mismatch(link.filename + METADATA)
        return data


def size_of(
    response: UpstreamResponse, link: Link, part: ByteRange | None
) -> int | None:
    """Return a file's length by the upstream's answer and page; None: neither says.

    :raises UpstreamError: they contradict each other.
    """
    size = response.length
    if response.code == 206:
        if part is None:
            raise mismatch(link.filename)
        size = _range_total(response.header(b"content-range"), part.start)
    if size is None:
        return link.size
    if link.size is not None and link.size != size:
        raise mismatch(link.filename)
    return size


def _range_total(content_range: str | None, start: int) -> int | None:
    """Read ``bytes 5-9/20`` (RFC 9110, section 14.4): the total, None if not told."""
    unit, _, rest = (content_range or "").strip().partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    if unit.lower() != "bytes" or not first.isdecimal() or int(first[:19]) != start:
        raise UpstreamError("The upstream index answered with another range.")
    return int(total[:19]) if total.isdecimal() else None


def mismatch(filename: str) -> UpstreamError:
    """Say that what came is not what the page promised."""
    return UpstreamError(
        f"What the upstream index sent for {filename} is not what its page says: size "
        "or sha256 differ. It was not passed on whole and not cached."
    )


@implementer(IDownload)
@define(eq=False)
class RelayDownload:
    """A file that is relayed.

    The last piece is held back until the digest is known to be right, so that a client
    never holds a whole wrong file.

    :ivar skip: bytes to pass over first, of an answer that ignores the range.
    :ivar length: bytes to deliver.
    :ivar sha256: of these, if they are the whole file and it is known.
    """

    info: ObjectInfo
    response: UpstreamResponse
    skip: int
    length: int
    sha256: str | None

    async def deliver(self, consumer: IConsumer) -> None:
        """See :class:`IDownload`.

        :raises UpstreamError: the upstream failed half-way, or sent something else.
        """
        try:
            await deliver(consumer, self._pieces(), self.abandon)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """See :class:`IDownload`."""
        self.response.body.abort()

    async def _pieces(self) -> AsyncIterator[bytes]:
        digest, held, left = sha256(), b"", self.length
        async for piece in self._wanted():
            left -= len(piece)
            if left < 0:
                raise mismatch(self.info.key)
            if self.sha256 is not None:
                digest.update(piece)
            if held:
                yield held
            held = piece
        if left or self.sha256 not in (None, digest.hexdigest()):
            raise mismatch(self.info.key)
        if held:
            yield held

    async def _wanted(self) -> AsyncIterator[bytes]:
        """Return what comes after the skipped bytes; no more of a range than asked."""
        skip, left = self.skip, self.length
        whole = self.skip == 0 and self.length == self.info.size
        while left or whole:
            piece = await self.response.body.read()
            if not piece:
                return
            skipped = min(skip, len(piece))
            skip -= skipped
            piece = piece[skipped:] if whole else piece[skipped : skipped + left]
            left -= len(piece)
            if piece:
                yield piece


def in_memory(filename: str, data: bytes) -> LocatedFile:
    """Offer bytes that are at hand."""
    digest = sha256(data).hexdigest()
    info = ObjectInfo(filename, len(data), digest, EPOCH)

    async def open_it(part: ByteRange | None) -> IDownload:
        span = part or ByteRange(0, len(data))
        return BytesDownload(info, data[span.start : span.stop])

    return LocatedFile(filename, digest, len(data), open_it)


@implementer(IDownload)
@define(eq=False)
class BytesDownload:
    """Bytes at hand, as a download."""

    info: ObjectInfo
    data: bytes = field(repr=False)

    async def deliver(self, consumer: IConsumer) -> None:
        """See :class:`IDownload`."""
        await deliver(consumer, self._pieces())

    def abandon(self) -> None:
        """See :class:`IDownload`."""

    async def _pieces(self) -> AsyncIterator[bytes]:
        if self.data:
            yield self.data
