"""One matter of several records: a flaw has an id in each database that knows it."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field, frozen
from packaging.version import InvalidVersion, Version

from pypicloud_tw.advisories.values import Advisory, Severity


@frozen
class Matter:
    """What the advisories of a project say of one flaw, or of one malicious release.

    :ivar advisories: those that share an id, by their own or as an alias.
    :ivar ids: of all of them, and their aliases; those of the records come first.
    """

    advisories: tuple[Advisory, ...]
    ids: tuple[str, ...]

    @classmethod
    def of(cls, advisories: Iterable[Advisory]) -> Matter:
        """Put records of the same matter together."""
        members = tuple(sorted(advisories, key=lambda one: (not one.malware, one.id)))
        aliases = sorted({alias for one in members for alias in one.aliases})
        return cls(members, tuple(dict.fromkeys([*(m.id for m in members), *aliases])))

    @property
    def malware(self) -> bool:
        """Whether one of them speaks of malware."""
        return any(one.malware for one in self.advisories)

    @property
    def severity(self) -> Severity:
        """The worst that one of them says; malware is critical."""
        if self.malware:
            return Severity.CRITICAL
        return max(one.severity for one in self.advisories)

    @property
    def summary(self) -> str:
        """What the first says that says anything."""
        return next((one.summary for one in self.advisories if one.summary), "")

    @property
    def published(self) -> float | None:
        """When the first was; seconds since the epoch."""
        known = [m.published for m in self.advisories if m.published is not None]
        return min(known, default=None)

    def affects(self, version: str | None) -> bool:
        """Return whether one of them speaks of a version."""
        return any(one.affects(version) for one in self.advisories)

    def names(self, sha256: str) -> bool:
        """Return whether one of them names a file by its digest."""
        return any(sha256 in one.sha256s for one in self.advisories)

    def fixes_of(self, version: str) -> tuple[str, ...]:
        """Return the versions that repair a version, the next one first.

        They are newer, and no record of the matter speaks of them: a first repair that
        was none is left out. So the first is the newest of the version's own line, if
        that has one: for 2.0.1 it is 2.0.7 rather than 3.1.
        """
        if (own := _parsed(version)) is None:
            return ()
        fixed = {text for one in self.advisories for text in one.fixed}
        parsed = {number: text for text in fixed if (number := _parsed(text))}
        newer = sorted(number for number in parsed if number > own)
        return tuple(parsed[n] for n in newer if not self.affects(parsed[n]))


def matters_of(advisories: Iterable[Advisory]) -> tuple[Matter, ...]:
    """Put the advisories of a project together by what they are about."""
    groups = _Groups()
    for one in advisories:
        groups.add(one)
    return tuple(Matter.of(members) for members in groups.members)


@define
class _Groups:
    """Advisories that share ids, directly or by way of others."""

    _by_id: dict[str, list[Advisory]] = field(factory=dict)

    def add(self, advisory: Advisory) -> None:
        ids = {advisory.id, *advisory.aliases}
        joined = [advisory]
        for group in {id(g): g for i in ids if (g := self._by_id.get(i))}.values():
            joined += group
        ids.update(name for one in joined for name in (one.id, *one.aliases))
        self._by_id.update(dict.fromkeys(ids, joined))

    @property
    def members(self) -> list[list[Advisory]]:
        return list({id(group): group for group in self._by_id.values()}.values())


def _parsed(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
