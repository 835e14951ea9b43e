"""Taking a bundle into a store: in order, whole, and as often as one likes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

from attrs import define, field

from pypicloud_tw.errors import Conflict, NotFound, ObjectNotFound
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.moving.bundle.arrived import Arrived, StoredArrived
from pypicloud_tw.moving.bundle.following import Follower
from pypicloud_tw.moving.bundle.identity import KEY as IDENTITY
from pypicloud_tw.moving.bundle.identity import find_identity
from pypicloud_tw.moving.bundle.keeping import Keeper
from pypicloud_tw.moving.bundle.values import BundleIndex, OwnProject
from pypicloud_tw.moving.report import Progress, Report
from pypicloud_tw.moving.sources.bundle import BundleSource
from pypicloud_tw.moving.wanted import Wanted
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.upstream.keeper import StoredPages, file_key
from pypicloud_tw.upstream.standings import Standings


@define
class Arrival:
    """Takes a bundle.

    :ivar wanted: of its projects; others are left.
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

        Of projects of which a later state came before, nothing is taken.

        :raises Conflict: one before it is missing, or it is this index's own; nothing
            was taken. Or another command takes one at the same time.
        :raises StoreError: the store is away.
        """
        began = self.index.clock.seconds()
        await self._refuse_its_own()
        stored = await StoredArrived.read(self.index.store, self._bundle.source)
        last = stored.arrived
        own = [one for one in self._bundle.own if self._is_wanted(one.name)]
        older = frozenset(one.name for one in own if last.is_older(one))
        own = [one for one in own if one.name not in older]
        await self._check(last, own)
        self.source.withhold(older)
        follower = Follower(self.index, self._bundle, self.actor, self.report)
        # Where no state came, the import yanks and makes the status stricter, and
        # nothing is deleted: no bundle has brought it.
        known = [
            (one, old) for one in own if (old := last.project(one.name)) is not None
        ]
        if not self.dry_run:
            # First, so that a later bundle deletes what this one brings, though it be
            # ended before its end.
            new = [one for one in own if last.project(one.name) is None]
            if new:
                stored = await stored.write(last.with_projects(new))
            for project, old in known:
                await follower.prepare(project, old)
        await self.run_import()
        if self.report.stopped is None:
            if not self.dry_run:
                for project, old in known:
                    await follower.follow(project, old)
            await self._keep()
            if not self.dry_run and self.report.exit_code < 2:
                arrived = stored.arrived.with_projects(own)
                if not (older or self.wanted.patterns or self.wanted.excluded):
                    arrived = arrived.with_bundle(self._bundle)
                await stored.write(arrived)
        self.report.seconds = self.index.clock.seconds() - began
        return self.report

    async def _refuse_its_own(self) -> None:
        """Take nothing of what has been here, and may have been changed since."""
        if await find_identity(self.index.store) == self._bundle.source:
            raise Conflict(
                "This bundle was made of this very index. Nothing was taken. If the "
                "store is a copy of that index's, which goes its own way, remove the "
                f"object {IDENTITY} from it."
            )

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

    # -- whether it is the next one ---------------------------------------------------

    async def _check(self, last: Arrived, own: Sequence[OwnProject]) -> None:
        bundle = self._bundle
        if bundle.follows is None or last.has_taken(bundle.id):
            return  # what is there is left
        if last.has_taken(bundle.follows):
            return
        missing = [digest async for digest in self._missing(own)]
        if missing:
            raise Conflict(_gap(bundle, last.number(bundle.of_chain), len(missing)))

    async def _missing(self, own: Iterable[OwnProject]) -> AsyncIterator[str]:
        """Return what is neither here nor in the bundle."""
        places = self.source.bundle.places
        for project in own:
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


def _gap(bundle: BundleIndex, last: int | None, missing: int) -> str:
    since = 0 if last is None else last
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
