"""Records of changes, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.access.audit.question import Question
from pypicloud_tw.access.audit.reading import Position, Reader, Record
from pypicloud_tw.access.patterns import is_pattern, project_or_pattern
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.web.api.declared import Form, limit_parameter, text_parameter
from pypicloud_tw.web.http.site import Request

#: Records of a page, unless it is asked for fewer or more, and at the most.
USUAL, MOST = 100, 1000

#: Records that are looked at for one page, whether they match or not.
LOOKED_AT = 20_000

_log = Logger()

PARAMETERS = (
    text_parameter("project", "Records of a project, or of a pattern of rights."),
    text_parameter("user", "Records of what somebody did, by name."),
    text_parameter("act", "Records of one kind, as published."),
    text_parameter("since", "A time, as 2026-03-01, or 7d."),
    text_parameter("until", "A time likewise."),
    text_parameter("cursor", "The cursor of the page before."),
    limit_parameter(MOST, USUAL),
)

#: What a page is (docs/reference/audit.rst has every field of a record).
PAGE = Form(
    "AuditPage",
    {
        "type": "object",
        "properties": {
            "records": {"type": "array", "items": {"type": "object"}},
            "cursor": {"type": ["string", "null"]},
            "more": {"type": "boolean"},
            "skipped": {"type": "integer", "minimum": 0},
        },
        "required": ["records", "cursor", "more", "skipped"],
        "additionalProperties": False,
    },
)


@frozen
class PageQuestion:
    """Which page is asked for.

    :ivar project: a name, or a pattern that lines of rights are for; None: records of
        all, and of none.
    """

    question: Question
    project: str | None
    limit: int

    @property
    def one_project(self) -> NormalizedName | None:
        """The project that it is about, and about nothing else; None: there is none."""
        if self.project is None or is_pattern(self.project):
            return None
        return NormalizedName(self.project)

    @classmethod
    def of(cls, request: Request) -> PageQuestion:
        """Understand a request's parameters; an empty one says nothing.

        :raises BadRequest: one is none, or has no such value.
        """
        args = request.args or {}
        texts = {
            name.decode("latin-1"): values[-1].decode("utf-8", "replace")
            for name, values in args.items()
        }
        limit = texts.pop("limit", str(USUAL))
        if not (limit.isdecimal() and len(limit) < 5 and 1 <= int(limit) <= MOST):
            raise BadRequest(f"The limit is a number from 1 to {MOST}.")
        question = Question(**{name: text or None for name, text in texts.items()})
        named = question.project
        project = None if named is None else project_or_pattern(named)
        return cls(question, project, int(limit))


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


@frozen
class RecordsPage:
    """A page of records, the oldest first.

    :ivar cursor: the position of the last one that was looked at.
    :ivar more: there may be others behind it.
    :ivar skipped: how many places in the store are not understood.
    """

    records: tuple[Record, ...]
    cursor: str | None
    more: bool
    skipped: int


async def answer(
    asked: PageQuestion, store: IObjectStore, clock: IReactorTime
) -> bytes:
    """Make a page, as a document; errors as of :func:`find_records`."""
    page = await find_records(asked, store, clock)
    return json.dumps(
        {
            "records": [dict(record.fields) for record in page.records],
            "cursor": page.cursor,
            "more": page.more,
            "skipped": page.skipped,
        }
    ).encode()


async def find_records(
    asked: PageQuestion, store: IObjectStore, clock: IReactorTime
) -> RecordsPage:
    """Find a page of records.

    :raises BadRequest: as of :meth:`.Question.wanted`.
    :raises StoreError: the store is away.
    """
    wanted = asked.question.wanted(clock.seconds())
    page = _Page(asked.limit, wanted.matches, last=wanted.after)
    more = False
    async with aclosing(Reader(store, page.skipped.append).read(wanted)) as records:
        async for record in records:
            if more := page.take(record):
                break
    for place in page.skipped:
        tell_broken(place)
    cursor = None if page.last is None else str(page.last)
    return RecordsPage(tuple(page.records), cursor, more, len(page.skipped))


def tell_broken(place: str) -> None:
    """Tell the operator of what is not understood, and where it is."""
    _log.warn("A record in the store is not understood: {place}", place=place)
