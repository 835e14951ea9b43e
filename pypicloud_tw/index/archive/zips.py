"""Zip archives, read strictly: all readers must find the same members in them.

Some readers go by the directory at the end (pip), others by the headers before each
member (uv, when it streams). Both lists must be the same list, and the entries,
directory and end touch each other, so that there is nothing that only one of them sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b
from operator import attrgetter
from pathlib import PurePosixPath
from stat import S_ISLNK
from struct import Struct
from typing import IO, NoReturn

from attrs import define

from pypicloud_tw.index.archive.bounds import LONGEST_TARGET, MAX_METADATA, MAX_NAME
from pypicloud_tw.index.archive.findings import quoted, refuse
from pypicloud_tw.index.archive.paths import (
    canonical_path,
    check_characters,
    check_link,
    check_path,
    check_unique,
    check_way,
)
from pypicloud_tw.index.archive.unzip import (
    DEFLATE,
    STORED,
    check_content,
    read_content,
    unpack,
)
from pypicloud_tw.index.archive.volume import check_volume, in_words
from pypicloud_tw.index.archive.zip_end import Directory, find_directory
from pypicloud_tw.index.archive.zip_extra import Extra

_ENTRY = Struct("<4s6H3L5H2L")
_LOCAL = Struct("<4s5H3L2H")

#: Bits of the flags (APPNOTE.TXT, 4.4.4): encrypted in one way or another, or a patch;
#: a descriptor follows the data; the name is UTF-8; how hard the packer tried. The
#: others are read by no installer.
_UNREADABLE, _DESCRIBED, _UTF8, _EFFORT = 0x0061, 0x0008, 0x0800, 0x0006

#: The newest version of the format that Python's zipfile reads, and so pip.
_NEWEST = 63

#: CRC, packed and unpacked size, with and without a signature, of 32 and 64 bits.
_DESCRIPTORS = {12: "<LLL", 16: "<4sLLL", 20: "<LQQ", 24: "<4sLQQ"}

_AGAIN = "Build the file again with a current build tool."


@define
class Member:
    """A member of a zip.

    :ivar name: as it stands in the archive.
    :ivar header: where its local header begins, and ``start`` where its data does.
    :ivar packed: bytes of its data, and ``size`` of what they unpack to.
    :ivar mode: of the file on the system that packed it; 0 if that told none.
    """

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int
    mode: int
    start: int = 0

    @property
    def is_folder(self) -> bool:
        """Tell a folder, as every reader does."""
        return self.name.endswith("/")

    @property
    def path(self) -> str:
        """The name as the file system would spell it; empty for the top folder."""
        return canonical_path(self.name)

    @property
    def is_utf8(self) -> bool:
        """Tell whether all readers read the same name: others are guessed at."""
        return self.name.isascii() or bool(self.flags & _UTF8)

    @property
    def raw_name(self) -> bytes:
        """The name's bytes in the archive."""
        return self.name.encode("utf-8" if self.is_utf8 else "cp437")


def read_members(file: IO[bytes], size: int) -> list[Member]:
    """List the members of a zip of *size* bytes, in the order in which they lie there.

    A file that it holds twice, byte for byte, is listed once.

    :raises BadRequest: two readers could find different members in it, or it unpacks to
        too much, or to outside of the folder that it is unpacked in.
    """
    directory = find_directory(file, size)
    members = list(_entries(file, directory))
    members.sort(key=attrgetter("header"))
    check_volume(len(members), sum(member.size for member in members), size)
    _check_local(file, members, directory.start)
    members = list(_without_twins(file, members))
    _check_names(file, members)
    return members


def list_members(file: IO[bytes], directory: Directory) -> list[Member]:
    """List what a zip's directory tells, of one that was judged when it came.

    What it tells of is not looked at, so that it need not be there: no name and no size
    may be trusted.

    :raises BadRequest: the directory is damaged.
    """
    return list(_entries(file, directory))


def begin_member(file: IO[bytes], member: Member, size: int) -> None:
    """Find where the data of a listed member begins (:attr:`Member.start`).

    :param size: bytes of the file.
    :raises BadRequest: its header is not as the directory has it.
    """
    member.start = _check_header(file, member, size)


def check_contents(file: IO[bytes], members: list[Member]) -> None:
    """Unpack every member to nowhere: what the headers tell of the data is true.

    :raises BadRequest: it is not.
    """
    for member in members:
        check_content(file, member)


def read_member(file: IO[bytes], member: Member, most: int) -> bytes:
    """Unpack a member of at most *most* bytes.

    :raises BadRequest: it is longer, or damaged.
    """
    if member.size > most:
        refuse(
            f"The member {quoted(member.name)} is longer than {in_words(most)}, which "
            "no file of its kind is."
        )
    return read_content(file, member)


def read_whole(file: IO[bytes], size: int) -> list[Member]:
    """List the members of a zip, all of which can be unpacked.

    :raises BadRequest: as :func:`read_members` does, or what is in it is damaged.
    """
    members = read_members(file, size)
    check_contents(file, members)
    return members


def zipped_metadata(
    file: IO[bytes], members: list[Member], is_metadata: Callable[[str], bool]
) -> bytes | None:
    """Read the core metadata of a zip of before wheels, if it has any.

    :param is_metadata: knows it by its path.
    :raises BadRequest: it is too long.
    """
    for member in members:
        if is_metadata(member.path) and not member.is_folder:
            return read_member(file, member, MAX_METADATA)
    return None


def _entries(file: IO[bytes], directory: Directory) -> Iterator[Member]:
    file.seek(directory.start)
    data = file.read(directory.stop - directory.start)
    at, count = 0, 0
    while at < len(data):
        if len(data) - at < _ENTRY.size or data[at : at + 4] != b"PK\1\2":
            refuse(f"The zip's directory is damaged. {_AGAIN}")
        at, member = _entry(data, at)
        count += 1
        yield member
    if count != directory.count:
        refuse(
            "The archive's end tells of another number of members than it lists. "
            f"{_AGAIN}"
        )


def _entry(data: bytes, at: int) -> tuple[int, Member]:
    (
        _, _, needed, flags, method, _, _, crc, packed, size, *lengths, disk, _,
        attributes, header,
    ) = _ENTRY.unpack_from(data, at)  # fmt: skip
    name_at = at + _ENTRY.size
    extra_at = name_at + lengths[0]
    comment_at = extra_at + lengths[1]
    after = comment_at + lengths[2]
    if after > len(data):
        refuse(f"The zip's directory is damaged. {_AGAIN}")
    name = _name(data[name_at:extra_at], flags)
    extra = Extra.parse(data[extra_at:comment_at], name)
    size, packed, header, disk = extra.widen(size, packed, header, disk)
    if disk:
        refuse(f"The zip is one part of several. {_AGAIN}")
    if needed & 0xFF > _NEWEST:
        refuse(
            f"The member {quoted(name)} needs a newer version of the zip format than "
            f"pip reads. {_AGAIN}"
        )
    member = Member(name, flags, method, crc, packed, size, header, attributes >> 16)
    _check_entry(member)
    return after, member


def _name(raw: bytes, flags: int) -> str:
    if not raw or len(raw) > MAX_NAME:
        refuse(
            f"A member's name is empty or longer than {MAX_NAME} bytes: "
            f"{quoted(raw.decode('latin-1'))}."
        )
    try:
        return raw.decode("utf-8" if flags & _UTF8 or raw.isascii() else "cp437")
    except UnicodeDecodeError:
        refuse(
            f"The name of the member {quoted(raw.decode('latin-1'))} is not the UTF-8 "
            f"that it says it is. {_AGAIN}"
        )


def _check_entry(member: Member) -> None:
    shown = quoted(member.name)
    if member.flags & _UNREADABLE:
        refuse(f"The member {shown} is encrypted, or a patch; installers read neither.")
    if member.method not in (STORED, DEFLATE):
        refuse(
            f"The member {shown} is compressed by a method that not every installer "
            f"knows (number {member.method}); store it, or use deflate."
        )
    if member.method == STORED and (
        member.packed != member.size or member.flags & _DESCRIBED
    ):
        # Without packing nothing but the header tells where the data ends.
        refuse(
            f"The member {shown} is stored, and its two sizes differ or follow only "
            f"after it. {_AGAIN}"
        )
    described = member.flags & _DESCRIBED  # then uv lets nothing take no bytes
    if member.is_folder and (member.size or (member.packed and described)):
        refuse(f"The folder {shown} has content, as only files have. {_AGAIN}")


def _check_local(file: IO[bytes], members: list[Member], end: int) -> None:
    """Compare every header with the directory; together they fill the file to *end*."""
    at = 0
    for number, member in enumerate(members, 1):
        if member.header != at:
            _refuse_gap(member.name)
        member.start = _check_header(file, member, end)
        stop = member.start + member.packed
        at = min(members[number].header, end) if number < len(members) else end
        if member.flags & _DESCRIBED:
            _check_descriptor(file, member, at - stop)
        elif at != stop:
            _refuse_gap(member.name)
    if not members and end:
        _refuse_gap("")


def _refuse_gap(name: str) -> NoReturn:
    refuse(
        "There are bytes before or behind the archive, or between its members, that "
        f"its directory does not list, or two members overlap (near {quoted(name)}). "
        f"{_AGAIN}"
    )


def _check_header(file: IO[bytes], member: Member, end: int) -> int:
    """Compare a member's own header with the directory; the start of its data."""
    file.seek(member.header)
    head = file.read(_LOCAL.size)
    if member.header + _LOCAL.size > end or head[:4] != b"PK\3\4":
        _refuse_gap(member.name)
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = (
        _LOCAL.unpack(head)
    )
    rest = file.read(name_length + extra_length)
    name = rest[:name_length]
    extra = Extra.parse(rest[name_length:], member.name)
    ignored = _EFFORT | (_UTF8 if member.name.isascii() else 0)
    later = bool(member.flags & _DESCRIBED)
    same = (
        name == member.raw_name
        and method == member.method
        and not (flags ^ member.flags) & ~ignored
        and (crc == member.crc or (later and crc == 0))
        and extra.agrees(size, packed, member.size, member.packed, later=later)
    )
    if not same:
        refuse(
            f"The header of the member {quoted(member.name)} tells another name, size, "
            "checksum, method or flags than the archive's directory, so that "
            f"installers would unpack different files. {_AGAIN}"
        )
    return member.header + _LOCAL.size + len(rest)


def _check_descriptor(file: IO[bytes], member: Member, length: int) -> None:
    found: tuple[object, ...] = ()
    if length in _DESCRIPTORS:
        file.seek(member.start + member.packed)
        layout = Struct(_DESCRIPTORS[length])
        found = layout.unpack(file.read(length))
    expected = (member.crc, member.packed, member.size)
    if found not in (expected, (b"PK\7\x08", *expected)):
        refuse(
            f"What follows the member {quoted(member.name)} is not the record of its "
            f"checksum and sizes that the directory has. {_AGAIN}"
        )


def _without_twins(file: IO[bytes], members: list[Member]) -> Iterator[Member]:
    """Leave out files that equal one before them: all readers unpack the same."""
    first: dict[str, Member] = {}
    digests: dict[str, bytes] = {}
    for member in members:
        original = first.setdefault(member.name, member)
        if original is member or member.is_folder:
            yield member
            continue
        if member.name not in digests:
            digests[member.name] = _digest(file, original)
        if (
            original.mode != member.mode
            or _digest(file, member) != digests[member.name]
        ):
            refuse(
                f"The archive holds two members of one name, {quoted(member.name)}, "
                "that differ. Build the file again without one of them."
            )


def _digest(file: IO[bytes], member: Member) -> bytes:
    digest = blake2b(digest_size=32)
    for piece in unpack(file, member):
        digest.update(piece)
    return digest.digest()


def _check_names(file: IO[bytes], members: list[Member]) -> None:
    """Refuse what would be unpacked elsewhere, or over another member."""
    links: set[PurePosixPath] = set()
    for member in members:
        check_characters(member.name)
        check_path(member.name)
        check_way(member.name, links)
        if S_ISLNK(member.mode):
            check_link(member.name, _target(file, member), links)
        if not member.is_folder and not member.path:
            refuse(f"The member {quoted(member.name)} has no name.")
    check_unique(
        ((member.path, member.is_folder) for member in members),
        "The archive holds two members of one name",
    )


def _target(file: IO[bytes], link: Member) -> str:
    """Read where a symbolic link leads: in a zip that is its content."""
    text = ""
    if link.size <= LONGEST_TARGET:
        with suppress(UnicodeDecodeError):
            text = read_content(file, link).decode()
    if not text:
        refuse("A symbolic link in the archive leads to what is no path.")
    return text
