"""Prunes, planned and carried out on a page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from urllib.parse import urlencode

from attrs import evolve, frozen

from pypicloud_tw.config.retention import Keeping, parse_keeping
from pypicloud_tw.config.rights import Action
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.json_documents import compact
from pypicloud_tw.json_values import NotAsDeclared, from_bytes
from pypicloud_tw.maintenance.retention.plan import (
    PlannedProject,
    PlannedRelease,
    PlanPage,
)
from pypicloud_tw.projects.pruning import PlanQuestion, PruneOrder
from pypicloud_tw.projects.stored_pruning import AdministeredPruning, StoredPruning
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.visits import AdminDoor, AdminVisit

#: Releases that a page plans, and characters of the orders in its form, before it ends
#: with the project that goes beyond; of one project it has as many at most. A page of
#: the most has 80 kB, and its form 55 kB.
MOST, LONGEST = 100, 24_000
#: Characters of the versions of one project.
LONGEST_OF_ONE = 6_000

#: What is said of what is kept, by the parts of a :class:`.Keeping`.
KEEPING = (
    "releases",
    "younger",
    "prereleases",
    "prereleases_younger",
    "dev",
    "dev_younger",
    "fetched",
)


@frozen
class OfferedProject:
    """A project of a plan, as the form names it.

    :ivar order: what is sent to have it done.
    :ivar left_out: how many of its releases the next plan has.
    """

    planned: PlannedProject
    order: str
    left_out: int

    @classmethod
    def of(cls, planned: PlannedProject) -> OfferedProject:
        """Offer as much of it as fits."""
        shown = evolve(planned, releases=_fitting(planned.releases))
        # What is only for people would be most of it.
        order = {
            "project": planned.project,
            "state": planned.state,
            "reason": planned.reason,
            "releases": [{"version": one.version} for one in shown.releases],
        }
        left_out = len(planned.releases) - len(shown.releases)
        return cls(shown, compact(order).decode(), left_out)


@frozen
class Offer:
    """A part of a plan as a page shows it.

    :ivar following: the query of what comes after.
    """

    page: PlanPage
    projects: tuple[OfferedProject, ...]
    following: str | None


@frozen(eq=False)
class PrunePages:
    """Shows plans to whoever may delete something, and carries them out."""

    door: AdminDoor
    administered: AdministeredPruning

    async def show(self, request: Request) -> bytes:
        """Answer a GET of the form, or of a plan."""
        return await self._show(await self.door.enter(request))

    async def apply(self, request: Request) -> bytes:
        """Carry out what was ticked of a plan, and show what came of it."""
        visit = await self.door.open(request)
        doer = await self._doer(visit)
        try:
            visit.check_sure()
            applied = await doer.apply(PruneOrder(_ordered(visit)))
        except BadRequest as e:
            return await self._show(self.door.refuse(visit, e))
        return visit.send("pruned", applied=applied.items)

    async def _show(self, visit: AdminVisit) -> bytes:
        doer = await self._doer(visit)
        asked = {name: visit.asked(f"keep_{name}") for name in KEEPING}
        patterns, offer = visit.asked("projects"), None
        if visit.asked("plan"):
            try:
                offer = await _planned(visit, doer, patterns, asked)
            except BadRequest as e:
                visit = self.door.refuse(visit, e)
        return visit.send(
            "prune",
            asked=asked,
            patterns=patterns,
            offer=offer,
            rules=self.administered.rules.rules,
            query=_query(patterns, asked),
        )

    async def _doer(self, visit: AdminVisit) -> StoredPruning:
        await visit.access.learn(changing=True)
        visit.who.authority.check_some(Action.DELETE)
        if visit.sent:
            visit.access.refuse_while_read_only()
        return StoredPruning(self.administered, visit.who.actor, visit.who.authority)


async def _planned(
    visit: AdminVisit, doer: StoredPruning, patterns: str, asked: Mapping[str, str]
) -> Offer:
    """Plan what the address asks for."""
    page = await doer.plan(
        PlanQuestion(
            tuple(patterns.replace(",", " ").split()),
            _keeping(asked),
            visit.asked("cursor") or None,
        )
    )
    projects: list[OfferedProject] = []
    cursor, releases, characters = page.cursor, 0, 0
    for one in page.items:
        if releases >= MOST or characters >= LONGEST:
            cursor = projects[-1].planned.project
            break
        projects.append(OfferedProject.of(one))
        releases += len(projects[-1].planned.releases)
        characters += len(projects[-1].order)
    following = None
    if cursor is not None:
        following = f"?{_query(patterns, asked)}&{urlencode({'cursor': cursor})}"
    return Offer(page, tuple(projects), following)


def _fitting(releases: Sequence[PlannedRelease]) -> tuple[PlannedRelease, ...]:
    """Leave out what is too much of one project; the next plan has it."""
    characters = accumulate(len(one.version) for one in releases)
    most = bisect_right(list(characters), LONGEST_OF_ONE)
    return tuple(releases[: min(most, MOST)])


def _keeping(asked: Mapping[str, str]) -> Keeping | None:
    """Return what is to be kept; None: the rules of the ini say."""
    if not any(asked.values()):
        return None
    try:
        return parse_keeping({name: text or None for name, text in asked.items()})
    except BadValueError as e:
        raise BadRequest(f"keep_{e}") from None


def _query(patterns: str, asked: Mapping[str, str]) -> str:
    """Return what an address says to have the same planned."""
    keep = {f"keep_{name}": text for name, text in asked.items() if text}
    given = {"projects": patterns} if patterns else {}
    return urlencode({"plan": "1", **given, **keep})


def _ordered(visit: AdminVisit) -> tuple[PlannedProject, ...]:
    """Return the projects that were ticked.

    :raises BadRequest: none were, or something else was sent.
    """
    try:
        orders = visit.form.all("order")
        found = tuple(from_bytes(PlannedProject, one.encode()) for one in orders)
    except NotAsDeclared:
        raise BadRequest("This is not what the plan had: make it anew.") from None
    if not found:
        raise BadRequest("Tick the projects that are to be pruned.")
    return found
