"""What a daily report consists of, and what each part of the program adds to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

#: Items of a section; what is more is counted.
MOST_ITEMS = 500

#: Characters of a sentence.
_LONGEST = 500


@frozen
class ReportItem:
    """Something to know.

    :ivar sentence: says it, for people.
    :ivar project: which it is about, if it is about one.
    :ivar id: of the advisory, or of whatever else has an id.
    """

    sentence: str
    project: str | None = None
    version: str | None = None
    id: str | None = None


@frozen
class ReportSection:
    """What one part of the program has to tell.

    :ivar name: a word, for programs.
    :ivar left_out: items that were too many.
    :ivar trouble: why it could not be found out, a sentence.
    """

    name: str
    title: str
    items: tuple[ReportItem, ...] = ()
    left_out: int = 0
    trouble: str | None = None

    @classmethod
    def of(cls, name: str, title: str, items: Iterable[ReportItem]) -> ReportSection:
        """Make it, within its bounds."""
        listed = tuple(items)
        told = tuple(map(_bounded, listed[:MOST_ITEMS]))
        return cls(name, title, told, len(listed) - len(told))

    @property
    def headline(self) -> str:
        """Say in a line how much it has."""
        if self.trouble is not None:
            return f"{self.title}: not known today. {self.trouble}"
        return f"{self.title}: {len(self.items) + self.left_out}"


@frozen
class DailyReport:
    """The report of a day.

    :ivar date: of the day, in UTC, as 2026-03-01.
    :ivar made: when it was made.
    """

    date: str
    made: datetime
    sections: tuple[ReportSection, ...]


@frozen
class Findings:
    """What a part found.

    :ivar items: to be told.
    :ivar remembered: what it asks to be given tomorrow, to tell what is new: short
        words without spaces.
    """

    items: Sequence[ReportItem]
    remembered: frozenset[str] = frozenset()


class IReportSource(Protocol):
    """A part of the program that has something to tell each day."""

    @property
    def name(self) -> str:
        """A word of letters and ``-``, for programs; no other source has it."""

    @property
    def title(self) -> str:
        """What its items are, for people: "Fixes that wait for min_age"."""

    async def findings(self, remembered: frozenset[str]) -> Findings:
        """Find out what is to be told today.

        What it raises of :class:`~pypicloud_tw.errors.PypicloudError` becomes the
        section's trouble.

        :param remembered: what it asked for when it was asked last.
        """


def _bounded(item: ReportItem) -> ReportItem:
    if len(item.sentence) <= _LONGEST:
        return item
    return ReportItem(
        f"{item.sentence[: _LONGEST - 1]}…", item.project, item.version, item.id
    )
