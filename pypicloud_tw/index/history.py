"""A project's history: what is written down of each act, in the act's own swap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from attrs import evolve, frozen

from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.model import HistoryEntry, Project

#: How many of an act's files its entry names.
NAMED = 20


@frozen
class Doing:
    """An act that is about to be made: who does it, and when.

    :ivar at: by the clock of this server; aware, UTC.
    :ivar id: of the act, wherever it is written down.
    :ivar move: of the keys that objects move to, if they do.
    """

    actor: Actor
    at: datetime
    id: str
    move: str

    def entry(
        self,
        act: str,
        files: Iterable[str] = (),
        *,
        version: str | None = None,
        reason: str | None = None,
        undoes: str | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> HistoryEntry:
        """Write down what was done."""
        names = tuple(files)
        return HistoryEntry(
            id=self.id,
            at=self.at,
            act=act,
            who=self.actor.name,
            proof=self.actor.proof.kind,
            address=self.actor.address,
            version=version,
            files=names[:NAMED],
            count=len(names),
            reason=reason,
            undoes=undoes,
            before=before,
        )


def recorded(project: Project, entry: HistoryEntry) -> Project:
    """Add an act to a project's history."""
    return evolve(project, history=(*project.history, entry))


def gathered(project: Project, entry: HistoryEntry) -> Project:
    """Add an act; one after another of the same kind is one entry.

    What a server does of many files, one by one, shall not fill the history.
    """
    last = project.history[-1] if project.history else None
    if last is None or _run(last) != _run(entry):
        return recorded(project, entry)
    version = entry.version if entry.version == last.version else None
    both = evolve(
        last,
        files=(*last.files, *entry.files)[:NAMED],
        count=last.count + entry.count,
        version=version,
    )
    return evolve(project, history=(*project.history[:-1], both))


def _run(entry: HistoryEntry) -> object:
    return entry.act, entry.who, entry.proof, entry.address, entry.at
