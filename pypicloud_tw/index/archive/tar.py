"""Tar archives, read as a stream: memory stays small, and a bomb is noticed early."""

from __future__ import annotations

import tarfile
from gzip import GzipFile
from pathlib import PurePosixPath
from typing import IO, Literal, cast

from pypicloud_tw.index.archive.bounds import MAX_HEADER, PIECE
from pypicloud_tw.index.archive.findings import refuse
from pypicloud_tw.index.archive.paths import (
    check_link,
    check_path,
    check_way,
    is_pkg_info,
)
from pypicloud_tw.index.archive.volume import bounded, check_volume


class _BoundedTarInfo(tarfile.TarInfo):
    """A member whose extended header is not read whole, however long it says it is."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # The hook that tarfile names for subclasses. Headers of these types are read
        # into memory: a pax header of zeros packs a gigabyte into a megabyte.
        special = (
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if self.type in special and self.size > MAX_HEADER:
            refuse("The archive has a member with an overlong header.")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]  # typeshed omits it


def tar_metadata(file: IO[bytes], size: int, *, gzipped: bool) -> bytes | None:
    """Check every member, and read the PKG-INFO of the top folder if there is one."""
    found: bytes | None = None
    unpacked = members = 0
    links: set[PurePosixPath] = set()
    # tarfile's own "r|gz" takes an archive that is cut short for whole.
    stream = cast(IO[bytes], GzipFile(fileobj=file)) if gzipped else file
    mode: Literal["r|", "r|*"] = "r|" if gzipped else "r|*"
    with tarfile.open(fileobj=stream, mode=mode, tarinfo=_BoundedTarInfo) as archive:
        for member in archive:
            members += 1
            unpacked += member.size
            check_volume(members, unpacked, size)
            _check_member(member, links)
            if found is None and is_pkg_info(member.name) and member.isfile():
                content = archive.extractfile(member)
                assert content is not None, "a regular file has content"
                found = bounded(content)
            # tarfile remembers every member it has seen.
            archive.members = []  # type: ignore[attr-defined]  # typeshed omits it
    while gzipped and (rest := stream.read(PIECE)):
        # Padding up to the end, where the checksum stands.
        unpacked += len(rest)
        check_volume(members, unpacked, size)
    return found


def _check_member(member: tarfile.TarInfo, links: set[PurePosixPath]) -> None:
    check_path(member.name)
    check_way(member.name, links)
    if member.isdev():
        refuse("The archive holds a device or a pipe.")
    if member.issym():
        check_link(member.name, member.linkname, links)
    elif member.islnk():
        check_path(member.linkname)
        check_way(member.linkname, links)
