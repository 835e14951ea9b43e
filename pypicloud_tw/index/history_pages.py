"""Reading a project's history in parts, newest first.

A cursor names the last act that was given: ``{act}`` where the manifest has it, and
``{segment}.{act}`` where an object beside it does. So what follows is found with one
request, however long the history is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from attrs import frozen

from pypicloud_tw.errors import BadRequest, HistoryDamaged
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.model import HistoryEntry, Project
from pypicloud_tw.index.older_history import Segment, number_of

#: Segments in which an act is looked for that has left the manifest since.
LOOKED_THROUGH = 4

_NO_CURSOR = "There is no such cursor; begin without one."


@frozen
class HistoryPart:
    """A part of a project's history.

    :ivar entries: newest first.
    :ivar cursor: gives what is older; None: nothing is.
    """

    entries: tuple[HistoryEntry, ...]
    cursor: str | None = None


@frozen
class HistoryPages:
    """Reads one project's history.

    :ivar project: as it is now.
    """

    manifests: Manifests
    project: Project

    async def read(self, cursor: str | None, limit: int) -> HistoryPart:
        """Read a part.

        :raises BadRequest: there is no such cursor.
        :raises HistoryDamaged: the next act is lost or damaged.
        :raises StoreError: the store is away.
        """
        found: list[HistoryEntry] = []
        last: str | None = None
        try:
            async for place, entry in self._after(cursor):
                if len(found) == limit:
                    return HistoryPart(tuple(found), last)
                found.append(entry)
                last = entry.id if place is None else f"{place}.{entry.id}"
        except HistoryDamaged:
            if not found:
                raise
            # Whoever asks for more hears of it.
            return HistoryPart(tuple(found), last)
        return HistoryPart(tuple(found))

    async def _after(
        self, cursor: str | None
    ) -> AsyncIterator[tuple[str | None, HistoryEntry]]:
        """Give each act from behind a cursor on, and the segment that has it."""
        segment, _, act = (cursor or "").rpartition(".")
        waits = cursor is not None
        seen: set[str | None] = set()
        async for place, entry in self._walk(segment or None):
            if not waits:
                yield place, entry
            waits = waits and entry.id != act
            seen.add(place)
            if waits and len(seen) > LOOKED_THROUGH:
                break
        if waits:
            raise BadRequest(_NO_CURSOR)

    async def _walk(
        self, segment: str | None
    ) -> AsyncIterator[tuple[str | None, HistoryEntry]]:
        """Give every act from a segment's newest on; from the manifest's: None."""
        older = self.project.older_history
        if segment is None:
            for entry in reversed(self.project.history):
                yield None, entry
        else:
            # Whoever makes cursors up shall not read what they like.
            if not 0 < number_of(segment) <= number_of(older):
                raise BadRequest(_NO_CURSOR)
            older = segment
        while older is not None:
            read = await self._segment(older, segment)
            for entry in reversed(read.entries):
                yield older, entry
            older = read.older

    async def _segment(self, identity: str, named: str | None) -> Segment:
        try:
            return await self.manifests.segment(self.project.name, identity)
        except HistoryDamaged:
            if identity == named:
                raise BadRequest(_NO_CURSOR) from None
            raise
