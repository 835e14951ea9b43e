"""What the daily report tells of settings and of data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.maintenance.reports.values import Findings, ReportItem

#: How long before its end an exemption is told of.
SOON = timedelta(days=7)

#: Seconds after which advisories are old: others read them every few hours.
OLD = 2 * 86_400.0


@frozen(eq=False)
class EndingExemptions:
    """Tells of exemptions that end within a week, so that no build is surprised.

    :ivar exemptions: gives those in force.
    """

    exemptions: Callable[[], Iterable[Exemption]]
    clock: IReactorTime
    name: str = field(default="exemptions", init=False)
    title: str = field(default="Exemptions that end within a week", init=False)

    async def findings(self, remembered: frozenset[str]) -> Findings:
        """See :class:`.IReportSource`."""
        now = datetime.fromtimestamp(self.clock.seconds(), UTC)
        soon = now + SOON
        ending = (one for one in self.exemptions() if now <= one.until < soon)
        return Findings(
            [
                ReportItem(
                    f"{one.what} ends {one.until:%Y-%m-%d %H:%M} UTC: {one.reason}",
                    one.project,
                )
                for one in sorted(ending, key=lambda one: one.until)
            ]
        )


@frozen(eq=False)
class AgeOfAdvisories:
    """Tells of advisories that were not read for long.

    :ivar read: gives when they were, in seconds since the epoch; None: never, or no
        source is set.
    """

    read: Callable[[], float | None]
    clock: IReactorTime
    name: str = field(default="age", init=False)
    title: str = field(default="Advisories that are old", init=False)

    async def findings(self, remembered: frozenset[str]) -> Findings:
        """See :class:`.IReportSource`."""
        read = self.read()
        if read is None or self.clock.seconds() - read < OLD:
            return Findings(())
        when = datetime.fromtimestamp(read, UTC)
        return Findings(
            [
                ReportItem(
                    f"Advisories were read last at {when:%Y-%m-%d %H:%M} UTC; see the "
                    "log, and advisories.source."
                )
            ]
        )
