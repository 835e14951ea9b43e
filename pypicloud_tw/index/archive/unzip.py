"""The data of a zip's members, unpacked with a bound and compared with what is told."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO, NoReturn, Protocol

from pypicloud_tw.index.archive.bounds import PIECE
from pypicloud_tw.index.archive.findings import quoted, refuse

#: The methods that all installers know (APPNOTE.TXT, 4.4.5).
STORED, DEFLATE = 0, 8


class Packed(Protocol):
    """What must be known of a member to unpack it; see :class:`.zips.Member`."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    start: int


def unpack(file: IO[bytes], member: Packed) -> Iterator[bytes]:
    """Unpack a member piece by piece.

    :raises BadRequest: its data is damaged, or of another length or checksum than is
        told. Known only at the end.
    """
    read = _stored if member.method == STORED else _inflated
    size = crc = 0
    for piece in read(file, member):
        size += len(piece)
        crc = zlib.crc32(piece, crc)
        if size > member.size:
            break
        yield piece
    if size != member.size or crc != member.crc:
        refuse(
            f"The member {quoted(member.name)} unpacks to other bytes than the "
            "archive's directory tells of (its size or its CRC-32 differs). It may "
            "have been damaged on its way; send it again, or build it again."
        )


def check_content(file: IO[bytes], member: Packed) -> None:
    """Unpack a member to nowhere.

    :raises BadRequest: as :func:`unpack` does.
    """
    for _ in unpack(file, member):
        pass


def read_content(file: IO[bytes], member: Packed) -> bytes:
    """Unpack a member whose size was found to be small.

    :raises BadRequest: as :func:`unpack` does.
    """
    return b"".join(unpack(file, member))


def _stored(file: IO[bytes], member: Packed) -> Iterator[bytes]:
    file.seek(member.start)
    left = member.packed
    while left and (piece := file.read(min(PIECE, left))):
        left -= len(piece)
        yield piece


def _inflated(file: IO[bytes], member: Packed) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    packed: Iterator[bytes] = _stored(file, member)
    rest = b""
    while not inflater.eof:
        rest = rest or next(packed, b"")
        try:
            piece = inflater.decompress(rest, PIECE)
        except zlib.error:
            _refuse_stream(member)
        if not rest and not piece:
            _refuse_stream(member)
        rest = inflater.unconsumed_tail
        if piece:
            yield piece
    # A reader that streams would look for the next member right here.
    if inflater.unused_data or next(packed, b""):
        _refuse_stream(member)


def _refuse_stream(member: Packed) -> NoReturn:
    refuse(
        f"The compressed data of the member {quoted(member.name)} is damaged, or does "
        "not end where the archive says. Build the file again with a current build "
        "tool."
    )
