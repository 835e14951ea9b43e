"""Files of an upstream that lie in the store, as they are found there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import frozen
from packaging.utils import is_normalized_name

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.projects.affected.interface import KeptFile
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.upstream.keeper import CACHE, PAGES
from pypicloud_tw.upstream.links import METADATA


@frozen
class KeptInStore:
    """See :class:`.IKept`; also of projects that may not be had any more."""

    store: IObjectStore

    async def names(self) -> Collection[NormalizedName]:
        """See :class:`.IKept`."""
        found = set()
        # Every page sorts before every file, and "0" after "/".
        async for info in self.store.list(CACHE, after=f"{PAGES[:-1]}0"):
            name = info.key.removeprefix(CACHE).partition("/")[0]
            if is_normalized_name(name):
                found.add(NormalizedName(name))
        return frozenset(found)

    async def of(self, name: NormalizedName) -> Sequence[KeptFile]:
        """See :class:`.IKept`."""
        place = f"{CACHE}{name}/"
        keys = [info.key async for info in self.store.list(place)]
        found = (key.removeprefix(place).split("/") for key in keys)
        return [
            KeptFile(parts[1], _version(parts[1], name), parts[0])
            for parts in found
            if len(parts) == 2 and not parts[1].endswith(METADATA)
        ]


def _version(filename: str, name: NormalizedName) -> str | None:
    try:
        return str(Filename.parse(filename, legacy=True, project=name).version)
    except BadRequest:
        return None
