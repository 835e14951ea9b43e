"""Projects in memory: those that were asked for lately at hand, the others packed.

A project of ten files takes 13 kB as values and 1.5 packed. Its page is served without
them; a download unpacks them, in 0.1 ms.
"""

from __future__ import annotations

from collections import deque

from attrs import define, field

from pypicloud_tw.index.model import Project
from pypicloud_tw.offload.packing import PackedResult, pack_small, unpacked

#: Files, tombstones and acts of the projects that are at hand: some 15 MB.
CAPACITY = 10_000

#: Those of a project that is never packed: to unpack it would take a millisecond.
LARGE = 200


@define(eq=False)
class KeptProject:
    """A project that is kept; :attr:`project` gives it, unpacked."""

    _at_hand: AtHand = field(repr=False)
    _project: Project | None
    _packed: PackedResult | None = field(default=None, init=False, repr=False)

    @property
    def project(self) -> Project:
        """The project."""
        project = self._project
        if project is None:
            assert self._packed is not None, "it is here or packed"
            project = self._project = unpacked(self._packed)
            self._at_hand.add(self, weight(project))
        return project

    def rest(self) -> None:
        """Keep it packed until it is asked for again."""
        if self._packed is None:
            self._packed = pack_small(self._project)
        self._project = None


@define(eq=False)
class AtHand:
    """The projects that are unpacked; when they are too many, the oldest are packed.

    :ivar capacity: files, tombstones and acts of all of them.
    """

    capacity: int = CAPACITY
    _weight: int = field(default=0, init=False)
    _queue: deque[tuple[KeptProject, int]] = field(
        factory=deque, init=False, repr=False
    )

    def keep(self, project: Project) -> KeptProject:
        """Take a project up."""
        kept, its_weight = KeptProject(self, project), weight(project)
        if its_weight <= LARGE:
            self.add(kept, its_weight)
        return kept

    def add(self, kept: KeptProject, its_weight: int) -> None:
        """Count one that is unpacked, and was not before."""
        self._queue.append((kept, its_weight))
        self._weight += its_weight
        while self._weight > self.capacity:
            oldest, its_weight = self._queue.popleft()
            self._weight -= its_weight
            oldest.rest()


def weight(project: Project) -> int:
    """Count what a project consists of."""
    return 1 + len(project.files) + len(project.tombstones) + len(project.history)
