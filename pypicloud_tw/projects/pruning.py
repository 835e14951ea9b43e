"""Prunes, planned and carried out, wherever they are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Protocol

from attrs import evolve, frozen

from pypicloud_tw.config.retention import Keeping
from pypicloud_tw.maintenance.retention.plan import (
    Applied,
    Plan,
    PlannedProject,
    PlannedRelease,
    PlanPage,
)

#: Names and patterns that a plan may be asked for at once.
MOST_PATTERNS = 100

#: Projects that a prune may be asked for at once, and how many a client sends: each is
#: a swap, and an answer has to begin within a minute.
MOST_PROJECTS, SENT = 500, 50


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
