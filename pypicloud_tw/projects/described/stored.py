"""What releases and files say of themselves, found here or at the other index."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from attrs import define, evolve, field
from twisted.logger import Logger

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.errors import BadRequest, NotFound, StoreError, Unavailable
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.statuses import check_offered
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.described.contents import FileContents
from pypicloud_tw.projects.described.core_metadata import core_metadata, described_by
from pypicloud_tw.projects.described.dependencies import compare
from pypicloud_tw.projects.described.descriptions import Descriptions
from pypicloud_tw.projects.described.listing import TARS
from pypicloud_tw.projects.described.release_metadata import (
    compare_apart,
    read_metadata,
)
from pypicloud_tw.projects.described.texts import clean_line
from pypicloud_tw.projects.described.upstream import DescribedUpstream
from pypicloud_tw.projects.described.values import (
    Contents,
    DependencyChanges,
    MemberText,
    ReleaseMetadata,
    RenderedDescription,
)
from pypicloud_tw.projects.explained.interface import AskedUpstream
from pypicloud_tw.projects.releases import find_version, releases
from pypicloud_tw.projects.stored_files import open_named
from pypicloud_tw.store.interfaces import ByteRange, IDownload
from pypicloud_tw.upstream.links import METADATA
from pypicloud_tw.upstream.relay import IFiles, LocatedFile

#: Bytes of core metadata that are kept as it is shown.
CAPACITY = 16 * 2**20

#: Bytes of headers, and of all, up to which core metadata is read in a millisecond or
#: five, which is less than it takes to ask a helper.
_QUICK_HEADERS, _QUICK = 4 * 1024, 64 * 1024

#: Dependencies up to which two releases are compared at once.
_QUICK_DEPENDENCIES = 500

#: Source archives of which it is remembered that they tell nothing.
_SILENT = 20_000

#: About how many bytes of memory a release takes, and each dependency.
_RELEASE, _DEPENDENCY = 4_000, 1_000


def _weight(metadata: ReleaseMetadata) -> int:
    texts = len(metadata.description.encode())
    return _RELEASE + 2 * texts + _DEPENDENCY * len(metadata.dependencies)


@define(eq=False)
class StoredDescribed:
    """See :class:`.Described`.

    :ivar upstream: what is not here; None: nobody is asked.
    :ivar merge: names of projects that are shown as both indexes have them.
    """

    index: Index
    offload: IOffload
    upstream: DescribedUpstream | None
    merge: frozenset[str]
    _contents: FileContents
    _descriptions: Descriptions = field(init=False)
    _known: Cache[tuple[str, str, str], ReleaseMetadata] = field(init=False)
    _reading: Coalesced[ReleaseMetadata | None] = field(factory=Coalesced, init=False)
    # Source archives that tell nothing, by their digests.
    _silent: Cache[str, bool] = field(factory=lambda: Cache(_SILENT), init=False)
    _log = Logger()

    @classmethod
    def of(
        cls,
        index: Index,
        asked: AskedUpstream | None = None,
        files: IFiles | None = None,
        temp_dir: Path | None = None,
    ) -> StoredDescribed:
        """Make it for an index.

        :param asked: what serves the projects that are not here; None: nothing does.
        :param files: gives the files of these; None where pages lead there, and only
            the older JSON API tells of them.
        :param temp_dir: see :class:`.FileContents`.
        """
        offload = index.publisher.offload
        upstream = None
        if asked is not None and not asked.redirects:
            upstream = DescribedUpstream(asked, index.store, offload, files)
        merge = frozenset() if asked is None else asked.merge
        return cls(index, offload, upstream, merge, FileContents(offload, temp_dir))

    @_descriptions.default
    def _make_descriptions(self) -> Descriptions:
        return Descriptions(self.offload, self.index.clock.seconds)

    @_known.default
    def _make_known(self) -> Cache[tuple[str, str, str], ReleaseMetadata]:
        return Cache(CAPACITY, _weight)

    # -- releases ----------------------------------------------------------------------

    async def metadata(
        self, name: NormalizedName, version: str
    ) -> ReleaseMetadata | None:
        """See :class:`.Described`."""
        own = await self._own(name)
        if own is not None:
            check_offered(own)
            try:
                return await self._of_ours(own, find_version(own, version))
            except NotFound:
                if not self._merges(name):
                    raise
        assert self.upstream is not None, "somebody else may be asked"
        return await self._of_theirs(self.upstream, name, version)

    async def description(
        self, name: NormalizedName, version: str
    ) -> RenderedDescription:
        """See :class:`.Described`."""
        metadata = await self.metadata(name, version)
        if metadata is None:
            return RenderedDescription("", "none")
        return await self.rendered(metadata)

    async def rendered(self, metadata: ReleaseMetadata) -> RenderedDescription:
        """See :class:`.Described`."""
        return await self._descriptions.rendered(metadata)

    async def compare(
        self, name: NormalizedName, old: str, new: str
    ) -> DependencyChanges:
        """See :class:`.Described`."""
        before, after = await self._told(name, old), await self._told(name, new)
        needed = len(before.dependencies) + len(after.dependencies)
        if needed <= _QUICK_DEPENDENCIES:
            return compare(before, after)
        return await self.offload.in_process(
            compare_apart,
            evolve(before, description=""),
            evolve(after, description=""),
        )

    async def _told(self, name: NormalizedName, version: str) -> ReleaseMetadata:
        found = await self.metadata(name, version)
        if found is None or found.source in ("archive", "manifest"):
            raise NotFound(
                f"What {name} {clean_line(version, 100)} needs is not known: no core "
                "metadata is served beside its files."
            )
        return found

    async def _of_ours(self, project: Project, version: str) -> ReleaseMetadata:
        files = releases(project)[version]
        told = _by_manifest(project, version, files)
        found = await self._beside(project, version)
        if found is None:
            found = await self._within(project, version, files)
        if found is None:
            return told
        return evolve(
            found,
            summary=found.summary or told.summary,
            requires_python=found.requires_python or told.requires_python,
        )

    async def _beside(self, project: Project, version: str) -> ReleaseMetadata | None:
        """Read what lies beside a wheel."""
        file = described_by(project, version)
        if file is None:
            return None
        fetch = partial(core_metadata, self.index.store, file)
        return await self._read(project.name, version, file.metadata_sha256, fetch)

    async def _within(
        self, project: Project, version: str, files: Sequence[File]
    ) -> ReleaseMetadata | None:
        """Read what lies in a source archive, of a release without wheels."""
        file = next((one for one in files if one.filename.endswith(TARS)), None)
        if file is None or file.sha256 in self._silent:
            return None
        fetch = partial(self._contents.pkg_info, self._located(file))
        try:
            found = await self._read(project.name, version, file.sha256, fetch)
        except StoreError:
            raise
        except Unavailable:
            return None  # too many look into files: a page is no less for that
        if found is None:
            self._silent.put(file.sha256, True)
            return None
        return evolve(found, source="archive")

    async def _of_theirs(
        self, upstream: DescribedUpstream, name: NormalizedName, version: str
    ) -> ReleaseMetadata | None:
        for link in await upstream.links(name, version):
            fetch = partial(upstream.metadata, name, link)
            # Where its page tells none, the file's own tells what lies beside it.
            digest = link.metadata or f"{link.sha256}{METADATA}"
            found = await self._read(name, version, digest, fetch)
            if found is not None:
                return found
        return await upstream.told(name, version)

    async def _read(
        self,
        name: NormalizedName,
        version: str,
        digest: str | None,
        fetch: Callable[[], Awaitable[bytes | None]],
    ) -> ReleaseMetadata | None:
        """Read core metadata, once while it is remembered by its digest."""
        key = digest or "", str(name), version
        known = self._known.get(key) if digest else None
        if known is not None:
            return known

        async def read() -> ReleaseMetadata | None:
            found = await self._fetched(name, version, fetch)
            if digest and found is not None:
                self._known.put(key, found)
            return found

        return await self._reading.ask(key, read)

    async def _fetched(
        self,
        name: NormalizedName,
        version: str,
        fetch: Callable[[], Awaitable[bytes | None]],
    ) -> ReleaseMetadata | None:
        try:
            metadata = await fetch()
            if metadata is None:
                return None
            return await self._parse(metadata, name, version)
        except BadRequest as e:
            self._log.warn(
                "The core metadata of {name} {version} is not shown: {error}",
                name=name,
                version=version,
                error=e.message,
            )
            return None

    async def _parse(
        self, metadata: bytes, name: NormalizedName, version: str
    ) -> ReleaseMetadata:
        headers = metadata.partition(b"\n\n")[0]
        if len(headers) <= _QUICK_HEADERS and len(metadata) <= _QUICK:
            return read_metadata(metadata, name, version)
        return await self.offload.in_process(read_metadata, metadata, name, version)

    # -- files -------------------------------------------------------------------------

    async def contents(
        self, name: NormalizedName, filename: str, cursor: str | None = None
    ) -> Contents:
        """See :class:`.Described`."""
        file = await self._file(name, filename)
        return await self._contents.contents(file, cursor)

    async def member(
        self, name: NormalizedName, filename: str, path: str
    ) -> MemberText:
        """See :class:`.Described`."""
        return await self._contents.member(await self._file(name, filename), path)

    async def _file(self, name: NormalizedName, filename: str) -> LocatedFile:
        own = await self._own(name)
        if own is not None:
            check_offered(own)
            file = own.file(filename)
            if file is not None:
                return self._located(file)
        if self.upstream is not None and (own is None or self._merges(name)):
            return await self.upstream.kept(name, filename)
        raise NotFound("There is no such file here; it may have been deleted.")

    def _located(self, file: File) -> LocatedFile:
        async def open_it(part: ByteRange | None) -> IDownload:
            return await open_named(self.index.store, file.key, file.size, part)

        return LocatedFile(file.filename, file.sha256, file.size, open_it, file.key)

    # -- projects ----------------------------------------------------------------------

    async def _own(self, name: NormalizedName) -> Project | None:
        """Find a project of ours; None: it is proved that there is none.

        :raises NotFound: nor is anybody else asked.
        """
        asks = self.upstream is not None
        try:
            return (await self.index.catalog.project(name, prove_absence=asks)).project
        except NotFound:
            if not self._merges(name):
                await self.index.unserved.refuse(name, asks=asks)
            if not asks:
                raise
            return None

    def _merges(self, name: NormalizedName) -> bool:
        return self.upstream is not None and name in self.merge


def _by_manifest(
    project: Project, version: str, files: Sequence[File]
) -> ReleaseMetadata:
    """Tell what the index keeps of every file."""
    return ReleaseMetadata(
        project.name,
        version,
        clean_line(_first(file.summary for file in files), 1_000),
        requires_python=clean_line(_first(file.requires_python for file in files), 200),
        source="manifest",
    )


def _first(texts: Iterable[str | None]) -> str:
    return next(filter(None, texts), "")
