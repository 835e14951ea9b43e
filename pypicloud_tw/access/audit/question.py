"""Which records are asked for, as people write it: to a command or in an address."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.access.audit.reading import Position, Wanted, instant
from pypicloud_tw.access.patterns import project_or_pattern

#: Since when records are told where nothing is said.
SINCE = "7d"

#: Seconds that clocks may be apart.
_APART = 3600.0


@frozen
class Question:
    """Which records; None where nothing was said.

    :ivar since: and *until*: times as of :func:`.instant`.
    :ivar cursor: the position of the last record that was told before.
    """

    project: str | None = None
    user: str | None = None
    act: str | None = None
    since: str | None = None
    until: str | None = None
    cursor: str | None = None

    def wanted(self, now: float) -> Wanted:
        """Say which records these are.

        :raises BadRequest: a time, a project's name or the cursor is none.
        """
        after = None if self.cursor is None else Position.parse(self.cursor)
        if after is None or self.since is not None:
            since = instant(self.since or SINCE, now)
        else:
            since = after.at - 1
        until = now + _APART
        if self.until is not None:
            until = instant(self.until, now, ends=True)
        project = None if self.project is None else project_or_pattern(self.project)
        return Wanted(since, until, project, self.user, self.act, after)
