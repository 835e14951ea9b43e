"""Pages as bytes: every format and coding made once, with its header fields.

A warm request costs one dictionary look-up here (decision D3).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from json import dumps

import brotli
import zstandard
from attrs import define, field, frozen

from pypicloud_tw.web.http.fields import GUARDS, http_date, lines
from pypicloud_tw.web.media import PAGE_POLICY, Encoding, Format, Variant
from pypicloud_tw.web.negotiation import Choice

#: Bytes under which a page goes out plain: it fits in one packet, or nearly.
SMALL = 1024

#: Bytes up to which compression takes well under a millisecond, so that handing it to
#: a thread would cost more.
QUICK = 32 * 1024

#: Measured on project pages of 20, 1,000 and 5,000 files, which are mostly hexadecimal
#: digests. Above these levels the bytes hardly shrink and the time doubles; zstd's
#: first level even makes large pages 12 % smaller than its third does. For 5,000 files
#: (2.4 MB of JSON): zstd 427 kB in 12 ms, br 460 kB in 22 ms, gzip 542 kB in 50 ms.
ZSTD_LEVEL, BROTLI_QUALITY, GZIP_LEVEL = 1, 4, 6

#: Origins under which a page can be known at a time, where it has to name its own: an
#: inner one and a public one. Strangers may ask by any (RFC 9110, section 7.2).
MOST_ORIGINS = 2

#: How an address of ours begins where clients need it whole (PEP 740), in JSON; inside
#: of a text the quotes would be escaped.
_RELATIVE = b'"provenance":"../../'

#: What a page weighs once every variant of it was made: so many times its JSON, and so
#: many bytes of header fields and objects for each variant. Measured: 3.2 times for
#: 1,000 files and for 5,000, 3.4 for 20.
TIMES, OVERHEAD = 3.4, 1024

# Always ask, cheap to answer. No Authorization in Vary: caches store the fields that
# Vary names, and pip's would write the password to disk; `private` keeps shared caches
# away as well.
_PUBLIC = b"Cache-Control: no-cache, public\r\n"
_PRIVATE = b"Cache-Control: no-cache, private\r\n"
_VARY = b"Vary: Accept, Accept-Encoding\r\n"

_GUARDS = lines((*GUARDS, (b"Content-Security-Policy", PAGE_POLICY)))


#: The key of the body that everything else can be made of, where there is no other.
_PACKED = True, Encoding.ZSTD


def compress(data: bytes, encoding: Encoding) -> bytes:
    """Encode *data*; slow for large pages, and without the GIL, so fit for a thread."""
    match encoding:
        case Encoding.IDENTITY:
            return data
        case Encoding.GZIP:
            # 16 + the largest window: gzip's framing with no name and no time in it,
            # so that equal pages are equal bytes.
            packer = zlib.compressobj(GZIP_LEVEL, wbits=16 + zlib.MAX_WBITS)
            return packer.compress(data) + packer.flush()
        case Encoding.BROTLI:
            packed: bytes = brotli.compress(data, quality=BROTLI_QUALITY)
            return packed
        case Encoding.ZSTD:
            # Copied: the bytes that it returns keep the room of the longest result
            # that there could have been, which is all of the plain page's.
            frame = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)
            return bytes(memoryview(frame))


@frozen
class Representation:
    """The bytes of one answer and the header fields that go with them.

    :ivar etag: strong and quoted; no two representations share one (RFC 9110, section
        8.8.3).
    :ivar fields: what describes the body, as lines that end in CRLF.
    :ivar validators: what a 304 repeats of that, likewise.
    """

    body: bytes = field(repr=False)
    etag: bytes
    modified: datetime | None
    fields: bytes = field(repr=False)
    validators: bytes = field(repr=False)

    @classmethod
    def build(
        cls,
        body: bytes,
        content_type: bytes,
        encoding: Encoding = Encoding.IDENTITY,
        modified: datetime | None = None,
        serial: int | None = None,
    ) -> Representation:
        """Describe *body*, which is in *encoding* already.

        :param modified: when what it tells last changed; aware.
        :param serial: by which it is known to be current; mirrors ask for that.
        """
        etag = _etag(body, content_type, encoding)
        validators = b"ETag: " + etag + b"\r\n" + _VARY
        if modified is not None:
            validators += b"Last-Modified: " + http_date(modified) + b"\r\n"
        if serial:
            validators += b"X-PyPI-Last-Serial: %d\r\n" % serial
        fields = b"Content-Type: %b\r\nContent-Length: %d\r\n" % (
            content_type,
            len(body),
        )
        if encoding is not Encoding.IDENTITY:
            fields += b"Content-Encoding: " + encoding.encode() + b"\r\n"
        return cls(body, etag, modified, fields + _GUARDS + validators, validators)

    def answer(self, private: bool, *, known: bool) -> tuple[int, bytes, bytes]:
        """Return the status, the header fields and the body that are sent of it.

        :param private: as of :meth:`header_block`.
        :param known: the client has it already.
        """
        if known:
            return 304, self.not_modified_block(private), b""
        return 200, self.header_block(private), self.body

    def header_block(self, private: bool) -> bytes:
        """Return the header fields of a 200, each line with its CRLF.

        :param private: not everyone may read it (RFC 9111, section 5.2.2.7).
        """
        return self.fields + (_PRIVATE if private else _PUBLIC)

    def not_modified_block(self, private: bool) -> bytes:
        """Return the header fields of a 304 (RFC 9110, section 15.4.5).

        It must repeat those that a 200 would have had: without them uv fetches the
        whole page again.
        """
        return self.validators + (_PRIVATE if private else _PUBLIC)


def represent(
    body: bytes, variant: Variant, serial: int | None = None
) -> Representation:
    """Make what is sent of a body in a variant's format; may run in a thread."""
    format, encoding = variant
    return Representation.build(
        compress(body, encoding), format.content_type, encoding, serial=serial
    )


def _etag(body: bytes, content_type: bytes, encoding: Encoding) -> bytes:
    digest = sha256(body)
    digest.update(b"\0%b\0%b" % (content_type, encoding.encode()))
    return b'"' + digest.hexdigest()[:32].encode() + b'"'


@define
class Page:
    """A page of the simple API: its JSON, and what is made of that when asked for.

    :ivar size: bytes of its JSON, uncompressed.
    :ivar small: it is not worth compressing.
    :ivar relative: it has addresses of ours that clients need whole; see :meth:`at`.
    """

    modified: datetime | None
    serial: int | None
    size: int
    small: bool
    _to_html: Callable[[bytes], bytes] = field(repr=False)
    _bodies: dict[tuple[bool, Encoding], bytes] = field(repr=False)
    relative: bool = False
    _made: dict[Variant, Representation] = field(factory=dict, repr=False)
    _at: dict[str, Page] = field(factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        json: bytes,
        to_html: Callable[[bytes], bytes],
        modified: datetime | None = None,
        serial: int | None = None,
        *,
        relative: bool = False,
    ) -> Page:
        """Make a page of its JSON format.

        :param to_html: makes the HTML format out of the JSON format: most clients never
            ask for it, so neither the time nor the memory is spent before one does.
        :param modified: when what it tells last changed; aware.
        :param serial: of that change.
        :param relative: provenance has addresses that are relative to the page.
        """
        size, bodies = len(json), {(True, Encoding.IDENTITY): json}
        return cls(modified, serial, size, size < SMALL, to_html, bodies, relative)

    @classmethod
    def packed(cls, json: bytes, to_html: Callable[[bytes], bytes]) -> Page:
        """Make a page of which only what zstd makes of its JSON is kept.

        So it is small on its way out of a helper, and goes out to clients as it is:
        all of that is made here.
        """
        size = len(json)
        if size < SMALL:
            return cls.of(json, to_html)
        bodies = {_PACKED: compress(json, Encoding.ZSTD)}
        page = cls(None, None, size, False, to_html, bodies)
        page.make(Variant(Format.JSON, Encoding.ZSTD))
        return page

    def at(self, base_url: str) -> Page:
        """Return the page with whole addresses.

        Two origins' pages are kept, the older one making room.

        :param base_url: this server's own address as the client has it, without a final
            slash.
        """
        made = self._at.get(base_url)
        if made is None:
            if len(self._at) >= MOST_ORIGINS:
                del self._at[next(iter(self._at))]
            root = dumps(f"{base_url}/")[1:-1].encode()
            json = self.json.replace(_RELATIVE, b'"provenance":"' + root)
            made = self._at[base_url] = Page.of(
                json, self._to_html, self.modified, self.serial
            )
        return made

    @property
    def json(self) -> bytes:
        """Its JSON format, uncompressed."""
        return self._plain(True)

    @property
    def weight(self) -> int:
        """Bytes of memory that it may come to hold: caches weigh a page only once."""
        variants = len(Format) * len(Encoding)
        own = int(TIMES * self.size) + OVERHEAD * (1 + variants)
        return own * (1 + MOST_ORIGINS) if self.relative else own

    def variant(self, choice: Choice) -> Variant:
        """Return the variant of this page that a client has chosen."""
        return choice.small if self.small else choice.large

    def find(self, variant: Variant) -> Representation | None:
        """Look up what was made already; the fast path."""
        return self._made.get(variant)

    def quick(self, variant: Variant) -> bool:
        """Return whether :meth:`make` may run in the reactor thread."""
        return _key(variant) in self._bodies or self.size <= QUICK

    def make(self, variant: Variant) -> Representation:
        """Make a representation, or find it; may run in a thread.

        Two threads at once make equal bytes, and either may win.
        """
        made = self._made.get(variant)
        if made is None:
            format, encoding = variant
            made = Representation.build(
                self._body(variant),
                format.content_type,
                encoding,
                self.modified,
                self.serial,
            )
            self._made[variant] = made
        return made

    def _body(self, variant: Variant) -> bytes:
        key = is_json, encoding = _key(variant)
        body = self._bodies.get(key)
        if body is None:
            plain = self._plain(is_json)
            body = self._bodies.setdefault(key, compress(plain, encoding))
        return body

    def _plain(self, is_json: bool) -> bytes:
        key = is_json, Encoding.IDENTITY
        body = self._bodies.get(key)
        if body is not None:
            return body
        if is_json:
            return zstandard.ZstdDecompressor().decompress(self._bodies[_PACKED])
        return self._bodies.setdefault(key, self._to_html(self._plain(True)))


def _key(variant: Variant) -> tuple[bool, Encoding]:
    # HTML and TEXT share their bytes.
    return variant.format is Format.JSON, variant.encoding
