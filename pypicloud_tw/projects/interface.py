"""What can be asked of projects and done with them, wherever it is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar

from pypicloud_tw.access.administration.values import WHATEVER, Required
from pypicloud_tw.index.model import Selection
from pypicloud_tw.projects.values import (
    USUAL,
    Done,
    FileDetail,
    FoundPage,
    HistoryPage,
    Origin,
    OwnRight,
    ProjectDetail,
    ProjectFiles,
    ProjectsPage,
    ReleaseDetail,
    ServerStatus,
    StatusChange,
    Undo,
    Yank,
)


class ProjectAdministration(Protocol):
    """Projects, shown and changed.

    Every method may raise what says that it cannot be done now
    (:class:`~pypicloud_tw.errors.Unavailable`), or not by whoever asks
    (:class:`~pypicloud_tw.errors.Unauthorized`,
    :class:`~pypicloud_tw.errors.Forbidden`); whatever names something that is not there
    raises :class:`~pypicloud_tw.errors.NotFound`. A name may be spelled in any way, and
    a version as PEP 440 lets it. Every act may be repeated: what is so already is not
    changed. Acts raise also

    - :class:`~pypicloud_tw.errors.BadRequest`: a name or a value cannot be;
    - :class:`~pypicloud_tw.errors.Conflict`: the project's state does not let it be;
    - :class:`~pypicloud_tw.errors.ConditionFailed`: it is not as is required.
    """

    async def projects(
        self,
        cursor: str | None = None,
        limit: int = USUAL,
        query: str | None = None,
    ) -> ProjectsPage:
        """List the projects that the asker may read.

        :param query: only those whose names have all of these words in them.
        :raises BadRequest: the cursor is none of a page before, or the limit too much.
        """

    async def search(
        self,
        query: str,
        limit: int = USUAL,
        origin: Origin | None = None,
        right: OwnRight | None = None,
    ) -> FoundPage:
        """Find projects by words in their names, summaries and keywords.

        Ours come first, then names of other indexes, as far as they are known here:
        nobody else is asked.

        :param origin: only those; None: all.
        :param right: only those of ours with which the asker may do that.
        :raises BadRequest: there are no words, or too many.
        """

    async def project(self, name: str) -> ProjectDetail:
        """Show a project."""

    async def files(self, name: str) -> ProjectFiles:
        """Show all files of a project, whatever release they are of."""

    async def release(self, name: str, version: str) -> ReleaseDetail:
        """Show a release."""

    async def file(self, name: str, filename: str) -> FileDetail:
        """Show a file."""

    async def history(
        self, name: str, cursor: str | None = None, limit: int = USUAL
    ) -> HistoryPage:
        """Show who did what with a project; errors as of :meth:`projects`."""

    async def yank(
        self,
        name: str,
        what: Selection,
        yank: Yank,
        required: Required = WHATEVER,
    ) -> Done:
        """Yank a release or a file, or give another reason."""

    async def unyank(
        self, name: str, what: Selection, required: Required = WHATEVER
    ) -> Done:
        """Take back that it is yanked."""

    async def delete(
        self,
        name: str,
        what: Selection,
        required: Required = WHATEVER,
        reason: str | None = None,
    ) -> Done:
        """Delete a file, a release, or every file of a project.

        :param reason: for the project's history.
        """

    async def restore(
        self, name: str, what: Selection, required: Required = WHATEVER
    ) -> Done:
        """Publish again what was deleted, as it was."""

    async def set_status(
        self, name: str, change: StatusChange, required: Required = WHATEVER
    ) -> Done:
        """Set what has become of a project (PEP 792)."""

    async def undo(self, name: str, undo: Undo, required: Required = WHATEVER) -> Done:
        """Undo an act."""

    async def server(self) -> ServerStatus:
        """Show how the server stands, to whoever administers it."""


T = TypeVar("T")

#: What is to be shown or done, wherever that is.
Work: TypeAlias = Callable[[ProjectAdministration], Awaitable[T]]
