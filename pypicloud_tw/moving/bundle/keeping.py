"""Taking what is kept of the other index out of a bundle, into the cache of a store.

It arrives as what it is: files of the other index. Their names stay that index's, and
all rules judge them as any file that is kept.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from pypicloud_tw.errors import (
    Conflict,
    NotFound,
    ObjectNotFound,
    PypicloudError,
    UpstreamError,
)
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.moving.bundle.values import KeptBundled, KeptProject
from pypicloud_tw.moving.report import ProjectReport, Report
from pypicloud_tw.moving.sources.bundle import BundleBody, BundleSource
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.upstream.cache_fill import record_of, refuse_unfit
from pypicloud_tw.upstream.judgement.values import Standing
from pypicloud_tw.upstream.keeper import StoredPages, file_key
from pypicloud_tw.upstream.kept import KeptResponse
from pypicloud_tw.upstream.links import METADATA, Link, link_of
from pypicloud_tw.upstream.offline import JSON
from pypicloud_tw.upstream.prepare import PageResponse, read, standing_of
from pypicloud_tw.upstream.standings import Standings


@frozen
class Keeper:
    """Takes kept files of a bundle into the cache.

    :ivar report: is told what became of each.
    :ivar told: is called after each file that was taken.
    """

    index: Index
    source: BundleSource
    pages: StoredPages
    standings: Standings
    offload: IOffload
    report: Report
    told: Callable[[int], None]

    async def take(self, kept: KeptProject, *, dry_run: bool) -> None:
        """Take a project's files, then its page."""
        report = ProjectReport(kept.name)
        self.report.projects.append(report)
        try:
            name = project_name(kept.name)
            await self._refuse_own(name)
            answer = PageResponse(f"{kept.base}{name}/", kept.page.encode(), JSON)
            standing, links = await self.offload.in_process(
                links_of_page, answer, name, self.pages.limit
            )
            for file in kept.files:
                await self._file(report, links, file, dry_run)
            if not dry_run:
                await self._page(name, kept, answer, standing)
        except PypicloudError as e:
            self._trouble(report, None, e)

    async def _refuse_own(self, name: NormalizedName) -> None:
        """Keep nothing under a name that is ours (decision D5)."""
        try:
            await self.index.catalog.project(name, prove_absence=True)
        except NotFound:
            await self.index.unserved.refuse(name, asks=True)
            return
        raise Conflict(
            f"{name} is a project of this index; files of the other index's are not "
            "kept beside it."
        )

    async def _file(
        self,
        report: ProjectReport,
        links: dict[tuple[str, str], Link],
        file: KeptBundled,
        dry_run: bool,
    ) -> None:
        try:
            link = links.get((file.filename, file.sha256))
            if link is None:
                raise UpstreamError("The page in the bundle has no such file.")
            if await self._is_there(_key(link), file.size):
                report.there += 1
            elif dry_run:
                report.taken += 1
                report.size += file.size
            else:
                await self._keep(link, file)
                report.taken += 1
                report.size += file.size
                self.told(file.size)
            if file.metadata is not None and not dry_run:
                await self._keep_metadata(_key(link) + METADATA, file.metadata)
        except PypicloudError as e:
            self._trouble(report, file.filename, e)

    async def _is_there(self, key: str, size: int) -> bool:
        try:
            return (await self.index.store.head(key)).size == size
        except ObjectNotFound:
            return False

    async def _keep(self, link: Link, file: KeptBundled) -> None:
        body = self._body(file.sha256)
        store = self.index.store
        upload = await store.begin(_key(link), size_hint=file.size)
        try:
            while data := await body.read():
                await upload.write(data)
            await upload.spool.finish()
            if body.length != file.size:
                raise UpstreamError("Its size in the bundle is not what it says.")
            await refuse_unfit(self.index.publisher.inspect, upload.spool, link)
            # First, so that whoever finds the file finds what was said of it.
            await store.put(*record_of(link))
            await upload.commit()
        finally:
            await upload.abort()

    async def _keep_metadata(self, key: str, digest: str) -> None:
        try:
            await self.index.store.head(key)
        except ObjectNotFound:
            data = await self._body(digest).read_all()
            await self.index.store.put(key, data)

    def _body(self, digest: str) -> BundleBody:
        if digest not in self.source.bundle.places:
            # No failure, which would keep the next bundle from being taken: what is
            # kept may be removed here.
            raise NotFound(
                "An earlier bundle has brought it, and it is here no more; take one "
                "that was made without --since-bundle."
            )
        return BundleBody(self.source.bundle, self.offload, digest)

    async def _page(
        self,
        name: NormalizedName,
        kept: KeptProject,
        answer: PageResponse,
        standing: Standing,
    ) -> None:
        """Keep the page, unless a younger one is here, and what it says of it all."""
        # A clock that ran ahead there must not let this page outlast all others.
        confirmed = min(kept.confirmed, self.index.clock.seconds())
        have = await self.pages.load(name)
        if have is not None and have.confirmed > confirmed:
            return
        await self.pages.save(name, KeptResponse(answer, kept.base, confirmed))
        await self.standings.ready()
        if "quarantined" in (standing.status, self.standings.of(name).status):
            self.standings.saw(name, standing)

    def _trouble(
        self, report: ProjectReport, filename: str | None, error: PypicloudError
    ) -> None:
        refused = error.status < 500
        self.report.not_taken(report, filename, error, refused=refused)


def _key(link: Link) -> str:
    assert link.sha256 is not None, "it was found by that"
    return file_key(NormalizedName(link.project), link.sha256, link.filename)


@limited(PAGES)
def links_of_page(
    answer: PageResponse, name: str, limit: int
) -> tuple[Standing, dict[tuple[str, str], Link]]:
    """Read a page, and find its files by their names and digests.

    :raises UpstreamError: it is none.
    """
    document = read(answer, name, limit)
    links = [link_of(name, file) for file in document["files"]]
    found = {(one.filename, one.sha256): one for one in links if one.sha256}
    return standing_of(document), found
