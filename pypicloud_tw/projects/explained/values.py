"""What is said of what a client sees, and why: the values that answers consist of."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from attrs import frozen

#: Where a name is answered from: this index; the other one; both (``upstream.merge``);
#: a client is sent to the other one; nobody.
AnsweredFrom = Literal["here", "upstream", "both", "redirect", "nobody"]


@frozen
class Hidden:
    """Why something is not shown.

    :ivar rule: as logs and metrics name it.
    :ivar reason: a sentence.
    :ivar lifted_by: who may lift it, and how; a sentence.
    :ivar files: how many it hides.
    :ivar until: when time lifts it, of the first file; None: time does not.
    """

    rule: str
    reason: str
    lifted_by: str
    files: int
    since: datetime | None = None
    until: datetime | None = None


@frozen
class LetThrough:
    """An exemption without which less would be shown.

    :ivar source: where it stands, or who added it.
    """

    rule: str
    what: str
    until: datetime
    reason: str
    source: str


@frozen
class Affecting:
    """An advisory that speaks of a release.

    :ivar fixed: the versions that repair it, the oldest first.
    """

    id: str
    malware: bool
    severity: str
    summary: str
    fixed: tuple[str, ...]


@frozen
class ExplainedRelease:
    """A release, shown or not.

    :ivar version: None: of files whose version cannot be told.
    :ivar source: ``here`` or ``upstream``.
    :ivar shown: every file of it is.
    :ivar files: how many of them clients may have.
    :ivar hidden: why others are not, by rule.
    :ivar uploaded: when its first file was; None: nobody tells.
    :ivar yanked: why its files are yanked, which may be empty; None: some is not.
    :ivar kept: how many of its files the cache has.
    :ivar gone: it is deleted upstream; what the cache has of it is on no page, and is
        given by its address alone.
    """

    version: str | None
    source: Literal["here", "upstream"]
    shown: bool
    files: int
    hidden: tuple[Hidden, ...] = ()
    uploaded: datetime | None = None
    yanked: str | None = None
    kept: int = 0
    gone: bool = False
    exemptions: tuple[LetThrough, ...] = ()
    advisories: tuple[Affecting, ...] = ()


@frozen
class Explanation:
    """What a client sees under a project's name, and why.

    :ivar version: that was asked for; None: all were.
    :ivar shown: everything that was asked for is.
    :ivar sentence: where the name is answered from.
    :ivar status: of the project (PEP 792); ``active`` where there is none.
    :ivar hidden: why nothing of it is shown, whatever it is.
    :ivar releases: the newest first.
    :ivar more: how many older releases there are.
    :ivar notes: what whoever asks should know, a sentence each.
    """

    project: str
    version: str | None
    shown: bool
    answered_from: AnsweredFrom
    sentence: str
    status: str = "active"
    status_reason: str | None = None
    hidden: Hidden | None = None
    releases: tuple[ExplainedRelease, ...] = ()
    more: int = 0
    notes: tuple[str, ...] = ()
