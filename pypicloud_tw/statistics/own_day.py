"""What one server has counted on a day."""

from __future__ import annotations

from secrets import token_hex

from attrs import define, field

from pypicloud_tw import __version__
from pypicloud_tw.statistics.agents import OTHER
from pypicloud_tw.statistics.counts import OTHERS, DayCounts, key_of

#: Files of a day that are counted one by one; more are counted together.
MOST_FILES = 200_000

#: Kinds of clients that are told apart on a day, of all projects together.
MOST_KINDS = 200_000


@define(eq=False)
class OwnDay:
    """What this server has counted on a day, and how much of it is written.

    :ivar name: of its object, another one for each time that a day begins: where a
        clock is set back to a day that was written, its object must not be written
        over.
    :ivar changes: grows with each count; a day begins with one, to be written, be it
        empty.
    :ivar journaled: the changes that the journal has.
    :ivar stored: the changes that the store has.
    :ivar etag: of what the store has.
    """

    day: str
    name: str = field(factory=lambda: token_hex(8))
    counts: DayCounts = field(factory=lambda: DayCounts(version=__version__))
    changes: int = 1
    journaled: int = 0
    stored: int = 0
    etag: str | None = None
    _files: int = 0
    _kinds: int = 0

    @property
    def key(self) -> str:
        """Where its object lies."""
        return key_of(self.day, self.name)

    def count(self, project: str, filename: str, client: str) -> None:
        """Count a file that is handed out.

        :param client: the key of a :class:`~.agents.Client`.
        """
        self.changes += 1
        counts = self.counts
        files = counts.files.get(project)
        if files is None or filename not in files:
            if self._files >= MOST_FILES:
                project = filename = OTHERS
            self._files += 1
        counts.add(project, filename)
        kinds = counts.clients.get(project, {})
        before = len(kinds)
        if client not in kinds and self._kinds >= MOST_KINDS:
            client = OTHER.key
        counts.add_client(project, client)
        self._kinds += len(counts.clients[project]) - before
