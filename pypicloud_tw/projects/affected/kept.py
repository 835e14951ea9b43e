"""Files of an upstream that lie in the store, as they are found there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import frozen

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.projects.affected.interface import KeptFile
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.upstream.keeper import stored_files, stored_names


@frozen
class KeptInStore:
    """See :class:`.IKept`; also of projects that may not be had any more."""

    store: IObjectStore

    async def names(self) -> Collection[NormalizedName]:
        """See :class:`.IKept`."""
        return await stored_names(self.store)

    async def of(self, name: NormalizedName) -> Sequence[KeptFile]:
        """See :class:`.IKept`."""
        return [
            KeptFile(file.filename, _version(file.filename, name), file.of)
            async for file in stored_files(self.store, name)
            if not file.is_metadata
        ]


def _version(filename: str, name: NormalizedName) -> str | None:
    try:
        return str(Filename.parse(filename, legacy=True, project=name).version)
    except BadRequest:
        return None
