"""What can be asked for and what is sent: media types and content codings."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

#: For pages, the Content-Security-Policy field's value: nothing is loaded and no script
#: runs, whatever an upstream wrote into a link; no other site shows them as its own.
PAGE_POLICY = (
    b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Format(StrEnum):
    """A format of the simple API; the value is its media type (PEP 691, Content-Types).

    ``TEXT`` has the bytes of ``HTML`` under the name that browsers and old clients
    know: PEP 691 calls it an alias.
    """

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"
    TEXT = "text/html"

    @property
    def content_type(self) -> bytes:
        """The Content-Type field's value.

        PEP 691's own types go out bare, as the big index sends them; ``text/html``
        would be read as Latin-1 by some clients without its charset.
        """
        return b"text/html; charset=utf-8" if self is Format.TEXT else self.encode()


class Encoding(StrEnum):
    """A content coding (RFC 9110, section 8.4.1); the value is its registered name."""

    IDENTITY = "identity"
    GZIP = "gzip"
    BROTLI = "br"
    ZSTD = "zstd"


class Variant(NamedTuple):
    """What one answer is made of; hashed at every request, hence a tuple."""

    format: Format
    encoding: Encoding


def content_type(filename: str) -> bytes:
    """Return the Content-Type of a distribution file, or of its core metadata.

    Archives are opaque bytes: a ``.tar.gz`` that is called gzip, as its type or as its
    coding, is unpacked on the way by some clients, and its digest no longer agrees.
    """
    if filename.endswith(".metadata"):
        # Core metadata is UTF-8 (PEP 566); a person can read it in a browser so.
        return b"text/plain; charset=utf-8"
    return b"application/octet-stream"
