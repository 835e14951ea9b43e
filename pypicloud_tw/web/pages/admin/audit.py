"""Records of who did what, shown on pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from urllib.parse import urlencode

from attrs import evolve, frozen

from pypicloud_tw.access.audit.question import Question
from pypicloud_tw.access.audit.reading import Reader, Record, Wanted
from pypicloud_tw.access.patterns import project_or_pattern
from pypicloud_tw.concurrency.delivery import deliver
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.index import Index
from pypicloud_tw.plain_texts import shortened
from pypicloud_tw.web.api.audit import PageQuestion, find_records, tell_broken
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.visits import AdminDoor, AdminVisit

#: Records of a page, and characters of a text in one: a page of the longest has 90 kB.
MOST, LONGEST = 40, 200

#: Fields of a record that a page shows; of its proof it shows the kind.
_SHOWN = (
    "time",
    "principal",
    "address",
    "act",
    "outcome",
    "project",
    "version",
    "file",
    "reason",
)

_FILTERS = ("project", "user", "act", "since", "until")


@frozen
class Found:
    """Records as a page shows them, each by the names of :data:`_SHOWN`, and its proof.

    :ivar following: the query of the page of what comes after.
    """

    rows: tuple[Mapping[str, str], ...] = ()
    following: str | None = None
    skipped: int = 0


@frozen(eq=False)
class AuditPages:
    """Shows administrators all records, and others those of what they manage."""

    door: AdminDoor
    index: Index

    async def show(self, request: Request) -> bytes:
        """Answer a GET of a page."""
        visit = await self._enter(request)
        asked = {name: visit.asked(name) for name in _FILTERS}
        found = None
        try:
            if asked["project"] or visit.who.authority.administers():
                found = await self._find(visit, asked)
        except BadRequest as e:
            visit = self.door.refuse(visit, e)
        query = urlencode({name: text for name, text in asked.items() if text})
        return visit.send("audit", asked=asked, found=found, query=query)

    async def download(self, request: Request) -> None:
        """Send all that is asked for, a record a line."""
        visit = await self._enter(request)
        question = self._question({name: visit.asked(name) for name in _FILTERS}, "")
        self._check(visit, question)
        wanted = question.wanted(self.index.clock.seconds())
        request.setHeader(b"Content-Type", b"application/jsonl")
        request.setHeader(b"Cache-Control", b"no-store, private")
        disposition = b'attachment; filename="audit.jsonl"'
        request.setHeader(b"Content-Disposition", disposition)
        if request.method == b"GET":
            await deliver(request, self._lines(wanted))

    async def _enter(self, request: Request) -> AdminVisit:
        visit = await self.door.enter(request)
        await visit.access.learn()
        visit.who.authority.check_some(Action.MANAGE)
        return visit

    async def _find(self, visit: AdminVisit, asked: dict[str, str]) -> Found:
        question = self._question(asked, visit.asked("cursor"))
        self._check(visit, question)
        store, clock = self.index.store, self.index.clock
        page = await find_records(
            PageQuestion(question, question.project, MOST), store, clock
        )
        following = None
        if page.more and page.cursor is not None:
            given = {name: text for name, text in asked.items() if text}
            following = f"?{urlencode({**given, 'cursor': page.cursor})}"
        return Found(tuple(map(_row, page.records)), following, page.skipped)

    def _question(self, asked: dict[str, str], cursor: str) -> Question:
        texts = {name: text or None for name, text in asked.items()}
        question = Question(**texts, cursor=cursor or None)
        if question.project is None:
            return question
        return evolve(question, project=project_or_pattern(question.project))

    def _check(self, visit: AdminVisit, question: Question) -> None:
        """Return if they may see these records, judged as the API does."""
        project = PageQuestion(question, question.project, MOST).one_project
        action = Action.ADMINISTER if project is None else Action.MANAGE
        visit.who.authority.check(action, project)

    async def _lines(self, wanted: Wanted) -> AsyncIterator[bytes]:
        reader = Reader(self.index.store, tell_broken)
        async with aclosing(reader.read(wanted)) as records:
            async for record in records:
                if wanted.matches(record):
                    yield record.line + b"\n"


def _row(record: Record) -> Mapping[str, str]:
    """Return what is shown of a record; what is too long is cut off."""
    row = {name: _short(record.fields.get(name)) for name in _SHOWN}
    proof = record.fields.get("proof")
    kind = proof.get("kind") if isinstance(proof, dict) else None
    return {**row, "proof": _short(kind)}


def _short(value: object) -> str:
    return shortened(value, LONGEST) if isinstance(value, str) else ""
