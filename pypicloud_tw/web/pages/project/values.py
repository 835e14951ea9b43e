"""What a project's page shows, wherever the project comes from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from attrs import frozen

from pypicloud_tw.index.model import ProjectStatus

#: Where a project's files come from.
ServedFrom = Literal["here", "upstream", "both"]


@frozen
class ShownFile:
    """A file of the release that is shown.

    :ivar url: relative to the server's root, or absolute; None: there is no such link.
    :ivar size: bytes; None: nobody tells.
    :ivar kind: what it is, in a word or two.
    :ivar yanked: why it is yanked, which may be empty; None: it is not.
    :ivar metadata: whether its core metadata is beside it, at :attr:`url` with
        ``.metadata`` behind it.
    :ivar provenance: where what is attested of it is, as :attr:`url`.
    """

    filename: str
    url: str | None
    kind: str
    size: int | None = None
    sha256: str | None = None
    uploaded: datetime | None = None
    yanked: str | None = None
    requires_python: str | None = None
    uploader: str | None = None
    publisher: Mapping[str, str] | None = None
    metadata: bool = False
    provenance: str | None = None


@frozen
class ShownRelease:
    """A release in the list.

    :ivar version: empty: of files whose version cannot be told.
    :ivar size: bytes of all files.
    :ivar uploaded: when its first file was; None: nobody tells.
    :ivar yanked: why all of it is, which may be empty; None: it is not.
    """

    version: str
    files: int
    size: int
    uploaded: datetime | None
    yanked: str | None
    prerelease: bool


@frozen
class HiddenRelease:
    """What is not shown, and why.

    :ivar version: None: of several.
    :ivar files: how many.
    """

    version: str | None
    files: int
    rule: str
    reason: str
    lifted_by: str


@frozen
class ShownProject:
    """A project with one of its releases.

    :ivar title: as its first uploader spelled it.
    :ivar version: of the release that is shown; None: there is none.
    :ivar latest: of the release that is shown where none is asked for.
    :ivar releases: the newest first.
    :ivar files: of the release that is shown.
    """

    name: str
    title: str
    origin: ServedFrom
    status: ProjectStatus
    status_reason: str | None
    version: str | None
    latest: str | None
    releases: tuple[ShownRelease, ...]
    files: tuple[ShownFile, ...]
    hidden: tuple[HiddenRelease, ...] = ()

    @property
    def release(self) -> ShownRelease | None:
        """The release that is shown."""
        found = (one for one in self.releases if one.version == self.version)
        return next(found, None)
