"""Reading the upstream's list of names: once a day, by one of all servers."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve, frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.errors import NotFound, UpstreamError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.upstream.client import (
    Client,
    NotModified,
    UpstreamResponse,
    Validators,
)
from pypicloud_tw.upstream.names.listed import ListedNames, NamesElsewhere
from pypicloud_tw.upstream.names.packed import MAX_LIST, pack_file, pack_list
from pypicloud_tw.upstream.parse import ACCEPT
from pypicloud_tw.upstream.prepare import too_large
from pypicloud_tw.upstream.source import UpstreamIndex

#: What is asked for, JSON first: 40 MB, 7 MB on their way.
_HEADERS = {"Accept": ACCEPT, "Accept-Encoding": "gzip"}
_CODINGS = ("", "identity", "gzip", "x-gzip", "deflate")


@frozen(eq=False)
class NamesReader:
    """Asks each upstream for its list, unless it is as it was.

    It goes through a temporary file: no list is ever held in this process as it came.

    :ivar folder: for the file; None: the system's.
    """

    client: Client
    sources: tuple[UpstreamIndex, ...]
    names: NamesElsewhere
    offload: IOffload
    clock: IReactorTime
    folder: Path | None = None

    async def refresh(self) -> str:
        """Read what changed; return what came of it, the rest of a sentence.

        :raises UpstreamError: a list cannot be had, or read.
        :raises StoreError: the store is away.
        """
        try:
            changed = [await self._refresh_one(source) for source in self.sources]
        except NotFound:
            # Some indexes have none; that is no failure which ends.
            return "there is no list of names at the upstream"
        if not any(changed):
            return "the upstream's list of names is as it was"
        return "the upstream's list of names was read"

    async def _refresh_one(self, source: UpstreamIndex) -> bool:
        known = await self.names.load(source.base)
        unless = Validators(known.etag, known.modified) if known else Validators()
        response = await self.client.open_unless(
            source, source.base, unless, headers=_HEADERS
        )
        now = self.clock.seconds()
        if isinstance(response, NotModified):
            assert known is not None, "it was asked for by what is known"
            await self.names.save(source.base, evolve(known, read=now))
            return False
        listed = ListedNames(
            await self._pack(response),
            now,
            response.header(b"etag"),
            response.header(b"last-modified"),
        )
        await self.names.save(source.base, listed)
        return True

    async def _pack(self, response: UpstreamResponse) -> bytes:
        coding = response.coding
        if coding not in _CODINGS:
            response.body.abort()
            raise UpstreamError("The index's list of names is in an unknown coding.")
        coding = "" if coding == "identity" else coding
        spool = await Spool.temporary(self.offload, folder=self.folder)
        try:
            while piece := await response.body.read():
                if spool.size + len(piece) > MAX_LIST:
                    raise too_large(response.url, MAX_LIST)
                await spool.write(piece)
            await spool.finish()
            if spool.path is None:
                return await self.offload.in_thread(pack_list, spool.file, coding)
            return await self.offload.in_process(pack_file, str(spool.path), coding)
        finally:
            response.body.abort()
            await spool.close()
