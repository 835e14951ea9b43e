"""Records read from the store, in the order of their times.

A day is read at a time, and of a day the objects that overlap in time: memory is
bounded by how many servers wrote at once, not by how much they wrote.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from heapq import heappop, heappush
from typing import NamedTuple

from attrs import frozen

from pypicloud_tw.access.audit.record import decode, time_text
from pypicloud_tw.access.audit.stored import (
    AUDIT,
    OBJECT_AGE,
    PATIENCE,
    begin_of,
    day_folder,
)
from pypicloud_tw.config.values import BadValueError, moment, seconds
from pypicloud_tw.errors import BadRequest, ObjectNotFound
from pypicloud_tw.store.interfaces import IObjectStore

#: Bytes of an object that is read; none that a server writes has so many.
_MAX_OBJECT = 2**20

_DATE = re.compile(r"\d{4}-?\d\d-?\d\d", re.ASCII)
_POSITION = re.compile(
    r"(?P<time>\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{6}Z) "
    r"(?P<line>\d{1,6}) (?P<key>\S{1,200})",
    re.ASCII,
)

#: The last second that a date stands for; seconds since the epoch.
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()

_NO_CURSOR = "This cursor is none that was given here."


class Position(NamedTuple):
    """Where a record is: positions are ordered as records are read.

    :ivar time: as the record has it.
    :ivar key: of its object.
    :ivar line: its number there, from 0.
    """

    time: str
    key: str
    line: int

    def __str__(self) -> str:
        """Write it so that :meth:`parse` understands it."""
        return f"{self.time} {self.line} {self.key}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Understand what was written.

        :raises BadRequest: it is none.
        """
        found = _POSITION.fullmatch(text)
        if found is None or begin_of(found["key"]) is None:
            raise BadRequest(_NO_CURSOR)
        position = cls(found["time"], found["key"], int(found["line"]))
        try:
            position.at  # noqa: B018  # asked whether it has one
        except ValueError:
            raise BadRequest(_NO_CURSOR) from None
        return position

    @property
    def at(self) -> float:
        """The time, in seconds since the epoch."""
        return datetime.fromisoformat(self.time).timestamp()


class Record(NamedTuple):
    """A record; no two have the same position.

    :ivar fields: as the line has them.
    """

    position: Position
    fields: Mapping[str, object]
    line: bytes


@frozen
class Wanted:
    """Which records are asked for.

    :ivar since: not before then; seconds since the epoch.
    :ivar until: before then.
    :ivar project: its normalized name; None: whatever it is about.
    :ivar user: who did it; None: whoever.
    :ivar act: what was done; None: whatever.
    :ivar after: behind that one; None: from the beginning.
    """

    since: float
    until: float
    project: str | None = None
    user: str | None = None
    act: str | None = None
    after: Position | None = None

    def matches(self, record: Record) -> bool:
        """Return whether it is about what is asked for."""
        asked = {"project": self.project, "principal": self.user, "act": self.act}
        return all(v is None or record.fields.get(n) == v for n, v in asked.items())

    def bounds(self) -> tuple[Position, str]:
        """Tell behind which position records are due, and before which time."""
        begin = Position(time_text(self.since), "", -1)
        after = begin if self.after is None else max(begin, self.after)
        return after, time_text(self.until)

    @property
    def earliest(self) -> datetime:
        """Before then, no object that holds a record that is due was begun."""
        since = datetime.fromtimestamp(self.since, UTC)
        return since - timedelta(seconds=OBJECT_AGE + PATIENCE)


def instant(text: str, now: float, *, ends: bool = False) -> float:
    """Understand when: so long ago (``7d``), or a date or moment in ISO 8601, in UTC.

    :param ends: a date stands for its end, not for its beginning.
    :returns: seconds since the epoch.
    :raises BadRequest: it is neither.
    """
    with suppress(BadValueError):
        return max(0.0, now - seconds()(text))
    try:
        value = moment(text)
        if _DATE.fullmatch(text) and not ends:
            value = datetime.combine(value, time.min, UTC)
        return min(max(0.0, value.timestamp()), _LAST)
    except (BadValueError, OverflowError):
        raise BadRequest(
            "That is no time: write how long ago, as 7d or 12h, or a date or moment, "
            "as 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None


@frozen
class Reader:
    """Reads records.

    :ivar broken: told of what is not understood and left out: its place.
    """

    store: IObjectStore
    broken: Callable[[str], None]

    async def read(self, wanted: Wanted) -> AsyncGenerator[Record, None]:
        """Give the records that are due, the oldest first.

        :param wanted: what they are about is for the caller to see: it may stop when it
            has seen enough that do not match.
        :raises StoreError: the store is away.
        """
        after, end = wanted.bounds()
        async for keys in self._days(wanted):
            async for record in self._merged(keys):
                if record.position > after and record.position.time < end:
                    yield record

    async def _days(self, wanted: Wanted) -> AsyncIterator[list[str]]:
        """Give the keys of each day's objects that may hold something due."""
        first, end = time_text(wanted.earliest.timestamp()), time_text(wanted.until)
        today, keys = "", list[str]()
        async for info in self.store.list(AUDIT, after=day_folder(wanted.earliest)):
            begin = begin_of(info.key)
            if begin is None:
                continue
            if begin[:10] > end[:10]:
                break
            if begin[:10] != today:
                yield keys
                today, keys = begin[:10], []
            if info.size > _MAX_OBJECT:
                self.broken(info.key)
            elif first[:19] <= begin < end:
                keys.append(info.key)
        yield keys

    async def _merged(self, keys: list[str]) -> AsyncIterator[Record]:
        """Give the records of one day's objects, in order."""
        waiting: list[Record] = []
        for begin, key in sorted((begin_of(key) or "", key) for key in keys):
            while waiting and waiting[0].position.time < begin:
                yield heappop(waiting)
            for record in await self._object(key):
                heappush(waiting, record)
        while waiting:
            yield heappop(waiting)

    async def _object(self, key: str) -> list[Record]:
        """Read an object's records; none if it was removed meanwhile."""
        try:
            stored = await self.store.get(key, limit=_MAX_OBJECT)
        except ObjectNotFound:
            return []
        assert stored is not None, "an unconditional read answers"
        lines = enumerate(stored.data.splitlines())
        records = [self._record(key, number, line) for number, line in lines]
        return [record for record in records if record is not None]

    def _record(self, key: str, number: int, line: bytes) -> Record | None:
        try:
            fields = decode(line)
        except ValueError:
            self.broken(f"{key}, line {number + 1}")
            return None
        return Record(Position(str(fields["time"]), key, number), fields, line)
