"""The projects whose entries are to be brought up."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, frozen

from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.derived.shards import SHARDS, shard_of
from pypicloud_tw.projects.derived.values import DescribedProject


@frozen
class Wanted:
    """Which entry a project is to have.

    :ivar due: when it is made, if it is not there.
    :ivar serial: which one it must have; None: another is to be made anyway.
    :ivar etag: the same, where the manifests were listed.
    """

    due: float
    serial: int | None = None
    etag: str | None = None

    @property
    def own(self) -> bool:
        """Whether this server changed it, and nobody else makes its entry."""
        return self.serial is None and self.etag is None

    def is_met_by(self, found: DescribedProject) -> bool:
        """Return whether an entry that another made is new enough."""
        if self.etag is not None:
            return found.etag == self.etag
        return self.serial is not None and found.serial >= self.serial


@define(eq=False)
class Waiting:
    """What is wanted, by shard.

    :ivar first: the shard to begin with: servers that do the same work share it if they
        begin at different ones.
    """

    first: int = 0
    _by_shard: dict[int, dict[NormalizedName, Wanted]] = field(factory=dict, init=False)
    _own: set[int] = field(factory=set, init=False)

    def __len__(self) -> int:
        return sum(map(len, self._by_shard.values()))

    def add(self, name: NormalizedName, wanted: Wanted) -> None:
        """Want an entry; one that this server is to make anyway stays wanted so."""
        number = shard_of(name)
        there = self._by_shard.setdefault(number, {})
        known = there.get(name)
        if known is not None and known.own:
            # Another wish all the same: the one that is known may be under way.
            wanted = Wanted(min(known.due, wanted.due))
        there[name] = wanted
        if wanted.own:
            self._own.add(number)

    def next(self, now: float) -> tuple[int, Mapping[NormalizedName, Wanted]] | None:
        """Choose a shard, and what of it is due; one that this server changed first."""
        others = sorted(
            self._by_shard, key=lambda number: (number - self.first) % SHARDS
        )
        for number in (*sorted(self._own), *others):
            some = self._by_shard.get(number, {})
            due = {name: wanted for name, wanted in some.items() if wanted.due <= now}
            if due:
                return number, due
        return None

    def done(self, number: int, wanted: Mapping[NormalizedName, Wanted]) -> None:
        """Take out what was wanted, unless more is by now."""
        there = self._by_shard.get(number, {})
        for name, one in wanted.items():
            if there.get(name) is one:
                del there[name]
        if not there:
            self._by_shard.pop(number, None)
        if not any(one.own for one in there.values()):
            self._own.discard(number)
