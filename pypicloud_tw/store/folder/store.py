"""The store in a folder: every object is a file under its key.

What lies in the folder already is an object too, unless its name is not UTF-8, or it
is a symbolic link (never followed, wherever it leads), a pipe or the like. The file
system must be a case-sensitive one of POSIX, with locks (flock). Neither content types
nor user metadata are kept: the manifests hold all that matters.

========================  ===========================================================
``.tmp/{id}/``            a process's files on their way, see :mod:`.scratch`
``.locks/{00-ff}``        locks that guard the changes of an object, never removed
everything else           objects
========================  ===========================================================
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from pypicloud_tw.concurrency.serial import SerialQueue
from pypicloud_tw.errors import ObjectUnfit, RangeNotSatisfiable, StoreError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.checkpoints import Checkpoint, pass_by
from pypicloud_tw.store.folder.download import SMALL, DirectoryDownload
from pypicloud_tw.store.folder.explain import explained
from pypicloud_tw.store.folder.locks import stripe
from pypicloud_tw.store.folder.placing import FolderPlacer
from pypicloud_tw.store.folder.scratch import Draft, Scratch, sweep
from pypicloud_tw.store.folder.tree import Folder, etag
from pypicloud_tw.store.folder.upload import DirectoryUpload, SmallUpload
from pypicloud_tw.store.folder.walk import SHORT, walk
from pypicloud_tw.store.folder.walker import object_info
from pypicloud_tw.store.folder.writing import BYTES, GroupWriter, Write
from pypicloud_tw.store.interfaces import (
    ByteRange,
    Condition,
    IDownload,
    IObjectStore,
    IUpload,
    ObjectInfo,
    StoredBytes,
    StoreKind,
    Unlisted,
    enter,
)
from pypicloud_tw.store.keys import key_segments
from pypicloud_tw.store.spool import Spool, check_room
from pypicloud_tw.store.streamed_copy import streamed_copy

P = ParamSpec("P")
T = TypeVar("T")

#: Times that a small object is read again because somebody wrote into its file.
READS = 3


def _absolute(path: Path) -> Path:
    """Keep the folder where it is, should the process change its own."""
    return path.absolute()


@implementer(IObjectStore)
@define(eq=False)
class DirectoryStore:
    """Objects in *path*. Several processes may use one folder at the same time.

    Call :meth:`prepare` before anything else and :meth:`close` after everything.

    :param clock: seconds since 1970.
    :param short: see :func:`.walk.walk`.
    :param checkpoint: for tests that end a process between two steps; called in the
        working thread with the name of the step that was just done:

        ``object:written``
            its bytes are in a file below ``.tmp``;
        ``object:synced``
            ... and durable;
        ``folder:made``
            a folder on the way to its place is there, durably;
        ``object:linked``
            it is visible under its key, new or in place of the one before;
        ``folder:synced``
            ... durably; what is left is to answer;
        ``object:unlinked``
            a deleted object's name is gone.
    """

    path: Path = field(converter=_absolute)
    offload: IOffload = field(repr=False)
    _clock: Callable[[], float] = field(default=time.time, kw_only=True)
    _checkpoint: Checkpoint = field(default=pass_by, kw_only=True, repr=False)
    _short: int = field(default=SHORT, kw_only=True, repr=False)
    _folder: Folder = field(init=False, repr=False)
    _writer: GroupWriter = field(init=False, repr=False)
    _scratch: Scratch | None = field(default=None, init=False, repr=False)
    _queues: dict[int, SerialQueue] = field(factory=dict, init=False, repr=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._folder = Folder(self.path, self._clock, self._checkpoint)
        self._writer = GroupWriter(self._folder, self._draft, self.offload)

    @property
    def kind(self) -> StoreKind:
        """See :class:`~pypicloud_tw.index.index.Backend`."""
        return "folder"

    @property
    def one_writer(self) -> bool:
        """Whether only one process may write; the kernel orders all of this machine."""
        return False

    async def prepare(self) -> None:
        """Create the folder, remove what dead processes left, and begin."""
        if self._scratch is None:
            self._scratch = await self._thread(self._begin)

    async def close(self) -> None:
        """Remove our temporary files; nothing can be written any more."""
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            await self._thread(scratch.release)

    async def ping(self) -> None:
        """See :class:`IObjectStore`; it must be possible to write, too."""
        await self._thread(self._folder.ping)

    async def get(
        self, key: str, *, unless: str | None = None, limit: int = 64 * 2**20
    ) -> StoredBytes | None:
        """See :class:`IObjectStore`."""
        return await self._thread(self._get, key, unless, limit)

    async def head(self, key: str) -> ObjectInfo:
        """See :class:`IObjectStore`."""
        return await self._thread(self._head, key)

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        condition: Condition = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> ObjectInfo:
        """See :class:`IObjectStore`."""
        key_segments(key)
        with explained(self.path):
            if len(data) > BYTES:
                return await self._in_line(key, self._put, key, data, condition)
            return await self._writer.write(Write(key, data, condition, durable))

    async def begin(
        self,
        key: str,
        *,
        size_hint: int | None = None,
        small: bool = False,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> IUpload:
        """See :class:`IObjectStore`."""
        key_segments(key)
        if small:
            return SmallUpload(key, self)
        draft = await self._thread(self._draft, size_hint)
        spool = Spool(draft.file, self.offload, path=draft.path)
        queue = self._queue(key)
        return DirectoryUpload(key, spool, draft, self._folder, self.offload, queue)

    def placer(self, key: str) -> FolderPlacer:
        """Make what places the folder of a key that nobody else uses.

        :raises StoreError: the store is closed.
        """
        scratch, above = self._open_scratch(), key_segments(key)[:-2]
        return FolderPlacer(
            self._folder.beside,
            scratch.free_name(),
            key.rpartition("/")[0],
            self._folder.known_durable(above),
            scratch.free_name(),
            self._clock(),
        )

    def placed(self, key: str, receipt: object) -> None:
        """Learn what a placer of that key has told."""
        if isinstance(receipt, int):
            self._folder.learn_durable(key_segments(key)[:-2], receipt)

    async def abandon_uploads(self, before: datetime, *, dry_run: bool = False) -> int:
        """See :class:`IObjectStore`; the start removes what broke off."""
        return 0

    async def open(self, key: str, *, byte_range: ByteRange | None = None) -> IDownload:
        """See :class:`IObjectStore`."""
        return await self._thread(self._open, key, byte_range)

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """See :class:`IObjectStore`: by a hard link, where the file system has those.

        A link keeps the time of the file.
        """
        key_segments(target)
        state = await self._in_line(target, self._folder.link, source, target)
        if state is None:
            return await streamed_copy(self, source, target)
        return object_info(target, state)

    async def delete(self, key: str) -> None:
        """See :class:`IObjectStore`."""
        key_segments(key)
        await self._in_line(key, self._folder.delete, key)

    def list(
        self,
        prefix: str,
        *,
        after: str = "",
        unlisted: Callable[[Unlisted], None] | None = None,
        skip: Callable[[str], bool] = enter,
    ) -> AsyncIterator[ObjectInfo]:
        """See :class:`IObjectStore`."""
        return walk(
            self._folder, self.offload, prefix, after, unlisted, skip, self._short
        )

    def url(self, key: str, *, filename: str) -> None:
        """Return None: only this server serves the object."""

    async def _thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with explained(self.path):
            return await self.offload.in_thread(function, *args, **kwargs)

    async def _in_line(
        self, key: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do it when this process does nothing else under that lock.

        So at most one thread for each lock waits for other processes.
        """
        with explained(self.path):
            return await self._queue(key).run(
                lambda: self.offload.in_thread(function, *args, **kwargs)
            )

    def _queue(self, key: str) -> SerialQueue:
        return self._queues.setdefault(stripe(key), SerialQueue())

    def _begin(self) -> Scratch:
        self._folder.prepare()
        for left in sweep(self.path / ".tmp"):
            self._log.warn(
                "Another user's files are left, remove them: {path}", path=left
            )
        return Scratch.claim(self.path / ".tmp")

    def _draft(self, size_hint: int | None = None) -> Draft:
        scratch = self._open_scratch()
        check_room(scratch.path, size_hint)
        return scratch.draft()

    def _open_scratch(self) -> Scratch:
        if self._scratch is None:
            raise StoreError("The store is closed: the server starts or stops.")
        return self._scratch

    def _get(self, key: str, unless: str | None, limit: int) -> StoredBytes | None:
        for _ in range(READS):
            file, state = self._folder.open(key)
            with file:
                if etag(state) == unless:
                    return None
                if state.st_size > limit:
                    raise ObjectUnfit(
                        f"An object of {state.st_size} bytes lies where at most "
                        f"{limit} are expected."
                    )
                data = file.read(state.st_size + 1)
                now = os.fstat(file.fileno())
                if len(data) == state.st_size and etag(now) == etag(state):
                    return StoredBytes(object_info(key, state), data)
        raise StoreError("An object changes while it is read; nothing may write there.")

    def _head(self, key: str) -> ObjectInfo:
        file, state = self._folder.open(key)
        file.close()
        return object_info(key, state)

    def _put(self, key: str, data: bytes, condition: Condition) -> ObjectInfo:
        if condition is not None:
            self._folder.check(key, condition)
        return object_info(key, self._folder.put(self._draft(), key, data, condition))

    def _open(self, key: str, byte_range: ByteRange | None) -> DirectoryDownload:
        file, state = self._folder.open(key)
        try:
            start, stop = _clamp(byte_range, state.st_size)
            small = file.read() if state.st_size <= SMALL else None
        except BaseException:
            file.close()
            raise
        if small is not None:
            file.close()
        return DirectoryDownload(
            object_info(key, state), self.path, self.offload, file, start, stop, small
        )


def _clamp(byte_range: ByteRange | None, size: int) -> tuple[int, int]:
    if byte_range is None:
        return 0, size
    if byte_range.start >= size:
        raise RangeNotSatisfiable(
            f"The range begins at byte {byte_range.start} of {size}.", size
        )
    return byte_range.start, min(byte_range.stop, size)
