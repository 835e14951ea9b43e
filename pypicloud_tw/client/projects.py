"""Projects, asked for and changed through a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from attrs import frozen

from pypicloud_tw.access.administration.values import WHATEVER, Required
from pypicloud_tw.client.api import ApiClient, check_path
from pypicloud_tw.errors import BadRequest
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

_PROJECTS = "projects"

T = TypeVar("T")


@frozen
class RemoteProjects:
    """See :class:`~.interface.ProjectAdministration`; each method is one request."""

    client: ApiClient

    async def projects(
        self, cursor: str | None = None, limit: int = USUAL, query: str | None = None
    ) -> ProjectsPage:
        """See the interface."""
        page = {"cursor": cursor, "limit": str(limit), "q": query}
        return await self._get(ProjectsPage, _PROJECTS, **page)

    async def search(
        self,
        query: str,
        limit: int = USUAL,
        origin: Origin | None = None,
        right: OwnRight | None = None,
    ) -> FoundPage:
        """See the interface."""
        asked = {"q": query, "limit": str(limit), "origin": origin, "right": right}
        return await self._get(FoundPage, "search", **asked)

    async def project(self, name: str) -> ProjectDetail:
        """See the interface."""
        return await self._get(ProjectDetail, _PROJECTS, name)

    async def files(self, name: str) -> ProjectFiles:
        """See the interface."""
        return await self._get(ProjectFiles, _PROJECTS, name, "files")

    async def release(self, name: str, version: str) -> ReleaseDetail:
        """See the interface."""
        return await self._get(
            ReleaseDetail, _PROJECTS, name, *_path(Selection(version))
        )

    async def file(self, name: str, filename: str) -> FileDetail:
        """See the interface."""
        path = _path(Selection(file=filename))
        return await self._get(FileDetail, _PROJECTS, name, *path)

    async def history(
        self, name: str, cursor: str | None = None, limit: int = USUAL
    ) -> HistoryPage:
        """See the interface."""
        page = {"cursor": cursor, "limit": str(limit)}
        return await self._get(HistoryPage, _PROJECTS, name, "history", **page)

    async def yank(
        self,
        name: str,
        what: Selection,
        yank: Yank,
        required: Required = WHATEVER,
    ) -> Done:
        """See the interface."""
        path = (name, *_path(_part(what)), "yanked")
        return await self._act("PUT", *path, value=yank, required=required)

    async def unyank(
        self, name: str, what: Selection, required: Required = WHATEVER
    ) -> Done:
        """See the interface."""
        path = (name, *_path(_part(what)), "yanked")
        return await self._act("DELETE", *path, required=required)

    async def delete(
        self,
        name: str,
        what: Selection,
        required: Required = WHATEVER,
        reason: str | None = None,
    ) -> Done:
        """See the interface."""
        path = (name, *_path(what))
        return await self._act(
            "DELETE", *path, query={"reason": reason}, required=required
        )

    async def restore(
        self, name: str, what: Selection, required: Required = WHATEVER
    ) -> Done:
        """See the interface."""
        return await self._act("POST", name, "restore", value=what, required=required)

    async def set_status(
        self, name: str, change: StatusChange, required: Required = WHATEVER
    ) -> Done:
        """See the interface."""
        return await self._act("PUT", name, "status", value=change, required=required)

    async def undo(self, name: str, undo: Undo, required: Required = WHATEVER) -> Done:
        """See the interface."""
        return await self._act("POST", name, "undo", value=undo, required=required)

    async def server(self) -> ServerStatus:
        """See the interface."""
        return await self._get(ServerStatus, "status")

    async def _get(self, kind: type[T], *path: str, **query: str | None) -> T:
        check_path(path)
        return (await self.client.ask("GET", *path, query=query)).read(kind)

    async def _act(
        self,
        method: str,
        *path: str,
        required: Required,
        value: object = None,
        query: Mapping[str, str | None] | None = None,
    ) -> Done:
        check_path(path)
        answer = await self.client.ask(
            method, _PROJECTS, *path, value=value, query=query, required=required
        )
        return answer.read(Done)


def _path(what: Selection) -> tuple[str, ...]:
    """Name a part of a project as addresses do."""
    if what.file is not None:
        return ("files", what.file)
    if what.version is not None:
        return ("releases", what.version)
    return ()


def _part(what: Selection) -> Selection:
    """Return what is less than a project.

    :raises BadRequest: it is not.
    """
    if what == Selection():
        raise BadRequest("Name a release or a file: a project is not yanked as one.")
    return what
