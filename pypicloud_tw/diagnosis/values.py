"""What a diagnosis has found, as values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal

from attrs import frozen

#: How bad it is. ``note``: nothing need be done. ``warning``: it will go wrong, or may.
#: ``fault``: it is wrong. ``unseen``: it could not be looked at.
Level = Literal["ok", "note", "warning", "fault", "unseen"]

#: From harmless to bad: what a diagnosis as a whole is, is its worst.
LEVELS: Sequence[Level] = ("ok", "note", "unseen", "warning", "fault")

#: Seconds that a check has, if it does not say.
PATIENCE = 30.0


@frozen
class Finding:
    """What came of looking at one thing.

    :ivar found: a sentence, or a few words.
    :ivar advice: what to do about it; empty: nothing.
    :ivar subject: which one of several, as the name of a permission or of a folder.
    """

    level: Level
    found: str
    advice: str = ""
    subject: str = ""


def ok(found: str, subject: str = "") -> Finding:
    """Say that something is as it should be."""
    return Finding("ok", found, subject=subject)


def note(found: str, advice: str = "", subject: str = "") -> Finding:
    """Say what is good to know."""
    return Finding("note", found, advice, subject)


def warning(found: str, advice: str, subject: str = "") -> Finding:
    """Say what will go wrong, or may."""
    return Finding("warning", found, advice, subject)


def fault(found: str, advice: str, subject: str = "") -> Finding:
    """Say what is wrong."""
    return Finding("fault", found, advice, subject)


def unseen(found: str, advice: str = "", subject: str = "") -> Finding:
    """Say why something could not be looked at."""
    return Finding("unseen", found, advice, subject)


#: Looks at something. What it raises becomes the reason why it could not be looked at.
Look = Callable[[], Awaitable[Iterable[Finding]]]


@frozen
class Check:
    """Something to look at.

    :ivar name: as docs/guide/doctor.rst lists it.
    :ivar needs: another check, without which this one makes no sense: where that finds
        a fault, or cannot look, this one does not look at all.
    :ivar patience: seconds that it has.
    """

    name: str
    look: Look
    needs: str | None = None
    patience: float = PATIENCE


@frozen
class Looked:
    """A line of a diagnosis; the fields are those of a :class:`Finding`."""

    check: str
    subject: str
    level: Level
    found: str
    advice: str


@frozen
class Diagnosis:
    """What was looked at, in order, and what was found.

    :ivar version: of this program.
    :ivar of: what was looked at: an ini's path, ``the environment``, or an address.
    :ivar worst: of all levels.
    """

    version: str
    of: str
    worst: Level
    looked: tuple[Looked, ...]

    @classmethod
    def made(cls, version: str, of: str, looked: Iterable[Looked]) -> Diagnosis:
        """Make one of its lines."""
        lines = tuple(looked)
        levels = (line.level for line in lines)
        return cls(version, of, max(levels, key=LEVELS.index, default="ok"), lines)

    @property
    def code(self) -> int:
        """Exit with 0: nothing is wrong; 1: something is; 2: not all could be seen."""
        return {"unseen": 2, "warning": 1, "fault": 1}.get(self.worst, 0)


def lines_of(check: str, findings: Iterable[Finding]) -> list[Looked]:
    """Make a check's lines."""
    return [
        Looked(check, one.subject, one.level, one.found, one.advice) for one in findings
    ]
