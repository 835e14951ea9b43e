"""A mirror that bandersnatch made, as it lies on a disk.

Its pages (``web/simple``) say what it serves. Where it kept the JSON documents of the
index that it mirrors (``json = true``), these tell what older pages do not: times,
sizes, and why a file was yanked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import attrs
from attrs import evolve, field, frozen

from pypicloud_tw.errors import BadRequest, NotFound, UpstreamError
from pypicloud_tw.index.imported import parse_moment
from pypicloud_tw.index.names import project_name
from pypicloud_tw.json_values import NotAsDeclared, decode, longest
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.disk import Disk, DiskBody
from pypicloud_tw.moving.sources.folder import is_folder
from pypicloud_tw.moving.sources.simple import (
    MAX_PAGE,
    ReadPage,
    page_project,
    read_page,
)
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.store.interfaces import Unlisted
from pypicloud_tw.upstream.parse import load_json
from pypicloud_tw.upstream.prepare import PageResponse

T = TypeVar("T")

#: A project's page, the form that tells most first.
_PAGES = {
    "index.v1_json": "application/vnd.pypi.simple.v1+json",
    "index.html": "text/html",
}

#: What a page's links are relative to: an address that nobody has (RFC 2606).
_NOWHERE = "http://mirror.invalid"

#: Bytes of a document above which a helper reads it: it takes some 5 ms.
_LARGE = 256 * 1024

#: Pages of a mirror, of which their folders' names alone are remembered. One of the
#: whole public index has three for each of its 700,000 projects.
_MOST_PAGES = 10_000_000

_SIMPLE, _PACKAGES, _JSON = "simple", "packages", "json"


@frozen
class _Digests:
    """What a file's bytes are known by."""

    sha256: str | None = None
    md5: str | None = None


@frozen
class _ReleaseFile:
    """A file, as the JSON document of its project tells of it."""

    filename: str
    digests: _Digests = _Digests()
    size: int | None = None
    upload_time_iso_8601: str | None = None
    yanked: bool = False
    # Longer than any that a form takes.
    yanked_reason: str | None = field(default=None, metadata=longest(64 * 1024))


@frozen
class BandersnatchSource:
    """See :class:`~.source.Source`.

    :ivar web: what the keys of what is served begin with: ``web/``, or nothing.
    """

    disk: Disk
    web: str

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        return f"the bandersnatch mirror {self.disk.path}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        found: set[str] = set()

        def take(key: str) -> None:
            # simple/acme/index.html, and simple/a/acme/index.html with hash-index.
            *_, folder, page = key.split("/")
            if page in _PAGES and key != f"{self.web}{_SIMPLE}/{page}":
                found.add(folder)

        def take_link(what: Unlisted) -> None:
            take(what.key)  # keep_index_versions

        prefix = f"{self.web}{_SIMPLE}/"
        async for info in self.disk.files(prefix, take_link, _MOST_PAGES):
            take(info.key)
        return sorted(found)

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`."""
        normal = project_name(name)
        told = await self._document(normal)
        project = page_project(name, await self._page(normal))
        files = (self._file(file, told.get(file.filename)) for file in project.files)
        return evolve(project, files=tuple(files))

    async def open(self, file: SourceFile) -> DiskBody:
        """See :class:`~.source.Source`."""
        return await self.disk.open(file.location)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`~.source.Source`."""
        return None

    async def close(self) -> None:
        """See :class:`~.source.Source`."""

    async def _page(self, name: str) -> ReadPage:
        for key, content_type in self._page_keys(name):
            behind = await self.disk.behind(key)
            if behind.file is None:
                continue
            data = await self.disk.read(behind.file.key, MAX_PAGE)
            answer = PageResponse(f"{_NOWHERE}/simple/{name}/", data, content_type)
            try:
                return await self._read(data, read_page, answer, name)
            except UpstreamError as e:
                why = e.message.rpartition(_NOWHERE)[2].strip()
                raise UpstreamError(f"{key!r} in {self.disk.path} {why}") from None
        raise NotFound(f"There is no page of {name} in {self.disk.path}.")

    def _page_keys(self, name: str) -> Iterator[tuple[str, str]]:
        for folder in (name, f"{name[0]}/{name}"):
            for page, content_type in _PAGES.items():
                yield f"{self.web}{_SIMPLE}/{folder}/{page}", content_type

    async def _document(self, name: str) -> Mapping[str, _ReleaseFile]:
        key = f"{self.web}{_JSON}/{name}"
        try:
            data = await self.disk.read(key, MAX_PAGE)
        except NotFound:
            return {}
        try:
            return await self._read(data, read_releases, data)
        except NotAsDeclared as e:
            raise UpstreamError(
                f"{key!r} in {self.disk.path} is not what bandersnatch writes: {e}"
            ) from None

    async def _read(
        self, data: bytes, function: Callable[..., T], *arguments: object
    ) -> T:
        if len(data) > _LARGE:
            return await self.disk.offload.in_process(function, *arguments)
        return function(*arguments)

    def _file(self, file: SourceFile, told: _ReleaseFile | None) -> SourceFile:
        """Find a file of a page on the disk, and add what is told elsewhere."""
        path = unquote(urlsplit(file.location).path)
        # Its address is the public index's, or root_uri stands before that.
        location = f"{self.web}{_PACKAGES}/{path.rpartition(f'/{_PACKAGES}/')[2]}"
        file = evolve(file, location=location, provenance=None, signature=None)
        if told is None:
            return file
        known = attrs.asdict(told.digests, filter=lambda _, digest: digest is not None)
        return evolve(
            file,
            digests={**known, **file.digests},
            size=told.size if file.size is None else file.size,
            uploaded=file.uploaded or parse_moment(told.upload_time_iso_8601),
            yanked=(told.yanked_reason or "") if told.yanked else file.yanked,
        )


@limited(PAGES)
def read_releases(data: bytes) -> dict[str, _ReleaseFile]:
    """Read the JSON document of a project: its files by their names.

    :raises NotAsDeclared: it is none.
    """
    try:
        document = load_json(data)
    except ValueError:
        raise NotAsDeclared("It is no JSON.") from None
    releases = document.get("releases") if isinstance(document, dict) else None
    if not isinstance(releases, dict):
        raise NotAsDeclared("It has no releases.")
    files: dict[str, _ReleaseFile] = {}
    for release in releases.values():
        if not isinstance(release, list):
            raise NotAsDeclared("A release is no list of files.")
        for item in release:
            file = decode(_ReleaseFile, item, strict=False)
            files[file.filename] = file
    return files


@frozen
class BandersnatchKind:
    """Takes a mirror's folder, or its ``web`` that is served."""

    name: str = "bandersnatch"
    title: str = "a bandersnatch mirror"

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        return (
            await is_folder(place, tools)
            and await _web(Disk(Path(place), tools.offload)) is not None
        )

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        disk = Disk(Path(place), tools.offload)
        web = await _web(disk) if await is_folder(place, tools) else None
        if web is None:
            raise BadRequest(
                f"{place} is no mirror of bandersnatch: it has no web/simple with the "
                "list of its projects beside web/packages."
            )
        return BandersnatchSource(disk, web)


async def _web(disk: Disk) -> str | None:
    for web in ("web/", ""):
        if await disk.has_folders(f"{web}{_SIMPLE}", f"{web}{_PACKAGES}"):
            for page in _PAGES:
                behind = await disk.behind(f"{web}{_SIMPLE}/{page}")
                if behind.file is not None:
                    return web
    return None
