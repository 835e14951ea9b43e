"""Files below a folder of somebody else's: listed and read, never written.

Nothing below the folder is reached by a symbolic link. A link that a listing finds is
followed once, on paper: where it leads to a file of the same folder, that file is
opened by its own name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from pypicloud_tw.concurrency.serial import SerialQueue
from pypicloud_tw.errors import (
    NotFound,
    ObjectNotFound,
    PayloadTooLarge,
    StoreError,
    UpstreamError,
)
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.folder.tree import Folder
from pypicloud_tw.store.folder.walk import walk
from pypicloud_tw.store.folder.walker import object_info
from pypicloud_tw.store.interfaces import ObjectInfo, Unlisted
from pypicloud_tw.store.keys import key_segments

P = ParamSpec("P")
T = TypeVar("T")

#: Bytes that are read at once.
PIECE = 256 * 1024

#: Files that are remembered: a thousand for each of a thousand projects, in 300 MB.
MOST = 1_000_000


@define(eq=False)
class DiskBody:
    """See :class:`.source.Body`: a file of which every byte must come, as it was."""

    length: int
    modified: datetime | None
    _name: str
    _offload: IOffload = field(repr=False)
    _file: BinaryIO = field(repr=False)
    _opened: os.stat_result = field(repr=False)
    _at: int = field(default=0, init=False)
    # A file must not be closed while a thread reads it: its number may be another's.
    _queue: SerialQueue = field(factory=SerialQueue, init=False, repr=False)

    async def read(self) -> bytes:
        """See :class:`.source.Body`."""
        if self._at == self.length:
            return b""
        try:
            piece = await self._queue.run(self._read)
        except OSError as e:
            raise UpstreamError(
                f"{self._name!r} cannot be read: {os.strerror(e.errno or 0)}."
            ) from e
        if piece is None:
            raise UpstreamError(f"{self._name!r} was changed while it was read.")
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """See :class:`.source.Body`."""
        if not self._file.closed:
            closed = self._queue.run(lambda: self._offload.in_thread(self._file.close))
            # No threads any more: the command ends.
            closed.addErrback(lambda _: self._file.close())

    def _read(self) -> Deferred[bytes | None]:
        return self._offload.in_thread(self._piece)

    def _piece(self) -> bytes | None:
        """Return the next bytes; None: they may be of another state than those before.

        Who copies a file over another writes into it while it is read.
        """
        descriptor = self._file.fileno()
        piece = os.pread(descriptor, min(PIECE, self.length - self._at), self._at)
        is_last = self._at + len(piece) == self.length
        if is_last and _state(os.fstat(descriptor)) != _state(self._opened):
            return None
        return piece or None


@frozen
class Behind:
    """What a symbolic link leads to.

    :ivar file: a file of the same folder.
    :ivar folder: it is a folder within the same folder.
    """

    file: ObjectInfo | None = None
    folder: bool = False


@frozen
class Disk:
    """The files below a folder.

    :ivar path: the folder, which itself may be a link.
    """

    path: Path
    offload: IOffload = field(repr=False)

    async def files(
        self,
        prefix: str = "",
        unlisted: Callable[[Unlisted], None] | None = None,
        most: int = MOST,
    ) -> AsyncIterator[ObjectInfo]:
        """List the files, in order.

        :param prefix: see :func:`.walk.walk`, as *unlisted*.
        :param most: how many they may be.
        :raises UpstreamError: a folder cannot be read, or there are too many files.
        """
        count = 0
        try:
            async for info in walk(self._folder, self.offload, prefix, "", unlisted):
                count += 1
                if count > most:
                    raise UpstreamError(
                        f"The folder {self.path} has more than {most:,} files: import "
                        "the folders in it one by one, or of a mirror single projects "
                        "by their names (--project NAME)."
                    )
                yield info
        except StoreError as e:
            raise self._unreadable(e) from e

    async def behind(self, key: str) -> Behind:
        """Return what is behind a link."""
        return await self._thread(_behind, self.path, key)

    async def has_folders(self, *keys: str) -> bool:
        """Return whether each of these is a folder; nothing is listed."""
        return await self._thread(_are_folders, self.path, keys)

    async def open(self, key: str) -> DiskBody:
        """Open a file.

        :raises NotFound: it is not there.
        :raises UpstreamError: it cannot be read.
        """
        try:
            file, state = await self._thread(self._folder.open, key)
        except ObjectNotFound:
            raise NotFound(f"There is no file {key!r} in {self.path}.") from None
        except StoreError as e:
            raise UpstreamError(
                f"The file {key!r} in {self.path} cannot be read: {_why(e)}."
            ) from e
        modified = _instant(state.st_mtime)
        return DiskBody(state.st_size, modified, key, self.offload, file, state)

    async def read(self, key: str, limit: int) -> bytes:
        """Read a file whole.

        :raises NotFound: it is not there.
        :raises PayloadTooLarge: it has more than *limit* bytes.
        :raises UpstreamError: it cannot be read.
        """
        body = await self.open(key)
        try:
            if body.length > limit:
                raise PayloadTooLarge(
                    f"The file {key!r} in {self.path} has more than {limit:,} bytes."
                )
            pieces = []
            while piece := await body.read():
                pieces.append(piece)
        finally:
            body.close()
        return b"".join(pieces)

    @property
    def _folder(self) -> Folder:
        return Folder.again((self.path.absolute(), None))

    def _unreadable(self, error: StoreError) -> UpstreamError:
        return UpstreamError(f"The folder {self.path} cannot be read: {_why(error)}.")

    async def _thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            return await self.offload.in_thread(partial(function, *args, **kwargs))
        except OSError as e:
            why = os.strerror(e.errno or 0)
            raise UpstreamError(f"{self.path} cannot be read: {why}.") from e


def _state(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


def _behind(folder: Path, key: str) -> Behind:
    root = os.path.realpath(folder)
    real = os.path.realpath(folder / key)
    if not real.startswith(f"{root.rstrip('/')}/"):
        return Behind()
    inner = os.path.relpath(real, root)
    try:
        state = os.stat(real)
        key_segments(inner)
    except (OSError, StoreError):
        return Behind()
    if stat.S_ISDIR(state.st_mode):
        return Behind(folder=True)
    return Behind(object_info(inner, state) if stat.S_ISREG(state.st_mode) else None)


def _are_folders(folder: Path, keys: tuple[str, ...]) -> bool:
    return all((folder / key).is_dir() for key in keys)


def _why(error: StoreError) -> str:
    """Say what the operating system said, for the store's words are about a store."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)
    return error.message.rstrip(".")


def _instant(seconds: float) -> datetime | None:
    """Return a file's time of change; it may be one beyond any date."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
