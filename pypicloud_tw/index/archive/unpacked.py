"""What a compressed tar unpacks to, as a stream: little memory, and no bombs."""

from __future__ import annotations

import zlib
from bz2 import BZ2Decompressor
from collections.abc import Callable, Iterator
from lzma import LZMADecompressor
from typing import IO

from attrs import define, field

from pypicloud_tw.index.archive.bounds import MAX_XZ_MEMORY, PIECE
from pypicloud_tw.index.archive.findings import refuse
from pypicloud_tw.index.archive.volume import check_volume


@define
class Unpacked:
    """Bytes that are unpacked while they are read; all of them count for the volume.

    :ivar position: where the next byte stands among those that are unpacked.
    """

    _pieces: Iterator[bytes]
    _packed_size: int
    position: int = field(default=0, init=False)
    _piece: bytes = field(default=b"", init=False, repr=False)
    _begin: int = field(default=0, init=False)

    def read(self, size: int) -> bytes:
        """Read so many bytes; fewer at the end.

        :raises BadRequest: the archive unpacks to too much.
        """
        at = self.position - self._begin
        if at + size <= len(self._piece):  # nearly always, and quicker
            self.position += size
            return self._piece[at : at + size]
        return b"".join(self._take(size))

    def skip_to(self, position: int) -> None:
        """Drop what stands before a position.

        :raises EOFError: the archive ends before it.
        """
        for _ in self._take(position - self.position):
            pass
        if self.position < position:
            raise EOFError

    def _take(self, size: int) -> Iterator[bytes]:
        while size > 0:
            at = self.position - self._begin
            if at == len(self._piece):
                self._begin, at = self.position, 0
                self._piece = next(self._pieces, b"")
                if not self._piece:
                    return
                check_volume(0, self._begin + len(self._piece), self._packed_size)
            taken = self._piece[at : at + size]
            self.position += len(taken)
            size -= len(taken)
            yield taken


def unpack(file: IO[bytes], name: str, size: int) -> Unpacked:
    """Unpack a file by what its name says it is packed with.

    A file that is packed in several parts is refused when its first ends: some
    installers stop there, others unpack all of them.
    """
    return Unpacked(filter(None, _method(name)(file)), size)


def _method(name: str) -> Callable[[IO[bytes]], Iterator[bytes]]:
    if name.endswith((".gz", ".tgz")):
        return _gunzip
    if name.endswith(".bz2"):
        return lambda file: _decompress(file, BZ2Decompressor())
    if name.endswith(".xz"):
        return lambda file: _decompress(file, LZMADecompressor(memlimit=MAX_XZ_MEMORY))
    return lambda file: iter(lambda: file.read(PIECE), b"")


def _gunzip(file: IO[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip's frame alone
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or _next(file)
        yield unpacker.decompress(packed, PIECE)
    _check_end(unpacker.unused_data, file)


def _decompress(
    file: IO[bytes], unpacker: BZ2Decompressor | LZMADecompressor
) -> Iterator[bytes]:
    while not unpacker.eof:
        packed = _next(file) if unpacker.needs_input else b""
        yield unpacker.decompress(packed, PIECE)
    _check_end(unpacker.unused_data, file)


def _next(file: IO[bytes]) -> bytes:
    packed = file.read(PIECE)
    if not packed:
        raise EOFError
    return packed


def _check_end(rest: bytes, file: IO[bytes]) -> None:
    while rest := rest or file.read(PIECE):
        if rest.strip(b"\0"):
            refuse(
                "There are bytes behind the compressed archive, or it is compressed in "
                "several parts, of which some installers unpack only the first; build "
                "it again."
            )
        rest = b""
