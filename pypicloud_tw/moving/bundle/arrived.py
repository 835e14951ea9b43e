"""What a store remembers of the bundles that were taken into it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from attrs import evolve, field, frozen

from pypicloud_tw.errors import (
    AmbiguousWrite,
    Conflict,
    ObjectNotFound,
    PreconditionFailed,
    StoreError,
)
from pypicloud_tw.json_values import NotAsDeclared, from_bytes, to_bytes
from pypicloud_tw.moving.bundle.identity import FOLDER
from pypicloud_tw.moving.bundle.tar import MAX_INDEX
from pypicloud_tw.moving.bundle.values import BundleIndex, OwnProject
from pypicloud_tw.store.interfaces import IfAbsent, IfMatch, IObjectStore

#: Bundles of an index that are remembered. Of one that follows another than these it is
#: looked whether all that it leaves out is here.
MOST_TAKEN = 100


@frozen
class TakenBundle:
    """A bundle of which nothing is left to be taken."""

    id: str
    chain: str
    number: int


@frozen
class Arrived:
    """What is known of an index by its bundles, of whatever chains.

    :ivar own: its projects, each as the latest of the states that came here; so it is
        known what the next bundle changes, and what is older than what is here.
    :ivar taken: the last at the end.
    """

    own: tuple[OwnProject, ...] = field(default=(), repr=False)
    taken: tuple[TakenBundle, ...] = ()
    format: int = 1

    def project(self, name: str) -> OwnProject | None:
        """Return what is known of a project."""
        return self._by_name.get(name)

    def is_older(self, project: OwnProject) -> bool:
        """Return whether a later state of a project came here.

        Each change of a project has a larger serial than the one before, whatever the
        clocks say.
        """
        known = self.project(project.name)
        return known is not None and project.serial < known.serial

    def number(self, chain: str) -> int | None:
        """Return the number of the last bundle of a chain; None: none was taken."""
        return max(
            (one.number for one in self.taken if one.chain == chain), default=None
        )

    def has_taken(self, id: str | None) -> bool:
        """Return whether nothing is left of a bundle."""
        return any(one.id == id for one in self.taken)

    def with_projects(self, projects: Iterable[OwnProject]) -> Arrived:
        """Add states of projects, none of which is older than what is known."""
        known = self._by_name | {project.name: project for project in projects}
        return evolve(self, own=tuple(known[name] for name in sorted(known)))

    def with_bundle(self, index: BundleIndex) -> Arrived:
        """Add a bundle of which nothing is left to be taken."""
        others = (one for one in self.taken if one.id != index.id)
        last = TakenBundle(index.id, index.of_chain, index.number)
        return evolve(self, taken=(*others, last)[-MOST_TAKEN:])

    @cached_property
    def _by_name(self) -> dict[str, OwnProject]:
        return {project.name: project for project in self.own}


@frozen
class StoredArrived:
    """It as it lies in the store; nothing lies there where nothing came.

    :ivar source: the id of the index.
    """

    store: IObjectStore
    source: str
    etag: str | None
    arrived: Arrived

    @classmethod
    async def read(cls, store: IObjectStore, source: str) -> StoredArrived:
        """Read it.

        :raises StoreError: the store is away, or what it remembers is damaged.
        """
        key = arrived_key(source)
        try:
            stored = await store.get(key, limit=MAX_INDEX)
        except ObjectNotFound:
            return cls(store, source, None, Arrived())
        assert stored is not None, "an unconditional read gives bytes"
        try:
            arrived = from_bytes(Arrived, stored.data)
        except NotAsDeclared:
            raise StoreError(
                f"The object {key} is damaged. Remove it, and take a bundle that was "
                "made without --since-bundle; what was deleted there since the last "
                "one is not deleted here then."
            ) from None
        return cls(store, source, stored.info.etag, arrived)

    async def write(self, arrived: Arrived) -> StoredArrived:
        """Write it anew, unless another command has done so.

        :raises Conflict: one has.
        :raises StoreError: it may or may not have been written.
        """
        condition = IfAbsent() if self.etag is None else IfMatch(self.etag)
        try:
            info = await self.store.put(
                arrived_key(self.source), to_bytes(arrived), condition=condition
            )
        except (PreconditionFailed, AmbiguousWrite):
            raise Conflict(
                "Another command takes a bundle of the same index. Take one at a time: "
                "run this again when it has ended."
            ) from None
        return evolve(self, etag=info.etag, arrived=arrived)


def arrived_key(source: str) -> str:
    """Where it is remembered what came from an index."""
    return f"{FOLDER}{source}.json"
