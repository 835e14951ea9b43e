"""JFrog Artifactory: its simple pages, and what its storage tells of each file.

``GET /api/storage/REPO/PATH`` has a file's digests, its size, when it came and from
whom (jfrog.com, "File Info"). Every edition has it, for everybody who may read; lists
(``?list``) and the query language ask for more.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from urllib.parse import quote, unquote

from attrs import evolve, field, frozen

from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import BadRequest, Forbidden, NotFound, Unauthorized
from pypicloud_tw.json_values import longest
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.answers import moment, understood, with_facts
from pypicloud_tw.moving.sources.simple import (
    BehindPages,
    SimpleSource,
    folder,
    matched,
)

_TITLE = "Artifactory"

_ADDRESS = re.compile(
    r"(?P<root>https?://[^/]+/(?:[^/]+/)*?)api/pypi/(?P<name>[^/]+)/(?:simple/)?"
)

#: Files of a project that are asked for at a time.
_AT_ONCE = 4

#: What stands before a file's path where installers are sent.
_MOUNT = "packages/"


@frozen
class _Checksums:
    sha256: str | None = None


@frozen
class _FileInfo:
    """What is told of a file.

    :ivar created: when it came into this repository.
    :ivar size: in bytes; a number that is written as a text.
    """

    created: str
    createdBy: str | None = field(default=None, metadata=longest(1024, one_line=True))
    size: str | None = None
    checksums: _Checksums = _Checksums()


@frozen
class ArtifactorySource(BehindPages):
    """See :class:`~.source.Source`.

    :ivar simple: the repository, as installers see it.
    :ivar root: the address of Artifactory, with its final slash.
    :ivar repository: its key.
    """

    root: str
    repository: str

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        return f"the repository {self.repository} of {_TITLE} at {self.root}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        try:
            return await self.simple.names()
        except NotFound:
            raise NotFound(
                f"{_TITLE} at {self.root} has no repository of Python packages that "
                f"is called {self.repository}, or has it for others than this log-in."
            ) from None

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`."""
        project = await self.simple.project(name)
        files = list(project.files)
        todo = deque(range(len(files)))

        async def ask() -> None:
            while todo:
                at = todo.popleft()
                files[at] = await self._with_facts(files[at])

        await side_by_side(_AT_ONCE, ask, todo)
        return evolve(project, files=tuple(files))

    async def _with_facts(self, file: SourceFile) -> SourceFile:
        info = await self._info(file)
        if info is None:
            return file
        size = info.size
        return with_facts(
            file,
            info.checksums.sha256,
            size=int(size[:18]) if size is not None and size.isdecimal() else None,
            uploaded=file.uploaded or moment(info.created, self.root, _TITLE),
            uploader=info.createdBy or None,
        )

    async def _info(self, file: SourceFile) -> _FileInfo | None:
        """Ask for a file; None: it is not kept here, a remote's that nobody fetched."""
        mount = f"{self.root}api/pypi/{self.repository}/"
        if not file.location.startswith(mount):
            return None
        path = unquote(file.location.removeprefix(mount))
        # What is kept of a remote repository has packages/ in its own path, too.
        for kept in dict.fromkeys((path.removeprefix(_MOUNT), path)):
            url = f"{self.root}api/storage/{self.repository}/{quote(kept)}"
            try:
                return understood(
                    _FileInfo, await self.simple.http.json(url), url, _TITLE
                )
            except NotFound:
                continue
            except (Unauthorized, Forbidden) as e:
                raise type(e)(
                    f"{_TITLE} at {self.root} does not tell this log-in when files "
                    f"came (status {e.status} of {_TITLE}'s api/storage): give one "
                    f"that may read {self.repository}, with a token or API key as "
                    "password. To take files without times and uploaders: --kind "
                    "simple."
                ) from None
        return None


@frozen
class ArtifactoryKind:
    """Takes the addresses that Artifactory shows for pip."""

    name: str = "artifactory"
    title: str = _TITLE

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        return matched(_ADDRESS, place) is not None

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        found = matched(_ADDRESS, place)
        if found is None:
            raise BadRequest(
                f"{folder(place)} is no address of a repository of {_TITLE}, which are "
                "https://HOST/artifactory/api/pypi/REPOSITORY/simple."
            )
        root, name = found["root"], found["name"]
        simple = SimpleSource(tools.http(place), f"{root}api/pypi/{name}/simple/")
        return ArtifactorySource(simple, root, name)
