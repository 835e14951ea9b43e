"""What is known of a project without its manifest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from attrs import frozen

from pypicloud_tw.index.model import ProjectStatus
from pypicloud_tw.index.names import NormalizedName

#: Tells of a project, by its name, whether whoever asks may read it.
Reads: TypeAlias = Callable[[str], bool]


@frozen
class DerivedEntry:
    """A project of ours and its newest release.

    The texts are one line each, without controls.

    :ivar version: None: the project offers nothing, or is in quarantine.
    :ivar uploaded: when the first file of the newest release was.
    :ivar uploader: who uploaded it; None: it was adopted.
    :ivar releases: how many it has.
    """

    name: NormalizedName
    display_name: str
    status: ProjectStatus
    version: str | None = None
    summary: str | None = None
    uploaded: datetime | None = None
    uploader: str | None = None
    releases: int = 0


@frozen
class DescribedProject:
    """The same, what is only searched, and of which state of its manifest it is.

    :ivar etag: of the manifest, in that state.
    :ivar serial: of the change that made it; see :class:`.changelog.Changelog`.
    :ivar keywords: of the newest release, in one line.
    :ivar requires: names of the projects that it requires, for its extras too; sorted.
    """

    entry: DerivedEntry
    etag: str
    serial: int = 0
    keywords: str = ""
    requires: tuple[str, ...] = ()


@frozen
class NewestRelease:
    """A release that was uploaded lately."""

    name: NormalizedName
    version: str
    uploaded: datetime
    summary: str | None = None
    uploader: str | None = None
