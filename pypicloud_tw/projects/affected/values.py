"""What is said of releases that an advisory affects: the values of answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from attrs import frozen

from pypicloud_tw.advisories.values import Severity
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import project_name

#: How bad it is, as people write it.
SeverityWord: TypeAlias = Literal["unknown", "low", "medium", "high", "critical"]

#: Where a release is: published here; among the upstream's files that are kept; given
#: out from upstream within the days that downloads are counted for.
Place: TypeAlias = Literal["hosted", "kept", "fetched"]

#: Days within which downloads count.
DAYS = 30

#: Rows of a page, unless it is asked for fewer or more, and at the most.
USUAL, MOST = 100, 1000


@frozen
class Fix:
    """The next version that is free of a matter, and whether clients get it here.

    :ivar state: ``visible``: they do; ``hidden``: a rule hides it; ``unknown``: this
        index knows no file of it.
    :ivar rule: the rule that hides it.
    :ivar until: when time lifts that; None: time does not.
    """

    version: str
    state: Literal["visible", "hidden", "unknown"] = "unknown"
    rule: str | None = None
    until: datetime | None = None


@frozen
class AffectedRelease:
    """A release that this index has or gave out, and one matter that affects it.

    :ivar ids: of the matter, in all databases that have it.
    :ivar malware: it is malicious; else it has a flaw.
    :ivar severity: the worst that is said of it.
    :ivar places: where it is.
    :ivar fetches: downloads here within 30 days; None: downloads are not counted.
    :ivar fixes: versions that repair it, the next one first.
    :ivar fix: the first of these.
    :ivar published: when the advisory was.
    """

    project: str
    version: str
    ids: tuple[str, ...]
    malware: bool
    severity: SeverityWord
    places: tuple[Place, ...]
    fetches: int | None
    summary: str
    fixes: tuple[str, ...] = ()
    fix: Fix | None = None
    published: datetime | None = None

    @property
    def key(self) -> Key:
        """What rows are sorted by: malware, then severity, then fetches."""
        return (
            not self.malware,
            -Severity[self.severity.upper()],
            -(self.fetches or 0),
            self.project,
            self.ids[0],
            self.version,
        )


#: What a row is sorted by; see :attr:`AffectedRelease.key`.
Key: TypeAlias = tuple[bool, int, int, str, str, str]


@frozen
class AffectedQuestion:
    """Which rows are asked for.

    :ivar severity: at least so bad; malware always is.
    :ivar project: of this project alone.
    :ivar cursor: of the page before.
    """

    severity: SeverityWord = "unknown"
    project: str | None = None
    malware: bool = False
    cursor: str | None = None
    limit: int = USUAL

    def wants(self, row: AffectedRelease) -> bool:
        """Return whether a row is asked for."""
        least = Severity[self.severity.upper()]
        return (
            (row.malware or Severity[row.severity.upper()] >= least)
            and (row.malware or not self.malware)
            and (self.project is None or row.project == project_name(self.project))
        )


@frozen
class AffectedPage:
    """A part of the rows, the worst first.

    :ivar made: when it was looked up.
    :ivar known: whether there is anything to judge by: a source of advisories.
    :ivar counted: whether downloads are.
    :ivar looked_at: projects that an advisory speaks of.
    :ivar left_out: rows that are too many to be told; the worst are told.
    :ivar notices: what could not be looked at, a sentence each.
    :ivar cursor: gives what follows; None: nothing does.
    """

    items: tuple[AffectedRelease, ...]
    made: datetime
    known: bool
    counted: bool
    looked_at: int
    left_out: int = 0
    notices: tuple[str, ...] = ()
    cursor: str | None = None


def cursor_of(row: AffectedRelease) -> str:
    """Return what gives the rows behind one."""
    flaw, severity, fetches, project, identity, version = row.key
    return f"{int(flaw)},{-severity},{-fetches},{project},{identity},{version}"


def read_cursor(text: str) -> Key:
    """Understand a cursor.

    :raises BadRequest: it is none.
    """
    try:
        flaw, severity, fetches, project, identity, version = text.split(",", 5)
        return (
            bool(int(flaw)),
            -int(severity),
            -int(fetches),
            project,
            identity,
            version,
        )
    except ValueError:
        raise BadRequest("That is no cursor of a page of this list.") from None
