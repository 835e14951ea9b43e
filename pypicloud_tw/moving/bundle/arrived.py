"""What a store remembers of the bundles that were taken into it."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from attrs import field, frozen

from pypicloud_tw.errors import ObjectNotFound, StoreError
from pypicloud_tw.json_values import NotAsDeclared, from_bytes, to_bytes
from pypicloud_tw.moving.bundle.tar import MAX_INDEX
from pypicloud_tw.moving.bundle.values import BundleIndex, OwnProject
from pypicloud_tw.store.interfaces import IObjectStore

#: No project's name begins with a dot.
FOLDER = ".bundles/"


@frozen
class Arrived:
    """The last bundle of a chain that was taken.

    :ivar own: what it told of projects, so that it is known what the next one changes.
    """

    id: str
    number: int
    made: datetime
    own: tuple[OwnProject, ...] = field(default=(), repr=False)
    format: int = 1

    @classmethod
    def of(cls, index: BundleIndex) -> Arrived:
        """Make it of a bundle."""
        return cls(index.id, index.number, index.made, index.own)

    def project(self, name: str) -> OwnProject | None:
        """Return what it told of a project."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, OwnProject]:
        return {project.name: project for project in self.own}


def arrived_key(chain: str) -> str:
    """Where it is remembered."""
    return f"{FOLDER}{chain}.json"


async def last_arrived(store: IObjectStore, chain: str) -> Arrived | None:
    """Return the last bundle of a chain that was taken; None: none was.

    :raises StoreError: the store is away, or what it remembers is damaged.
    """
    try:
        stored = await store.get(arrived_key(chain), limit=MAX_INDEX)
    except ObjectNotFound:
        return None
    assert stored is not None, "an unconditional read gives bytes"
    try:
        return from_bytes(Arrived, stored.data)
    except NotAsDeclared:
        raise StoreError(
            f"The object {arrived_key(chain)} is damaged; without it, take a bundle "
            "that was made without --since-bundle."
        ) from None


async def remember(store: IObjectStore, index: BundleIndex) -> None:
    """Remember that a bundle was taken.

    :raises StoreError: it may or may not have been.
    """
    await store.put(arrived_key(index.of_chain), to_bytes(Arrived.of(index)))
