"""What is not ours: the upstream's pages and files, served as ours are (decision D5).

Whoever calls this has checked that the reader may read, and has proof that the project
is not here, or that the operator wants both (``upstream.merge``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field

from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.errors import Forbidden, NotFound
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName, file_identity
from pypicloud_tw.offload.packing import PackedResult, pack
from pypicloud_tw.offload.service import unpack_apart
from pypicloud_tw.projects.explained.interface import AskedUpstream
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.links import METADATA, tells_bytes
from pypicloud_tw.upstream.pages import INLINE, UpstreamPage
from pypicloud_tw.upstream.relay import IFiles
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.web.files import Blob
from pypicloud_tw.web.representation import Page
from pypicloud_tw.web.simple import merge_elsewhere, merge_projects


async def _nothing() -> None:
    """Do nothing."""


def _begin_nothing() -> None:
    """Do nothing."""


def _pack_pages(own: Page, theirs: Page) -> tuple[bytes, bytes, bool] | PackedResult:
    """Pack what is merged, in a thread: theirs may have to be unpacked before."""
    return pack((own.json, theirs.json, own.relative))


async def _no_names() -> frozenset[NormalizedName]:
    return frozenset()


def shadows(own: Project, filename: str) -> bool:
    """Return whether a file of ours hides the upstream's of that name, or its metadata.

    Not in the page alone: who has the address from before must not have it either.
    """
    hidden = file_identity(filename.removesuffix(METADATA))
    return any(file_identity(file.filename) == hidden for file in own.files)


@define
class Fallback:
    """The upstream as the routes use it.

    :ivar begin: starts what it does in the background.
    :ivar close: gives up what is on its way, and lets go of connections.
    :ivar files: serves the upstream's files by addresses of ours; None where pages
        link to the upstream.
    :ivar redirects: clients are sent to the upstream instead.
    :ivar merge: names of projects of ours that show the upstream's files too.
    :ivar kept_names: tells the projects of which files are kept in the store.
    """

    upstreams: Upstreams[Page]
    close: Callable[[], Awaitable[None]] = _nothing
    begin: Callable[[], None] = _begin_nothing
    files: IFiles | None = None
    redirects: bool = False
    merge: frozenset[str] = frozenset()
    kept_names: Callable[[], Awaitable[frozenset[NormalizedName]]] = _no_names
    _merged: dict[NormalizedName, tuple[Page, Page, Page]] = field(
        factory=dict, init=False
    )
    _merging: Coalesced[Page] = field(factory=Coalesced, init=False)

    @property
    def asked(self) -> AskedUpstream:
        """What serves these, to whoever explains it."""
        keeps = isinstance(self.files, CachingFiles)
        return AskedUpstream(self.upstreams, self.redirects, self.merge, keeps)

    async def warm_up(self) -> None:
        """Be quick for the first client, too."""
        if not self.redirects:
            await self.upstreams.warm_up()

    async def page(self, name: NormalizedName) -> UpstreamPage[Page]:
        """Return the upstream's page of a project, rendered.

        :raises PypicloudError: see :meth:`Upstreams.page`.
        """
        return await self.upstreams.page(name)

    async def merged(self, name: NormalizedName, own: Page) -> tuple[Page, str | None]:
        """Return a page of ours with the upstream's files; ours shadow equal names.

        :param own: our page.
        :return: the page, and the value of a Warning header field if it needs one.
        :raises UpstreamError: what the upstream has is not known. Showing ours alone
            would have a resolver choose other versions than yesterday.
        """
        try:
            theirs = await self.upstreams.page(name)
        except (NotFound, Forbidden):
            # What may not come from there is no reason to hide what is ours.
            return own, None
        known = self._merged.get(name)
        if known is None or known[0] is not own or known[1] is not theirs.page:
            page = await self._merging.ask(
                f"{name} {id(own)} {id(theirs.page)}",
                lambda: self._merge(own, theirs.page),
            )
            known = self._merged[name] = own, theirs.page, page
        return known[2], theirs.warning

    async def _merge(self, own: Page, theirs: Page) -> Page:
        if own.size + theirs.size <= INLINE:
            return merge_projects(own.json, theirs.json, own.relative)
        offload = self.upstreams.offload
        packed = await offload.in_thread(_pack_pages, own, theirs)
        merged = await offload.in_process(merge_elsewhere, packed)
        return await unpack_apart(offload, merged)

    def asks(self, name: NormalizedName, segment: str, filename: str) -> bool:
        """Return whether the upstream may be asked to find a file."""
        return self.files is not None and not self.files.knows(name, segment, filename)

    async def blob(self, name: NormalizedName, segment: str, filename: str) -> Blob:
        """Find a file of the upstream by its address here.

        :raises NotFound: there is none, or its links do not lead here.
        :raises PypicloudError: see :meth:`IFiles.locate`.
        """
        if self.files is None:
            raise NotFound("There is no such file here.")
        located = await self.files.locate(name, segment, filename)
        return Blob(
            located.filename,
            located.sha256 or None,
            located.size,
            None,
            located.open,
            located.key,
            permanent=tells_bytes(segment),
            judged=True,
            how="relay" if located.key is None else "cache",
            mark=located.mark,
        )
