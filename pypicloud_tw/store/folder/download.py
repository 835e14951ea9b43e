"""An opened file on its way to a consumer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from pypicloud_tw.concurrency.delivery import deliver
from pypicloud_tw.concurrency.serial import SerialQueue
from pypicloud_tw.errors import StoreError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.folder.explain import explained
from pypicloud_tw.store.interfaces import IDownload, ObjectInfo

#: Bytes of an object that is read whole when it is opened, sparing the later hops.
SMALL = 64 * 1024

#: Bytes that are read at once.
PIECE = 256 * 1024


@implementer(IDownload)
@define(eq=False)
class DirectoryDownload:
    """See :class:`IDownload`.

    :ivar small: the whole object, if it is one; the file is closed then.
    """

    info: ObjectInfo
    _folder: Path = field(repr=False)
    _offload: IOffload = field(repr=False)
    _file: BinaryIO = field(repr=False)
    _start: int
    _stop: int
    _small: bytes | None = field(repr=False)
    _queue: SerialQueue = field(factory=SerialQueue, init=False, repr=False)

    async def deliver(self, consumer: IConsumer) -> None:
        """See :class:`IDownload`."""
        if self._small is not None:
            piece = self._small[self._start : self._stop]
            consumer.write(piece)
            self._expect(self._start + len(piece) == self._stop)
            return
        try:
            await deliver(consumer, self._pieces())
        finally:
            self.abandon()

    def abandon(self) -> None:
        """See :class:`IDownload`. The file is closed after a read under way."""
        if not self._file.closed:
            closed = self._queue.run(lambda: self._offload.in_thread(self._file.close))
            # No threads any more: the server stops.
            closed.addErrback(lambda _: self._file.close())

    async def _pieces(self) -> AsyncIterator[bytes]:
        at = self._start
        while at < self._stop:
            with explained(self._folder):
                piece = await self._queue.run(partial(self._read, at))
            self._expect(bool(piece))
            at += len(piece)
            yield piece

    def _read(self, at: int) -> Deferred[bytes]:
        size = min(PIECE, self._stop - at)
        return self._offload.in_thread(os.pread, self._file.fileno(), size, at)

    def _expect(self, complete: bool) -> None:
        if not complete:
            raise StoreError("A file of the store became shorter while it was read.")
