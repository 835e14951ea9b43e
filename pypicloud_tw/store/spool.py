"""The bytes of one upload in a seekable file, with their digest.

The sender's pace is the disk's: :meth:`Spool.write` returns when more is welcome. Small
writes are gathered, so that a sender of one byte a packet costs no thread hop each, and
a hop does all that the bytes need: writing and hashing, both without the GIL.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from hashlib import blake2b, md5, sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, ParamSpec, Protocol, TypeVar

from attrs import define, field, frozen

from pypicloud_tw.concurrency.serial import SerialQueue
from pypicloud_tw.errors import InsufficientStorage, PypicloudError, StoreError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.no_room import NO_ROOM

P = ParamSpec("P")
T = TypeVar("T")

#: Bytes that are gathered before a thread is asked to write them, and what each upload
#: may hold in memory: at first, and at most, where that is a 64th of what has come. To
#: go there and back takes as long as hashing 256 KiB.
GATHER, MOST_GATHERED = 256 * 1024, 1024 * 1024

#: What is told of bytes; they may be changed when it has returned.
TakesBytes = Callable[[bytes | bytearray], None]


#: Bytes that one hop reads and hashes where a file is read again.
_READ_AGAIN = 2**20


@frozen
class Digests:
    """What the bytes hash to; lower-case hexadecimal.

    :ivar md5: None where nobody asked for it, as is BLAKE2b: see
        :meth:`Spool.more_digests`.
    """

    sha256: str
    md5: str | None = None
    blake2b_256: str | None = None


class _Hash(Protocol):
    """What hashlib's objects have in common."""

    def update(self, data: bytes | bytearray, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far."""


@define(eq=False)
class Spool:
    """A seekable file that grows, its size, and its SHA-256.

    One write at a time is at work; those that are not awaited are queued.

    :ivar file: opened to read and write in binary. To be read only after
        :meth:`finish`, and only in a thread or another process.
    :ivar size: bytes taken so far.
    :ivar stored: bytes of these that are in the file; the rest is gathered.
    :ivar _also: told all bytes in their order, in a thread, when they are in the file.
    """

    file: BinaryIO
    offload: IOffload = field(repr=False)
    size: int = field(default=0, init=False)
    stored: int = field(default=0, init=False)
    _path: Path | None = field(default=None, kw_only=True)
    _also: TakesBytes | None = field(default=None, kw_only=True, repr=False)
    _gathered: bytearray = field(factory=bytearray, init=False, repr=False)
    _sha256: _Hash = field(factory=sha256, init=False, repr=False)
    _digests: Digests | None = field(default=None, init=False)
    _error: PypicloudError | None = field(default=None, init=False)
    _line: SerialQueue = field(factory=SerialQueue, init=False, repr=False)

    @classmethod
    async def temporary(
        cls,
        offload: IOffload,
        *,
        folder: Path | None = None,
        size_hint: int | None = None,
        also: TakesBytes | None = None,
    ) -> Spool:
        """Begin in an unlinked temporary file, which vanishes with the process.

        :param folder: where; None is the system's folder for temporary files.
        :param size_hint: bytes that are to come, if that is known.
        :param also: told all bytes in their order, in a thread.
        :raises InsufficientStorage: they would not fit.
        :raises StoreError: no temporary file can be made there.
        """
        file = await offload.in_thread(_open_temporary, folder, size_hint)
        return cls(file, offload, also=also)

    @property
    def digests(self) -> Digests:
        """What is known of all bytes, once :meth:`finish` has returned."""
        if self._digests is None:
            raise RuntimeError("A spool has digests after finish().")
        return self._digests

    @property
    def path(self) -> Path | None:
        """Where another process of this user can open the bytes, while we hold them.

        An unlinked file is reached through ``/proc`` where there is one, else not.
        """
        if self._path is not None or isinstance(self.file, BytesIO):
            return self._path
        path = Path(f"/proc/{os.getpid()}/fd/{self.file.fileno()}")
        return path if path.exists() else None

    @property
    def whole(self) -> bytes | None:
        """All bytes, once :meth:`finish` has returned, if they are in memory."""
        if self._digests is None or not isinstance(self.file, BytesIO):
            return None
        return self.file.getvalue()

    async def write(self, data: bytes) -> None:
        """Take more bytes; returns when the sender may go on.

        :raises InsufficientStorage: there is no room for them, now and from now on.
        :raises StoreError: the file system failed, now and from now on.
        """
        if self._digests is not None:
            raise RuntimeError("This spool is finished.")
        if self._error is not None:
            raise self._error
        self.size += len(data)
        enough = min(max(GATHER, self.size // 64), MOST_GATHERED)
        if not self._gathered and len(data) >= enough:
            await self._hop(self._append, data)
            return
        self._gathered += data
        if len(self._gathered) >= enough:
            await self._flush()

    async def finish(self) -> Digests:
        """Bring every byte into the file and fix its SHA-256.

        It is not made durable: that belongs to whoever gives the file a name.
        """
        if self._digests is None:
            await self._flush()
            self._digests = Digests(self._sha256.hexdigest())
        return self._digests

    async def more_digests(self) -> Digests:
        """Work out MD5 and BLAKE2b, too, once :meth:`finish` has returned.

        They take four times as long as SHA-256 where the processor knows that, and
        few need them: so the bytes are read again.
        """
        # A sender's checksum to compare with, not a defence: hence allowed under FIPS.
        hashes = md5(usedforsecurity=False), blake2b(digest_size=32)
        for offset in range(0, self.size, _READ_AGAIN):
            await self._hop(_hash_at, self.file, offset, hashes)
        self._digests = Digests(
            self.digests.sha256, hashes[0].hexdigest(), hashes[1].hexdigest()
        )
        return self._digests

    async def read_at(self, offset: int, size: int) -> bytes:
        """Read again what was taken: fewer bytes than *size* only at its end."""
        await self.reach(offset + size)
        return await self._hop(_read_at, self.file, offset, size)

    async def reach(self, offset: int) -> None:
        """Return when the bytes up to there are in the file, if they have come."""
        if offset > self.stored:
            await self._flush()

    async def close(self) -> None:
        """Let go of the file, after what is at work in it. Harmless when repeated."""
        self._gathered = bytearray()
        self._error = self._error or StoreError("The upload was given up.")
        await self._hop(self.file.close)

    async def _flush(self) -> None:
        """Write what is gathered; what comes meanwhile gathers anew, in order."""
        gathered, self._gathered = self._gathered, bytearray()
        await self._hop(self._append, gathered)

    async def _hop(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do it in a thread, after what was asked for before."""
        return await self._line.run(
            lambda: self.offload.in_thread(function, *args, **kwargs)
        )

    def _append(self, data: bytes | bytearray) -> None:
        """Write and hash, in a thread."""
        if self._error is not None:
            raise self._error
        try:
            # Whoever read from the file has moved its position.
            self.file.seek(self.stored)
            self.file.write(data)
            self.file.flush()
        except OSError as e:
            self._error = spool_error(e)
            raise self._error from e
        self._sha256.update(data)
        if self._also is not None:
            self._also(data)
        self.stored += len(data)


def spool_error(error: OSError) -> PypicloudError:
    """Say what an operating system's error in writing an upload means."""
    if error.errno in NO_ROOM:
        return InsufficientStorage(
            "The server has no room for this file. Its operator can free space on the "
            "disk that takes uploads (storage.temp_dir; of a folder store storage.dir)."
        )
    return StoreError(f"The server cannot keep this upload: {error.strerror}.")


def check_room(folder: str | Path | int, size_hint: int | None) -> None:
    """Refuse bytes that would not fit, by the free space that users may fill.

    :param folder: on the file system in question; a path or a descriptor.
    :raises OSError: *size_hint* bytes would not fit (ENOSPC), or worse.
    """
    if size_hint is None:
        return
    state = os.statvfs(folder)
    # A file system that counts no blocks (some network ones) tells nothing.
    if state.f_blocks and size_hint > state.f_bavail * state.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _open_temporary(folder: Path | None, size_hint: int | None) -> BinaryIO:
    try:
        # Open as long as the spool, which closes it.
        file = TemporaryFile(dir=folder)  # noqa: SIM115
    except OSError as e:
        raise StoreError(
            f"The server cannot make temporary files ({e.strerror}): storage.temp_dir "
            "must name a folder in which it may write."
        ) from e
    try:
        check_room(file.fileno(), size_hint)
    except OSError as e:
        file.close()
        raise spool_error(e) from e
    return file


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    if isinstance(file, BytesIO):
        return bytes(file.getbuffer()[offset : offset + size])
    if file.closed:
        raise StoreError("The upload was given up.")
    pieces = []
    while size:
        piece = os.pread(file.fileno(), size, offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    return b"".join(pieces)


def _hash_at(file: BinaryIO, offset: int, hashes: Iterable[_Hash]) -> None:
    data = _read_at(file, offset, _READ_AGAIN)
    for one in hashes:
        one.update(data)
