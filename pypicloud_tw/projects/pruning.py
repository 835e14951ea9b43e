"""Prunes, planned and carried out, wherever they are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Protocol

from attrs import evolve, frozen

from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.access.patterns import is_pattern, match_any, project_or_pattern
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.config.retention import Keeping, RetentionRule, check_keeping
from pypicloud_tw.config.rights import Action
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest, PypicloudError
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.maintenance.retention.plan import (
    Plan,
    PlannedProject,
    PlannedRelease,
    PlanPage,
    check_projects,
)
from pypicloud_tw.maintenance.retention.pruner import Applied, FindRule, Pruner
from pypicloud_tw.maintenance.retention.rules import RetentionRules, rules_by_project

#: Names and patterns that a plan may be asked for at once.
MOST_PATTERNS = 100

#: Projects that a prune may be asked for at once, and how many a client sends: each is
#: a swap, and an answer has to begin within a minute.
MOST_PROJECTS, SENT = 500, 50

#: What rules that are in no ini are called in plans and in histories.
ASKED = "as asked"


@frozen
class PlanQuestion:
    """What is to be planned.

    :ivar patterns: names and patterns of projects; none: all that rules are for.
    :ivar keep: what is kept of these; None: the rules of the ini say.
    :ivar cursor: of the page before.
    """

    patterns: tuple[str, ...] = ()
    keep: Keeping | None = None
    cursor: str | None = None


@frozen
class PruneOrder:
    """What of a plan is to be carried out."""

    projects: tuple[PlannedProject, ...]


@frozen
class AppliedPart:
    """What became of it; projects after one that failed are left out."""

    items: tuple[Applied, ...]


class PruningAdministration(Protocol):
    """Prunes, planned and carried out; errors as of :class:`.ProjectAdministration`."""

    async def plan(self, question: PlanQuestion) -> PlanPage:
        """Plan the next projects that the asker may delete from; nothing is changed.

        :raises BadRequest: it is asked for what cannot be.
        """

    async def apply(self, order: PruneOrder) -> AppliedPart:
        """Carry out a plan where nothing changed since; it may be repeated.

        :raises BadRequest: it has no projects, or too many, or one twice.
        """


async def plan_pages(
    pruning: PruningAdministration, question: PlanQuestion
) -> AsyncIterator[PlanPage]:
    """Plan everything, a page at a time."""
    while True:
        page = await pruning.plan(question)
        yield page
        if page.cursor is None:
            return
        question = evolve(question, cursor=page.cursor)


async def make_plan(
    pruning: PruningAdministration,
    question: PlanQuestion,
    report: Callable[[int], None],
) -> Plan:
    """Plan everything.

    :param report: told how many projects were looked at.
    """
    pages: list[PlanPage] = []
    looked_at = 0
    async for page in plan_pages(pruning, question):
        pages.append(page)
        looked_at += page.looked_at
        report(looked_at)
    return Plan.of(pages)


async def apply_plan(
    pruning: PruningAdministration,
    projects: Sequence[PlannedProject],
    report: Callable[[int], None],
) -> tuple[Applied, ...]:
    """Carry out a whole plan; it ends with the first project that fails.

    :param report: told how many projects are done.
    """
    applied: list[Applied] = []
    for part in _parts(projects):
        done = (await pruning.apply(PruneOrder(part))).items
        applied += done
        report(len(applied))
        if any(one.outcome == "failed" for one in done):
            break
    return tuple(applied)


def _parts(projects: Sequence[PlannedProject]) -> Iterator[tuple[PlannedProject, ...]]:
    for begin in range(0, len(projects), SENT):
        yield tuple(map(_without_files, projects[begin : begin + SENT]))


def _without_files(project: PlannedProject) -> PlannedProject:
    """Leave out what is only for people: the state stands for the files."""
    releases = (PlannedRelease(release.version) for release in project.releases)
    return evolve(project, releases=tuple(releases))


@frozen(eq=False)
class AdministeredPruning:
    """What prunes an index, and its rules in force."""

    pruner: Pruner
    rules: RetentionRules

    @classmethod
    def of(
        cls, index: Index, rules: tuple[RetentionRule, ...] = ()
    ) -> AdministeredPruning:
        """Make it for an index with these rules."""
        pruner = Pruner(index, Pieces(index.clock))
        return cls(pruner, RetentionRules(rules))


@frozen
class StoredPruning:
    """:class:`PruningAdministration` in the index itself, for whoever may.

    Whether the asker may is decided by names alone, before anything is looked up; of an
    act, once more in the moment that it is done.
    """

    administered: AdministeredPruning
    actor: Actor
    authority: Authority

    async def plan(self, question: PlanQuestion) -> PlanPage:
        """See :class:`PruningAdministration`."""
        if len(question.patterns) > MOST_PATTERNS:
            raise BadRequest(f"Give at most {MOST_PATTERNS} names and patterns.")
        patterns = tuple(map(project_or_pattern, question.patterns))
        self._check_some(patterns)
        find = self._finding(patterns, question.keep)
        return await self.administered.pruner.page(self._allowed(find), question.cursor)

    async def apply(self, order: PruneOrder) -> AppliedPart:
        """See :class:`PruningAdministration`."""
        names = [project_name(one.project) for one in order.projects]
        for name in names:
            self._check(name)
        if not 0 < len(names) <= MOST_PROJECTS:
            raise BadRequest(f"Give 1 to {MOST_PROJECTS} projects of a plan.")
        check_projects(order.projects)
        pruner = self.administered.pruner
        applied = await pruner.apply(order.projects, self.actor, self._check)
        return AppliedPart(applied)

    def _check_some(self, patterns: Iterable[str]) -> None:
        """Return if there can be anything that they may ask for.

        :raises Unauthorized: there cannot; and so on as of :meth:`.Authority.check`.
        """
        names = [one for one in patterns if not is_pattern(one)]
        for name in names:
            self._check(NormalizedName(name))
        if not names:
            self.authority.check_some(Action.DELETE)

    def _check(self, name: NormalizedName) -> None:
        self.authority.check(Action.DELETE, name)

    def _allowed(self, find: FindRule) -> FindRule:
        """Leave out the projects from which the asker may not delete."""

        def find_allowed(name: NormalizedName) -> RetentionRule | None:
            rule = find(name)
            if rule is not None:
                try:
                    self._check(name)
                except PypicloudError:
                    return None
            return rule

        return find_allowed

    def _finding(self, patterns: tuple[str, ...], keep: Keeping | None) -> FindRule:
        if keep is None:
            find = self.administered.rules.find
            return lambda name: (
                find(name) if not patterns or match_any(patterns, name) else None
            )
        try:
            check_keeping(keep)
        except BadValueError as e:
            raise BadRequest(f"keep.{e}") from None
        if not patterns:
            raise BadRequest(
                "Name the projects that these numbers are for; '*' stands for all."
            )
        if keep.keeps_all:
            raise BadRequest("Say what is kept: as it stands, nothing would ever go.")
        return rules_by_project([RetentionRule(ASKED, patterns, keep)]).find
