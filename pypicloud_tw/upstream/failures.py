"""How asking an upstream can fail, and whether trying again makes sense."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import ClassVar

from pypicloud_tw.errors import UpstreamError

#: Seconds that a client is told to wait at most: pip sleeps as long as it is told.
LONGEST_TOLD = 30.0


class AskingFailed(UpstreamError):
    """An attempt failed.

    :cvar again: it failed quickly and without effect: try once more.
    :cvar strikes: what it counts with the breaker, which opens at
        :data:`~pypicloud_tw.upstream.breaker.STRIKES`.
    """

    again: ClassVar[bool] = False
    strikes: ClassVar[int] = 0


class Slow(AskingFailed):
    """It timed out.

    Never repeated, and it opens the breaker at once, so that a dead upstream costs no
    client its timeout twice.
    """

    strikes = 1000


class Away(AskingFailed):
    """No connection, or it was lost before an answer."""

    again = True
    strikes = 2


class Truncated(AskingFailed):
    """The answer ended before its end."""

    again = True
    strikes = 1


class Failing(AskingFailed):
    """It answered with a 5xx status."""

    again = True
    strikes = 1


class Refused(AskingFailed):
    """It answered, and what it answered is of no use: trying again changes nothing."""


class Closed(AskingFailed):
    """It failed a moment ago and is not asked now.

    Nothing is said of when to come again: pip would sleep that long, five times over.
    """


class Busy(AskingFailed):
    """It asks us to wait: 429, or 503 with Retry-After.

    :param wait: seconds for which it wants to be left alone.
    """

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait

    @property
    def headers(self) -> Mapping[str, str]:
        """When to try again (RFC 9110, section 10.2.3)."""
        return {"Retry-After": str(max(1, ceil(min(self.wait, LONGEST_TOLD))))}
