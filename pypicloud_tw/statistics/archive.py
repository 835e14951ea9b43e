"""Counts of days that are over, in little memory.

A dictionary for each project and day takes 430 MB for 90 days of 10,000 projects; this
takes a sixth.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterator, Mapping

from attrs import define, field

from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.statistics.counts import DayCounts

#: Projects of a day that are taken in a piece.
_BATCH = 250

#: The largest number that an array takes; nothing is fetched so often on a day.
_MOST = 2**32 - 1

#: Days that were dropped and still take room.
_DROPPED = 14


@define(eq=False)
class _Packed:
    """Counts by project, day and name: 12 bytes for each, and each name once."""

    _projects: dict[str, array[int]] = field(factory=dict)
    _names: list[str] = field(factory=list)
    _numbers: dict[str, int] = field(factory=dict)

    def add(self, project: str, day: int, counts: Mapping[str, int]) -> None:
        kept = self._projects.setdefault(project, array("I"))
        for name, count in counts.items():
            number = self._numbers.get(name)
            if number is None:
                number = self._numbers[name] = len(self._names)
                self._names.append(name)
            kept.extend((day, number, min(count, _MOST)))

    def of(self, project: str) -> Iterator[tuple[int, str, int]]:
        """Give day, name and count."""
        kept = self._projects.get(project)
        if kept is not None:
            names = map(self._names.__getitem__, kept[1::3])
            yield from zip(kept[0::3], names, kept[2::3], strict=True)

    def projects(self) -> list[str]:
        return list(self._projects)

    def copy(self, days: Container[int]) -> Steps[_Packed]:
        """Copy what is of some days."""
        other = _Packed()
        for batch in batches(self.projects(), _BATCH):
            for project in batch:
                for day, name, count in self.of(project):
                    if day in days:
                        other.add(project, day, {name: count})
            yield
        return other


@define(eq=False)
class Archive:
    """Days that are over; one is there as soon as all of it has been taken."""

    _whole: dict[str, bool] = field(factory=dict, init=False)
    # Another number each time: a day that is taken again is not mixed with what it was.
    _numbers: dict[int, str] = field(factory=dict, init=False)
    _next: int = field(default=0, init=False)
    _dropped: int = field(default=0, init=False)
    _files: _Packed = field(factory=_Packed, init=False)
    _clients: _Packed = field(factory=_Packed, init=False)

    def __contains__(self, day: str) -> bool:
        return day in self._whole

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def is_whole(self, day: str) -> bool:
        """Whether every file of a day that is here was counted by itself."""
        return self._whole[day]

    def take(self, day: str, counts: DayCounts) -> Steps[None]:
        """Take a day, in place of what it was before as soon as all of it is here."""
        number, self._next = self._next, self._next + 1
        for packed, kind in (
            (self._files, counts.files),
            (self._clients, counts.clients),
        ):
            for batch in batches(kind.items(), _BATCH):
                for project, some in batch:
                    packed.add(project, number, some)
                yield
        self.drop(day)
        self._numbers[number] = day
        self._whole[day] = counts.whole

    def drop(self, day: str) -> None:
        """Forget a day; nothing happens if it is not here."""
        if self._whole.pop(day, None) is not None:
            self._numbers = {n: d for n, d in self._numbers.items() if d != day}
            self._dropped += 1

    def tidy(self) -> Steps[None]:
        """Give back the room of days that were dropped, now and then."""
        if self._dropped >= _DROPPED:
            files = yield from self._files.copy(self._numbers)
            self._clients = yield from self._clients.copy(self._numbers)
            self._files, self._dropped = files, 0

    def projects(self) -> list[str]:
        """Return the projects that were fetched on any day."""
        return self._files.projects()

    def files(self, project: str, first: str) -> Iterator[tuple[str, str, int]]:
        """Give day, filename and count of a project, since a day."""
        return self._since(self._files, project, first)

    def clients(self, project: str, first: str) -> Iterator[tuple[str, str, int]]:
        """Give day, key of a client and count of a project, since a day."""
        return self._since(self._clients, project, first)

    def _since(
        self, packed: _Packed, project: str, first: str
    ) -> Iterator[tuple[str, str, int]]:
        days = self._numbers
        for number, name, count in packed.of(project):
            day = days.get(number)
            if day is not None and day >= first:
                yield day, name, count
