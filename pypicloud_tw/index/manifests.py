"""Manifests in the store: read, list, and change by compare-and-swap (decision D1)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from random import Random, SystemRandom
from weakref import WeakValueDictionary

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.errors import NotFound, ObjectNotFound, Unavailable
from pypicloud_tw.index.at_hand import AtHand, KeptProject
from pypicloud_tw.index.changelog import FIRST, serial_at
from pypicloud_tw.index.layout import SWEEP_AGE
from pypicloud_tw.index.manifest import INDEX, project_of
from pypicloud_tw.index.manifest_objects import Held, ManifestObjects
from pypicloud_tw.index.manifest_parts import Placement
from pypicloud_tw.index.model import HistoryEntry, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.older_history import Segment
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.swaps import Swaps
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.interfaces import IObjectStore, ObjectInfo, Unlisted

#: States that are kept for the next reader though nobody uses them: an upload reads its
#: project, swaps it and has its page made anew, one after the other.
RECENT = 4

#: A change of a project. It returns the project it was given where nothing is to do,
#: and raises what its asker shall see. It may be called several times.
Change = Callable[[Project], Project]


@frozen
class Versioned:
    """A project as it is in the store, and that state's ETag and time.

    :ivar placement: in which objects its entries lie; None: in one.
    """

    kept: KeptProject
    etag: str
    modified: datetime
    placement: Placement | None = field(default=None, repr=False, eq=False)

    @property
    def project(self) -> Project:
        """The project."""
        return self.kept.project


@define
class Manifests:
    """Every project's manifest in one store.

    A state that somebody still has is not fetched and decoded again, nor are those of
    its parts that did not change. The store is asked all the same.

    :ivar standing: tells whether projects may be changed now.
    :ivar sweep_age: seconds after which a sweep takes an object that is not named.
    :ivar last_serial: returns the last serial that the marker told, as far as is known.
        Those of changes are larger, so that one that was never told can be found.
    """

    store: IObjectStore
    clock: IReactorTime
    random: Random = field(factory=SystemRandom)
    standing: Standing = field(factory=Standing)
    sweep_age: float = SWEEP_AGE
    last_serial: Callable[[], int] = lambda: FIRST
    _objects: ManifestObjects = field(init=False)
    _swaps: Swaps[Versioned, Project] = field(init=False)
    _known: WeakValueDictionary[NormalizedName, Versioned] = field(
        factory=WeakValueDictionary, init=False
    )
    _at_hand: AtHand = field(factory=AtHand, init=False)
    _recent: deque[Versioned] = field(factory=lambda: deque(maxlen=RECENT), init=False)

    @_objects.default
    def _in_the_store(self) -> ManifestObjects:
        return ManifestObjects(self.store, self.clock, self.random, self.sweep_age)

    @_swaps.default
    def _none_yet(self) -> Swaps[Versioned, Project]:
        return Swaps(
            _ManifestShelf(self),
            self.clock,
            self.random,
            recall=lambda name: self.last_known(NormalizedName(name)),
        )

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
        had = None
        if known is not None and known.placement is not None:
            had = Held(known.project, known.placement)
        unless = None if known is None else known.etag
        try:
            found = await self._objects.read(
                name, unless, had, partial(self._recall, name)
            )
        except ObjectNotFound:
            # It was lost. What comes next shall not be made of it.
            self._known.pop(name, None)
            raise _no_project(name) from None
        if found is None:
            assert known is not None, "a conditional read answers None to its ETag only"
            return known
        return found if isinstance(found, Versioned) else self._learn(*found)

    def _recall(self, name: NormalizedName, etag: str) -> Versioned | None:
        """Return a state that was written or read here while the store was asked."""
        known = self._known.get(name)
        return known if known is not None and known.etag == etag else None

    def last_known(self, name: NormalizedName) -> Versioned | None:
        """Return a project as it was when it was last read or written here, if at all.

        It may have been changed since; a change that is made of it finds out.
        """
        return self._known.get(name)

    def _learn(self, held: Held, info: ObjectInfo) -> Versioned:
        kept = self._at_hand.keep(held.project)
        state = Versioned(kept, info.etag, info.modified, held.placement)
        self._known[held.project.name] = state
        self._recent.append(state)
        return state

    async def write(
        self, project: Project, etag: str | None, found: Versioned | None = None
    ) -> Versioned:
        """Write a project whole, if its manifest has that ETag; None: if it has none.

        It gets the serial of this change.

        :param found: the state that it was made of; None: there is none that can be
            read.
        :raises PreconditionFailed: it has not.
        :raises StoreError: the store is away.
        """
        placement = None if found is None else found.placement
        last = max(project.serial, self.last_serial())
        serial = max(last + 1, serial_at(self.clock.seconds()))
        project = evolve(project, serial=serial)
        return self._learn(*await self._objects.write(project, etag, placement))

    async def salvage(self, name: NormalizedName) -> Project | None:
        """Read of a project whose manifest is damaged what can be; None: nothing.

        :raises StoreError: the store is away.
        """
        return await self._objects.salvage(name)

    def older_history(self, project: Project) -> AsyncIterator[HistoryEntry]:
        """Give the acts before those that a project has, newest first.

        They are read as they are asked for, about seventy with one request.

        :raises HistoryDamaged: what has the next ones is lost or damaged, and the
            history ends here; the message says so.
        :raises StoreError: the store is away.
        """
        return self._objects.older(project)

    async def segment(self, name: NormalizedName, identity: str) -> Segment:
        """Read some of a project's older acts by the id of their object.

        :raises HistoryDamaged: they are lost or damaged.
        :raises StoreError: the store is away.
        """
        return await self._objects.segment(name, identity)

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

        return self._swaps.change(name, begin_or_change, new=create)


@frozen
class _ManifestShelf:
    """Where manifests lie, for :class:`.swaps.Swaps`."""

    manifests: Manifests

    async def look(self, name: str) -> Versioned | None:
        try:
            return await self.manifests.read(NormalizedName(name))
        except NotFound:
            return None

    def content(self, state: Versioned) -> Project:
        return state.project

    async def put(
        self, name: str, after: Project, found: Versioned | None
    ) -> Versioned:
        etag = None if found is None else found.etag
        return await self.manifests.write(after, etag, found)


def _no_project(name: NormalizedName) -> NotFound:
    return NotFound(f"There is no project {name} here.")
