"""What is in force now: makes the judge of each project out of every source."""

from __future__ import annotations

from typing import Protocol

from attrs import define, field

from pypicloud_tw.advisories.values import IAdvisories, NoAdvisories
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.upstream.judgement.judge import ProjectJudge
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.judgement.values import Standing

_UNSEEN = Standing()
#: Quarantined projects that are remembered where nothing is kept. Of one that is
#: forgotten its page tells anew.
_REMEMBERED = 10_000


class IExemptions(Protocol):
    """The exemptions of the ini and of the access document."""

    @property
    def edition(self) -> int:
        """Grows whenever they are others."""

    def of(self, name: str) -> tuple[Exemption, ...]:
        """Return those of a project; quick."""


class IStandings(Protocol):
    """What is known of projects at the upstream beside their pages."""

    @property
    def edition(self) -> int:
        """Grows whenever something else is known."""

    def of(self, name: str) -> Standing:
        """Return what is known of a project; quick."""

    def mark(self, name: str, segment: str, filename: str) -> str | None:
        """Return what was done with a kept file: see :meth:`.Upstreams.mark`; quick."""

    async def ready(self) -> None:
        """Return when :meth:`of` can be asked: at once, but for just after the start.

        :raises StoreError: that cannot be told now.
        """

    def saw(self, name: str, standing: Standing) -> None:
        """Take note of what a project's page says now; quick."""


@define
class FixedExemptions:
    """Exemptions that never change: those of an ini, by project."""

    exemptions: tuple[Exemption, ...] = ()
    edition: int = 0

    def of(self, name: str) -> tuple[Exemption, ...]:
        """See :class:`IExemptions`."""
        return tuple(one for one in self.exemptions if one.project == name)


@define(eq=False)
class SeenStandings:
    """Knows what pages said last, as where nothing is kept.

    The pages know it themselves. What is asked for elsewhere is judged by it, too.
    """

    edition: int = field(default=0, init=False)
    _quarantined: Cache[str, Standing] = field(
        factory=lambda: Cache(_REMEMBERED), init=False
    )

    def of(self, name: str) -> Standing:
        """See :class:`IStandings`."""
        return self._quarantined.get(name) or _UNSEEN

    def mark(self, name: str, segment: str, filename: str) -> str | None:
        """See :class:`IStandings`."""
        return None

    async def ready(self) -> None:
        """See :class:`IStandings`."""

    def saw(self, name: str, standing: Standing) -> None:
        """See :class:`IStandings`."""
        if standing.status != "quarantined":
            standing = _UNSEEN
        if standing == self.of(name):
            return
        self.edition += 1
        if standing == _UNSEEN:
            self._quarantined.drop(name)
        else:
            self._quarantined.put(name, standing)


@define(eq=False)
class Judges:
    """Makes the judge of a project as it is now (decision D10).

    :ivar rules: the operator's.
    """

    rules: UpstreamRules = field(factory=UpstreamRules)
    exemptions: IExemptions = field(factory=FixedExemptions)
    advisories: IAdvisories = field(factory=NoAdvisories)
    standings: IStandings = field(factory=SeenStandings)

    @property
    def edition(self) -> int:
        """Grows whenever some project may be judged otherwise than before."""
        return (
            self.exemptions.edition + self.advisories.edition + self.standings.edition
        )

    def of(self, name: str) -> ProjectJudge:
        """Return the judge of a project, as everything is now; quick."""
        return ProjectJudge(
            name,
            self.rules,
            self.exemptions.of(name),
            self.advisories.of(name),
            self.advisories.trouble,
            self.standings.of(name),
        )
