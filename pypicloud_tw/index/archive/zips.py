"""Zip archives."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath
from stat import S_ISLNK
from struct import unpack_from
from typing import IO

from pypicloud_tw.index.archive.bounds import LONGEST_TARGET, MAX_READ
from pypicloud_tw.index.archive.findings import refuse
from pypicloud_tw.index.archive.paths import check_link, check_path, check_way
from pypicloud_tw.index.archive.volume import check_volume

#: Bytes of the record that ends a zip, without its comment (APPNOTE.TXT, 4.3.16).
_ZIP_END = 22


class _BoundedReads:
    """A file that refuses to be read by the gigabyte, as a zip's directory would be."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read *size* bytes or to the end, as far as that is not absurd."""
        data = self._file.read(MAX_READ + 1 if size < 0 else min(size, MAX_READ + 1))
        if len(data) > MAX_READ:
            refuse("The archive's directory is absurdly long.")
        return data


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """Read a zip's directory."""
    bounded = _BoundedReads(file)
    return zipfile.ZipFile(bounded)


def checked_members(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """Check every member, and list them."""
    unpacked = 0
    seen: set[str] = set()
    links: set[PurePosixPath] = set()
    members = archive.infolist()
    for count, member in enumerate(members, 1):
        unpacked += member.file_size
        check_volume(count, unpacked, size)
        # orig_filename is what stands in the archive: zipfile cuts at NUL.
        check_path(member.orig_filename)
        check_way(member.filename, links)
        if S_ISLNK(member.external_attr >> 16):
            check_link(member.filename, _target(archive, member), links)
        if member.filename in seen and not member.is_dir():
            refuse("The archive holds two members of one name.")
        seen.add(member.filename)
    return members


def check_ends(archive: zipfile.ZipFile, file: IO[bytes], size: int) -> None:
    """Refuse bytes before or behind a zip, and an end that tells of other members.

    They may be another one: installers that read from the front would unpack that,
    while we looked into the one that is read from the end. And some read as many
    members as the end tells, where we read all that are listed.
    """
    members = archive.infolist()
    begins = min((member.header_offset for member in members), default=0)
    file.seek(max(0, size - _ZIP_END - len(archive.comment)))
    end = file.read(_ZIP_END)
    if begins != 0 or end[:4] != b"PK\5\6" or len(end) < _ZIP_END:
        refuse("There are bytes before or behind the archive; build the wheel again.")
    # 0xFFFF: more than that, or told in the record of ZIP64 (APPNOTE.TXT, 4.4.1.4).
    counts = set(unpack_from("<HH", end, 8)) - {0xFFFF}
    if counts - {len(members)}:
        refuse("The archive's end tells of another number of members than it lists.")


def _target(archive: zipfile.ZipFile, link: zipfile.ZipInfo) -> str:
    """Read where a symbolic link leads: in a zip that is its content."""
    with archive.open(link) as content:
        target = content.read(LONGEST_TARGET + 1)
    try:
        text = target.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or len(target) > LONGEST_TARGET:
        refuse("A symbolic link in the archive leads to what is no path.")
    return text
