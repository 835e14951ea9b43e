"""Mirroring into the cache of the store (``pypi.fallback = cache``)."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.index.model import File
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.keeper import StoredPages
from pypicloud_tw.upstream.links import Link
from pypicloud_tw.upstream.source import UpstreamIndex


@frozen
class IntoCache:
    """See :class:`.mirror.Destination`: what a server keeps, as it keeps it."""

    files: CachingFiles
    pages: StoredPages
    takes_own: bool = False

    async def has(self, link: Link) -> bool:
        """See :class:`.mirror.Destination`."""
        return await self.files.has(link)

    async def keep(self, link: Link, source: UpstreamIndex) -> None:
        """See :class:`.mirror.Destination`."""
        await self.files.keep(link, source)

    async def has_own(self, file: File) -> bool:
        """See :class:`.mirror.Destination`: it is in the store."""
        return True

    async def keep_own(self, name: NormalizedName, file: File) -> bool:
        """See :class:`.mirror.Destination`: it is in the store."""
        return False

    async def finish(self) -> None:
        """See :class:`.mirror.Destination`: wait until the pages are kept, too."""
        await self.pages.settled()
