"""What is said of how often projects were fetched: the values of answers.

Days and months are in UTC, as 2026-03-01 and 2026-03. What is not known is told apart
from what is zero: see :class:`DayFetches`.
"""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

#: Days that are looked at unless it is said, and at the most.
USUAL_DAYS, MOST_DAYS = 30, 3660

#: Projects of a list, unless it is asked for fewer or more, and at the most.
USUAL, MOST = 100, 1000


@frozen
class DayFetches:
    """How often something was fetched on a day.

    :ivar known: whether that is all of it. No server counted on a day, or not all could
        be read, where it is not.
    """

    day: str
    fetches: int
    known: bool


@frozen
class MonthFetches:
    """How often something was fetched in a month that has been summed up."""

    month: str
    fetches: int


@frozen
class VersionFetches:
    """How often a version was fetched.

    :ivar version: None: of files whose names do not tell.
    :ivar last: the day on which it was fetched last; of one that was longer ago than
        days are kept, the last day that it can have been. None: not that it is known.
    """

    version: str | None
    fetches: int
    last: str | None = None


@frozen
class ClientFetches:
    """How often an installer fetched something.

    :ivar installer: as pip; ``other``: one that is not known.
    :ivar version: the numbers that its version begins with; None: not known.
    """

    installer: str
    version: str | None
    fetches: int


@frozen
class Share:
    """How often something was fetched by those of one kind.

    :ivar name: None: by those who do not tell.
    """

    name: str | None
    fetches: int


@frozen
class ProjectFetches:
    """How often a project was fetched.

    :ivar days: within so many, the last of which is today.
    :ivar since: from when on all is known; None: it is not known at all.
    :ivar fetches: all of them.
    :ivar by_day: the oldest first.
    :ivar by_month: likewise; of months that are summed up, whatever the days are.
    :ivar versions: those that were fetched most first; those that are here and were
        not, too.
    :ivar pythons: by Python's version, as 3.12.
    :ivar systems: by the system, as Linux.
    """

    project: str
    days: int
    since: datetime | None
    fetches: int
    by_day: tuple[DayFetches, ...]
    by_month: tuple[MonthFetches, ...]
    versions: tuple[VersionFetches, ...]
    clients: tuple[ClientFetches, ...]
    pythons: tuple[Share, ...]
    systems: tuple[Share, ...]


@frozen
class TotalFetches:
    """How often all projects were fetched that one may read.

    Fields as of :class:`ProjectFetches`.

    :ivar projects: how many were.
    """

    days: int
    since: datetime | None
    fetches: int
    projects: int
    by_day: tuple[DayFetches, ...]
    by_month: tuple[MonthFetches, ...]
    clients: tuple[ClientFetches, ...]
    pythons: tuple[Share, ...]
    systems: tuple[Share, ...]


@frozen
class FetchedProject:
    """A project in the list of those that are fetched most."""

    project: str
    fetches: int


@frozen
class TopPage:
    """A part of the projects that one may read, those that are fetched most first.

    :ivar days: within so many.
    :ivar since: from when on all is known; None: it is not known at all.
    :ivar cursor: gives what follows; None: nothing does.
    """

    items: tuple[FetchedProject, ...]
    days: int
    since: datetime | None
    cursor: str | None = None
