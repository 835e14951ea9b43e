"""Uploads into a folder; the spool is the file that the object becomes."""

from __future__ import annotations

from typing import Protocol

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from pypicloud_tw.concurrency.serial import SerialQueue
from pypicloud_tw.errors import PreconditionFailed, StoreError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.folder.explain import explained
from pypicloud_tw.store.folder.scratch import Draft
from pypicloud_tw.store.folder.tree import Folder
from pypicloud_tw.store.folder.walker import object_info
from pypicloud_tw.store.interfaces import (
    Condition,
    IfAbsent,
    IUpload,
    ObjectInfo,
    Placer,
)
from pypicloud_tw.store.small import OneByOne, SmallSpool
from pypicloud_tw.store.spool import Spool


class SmallUploads(Protocol):
    """What a small upload asks of its store."""

    async def put(
        self, key: str, data: bytes, *, condition: Condition = None
    ) -> ObjectInfo:
        """See :class:`.IObjectStore`."""

    def placer(self, key: str) -> Placer:
        """Make what places the folder of a key."""

    def placed(self, key: str, receipt: object) -> None:
        """Learn that it was done."""


@implementer(IUpload)
@define(eq=False)
class SmallUpload:
    """See :class:`IUpload`: bytes that are in memory until they are placed."""

    key: str
    _store: SmallUploads = field(repr=False)
    spool: SmallSpool = field(factory=SmallSpool.make, init=False)

    async def write(self, data: bytes) -> None:
        """See :class:`IUpload`."""
        await self.spool.write(data)

    async def commit(self) -> ObjectInfo:
        """See :class:`IUpload`.

        :raises StoreError: also if there is an object of that key; it is left alone.
        """
        await self.spool.finish()
        data = await self.spool.read_at(0, self.spool.size)
        try:
            return await self._store.put(self.key, data, condition=IfAbsent())
        except PreconditionFailed:
            raise _taken() from None

    @property
    def places(self) -> bool:
        """See :class:`IUpload`."""
        return True

    def placer(self) -> Placer:
        """See :class:`IUpload`."""
        return self._store.placer(self.key)

    def placed(self, receipt: object) -> None:
        """See :class:`IUpload`."""
        self._store.placed(self.key, receipt)

    async def abort(self) -> None:
        """See :class:`IUpload`."""
        await self.spool.close()


def _taken() -> StoreError:
    return StoreError("There is an object of that key already.")


@implementer(IUpload)
@define(eq=False)
class DirectoryUpload(OneByOne):
    """See :class:`IUpload`.

    :ivar queue: for changes under the lock of this key.
    """

    key: str
    spool: Spool
    _draft: Draft = field(repr=False)
    _folder: Folder = field(repr=False)
    _offload: IOffload = field(repr=False)
    _queue: SerialQueue = field(repr=False)
    _ended: bool = field(default=False, init=False)
    _log = Logger()

    async def write(self, data: bytes) -> None:
        """See :class:`IUpload`."""
        await self.spool.write(data)

    async def commit(self) -> ObjectInfo:
        """See :class:`IUpload`.

        :raises StoreError: also if there is an object of that key; it is left alone.
        """
        await self.spool.finish()
        with explained(self._folder.path):
            return await self._queue.run(lambda: self._offload.in_thread(self._commit))

    async def abort(self) -> None:
        """See :class:`IUpload`. A commit that is under way is waited for."""
        try:
            await self.spool.close()
            await self._queue.run(lambda: self._offload.in_thread(self._end))
        except Exception:
            # What stays is removed when the store is closed, or by the next start.
            self._log.failure("An aborted upload left a temporary file")

    def _commit(self) -> ObjectInfo:
        if self._ended:
            raise StoreError("The upload was given up.")
        try:
            state = self._folder.place(self._draft, self.key, IfAbsent())
        except PreconditionFailed:
            raise _taken() from None
        finally:
            self._end()
        return object_info(self.key, state)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._draft.discard()
