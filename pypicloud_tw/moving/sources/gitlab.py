"""GitLab's package registry, of a project or of a group.

Its simple pages have digests alone. ``GET /projects/ID/packages?package_type=pypi`` (or
``/groups/ID/packages``) lists the releases, and ``.../packages/N/package_files`` the
files of one with their sizes and times (docs.gitlab.com, "Packages API"). A log-in is
sent as a token there (RFC 6750), because the API takes no other form of it, and as a
password where files are fetched, because deploy tokens go no other way.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

from attrs import define, field, frozen
from packaging.utils import canonicalize_name

from pypicloud_tw.concurrency.asked_once import AskedOnce
from pypicloud_tw.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    PypicloudError,
    Unauthorized,
)
from pypicloud_tw.json_values import longest
from pypicloud_tw.moving.http import HttpBody, SourceHttp
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Note, Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.answers import moment, numbered_pages, understood_list
from pypicloud_tw.moving.sources.simple import folder, matched
from pypicloud_tw.outbound.origins import shown

_TITLE = "GitLab's package registry"

#: https://HOST/api/v4/projects/ID/packages/pypi/simple, as pip is told it.
_ADDRESS = re.compile(
    r"(?P<root>https?://[^/]+/(?:[^/]+/)*?)api/v4/(?P<what>projects|groups)/"
    r"(?P<id>[^/]+)/(?:-/)?packages(?:/pypi(?:/simple)?)?/"
)

#: Of a list; more are not given at a time.
_PER_PAGE = 100

_DEPLOY_TOKEN = "gitlab+deploy-token-"  # noqa: S105  how such a user's name begins

#: Releases and files whose uploads came to an end, and that nobody hid.
_SHOWN = frozenset({"default", "deprecated"})


@frozen
class _Release:
    """What GitLab calls a package.

    :ivar project_id: told of a group's packages.
    """

    id: int
    name: str
    package_type: str
    project_id: int | None = None
    status: str = "default"


@frozen
class _User:
    username: str = field(metadata=longest(1024, one_line=True))


@frozen
class _Pipeline:
    user: _User | None = None


@frozen
class _File:
    """A file of a release.

    :ivar pipelines: which uploaded it; by whom otherwise is not told.
    """

    file_name: str
    created_at: str | None = None
    size: int | None = None
    file_sha256: str | None = None
    pipelines: tuple[_Pipeline, ...] = ()


@define(eq=False)
class GitlabSource:
    """See :class:`~.source.Source`.

    :ivar api: where its API is, with its final slash.
    :ivar what: ``projects`` or ``groups``.
    :ivar id: of the project or group: a number, or a path of which slashes are quoted.
    """

    http: SourceHttp
    api: str
    what: str
    id: str
    _lists: SourceHttp = field(init=False)
    _listing: AskedOnce[Mapping[str, list[_Release]]] = field(init=False)

    @_lists.default
    def _by_token(self) -> SourceHttp:
        return self.http.by_bearer()

    @_listing.default
    def _once(self) -> AskedOnce[Mapping[str, list[_Release]]]:
        return AskedOnce(self._list)

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        return f"{_TITLE} of {self._owner} at {shown(self.api)}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        return sorted(await self._listing.answer())

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`."""
        releases = (await self._listing.answer()).get(canonicalize_name(name))
        if releases is None:
            raise NotFound(f"{self.description} has no package {name}.")
        files: dict[str, SourceFile] = {}
        notes: list[Note] = []
        for release in releases:
            for file in await self._files(release):
                if file.file_sha256 is None:
                    # Nothing else leads to it.
                    why = "GitLab tells no SHA-256 of it, without which it gives none."
                    notes.append(Note(why, file.file_name, lost=True))
                    continue
                # The latest of a name counts, as it does for its simple pages.
                files[file.file_name] = self._source_file(release, file)
        return SourceProject(name, tuple(files.values()), notes=tuple(notes))

    async def open(self, file: SourceFile) -> HttpBody:
        """See :class:`~.source.Source`."""
        return await self.http.open(file.location)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`~.source.Source`."""
        return None

    async def close(self) -> None:
        """See :class:`~.source.Source`."""

    async def _list(self) -> Mapping[str, list[_Release]]:
        self._check_login()
        base = f"{self.api}{self.what}/{self.id}/packages"
        query = f"package_type=pypi&order_by=created_at&sort=asc&per_page={_PER_PAGE}"

        async def ask(number: int) -> Sequence[_Release]:
            url = f"{base}?{query}&page={number}"
            return understood_list(_Release, await self._json(url), url, _TITLE)

        releases: dict[str, list[_Release]] = defaultdict(list)
        async for release in numbered_pages(ask, _PER_PAGE):
            if release.package_type == "pypi" and release.status in _SHOWN:
                releases[canonicalize_name(release.name)].append(release)
        return releases

    async def _files(self, release: _Release) -> Sequence[_File]:
        base = f"{self._project(release)}/packages/{release.id}/package_files"

        async def ask(number: int) -> Sequence[_File]:
            url = f"{base}?per_page={_PER_PAGE}&page={number}"
            return understood_list(_File, await self._json(url), url, _TITLE)

        return [file async for file in numbered_pages(ask, _PER_PAGE)]

    def _project(self, release: _Release) -> str:
        """Return the address of a release's project."""
        of = self.id if release.project_id is None else str(release.project_id)
        if self.what == "groups" and release.project_id is None:
            raise NotFound(
                "This GitLab does not tell which project of the group a package is of: "
                "name the projects one by one, or take files without times: --kind "
                "simple."
            )
        return f"{self.api}projects/{of}"

    def _source_file(self, release: _Release, file: _File) -> SourceFile:
        digest = (file.file_sha256 or "").lower()
        users = (pipeline.user for pipeline in file.pipelines)
        user = next((user for user in users if user is not None), None)
        address = f"{self._project(release)}/packages/pypi/files"
        return SourceFile(
            file.file_name,
            f"{address}/{quote(digest, safe='')}/{quote(file.file_name, safe='')}",
            {"sha256": digest},
            file.size,
            moment(file.created_at, self.api, _TITLE),
            uploader=None if user is None else user.username,
        )

    def _check_login(self) -> None:
        login = self.http.login
        if login is not None and login.user.startswith(_DEPLOY_TOKEN):
            raise Unauthorized(
                "A deploy token may fetch files and not list them with their times. "
                "Give a personal, group or project access token (scope read_api) as "
                "the password; or take files without times: --kind simple."
            )

    async def _json(self, url: str) -> object:
        try:
            return await self._lists.json(url)
        except (NotFound, Unauthorized, Forbidden) as e:
            raise self._refusal(e) from None

    def _refusal(self, error: PypicloudError) -> PypicloudError:
        """Say what GitLab means: what one may not see is not there for it."""
        return type(error)(
            f"{shown(self.api)} does not show the packages of {self._owner} (status "
            f"{error.status}). GitLab answers so to a token that is wrong, has ended "
            "or may not see it, and to a deploy token, too: give an access token "
            "(scope read_api, at least the role Reporter) as the password, with any "
            "user name."
        )

    @property
    def _owner(self) -> str:
        return f"{self.what.removesuffix('s')} {unquote(self.id)}"


@frozen
class GitlabKind:
    """Takes the addresses of a registry that GitLab shows for pip."""

    name: str = "gitlab"
    title: str = _TITLE

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        return matched(_ADDRESS, place) is not None

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        found = matched(_ADDRESS, place)
        if found is None:
            raise BadRequest(
                f"{folder(place)} is no address of {_TITLE}, which are "
                "https://HOST/api/v4/projects/ID/packages/pypi/simple and "
                "https://HOST/api/v4/groups/ID/-/packages/pypi/simple."
            )
        api, ident = f"{found['root']}api/v4/", quote(unquote(found["id"]), safe="")
        return GitlabSource(tools.http(place), api, found["what"], ident)
