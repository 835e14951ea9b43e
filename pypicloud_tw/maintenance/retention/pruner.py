"""Planning and carrying out a prune, project by project."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime

from attrs import define, field
from twisted.internet.defer import DeferredSemaphore

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.config.retention import RetentionRule
from pypicloud_tw.errors import (
    ConditionFailed,
    Conflict,
    ManifestDamaged,
    ManifestLost,
    NotFound,
    ObjectUnreadable,
    PypicloudError,
    Unavailable,
)
from pypicloud_tw.index.acts import state_of
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.model import FORMAT, Project
from pypicloud_tw.index.names import NormalizedName, comparable_versions, project_name
from pypicloud_tw.maintenance.retention.judgement import (
    Fetched,
    due_releases,
    is_covered,
)
from pypicloud_tw.maintenance.retention.plan import Applied, PlannedProject, PlanPage

#: Projects of a page, and files that it plans: a few seconds, and some
#: hundred kilobytes.
PAGE, MOST_FILES = 500, 2_000

#: Manifests that are read, or swapped, at a time.
AT_ONCE = 8

#: Pages that are planned at a time; whoever asks for more waits.
PLANS_AT_ONCE = 2

#: What says nothing of the other projects, nor of the store.
_OF_ONE_PROJECT = (ManifestDamaged, ManifestLost, ObjectUnreadable)

#: Names that are looked at in a piece.
_NAMES = 250

#: Tells what is known of when the releases of a project were fetched; None: nothing.
LastFetched = Callable[[NormalizedName], Awaitable[Fetched | None]]

#: The rule of a project; None: there is none, or it is not to be looked at.
FindRule = Callable[[NormalizedName], RetentionRule | None]


async def nothing_known(project: NormalizedName) -> Fetched | None:
    """Know nothing of what was fetched."""
    return None


def _allow(project: NormalizedName) -> None:
    """Allow it."""


@define
class Pruned:
    """What a run without a plan for people came to.

    :ivar stayed: why projects were not pruned, a sentence each.
    """

    projects: int = 0
    releases: int = 0
    files: int = 0
    notices: dict[str, None] = field(factory=dict)
    stayed: list[str] = field(factory=list)

    @property
    def sentence(self) -> str:
        """Say how much it was."""
        return (
            f"{self.releases} releases of {self.projects} projects, with "
            f"{self.files} files, are pruned"
        )

    def add(self, page: PlanPage, applied: Iterable[Applied]) -> None:
        """Count a page and what became of it.

        :raises Unavailable: a project failed for want of the store.
        """
        self.notices |= dict.fromkeys(page.notices)
        for one in applied:
            if one.outcome == "failed":
                raise Unavailable(f"{one.sentence} Before, {self.sentence}.")
            if one.outcome == "pruned":
                self.projects += 1
                self.releases += one.releases
                self.files += one.files
            else:
                self.stayed.append(f"{one.project}: {one.sentence}")


@define(eq=False)
class Pruner:
    """Plans and carries out prunes of one index.

    :ivar fetched: tells when releases were fetched.
    :ivar most_projects: that a page has.
    :ivar most_files: that a page plans, before it ends with the project that goes
        beyond.
    """

    index: Index
    pieces: Pieces
    fetched: LastFetched = nothing_known
    most_projects: int = PAGE
    most_files: int = MOST_FILES
    _turns: DeferredSemaphore = field(
        factory=lambda: DeferredSemaphore(PLANS_AT_ONCE), init=False
    )

    async def page(self, find: FindRule, after: str | None = None) -> PlanPage:
        """Plan the next projects, in the order of their names.

        Each manifest is read once.

        :param after: the name that the page before ended with; None: the first page.
        :raises StoreError: the store is away.
        """
        await self._turns.acquire()
        try:
            return await self._page(find, after)
        finally:
            self._turns.release()

    async def _page(self, find: FindRule, after: str | None) -> PlanPage:
        names = await self.index.catalog.names()
        begin = 0 if after is None else bisect_right(names, after)
        chosen = await self.pieces.finish(
            _next_projects(names[begin:], find, self.most_projects)
        )
        planning = _Planning(self, deque(chosen))
        await side_by_side(AT_ONCE, planning.work, planning.queue)
        return planning.page()

    async def apply(
        self,
        plan: Sequence[PlannedProject],
        actor: Actor,
        check: Callable[[NormalizedName], None] = _allow,
    ) -> tuple[Applied, ...]:
        """Carry out a plan; each project by one act, if it is as it was then.

        It may be repeated. After the first that fails for want of the store no other
        is begun, and is not in the answer.

        :param check: raises where that may not be done, now.
        :raises BadRequest: a project has no name.
        """
        applying = _Applying(self.index, actor, check, deque(plan))
        await side_by_side(AT_ONCE, applying.work, applying.queue)
        return tuple(sorted(applying.done, key=lambda one: one.project))

    async def prune(self, find: FindRule, actor: Actor) -> Pruned:
        """Plan and carry out, a page at a time.

        :raises Unavailable: it was broken off; what was pruned is.
        """
        pruned, after = Pruned(), None
        while True:
            page = await self.page(find, after)
            pruned.add(page, await self.apply(page.items, actor))
            after = page.cursor
            if after is None:
                return pruned

    def now(self) -> datetime:
        """Return the time."""
        return datetime.fromtimestamp(self.index.clock.seconds(), UTC)


def _next_projects(
    names: Sequence[NormalizedName], find: FindRule, most: int
) -> Steps[list[tuple[NormalizedName, RetentionRule]]]:
    """Find the projects of a page."""
    chosen: list[tuple[NormalizedName, RetentionRule]] = []
    for batch in batches(names, _NAMES):
        yield
        for name in batch:
            if (rule := find(name)) is not None:
                chosen.append((name, rule))
                if len(chosen) == most:
                    return chosen
    return chosen


@define(eq=False)
class _Planning:
    """One page of a plan in the making.

    Projects are taken off the queue in their order, and each that was taken is looked
    at: what is left in the queue at the end is another page's.
    """

    pruner: Pruner
    queue: deque[tuple[NormalizedName, RetentionRule]]
    now: datetime = field(init=False)
    planned: list[PlannedProject] = field(factory=list, init=False)
    rules: dict[RetentionRule, None] = field(factory=dict, init=False)
    notices: dict[str, None] = field(factory=dict, init=False)
    looked_at: int = field(default=0, init=False)
    files: int = field(default=0, init=False)
    last: NormalizedName | None = field(default=None, init=False)
    full: bool = field(default=False, init=False)

    @now.default
    def _begin(self) -> datetime:
        return self.pruner.now()

    def __attrs_post_init__(self) -> None:
        self.full = len(self.queue) == self.pruner.most_projects

    async def work(self) -> None:
        """Look at projects until there are none, or enough."""
        while self.queue and self.files < self.pruner.most_files:
            name, rule = self.queue.popleft()
            self.last = name
            self.looked_at += 1
            self.rules[rule] = None
            try:
                await self._look(name, rule)
            except NotFound:
                continue  # its manifest went between the listing and now
            except _OF_ONE_PROJECT as e:
                self.notices[e.message] = None

    async def _look(self, name: NormalizedName, rule: RetentionRule) -> None:
        keep = rule.keep
        if keep.keeps_all:
            return
        fetched = None if keep.fetched is None else await self.pruner.fetched(name)
        if not is_covered(keep, fetched, self.now):
            self.notices[_NOT_COVERED.format(rule.name)] = None
            return
        project = (await self.pruner.index.manifests.read(name)).project
        if project.format > FORMAT:
            self.notices[_newer(project)] = None
            return
        steps = due_releases(project, keep, self.now, fetched)
        releases = await self.pruner.pieces.finish(steps)
        if releases:
            reason = f"retention {rule.name}: {keep.text}"
            planned = PlannedProject(name, state_of(project), reason, releases)
            self.planned.append(planned)
            self.files += planned.files

    def page(self) -> PlanPage:
        """Return what it came to."""
        more = self.full or self.queue
        return PlanPage(
            self.now,
            tuple(self.rules),
            tuple(sorted(self.planned, key=lambda one: one.project)),
            tuple(self.notices),
            self.looked_at,
            self.last if more else None,
        )


def _newer(project: Project) -> str:
    return f"{project.name} was written by a newer version, and is left: upgrade this."


_NOT_COVERED = (
    "The rule {} keeps what was fetched lately (keep_fetched), and there are no "
    "statistics that reach back so far: nothing goes by it."
)


@define(eq=False)
class _Applying:
    """A plan that is being carried out."""

    index: Index
    actor: Actor
    check: Callable[[NormalizedName], None]
    queue: deque[PlannedProject]
    done: list[Applied] = field(factory=list, init=False)

    async def work(self) -> None:
        """Prune projects until there are none, or one fails."""
        while self.queue:
            one = self.queue.popleft()
            try:
                self.done.append(await self._prune(one))
            except _OF_ONE_PROJECT as e:
                self.done.append(Applied(one.project, "refused", e.message))
            except Unavailable as e:
                self.queue.clear()
                self.done.append(Applied(one.project, "failed", e.message))
            except ConditionFailed as e:
                self.done.append(Applied(one.project, "changed", e.message))
            except PypicloudError as e:
                self.done.append(Applied(one.project, "refused", e.message))

    async def _prune(self, one: PlannedProject) -> Applied:
        def check(project: Project) -> None:
            self.check(project.name)
            check_unchanged(project, one)

        acted = await self.index.acts.prune(
            project_name(one.project),
            [release.version for release in one.releases],
            reason=one.reason,
            actor=self.actor,
            check=check,
        )
        if acted.entry is None:
            return Applied(one.project, "done", "This had been done before.")
        return Applied(
            one.project,
            "pruned",
            act=acted.entry.id,
            releases=len(one.releases),
            files=acted.entry.count,
        )


def check_unchanged(project: Project, plan: PlannedProject) -> None:
    """Return if a project is as a plan has it; or was pruned so before.

    :raises ConditionFailed: something changed since.
    :raises Conflict: nothing of it would be left, or it is quarantined, or a newer
        version wrote it: no plan that was made here says so.
    """
    plan_versions = (release.version for release in plan.releases)
    going = {*comparable_versions(plan_versions).values()}
    here = {*comparable_versions(file.version for file in project.files).values()}
    if not going & here:
        return  # of what never was the act itself tells
    if state_of(project) != plan.state:
        raise ConditionFailed(
            f"{project.name} has changed since the plan was made: make another."
        )
    if project.format > FORMAT:
        raise Conflict(_newer(project))
    if project.status == "quarantined":
        raise Conflict(f"{project.name} is quarantined: nothing of it is pruned.")
    if here <= going:
        raise Conflict(
            f"Nothing of {project.name} would be left: delete it, if need be."
        )
