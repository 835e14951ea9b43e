"""Names of other indexes' projects that a search can show. Nobody is asked for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from attrs import field, frozen

from pypicloud_tw.access.patterns import match_any
from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.derived.values import Reads
from pypicloud_tw.projects.search import Others
from pypicloud_tw.projects.values import Origin


async def _no_names() -> frozenset[NormalizedName]:
    return frozenset()


async def _no_lists() -> tuple[tuple[bytes, ...], ...]:
    return ()


@frozen
class Elsewhere:
    """What is known here of other indexes.

    :ivar kept: tells the projects of which the cache keeps files; it may raise
        StoreError.
    :ivar listed: gives the lists of all names, see
        :meth:`~.upstream.names.listed.NamesElsewhere.to_search`.
    :ivar private: gives the patterns of names that are never asked of others.
    """

    kept: Callable[[], Awaitable[frozenset[NormalizedName]]] = field(default=_no_names)
    listed: Callable[[], Awaitable[tuple[tuple[bytes, ...], ...]]] = field(
        default=_no_lists
    )
    private: Callable[[], Iterable[str]] = field(default=tuple)

    async def to_search(self, index: Index, origin: Origin | None) -> Others | None:
        """Return what a search for projects of an origin looks at; None: nothing."""
        if origin == "ours":
            return None
        lists = () if origin == "kept" else await self.listed()
        kept = sorted(await self._kept_names())
        return Others(kept, lists, self._hidden(index), shows_kept=origin != "upstream")

    async def _kept_names(self) -> frozenset[NormalizedName]:
        try:
            return await self.kept()
        except StoreError:
            return frozenset()

    def _hidden(self, index: Index) -> Reads:
        unserved = index.unserved.reasons() or {}
        patterns = tuple(self.private())
        has = index.catalog.has
        return lambda name: has(name) or name in unserved or match_any(patterns, name)
