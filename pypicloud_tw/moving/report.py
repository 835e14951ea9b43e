"""What became of what was to be taken."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import define, field, frozen

from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.moving.source import DamagedSource

#: ``refused``: by a rule or for what it is; ``failed``: it could not be had or kept,
#: which may be different another time; ``noted``: it was taken, or there, and something
#: is to be known of it.
Trouble: TypeAlias = Literal["refused", "failed", "noted"]


@frozen
class Remark:
    """Something that is to be known of a project or a file.

    :ivar filename: None: it is about the project.
    :ivar why: a sentence.
    """

    project: str
    filename: str | None
    trouble: Trouble
    why: str


@define
class ProjectReport:
    """What became of one project.

    :ivar taken: files, or with ``--dry-run`` those that would be.
    :ivar there: files that were there already.
    :ivar size: bytes of those that were taken, as far as they are known.
    :ivar untold: how many of these have no size that is known.
    :ivar yanked: files that were there and are yanked now.
    :ivar status: that it has now; None: that was not changed.
    """

    project: str
    taken: int = 0
    there: int = 0
    refused: int = 0
    failed: int = 0
    size: int = 0
    untold: int = 0
    yanked: int = 0
    status: str | None = None


@define
class Report:
    """What became of all.

    :ivar source: what the source was taken for, and where.
    :ivar remarks: about projects and files, as they came up.
    :ivar stopped: why it was ended before its end; None: it was not.
    :ivar damaged: something failed because the source is damaged.
    """

    source: str
    destination: str
    dry_run: bool
    projects: list[ProjectReport] = field(factory=list)
    remarks: list[Remark] = field(factory=list)
    seconds: float = 0.0
    stopped: str | None = None
    damaged: bool = False

    def not_taken(
        self,
        of: ProjectReport,
        filename: str | None,
        error: PypicloudError,
        *,
        refused: bool,
    ) -> None:
        """Write down why something of a project was not taken.

        :param refused: to try again would come to the same.
        """
        of.refused += refused
        of.failed += not refused
        self.damaged |= isinstance(error, DamagedSource)
        trouble: Trouble = "refused" if refused else "failed"
        self.remark(of.project, filename, trouble, error.message)

    def remark(
        self, project: str, filename: str | None, trouble: Trouble, why: str
    ) -> None:
        """Add something that is to be known."""
        self.remarks.append(Remark(project, filename, trouble, why))

    def total(self, of: str) -> int:
        """Sum up what the reports of projects have under a name."""
        return sum(getattr(project, of) for project in self.projects)

    @property
    def exit_code(self) -> int:
        """1 where something was refused, 2 where something could not be done."""
        failed = any(one.trouble == "failed" for one in self.remarks)
        if failed or self.stopped is not None:
            return 2
        return 1 if any(one.trouble == "refused" for one in self.remarks) else 0


@frozen
class Progress:
    """How far it is.

    :ivar projects: how many there are in all.
    :ivar done: how many of them are done.
    :ivar files: that were taken so far, and *size* their bytes.
    :ivar what: it is that they are counted in.
    """

    projects: int
    done: int
    files: int
    size: int
    what: str = "project"
