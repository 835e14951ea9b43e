"""What projects say of themselves, as far as they are known in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from attrs import define, field, frozen

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import ManifestDamaged, ManifestLost, NotFound
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.releases import newest

#: Bytes of memory for them: 100,000 projects' have some 40 MB.
MEMORY = 48 * 2**20

#: Projects that are read at once.
_AT_ONCE = 16

#: What one weighs beside its summary.
_OVERHEAD = 400


@frozen
class Summary:
    """A project's newest release, in a line.

    :ivar etag: of the state that it is of.
    :ivar version: None: the project offers nothing.
    """

    etag: str
    version: str | None
    text: str | None


@define(eq=False)
class Summaries:
    """Finds them without asking the store, and finds out once which release is newest.

    What a search shows may be as old as the page that is kept of a project.
    """

    catalog: Catalog[Any]
    _known: Cache[NormalizedName, Summary] = field(init=False)

    @_known.default
    def _make_cache(self) -> Cache[NormalizedName, Summary]:
        return Cache(MEMORY, lambda known: _OVERHEAD + len(known.text or ""))

    def find(self, name: NormalizedName) -> Summary | None:
        """Return a project's; None: it is not in memory."""
        state = self.catalog.last_known(name)
        if state is None:
            return None
        known = self._known.get(name)
        if known is None or known.etag != state.etag:
            file = newest(state.project)
            known = (
                Summary(state.etag, None, None)
                if file is None
                else Summary(state.etag, file.version, file.summary)
            )
            self._known.put(name, known)
        return known

    async def learn(self, names: Iterable[NormalizedName]) -> None:
        """Read the projects that are not in memory; what cannot be read stays unknown.

        :raises StoreError: the store is away.
        """
        queue = deque(name for name in names if self.find(name) is None)

        async def work() -> None:
            while queue:
                name = queue.popleft()
                with suppress(NotFound, ManifestDamaged, ManifestLost):
                    await self.catalog.project(name)
                self.find(name)

        await side_by_side(_AT_ONCE, work, queue)
