"""One server in memory, from the store to the bytes on the wire, and its clients."""

from __future__ import annotations

from collections.abc import Coroutine
from hashlib import sha256
from random import Random
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.manifest import INDEX, decode, project_of
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import Filename, NormalizedName, project_name
from pypicloud_tw.index.publish import Claims, Publisher, Rules
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.web.views import ProjectView, view_project
from tests.doubles import InlineOffload

T = TypeVar("T")

#: When a test's clock begins; a moment of 2026.
BEGINNING = 1_772_357_400.0


def new_clock() -> Clock:
    """A clock that shows a time of our days."""
    clock = Clock()
    clock.advance(BEGINNING)
    return clock


def started(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Begin *work*, as a server does for each request."""
    return Deferred.fromCoroutine(work)


@define
class Domain:
    """What one process knows of an index; several can share a store and a clock."""

    clock: Clock = field(factory=new_clock)
    store: MemoryStore = field()
    rules: Rules = field(factory=Rules)
    fresh_for: float = 1.0
    offload: InlineOffload = field(factory=InlineOffload)
    seed: int = 1
    manifests: Manifests = field(init=False)
    catalog: Catalog[ProjectView] = field(init=False)
    publisher: Publisher = field(init=False)
    #: The steps of publishes, in order.
    steps: list[str] = field(factory=list)

    @store.default
    def _new_store(self) -> MemoryStore:
        return MemoryStore(InlineOffload(), clock=self.clock.seconds)

    def __attrs_post_init__(self) -> None:
        self.manifests = Manifests(self.store, self.clock, Random(self.seed))
        self.catalog = Catalog(
            self.manifests,
            Marker(self.store),
            self.clock,
            view_project,
            fresh_for=self.fresh_for,
        )
        self.publisher = Publisher(
            self.store,
            self.manifests,
            self.catalog,
            self.offload,
            self.clock,
            self.rules,
            self.steps.append,
        )

    def beside(self) -> Domain:
        """Another process on the same store."""
        return Domain(
            clock=self.clock,
            store=self.store,
            rules=self.rules,
            fresh_for=self.fresh_for,
            seed=self.seed + 1,
        )

    async def publish(
        self,
        filename: str,
        data: bytes,
        claims: Claims | None = None,
        uploader: str | None = "ann",
    ) -> Project:
        """Take a file whole, as the edge does."""
        name = Filename.parse(filename, legacy=self.rules.legacy_formats)
        publication = await self.publisher.begin(
            name, uploader=uploader, size_hint=len(data)
        )
        try:
            await publication.write(data)
            return await publication.finish(claims or Claims())
        finally:
            await publication.abort()

    def settle(self, work: Deferred[Any]) -> None:
        """Let the pauses between tries pass."""
        for _ in range(200):
            if work.called:
                return
            self.clock.advance(2)


def stored_project(store: MemoryStore, name: str = "acme") -> Project:
    """Read a project as it lies in the store."""
    normalized = project_name(name)
    return decode(normalized, store.objects[f"{INDEX}{normalized}.json"].data)


def stored_projects(store: MemoryStore) -> dict[NormalizedName, Project]:
    """Read every project that lies in the store."""
    names = filter(None, (project_of(key) for key in store.objects))
    return {name: stored_project(store, name) for name in names}


def damage(store: MemoryStore) -> list[str]:
    """Tell what the manifests name and the store does not have as it should be."""
    found = []
    for project in stored_projects(store).values():
        for file in project.files:
            wanted = [(file.key, file.sha256)]
            if file.metadata_key is not None:
                wanted.append((file.metadata_key, file.metadata_sha256 or ""))
            for key, digest in wanted:
                there = store.objects.get(key)
                if there is None:
                    found.append(f"{key} is missing")
                elif sha256(there.data).hexdigest() != digest:
                    found.append(f"{key} has other bytes")
    return found


def named(store: MemoryStore) -> set[str]:
    """Give the keys that a manifest names."""
    return {
        key
        for project in stored_projects(store).values()
        for file in project.files
        for key in (file.key, file.metadata_key)
        if key is not None
    }


def data_keys(store: MemoryStore) -> set[str]:
    """Give the keys of everything but manifests and the marker."""
    return {key for key in store.objects if not key.startswith(".")}
