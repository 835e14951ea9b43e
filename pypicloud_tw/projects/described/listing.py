"""A look into an archive, in a helper process: its members, and the text of one.

What is read was judged when it came, and is bounded all the same. Of a zip only the
end is needed, with its directory, and then a member's own bytes: no more is fetched,
however large it is. A tar is read from its beginning, as it is packed as a whole.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape
from io import SEEK_SET
from lzma import LZMAError
from stat import S_ISLNK
from typing import IO, Any, cast
from urllib.parse import quote

from attrs import define, field, frozen

from pypicloud_tw.errors import BadRequest, NotFound
from pypicloud_tw.index.archive import tar_format, zips
from pypicloud_tw.index.archive.bounds import MAX_METADATA
from pypicloud_tw.index.archive.paths import canonical_path, is_pkg_info
from pypicloud_tw.index.archive.unpacked import unpack
from pypicloud_tw.index.archive.unzip import unpack as unpack_member
from pypicloud_tw.index.archive.zip_end import Directory, find_directory
from pypicloud_tw.offload.limits import limited
from pypicloud_tw.projects.described.limits import CONTENTS
from pypicloud_tw.projects.described.texts import first_of, marked_path, marked_text
from pypicloud_tw.projects.described.values import ArchiveMember, MemberText

#: Members of a part of a list, and bytes that their paths take in a page: as text and
#: in an address. With some 200 bytes around each it has less than 100 kB.
MEMBERS, PATHS = 200, 40 * 1024

#: Bytes of a member that are looked at, and bytes of HTML that are shown of it.
LONGEST_MEMBER, LONGEST_TEXT = 64 * 1024, 60_000

#: Bytes of a zip's end that are fetched first: its end record, the longest comment, and
#: the directory of 1,000 members.
TAIL = 128 * 1024
#: Bytes of a directory: the largest known has 2.7 MB (factor 6).
LARGEST_DIRECTORY = 16 * 2**20

#: Bytes of a zip's member that are fetched: its header with a name and extra fields as
#: long as they can be, and what unpacks to LONGEST_MEMBER unless it is packed oddly.
HEAD = 30 + 2 * 0xFFFF
PACKED = LONGEST_MEMBER + 32 * 1024

_ZIPS = (".whl", ".zip", ".egg")
TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")

#: What reading an archive raises that is not one (as for :mod:`.inspection`).
_DAMAGED = (
    zlib.error,
    LZMAError,
    EOFError,
    NotImplementedError,
    ValueError,
    OSError,
    struct.error,
)

#: A member on its way: path, size, kind and target.
Row = tuple[str, int, str, str]


def is_zip(filename: str) -> bool:
    """Tell a zip from a tar by its name.

    :raises BadRequest: it is neither.
    """
    if filename.endswith(_ZIPS):
        return True
    if filename.endswith(TARS):
        return False
    raise BadRequest(
        "Only wheels, eggs and source archives (zip, or tar with gzip, bzip2 or xz) "
        "can be looked into; download the file."
    )


@frozen
class Listing:
    """All members of an archive, packed in parts.

    :ivar parts: each to be unpacked by :func:`part_of`.
    """

    parts: tuple[bytes, ...] = field(repr=False)
    total: int
    unpacked: int

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes."""
        return 200 + sum(100 + len(part) for part in self.parts)


@frozen
class Window:
    """A part of a file: its bytes from *begin* on, of *size* in all."""

    begin: int
    data: bytes = field(repr=False)
    size: int


@define
class _WindowFile:
    """A window, as the readers of archives take a file.

    Reading before or behind it finds nothing, as at a file's end.
    """

    window: Window
    _at: int = 0

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go to a place of the whole file."""
        assert whence == SEEK_SET, "readers of archives know where they are"
        self._at = offset
        return offset

    def read(self, size: int) -> bytes:
        """Read on."""
        begin = self._at - self.window.begin
        data = self.window.data[begin : begin + size] if begin >= 0 else b""
        self._at += len(data)
        return data


@limited(CONTENTS)
def list_zip(window: Window) -> Listing | Directory:
    """List a zip by its end; where that is not enough, say what is.

    :raises BadRequest: it is damaged, or its directory is larger than is read.
    """
    with _whole():
        directory = find_directory(_file(window), window.size)
        if directory.start < window.begin:
            return _bounded(directory)
        members = zips.list_members(_file(window), directory)
        return _packed((m.path, m.size, _zip_kind(m), "") for m in members)


@limited(CONTENTS)
def find_in_zip(window: Window, path: str) -> zips.Member | Directory:
    """Find a member by a zip's end; where that is not enough, say what is.

    :raises BadRequest: as :func:`list_zip` does.
    :raises NotFound: there is none.
    """
    with _whole():
        directory = find_directory(_file(window), window.size)
        if directory.start < window.begin:
            return _bounded(directory)
        for member in zips.list_members(_file(window), directory):
            if member.path == path and not member.is_folder:
                return member
    raise _no_member()


@limited(CONTENTS)
def read_in_zip(window: Window, member: zips.Member) -> MemberText:
    """Read the beginning of a member, which the window begins with.

    :raises BadRequest: it is damaged.
    """
    with _whole():
        zips.begin_member(_file(window), member, window.size)
        data = bytearray()
        for piece in unpack_member(_file(window), member):
            data += piece
            if len(data) >= LONGEST_MEMBER:
                break
    return _text(member.path, member.size, bytes(data[:LONGEST_MEMBER]))


@limited(CONTENTS)
def list_tar(path: str, filename: str, size: int) -> Listing:
    """List a tar.

    :param path: where it is.
    :raises BadRequest: it is unsafe, or none.
    """
    with open(path, "rb") as file:
        return list_tar_file(file, filename, size)


@limited(CONTENTS)
def list_tar_file(file: IO[bytes], filename: str, size: int) -> Listing:
    """Do what :func:`list_tar` does with a file that is open already."""
    file.seek(0)
    with _whole():
        members = tar_format.members(unpack(file, filename, size))
        return _packed(
            (canonical_path(m.name), m.size, _tar_kind(m), m.target) for m in members
        )


@limited(CONTENTS)
def read_in_tar(path: str, filename: str, size: int, member: str) -> MemberText:
    """Read the beginning of a tar's member.

    :param path: where the tar is.
    :raises BadRequest: it is unsafe, or none.
    :raises NotFound: there is no such member, or it is no file.
    """
    with open(path, "rb") as file:
        return read_in_tar_file(file, filename, size, member)


@limited(CONTENTS)
def read_in_tar_file(
    file: IO[bytes], filename: str, size: int, member: str
) -> MemberText:
    """Do what :func:`read_in_tar` does with a file that is open already."""
    file.seek(0)
    with _whole():
        stream = unpack(file, filename, size)
        for one in tar_format.members(stream):
            if one.is_file and canonical_path(one.name) == member:
                data = stream.read(min(one.size, LONGEST_MEMBER))
                return _text(member, one.size, data)
    raise _no_member()


@limited(CONTENTS)
def read_pkg_info(path: str, filename: str, size: int) -> bytes | None:
    """Read the core metadata of a source archive; None: it has none.

    :param path: where it is.
    :raises BadRequest: it is unsafe, or no tar.
    """
    with open(path, "rb") as file:
        return read_pkg_info_file(file, filename, size)


@limited(CONTENTS)
def read_pkg_info_file(file: IO[bytes], filename: str, size: int) -> bytes | None:
    """Do what :func:`read_pkg_info` does with a file that is open already."""
    file.seek(0)
    with _whole():
        stream = unpack(file, filename, size)
        for one in tar_format.members(stream):
            if one.is_file and is_pkg_info(canonical_path(one.name)):
                return stream.read(one.size) if one.size <= MAX_METADATA else None
    return None


def part_of(listing: Listing, number: int) -> tuple[ArchiveMember, ...]:
    """Unpack a part of a list."""
    rows = json.loads(zlib.decompress(listing.parts[number]))
    return tuple(
        ArchiveMember(path, marked_path(path), size, kind, marked_path(target))
        for path, size, kind, target in rows
    )


def _file(window: Window) -> IO[bytes]:
    return cast(IO[bytes], _WindowFile(window))


def _bounded(directory: Directory) -> Directory:
    if directory.stop - directory.start > LARGEST_DIRECTORY:
        raise BadRequest(
            f"The directory of this file is longer than {LARGEST_DIRECTORY // 2**20} "
            "MiB, and is not shown; download the file."
        )
    return directory


def _zip_kind(member: zips.Member) -> str:
    if member.is_folder:
        return "folder"
    return "link" if S_ISLNK(member.mode) else "file"


def _tar_kind(member: tar_format.Member) -> str:
    if member.is_folder:
        return "folder"
    return "file" if member.is_file else "link"


def _packed(rows: Iterable[Row]) -> Listing:
    """Pack rows in the order of their paths; a file that stands there twice is one."""
    found = sorted({row for row in rows if row[0]}, key=_order)
    parts = tuple(
        zlib.compress(json.dumps(part, separators=(",", ":")).encode(), 1)
        for part in _parts(found)
    )
    return Listing(parts, len(found), sum(size for _, size, _, _ in found))


def _order(row: Row) -> tuple[Any, ...]:
    return row[0].replace("/", "\0"), row[1:]


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    room = PATHS
    for row in rows:
        length = len(quote(row[0])) + len(escape(row[0] + row[3]).encode())
        if part and (len(part) == MEMBERS or length > room):
            yield part
            part, room = [], PATHS
        part.append(row)
        room -= length
    yield part


def _text(path: str, size: int, data: bytes) -> MemberText:
    """Show the beginning of a member, or say that it is no text."""
    shown = marked_path(path)
    if b"\0" in data:
        return MemberText("", path, shown, size, "", is_text=False, partial=size > 0)
    text = _decoded(data, cut=len(data) < size)
    replaced = text.count("\ufffd") > 0
    if text.count("\ufffd") * 4 > len(text):
        return MemberText("", path, shown, size, "", is_text=False, partial=True)
    marked = marked_text(text.removeprefix("\ufeff"))
    kept = first_of(marked, LONGEST_TEXT)
    partial = len(kept) < len(marked) or len(data) < size
    return MemberText("", path, shown, size, kept, partial=partial, replaced=replaced)


def _decoded(data: bytes, *, cut: bool) -> str:
    """Decode UTF-8, of which the last character may be cut in two."""
    if cut:
        for tail in range(1, 4):
            if data[-tail:][:1] >= b"\xc0":
                data = data[:-tail]
                break
    return data.decode("utf-8", "replace")


def _no_member() -> NotFound:
    return NotFound("There is no such file in this archive.")


@contextmanager
def _whole() -> Iterator[None]:
    """Say of what is no whole archive that it is none."""
    try:
        yield
    except _DAMAGED as e:
        raise BadRequest(
            f"This file cannot be opened as the archive its name promises "
            f"({type(e).__name__})."
        ) from None
