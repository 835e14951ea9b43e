"""A file's provenance (PEP 740), by the address that the public index has for it.

``/integrity/{project}/{version}/{filename}/provenance``; its negotiation and errors are
that index's (its page "Integrity API").
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from attrs import frozen
from twisted.logger import Logger

from pypicloud_tw.errors import NotAcceptable, NotFound, ObjectNotFound, StoreError
from pypicloud_tw.index.admission import same_version
from pypicloud_tw.index.attestations.question import MAX_PROVENANCE
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.statuses import check_offered
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.upstream.pages import INLINE
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.fallback import Fallback, shadows
from pypicloud_tw.web.http.accept import media_quality, parse_accept
from pypicloud_tw.web.http.fields import joined
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.projects import Projects
from pypicloud_tw.web.representation import Page, Representation
from pypicloud_tw.web.sending import send_representation

#: In order of preference where the client has none.
TYPES = ("application/vnd.pypi.integrity.v1+json", "application/json")


@frozen
class Elsewhere:
    """What the other index says of where its file's provenance is."""

    address: str


@frozen
class Integrity:
    """Sends provenance objects to whoever may read their projects."""

    _projects: Projects
    _offload: IOffload
    _log = Logger()

    async def send(
        self,
        request: Request,
        name: NormalizedName,
        version: str,
        filename: str,
        *,
        private: bool,
    ) -> None:
        """Answer with a file's provenance, or the way to the other index's.

        :param private: not everyone may read it.
        :raises NotFound: there is no such file, or it has no provenance.
        :raises NotAcceptable: the client accepts no form that there is.
        :raises StoreError: the store is away, or has lost it.
        """
        form = choose_type(joined(request, b"Accept"))
        found = await self._find(name, version, filename)
        if isinstance(found, Elsewhere):
            request.setResponseCode(302)
            request.setHeader(b"Location", found.address.encode())
            request.setHeader(b"Cache-Control", b"no-cache, private")
            measured(request, b"")
            return
        made = Representation.build(await self._read(found), form.encode())
        send_representation(request, made, private=private)

    async def _find(
        self, name: NormalizedName, version: str, filename: str
    ) -> str | Elsewhere:
        """Return the key of a file's provenance, or another index's address of it."""
        fallback = self._projects.fallback
        asks = fallback is not None and not fallback.upstreams.knows(name)
        try:
            entry = await self._projects.entry(name, asks)
        except NotFound:
            if fallback is None or fallback.redirects:
                raise
            return await self._linked(fallback, name, filename)
        check_offered(entry.project)
        file = entry.project.file(filename)
        merged = fallback is not None and name in fallback.merge
        if file is None and merged and not shadows(entry.project, filename):
            assert fallback is not None, "it is merged"
            return await self._linked(fallback, name, filename)
        if file is None or not same_version(file.version, version):
            raise NotFound("There is no such file here; it may have been removed.")
        if file.provenance_key is None:
            raise _none(filename)
        return file.provenance_key

    async def _linked(
        self, fallback: Fallback, name: NormalizedName, filename: str
    ) -> Elsewhere:
        """Find the address that the other index gives on the project's page."""
        page = (await fallback.page(name)).page
        if page.size <= INLINE:
            address = provenance_link(page, filename)
        else:
            address = await self._offload.in_process(provenance_link, page, filename)
        if address is None:
            raise _none(filename)
        return Elsewhere(address)

    async def _read(self, key: str) -> bytes:
        try:
            stored = await self._projects.store.get(key, limit=MAX_PROVENANCE)
        except ObjectNotFound:
            self._log.error("The provenance {key} is lost.", key=key)
            raise StoreError(
                "The store has lost this file's provenance; tell who runs this index."
            ) from None
        assert stored is not None, "an unconditional read answers"
        return stored.data


def choose_type(accept: bytes | None) -> str:
    """Choose a media type by an Accept field.

    :raises NotAcceptable: nothing that is served is accepted.
    """
    accepted = parse_accept(accept)
    if not accepted:
        return TYPES[0]
    qualities = {form: media_quality((form,), accepted) for form in TYPES}
    best = max(TYPES, key=qualities.__getitem__)
    if qualities[best][0] == 0:
        raise NotAcceptable(
            f"Provenance is served as {' and '.join(TYPES)}; the request's Accept "
            "header has neither."
        )
    return best


@limited(PAGES)
def provenance_link(page: Page, filename: str) -> str | None:
    """Find the address of a file's provenance on a page, if it has a usable one."""
    files = json.loads(page.json)["files"]
    links = (f.get("provenance") for f in files if f["filename"] == filename)
    link = next(links, None)
    if not isinstance(link, str) or not link.isascii() or not link.isprintable():
        return None
    return link if urlsplit(link).scheme in ("http", "https") else None


def _none(filename: str) -> NotFound:
    return NotFound(f"No provenance available for {filename}")
