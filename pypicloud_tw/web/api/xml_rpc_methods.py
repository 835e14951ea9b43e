"""What XML-RPC answers, about our own projects: for ``pip search`` and older tools.

The methods are those of the public index, as far as they only read; mirrors ask by the
last three of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import isfinite
from typing import Any
from xmlrpc.client import Fault

from attrs import frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.readable import Readable
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import batches
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest, ManifestDamaged, ManifestLost, NotFound
from pypicloud_tw.index.changelog import Changelog
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifest import versions_of
from pypicloud_tw.index.model import Document, Project
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.projects.releases import latest_version
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.api import xml_rpc
from pypicloud_tw.web.api.project_json import ProjectJson
from pypicloud_tw.web.api.xml_rpc import INVALID_PARAMETERS, Call
from pypicloud_tw.web.authorization import (
    authorize,
    authorize_list,
    refuse_other_sites,
)
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.list_entries import BATCH
from pypicloud_tw.web.project_list import last_serial

#: Projects that a search finds; each may take a question of the store.
MOST_HITS = 100
#: Words of a search: each is looked for in every name.
MOST_TERMS = 16

_Method = Callable[..., Awaitable[bytes]]


@frozen
class XmlRpc:
    """Answers calls, to whoever may read the pages that have the same."""

    _index: Index
    _access: Access
    _json: ProjectJson
    _pieces: Pieces

    async def answer(self, request: Request) -> bytes:
        """Answer a call, with a fault where that is what callers show.

        :raises PypicloudError: as of :func:`.authorize`: pip asks for a log-in.
        """
        refuse_other_sites(request)
        data = await request.body.whole(xml_rpc.MAX_CALL)
        try:
            body = await self._answer(request, Call.read(data))
        except Fault as error:
            body = xml_rpc.fault(error)
        request.setHeader(b"Content-Type", xml_rpc.CONTENT_TYPE)
        request.setHeader(b"Cache-Control", b"no-store")
        return measured(request, body)

    async def _answer(self, request: Request, call: Call) -> bytes:
        methods: dict[str, _Method] = {
            "list_packages": self._list_packages,
            "package_releases": self._package_releases,
            "release_urls": self._release_urls,
            "release_data": self._release_data,
            "search": self._search,
            "list_packages_with_serial": self._list_packages_with_serial,
            "changelog_last_serial": self._changelog_last_serial,
            "changelog_since_serial": self._changelog_since_serial,
        }
        method = methods.get(call.method)
        if method is None:
            raise Fault(
                xml_rpc.NO_SUCH_METHOD,
                f"This index has no such method; it has {', '.join(methods)}. Its "
                f"projects are listed at {request.origin.prefix}/simple/ too.",
            )
        return await method(request, *_checked(call))

    async def _list_packages(self, request: Request) -> bytes:
        names, readable = await self._names(request)
        return await self._joined(
            xml_rpc.names_result(_readable(names, readable)),
        )

    async def _package_releases(
        self, request: Request, name: str, show_hidden: bool = False
    ) -> bytes:
        """Give a project's versions, newest first; the yanked ones are hidden."""
        project = await self._project(request, name)
        if project is None:
            return xml_rpc.result([])
        files = [f for f in project.files if show_hidden or f.yanked is None]
        quarantined = project.status == "quarantined"
        return xml_rpc.result([] if quarantined else versions_of(files)[::-1])

    async def _release_urls(self, request: Request, name: str, version: str) -> bytes:
        document = await self._release(request, name, version)
        return xml_rpc.result([] if document is None else document["urls"])

    async def _release_data(self, request: Request, name: str, version: str) -> bytes:
        document = await self._release(request, name, version)
        if document is None:
            return xml_rpc.result({})
        info = document["info"]
        urls = info.pop("project_urls") or {}
        for key in ("requires_dist", "provides_extra"):
            info[key] = info[key] or []
        info["project_url"] = [f"{label}, {url}" for label, url in urls.items()]
        return xml_rpc.result(info)

    async def _search(
        self, request: Request, spec: dict[str, Any], operator: str = "and"
    ) -> bytes:
        """Find projects by their names: no summary of all is known in memory."""
        terms = _terms(spec)
        matches = {"and": all, "or": any}.get(operator)
        if matches is None:
            raise Fault(INVALID_PARAMETERS, "A search has the operator 'and' or 'or'.")
        names, readable = await self._names(request)
        batches_found = (
            [n for n in batch if matches(t in n for t in terms) and readable.allows(n)]
            for batch in batches(names, BATCH)
        )
        found = [n for some in await self._pieces.collect(batches_found) for n in some]
        found.sort(key=lambda n: (n not in terms, not n.startswith(tuple(terms)), n))
        hits = [await self._hit(name) for name in found[:MOST_HITS]]
        return xml_rpc.result([hit for hit in hits if hit is not None])

    async def _list_packages_with_serial(self, request: Request) -> bytes:
        names, readable = await self._names(request)
        changelog = self._changelog
        serials = (
            [(name, changelog.of(name)) for name in batch]
            for batch in _readable(names, readable)
        )
        return await self._joined(xml_rpc.serials_result(serials))

    async def _changelog_last_serial(self, request: Request) -> bytes:
        _, readable = await self._names(request)
        return xml_rpc.result(last_serial(self._changelog, readable))

    async def _changelog_since_serial(self, request: Request, serial: float) -> bytes:
        names, readable = await self._names(request)
        changelog = self._changelog
        changes = changelog.since(int(serial)) if isfinite(serial) else None
        if changes is None:  # any of them may have changed
            changes = [(name, changelog.of(name)) for name in names]
        told = (
            [change for change in batch if readable.allows(change[0])]
            for batch in batches(changes, BATCH)
        )
        return await self._joined(xml_rpc.changes_result(told))

    @property
    def _changelog(self) -> Changelog:
        return self._index.watch.changelog

    async def _names(
        self, request: Request
    ) -> tuple[Sequence[NormalizedName], Readable]:
        principal = await authorize_list(request, self._access)
        names = await self._index.catalog.names()
        return names, self._access.policy.readable(principal)

    async def _project(self, request: Request, name: str) -> Project | None:
        """Find a project of ours; None if there is none."""
        try:
            normalized = project_name(name)
        except BadRequest:
            return None
        await authorize(request, self._access, Action.READ, normalized)
        try:
            return (await self._index.catalog.project(normalized)).project
        except NotFound:
            return None

    async def _release(
        self, request: Request, name: str, version: str
    ) -> Document | None:
        project = await self._project(request, name)
        if project is None:
            return None
        try:
            return await self._json.release(project, version, request.origin.base_url)
        except NotFound:
            return None

    async def _hit(self, name: NormalizedName) -> Document | None:
        try:
            project = (await self._index.catalog.project(name)).project
            version = latest_version(project)
        except (NotFound, ManifestDamaged, ManifestLost):
            return None
        summaries = (f.summary for f in project.files if f.version == version)
        return {
            "name": project.display_name,
            "version": version,
            "summary": next(filter(None, summaries), ""),
            "_pypi_ordering": 0,
        }

    async def _joined(self, pieces: Iterable[bytes]) -> bytes:
        return b"".join(await self._pieces.collect(pieces))


#: Of each method's parameters, their types, and how many may be left out.
_PARAMETERS: dict[str, tuple[tuple[type | tuple[type, ...], ...], int]] = {
    "list_packages": ((), 0),
    "package_releases": ((str, (bool, int)), 1),
    "release_urls": ((str, str), 0),
    "release_data": ((str, str), 0),
    "search": ((dict, str), 1),
    "list_packages_with_serial": ((), 0),
    "changelog_last_serial": ((), 0),
    "changelog_since_serial": (((int, float),), 0),
}


def _checked(call: Call) -> tuple[Any, ...]:
    """Return a call's parameters, if they are what its method takes.

    :raises Fault: they are not.
    """
    types, optional = _PARAMETERS[call.method]
    given = call.parameters
    if not len(types) - optional <= len(given) <= len(types) or not all(
        isinstance(value, kind) for value, kind in zip(given, types, strict=False)
    ):
        raise Fault(INVALID_PARAMETERS, f"{call.method} is not called like this.")
    return given


def _terms(spec: dict[str, Any]) -> set[str]:
    """Return the words that are looked for in names.

    :raises Fault: there are none.
    """
    named = spec.get("name")
    words = named if isinstance(named, list) else [named]
    terms = {
        word.strip().lower().replace("_", "-").replace(".", "-")
        for word in words
        if isinstance(word, str)
    }
    terms.discard("")
    if not terms:
        raise Fault(INVALID_PARAMETERS, "Searches are for parts of projects' names.")
    if len(terms) > MOST_TERMS:
        raise Fault(INVALID_PARAMETERS, f"Search for {MOST_TERMS} words at most.")
    return terms


def _readable(
    names: Sequence[NormalizedName], readable: Readable
) -> Iterable[list[NormalizedName]]:
    for batch in batches(names, BATCH):
        yield [name for name in batch if readable.allows(name)]
