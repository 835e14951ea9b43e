"""A bundle of another index, as ``pypicloud bundle`` makes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from pypicloud_tw.errors import Conflict, NotFound, PayloadTooLarge
from pypicloud_tw.moving.bundle.tar import OpenedBundle, is_bundle, open_bundle
from pypicloud_tw.moving.bundle.values import MAX_SMALL, OwnFile, OwnProject
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import (
    DamagedSource,
    Source,
    SourceFile,
    SourceProject,
)
from pypicloud_tw.offload.service import IOffload

#: Bytes that are read at once.
_PIECE = 256 * 1024


@frozen
class BundleKind:
    """See :class:`.Kind`."""

    name: str = "bundle"
    title: str = "bundle"

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`.Kind`."""
        if "://" in place:
            return False
        return await tools.offload.in_thread(is_bundle, Path(place))

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`.Kind`."""
        opened = await tools.offload.in_thread(open_bundle, Path(place))
        return BundleSource(opened, tools.offload)


@define(eq=False)
class BundleSource:
    """The projects of the index that a bundle is about; see :class:`.Source`.

    :ivar bundle: what is kept of the other index lies in it, too.
    :ivar older: names of projects of which a later state is known where it is taken.
    """

    bundle: OpenedBundle
    offload: IOffload
    older: Collection[str] = field(default=(), init=False)
    _projects: dict[str, OwnProject] = field(init=False)

    @_projects.default
    def _by_name(self) -> dict[str, OwnProject]:
        return {project.name: project for project in self.bundle.index.own}

    @property
    def description(self) -> str:
        """See :class:`.Source`."""
        return f"bundle {self.bundle.index.number} ({self.bundle.path.name})"

    async def names(self) -> Sequence[str]:
        """See :class:`.Source`."""
        return list(self._projects)

    async def project(self, name: str) -> SourceProject:
        """See :class:`.Source`."""
        project = self._projects.get(name)
        if project is None:
            raise NotFound(f"The bundle has no project {name}.")
        if name in self.older:
            raise Conflict(
                "A bundle with a later state of it was taken here; it is left as it is."
            )
        return SourceProject(
            project.display_name,
            tuple(map(_source_file, project.files)),
            project.status,
            project.status_reason,
        )

    def withhold(self, older: Collection[str]) -> None:
        """Hand out no projects of which a later state is known."""
        self.older = older

    async def open(self, file: SourceFile) -> BundleBody:
        """See :class:`.Source`.

        :raises NotFound: an earlier bundle has brought it.
        """
        if file.location not in self.bundle.places:
            raise NotFound("It was in an earlier bundle, and is not in this one.")
        return BundleBody(self.bundle, self.offload, file.location)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`.Source`."""
        if file.provenance is None or file.provenance not in self.bundle.places:
            return None
        body = BundleBody(self.bundle, self.offload, file.provenance)
        return await body.read_all()

    async def close(self) -> None:
        """See :class:`.Source`."""


@define(eq=False)
class BundleBody:
    """A member of a bundle; see :class:`.Body`."""

    bundle: OpenedBundle
    offload: IOffload
    digest: str
    modified: datetime | None = None
    _at: int = field(default=0, init=False)
    _read: Any = field(factory=sha256, init=False)

    @property
    def length(self) -> int:
        """See :class:`.Body`."""
        return self.bundle.places[self.digest][1]

    async def read(self) -> bytes:
        """See :class:`.Body`.

        :raises DamagedSource: its digest is another; told before its last bytes are
            handed out.
        """
        return await self.offload.in_thread(self._next)

    def _next(self) -> bytes:
        data = self.bundle.read(self.digest, self._at, _PIECE)
        self._at += len(data)
        self._read.update(data)
        if self._at == self.length and self._read.hexdigest() != self.digest:
            raise DamagedSource("Its bytes in the bundle are not those that it says.")
        return data

    async def read_all(self) -> bytes:
        """Read a small one whole.

        :raises PayloadTooLarge: it is not small.
        """
        if self.length > MAX_SMALL:
            raise PayloadTooLarge(
                f"An object that is read whole has more than {MAX_SMALL} bytes."
            )
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """See :class:`.Body`."""


def _source_file(file: OwnFile) -> SourceFile:
    return SourceFile(
        file.filename,
        file.sha256,
        {"sha256": file.sha256},
        file.size,
        file.uploaded,
        file.yanked,
        file.uploader,
        file.provenance,
    )
