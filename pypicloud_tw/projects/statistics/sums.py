"""Counts of days and months, summed up as they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import TypeVar

from attrs import define, field

from pypicloud_tw.projects.statistics.values import (
    ClientFetches,
    DayFetches,
    MonthFetches,
    Share,
)
from pypicloud_tw.statistics.agents import Client

T = TypeVar("T", str, tuple[str, str])


@define
class Clients:
    """Fetches by what fetched."""

    _keys: Counter[str] = field(factory=Counter)

    def add(self, counts: Iterable[tuple[str, int]]) -> None:
        """Add some: keys of clients, and how often each."""
        keys = self._keys
        for key, count in counts:
            keys[key] += count

    def tell(
        self,
    ) -> tuple[tuple[ClientFetches, ...], tuple[Share, ...], tuple[Share, ...]]:
        """Tell them by installer, by Python and by system."""
        installers: Counter[tuple[str, str]] = Counter()
        pythons: Counter[str] = Counter()
        systems: Counter[str] = Counter()
        for key, count in self._keys.items():
            client = Client.of_key(key)
            installers[client.installer, client.version] += count
            pythons[client.python] += count
            systems[client.system] += count
        told = tuple(
            ClientFetches(name, version or None, count)
            for (name, version), count in _ordered(installers)
        )
        return told, _shares(pythons), _shares(systems)


def by_day(
    counts: Mapping[str, int], last: str, days: int, knows: Callable[[str], bool]
) -> tuple[DayFetches, ...]:
    """Tell fetches by day, of each day whether that is all.

    :param last: the last of so many days.
    """
    end = date.fromisoformat(last)
    told = (end - timedelta(days=ago) for ago in range(days - 1, -1, -1))
    return tuple(
        DayFetches(day, counts.get(day, 0), knows(day))
        for day in (one.isoformat() for one in told)
    )


def by_month(counts: Mapping[str, int]) -> tuple[MonthFetches, ...]:
    """Tell fetches by month."""
    return tuple(MonthFetches(*one) for one in sorted(counts.items()))


def _shares(counts: Counter[str]) -> tuple[Share, ...]:
    return tuple(Share(name or None, count) for name, count in _ordered(counts))


def _ordered(counts: Counter[T]) -> list[tuple[T, int]]:
    """Return the most first; what is equal by its name."""
    return sorted(sorted(counts.items()), key=lambda one: -one[1])
