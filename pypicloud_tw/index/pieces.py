"""Looking into an archive of which only some pieces are here; pure.

A wheel's directory and its core metadata lie at its end (PEP 427 recommends so), so a
wheel of a gigabyte can be understood from its last kilobytes.
"""

from __future__ import annotations

import io
from typing import IO, cast

from attrs import define, field, frozen

from pypicloud_tw.index.archive import Inspection, inspect_file
from pypicloud_tw.index.names import Filename
from pypicloud_tw.limits import ARCHIVES, limited

#: Bytes of the end that are asked for at first, and of any further piece at least.
TAIL, MORE = 128 * 1024, 64 * 1024


@frozen
class Piece:
    """Some bytes of a file, and where they stand in it."""

    start: int
    data: bytes = field(repr=False)


@frozen
class Missing:
    """The bytes that are needed to go on."""

    start: int
    stop: int


class _MissingError(Exception):
    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.missing = Missing(start, stop)


@define
class _Pieces:
    """A file of which only some pieces can be read."""

    pieces: tuple[Piece, ...]
    size: int
    _at: int = field(default=0, init=False)

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        stop = self.size if size < 0 else min(self._at + size, self.size)
        start = self._at
        if start >= stop:
            return b""
        for piece in self.pieces:
            if piece.start <= start and stop <= piece.start + len(piece.data):
                self._at = stop
                return piece.data[start - piece.start : stop - piece.start]
        raise _MissingError(start, min(max(stop, start + MORE), self.size))


@limited(ARCHIVES)
def inspect_pieces(
    pieces: tuple[Piece, ...], filename: Filename, size: int
) -> Inspection | Missing:
    """Do what :func:`~.archive.inspect` does, as far as the pieces reach.

    :raises BadRequest: it is not the archive that its name promises.
    """
    try:
        return inspect_file(cast(IO[bytes], _Pieces(pieces, size)), filename, size)
    except _MissingError as e:
        return e.missing
