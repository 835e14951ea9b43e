"""Records of changes, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import aclosing

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.access.administration.authority import project_or_pattern
from pypicloud_tw.access.audit.reading import (
    Position,
    Reader,
    Record,
    Wanted,
    instant,
)
from pypicloud_tw.access.patterns import is_pattern
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.web.http.site import Request

#: Records of a page, unless it is asked for fewer or more, and at the most.
USUAL, MOST = 100, 1000

#: Records that are looked at for one page, whether they match or not.
LOOKED_AT = 20_000

#: How far back a page goes that is not told, and how far clocks may be apart; seconds.
_BACK, _APART = 7 * 86400.0, 3600.0

_log = Logger()


@frozen
class Question:
    """What is asked for.

    :ivar texts: the parameters, by name.
    :ivar project: a name, or a pattern that lines of rights are for; None: records of
        all, and of none.
    """

    texts: Mapping[str, str]
    project: str | None
    limit: int

    @property
    def one_project(self) -> NormalizedName | None:
        """The project that it is about, and about nothing else; None: there is none."""
        if self.project is None or is_pattern(self.project):
            return None
        return NormalizedName(self.project)

    @classmethod
    def of(cls, request: Request) -> Question:
        """Understand a request's parameters.

        :raises BadRequest: one is none, or has no such value.
        """
        args = request.args or {}
        texts = {
            name.decode("latin-1"): values[-1].decode("utf-8", "replace")
            for name, values in args.items()
        }
        if unknown := texts.keys() - _NAMES:
            raise BadRequest(
                f"There are parameters that are not known here; {_KNOWN} are."
                if len(unknown) > 1
                else f"There is a parameter that is not known here; {_KNOWN} are."
            )
        named = texts.get("project")
        limit = texts.get("limit", str(USUAL))
        if not (limit.isdecimal() and len(limit) < 5 and 1 <= int(limit) <= MOST):
            raise BadRequest(f"The limit is a number from 1 to {MOST}.")
        return cls(texts, project_or_pattern(named) if named else None, int(limit))

    def wanted(self, now: float) -> Wanted:
        """Say which records these are.

        :raises BadRequest: an instant or the cursor is none.
        """
        get = self.texts.get
        after = Position.parse(self.texts["cursor"]) if get("cursor") else None
        begin = after.at - 1 if after else now - _BACK
        since, until = get("since"), get("until")
        return Wanted(
            instant(since, now) if since else begin,
            instant(until, now, ends=True) if until else now + _APART,
            self.project,
            get("user") or None,
            get("act") or None,
            after,
        )


_NAMES = frozenset({"project", "user", "act", "since", "until", "cursor", "limit"})
_KNOWN = ", ".join(sorted(_NAMES))


@define
class _Page:
    limit: int
    matches: Callable[[Record], bool]
    records: list[Record] = field(factory=list)
    looked_at: int = 0
    last: Position | None = None
    skipped: list[str] = field(factory=list)

    def take(self, record: Record) -> bool:
        """Look at a record; true if no more fit."""
        self.looked_at += 1
        self.last = record.position
        if self.matches(record):
            self.records.append(record)
        return len(self.records) >= self.limit or self.looked_at >= LOOKED_AT


async def answer(question: Question, store: IObjectStore, clock: IReactorTime) -> bytes:
    """Make a page: the oldest records first, and the cursor of what follows.

    :raises BadRequest: as of :meth:`Question.wanted`.
    :raises StoreError: the store is away.
    """
    wanted = question.wanted(clock.seconds())
    page = _Page(question.limit, wanted.matches, last=wanted.after)
    more = False
    async with aclosing(Reader(store, page.skipped.append).read(wanted)) as records:
        async for record in records:
            if more := page.take(record):
                break
    for place in page.skipped:
        _log.warn("A record in the store is not understood: {place}", place=place)
    return json.dumps(
        {
            "records": [dict(record.fields) for record in page.records],
            "cursor": None if page.last is None else str(page.last),
            "more": more,
            "skipped": len(page.skipped),
        }
    ).encode()
