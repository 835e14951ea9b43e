"""Another server of this program: its pages, and who uploaded what by its API."""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import define, evolve, frozen

from pypicloud_tw.errors import BadRequest, UpstreamError
from pypicloud_tw.index.names import project_name
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.json_values import NotAsDeclared, decode
from pypicloud_tw.moving.http import HttpBody, SourceHttp
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Note, Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.simple import SimpleSource, root_of
from pypicloud_tw.outbound.origins import is_web, shown
from pypicloud_tw.projects.values import FileDetail, ProjectFiles

_API = "api/v1/"
_SIMPLE = "simple/"


@define(eq=False)
class SameSource:
    """See :class:`~.source.Source`.

    :ivar root: the server's address, with a final slash.
    """

    http: SourceHttp
    root: str

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        return f"pypicloud-tw at {self.root}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        return await self._pages.names()

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`.

        By the API, which knows nothing of what the cache keeps of another index.
        """
        normal = project_name(name)
        document = await self.http.json(f"{self.root}{_API}projects/{normal}/files")
        try:
            told = decode(ProjectFiles, document, strict=False)
        except NotAsDeclared:
            raise UpstreamError(
                f"{shown(self.root)} is of a version that is not understood here."
            ) from None
        project = SourceProject(
            normal,
            tuple(map(self._file, told.files)),
            told.status.status,
            told.status.reason,
        )
        if told.status.status != "quarantined":
            return project
        why = "It is quarantined there, and none of its files is handed out."
        return evolve(project, files=(), notes=(Note(why),))

    def _file(self, file: FileDetail) -> SourceFile:
        return SourceFile(
            file.filename,
            f"{self.root}{file.url}",
            {"sha256": file.sha256},
            file.size,
            file.uploaded,
            file.yanked,
            file.uploader,
            None if file.provenance is None else f"{self.root}{file.provenance}",
        )

    async def open(self, file: SourceFile) -> HttpBody:
        """See :class:`~.source.Source`."""
        return await self.http.open(file.location)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`~.source.Source`."""
        return await self._pages.provenance(file)

    async def close(self) -> None:
        """See :class:`~.source.Source`."""

    @property
    def _pages(self) -> SimpleSource:
        return SimpleSource(self.http, f"{self.root}{_SIMPLE}")


@frozen
class SameKind:
    """See :class:`~.kinds.Kind`."""

    name: str = "pypicloud-tw"
    title: str = "pypicloud-tw"

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        if not is_web(place):
            return False
        url = f"{root_of(place)}{_API}openapi.json"
        page = await tools.http(place).look(url, "application/json")
        try:
            return page is not None and json.loads(page)["info"]["title"] == "pypicloud"
        except DAMAGED:
            return False

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        if not is_web(place):
            raise BadRequest(f"{place} is no address of a server.")
        return SameSource(tools.http(place), root_of(place))
