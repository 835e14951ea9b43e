"""Where a request's body ends in the bytes of its connection (RFC 9112, section 6)."""

from __future__ import annotations

from attrs import define, field

# Twisted's decoder is hardened and has no public name; the wheel is not made again.
from twisted.web.http import _ChunkedTransferDecoder as ChunkedDecoder
from twisted.web.http import _MalformedChunkedDataError as MalformedChunks

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.http.head import MAX_HEAD, BadHeadError, HeadParser


@define(eq=False)
class ByLength:
    """A body whose length was declared.

    :ivar remaining: bytes of it that have not come.
    """

    remaining: int

    def split(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Tell which bytes are the body's, and what follows it: None before its end."""
        end = self.remaining
        if len(data) < end:
            self.remaining -= len(data)
            return data, None
        self.remaining = 0
        return data[:end], data[end:]


@define(eq=False)
class ByChunks:
    """A body in chunks, whose length nobody knows."""

    _pieces: list[bytes] = field(factory=list, init=False, repr=False)
    _rest: bytes | None = field(default=None, init=False, repr=False)
    _decoder: ChunkedDecoder = field(init=False)

    @_decoder.default
    def _make_decoder(self) -> ChunkedDecoder:
        decoder = ChunkedDecoder(self._pieces.append, self._ended)
        decoder._maxTrailerHeadersSize = MAX_HEAD
        return decoder

    def split(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See :meth:`ByLength.split`.

        :raises BadRequest: these are no chunks, or what follows the last is no trailer
            section (RFC 9112, section 7.1.2). The fields of one mean nothing here.
        """
        try:
            self._decoder.dataReceived(data)
        except MalformedChunks:
            raise BadRequest("The request's chunks are not well-formed.") from None
        except BadHeadError as error:
            raise BadRequest(f"After the last chunk: {error.sentence}") from None
        part = b"".join(self._pieces)
        self._pieces.clear()
        return part, self._rest

    def _ended(self, rest: bytes) -> None:
        trailer = self._decoder._trailerHeaders
        if trailer:
            HeadParser().parse_fields(b"\r\n".join(trailer))
        self._rest = rest


Framing = ByLength | ByChunks
