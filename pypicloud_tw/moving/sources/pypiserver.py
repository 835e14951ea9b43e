"""pypiserver: its simple index, and when its files were written to its disk."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.moving.http import SourceHttp
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Source
from pypicloud_tw.moving.sources.simple import SimpleSource, root_of
from pypicloud_tw.outbound.origins import is_web

#: What its first page says; its operator may have written another one.
_WELCOME = b"pypiserver"

_SIMPLE = "simple/"


@frozen
class PypiserverKind:
    """See :class:`~.kinds.Kind`."""

    name: str = "pypiserver"
    title: str = "pypiserver"

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        return is_web(place) and await _welcomes(root_of(place), tools.http(place))

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`.

        For a project that it does not have it sends to another index; nothing is taken
        from there.
        """
        base = f"{root_of(place)}{_SIMPLE}"
        return SimpleSource(tools.http(place), base, self.title, only_own=True)


async def _welcomes(root: str, http: SourceHttp) -> bool:
    page = await http.look(root, "text/html")
    return page is not None and _WELCOME in page[: 64 * 1024].lower()
