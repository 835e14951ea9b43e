"""Pulp 3 with its plugin for Python packages.

Its newer simple pages tell when files came into a repository, and what was yanked. Of
files whose time they do not tell, its API tells when Pulp first had them
(``pulp_created`` of ``/pulp/api/v3/content/python/packages/``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode

from attrs import define, evolve, field, frozen

from pypicloud_tw.concurrency.asked_once import AskedOnce
from pypicloud_tw.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    Unauthorized,
    UpstreamError,
)
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.answers import (
    api_path,
    looked,
    moment,
    numbered_pages,
    understood,
    unlike,
    with_facts,
)
from pypicloud_tw.moving.sources.simple import (
    BehindPages,
    SimpleSource,
    folder,
    matched,
)
from pypicloud_tw.outbound.origins import shown

_T = TypeVar("_T")

_TITLE = "Pulp"

#: https://HOST/pypi/[DOMAIN/]NAME/simple/, or what its content app serves.
_ADDRESS = re.compile(
    r"(?P<root>https?://[^/]+/)(?:pypi|pulp/content)/(?P<name>.+?)/(?:simple/)?"
)

#: Of a list.
_PER_PAGE = 1000


@frozen
class _Component:
    component: str


@frozen
class _Status:
    versions: tuple[_Component, ...]


@frozen
class _Distribution:
    """What serves a repository, or a version of it, at an address."""

    base_path: str
    repository: str | None = None
    repository_version: str | None = None
    publication: str | None = None


@frozen
class _Distributions:
    results: tuple[_Distribution, ...]


@frozen
class _Repository:
    latest_version_href: str


@frozen
class _Publication:
    repository_version: str


@frozen
class _Package:
    filename: str
    sha256: str
    pulp_created: str


@frozen
class _Packages:
    results: tuple[_Package, ...]


#: When files came, by name and digest.
_Times = Mapping[tuple[str, str], datetime | None]


@define(eq=False)
class PulpSource(BehindPages):
    """See :class:`~.source.Source`.

    :ivar simple: a distribution, as installers see it.
    :ivar root: the server's address, with its final slash.
    :ivar base_path: of the distribution.
    """

    root: str
    base_path: str
    _times: AskedOnce[_Times] = field(init=False)

    @_times.default
    def _once(self) -> AskedOnce[_Times]:
        return AskedOnce(self._list)

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        return f"the distribution {self.base_path} of {_TITLE} at {shown(self.root)}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        return await self.simple.names()

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`."""
        project = await self.simple.project(name)
        if all(file.uploaded is not None for file in project.files):
            return project
        times = await self._times.answer()
        files = (_timed(file, times) for file in project.files)
        return evolve(project, files=tuple(files))

    async def _list(self) -> _Times:
        """Ask when everything came that the distribution has."""
        version = await self._version()

        async def ask(number: int) -> Sequence[_Package]:
            query = {
                "repository_version": version,
                "fields": "filename,sha256,pulp_created",
                "ordering": "pk",
                "limit": _PER_PAGE,
                "offset": (number - 1) * _PER_PAGE,
            }
            url = f"{self._api}content/python/packages/?{urlencode(query)}"
            return (await self._ask(_Packages, url)).results

        return {
            (package.filename, package.sha256.lower()): moment(
                package.pulp_created, self.root, _TITLE
            )
            async for package in numbered_pages(ask, _PER_PAGE)
        }

    async def _version(self) -> str:
        """Return the path of the version of a repository that is served."""
        query = urlencode({"base_path": self.base_path})
        url = f"{self._api}distributions/python/pypi/?{query}"
        listed = (await self._ask(_Distributions, url)).results
        found = next((one for one in listed if one.base_path == self.base_path), None)
        if found is None:
            raise NotFound(f"{_TITLE} has no distribution {self.base_path}.")
        if found.repository_version is not None:
            return found.repository_version
        if found.publication is not None:
            url = self._address(found.publication)
            return (await self._ask(_Publication, url)).repository_version
        if found.repository is None:
            raise unlike(url, _TITLE, "The distribution serves no repository.")
        url = self._address(found.repository)
        return (await self._ask(_Repository, url)).latest_version_href

    async def _ask(self, kind: type[_T], url: str) -> _T:
        try:
            return understood(kind, await self.simple.http.json(url), url, _TITLE)
        except (NotFound, Unauthorized, Forbidden) as e:
            raise type(e)(
                f"{_TITLE} at {shown(self.root)} does not tell this log-in when files "
                f"came (status {e.status}): give one that may view the distribution "
                "and its repository. To take files without times: --kind simple."
            ) from None

    def _address(self, path: str) -> str:
        return f"{self.root.rstrip('/')}{api_path(path, self.root, _TITLE)}"

    @property
    def _api(self) -> str:
        return f"{self.root}pulp/api/v3/"


def _timed(file: SourceFile, times: _Times) -> SourceFile:
    digest = file.digests.get("sha256")
    if digest is None or file.uploaded is not None:
        return file
    return with_facts(file, digest, uploaded=times.get((file.filename, digest)))


@frozen
class PulpKind:
    """Takes ``.../pypi/NAME/simple/`` of a server that has Pulp's API."""

    name: str = "pulp"
    title: str = _TITLE

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        found = matched(_ADDRESS, place)
        if found is None:
            return False
        url = f"{found['root']}pulp/api/v3/status/"
        told = await looked(tools.http(place), url)
        try:
            status = understood(_Status, told, url, _TITLE)
        except UpstreamError:
            return False
        return any(one.component == "python" for one in status.versions)

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        found = matched(_ADDRESS, place)
        if found is None:
            raise BadRequest(
                f"{folder(place)} is no address of a distribution of {_TITLE}, which "
                "are https://HOST/pypi/BASE_PATH/simple/."
            )
        root, name = found["root"], found["name"]
        simple = SimpleSource(tools.http(place), f"{root}pypi/{name}/simple/")
        return PulpSource(simple, root, name)
