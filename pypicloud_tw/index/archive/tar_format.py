"""The tar format as far as all installers read it alike.

POSIX.1-2024 ("pax", its chapter on ustar and on extended headers) and GNU tar's manual
("Basic Tar Format"). Python's tarfile takes much more, and so do the libraries of other
installers, but not the same more: a header that is wrong ends an archive for one and
is an error for another; of two names of a member each takes another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from attrs import define, field, frozen

from pypicloud_tw.index.archive.bounds import (
    MAX_GLOBAL_PAX,
    MAX_LONG_NAME,
    MAX_MEMBERS,
    MAX_PAX,
    MAX_PAX_SUM,
    MAX_TAR_PADDING,
    PIECE,
)
from pypicloud_tw.index.archive.findings import quoted, refuse
from pypicloud_tw.index.archive.unpacked import Unpacked

_BLOCK = 512

#: Numbers of a header: mode, uid, gid, mtime; devmajor and devminor. The size and the
#: checksum, which everybody reads, may not be empty.
_NUMBERS = ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345))
_SIZE, _CHECKSUM = slice(124, 136), slice(148, 156)

_OCTAL = re.compile(rb" *([0-7]*) *(?:\0.*)?", re.DOTALL)
_RECORD = re.compile(rb"([1-9][0-9]{0,9}) ([^=]+)=")

_FILE, _LINK, _SYMLINK = b"0", b"1", b"2"
#: NUL is the older sign of a file, and "7" that of one that should lie in one piece.
_OTHER_FILES = (b"\0", b"7")
_GNU_NAME, _GNU_LINK, _GNU_SPARSE = b"L", b"K", b"S"
_PAX, _PAX_GLOBAL = b"x", b"g"

#: Pax records that would change how every member is unpacked.
_CHANGING = (b"path", b"linkpath", b"size")


@frozen
class Member:
    """A member of a tar.

    :ivar kind: "0" for a file, "1" for a hard link, "2" for a symbolic one, "5" for a
        folder.
    :ivar size: bytes of its content.
    """

    name: str
    kind: str
    size: int
    target: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it has content of its own."""
        return self.kind == "0"

    @property
    def is_link(self) -> bool:
        """Whether it is a hard link."""
        return self.kind == "1"

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self.kind == "2"

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.kind == "5"


@frozen
class _Header:
    name: bytes
    kind: bytes
    size: int
    target: bytes


@define
class _Extended:
    """What stands before a member to tell what its own header has no room for."""

    records: dict[bytes, bytes] = field(factory=dict)
    found: set[bytes] = field(factory=set)


@define
class _Budget:
    """How much of extended headers an archive may still have."""

    pax: int = MAX_PAX_SUM
    globals_left: int = MAX_GLOBAL_PAX[0]
    globals_bytes: int = MAX_GLOBAL_PAX[1]


def members(stream: Unpacked) -> Iterator[Member]:
    """Read a tar's members one after the other, to the last byte of the archive.

    Whoever is given a member may read its content from the stream before the next.

    :raises BadRequest: installers would not agree on what is in it, or it exceeds a
        bound.
    :raises EOFError: it is cut short.
    """
    budget, extended, count = _Budget(), _Extended(), 0
    waiting = False
    while (block := stream.read(_BLOCK)).strip(b"\0"):
        header = _parse(block)
        if header.kind in (_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK):
            _extend(extended, header, stream, budget)
            waiting = True
            continue
        count += 1
        if count > MAX_MEMBERS:
            refuse(f"The archive has more than {MAX_MEMBERS} members.")
        end = stream.position + _padded(header.size)
        yield _member(header, extended.records)
        stream.skip_to(end)
        extended, waiting = _Extended(), False
    if waiting:
        refuse("The archive ends with an extended header that belongs to no member.")
    _check_end(stream, stream.position - len(block))


def _check_end(stream: Unpacked, begin: int) -> None:
    """Check that two empty blocks, and nothing but zeros, follow the last member."""
    while rest := stream.read(PIECE):
        if rest.strip(b"\0"):
            refuse("There are bytes behind the archive's end; build it again.")
        if stream.position - begin > MAX_TAR_PADDING:
            refuse(
                f"There are more than {MAX_TAR_PADDING // 2**20} MiB of zeros behind "
                "the archive's end."
            )
    if stream.position - begin < 2 * _BLOCK:
        refuse(
            "The archive does not end as a tar does, with two empty blocks; it may be "
            "cut short. Build it again."
        )


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _parse(block: bytes) -> _Header:
    if len(block) < _BLOCK:
        raise EOFError
    checksum = sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
    if _number(block[_CHECKSUM], needed=True) != checksum:
        refuse("The archive has a damaged header (its checksum differs).")
    for begin, end in _NUMBERS:
        if block[begin] not in (0x80, 0xFF):  # GNU tar's binary numbers
            _number(block[begin:end])
    name = _text(block[:100])
    prefix = _text(block[345:500])
    if prefix and block[257:265] != b"ustar\x0000":
        refuse(
            "The archive has a header that installers read differently (a prefix that "
            "is not of the ustar format)."
        )
    kind = block[156:157]
    # Before there was a kind for folders, a slash at a name's end told them. It may
    # stand where a long name is cut off, too.
    if kind == b"\0" and name.endswith(b"/"):
        _refuse_slash(name)
    size = _number(block[_SIZE], needed=True)
    name = prefix + b"/" + name if prefix else name
    kind = _FILE if kind in _OTHER_FILES else kind
    return _Header(name, kind, size, _text(block[157:257]))


def _number(data: bytes, needed: bool = False) -> int:
    """Read a number; binary ones as far as all read them alike (63 bits, positive)."""
    if data[0] == 0x80 and len(data) == 12 and not any(data[1:4]) and data[4] < 0x80:
        return int.from_bytes(data[4:])
    match = _OCTAL.fullmatch(data)
    if match is None or (needed and not match[1]):
        refuse("The archive has a damaged header (a number in it is none).")
    return int(match[1] or b"0", 8)


def _text(data: bytes) -> bytes:
    return data.partition(b"\0")[0]


def _extend(
    extended: _Extended, header: _Header, stream: Unpacked, budget: _Budget
) -> None:
    """Read an extended header, of those that everybody understands alike."""
    found = extended.found | {header.kind}
    # Long names of GNU tar for a link and for its target, or one pax header.
    if header.kind in extended.found or found not in (
        {_PAX},
        {_PAX_GLOBAL},
        {_GNU_NAME},
        {_GNU_LINK},
        {_GNU_NAME, _GNU_LINK},
    ):
        refuse(
            "The archive has several extended headers for one member, of which "
            "installers heed different ones."
        )
    if header.kind == _PAX_GLOBAL:
        _skip_global(_content(stream, header, budget.globals_bytes), budget)
        return
    extended.found = found
    if header.kind == _PAX:
        records = _records(_content(stream, header, min(MAX_PAX, budget.pax)))
        budget.pax -= header.size
        extended.records.update(records)
    else:
        text = _content(stream, header, MAX_LONG_NAME).removesuffix(b"\0")
        key = b"path" if header.kind == _GNU_NAME else b"linkpath"
        extended.records[key] = text


def _skip_global(content: bytes, budget: _Budget) -> None:
    """Check a pax header for all members: it may tell nothing of theirs."""
    budget.globals_bytes -= len(content)
    budget.globals_left -= 1
    if budget.globals_left < 0:
        refuse(f"The archive has more than {MAX_GLOBAL_PAX[0]} global headers.")
    if any(key in _CHANGING for key in _records(content)):
        refuse("The archive has a global header that renames or resizes its members.")


def _content(stream: Unpacked, header: _Header, limit: int) -> bytes:
    if header.size > limit:
        refuse("The archive has a member with an overlong header.")
    data = stream.read(_padded(header.size))
    if len(data) < _padded(header.size):
        raise EOFError
    if data[header.size :].strip(b"\0"):
        refuse("The archive has an extended header with bytes behind its end.")
    return data[: header.size]


def _records(content: bytes) -> dict[bytes, bytes]:
    """Read the records of a pax header (POSIX, "pax Extended Header")."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        match = _RECORD.match(content, at)
        end = at + int(match[1]) if match else 0
        if match is None or end <= match.end() or content[end - 1 : end] != b"\n":
            refuse("The archive has a damaged pax header.")
        key = match[2]
        if key.startswith(b"GNU.sparse."):
            _refuse_sparse()
        if key in records:
            refuse(
                "The archive has a pax header that tells something twice, of which "
                "installers heed different ones."
            )
        records[key] = content[match.end() : end - 1]
        at = end
    return records


def _refuse_sparse() -> NoReturn:
    refuse(
        "The archive has a sparse file, which installers unpack differently; build it "
        "without (GNU tar: not with --sparse)."
    )


def _member(header: _Header, records: dict[bytes, bytes]) -> Member:
    name = records.get(b"path", header.name)
    target = records.get(b"linkpath", header.target)
    _check_kind(header, name)
    if records.get(b"size", b"%d" % header.size) != b"%d" % header.size:
        refuse(f"The archive tells two sizes of {_shown(name)}; build it again.")
    return Member(
        _path(name),
        header.kind.decode("ascii"),
        header.size,
        _path(target) if header.kind in (_LINK, _SYMLINK) else "",
    )


def _check_kind(header: _Header, name: bytes) -> None:
    kind, shown = header.kind, _shown(name)
    if kind in b"346":
        refuse(f"The archive holds a device or a pipe, {shown}.")
    if kind == _GNU_SPARSE:
        _refuse_sparse()
    if kind not in b"0125":
        refuse(
            f"The archive holds {shown}, which is no file, folder or link; installers "
            "would not do the same with it."
        )
    if kind != _FILE and header.size:
        refuse(
            f"The archive has a folder or a link with content, {shown}, which some "
            "installers would take for further members."
        )
    if kind == _FILE and name.endswith(b"/"):
        _refuse_slash(name)


def _path(data: bytes) -> str:
    """Read a path that every system can have, and has as the same one."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or "\0" in text or "\\" in text:
        refuse(
            f"The archive has a path that is not the same on all systems, "
            f"{_shown(data)}: it "
            "is empty or not UTF-8, or has a NUL or a backslash."
        )
    return text


def _refuse_slash(name: bytes) -> NoReturn:
    refuse(
        f"The archive has a file whose name ends in a slash, {_shown(name)}; some "
        "installers would take it for a folder."
    )


def _shown(name: bytes) -> str:
    return quoted(name.decode("utf-8", "backslashreplace"))
