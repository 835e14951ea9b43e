"""Records of changes on a terminal."""

from __future__ import annotations

from typing import TextIO

from attrs import frozen

from pypicloud_tw.access.administration.authority import project_or_pattern
from pypicloud_tw.access.audit.reading import Reader, Record, Wanted, instant
from pypicloud_tw.index.audit import Act, Actor, one_line
from pypicloud_tw.index.index import Index

#: Seconds by which the clocks of servers may be ahead of ours.
_APART = 3600.0

#: Where the JSON begins that uv and pip append to their names.
_INSTALLER = " {"

#: What a line of text says at its end, where a record has it.
_ABOUT = ("address", "user_agent")


@frozen
class Question:
    """Which records are asked for, as it was written; None: it was not.

    :ivar since: a time as of :func:`.instant`.
    """

    project: str | None = None
    user: str | None = None
    act: str | None = None
    since: str = "7d"
    until: str | None = None

    def wanted(self, now: float) -> Wanted:
        """Say which records these are.

        :raises BadRequest: a time or a project's name is none.
        """
        until = now + _APART
        if self.until is not None:
            until = instant(self.until, now, ends=True)
        project = None if self.project is None else project_or_pattern(self.project)
        return Wanted(instant(self.since, now), until, project, self.user, self.act)


async def print_records(
    index: Index, out: TextIO, err: TextIO, *, question: Question, as_json: bool
) -> int:
    """Print records, the oldest first; what is not understood is named.

    :param as_json: each as the line that it is, and not as a sentence.
    :returns: 1 if one was not understood.
    :raises BadRequest: the question is not understood.
    """
    wanted = question.wanted(index.clock.seconds())
    code = 0

    def broken(place: str) -> None:
        nonlocal code
        code = 1
        print(f"pypicloud: {place} is not understood, and left out.", file=err)

    found = False
    async for record in Reader(index.store, broken).read(wanted):
        if wanted.matches(record):
            found = True
            text = record.line.decode() if as_json else _sentence(record)
            print(text, file=out)
    if not found:
        print(
            f"The store has no such record since {question.since}. Refusals are in "
            "the file of audit.log alone.",
            file=err,
        )
    return code


def _sentence(record: Record) -> str:
    """Say it in one line; what comes from outside cannot end it."""
    texts = {name: str(value) for name, value in record.fields.items()}
    get = texts.get
    act = Act(
        Actor(get("principal")),
        get("act", "did something"),
        get("project"),
        get("version"),
        get("file"),
        get("sha256"),
        get("reason"),
        "refused" if get("outcome") == "refused" else "done",
    )
    moment = record.position.time[:19].replace("T", " ")
    whence = _whence(record)
    return one_line(f"{moment} {act.sentence}" + (f" [{whence}]" if whence else ""))


def _whence(record: Record) -> str:
    """Say how it was proved who did it, and from where."""
    proof = record.fields.get("proof")
    told = []
    if isinstance(proof, dict):
        told = [f"{k}={v}" for k, v in proof.items() if v not in (None, "")]
    address, agent = (str(record.fields.get(name) or "") for name in _ABOUT)
    told += filter(None, (address, agent.partition(_INSTALLER)[0]))
    return ", ".join(told)
