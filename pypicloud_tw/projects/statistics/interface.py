"""What is asked of how often projects are fetched, wherever it is asked."""

from __future__ import annotations

from typing import Protocol

from pypicloud_tw.projects.statistics.values import (
    USUAL,
    USUAL_DAYS,
    ProjectFetches,
    TopPage,
    TotalFetches,
)


class Statistics(Protocol):
    """How often projects were fetched, of those that the asker may read.

    :raises Unauthorized: a log-in would help.
    :raises Forbidden: it would not.
    :raises BadRequest: there are no such days.
    :raises NotFound: nothing is counted here.
    """

    async def project(self, name: str, days: int = USUAL_DAYS) -> ProjectFetches:
        """Tell of one project, be it here or of another index; errors as above.

        :param days: within so many, the last of which is today.
        """

    async def top(
        self, days: int = USUAL_DAYS, cursor: str | None = None, limit: int = USUAL
    ) -> TopPage:
        """List those that were fetched most; errors as above."""

    async def totals(self, days: int = USUAL_DAYS) -> TotalFetches:
        """Tell of all of them together; errors as above."""
