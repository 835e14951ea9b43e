"""What is said of a server that is ready, and is not all that it should be."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.advisories.values import AdvisoriesStanding
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.survey import lost


def not_served(index: Index) -> dict[NormalizedName, str] | None:
    """Return why projects in the store cannot be served; None: it is not known yet."""
    known = index.unserved.reasons()
    if known is None:
        return None
    reasons = {n: why for n, why in known.items() if not index.catalog.has(n)}
    return reasons | {name: lost(name) for name in index.catalog.lost}


@frozen
class Readiness:
    """Looks for what is not as it should be.

    :ivar advisories: tells how what is known of them stands; None: nothing is read.
    """

    index: Index
    access: Access
    advisories: Callable[[], AdvisoriesStanding | None]

    async def problems(self, principal: Principal, *, by_name: bool) -> list[str]:
        """Say what there is, a sentence each.

        :param by_name: projects that are not served are named, too, if *principal* may
            read them; else only the number of those is told.
        """
        problem = self.access.problem
        what_holds = (
            "What was known of it before holds for reading, and nothing is changed."
        )
        about_access = [] if problem is None else [f"{problem} {what_holds}"]
        known = self.advisories()
        about_advisories = [known.trouble] if known and known.trouble else []
        return [
            *about_access,
            *about_advisories,
            *await self._unserved(principal, by_name),
        ]

    async def _unserved(self, principal: Principal, by_name: bool) -> list[str]:
        await self.index.unserved.learn()
        reasons = not_served(self.index)
        if reasons is None:
            return ["It is not known yet which projects in the store cannot be served."]
        readable = self.access.policy.readable(principal)
        told = {name: why for name, why in reasons.items() if readable.allows(name)}
        number = len(reasons if by_name else told)
        if not number:
            return []
        count = f"{number} project(s) in the store cannot be served."
        names = [f"{name}: {why}" for name, why in sorted(told.items())]
        return [count, *names] if by_name else [count]
