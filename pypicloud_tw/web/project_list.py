"""The list of all projects, rendered once for each state of it."""

from __future__ import annotations

from attrs import define, field

from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.web.representation import Page
from pypicloud_tw.web.simple import render_index

#: Projects up to which their list is rendered in less time than a helper takes.
QUICK_INDEX = 2000


@define(eq=False)
class ProjectList:
    """Keeps the page that was rendered last."""

    _offload: IOffload
    _last: tuple[tuple[NormalizedName, ...], frozenset[NormalizedName], Page] | None = (
        field(default=None, init=False)
    )
    _rendering: Coalesced[Page] = field(factory=Coalesced, init=False)

    async def page(
        self, own: tuple[NormalizedName, ...], kept: frozenset[NormalizedName]
    ) -> Page:
        """Return the page of these names.

        :param own: of the projects that are here, sorted.
        :param kept: of those of which the cache has files.
        """
        last = self._last
        if last is None or last[:2] != (own, kept):
            page = await self._rendering.ask(
                f"{id(own)} {id(kept)}", lambda: self._render(own, kept)
            )
            last = self._last = own, kept, page
        return last[2]

    async def _render(
        self, own: tuple[NormalizedName, ...], kept: frozenset[NormalizedName]
    ) -> Page:
        names = own if kept <= set(own) else tuple(sorted({*own, *kept}))
        if len(names) <= QUICK_INDEX:
            return render_index(names)
        return await self._offload.in_process(render_index, names)
