"""Records of changes on a terminal."""

from __future__ import annotations

from typing import TextIO

from pypicloud_tw.access.audit.question import SINCE, Question
from pypicloud_tw.access.audit.reading import Reader, Record
from pypicloud_tw.index.audit import Act, Actor, one_line
from pypicloud_tw.index.index import Index

#: Where the JSON begins that uv and pip append to their names.
_INSTALLER = " {"

#: What a line of text says at its end, where a record has it.
_ABOUT = ("address", "user_agent")


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
        since = question.since or SINCE
        print(
            f"The store has no such record since {since}. Refusals are in the file of "
            "audit.log alone.",
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
