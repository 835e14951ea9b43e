"""The names of this index: those of its projects, and what is kept for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from attrs import frozen
from packaging.utils import is_normalized_name

from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.upstream.names.near import near


@frozen(eq=False)
class OwnNames:
    """Every name that is ours, whether or not there is a project.

    :ivar private: gives the patterns of private names (``pypi.private``); one that is
        no pattern is a name.
    """

    catalog: Catalog[Any]
    private: Callable[[], Iterable[str]]

    async def all(self) -> frozenset[str]:
        """Return them.

        :raises StoreError: the store is away, and none are known.
        """
        return self._private().union(await self.catalog.names())

    async def near(self, name: NormalizedName) -> Collection[NormalizedName]:
        """See :class:`.explained.interface.NearNames`.

        :raises StoreError: as of :meth:`all`.
        """
        await self.catalog.names()
        found = {*near(name, _Has(self.catalog.has)), *near(name, self._private())}
        return [NormalizedName(one) for one in sorted(found)]

    def _private(self) -> frozenset[str]:
        return frozenset(filter(is_normalized_name, self.private()))


@frozen
class _Has:
    """What a catalog has, without a copy of its names."""

    has: Callable[[str], bool]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)
