"""Sweeping: remove the objects that no manifest names (decision D1).

Objects are listed first and manifests read after, so that what is named in between is
seen as named. Age is judged by the store's own clock. Only keys of our own layout are
ever removed; what others put into the store is theirs.

Of a project without a manifest nothing is touched: its manifest is lost. But objects of
which it is known that none has ever named them (:mod:`.first_uploads`) are left of a
first upload that was broken off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol

from attrs import define, evolve, field

from pypicloud_tw.errors import ManifestDamaged, NotFound
from pypicloud_tw.index.first_uploads import FirstUpload, Stage, UnderWay
from pypicloud_tw.index.layout import is_own, own_project
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.model import FORMAT, File, Project, Tombstone
from pypicloud_tw.index.moves import MOVES, is_moved, move_of
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.survey import IN_DOUBT, lost
from pypicloud_tw.maintenance.beside import Beside
from pypicloud_tw.store.interfaces import IObjectStore, ObjectInfo, Unlisted

#: An object that is written only to learn the store's time from it.
CLOCK = ".clock"

#: Where a server tries at its start what the store can do, and ``pypicloud doctor``
#: what it is allowed; one that is killed meanwhile leaves something there.
PROBE = ".probe/"


class SweepOther(Protocol):
    """Sweeps what has ended by itself, whatever no manifest could name."""

    async def __call__(
        self, store: IObjectStore, now: datetime, *, dry_run: bool
    ) -> list[str]:
        """Remove it, or only tell; return the keys.

        :param now: by the store's clock.
        """


@define
class Swept:
    """What a sweep did, or would do.

    :ivar removed: keys of objects that nothing named.
    :ivar purged: keys of objects whose files were removed long enough ago.
    :ivar unfinished: how many uploads had been begun and never ended; None if the
        store cannot tell.
    :ivar left: why a project was passed over; a sentence each.
    :ivar in_doubt: projects whose first upload was broken off at its last step; a
        sentence each. What it stored stays.
    :ivar moving: projects of which objects are still to be moved.
    :ivar unlisted: what could not be looked at, and stays.
    """

    seen: int = 0
    removed: list[str] = field(factory=list)
    purged: list[str] = field(factory=list)
    unfinished: int | None = 0
    left: list[str] = field(factory=list)
    in_doubt: list[str] = field(factory=list)
    moving: list[NormalizedName] = field(factory=list)
    unlisted: list[Unlisted] = field(factory=list)


@define
class Sweeper:
    """Removes orphans, and what was deleted.

    :ivar age: seconds that an object must have been there; never less than twice what
        the longest publish may take, on any server of this store.
    :ivar report: told of every object that is removed.
    :ivar others: what else ends by itself.
    :ivar restore_for: seconds for which what was deleted can be restored: its objects
        stay so long.
    """

    store: IObjectStore
    manifests: Manifests
    age: float
    dry_run: bool = False
    report: Callable[[str], None] = field(default=lambda key: None)
    others: Iterable[SweepOther] = ()
    restore_for: float = 0.0

    async def run(self) -> Swept:
        """Sweep once.

        :raises StoreError: the store is away; what was removed was an orphan.
        """
        swept = Swept()
        now = await self._now()
        limit = now - timedelta(seconds=self.age)
        old: dict[NormalizedName, list[ObjectInfo]] = defaultdict(list)
        async for info in self.store.list("", unlisted=swept.unlisted.append):
            swept.seen += 1
            name = own_project(info.key)
            if name is not None and info.modified < limit:
                old[name].append(info)
        async for info in self.store.list(PROBE):
            if info.modified < limit:
                await self._remove(info.key)
                swept.removed.append(info.key)
        async for info in self.store.list(MOVES):
            if info.modified < limit and not await self._is_moving(info.key):
                await self._remove(info.key)
                swept.removed.append(info.key)
        for sweep_other in self.others:
            for key in await sweep_other(self.store, now, dry_run=self.dry_run):
                self.report(key)
                swept.removed.append(key)
        beside = await Beside.listed(self.store, limit)
        for key in await beside.unnamed(self.manifests):
            await self._remove(key)
            swept.removed.append(key)
        under_way = await UnderWay.listed(self.store)
        for name, objects in old.items():
            await self._sweep_project(name, objects, limit, swept, under_way)
        for first, name in under_way.uploads().items():
            if not self.dry_run:
                await self._end(first, name, under_way.told[first.folder], limit)
        swept.unfinished = await self.store.abandon_uploads(limit, dry_run=self.dry_run)
        return swept

    async def _is_moving(self, key: str) -> bool:
        """Return whether somebody may need to know of this move."""
        name, move = move_of(key)
        try:
            moving = (await self.manifests.read(name)).project.moving
        except NotFound:
            return False
        except ManifestDamaged:
            return True
        return moving is not None and moving.to == move

    async def _now(self) -> datetime:
        return (await self.store.put(CLOCK, b"")).modified

    async def _sweep_project(
        self,
        name: NormalizedName,
        objects: list[ObjectInfo],
        limit: datetime,
        swept: Swept,
        under_way: UnderWay,
    ) -> None:
        try:
            state = await self.manifests.read(name)
        except NotFound:
            await self._sweep_unfinished(name, objects, swept, under_way)
            return
        except ManifestDamaged as e:
            # It may name any of them.
            swept.left.append(e.message)
            return
        if state.project.format > FORMAT:
            swept.left.append(
                f"{name} is in a newer format, which may name what this version does "
                "not know of: sweep with the version that wrote it."
            )
            return
        if state.project.moving is not None:
            swept.moving.append(name)
        named = named_keys(state.project)
        for info in objects:
            if info.key not in named and not is_moved(state.project, info.key):
                await self._remove(info.key)
                swept.removed.append(info.key)
        await self._purge(state.project, limit, swept)

    async def _sweep_unfinished(
        self,
        name: NormalizedName,
        objects: list[ObjectInfo],
        swept: Swept,
        under_way: UnderWay,
    ) -> None:
        """Remove what no manifest has ever named of a project without one."""
        stages = {info.key: under_way.stage(info.key) for info in objects}
        for key, stage in stages.items():
            if stage is Stage.STORING:
                await self._remove(key)
                swept.removed.append(key)
        if None in stages.values():
            swept.left.append(lost(name))
        elif Stage.SWAPPING in stages.values():
            swept.in_doubt.append(f"{name}: {IN_DOUBT}")

    async def _end(
        self,
        first: FirstUpload,
        name: NormalizedName,
        told: ObjectInfo,
        limit: datetime,
    ) -> None:
        """Take back what tells of a first upload that nobody need know of."""
        try:
            await self.manifests.read(name)
        except NotFound:
            left = [info async for info in self.store.list(f"{first.folder}/")]
            if left or told.modified >= limit:
                return
        except ManifestDamaged:
            pass  # it is there
        await first.end()

    async def _purge(self, project: Project, limit: datetime, swept: Swept) -> None:
        """Remove what was deleted: first say so in the manifest, then do it.

        In the other order a file that comes back in between, under its old key, would
        name an object that is gone.
        """
        longer = timedelta(seconds=max(0.0, self.restore_for - self.age))
        before = limit - longer
        due = [t for t in project.tombstones if _is_due(t, before)]
        if due and not self.dry_run:
            state = await self.manifests.change(project.name, _purging(due, before))
            # What was restored meanwhile, or moved, is named elsewhere, and stays.
            purged = {t.key for t in state.project.tombstones if t.purged}
            due = [t for t in due if t.key in purged]
        for key in (key for tombstone in due for key in tombstone.keys):
            await self._remove(key)
            swept.purged.append(key)

    async def _remove(self, key: str) -> None:
        self.report(key)
        if not self.dry_run:
            await self.store.delete(key)


def named_keys(project: Project) -> set[str]:
    """Collect the keys that a manifest speaks of and that a sweep must leave."""
    named: tuple[File | Tombstone, ...] = (*project.files, *project.tombstones)
    return {key for one in named for key in one.keys}


def _is_due(tombstone: Tombstone, limit: datetime) -> bool:
    # An adopted file lies where its owner put it, and stays there.
    return not tombstone.purged and tombstone.deleted < limit and is_own(tombstone.key)


def _purging(due: list[Tombstone], limit: datetime) -> Callable[[Project], Project]:
    gone = {tombstone.key for tombstone in due}

    def is_gone(tombstone: Tombstone) -> bool:
        # One that was restored meanwhile and deleted anew has its time before it.
        return tombstone.key in gone and _is_due(tombstone, limit)

    def purge(project: Project) -> Project:
        # A file that came back meanwhile has a key of its own, and no tombstone.
        tombstones = tuple(
            evolve(t, purged=True, file=None) if is_gone(t) else t
            for t in project.tombstones
        )
        if tombstones == project.tombstones:
            return project
        return evolve(project, tombstones=tombstones)

    return purge
