"""What can be asked about the inside of a release and its files."""

from __future__ import annotations

from typing import Protocol

from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.described.values import (
    Contents,
    DependencyChanges,
    MemberText,
    ReleaseMetadata,
    RenderedDescription,
)


class Described(Protocol):
    """Tells what releases and their files say of themselves.

    Whoever asks has checked that the reader may read the project. Every method may
    raise

    - :class:`~pypicloud_tw.errors.NotFound`: there is no such project, release or file;
    - :class:`~pypicloud_tw.errors.Forbidden`: the project is quarantined, or
      :class:`~pypicloud_tw.errors.RefusedByRule`: what is another index's may not be
      had now;
    - :class:`~pypicloud_tw.errors.UpstreamError`: the other index fails;
    - :class:`~pypicloud_tw.errors.Unavailable`: the store is away, or too many ask.
    """

    async def metadata(
        self, name: NormalizedName, version: str
    ) -> ReleaseMetadata | None:
        """Return what a release says of itself; None: nothing is known of it.

        :param version: as PEP 440 lets it be spelled.
        """

    async def description(
        self, name: NormalizedName, version: str
    ) -> RenderedDescription:
        """Return a release's description for a page."""

    async def rendered(self, metadata: ReleaseMetadata) -> RenderedDescription:
        """Return the description of metadata that is at hand; never raises."""

    async def contents(
        self, name: NormalizedName, filename: str, cursor: str | None = None
    ) -> Contents:
        """List what is in a file, part by part.

        :param cursor: of the part before.
        :raises BadRequest: it cannot be looked into, as the sentence says; or the
            cursor is none.
        """

    async def member(
        self, name: NormalizedName, filename: str, path: str
    ) -> MemberText:
        """Read the beginning of a file that is in a file.

        :param path: as :attr:`.ArchiveMember.path` has it.
        :raises BadRequest: the outer file cannot be looked into.
        """

    async def compare(
        self, name: NormalizedName, old: str, new: str
    ) -> DependencyChanges:
        """Tell what changes of what a project needs from one version to another.

        :raises NotFound: also where one of them tells nothing of that.
        """
