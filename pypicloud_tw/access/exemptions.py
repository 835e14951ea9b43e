"""The exemptions in force: those of the ini and those of the access document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import define, field

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.config.exemptions import Exemption

_NONE: tuple[Exemption, ...] = ()


@define(eq=False)
class Exemptions:
    """What is exempted here, as of now: SIGHUP and administrators change it.

    Whether one has ended is judged by whoever judges by it.

    :ivar access: whose policy has both sources.
    """

    access: Access
    _policy: Policy | None = field(default=None, init=False)
    _all: tuple[Exemption, ...] = field(default=_NONE, init=False)
    _by_project: Mapping[str, tuple[Exemption, ...]] = field(factory=dict, init=False)
    _edition: int = field(default=0, init=False)

    @property
    def edition(self) -> int:
        """A number that is another whenever anything else is exempted.

        Asked for every page: where no rule of access has changed, one comparison.
        """
        if self.access.policy is not self._policy:
            self._take(self.access.policy)
        return self._edition

    @property
    def all(self) -> tuple[Exemption, ...]:
        """Every one, those of the ini first."""
        if self.access.policy is not self._policy:
            self._take(self.access.policy)
        return self._all

    def of(self, name: str) -> tuple[Exemption, ...]:
        """Return those that speak of a project, by its normalized name."""
        if self.access.policy is not self._policy:
            self._take(self.access.policy)
        return self._by_project.get(name, _NONE)

    def _take(self, policy: Policy) -> None:
        self._policy = policy
        found = exemptions_of(policy)
        if found != self._all:
            self._all = found
            self._by_project = _by_project(found)
            self._edition += 1


def exemptions_of(policy: Policy) -> tuple[Exemption, ...]:
    """Return every exemption that the rules in force have, those of the ini first."""
    return (*policy.settings.exemptions, *policy.document.exemptions.values())


def ended_notices(exemptions: Iterable[Exemption], now: float) -> Iterator[str]:
    """Say which lines of the ini hold no more.

    :param now: seconds since the epoch.
    """
    for one in exemptions:
        if now >= one.until.timestamp():
            yield (
                f"{one.source}: the exemption of {one.what} ended on "
                f"{one.until:%Y-%m-%d %H:%M %Z}; the line can go."
            )


def _by_project(
    exemptions: Iterable[Exemption],
) -> Mapping[str, tuple[Exemption, ...]]:
    found: dict[str, tuple[Exemption, ...]] = {}
    for one in exemptions:
        found[one.project] = (*found.get(one.project, _NONE), one)
    return found
