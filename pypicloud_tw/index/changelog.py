"""Serials: by which a mirror asks what has changed since it last looked.

Every change that the marker tells has one, larger than all before it. The marker
remembers the most recent ones; of any other project it is only known that it has not
changed since the *floor*. So a mirror that has seen less than the floor looks at every
project again: that costs it questions, and no change is ever missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from attrs import frozen

#: Of an index that has told of no change. bandersnatch takes 0 for none.
FIRST = 1
#: Serials begin with the seconds since 2020, so that they go on where a marker that was
#: lost has left nothing. XML-RPC has integers up to 2**31 - 1: they last until 2088.
EPOCH = 1_577_836_800


def serial_at(seconds: float) -> int:
    """Return the least serial of a change that is made now.

    :param seconds: since the Unix epoch.
    """
    return max(FIRST, int(seconds) - EPOCH)


@frozen(eq=False)
class Changelog:
    """What is remembered of an index's changes. Equal for all who saw one marker.

    :ivar floor: whatever changed by then is not remembered.
    :ivar changes: projects' names and serials, oldest first.
    :ivar known: there is a marker that tells the floor, and nothing is missing in it.
    """

    floor: int = FIRST
    changes: tuple[tuple[str, int], ...] = ()
    known: bool = False

    @classmethod
    def of_entries(
        cls, floor: int, entries: Iterable[tuple[str, int]], *, known: bool
    ) -> Self:
        """Make one of a marker's entries, of which those above the floor count."""
        changes = tuple([change for change in entries if change[1] > floor])
        return cls(floor, changes, known)

    def of(self, name: str) -> int:
        """Return by which serial a project changed, or the floor if it is not known."""
        for changed, serial in reversed(self.changes):
            if changed == name:
                return serial
        return self.floor

    @property
    def last(self) -> int:
        """The last serial of a project, or the floor."""
        return self.changes[-1][1] if self.changes else self.floor

    @property
    def latest(self) -> list[tuple[str, int]]:
        """Every project that is remembered with its last serial, oldest first."""
        return sorted(dict(self.changes).items(), key=lambda change: change[1])

    def since(self, serial: int) -> list[tuple[str, int]] | None:
        """Return what changed after a serial, oldest first; None: anything may have.

        Also for one that is none yet: it is of a marker that was lost.
        """
        if not self.known or not self.floor <= serial <= self.last:
            return None
        return [change for change in self.changes if change[1] > serial]

    def lacks(self, name: str, serial: int) -> bool:
        """Return whether a change of a project was made and never told."""
        return self.known and self.of(name) < serial
