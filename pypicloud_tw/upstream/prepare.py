"""Making what is served of an upstream's response, in a helper if it is large.

What crosses the pipe is as small as it can be: the answer as it came over the network,
still compressed, one way, and the result, compressed as clients will have it, the
other.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from attrs import evolve, field, frozen

from pypicloud_tw.errors import UpstreamError
from pypicloud_tw.index.model import Document
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.outbound.origins import shown
from pypicloud_tw.upstream.dropped import Dropped
from pypicloud_tw.upstream.judgement.judge import ProjectJudge
from pypicloud_tw.upstream.judgement.values import Standing
from pypicloud_tw.upstream.links import (
    link_of,
    mark_of,
    relinked,
    segment,
    table,
)
from pypicloud_tw.upstream.parse import parse_page

T = TypeVar("T")

#: Makes what is kept of a document, and tells its weight in bytes. It must be a
#: module-level function: large documents are rendered in a helper process.
Render = Callable[[Document], tuple[T, int]]

#: How every member of a gzip file begins.
_GZIP = b"\x1f\x8b"

#: Members of a gzip file. Servers write one; bgzip one for each 64 KiB, which are 2,048
#: for the largest page that is taken by default: a factor of 5.
MAX_MEMBERS = 10_000
#: Characters of a reason that are told.
_LONGEST_REASON = 500
#: Bytes that are unpacked in one step.
_STEP = 64 * 1024


def _as_pieces(body: bytes | Sequence[bytes]) -> tuple[bytes, ...]:
    return (body,) if isinstance(body, bytes) else tuple(body)


@frozen
class PageResponse:
    """An upstream's answer to a request for a page.

    :ivar url: where it was finally found, without credentials.
    :ivar pieces: its bytes as they came: joining 30 MB takes the reactor 30 ms.
    :ivar coding: Content-Encoding of these, lower case; empty if there is none.
    :ivar whole: the answer's length was told and kept.
    """

    url: str
    pieces: tuple[bytes, ...] = field(converter=_as_pieces, repr=False)
    content_type: str | None = None
    coding: str = ""
    etag: str | None = None
    modified: str | None = None
    cache_control: str = ""
    age: str | None = None
    whole: bool = True

    @property
    def body(self) -> bytes:
        """Its bytes, joined."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    @property
    def size(self) -> int:
        """How many they are."""
        return sum(map(len, self.pieces))


@frozen
class Recipe(Generic[T]):
    """What is to be made of an answer.

    :ivar reread: makes the document again of what was rendered of it.
    :ivar limit: bytes that a page may have when it is unpacked.
    :ivar own_links: files are linked to this server, and their table is kept.
    """

    name: str
    render: Render[T]
    reread: Callable[[T], Document]
    judge: ProjectJudge
    limit: int
    own_links: bool = False


@frozen
class PreparedPage(Generic[T]):
    """What is kept of an answer.

    :ivar links: see :func:`~pypicloud_tw.upstream.links.table`; empty if not wanted.
    :ivar weight: bytes of memory.
    :ivar changes_at: when the passing of time changes it; seconds since the epoch.
    :ivar standing: what the page says of the project as a whole.
    """

    page: T
    weight: int
    links: bytes = field(default=b"", repr=False)
    changes_at: float | None = None
    standing: Standing = field(factory=Standing)


def prepare(answer: PageResponse, recipe: Recipe[T], now: float) -> PreparedPage[T]:
    """Read a project's page, judge its files, render it.

    The links are of all of them: a file's own address tells why it is refused.

    :raises UpstreamError: it is no page, or larger than the limit.
    """
    document = read(answer, recipe.name, recipe.limit)
    standing = standing_of(document)
    links = table(document) if recipe.own_links else b""
    filtered = recipe.judge.with_standing(standing).filter_document(document, now)
    document = filtered.document
    if recipe.own_links:
        document = relinked(document)
    page, weight = recipe.render(document)
    return PreparedPage(page, weight + len(links), links, filtered.changes_at, standing)


@limited(PAGES)
def read_told(
    answer: PageResponse, name: str, limit: int, kept: frozenset[tuple[str, str]]
) -> tuple[Standing, dict[str, str]]:
    """Read what a page says of its project, and of files that are kept here.

    :param kept: their names and digests.
    :return: and the marks that files have, by the end of their address.
    :raises UpstreamError: it is no page, or larger than *limit* bytes.
    """
    document = read(answer, name, limit)
    links = {
        (link.filename, link.sha256): link
        for link in (link_of(name, file) for file in document["files"])
    }
    marks = {
        f"{segment(digest, '')}/{filename}": mark
        for filename, digest in kept
        if (mark := mark_of(links.get((filename, digest)))) is not None
    }
    return standing_of(document), marks


def standing_of(document: Document) -> Standing:
    """Return what a project's page says of it as a whole (PEP 792)."""
    told = document.get("project-status")
    if told is None:
        return Standing()
    return Standing(told["status"], _one_line(told.get("reason", "")))


def _one_line(reason: str) -> str:
    """Make of a stranger's words what may stand in a sentence of ours."""
    words = " ".join(reason.split())
    return "".join(filter(str.isprintable, words))[:_LONGEST_REASON]


def read(
    answer: PageResponse, name: str, limit: int, dropped: list[Dropped] | None = None
) -> Document:
    """Unpack and read a project's page.

    :param dropped: gets what is not kept of its files, if somebody wants to know.
    :raises UpstreamError: it is no page, or larger than *limit* bytes.
    """
    body = unpack(answer, limit)
    return parse_page(
        body,
        answer.content_type,
        answer.url,
        name,
        whole=answer.whole,
        dropped=dropped,
    )


@limited(PAGES)
def prepare_elsewhere(
    answer: PageResponse, recipe: Recipe[Any], now: float
) -> PreparedPage[Any]:
    """Do :func:`prepare` in a helper process."""
    return prepare(answer, recipe, now)


def narrow(page: T, recipe: Recipe[T], now: float) -> PreparedPage[T]:
    """Take out of a page what its judge hides now; it can only become less."""
    document = recipe.reread(page)
    standing = standing_of(document)
    judge = recipe.judge.with_standing(standing)
    filtered = judge.filter_document(document, now)
    rendered, weight = recipe.render(filtered.document)
    return PreparedPage(
        rendered, weight, changes_at=filtered.changes_at, standing=standing
    )


@limited(PAGES)
def narrow_elsewhere(page: Any, recipe: Recipe[Any], now: float) -> PreparedPage[Any]:
    """Do :func:`narrow` in a helper process."""
    return narrow(page, recipe, now)


@limited(PAGES)
def stand_by(_render: Render[Any]) -> None:
    """Import, in a helper process, what :func:`prepare_elsewhere` will need there."""


@limited(PAGES)
def squeezed(answer: PageResponse) -> PageResponse:
    """Compress an answer for its way; for a thread, as the GIL is not needed."""
    packer = zlib.compressobj(1)
    pieces = [*map(packer.compress, answer.pieces), packer.flush()]
    return evolve(answer, pieces=b"".join(pieces), coding="deflate")


def unpack(answer: PageResponse, limit: int) -> bytes:
    """Undo the Content-Encoding, within a bound.

    :raises UpstreamError: it is damaged, too large, or of an unknown coding.
    """
    body = unpack_within(answer, limit)
    if body is None:
        raise too_large(answer.url, limit)
    return body


def unpack_within(answer: PageResponse, limit: int) -> bytes | None:
    """Undo the Content-Encoding; None: that makes more than *limit* bytes.

    :raises UpstreamError: it is damaged, or of an unknown coding.
    """
    if answer.coding in ("", "identity"):
        return answer.body if answer.size <= limit else None
    if answer.coding not in ("gzip", "x-gzip", "deflate"):
        raise UpstreamError(
            f"{shown(answer.url)} answered in a coding that was not asked for."
        )
    return _inflated(answer.body, answer.url, limit)


def _inflated(packed: bytes, url: str, limit: int) -> bytes | None:
    """Unpack gzip or zlib; what is unused of a step must be short, as it is copied."""
    pieces: list[bytes] = []
    size = at = members = 0
    inflate = None
    while at < len(packed):
        if inflate is None or inflate.eof:
            # RFC 1952, section 2.2: a gzip file may be several, one after the other.
            if members and not packed.startswith(_GZIP, at):
                break
            members += 1
            if members > MAX_MEMBERS:
                raise _too_many(url)
            # 32: zlib's or gzip's frame, whichever it is.
            inflate = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
        step = packed[at : at + _STEP]
        try:
            pieces.append(inflate.decompress(step, limit + 1 - size))
        except zlib.error:
            raise _damaged(url) from None
        size += len(pieces[-1])
        if size > limit:
            return None
        at += len(step) - len(inflate.unused_data)
    if inflate is None or not inflate.eof:
        raise _damaged(url)
    return b"".join(pieces)


def too_large(url: str, limit: int) -> UpstreamError:
    """Say that an answer has more bytes than it may."""
    return UpstreamError(f"The answer of {shown(url)} is larger than {limit} bytes.")


def _too_many(url: str) -> UpstreamError:
    return UpstreamError(
        f"The answer of {shown(url)} is made of more than {MAX_MEMBERS} gzip files."
    )


def _damaged(url: str) -> UpstreamError:
    return UpstreamError(f"The answer of {shown(url)} ended early or is damaged.")
