"""How much room there is in the folders that a server writes to."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import IOffload


@frozen
class Room:
    """Of a file system, in bytes; what is free is free to whoever is not root."""

    free: float
    size: float


#: A folder that could not be looked at: nothing is known.
_UNKNOWN = Room(float("nan"), float("nan"))


def look(folder: Path) -> Room:
    """Look at the file system of a folder, which need not be there yet; for a thread.

    :raises OSError: it cannot be told.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


@define(eq=False)
class DiskSpace:
    """The room of one folder, as it was seen last.

    Whoever reads it has it looked at anew, by a thread: a file system on another
    machine may take its time. So it is as old as the reading before.

    :ivar name: what the metrics call it.
    """

    name: str
    folder: Path
    offload: IOffload
    _seen: Room = field(default=_UNKNOWN, init=False)
    _looking: Deferred[None] | None = field(default=None, init=False)

    def register(self, metrics: Metrics) -> None:
        """Have its numbers shown; workers of one server see the same."""
        metrics.read(
            f"pypicloud_{self.name}_free_bytes",
            f"Room in the {self.name} folder's file system",
            self._read_free,
            together="min",
        )
        metrics.read(
            f"pypicloud_{self.name}_size_bytes",
            f"Size of the {self.name} folder's file system",
            lambda: self._seen.size,
            together="min",
        )

    def refresh(self) -> None:
        """Have it looked at, if that is not being done."""
        if self._looking is None:
            self._looking = self.offload.in_thread(look, self.folder).addCallbacks(
                self._saw, self._failed
            )
            if self._looking.called:
                self._looking = None

    def _read_free(self) -> float:
        self.refresh()
        return self._seen.free

    def _saw(self, room: Room) -> None:
        self._seen, self._looking = room, None

    def _failed(self, failure: Failure) -> None:
        # It is not there, or the threads are not yet: the next reading asks again.
        self._seen, self._looking = _UNKNOWN, None
