"""Where a request's body ends in the bytes of its connection (RFC 9112, section 6)."""

from __future__ import annotations

import re

from attrs import define, field

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.http.head import MAX_HEAD, BadHeadError, HeadParser

#: A chunk's beginning: its size, and extensions, which are ignored.
_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,256})(;[\t -~\x80-\xff]{0,1023})?\r\n")
_LONGEST = 2 + 256 + 1024 + 2


@define(eq=False)
class ByLength:
    """A body whose length was declared.

    :ivar remaining: bytes of it that have not come.
    """

    remaining: int

    def split(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return the bytes of the body, and what follows it: None before its end."""
        end = self.remaining
        if len(data) < end:
            self.remaining -= len(data)
            return data, None
        self.remaining = 0
        return data[:end], data[end:]


@define(eq=False)
class ByChunks:
    """A body in chunks, of unknown length (RFC 9112, section 7.1).

    A chunk costs a microsecond or two, so that a body in chunks of one byte does not
    keep others waiting.
    """

    # What ends a chunk's data stands before the next one's size; before the first, too.
    _rest: bytes = field(default=b"\r\n", init=False, repr=False)
    _left: int = field(default=0, init=False)
    #: Bytes that extensions may still take.
    _extensions: int = field(default=MAX_HEAD, init=False)
    _ended: bool = field(default=False, init=False)

    def split(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See :meth:`ByLength.split`.

        :raises BadRequest: these are no chunks, or what follows the last is no trailer
            section (RFC 9112, section 7.1.2). The fields of one mean nothing here.
        """
        pieces: list[bytes] = []
        at = self._take(data, 0, pieces)
        if at < len(data):
            data = self._rest + data[at:]
            at = 0 if self._ended else self._chunks(data, pieces)
            self._rest = data[at:]
        return b"".join(pieces), self._trailer() if self._ended else None

    def _chunks(self, data: bytes, pieces: list[bytes]) -> int:
        """Take whole and begun chunks; what is left begins at the place returned."""
        at = 0
        while match := _CHUNK.match(data, at):
            self._left = int(match[1], 16)
            if match[2]:
                self._extended(len(match[2]))
            at = match.end()
            if not self._left:
                self._ended = True
                return at - 2  # with the end of its line
            at = self._take(data, at, pieces)
            if self._left:
                break
        self._check(data, at)
        return at

    def _take(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take what has come of a chunk's data."""
        if self._left:
            piece = data[at : at + self._left]
            pieces.append(piece)
            at += len(piece)
            self._left -= len(piece)
            self._extensions += len(piece)
        return at

    def _check(self, data: bytes, at: int) -> None:
        """Check that the bytes left may become a chunk's beginning."""
        begun = data[at : at + 2]
        whole = data.find(b"\r\n", at + 2) >= 0
        if whole or len(data) - at > _LONGEST or not b"\r\n".startswith(begun):
            raise BadRequest("The request's chunks are not well-formed.")

    def _extended(self, length: int) -> None:
        """Count an extension: a server ought to limit them (RFC 9112, 7.1.1)."""
        self._extensions -= length
        if self._extensions < 0:
            raise BadRequest(
                "The request's chunk extensions are longer than its content; send it "
                "without."
            )

    def _trailer(self) -> bytes | None:
        """Check the trailer section, and give what follows it: None before its end."""
        end = self._rest.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
        if end < 0:
            if len(self._rest) > MAX_HEAD:
                raise BadRequest("The request's trailer section is too long.")
            return None
        if end:
            try:
                HeadParser().parse_fields(self._rest[2:end])
            except BadHeadError as error:
                raise BadRequest(f"After the last chunk: {error.sentence}") from None
        return self._rest[end + 4 :]


Framing = ByLength | ByChunks
