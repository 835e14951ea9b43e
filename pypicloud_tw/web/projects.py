"""What is served under a project's name: ours, the upstream's, or both (decision D5).

Whoever asks here has checked that the reader may read.
"""

from __future__ import annotations

from attrs import define, frozen

from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.catalog import CachedProject, Catalog
from pypicloud_tw.index.layout import METADATA_SUFFIX
from pypicloud_tw.index.model import File
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.statuses import check_offered, is_offered
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.projects.addresses import DIGEST_DIGITS, file_path
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.web.fallback import Fallback, shadows
from pypicloud_tw.web.files import Blob, find_blob
from pypicloud_tw.web.representation import Page
from pypicloud_tw.web.views import ProjectView


@frozen
class Found:
    """A page that is served here.

    :ivar warning: the value of a Warning header field, if it needs one.
    """

    page: Page
    warning: str | None = None


@frozen
class Elsewhere:
    """A page that the client finds at another server."""

    address: str


@define(eq=False)
class Projects:
    """Finds projects and files, here or upstream.

    :ivar fallback: what serves the projects that are not here; None: nothing does.
    """

    catalog: Catalog[ProjectView]
    store: IObjectStore
    unserved: Unserved
    fallback: Fallback | None

    def known_page(self, name: NormalizedName) -> Page | None:
        """Return a page that is known to be fresh; None if that takes a question."""
        entry = self.catalog.fresh(name)
        fallback = self.fallback
        if entry is not None:
            merged = fallback is not None and name in fallback.merge
            return None if merged else entry.page.page
        if fallback is None or not self.catalog.known_absent(name):
            return None
        if self.unserved.holds(name) and name not in fallback.merge:
            return None
        known = fallback.upstreams.fresh(name)
        return None if known is None or known.stale else known.page

    def known_file(
        self, name: NormalizedName, digest: str, filename: str
    ) -> File | None:
        """Return a file of ours that is known to be handed out, asking nobody."""
        entry = self.catalog.fresh(name)
        if entry is None or not is_offered(entry.project):
            return None
        return entry.page.file(digest, filename)

    def count_known(self) -> None:
        """Count a page that :meth:`known_page` gave and that was served."""
        self.catalog.count_hit()

    async def page(self, name: NormalizedName) -> Found | Elsewhere:
        """Find a project's page.

        :raises NotFound: there is no such project, here or upstream.
        :raises PypicloudError: see :meth:`entry` and :class:`Fallback`.
        """
        fallback = self.fallback
        try:
            entry = await self.own(name)
        except NotFound:
            if fallback is None:
                raise
            return await self.elsewhere(name, fallback)
        offered = is_offered(entry.project)
        if fallback is not None and name in fallback.merge and offered:
            return Found(*await fallback.merged(name, entry.page.page))
        return Found(entry.page.page)

    async def own(self, name: NormalizedName) -> CachedProject[ProjectView]:
        """Find a project of ours, before others may be asked for its page.

        They must not hear our names. Errors as of :meth:`entry`.
        """
        fallback = self.fallback
        asks = fallback is not None and not fallback.upstreams.knows(name)
        return await self.entry(name, asks)

    async def elsewhere(
        self, name: NormalizedName, fallback: Fallback
    ) -> Found | Elsewhere:
        """Find the page of a project that :meth:`own` has not found.

        :raises PypicloudError: see :class:`Fallback`.
        """
        if fallback.redirects:
            return Elsewhere(fallback.upstreams.address(name))
        known = await fallback.page(name)
        return Found(known.page, known.warning)

    async def blob(self, name: NormalizedName, digest: str, filename: str) -> Blob:
        """Find a file, or the core metadata beside it, by its address.

        :raises NotFound: there is none.
        :raises Forbidden: the project is quarantined.
        :raises PypicloudError: see :meth:`entry` and :class:`Fallback`.
        """
        fallback = self.fallback
        asks = fallback is not None and fallback.asks(name, digest, filename)
        try:
            entry = await self.entry(name, asks)
        except NotFound:
            if fallback is None:
                raise
            return await fallback.blob(name, digest, filename)
        check_offered(entry.project)
        try:
            return find_blob(entry.page.file, digest, filename, self.store)
        except NotFound:
            if fallback is None or name not in fallback.merge:
                raise
            if shadows(entry.project, filename):
                raise
            return await fallback.blob(name, digest, filename)

    async def own_blob(self, name: NormalizedName, filename: str) -> Blob:
        """Find a file of ours by its name alone.

        :raises NotFound: there is none.
        :raises Forbidden: the project is quarantined.
        :raises PypicloudError: see :meth:`entry`.
        """
        entry = await self.entry(name, asks=False)
        check_offered(entry.project)
        file = entry.project.file(filename)
        if file is None:
            raise NotFound("There is no such file here; it may have been removed.")
        digest = file.sha256[:DIGEST_DIGITS]
        return find_blob(entry.page.file, digest, filename, self.store)

    async def own_path(self, name: NormalizedName, filename: str) -> str:
        """Return the address below the root of a file of ours, by its name alone.

        :raises NotFound: there is none.
        :raises PypicloudError: see :meth:`entry`.
        """
        project = (await self.entry(name, asks=False)).project
        file = project.file(filename.removesuffix(METADATA_SUFFIX))
        if file is None or not is_offered(project):
            raise NotFound("There is no such file here; it may have been removed.")
        suffix = filename[len(file.filename) :]
        return file_path(project.name, file) + suffix

    async def entry(
        self, name: NormalizedName, asks: bool
    ) -> CachedProject[ProjectView]:
        """Find a project of ours.

        :param asks: where there is none, others may be asked for it.
        :raises NotFound: it is proved that there is none.
        :raises Unavailable: it is ours all the same, and cannot be served.
        """
        try:
            return await self.catalog.project(name, prove_absence=asks)
        except NotFound:
            # Of what is merged, the upstream's files may be shown at any time.
            if self.fallback is None or name not in self.fallback.merge:
                await self.unserved.refuse(name, asks=asks)
            raise
