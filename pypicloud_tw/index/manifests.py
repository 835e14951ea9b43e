"""Manifests in the store: read, list, and change by compare-and-swap (decision D1)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from random import Random
from weakref import WeakValueDictionary

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.errors import NotFound, ObjectNotFound, Unavailable
from pypicloud_tw.index.changelog import serial_at
from pypicloud_tw.index.manifest import (
    INDEX,
    MAX_MANIFEST,
    decode,
    encode,
    manifest_key,
    project_of,
)
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.swaps import Swaps
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.interfaces import (
    IfAbsent,
    IfMatch,
    IObjectStore,
    ObjectInfo,
    Unlisted,
)

#: States that are kept for the next reader though nobody uses them: an upload reads its
#: project, swaps it and has its page made anew, one after the other.
RECENT = 4

#: A change of a project. It returns the project it was given where nothing is to do,
#: and raises what its asker shall see. It may be called several times.
Change = Callable[[Project], Project]


@frozen
class Versioned:
    """A project as it is in the store, and that state's ETag and time."""

    project: Project
    etag: str
    modified: datetime


@define
class Manifests:
    """Every project's manifest in one store.

    A state that somebody still has is not fetched and decoded again: with 5,000 files
    that takes 3 MB and 26 ms of the reactor's time. The store is asked all the same.

    :ivar standing: tells whether projects may be changed now.
    """

    store: IObjectStore
    clock: IReactorTime
    random: Random = field(factory=Random)
    standing: Standing = field(factory=Standing)
    _swaps: Swaps[Versioned, Project] = field(init=False)
    _known: WeakValueDictionary[NormalizedName, Versioned] = field(
        factory=WeakValueDictionary, init=False
    )
    _recent: deque[Versioned] = field(factory=lambda: deque(maxlen=RECENT), init=False)

    @_swaps.default
    def _none_yet(self) -> Swaps[Versioned, Project]:
        shelf = _ManifestShelf(self.store, self.read, self._learn, self.clock.seconds)
        return Swaps(shelf, self.clock, self.random)

    @property
    def swaps(self) -> int:
        """Tries to write a manifest."""
        return self._swaps.tries

    @property
    def overtaken(self) -> int:
        """Those of them that found it changed by another writer."""
        return self._swaps.overtaken

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        metrics.read(
            "pypicloud_swaps",
            "Tries to write a manifest; changes of one project share them",
            lambda: self.swaps,
            counts=True,
        )
        metrics.read(
            "pypicloud_swaps_overtaken",
            "Tries to write a manifest that another writer was ahead of",
            lambda: self.overtaken,
            counts=True,
        )

    async def read(self, name: NormalizedName) -> Versioned:
        """Read a project as it is now.

        :raises NotFound: it is proved that there is no such project.
        :raises StoreError: the store is away or the manifest damaged.
        """
        known = self._known.get(name)
        unless = None if known is None else known.etag
        try:
            stored = await self.store.get(
                manifest_key(name), unless=unless, limit=MAX_MANIFEST
            )
        except ObjectNotFound:
            raise _no_project(name) from None
        if stored is None:
            assert known is not None, "a conditional read answers None to its ETag only"
            return known
        return self._learn(decode(name, stored.data), stored.info)

    def _learn(self, project: Project, info: ObjectInfo) -> Versioned:
        state = Versioned(project, info.etag, info.modified)
        self._known[project.name] = state
        self._recent.append(state)
        return state

    async def names(
        self, unlisted: Callable[[Unlisted], None] | None = None
    ) -> AsyncIterator[tuple[NormalizedName, ObjectInfo]]:
        """List every project there is, by the name's bytes.

        :param unlisted: told of what lies among the manifests and is none.
        """
        async for info in self.store.list(INDEX, unlisted=unlisted):
            name = project_of(info.key)
            if name is not None:
                yield name, info

    def check_open(self) -> None:
        """Return if projects may be changed now.

        :raises Unavailable: they may not; the message says why.
        """
        self.standing.check()

    def change(
        self, name: NormalizedName, change: Change, *, create: bool = False
    ) -> Deferred[Versioned]:
        """Change a project durably; fires with the state in which the change is made.

        :param create: begin the project if it does not exist, else that is NotFound.
        :raises Unavailable: the store is away or lost too many races; the change may
            have been made.
        """
        try:
            self.check_open()
        except Unavailable as refusal:
            return fail(refusal)

        def begin_or_change(project: Project | None) -> Project:
            if project is None and not create:
                raise _no_project(name)
            return change(project or Project(name, name))

        return self._swaps.change(name, begin_or_change)


@frozen
class _ManifestShelf:
    """Where manifests lie, for :class:`.swaps.Swaps`."""

    store: IObjectStore
    read: Callable[[NormalizedName], Awaitable[Versioned]]
    learn: Callable[[Project, ObjectInfo], Versioned]
    seconds: Callable[[], float]

    async def look(self, name: str) -> Versioned | None:
        try:
            return await self.read(NormalizedName(name))
        except NotFound:
            return None

    def content(self, state: Versioned) -> Project:
        return state.project

    async def put(
        self, name: str, after: Project, found: Versioned | None
    ) -> Versioned:
        serial = max(after.serial + 1, serial_at(self.seconds()))
        after = evolve(after, serial=serial)
        info = await self.store.put(
            manifest_key(NormalizedName(name)),
            encode(after),
            condition=IfAbsent() if found is None else IfMatch(found.etag),
            content_type="application/vnd.pypi.simple.v1+json",
        )
        return self.learn(after, info)


def _no_project(name: NormalizedName) -> NotFound:
    return NotFound(f"There is no project {name} here.")
