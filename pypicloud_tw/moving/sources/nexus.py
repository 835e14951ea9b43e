"""Sonatype Nexus Repository 3, by the list of its components.

``GET /service/rest/v1/components?repository=NAME`` gives some ten components a page,
with digests, sizes, times and uploaders of their files, and a token for the next page
(help.sonatype.com, "Components API"). There is no list of one project alone that every
version of Nexus has, so everything is listed once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from attrs import define, field, frozen
from packaging.utils import canonicalize_name

from pypicloud_tw.concurrency.asked_once import AskedOnce
from pypicloud_tw.errors import BadRequest, Forbidden, NotFound, UpstreamError
from pypicloud_tw.json_values import longest
from pypicloud_tw.moving.http import HttpBody, SourceHttp
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.answers import (
    MOST,
    endless,
    moment,
    understood,
    unlike,
)
from pypicloud_tw.moving.sources.simple import folder, matched

_TITLE = "Nexus Repository 3"

_ADDRESS = re.compile(
    r"(?P<root>https?://[^/]+/(?:[^/]+/)*?)repository/(?P<name>[^/]+)/(?:simple/)?"
)

_SIGNATURE = ".asc"

_ELSEWHERE = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)")

#: Components of a page: older versions give no more.
_PER_PAGE = 10


@frozen
class _Checksum:
    sha256: str | None = None
    sha512: str | None = None
    md5: str | None = None


@frozen
class _Asset:
    """A file.

    :ivar path: within the repository; newer versions begin it with a slash.
    :ivar blobCreated: when its bytes came.
    :ivar lastModified: when they last did; older versions tell this alone.
    """

    path: str = field(metadata=longest(4096, one_line=True))
    checksum: _Checksum = _Checksum()
    contentType: str | None = None
    lastModified: str | None = None
    blobCreated: str | None = None
    uploader: str | None = field(default=None, metadata=longest(1024, one_line=True))
    fileSize: int | None = None


@frozen
class _Component:
    """A release."""

    name: str
    format: str
    assets: tuple[_Asset, ...] = ()


@frozen
class _Page:
    items: tuple[_Component, ...]
    continuationToken: str | None = field(
        default=None, metadata=longest(4096, one_line=True)
    )


@define(eq=False)
class NexusSource:
    """See :class:`~.source.Source`.

    :ivar root: the server's address, with its final slash.
    :ivar repository: its name.
    :ivar pages: how many a list may have.
    """

    http: SourceHttp
    root: str
    repository: str
    pages: int = MOST // _PER_PAGE
    _listing: AskedOnce[Mapping[str, list[SourceFile]]] = field(init=False)

    @_listing.default
    def _once(self) -> AskedOnce[Mapping[str, list[SourceFile]]]:
        return AskedOnce(self._list)

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        return f"the repository {self.repository} of {_TITLE} at {self.root}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        return sorted(await self._listing.answer())

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`."""
        files = (await self._listing.answer()).get(canonicalize_name(name))
        if files is None:
            raise NotFound(f"There is no file of {name} in {self.repository}.")
        return SourceProject(name, tuple(files))

    async def open(self, file: SourceFile) -> HttpBody:
        """See :class:`~.source.Source`."""
        return await self.http.open(file.location)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`~.source.Source`."""
        return None

    async def close(self) -> None:
        """See :class:`~.source.Source`."""

    async def _list(self) -> Mapping[str, list[SourceFile]]:
        files: dict[str, list[SourceFile]] = defaultdict(list)
        seen: set[str] = set()
        token: str | None = None
        count = 0
        while True:
            page = await self._page(token)
            for component in page.items:
                if component.format != "pypi":
                    raise self._other(component.format)
                told = self._files_of(component)
                files[canonicalize_name(component.name)].extend(told)
                count += len(told)
            token = page.continuationToken
            if not token:
                return files
            if token in seen or len(seen) == self.pages or count > MOST:
                raise endless()
            seen.add(token)

    async def _page(self, token: str | None) -> _Page:
        query = {"repository": self.repository}
        if token is not None:
            query["continuationToken"] = token
        url = f"{self.root}service/rest/v1/components?{urlencode(query)}"
        try:
            return understood(_Page, await self.http.json(url), url, _TITLE)
        except NotFound:
            raise NotFound(
                f"{_TITLE} at {self.root} has no repository {self.repository}, or has "
                "it for others than this log-in."
            ) from None
        except Forbidden:
            raise Forbidden(
                f"{_TITLE} at {self.root} does not let this log-in list "
                f"{self.repository}: it needs the privilege "
                f"nx-repository-view-pypi-{self.repository}-browse and -read. To take "
                "files without their times and uploaders: --kind simple."
            ) from None

    def _files_of(self, component: _Component) -> list[SourceFile]:
        by_path = {asset.path.lstrip("/"): asset for asset in component.assets}
        if any(_ELSEWHERE.search(path) for path in by_path):
            raise unlike(self.root, _TITLE, "The path of a file leads elsewhere.")
        return [
            self._file(path, asset, f"{path}{_SIGNATURE}" in by_path)
            for path, asset in by_path.items()
            if not path.endswith(_SIGNATURE)
        ]

    def _file(self, path: str, asset: _Asset, signed: bool) -> SourceFile:
        checksum = asset.checksum
        digests = {
            "sha256": checksum.sha256,
            "sha512": checksum.sha512,
            "md5": checksum.md5,
        }
        # Not downloadUrl: its host is what an administrator once wrote.
        location = f"{self.root}repository/{quote(self.repository)}/{quote(path)}"
        return SourceFile(
            path.rpartition("/")[2],
            location,
            {name: digest.lower() for name, digest in digests.items() if digest},
            asset.fileSize,
            moment(asset.blobCreated or asset.lastModified, self.root, _TITLE),
            uploader=asset.uploader or None,
            signature=f"{location}{_SIGNATURE}" if signed else None,
        )

    def _other(self, form: str) -> UpstreamError:
        return UpstreamError(
            f"The repository {self.repository} of {_TITLE} at {self.root} has packages "
            f"of another form than pypi ({form[:40]!r}): name one of Python packages."
        )


@frozen
class NexusKind:
    """Takes ``.../repository/NAME/`` of a server that has Nexus' API."""

    name: str = "nexus"
    title: str = _TITLE

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        found = matched(_ADDRESS, place)
        if found is None:
            return False
        url = f"{found['root']}service/rest/v1/status"
        # 200 without a word; it is asked without a log-in.
        return await tools.http(place).look(url) is not None

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        found = matched(_ADDRESS, place)
        if found is None:
            raise BadRequest(
                f"{folder(place)} is no address of a repository of {_TITLE}, which are "
                "https://HOST/repository/NAME/."
            )
        return NexusSource(tools.http(place), found["root"], found["name"])
