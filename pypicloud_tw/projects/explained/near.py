"""Names of this index that one of another index's may be taken for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from typing import Any

from attrs import frozen

from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.upstream.names.near import near


@frozen
class NearOurs:
    """See :class:`.NearNames`.

    :ivar private: gives the names that are private, whether or not they are here.
    """

    catalog: Catalog[Any]
    private: Callable[[], Iterable[str]]

    async def near(self, name: NormalizedName) -> Collection[NormalizedName]:
        """See :class:`.NearNames`."""
        private = near(name, frozenset(self.private()))
        try:
            hosted = near(name, _Sorted(await self.catalog.names()))
        except StoreError:
            hosted = ()  # what is explained beside that is worth telling
        return [NormalizedName(one) for one in {*private, *hosted}]


@frozen
class _Sorted(Container[str]):
    """Looks names up as they are listed: there may be 100,000."""

    names: Sequence[str]

    def __contains__(self, name: object) -> bool:
        assert isinstance(name, str), "names are texts"
        at = bisect_left(self.names, name)
        return at < len(self.names) and self.names[at] == name
