"""What packages are taken from, whatever kind of index that is.

A source tells what it has, and opens its files. It checks nothing: digests, names and
archives are judged by whoever takes them. What it cannot read of one project or file it
says in a note, or raises where it is asked for that; the others are taken all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from attrs import field, frozen

from pypicloud_tw.errors import UpstreamError
from pypicloud_tw.index.model import ProjectStatus

_NO_DIGESTS: Mapping[str, str] = MappingProxyType({})


class DamagedSource(UpstreamError):
    """The source itself is damaged: to ask it again comes to the same."""

    code = "damaged-source"


@frozen
class SourceFile:
    """A file that a source has.

    :ivar location: what the source opens it by: an address, a path, a member's name.
    :ivar digests: lower-case hexadecimal, by the algorithm's name as in hashlib.
    :ivar size: in bytes, if it is told.
    :ivar uploaded: when; aware, UTC. None: the source does not tell.
    :ivar yanked: None, or the reason, which may be empty (PEP 592).
    :ivar uploader: who uploaded it, if it is told.
    :ivar provenance: what the source opens its provenance object by (PEP 740).
    :ivar signature: what the source opens its detached signature by (PEP 503).
    """

    filename: str
    location: str
    digests: Mapping[str, str] = field(default=_NO_DIGESTS)
    size: int | None = None
    uploaded: datetime | None = None
    yanked: str | None = None
    uploader: str | None = None
    provenance: str | None = None
    signature: str | None = None


@frozen
class Note:
    """Something of a project that a source has and cannot give.

    :ivar why: a sentence.
    :ivar filename: the file that it is about; None: the whole project.
    :ivar lost: a file is not taken because of it, which counts as one that was refused.
    """

    why: str
    filename: str | None = None
    lost: bool = False


@frozen
class SourceProject:
    """A project that a source has.

    :ivar name: as the source spells it.
    :ivar status: None: the source does not tell, so that it is left as it is.
    """

    name: str
    files: tuple[SourceFile, ...] = ()
    status: ProjectStatus | None = None
    status_reason: str | None = None
    notes: tuple[Note, ...] = ()


class Body(Protocol):
    """A file that was opened; it is read at the reader's pace."""

    @property
    def length(self) -> int | None:
        """How many bytes will come, if that is told."""

    @property
    def modified(self) -> datetime | None:
        """When the file was last changed, if that is told; aware, UTC."""

    async def read(self) -> bytes:
        """Return what has come, at least one byte; empty at the end.

        :raises DamagedSource: its bytes are not those that were put in there.
        :raises PypicloudError: it ended early, or fell silent.
        """

    def close(self) -> None:
        """Read no more of it; harmless at its end, and a second time."""


class Source(Protocol):
    """An index, a folder or an archive that packages are taken from.

    Several projects and files may be asked for at a time; how many at most is for
    whoever asks.
    """

    @property
    def description(self) -> str:
        """What it was taken for and where, for the report: ``devpi at https://...``."""

    async def names(self) -> Sequence[str]:
        """Return the names of all its projects; there may be some 100,000.

        :raises PypicloudError: it cannot be asked, or is not what it was taken for.
        """

    async def project(self, name: str) -> SourceProject:
        """Return what it has of a project.

        :param name: one of :meth:`names`, or one that somebody asked for.
        :raises NotFound: it has no such project.
        :raises PypicloudError: it cannot be asked.
        """

    async def open(self, file: SourceFile) -> Body:
        """Open a file; whoever does so closes it.

        :raises NotFound: it is not there any more.
        :raises PypicloudError: it cannot be asked.
        """

    async def provenance(self, file: SourceFile) -> bytes | None:
        """Return a file's provenance object, as JSON (PEP 740); None: it has none.

        :raises PypicloudError: it cannot be asked.
        """

    async def close(self) -> None:
        """Let go of what it holds."""
