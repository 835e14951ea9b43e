"""Mirroring what lock files name: into the cache of the store, or into a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import define, evolve, field

from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import NotFound, PypicloudError
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import NormalizedName, file_identity
from pypicloud_tw.moving.locks.platforms import Wanted
from pypicloud_tw.moving.locks.selection import installed_anywhere
from pypicloud_tw.moving.locks.values import Lock, LockedRelease
from pypicloud_tw.moving.mirror.planning import plan_of
from pypicloud_tw.moving.mirror.values import (
    Mirrored,
    Outcome,
    Plan,
    Report,
    WantedFile,
)
from pypicloud_tw.moving.report import Progress
from pypicloud_tw.upstream.links import Link, every
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.upstream.source import UpstreamIndex

#: Files, or pages, that are asked for at once: what an installer asks for, too.
AT_ONCE = 8


class Destination(Protocol):
    """Where mirrored files go."""

    @property
    def takes_own(self) -> bool:
        """Whether files of this index are wanted there, too."""

    async def has(self, link: Link) -> bool:
        """Return whether a file of the other index is there, checked.

        :raises PypicloudError: that cannot be told.
        """

    async def keep(self, link: Link, source: UpstreamIndex) -> None:
        """Fetch a file of the other index, and its core metadata.

        :raises PypicloudError: it could not be; nothing of it is there.
        """

    async def has_own(self, file: File) -> bool:
        """Return whether a file of this index is there.

        :raises PypicloudError: that cannot be told.
        """

    async def keep_own(self, name: NormalizedName, file: File) -> bool:
        """Copy a file of this index; return whether it was not there before.

        :raises PypicloudError: it could not be.
        """

    async def finish(self) -> None:
        """Do what is to be done at the end.

        :raises PypicloudError: it could not be done.
        """


@define
class Mirror:
    """Fetches what lock files name.

    :ivar upstreams: the other index, behind the operator's rules; it links files to
        this server, whoever serves them.
    :ivar tell: told how far it is, after each file.
    :ivar merge: projects whose files from here and from there are shown together.
    """

    index: Index
    upstreams: Upstreams[Any]
    destination: Destination
    wanted: Wanted
    tell: Callable[[Progress], None] = lambda progress: None
    merge: frozenset[str] = frozenset()
    _done: list[Mirrored] = field(factory=list, init=False)
    _files: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)

    async def run(self, lock: Lock, *, dry_run: bool = False) -> Report:
        """Fetch what is wanted of a lock.

        :param dry_run: only find out what would be fetched.
        """
        releases = installed_anywhere(lock.releases, self.wanted)
        plan = await self._plan(releases)
        self._done = [await self._or_kept(one) for one in plan.done]
        queue = deque(plan.files)

        async def worker() -> None:
            while queue:
                self._count(await self._mirror(queue.popleft(), dry_run))
                self._told(plan)

        await side_by_side(AT_ONCE, worker, queue)
        if not dry_run:
            await self.destination.finish()
        return Report(tuple(self._done), lock.notes, dry_run)

    def _count(self, one: Mirrored) -> None:
        self._done.append(one)
        if one.outcome is Outcome.FETCHED:
            self._files += 1
            self._size += one.size or 0

    def _told(self, plan: Plan) -> None:
        done = len(self._done) - len(plan.done)
        self.tell(Progress(len(plan.files), done, self._files, self._size, "file"))

    async def _plan(
        self, releases: Mapping[NormalizedName, Sequence[LockedRelease]]
    ) -> Plan:
        plans: dict[NormalizedName, Plan] = {}
        queue = deque(releases)

        async def worker() -> None:
            while queue:
                name = queue.popleft()
                plans[name] = await self._plan_project(name, releases[name])

        await side_by_side(AT_ONCE, worker, queue)
        whole = Plan()
        for name in releases:
            whole.add(plans[name])
        return whole

    async def _plan_project(
        self, name: NormalizedName, releases: Sequence[LockedRelease]
    ) -> Plan:
        try:
            own = await self._own(name)
            if own is not None and name not in self.merge:
                return self._plan_own(own, releases)
            page = await self.upstreams.page(name)
        except PypicloudError as e:
            return Plan(done=[_not_mirrored(name, None, e)])
        plan = await self.upstreams.offload.in_thread(
            _plan_links, name, releases, page.links, own, self.wanted
        )
        return self._without_own(plan)

    async def _own(self, name: NormalizedName) -> Project | None:
        """Find a project of ours; None: it is proved that there is none (D5).

        :raises PypicloudError: whether there is one is not known.
        """
        try:
            found = await self.index.catalog.project(name, prove_absence=True)
        except NotFound:
            await self.index.unserved.refuse(name, asks=True)
            return None
        return found.project

    def _plan_own(self, project: Project, releases: Sequence[LockedRelease]) -> Plan:
        plan = plan_of(project.name, releases, project.offered, self.wanted)
        return self._without_own(plan)

    def _without_own(self, plan: Plan) -> Plan:
        """Leave what is in this index already, unless it is wanted elsewhere, too."""
        if self.destination.takes_own:
            return plan
        own = [_became(one, Outcome.OWN) for one in plan.files if one.own is not None]
        return Plan([one for one in plan.files if one.own is None], [*plan.done, *own])

    async def _or_kept(self, one: Mirrored) -> Mirrored:
        """Look whether something is there although the other index has it no more."""
        if one.filename is None or one.sha256 is None:
            return one
        link = Link(one.project, one.filename, "", one.sha256, one.size)
        try:
            there = one.outcome is Outcome.MISSING and await self.destination.has(link)
        except PypicloudError:
            return one
        return evolve(one, outcome=Outcome.THERE, why="") if there else one

    async def _mirror(self, file: WantedFile, dry_run: bool) -> Mirrored:
        try:
            return await self._fetch(file, dry_run)
        except PypicloudError as e:
            return evolve(_not_mirrored(file.project, file.filename, e), size=file.size)

    async def _fetch(self, file: WantedFile, dry_run: bool) -> Mirrored:
        destination = self.destination
        if file.own is not None:
            if dry_run:
                there = await destination.has_own(file.own)
                return _became(file, Outcome.THERE if there else Outcome.PLANNED)
            new = await destination.keep_own(file.project, file.own)
            return _became(file, Outcome.FETCHED if new else Outcome.THERE)
        link = file.link
        assert link is not None, "it is of one of the two"
        # The rules judge each file at its own address, whatever its page shows.
        link, source = await self.upstreams.link(
            file.project, link.segment, link.filename
        )
        if await destination.has(link):
            return _became(file, Outcome.THERE)
        if dry_run:
            return _became(file, Outcome.PLANNED)
        await destination.keep(link, source)
        return _became(file, Outcome.FETCHED)


def _plan_links(
    name: NormalizedName,
    releases: Sequence[LockedRelease],
    packed: bytes,
    own: Project | None,
    wanted: Wanted,
) -> Plan:
    """Plan what the other index has, and this one in its place (upstream.merge)."""
    ours = () if own is None else own.offered
    shadowed = {file_identity(file.filename) for file in ours}
    links = [
        link
        for link in every(packed, name)
        if not shadowed or file_identity(link.filename) not in shadowed
    ]
    return plan_of(name, releases, [*ours, *links], wanted)


def _became(file: WantedFile, outcome: Outcome) -> Mirrored:
    return Mirrored(file.project, outcome, file.filename, file.size)


def _not_mirrored(name: str, filename: str | None, error: PypicloudError) -> Mirrored:
    if isinstance(error, NotFound):
        outcome = Outcome.MISSING
    elif error.status < 500:
        outcome = Outcome.REFUSED
    else:
        outcome = Outcome.FAILED
    return Mirrored(name, outcome, filename, why=error.message)
