"""The plan of a prune: what would be deleted and why, as a value and a JSON document.

A plan says what it was made of. It is carried out only where a project is still in the
state that the plan tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, TypeVar

from attrs import field, frozen

from pypicloud_tw.config.retention import RetentionRule
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.model import LONGEST_REASON
from pypicloud_tw.index.names import MAX_FILENAME, MAX_VERSION, project_name
from pypicloud_tw.json_values import NotAsDeclared, from_bytes, longest

#: The form of the document.
FORMAT = 1

T = TypeVar("T")


@frozen
class PlannedFile:
    """A file that goes.

    :ivar size: bytes.
    """

    filename: str = field(metadata=longest(MAX_FILENAME))
    size: int


@frozen
class PlannedRelease:
    """A release that goes, with all of its files.

    All but the version is for people, and need not be there to carry it out.

    :ivar reason: why.
    :ivar uploaded: when its newest file was.
    """

    version: str = field(metadata=longest(MAX_VERSION))
    reason: str = ""
    uploaded: datetime | None = None
    files: tuple[PlannedFile, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)


@frozen
class PlannedProject:
    """A project some of whose releases go.

    :ivar state: of the project when the plan was made.
    :ivar reason: the rule, for the project's history.
    """

    project: str
    state: str
    reason: str = field(metadata=longest(LONGEST_REASON, one_line=True))
    releases: tuple[PlannedRelease, ...]

    @property
    def files(self) -> int:
        """How many files go."""
        return sum(len(release.files) for release in self.releases)

    @property
    def size(self) -> int:
        """Bytes of these files."""
        return sum(release.size for release in self.releases)


@frozen
class Totals:
    """How much goes.

    :ivar looked_at: how many projects a rule is for.
    :ivar size: bytes.
    """

    looked_at: int
    projects: int
    releases: int
    files: int
    size: int

    @classmethod
    def of(cls, looked_at: int, projects: Iterable[PlannedProject]) -> Totals:
        """Add up."""
        listed = tuple(projects)
        return cls(
            looked_at,
            len(listed),
            sum(len(one.releases) for one in listed),
            sum(one.files for one in listed),
            sum(one.size for one in listed),
        )


@frozen
class PlanPage:
    """A part of a plan: projects in the order of their names.

    :ivar made: when.
    :ivar rules: those that decided of a project in it; of each, the pattern that did.
    :ivar notices: what did not go and should be known, a sentence each.
    :ivar looked_at: how many projects a rule is for.
    :ivar cursor: gives what follows; None: nothing does.
    """

    made: datetime
    rules: tuple[RetentionRule, ...]
    items: tuple[PlannedProject, ...]
    notices: tuple[str, ...]
    looked_at: int
    cursor: str | None = None


@frozen
class Plan:
    """A whole plan; members as of :class:`PlanPage`.

    :ivar made: when it was begun.
    """

    format: int
    made: datetime
    rules: tuple[RetentionRule, ...]
    projects: tuple[PlannedProject, ...]
    notices: tuple[str, ...]
    totals: Totals

    @classmethod
    def of(cls, pages: Iterable[PlanPage]) -> Plan:
        """Put the pages of a plan together."""
        listed = tuple(pages)
        projects = tuple(one for page in listed for one in page.items)
        looked_at = sum(page.looked_at for page in listed)
        return cls(
            FORMAT,
            min(page.made for page in listed),
            _once(rule for page in listed for rule in page.rules),
            projects,
            _once(notice for page in listed for notice in page.notices),
            Totals.of(looked_at, projects),
        )


def _once(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


@frozen
class Applied:
    """What became of a project of a plan.

    :ivar outcome: ``pruned``; ``done``: it had been pruned so before; ``changed``: it
        is not as the plan has it any more, and stays; ``refused``: it may not be;
        ``failed``: it could not be done now.
    :ivar sentence: why, where it was not pruned.
    :ivar act: the id of the act, by which it can be undone.
    """

    project: str
    outcome: Literal["pruned", "done", "changed", "refused", "failed"]
    sentence: str | None = None
    act: str | None = None
    releases: int = 0
    files: int = 0


@frozen
class _Head:
    """What a plan of any format has."""

    format: int


def read_plan(data: bytes) -> Plan:
    """Read a plan that was saved, and perhaps edited since.

    :raises BadRequest: it is none, or no plan that can be carried out here.
    """
    try:
        head = from_bytes(_Head, data, strict=False)
        if head.format != FORMAT:
            raise BadRequest(
                f"The plan is of format {head.format}, and this version reads {FORMAT}:"
                " make it anew."
            )
        plan = from_bytes(Plan, data)
    except NotAsDeclared as e:
        raise BadRequest(f"This is no plan of a prune. {e}") from None
    check_projects(plan.projects)
    return plan


def check_projects(projects: Iterable[PlannedProject]) -> None:
    """Return if each project is there once, and has something that goes.

    :raises BadRequest: not so.
    """
    seen: set[str] = set()
    for one in projects:
        name = project_name(one.project)
        if name in seen:
            raise BadRequest(f"The plan has the project {name} twice.")
        if not one.releases:
            raise BadRequest(f"The plan has no release of the project {name}.")
        seen.add(name)
