"""Where a zip's directory is, as its end says (APPNOTE.TXT, 4.3.14 to 4.3.16).

There must be one answer. Installers look for the end in different ways, and believe
different ones of its fields, so whatever could be read in two ways is refused.
"""

from __future__ import annotations

from struct import Struct
from typing import IO

from attrs import frozen

from pypicloud_tw.index.archive.bounds import (
    MAX_DIRECTORY,
    MAX_MEMBERS,
    MAX_ZIP_PADDING,
)
from pypicloud_tw.index.archive.findings import refuse

_END = Struct("<4s4H2LH")
_END64 = Struct("<4sQ2H2L4Q")
_LOCATOR = Struct("<4sLQL")

#: Bytes of a record of ZIP64's end behind the field that tells them, without the
#: "extensible data sector", which nobody writes.
_END64_REST = _END64.size - 12

_LONGEST_COMMENT = 0xFFFF
_AGAIN = "Build the file again with a current build tool."


@frozen
class Directory:
    """Where the directory lies, and how many entries it has."""

    start: int
    stop: int
    count: int


def find_directory(file: IO[bytes], size: int) -> Directory:
    """Find the directory of a zip that has *size* bytes.

    :raises BadRequest: there is no end, it is not the file's end, or it contradicts
        itself.
    """
    at, fields = _end(file, size)
    disk, start_disk, here, count, length, start = fields
    stop = at
    wide = _zip64(file, at)
    if wide is not None:
        stop, *more = wide
        for plain, told, most in zip(
            fields, more, (0xFFFF,) * 4 + (0xFFFFFFFF,) * 2, strict=True
        ):
            if plain not in (told, most):
                refuse(f"The zip's two ends, plain and ZIP64, differ. {_AGAIN}")
        disk, start_disk, here, count, length, start = more
    if disk or start_disk:
        refuse(f"The zip is one part of several. {_AGAIN}")
    if here != count:
        refuse(
            "The archive's end tells of another number of members than it lists. "
            f"{_AGAIN}"
        )
    if length > MAX_DIRECTORY or count > MAX_MEMBERS:
        refuse(
            f"The zip's directory is longer than {MAX_DIRECTORY // 2**20} MiB, or has "
            f"more than {MAX_MEMBERS} members; split the project."
        )
    if start + length != stop:
        refuse(
            "The zip's directory does not lie where its end says: there are bytes "
            f"before or behind the archive, or two ends. {_AGAIN}"
        )
    return Directory(start, stop, count)


def _end(file: IO[bytes], size: int) -> tuple[int, list[int]]:
    """Find the last end record; it and its comment are the end of the file.

    A few zeros may follow.
    """
    begin = max(0, size - _END.size - _LONGEST_COMMENT)
    file.seek(begin)
    tail = file.read(size - begin)
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) - found < _END.size:
        refuse(
            "This file cannot be opened as the archive its name promises: it has no "
            "zip's end. It may have been cut short; send it again, or build it again."
        )
    _, *fields, comment = _END.unpack_from(tail, found)
    end = found + _END.size + comment
    # Zeros behind the end are padding, to all readers.
    padding = tail[end:]
    if end > len(tail) or len(padding) > MAX_ZIP_PADDING or padding.strip(b"\0"):
        refuse(f"There are bytes before or behind the archive. {_AGAIN}")
    return begin + found, fields


def _zip64(file: IO[bytes], end: int) -> list[int] | None:
    """Read the ZIP64 end, if there is one: where it begins, then its fields.

    It may be there without need (some tools always write it), and is believed by all
    readers then; so it must agree with the plain end.
    """
    at = end - _LOCATOR.size
    if at < 0:
        return None
    file.seek(at)
    signature, disk, where, disks = _LOCATOR.unpack(file.read(_LOCATOR.size))
    if signature != b"PK\6\7":
        return None
    if disk or disks > 1 or where != at - _END64.size:
        refuse(f"The zip's ZIP64 end does not lie where it should. {_AGAIN}")
    file.seek(where)
    signature, rest, _, _, *fields = _END64.unpack(file.read(_END64.size))
    if signature != b"PK\6\6" or rest != _END64_REST:
        refuse(f"The zip's ZIP64 end is no such record, or has more in it. {_AGAIN}")
    return [where, *fields]
