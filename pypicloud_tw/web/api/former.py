"""The JSON API of pypicloud 1.x, for programs that were written for it.

Shapes as its views and its documentation had them ("HTTP API" of 1.3). What it called
a package is a file here; times are whole seconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from attrs import define, evolve
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.concurrency.delivery import deliver
from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import (
    BadRequest,
    ManifestDamaged,
    ManifestLost,
    NotFound,
)
from pypicloud_tw.index.model import File, Project, Selection
from pypicloud_tw.index.names import NormalizedName, asked_project
from pypicloud_tw.projects.addresses import file_path
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.releases import (
    latest_version,
    newest,
    newest_stable,
    releases,
)
from pypicloud_tw.projects.stored import StoredProjects
from pypicloud_tw.projects.values import MOST
from pypicloud_tw.web.answers import measured, redirect
from pypicloud_tw.web.api.json_api import parameter
from pypicloud_tw.web.authorization import (
    authorize,
    authorize_list,
    authorize_reader,
    refuse_other_sites,
)
from pypicloud_tw.web.downloads import FileSender
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.projects import Projects
from pypicloud_tw.web.publishing import Addressed
from pypicloud_tw.web.requester import Requester

_READ = ["GET", "HEAD"]

_FILE = "/package/<name>/<filename>"

#: Takes an upload's form; see :func:`.publishing.receive`.
Receive = Callable[[Request, Principal, Addressed], Awaitable[tuple[str, ...]]]


@define(eq=False)
class FormerApi:
    """Answers as pypicloud 1.x did, by the rights of this index.

    :ivar receive: takes uploads, as everywhere.
    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    access: Access
    administered: AdministeredProjects
    projects: Projects
    files: FileSender
    receive: Receive
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False

    def resource(self) -> Resource:
        """Make the resource of ``/api/``."""
        resource: Resource = self.router.resource()
        return resource

    @router.route("/package", methods=_READ)
    async def packages_without_slash(self, request: Request) -> None:
        """Show the way to the list, which 1.x showed likewise."""
        redirect(request, "package/")

    @router.route("/package/", methods=_READ)
    async def packages(self, request: Request) -> bytes | None:
        """List the names of the projects that one may read; ``verbose``: more."""
        principal = await authorize_list(request, self.access)
        reads = self.access.policy.readable(principal).allows
        names = filter(reads, await self.administered.catalog.names())
        if (parameter(request, "verbose") or "").lower() in ("true", "1", "t", "yes"):
            _set_json(request)
            if request.method == b"GET":
                await deliver(request, self._described(names))
            return None
        listed = await self.administered.pieces.collect(names)
        return _send(request, {"packages": listed})

    @router.route("/package/<name>", methods=_READ)
    async def package_without_slash(self, request: Request, name: str) -> None:
        """Show the way to the project."""
        redirect(request, f"{asked_project(name)}/")

    @router.route("/package/<name>/", methods=_READ)
    async def package(self, request: Request, name: str) -> bytes:
        """List a project's files, and whether one may upload more of them."""
        project = asked_project(name)
        principal = await authorize_reader(request, self.access, project)
        writes = self.access.policy.may(principal, Action.UPLOAD, project)
        try:
            found = (await self.projects.entry(project, asks=False)).project
        except NotFound:
            return _send(request, {"packages": [], "write": writes})
        written = await self.administered.pieces.finish(_packages(request, found))
        _set_json(request)
        end = b"true}" if writes else b"false}"
        return measured(request, b'{"packages": [%b], "write": %b' % (written, end))

    @router.route(_FILE, methods=_READ)
    async def file(self, request: Request, name: str, filename: str) -> None:
        """Serve a file by the address that old lock files have for it."""
        normalized = asked_project(name)
        principal = await authorize(request, self.access, Action.READ, normalized)
        # This address has no digest in it: what lies under it may change.
        blob = await self.projects.own_blob(normalized, filename)
        blob = evolve(blob, permanent=False)
        await self.files.send(request, blob, normalized, principal)

    @router.route(_FILE, methods=["POST"])
    async def upload(self, request: Request, name: str, filename: str) -> bytes:
        """Take a file, in the field ``content`` of a form."""
        project = asked_project(name)
        principal = await self._changer(request, Action.UPLOAD, project)
        await self.receive(request, principal, Addressed(project, filename))
        found = (await self.projects.entry(project, asks=False)).project
        file = found.file(filename)
        if file is None:
            raise NotFound("The file was published, and has been deleted since.")
        return _send(request, _package(request, found, file))

    @router.route(_FILE, methods=["DELETE"])
    async def delete(self, request: Request, name: str, filename: str) -> bytes:
        """Delete a file."""
        project = asked_project(name)
        principal = await self._changer(request, Action.DELETE, project)
        doer = self._doer(request, principal)
        try:
            await doer.delete(name, Selection(file=filename))
        except NotFound as e:
            raise BadRequest(e.message) from None  # so it was with 1.x
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return measured(request, b"")

    @router.route("/search", methods=_READ)
    @router.route("/search/", methods=_READ)
    async def search(self, request: Request) -> bytes:
        """Find projects by words: ``query``."""
        doer = self._doer(request, await authorize_list(request, self.access))
        query = parameter(request, "query") or parameter(request, "q") or ""
        found = await doer.search(query, MOST, "ours")
        packages = [
            {"name": one.name, "summary": one.summary or "", "version": one.version}
            for one in found.items
        ]
        return _send(request, {"packages": packages})

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)

    async def _changer(
        self, request: Request, action: Action, project: NormalizedName
    ) -> Principal:
        refuse_other_sites(request)
        principal = await authorize(request, self.access, action, project)
        self.access.refuse_while_read_only()
        return principal

    def _doer(self, request: Request, principal: Principal) -> StoredProjects:
        who = Requester.of(request, self.access, principal)
        return StoredProjects(self.administered, who.actor, who.authority)

    async def _described(self, names: Iterable[NormalizedName]) -> AsyncIterator[bytes]:
        """Write the long list in pieces: it takes a look at every project."""
        before = b'{"packages": ['
        for name in names:
            try:
                project = (await self.administered.catalog.project(name)).project
            except (NotFound, ManifestLost, ManifestDamaged):
                continue  # this says nothing of the others
            if releases(project):
                yield before + json.dumps(_summary(project)).encode()
                before = b", "
        yield b"]}" if before == b", " else before + b"]}"


def _summary(project: Project) -> dict[str, Any]:
    """Describe a project that has releases."""
    file = newest(project)
    moments = (file.upload_time for file in project.files)
    return {
        "name": project.name,
        "stable": newest_stable(project),
        "unstable": latest_version(project),
        "last_modified": int(max(moments).timestamp()),
        "summary": None if file is None else file.summary,
    }


def _offered(project: Project) -> list[File]:
    """List what is offered, the newest releases first."""
    return [file for files in releases(project).values() for file in files][::-1]


def _packages(request: Request, project: Project) -> Steps[bytes]:
    """Describe all files: of 5,000 that takes a while."""
    written = []
    for file in _offered(project):
        written.append(json.dumps(_package(request, project, file)).encode())
        yield
    return b", ".join(written)


def _package(request: Request, project: Project, file: File) -> dict[str, Any]:
    """Describe a file."""
    metadata = {
        "uploader": file.uploader,
        "requires_python": file.requires_python,
        "hash_sha256": file.sha256,
        "hash_md5": file.md5,
        "summary": file.summary,
    }
    return {
        "name": project.name,
        "filename": file.filename,
        "last_modified": int(file.upload_time.timestamp()),
        "version": file.version,
        "url": f"{request.origin.base_url}/{file_path(project.name, file)}",
        "summary": file.summary,
        "metadata": {name: text for name, text in metadata.items() if text},
    }


def _set_json(request: Request) -> None:
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-cache, private")


def _send(request: Request, document: object) -> bytes:
    _set_json(request)
    return measured(request, json.dumps(document).encode())
