"""Taking a bundle into a store: in order, whole, and as often as one likes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from attrs import define, field

from pypicloud_tw.errors import Conflict, NotFound, ObjectNotFound
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.moving.bundle.arrived import Arrived, last_arrived, remember
from pypicloud_tw.moving.bundle.following import Follower
from pypicloud_tw.moving.bundle.keeping import Keeper
from pypicloud_tw.moving.bundle.values import BundleIndex
from pypicloud_tw.moving.report import Progress, Report
from pypicloud_tw.moving.sources.bundle import BundleSource
from pypicloud_tw.moving.wanted import Wanted
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.upstream.keeper import StoredPages, file_key
from pypicloud_tw.upstream.standings import Standings


@define
class Arrival:
    """Takes a bundle.

    :ivar wanted: of its projects; others are left, and so is that it was taken.
    :ivar run_import: takes the index's own projects, see :class:`.Importer`.
    """

    index: Index
    source: BundleSource
    pages: StoredPages
    standings: Standings
    offload: IOffload
    actor: Actor
    wanted: Wanted
    run_import: Callable[[], Awaitable[Report]]
    report: Report
    tell: Callable[[Progress], None]
    dry_run: bool = False
    _files: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)

    @property
    def _bundle(self) -> BundleIndex:
        return self.source.bundle.index

    async def take(self) -> Report:
        """Take it.

        :raises Conflict: it is older than what is here, or one before it is missing;
            nothing was taken.
        :raises StoreError: the store is away.
        """
        last = await last_arrived(self.index.store, self._bundle.of_chain)
        await self._check(last)
        follower = Follower(self.index, self._bundle, self.actor, self.report)
        if last is not None and not self.dry_run:
            for new in self._bundle.own:
                old = last.project(new.name)
                if old is not None and self._is_wanted(new.name):
                    await follower.prepare(new, old)
        await self.run_import()
        if self.report.stopped is not None:
            return self.report
        if not self.dry_run:
            for new in self._bundle.own:
                if self._is_wanted(new.name):
                    old = None if last is None else last.project(new.name)
                    await follower.follow(new, old)
        await self._keep()
        await self._remember()
        return self.report

    def _is_wanted(self, name: str) -> bool:
        return bool(self.wanted.choose([name]))

    async def _keep(self) -> None:
        keeper = Keeper(
            self.index,
            self.source,
            self.pages,
            self.standings,
            self.offload,
            self.report,
            self._told,
        )
        for kept in self._bundle.kept:
            if self._is_wanted(kept.name):
                await keeper.take(kept, dry_run=self.dry_run)
        if not self.dry_run and self._bundle.kept:
            await self.standings.refresh()  # writes what was seen

    def _told(self, size: int) -> None:
        self._files += 1
        self._size += size
        projects = len(self._bundle.own) + len(self._bundle.kept)
        done = len(self.report.projects)
        self.tell(Progress(projects, done, self._files, self._size))

    async def _remember(self) -> None:
        """Remember it, if the next one may take it for done."""
        parts = self.wanted.patterns or self.wanted.excluded
        if not self.dry_run and not parts and self.report.exit_code < 2:
            await remember(self.index.store, self._bundle)

    # -- whether it is the next one ---------------------------------------------------

    async def _check(self, last: Arrived | None) -> None:
        bundle = self._bundle
        if last is not None and last.id == bundle.id:
            return  # again: what is there is left
        if last is not None and last.id == bundle.follows:
            return  # whatever the clocks say
        if last is not None and (last.made, last.number) >= (
            bundle.made,
            bundle.number,
        ):
            raise Conflict(
                f"This is bundle {bundle.number}, and bundle {last.number} is here, "
                "which is not older. Nothing was taken."
            )
        if bundle.follows is None:
            return
        missing = [digest async for digest in self._missing()]
        if missing:
            raise Conflict(_gap(bundle, last, len(missing)))

    async def _missing(self) -> AsyncIterator[str]:
        """Return what is neither here nor in the bundle."""
        places = self.source.bundle.places
        for project in self._bundle.own:
            here = await self._digests(NormalizedName(project.name))
            for file in project.files:
                if file.sha256 not in places and file.sha256 not in here:
                    yield file.sha256
        for kept in self._bundle.kept:
            for one in kept.files:
                key = file_key(NormalizedName(kept.name), one.sha256, one.filename)
                if one.sha256 not in places and not await self._exists(key):
                    yield one.sha256

    async def _digests(self, name: NormalizedName) -> frozenset[str]:
        """Return what was here of a project, also what was deleted here."""
        try:
            project = (await self.index.catalog.project(name)).project
        except NotFound:
            return frozenset()
        deleted = (one.sha256 for one in project.tombstones)
        return frozenset((*(one.sha256 for one in project.files), *deleted))

    async def _exists(self, key: str) -> bool:
        try:
            await self.index.store.head(key)
        except ObjectNotFound:
            return False
        return True


def _gap(bundle: BundleIndex, last: Arrived | None, missing: int) -> str:
    since = 0 if last is None else last.number
    between = [str(number) for number in range(since + 1, bundle.number)]
    have = "none was taken here" if last is None else f"{since} is here"
    what = (
        f"{', '.join(between)} {'is' if len(between) == 1 else 'are'} missing"
        if between
        else "the one that it follows is another"
    )
    remedy = (
        "make one without --since-bundle"
        if last is None
        else f"make one since bundle {since}"
    )
    return (
        f"Bundle {bundle.number} follows {bundle.number - 1}, and {have}: {what} "
        f"({missing} files that are neither here nor in it). Take that first, or "
        f"{remedy}. Nothing was taken."
    )
