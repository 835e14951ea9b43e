"""What is asked of others to tell what was taken, and what is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from attrs import frozen

from pypicloud_tw.advisories.values import IAdvisories, NoAdvisories
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.maintenance.reports.values import DailyReport
from pypicloud_tw.projects.affected.values import AffectedPage, AffectedQuestion, Fix


class IKnownAdvisories(IAdvisories, Protocol):
    """What is known now, and of which projects."""

    def names(self) -> Collection[str]:
        """Return the normalized names of all projects that something is known of."""


class IRecords(IKnownAdvisories, Protocol):
    """The same, with records in OSV's form."""

    async def find(self, identity: str) -> bytes | None:
        """Return the JSON of a record; None: there is none of this id."""


@frozen
class NoRecords(NoAdvisories):
    """Knows nothing, as where no source is set."""

    def names(self) -> Collection[str]:
        """See :class:`IKnownAdvisories`."""
        return ()

    async def find(self, identity: str) -> bytes | None:
        """See :class:`IRecords`."""
        return None


class IFetches(Protocol):
    """Downloads that this index counts, of its own files and of the upstream's."""

    async def names(self, days: int) -> Collection[str]:
        """Return the projects that were fetched within so many days."""

    async def versions(self, name: str, days: int) -> Mapping[str, int]:
        """Return how often each version of a project was fetched within these days."""


@frozen
class KeptFile:
    """A file of the upstream's that is kept in the store.

    :ivar version: None: its name does not tell.
    :ivar sha256: hexadecimal.
    """

    filename: str
    version: str | None
    sha256: str


class IKept(Protocol):
    """Files of the upstream's that are kept."""

    async def names(self) -> Collection[NormalizedName]:
        """Return the projects of which files are kept."""

    async def of(self, name: NormalizedName) -> Sequence[KeptFile]:
        """Return the files of a project that are kept.

        :raises StoreError: the store is away.
        """


class IVisible(Protocol):
    """What clients see of projects that are not here but upstream."""

    async def fixes(
        self, name: NormalizedName, versions: Collection[str]
    ) -> Mapping[str, Fix]:
        """Tell of versions whether clients get them; those not known are left out.

        :param name: of a project that is not hosted here (decision D5).
        """


@frozen
class NothingKept:
    """Where nothing of an upstream is kept."""

    async def names(self) -> Collection[NormalizedName]:
        """See :class:`IKept`."""
        return ()

    async def of(self, name: NormalizedName) -> Sequence[KeptFile]:
        """See :class:`IKept`."""
        return ()


@frozen
class NothingVisible:
    """Where there is no upstream, or nothing is known of it."""

    async def fixes(
        self, name: NormalizedName, versions: Collection[str]
    ) -> Mapping[str, Fix]:
        """See :class:`IVisible`."""
        return {}


class AdvisoryAdministration(Protocol):
    """What was taken that advisories affect, and the daily report, wherever asked."""

    async def affected(self, question: AffectedQuestion) -> AffectedPage:
        """Return a page of what the asker manages, the worst first.

        :raises BadRequest: the cursor is none, or a name cannot be.
        :raises Unauthorized: there is nothing that they manage; a log-in would help.
        :raises Forbidden: it would not.
        :raises Unavailable: the list is being made, or the store is away.
        """

    async def report(self, date: str | None = None) -> DailyReport:
        """Return the report of a day; errors as above, and

        :param date: as 2026-03-01; None: the newest.
        :raises NotFound: there is none.
        """
