"""Which versions of upstream projects clients get here, by the pages that they get."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from pypicloud_tw.advisories.values import spelled
from pypicloud_tw.errors import NotFound, PypicloudError
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.projects.affected.values import Fix
from pypicloud_tw.upstream.judgement.hidden import HIDDEN
from pypicloud_tw.upstream.service import Upstreams


@frozen(eq=False)
class VisibleUpstream:
    """See :class:`.IVisible`.

    :ivar index: of what has one of its names no upstream hears (decision D5).
    """

    index: Index
    upstreams: Upstreams[Any]

    async def fixes(
        self, name: NormalizedName, versions: Collection[str]
    ) -> Mapping[str, Fix]:
        """See :class:`.IVisible`."""
        try:
            if not await self._is_absent(name):
                return {}
            page = (await self.upstreams.page(name)).page
            return await self.upstreams.offload.in_process(
                seen_fixes, self.upstreams.reread, page, tuple(versions)
            )
        except PypicloudError:
            return {}  # that is told of a page to whoever asks for it

    async def _is_absent(self, name: NormalizedName) -> bool:
        """Return whether it is proved that there is no such project here.

        :raises PypicloudError: it is ours, or that is not known.
        """
        try:
            await self.index.catalog.project(name, prove_absence=True)
        except NotFound:
            await self.index.unserved.refuse(name, asks=True)
            return True
        return False


@limited(PAGES)
def seen_fixes(
    reread: Callable[[Any], Document], page: Any, versions: Collection[str]
) -> dict[str, Fix]:
    """Tell of versions whether a page has them; what it says nothing of is left out."""
    document = reread(page)
    shown = set(map(spelled, document.get("versions", ())))
    hidden = {
        spelled(entry["version"]): entry
        for entry in document.get(HIDDEN, ())
        if entry["version"]
    }
    found: dict[str, Fix] = {}
    for version in versions:
        wanted = spelled(version)
        if wanted in shown:
            found[version] = Fix(version, "visible")
        elif wanted in hidden:
            entry = hidden[wanted]
            until = _moment(entry.get("until"))
            found[version] = Fix(version, "hidden", entry["rule"], until)
    return found


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
