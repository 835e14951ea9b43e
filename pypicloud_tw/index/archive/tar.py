"""What a tar's members would be unpacked to, wherever that is done."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import dropwhile, pairwise
from pathlib import PurePosixPath
from typing import IO

from attrs import define, field

from pypicloud_tw.index.archive.bounds import (
    MAX_METADATA,
    MAX_NAME,
    MAX_PATHS,
    PIECE,
)
from pypicloud_tw.index.archive.findings import Findings, quoted, refuse
from pypicloud_tw.index.archive.paths import (
    canonical_path,
    check_characters,
    check_path,
    has_one_top_folder,
    is_pkg_info,
)
from pypicloud_tw.index.archive.tar_format import Member, members
from pypicloud_tw.index.archive.unpacked import Unpacked, unpack

_THROUGH_LINK = "A path in the archive leads through a symbolic link."


def tar_metadata(
    file: IO[bytes], name: str, size: int, findings: Findings
) -> bytes | None:
    """Check every member, and read the PKG-INFO of the top folder if there is one.

    :param name: the file's, which tells how it is packed.
    :raises BadRequest: it is unsafe, or installers would unpack it differently.
    :raises EOFError, OSError, ValueError, zlib.error, LZMAError: it is no whole archive
        of that kind.
    """
    begin = file.tell()
    stream = unpack(file, name, size)
    tree, found = _Tree(), None
    for member in members(stream):
        path = tree.add(member)
        if member.is_file and is_pkg_info(path):
            # Of what is too long enough is read to see that it is.
            found = stream.read(min(member.size, MAX_METADATA + 1))
    tree.check()
    if tree.twice:
        file.seek(begin)
        _check_twins(unpack(file, name, size), tree.twice)
    return found if has_one_top_folder(tree.paths(), findings) else None


@define
class _Tree:
    """Paths of an archive, in which links are told from folders and files.

    A "/" is kept as NUL, which no path has, so that in sorted order what lies in a
    folder stands behind it at once.

    :ivar twice: files that stand in it more than once.
    """

    twice: set[str] = field(factory=set)
    _kinds: dict[str, str] = field(factory=dict)
    _links: list[tuple[str, str]] = field(factory=list)
    _length: int = 0

    def add(self, member: Member) -> str:
        """Take a member, in the order of the archive, and give its canonical path."""
        self._measure(member)
        check_characters(member.name)
        check_path(member.name)
        if member.name.partition("/")[0] == ".":
            refuse("A path in the archive begins with './'; build it again.")
        path = canonical_path(member.name)
        key = _key(path)
        self._check_new(key, member)
        if member.is_link:
            self._check_target(member.target)
        if member.is_symlink:
            self._links.append((path, member.target))
        self._kinds[key] = member.kind
        return path

    def check(self) -> None:
        """Check what hangs on the order of members, since installers' may be another.

        :raises BadRequest: something lies below a link or a file, or a symbolic link
            leads elsewhere.
        """
        if not self._kinds:
            refuse("The archive is empty.")
        for above, below in pairwise(sorted(self._kinds)):
            if self._kinds[above] != "5" and below.startswith(above + "\0"):
                if self._kinds[above] == "2":
                    refuse(_THROUGH_LINK)
                refuse(
                    f"The archive has {_shown(below)} below what is no folder there."
                )
        for path, target in self._links:
            _check_symlink(path, target)

    def paths(self) -> Iterator[tuple[str, bool]]:
        """Give every path, and whether it is a folder."""
        for key, kind in self._kinds.items():
            yield key.replace("\0", "/"), kind == "5"

    def _measure(self, member: Member) -> None:
        for path in (member.name, member.target):
            self._length += len(path)
            if len(path) > MAX_NAME:
                refuse(f"A path in the archive is longer than {MAX_NAME} characters.")
        if self._length > MAX_PATHS:
            refuse(
                f"The paths in the archive are longer than {MAX_PATHS // 2**20} MiB "
                "together."
            )

    def _check_new(self, key: str, member: Member) -> None:
        kind = self._kinds.get(key)
        if kind is None or kind == member.kind == "5":
            return
        if "2" in (kind, member.kind):
            refuse(_THROUGH_LINK)
        if kind != "0" or member.kind != "0":
            refuse(f"The archive holds two members of one name, {_shown(key)}.")
        self.twice.add(key)

    def _check_target(self, target: str) -> None:
        """Check that a hard link is of a file that is there already."""
        check_path(target)
        path = canonical_path(target)
        if self._kinds.get(_key(path), "") in ("0", "1"):
            return
        above = map(str, PurePosixPath(path).parents)
        if any(self._kinds.get(_key(parent)) == "2" for parent in above):
            refuse(_THROUGH_LINK)
        refuse(
            f"A hard link in the archive is not of a file that stands before it: "
            f"{quoted(target)}."
        )


def _check_twins(stream: Unpacked, twice: set[str]) -> None:
    """Check that files of one name are equal; ruff 0.0.100 has a Cargo.lock twice."""
    seen: dict[str, bytes] = {}
    for member in members(stream):
        key = _key(canonical_path(member.name))
        if key not in twice:
            continue
        digest = _digest(stream, member)
        if seen.setdefault(key, digest) != digest:
            refuse(
                f"The archive holds two members of one name, {_shown(key)}, with other "
                "content; build it again."
            )


def _digest(stream: Unpacked, member: Member) -> bytes:
    digest, left = blake2b(digest_size=32), member.size
    while left:
        piece = stream.read(min(left, PIECE))
        if not piece:
            raise EOFError
        digest.update(piece)
        left -= len(piece)
    return digest.digest()


def _key(path: str) -> str:
    return path.replace("/", "\0")


def _shown(key: str) -> str:
    return quoted(key.replace("\0", "/"))


def _check_symlink(path: str, target: str) -> None:
    """Check that a symbolic link leads into the top folder that it lies in.

    Its ".." may only stand in front: behind another link it goes up from elsewhere.
    """
    parts = PurePosixPath(target).parts
    rest = list(dropwhile(lambda part: part == "..", parts))
    check_path(str(PurePosixPath(*rest)))
    if len(parts) - len(rest) > max(path.count("/") - 1, 0):
        refuse("A path in the archive leads out of it, by a symbolic link.")
