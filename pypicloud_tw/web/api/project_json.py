"""The answer to ``/pypi/{project}/json``: of ours, or of the upstream's."""

from __future__ import annotations

import json

from attrs import frozen

from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.model import Document, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.statuses import check_offered
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.described.core_metadata import (
    core_metadata,
    described_by,
)
from pypicloud_tw.projects.releases import find_version, latest_version
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.api import legacy_json
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.projects import Projects


@frozen
class ProjectJson:
    """Makes the document of a project or a release."""

    _projects: Projects
    _store: IObjectStore
    _offload: IOffload

    async def answer(
        self, request: Request, name: NormalizedName, version: str | None
    ) -> bytes:
        """Answer whoever may read the project; see :meth:`document`."""
        base_url = request.origin.base_url
        document, warning, serial = await self.document(name, version, base_url)
        if serial:
            request.setHeader(b"X-PyPI-Last-Serial", b"%d" % serial)
        if warning is not None:
            request.setHeader(b"Warning", warning.encode())
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-cache, private")
        return measured(request, document)

    async def document(
        self, name: NormalizedName, version: str | None, base_url: str
    ) -> tuple[bytes, str | None, int | None]:
        """Make it.

        :param version: None for the project with its newest release.
        :param base_url: this server's own address, without a final slash.
        :returns: it, the value of a Warning header field if it needs one, and the
            serial by which it is current if it is ours.
        :raises NotFound: there is no such project or release.
        :raises Forbidden: the project is quarantined.
        """
        fallback = self._projects.fallback
        try:
            entry = await self._projects.entry(name, asks=fallback is not None)
        except NotFound:
            if fallback is None:
                raise
            theirs = await fallback.upstreams.legacy_json(name, version, base_url)
            return *theirs, None
        check_offered(entry.project)
        # Before anything else is waited for: what is told meanwhile is not in it.
        serial = self._projects.catalog.serial(entry)
        document = await self._render(entry.project, version, base_url, serial)
        return document, None, serial

    async def release(self, project: Project, version: str, base_url: str) -> Document:
        """Describe a release of a project of ours.

        :raises NotFound: there is no such release, or nothing is offered.
        """
        check_offered(project)
        rendered = await self._render(project, version, base_url, 0)
        document: Document = json.loads(rendered)
        return document

    async def _render(
        self, project: Project, version: str | None, base_url: str, serial: int
    ) -> bytes:
        described = (
            latest_version(project)
            if version is None
            else find_version(project, version)
        )
        metadata = await core_metadata(self._store, described_by(project, described))
        if legacy_json.is_quick(project, metadata):
            return legacy_json.render(project, version, base_url, metadata, serial)
        return await self._offload.in_process(
            legacy_json.render, project, version, base_url, metadata, serial
        )
