"""Where packages are taken into: the store itself, or a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from attrs import evolve, frozen

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.admission import Claims, Screen
from pypicloud_tw.index.attestations.question import LEAVE_OUT
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.imported import Imported
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.moving.digests import Check
from pypicloud_tw.moving.source import Body
from pypicloud_tw.projects.interface import ProjectAdministration


@frozen
class Parcel:
    """A file on its way, and what is said of it.

    :ivar check: what its bytes must be.
    :ivar size: how many come, if that is known.
    :ivar sha256: of its bytes, if the source tells.
    :ivar attestations: JSON, as for an upload (PEP 740).
    """

    filename: Filename
    imported: Imported
    check: Check
    size: int | None = None
    sha256: str | None = None
    attestations: str | None = None

    def uploaded(self, at: datetime | None) -> Parcel:
        """Say when it was uploaded."""
        return evolve(self, imported=evolve(self.imported, uploaded=at))


@frozen
class Taken:
    """What came of it.

    :ivar was_there: these bytes were there already.
    :ivar warnings: sentences.
    """

    was_there: bool = False
    warnings: tuple[str, ...] = ()


class Destination(Protocol):
    """An index that packages are taken into."""

    @property
    def description(self) -> str:
        """Where that is, for the report."""

    @property
    def projects(self) -> ProjectAdministration:
        """What is there, and what is done with it."""

    @property
    def legacy_formats(self) -> bool:
        """Whether files of older formats may be taken, as far as it is known."""

    async def prepare(self) -> None:
        """Return if files may be taken into it by whoever asks.

        :raises PypicloudError: they may not, or it cannot be asked.
        """

    def screen(self, name: NormalizedName, version: str, sha256: str) -> None:
        """Return if nothing is known against a file.

        :raises PypicloudError: it must not be taken in.
        """

    async def warnings_of_new(self, name: NormalizedName) -> tuple[str, ...]:
        """Return what is to be known of the name of a new project; never fails."""

    def why_no_attestations(self, name: NormalizedName) -> str | None:
        """Say why attestations of a project's files cannot be kept; None: they may."""

    async def take(self, parcel: Parcel, body: Body) -> Taken:
        """Take a file; durable and visible when this returns, else not there at all.

        :raises PypicloudError: it is refused, or could not be done.
        """


async def copy(
    body: Body, check: Check, write: Callable[[bytes], Awaitable[None]]
) -> None:
    """Read a file to its end, checking its bytes.

    :raises PypicloudError: they are others, or it ends early.
    """
    while data := await body.read():
        check.update(data)
        await write(data)
    check.finish()


@frozen
class StoreDestination:
    """See :class:`Destination`: a store, through the publishing of its index.

    :ivar limit: bytes of the largest file.
    """

    description: str
    projects: ProjectAdministration
    publisher: Publisher
    actor: Actor
    screen: Screen
    limit: int

    @property
    def legacy_formats(self) -> bool:
        """See :class:`Destination`."""
        return self.publisher.rules.legacy_formats

    async def prepare(self) -> None:
        """See :class:`Destination`."""
        self.publisher.manifests.check_open()

    async def warnings_of_new(self, name: NormalizedName) -> tuple[str, ...]:
        """See :class:`Destination`."""
        return await self.publisher.warnings_of_new(name)

    def why_no_attestations(self, name: NormalizedName) -> str | None:
        """See :class:`Destination`."""
        try:
            self.publisher.attestations.signers(name, self.actor)
        except BadRequest as e:
            return e.message.partition(LEAVE_OUT)[0].rstrip()
        return None

    async def take(self, parcel: Parcel, body: Body) -> Taken:
        """See :class:`Destination`."""
        size = parcel.size if parcel.size is not None else body.length
        publication = Publication(self.publisher, self.actor, size, self.limit)
        try:
            await publication.begin(parcel.filename)
            await copy(body, parcel.check, publication.write)
            await publication.finish(
                Claims(sha256=parcel.sha256),
                attestations=parcel.attestations,
                screen=self.screen,
                imported=parcel.imported,
            )
        finally:
            await publication.abort()
        return Taken(publication.was_there, publication.warnings)
