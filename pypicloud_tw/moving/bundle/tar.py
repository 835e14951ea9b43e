"""The tar of a bundle: its index, then its members, and nothing else; all of it blocks.

Equal contents are equal bytes: every field of a header is fixed but name and size. So
a reader knows each header before it reads it, and whatever else a tar can have (links,
devices, paths, sparse files, a name twice) is not understood, but refused.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tarfile
from contextlib import suppress
from hashlib import file_digest, sha256
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from attrs import define, field, frozen

from pypicloud_tw.errors import BadRequest, Conflict, StoreError
from pypicloud_tw.json_values import to_bytes
from pypicloud_tw.moving.bundle.values import BundleIndex, Member, read_index
from pypicloud_tw.moving.source import DamagedSource

#: The name of the first member.
HEAD = "bundle.json"

#: Bytes of an index: one of 100,000 files has 25 MB. A factor of 20.
MAX_INDEX = 512 * 2**20

#: Bytes of a member, which a header of ustar can tell.
MAX_MEMBER = 8 * 2**30 - 1

#: What helps where a bundle is damaged.
_AGAIN = "Carry it here once more, or make it anew."

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)


@frozen
class OpenedBundle:
    """A bundle that is whole, by its length and all headers.

    :ivar places: where in the tar each member's bytes begin, by its digest.
    """

    path: Path
    index: BundleIndex = field(repr=False)
    places: dict[str, tuple[int, int]] = field(repr=False)

    def read(self, sha256: str, offset: int, size: int) -> bytes:
        """Read bytes of a member.

        :raises DamagedSource: the disk fails, or the file was cut short meanwhile.
        """
        start, length = self.places[sha256]
        wanted = min(size, length - offset)
        try:
            with _open(self.path) as file:
                data = os.pread(file.fileno(), wanted, start + offset)
        except OSError as e:
            raise DamagedSource(f"{self.path}: {e.strerror or e}.") from None
        if len(data) < wanted:
            raise DamagedSource(f"{self.path} was cut short while it was read.")
        return data


def header(name: str, size: int) -> bytes:
    """Make the header of a member."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def padding(size: int) -> bytes:
    """Return what fills the last block of a member."""
    return bytes(-size % _BLOCK)


def is_bundle(path: Path) -> bool:
    """Return whether a file begins as a bundle does."""
    try:
        with _open(path) as file:
            return file.read(_BLOCK).startswith(HEAD.encode() + b"\0")
    except (OSError, BadRequest):
        return False


def _open(path: Path) -> BufferedReader:
    """Open a file to be read.

    :raises BadRequest: it is something else, which might let its reader wait for ever.
    :raises OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadRequest(f"{path} is no file.")
    return open(descriptor, "rb")  # it is handed out


def open_bundle(path: Path) -> OpenedBundle:
    """Look through a bundle, without the bytes of its members.

    :raises BadRequest: it is none, is cut short, or has anything else in it.
    """
    try:
        with _open(path) as file:
            return _look_through(path, file)
    except OSError as e:
        raise BadRequest(f"{path}: {e.strerror or e}.") from None


def _look_through(path: Path, file: BinaryIO) -> OpenedBundle:
    index, size = _read_head(path, file)
    whole = file.seek(0, os.SEEK_END)
    at = _BLOCK + _rounded(size)
    expected = at + sum(_BLOCK + _rounded(m.size) for m in index.members) + len(_END)
    if whole != expected:
        what = "cut short" if whole < expected else "longer than it says"
        raise BadRequest(
            f"{path} is {what}: it has {whole} bytes, not {expected}. {_AGAIN}"
        )
    _expect(path, file, _BLOCK + size, padding(size))
    places = {}
    for member in index.members:
        _expect(path, file, at, header(member.name, member.size))
        places[member.sha256] = at + _BLOCK, member.size
        at += _BLOCK + member.size
        _expect(path, file, at, padding(member.size))
        at += len(padding(member.size))
    _expect(path, file, at, _END)
    return OpenedBundle(path, index, places)


def _read_head(path: Path, file: BinaryIO) -> tuple[BundleIndex, int]:
    block = file.read(_BLOCK)
    try:
        size = tarfile.TarInfo.frombuf(block, "ascii", "strict").size
    except tarfile.HeaderError:
        raise BadRequest(f"{path} is no bundle: it is no tar.") from None
    if not 0 <= size <= MAX_INDEX or block != header(HEAD, size):
        raise BadRequest(f"{path} is no bundle: it does not begin with {HEAD}.")
    data = file.read(size)
    if len(data) < size:
        raise BadRequest(f"{path} is cut short. {_AGAIN}")
    index = read_index(data, str(path))
    if to_bytes(index) != data:
        raise BadRequest(f"{path} is no bundle: its index is not as it is written.")
    return index, size


def _expect(path: Path, file: BinaryIO, at: int, data: bytes) -> None:
    if os.pread(file.fileno(), len(data), at) != data:
        raise BadRequest(
            f"{path} has something else at byte {at} than its index tells. {_AGAIN}"
        )


def _rounded(size: int) -> int:
    return size + len(padding(size))


def check_digest(path: Path, expected: str) -> None:
    """Return if a file as a whole has a digest.

    :raises BadRequest: it has another, or cannot be read.
    """
    try:
        with _open(path) as file:
            found = file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise BadRequest(f"{path}: {e.strerror or e}.") from None
    if found != expected.lower():
        raise BadRequest(
            f"{path} has the SHA-256 {found}, not {expected}: the digest is another "
            "file's, or this one was damaged on its way. Nothing was taken."
        )


def read_list(path: Path) -> BundleIndex:
    """Read the index of an earlier bundle: out of it, or from the file beside it.

    :raises BadRequest: it is neither, or cannot be read.
    """
    try:
        with _open(path) as file:
            if file.read(1) != b"{":
                file.seek(0)
                return _read_head(path, file)[0]
            data = b"{" + file.read(MAX_INDEX)
    except OSError as e:
        raise BadRequest(f"{path}: {e.strerror or e}.") from None
    return read_index(data, str(path))


@define
class Draft:
    """A file that is being written; it is in its place when it is whole.

    One process at a time writes it. What one that was killed has left is overwritten,
    for it may be large; so no process's number is in its name, which in a container is
    the same each time.

    :ivar size: bytes so far.
    """

    path: Path
    _draft: Path
    _file: BinaryIO
    size: int = field(default=0, init=False)
    _whole: Any = field(factory=sha256, init=False, repr=False)

    @classmethod
    def create(cls, path: Path) -> Draft:
        """Begin.

        :raises Conflict: another process writes it.
        :raises StoreError: it cannot be written there.
        """
        draft = path.with_name(f".{path.name}.draft")
        try:
            file = _lock(draft)
            while file is None:
                file = _lock(draft)
        except BlockingIOError:
            raise Conflict(f"{path} is being written by another command.") from None
        except OSError as e:
            raise StoreError(f"{draft}: {e.strerror or e}.") from None
        return cls(path, draft, file)

    def write(self, data: bytes) -> None:
        """Write bytes.

        :raises StoreError: the disk is full, or fails.
        """
        try:
            self._file.write(data)
        except OSError as e:
            raise StoreError(f"{self._draft}: {e.strerror or e}.") from None
        self._whole.update(data)
        self.size += len(data)

    def begin(self, member: Member) -> None:
        """Write the header of a member."""
        self.write(header(member.name, member.size))

    def pad(self, member: Member) -> None:
        """Fill the last block of a member."""
        self.write(padding(member.size))

    def head(self, index: BundleIndex) -> None:
        """Write the index.

        :raises BadRequest: it is too long.
        """
        data = to_bytes(index)
        if len(data) > MAX_INDEX:
            raise BadRequest(
                f"The list of all that is in it would have {len(data)} bytes; bundle "
                "fewer projects at a time (--project)."
            )
        self.write(header(HEAD, len(data)) + data + padding(len(data)))

    def place(self) -> str:
        """End the tar, put it into its place, and return its SHA-256.

        :raises StoreError: see :meth:`settle`.
        """
        self.write(_END)
        self.settle()
        return str(self._whole.hexdigest())

    def settle(self) -> None:
        """Put it into its place, durably.

        :raises StoreError: the disk is full, or fails.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            os.replace(self._draft, self.path)
            self._file.close()
            _sync_folder(self.path.parent)
        except OSError as e:
            raise StoreError(f"{self.path}: {e.strerror or e}.") from None

    def abandon(self) -> None:
        """Leave nothing; harmless when it is in its place."""
        if self._file.closed:
            return  # a draft that is there now is another's
        with suppress(OSError):
            self._draft.unlink()
        with suppress(OSError):
            self._file.close()


def _lock(draft: Path) -> BinaryIO | None:
    """Open a draft for this process alone; None: another's has become a whole file.

    :raises BlockingIOError: another process has it.
    :raises OSError: it cannot be written there.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    file = open(os.open(draft, flags, 0o666), "wb")  # noqa: SIM115  # it is handed out
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), os.lstat(draft)):
            file.truncate()
            return file
    except FileNotFoundError:
        pass
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def save_list(path: Path, index: BundleIndex) -> None:
    """Keep the index of a bundle beside it, whole and durable.

    :raises Conflict: another process writes it.
    :raises StoreError: it cannot be written.
    """
    draft = Draft.create(path)
    try:
        draft.write(to_bytes(index))
        draft.settle()
    finally:
        draft.abandon()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
