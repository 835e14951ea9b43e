"""Records of changes on a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from pypicloud_tw.access.audit.question import SINCE, Question
from pypicloud_tw.cli.output import say
from pypicloud_tw.index.audit import Act, Actor, one_line

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Records

#: Where the JSON begins that uv and pip append to their names.
_INSTALLER = " {"

#: What a line of text says at its end, where a record has it.
_ABOUT = ("address", "user_agent")


async def print_records(records: Records, question: Question, *, as_json: bool) -> bool:
    """Print records, the oldest first; what is not understood is named.

    :param as_json: each as a line of JSON, and not as a sentence.
    :returns: whether all were understood.
    :raises BadRequest: the question is not understood.
    """
    troubles: list[str] = []

    def broken(trouble: str) -> None:
        troubles.append(trouble)
        click.echo(f"pypicloud: {trouble}", err=True)

    found = False
    async for fields in records.read(question, broken):
        found = True
        say(_line(fields) if as_json else _sentence(fields))
    if not found:
        click.echo(
            f"The store has no such record since {question.since or SINCE}. Refusals "
            "are in the file of audit.log alone.",
            err=True,
        )
    return not troubles


def _line(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _sentence(fields: Mapping[str, object]) -> str:
    """Say it in one line; what comes from outside cannot end it."""
    texts = {name: str(value) for name, value in fields.items()}
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
    moment = texts.get("time", "")[:19].replace("T", " ")
    whence = _whence(fields)
    return one_line(f"{moment} {act.sentence}" + (f" [{whence}]" if whence else ""))


def _whence(fields: Mapping[str, object]) -> str:
    """Say how it was proved who did it, and from where."""
    proof = fields.get("proof")
    told = []
    if isinstance(proof, dict):
        told = [f"{k}={v}" for k, v in proof.items() if v not in (None, "")]
    address, agent = (str(fields.get(name) or "") for name in _ABOUT)
    told += filter(None, (address, agent.partition(_INSTALLER)[0]))
    return ", ".join(told)
