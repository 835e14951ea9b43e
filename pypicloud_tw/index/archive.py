"""Look into a distribution file before it is published; pure, and slow on purpose.

Runs in a helper process: it is Python that takes long on large archives, fed with
bytes that nobody has vouched for. Everything read is read with a bound.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from email.errors import MessageError
from gzip import GzipFile
from pathlib import PurePosixPath
from stat import S_ISLNK
from struct import unpack_from
from typing import IO, Literal, NoReturn, cast

from attrs import frozen
from packaging.metadata import RawMetadata, parse_email
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import FileKind, Filename
from pypicloud_tw.limits import ARCHIVES, limited

#: Bytes of core metadata that are read at most; the big index's largest are near 1 MiB.
MAX_METADATA = 16 * 2**20
#: Bytes of one tar member's extended header, and of one read of a zip's directory.
MAX_HEADER, MAX_READ = 2**20, 128 * 2**20
#: Members of one archive at most: the whole of the largest public wheels has 60,000.
MAX_MEMBERS = 500_000
#: What unpacks to more than this and to more than so many times its size is a bomb
#: (the big index draws the line at the same 50).
BOMB_SIZE, BOMB_RATIO = 128 * 2**20, 50

#: Bytes of the record that ends a zip, without its comment (APPNOTE.TXT, 4.3.16).
_ZIP_END = 22

#: Bytes of the path that a symbolic link leads to (PATH_MAX).
_LONGEST_TARGET = 4096

#: Bytes that are unpacked at once to be dropped.
_PIECE = 2**16

#: Core metadata specification, "Metadata-Version": tools "MUST fail" only if the major
#: version is greater than those they know. So next year's build tools work, too.
_KNOWN_METADATA = re.compile(r"[12]\.[0-9]+", re.ASCII)


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
            _refuse("The archive has a member with an overlong header.")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]  # typeshed omits it


class _BoundedReads:
    """A file that refuses to be read by the gigabyte, as a zip's directory would be."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read *size* bytes or to the end, as far as that is not absurd."""
        data = self._file.read(MAX_READ + 1 if size < 0 else min(size, MAX_READ + 1))
        if len(data) > MAX_READ:
            _refuse("The archive's directory is absurdly long.")
        return data


@frozen
class Inspection:
    """What an archive says of itself.

    :ivar name: the project's name as it spells it.
    :ivar metadata: its core metadata as it stands in it; None where the format may
        have none (PEP 658 serves a wheel's; a source distribution's may be dynamic).
    """

    name: str | None
    metadata: bytes | None
    requires_python: str | None = None
    summary: str | None = None


@limited(ARCHIVES)
def inspect(path: str, filename: Filename, size: int) -> Inspection:
    """Check that a file is the archive that its name promises, and read its metadata.

    :param path: where the bytes are.
    :raises BadRequest: it is not; the message says why.
    """
    with open(path, "rb") as file:
        return inspect_file(file, filename, size)


def inspect_file(file: IO[bytes], filename: Filename, size: int) -> Inspection:
    """Do what :func:`inspect` does with a file that is open already."""
    file.seek(0)
    try:
        match filename.kind:
            case FileKind.WHEEL:
                return _understand(_wheel_metadata(file, filename, size), filename)
            case FileKind.SDIST:
                return _understand(_sdist_metadata(file, filename, size), filename)
            case _:
                return _legacy(file, filename, size)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,  # an encrypted member, to zipfile
        ValueError,
        OSError,  # gzip and bz2: not in that format
    ) as e:
        raise BadRequest(
            f"This file cannot be opened as the archive its name promises "
            f"({type(e).__name__}); build it again."
        ) from None


def _zip(file: IO[bytes]) -> zipfile.ZipFile:
    bounded = _BoundedReads(file)
    return zipfile.ZipFile(bounded)


def _wheel_metadata(file: IO[bytes], filename: Filename, size: int) -> bytes:
    with _zip(file) as archive:
        members = _checked_members(archive, size)
        _check_ends(archive, file, size)
        found = [
            member
            for member in members
            if member.filename.endswith(".dist-info/METADATA")
            and member.filename.count("/") == 1
        ]
        if len(found) != 1:
            _refuse(
                f"A wheel has exactly one *.dist-info/METADATA; this one has "
                f"{len(found)}."
            )
        _check_dist_info(found[0].filename.partition("/")[0], filename)
        with archive.open(found[0]) as metadata:
            return _bounded(metadata)


def _check_dist_info(folder: str, filename: Filename) -> None:
    name, _, version = folder.removesuffix(".dist-info").partition("-")
    try:
        matches = (
            canonicalize_name(name) == filename.project
            and Version(version) == filename.version
        )
    except InvalidVersion:
        matches = False
    if not matches:
        _refuse("The wheel's .dist-info folder names another project or version.")


def _sdist_metadata(file: IO[bytes], filename: Filename, size: int) -> bytes | None:
    if filename.text.endswith(".zip"):
        return _zip_sdist_metadata(file, size)
    if filename.text.endswith(".tar.Z"):
        return None  # compress(1): nothing in the standard library reads it
    found: bytes | None = None
    unpacked = members = 0
    links: set[PurePosixPath] = set()
    gzipped = filename.text.endswith((".tar.gz", ".tgz"))
    # tarfile's own "r|gz" takes an archive that is cut short for whole.
    stream = cast(IO[bytes], GzipFile(fileobj=file)) if gzipped else file
    # A stream: memory stays small, and a bomb is noticed before it is unpacked.
    mode: Literal["r|", "r|*"] = "r|" if gzipped else "r|*"
    with tarfile.open(fileobj=stream, mode=mode, tarinfo=_BoundedTarInfo) as archive:
        for member in archive:
            members += 1
            unpacked += member.size
            _check_volume(members, unpacked, size)
            _check_member(member, links)
            if found is None and _is_pkg_info(member.name) and member.isfile():
                content = archive.extractfile(member)
                assert content is not None, "a regular file has content"
                found = _bounded(content)
            # tarfile remembers every member it has seen.
            archive.members = []  # type: ignore[attr-defined]  # typeshed omits it
    while gzipped and (rest := stream.read(_PIECE)):
        # Padding up to the end, where the checksum stands.
        unpacked += len(rest)
        _check_volume(members, unpacked, size)
    return found


def _zip_sdist_metadata(file: IO[bytes], size: int) -> bytes | None:
    with _zip(file) as archive:
        members = _checked_members(archive, size)
        for member in members:
            if _is_pkg_info(member.filename):
                with archive.open(member) as metadata:
                    return _bounded(metadata)
    return None


def _legacy(file: IO[bytes], filename: Filename, size: int) -> Inspection:
    """Open an egg, which keeps its metadata in EGG-INFO; installers have none."""
    if filename.kind is FileKind.EGG:
        with _zip(file) as archive:
            members = _checked_members(archive, size)
            for member in members:
                if member.filename == "EGG-INFO/PKG-INFO":
                    with archive.open(member) as metadata:
                        return _understand(_bounded(metadata), filename)
    return Inspection(None, None)


def _is_pkg_info(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[1] == "PKG-INFO"


def _checked_members(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    unpacked = 0
    seen: set[str] = set()
    links: set[PurePosixPath] = set()
    members = archive.infolist()
    for count, member in enumerate(members, 1):
        unpacked += member.file_size
        _check_volume(count, unpacked, size)
        # orig_filename is what stands in the archive: zipfile cuts at NUL.
        _check_path(member.orig_filename)
        _check_way(member.filename, links)
        if S_ISLNK(member.external_attr >> 16):
            _check_link(member.filename, _target(archive, member), links)
        if member.filename in seen and not member.is_dir():
            _refuse("The archive holds two members of one name.")
        seen.add(member.filename)
    return members


def _check_ends(archive: zipfile.ZipFile, file: IO[bytes], size: int) -> None:
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
        _refuse("There are bytes before or behind the archive; build the wheel again.")
    # 0xFFFF: more than that, or told in the record of ZIP64 (APPNOTE.TXT, 4.4.1.4).
    counts = set(unpack_from("<HH", end, 8)) - {0xFFFF}
    if counts - {len(members)}:
        _refuse("The archive's end tells of another number of members than it lists.")


def _target(archive: zipfile.ZipFile, link: zipfile.ZipInfo) -> str:
    """Read where a symbolic link leads: in a zip that is its content."""
    with archive.open(link) as content:
        target = content.read(_LONGEST_TARGET + 1)
    try:
        text = target.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or len(target) > _LONGEST_TARGET:
        _refuse("A symbolic link in the archive leads to what is no path.")
    return text


def _check_member(member: tarfile.TarInfo, links: set[PurePosixPath]) -> None:
    _check_path(member.name)
    _check_way(member.name, links)
    if member.isdev():
        _refuse("The archive holds a device or a pipe.")
    if member.issym():
        _check_link(member.name, member.linkname, links)
    elif member.islnk():
        _check_path(member.linkname)
        _check_way(member.linkname, links)


def _check_link(name: str, target: str, links: set[PurePosixPath]) -> None:
    """Check a symbolic link, and remember it."""
    path = PurePosixPath(name)
    _check_path(str(path.parent / target), True)
    links.add(path)


def _check_way(name: str, links: set[PurePosixPath]) -> None:
    """Refuse what would be unpacked through a link: its ".." goes up from elsewhere."""
    if links:
        path = PurePosixPath(name)
        if path in links or not links.isdisjoint(path.parents):
            _refuse("A path in the archive leads through a symbolic link.")


def _check_path(name: str, resolve: bool = False) -> None:
    """Refuse what would be unpacked outside of the folder it is unpacked in."""
    path = PurePosixPath(name.replace("\\", "/"))
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if part == ".." and (not resolve or depth < 0):
            _refuse("A path in the archive leads out of it ('..').")
    if path.is_absolute() or "\0" in name or (len(name) > 1 and name[1] == ":"):
        _refuse("A path in the archive is absolute.")


def _check_volume(members: int, unpacked: int, size: int) -> None:
    if members > MAX_MEMBERS:
        _refuse(f"The archive has more than {MAX_MEMBERS} members.")
    if unpacked > BOMB_SIZE and unpacked > BOMB_RATIO * size:
        _refuse(
            f"The archive unpacks to more than {BOMB_RATIO} times its size; it is "
            "taken for an archive bomb."
        )


def _bounded(file: IO[bytes]) -> bytes:
    data = file.read(MAX_METADATA + 1)
    if len(data) > MAX_METADATA:
        _refuse(f"The core metadata is longer than {MAX_METADATA // 2**20} MiB.")
    return data


def _understand(metadata: bytes | None, filename: Filename) -> Inspection:
    if metadata is None:
        return Inspection(None, None)
    fields = parse_core_metadata(metadata)
    _check_metadata(fields, filename)
    return Inspection(
        fields["name"],
        metadata if filename.kind is FileKind.WHEEL else None,
        fields.get("requires_python"),
        fields.get("summary"),
    )


def parse_core_metadata(metadata: bytes) -> RawMetadata:
    """Read core metadata of any version, leniently: only what is used is checked.

    :raises BadRequest: it is not even in that format.
    """
    try:
        fields, _ = parse_email(metadata)
    except (ValueError, MessageError, LookupError):
        raise BadRequest("The file's core metadata cannot be parsed.") from None
    return fields


def _check_metadata(fields: RawMetadata, filename: Filename) -> None:
    if _KNOWN_METADATA.fullmatch(fields.get("metadata_version", "")) is None:
        _refuse(
            "The core metadata's version is missing or unknown here "
            "(1.0 to 2.5, and later ones of 2, are known)."
        )
    if canonicalize_name(fields.get("name", "")) != filename.project:
        _refuse("The core metadata's Name is not the project that the filename says.")
    try:
        agrees = Version(fields.get("version", "")) == filename.version
    except InvalidVersion:
        agrees = False
    if not agrees:
        _refuse("The core metadata's Version is not the one that the filename says.")


def _refuse(message: str) -> NoReturn:
    raise BadRequest(message)
