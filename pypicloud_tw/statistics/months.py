"""How often releases were fetched in a month: what stays when its days are removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from functools import cache
from typing import Any

from attrs import define, field, frozen

from pypicloud_tw.offload.limits import COUNTS, limited
from pypicloud_tw.statistics.counts import (
    FOLDER,
    SUM,
    Counts,
    DayCounts,
    add_clients,
    damaged,
    pack,
    read_counts,
    unpack,
    version_of,
)

_FORMAT = 1

#: Months that are kept.
KEPT = 36

#: Where files are counted whose names tell no version.
NO_VERSION = ""


@frozen
class DayInMonth:
    """A day that was added.

    :ivar etag: of its sum as it was added.
    :ivar fetches: of all projects.
    :ivar whole: whether every file was counted by itself.
    """

    etag: str
    fetches: int
    whole: bool


@define
class MonthCounts:
    """How often each version was fetched in a month, and by what.

    :ivar versions: counts by version, by project.
    :ivar clients: counts by the key of a :class:`~.agents.Client`, by project.
    :ivar days: those that are in it.
    """

    versions: Counts = field(factory=dict)
    clients: Counts = field(factory=dict)
    days: dict[str, DayInMonth] = field(factory=dict)

    def add(
        self,
        day: str,
        etag: str,
        counts: DayCounts,
        version_of: Callable[[str, str], str | None] = version_of,
    ) -> None:
        """Add a day that is not in it.

        :param version_of: tells the version of a file of a project.
        """
        fetches = 0
        for project, filename, count in counts:
            version = version_of(filename, project) or NO_VERSION
            versions = self.versions.setdefault(project, {})
            versions[version] = versions.get(version, 0) + count
            fetches += count
        add_clients(self.clients, counts.clients)
        self.days[day] = DayInMonth(etag, fetches, counts.whole)

    def encode(self) -> bytes:
        """Write it, compressed."""
        days = {
            day: {"etag": one.etag, "fetches": one.fetches, "whole": one.whole}
            for day, one in sorted(self.days.items())
        }
        told = {"versions": self.versions, "clients": self.clients, "days": days}
        return pack({"_format": _FORMAT, **told})

    @classmethod
    def decode(cls, data: bytes) -> MonthCounts | None:
        """Read what :meth:`encode` wrote; None: a newer version did. For a thread.

        :raises ValueError: it is damaged.
        """
        with damaged():
            told = unpack(data)
            if told["_format"] > _FORMAT:
                return None
            return cls(
                read_counts(told["versions"]),
                read_counts(told["clients"]),
                {str(day): _day(one) for day, one in told["days"].items()},
            )


@limited(COUNTS)
def with_days(data: bytes | None, days: Iterable[tuple[str, str, bytes]]) -> bytes:
    """Add days to a month; for a helper process: it reads many names of files.

    :param data: the month as it lies in the store; None: it begins.
    :param days: day, ETag and bytes of each sum.
    :raises ValueError: one of them is damaged, or of a newer version.
    """
    month = MonthCounts() if data is None else MonthCounts.decode(data)
    if month is None:
        raise ValueError("it is of a newer version")
    version = cache(version_of)  # of the same files on each day
    for day, etag, summed in days:
        counts = DayCounts.decode(summed)
        if counts is None:
            raise ValueError("it is of a newer version")
        month.add(day, etag, counts, version)
    return month.encode()


def month_key(month: str) -> str:
    """Where a month lies; as 2026-03."""
    return f"{FOLDER}{month}/{SUM}"


def month_of_key(key: str) -> str | None:
    """Read the month in a key; None: it is none of ours."""
    month = key.removeprefix(FOLDER).removesuffix(f"/{SUM}")
    try:
        date.fromisoformat(f"{month}-01")
    except ValueError:
        return None
    return month if month_key(month) == key else None


def month_of(day: str) -> str:
    """Return the month of a day."""
    return day[:7]


def months_before(month: str, months: int) -> str:
    """Return the month that was so many months before one."""
    return numbered_month(month_number(month) - months)


def month_number(month: str) -> int:
    """Return a number that is one larger for each month."""
    return int(month[:4]) * 12 + int(month[5:]) - 1


def numbered_month(number: int) -> str:
    """Return the month that has a number."""
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def _day(told: Any) -> DayInMonth:
    return DayInMonth(str(told["etag"]), int(told["fetches"]), bool(told["whole"]))
