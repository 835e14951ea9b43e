"""An upstream that nobody asks: what the cache has of it, and nothing else (``kept``).

For machines without a way out. A project's page lists the files that are kept, and no
other, so that a resolver chooses among what can be had. What was brought here a moment
ago is listed a moment later.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime

from attrs import define, field, frozen

from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import NormalizedName, asked_project
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.upstream.client import (
    Client,
    NotModified,
    UpstreamResponse,
    Validators,
)
from pypicloud_tw.upstream.judgement.values import Standing
from pypicloud_tw.upstream.keeper import StoredPages, stored_files
from pypicloud_tw.upstream.links import METADATA
from pypicloud_tw.upstream.parse import METADATA_KEYS, file_version
from pypicloud_tw.upstream.prepare import PageResponse, read
from pypicloud_tw.upstream.source import UpstreamIndex
from pypicloud_tw.upstream.standings import Standings

_UNSEEN = Standing()

JSON = "application/vnd.pypi.simple.v1+json"


@frozen
class KeptFile:
    """A file that is kept.

    :ivar uploaded: when, in seconds since the epoch, as the upstream told it; None: it
        did not.
    :ivar metadata: its core metadata is kept, too.
    """

    filename: str
    sha256: str
    size: int
    uploaded: float | None = None
    metadata: bool = False


@define
class OfflineClient(Client):
    """Answers for every upstream out of the store, and connects to nobody.

    :ivar standings: knows what was quarantined when it was last heard of.
    """

    pages: StoredPages = field(kw_only=True)
    standings: Standings = field(kw_only=True)
    offload: IOffload = field(kw_only=True)

    async def page(
        self,
        source: UpstreamIndex,
        url: str,
        accept: str,
        unless: Validators | None = None,
    ) -> PageResponse | NotModified:
        """See :class:`.Client`; a project's page has the files that are kept.

        :raises NotFound: nothing of it is kept; or it is no project's page.
        :raises StoreError: the store is away.
        """
        name = _project_at(source, url)
        kept = await kept_files(self.pages, name)
        if not kept:
            raise NotFound(f"Nothing of {name} is kept here.")
        await self.standings.ready()
        standing = self.standings.of(name)
        data = await kept_page(
            self.pages, self.offload, name, kept, source.base, standing
        )
        return PageResponse(url, data, JSON)

    async def open(
        self, source: UpstreamIndex, url: str, headers: dict[str, str] | None = None
    ) -> UpstreamResponse:
        """See :class:`.Client`.

        :raises NotFound: always: whoever asks has looked in the store.
        """
        raise _nobody()

    async def open_unless(
        self,
        source: UpstreamIndex,
        url: str,
        unless: Validators,
        headers: dict[str, str] | None = None,
    ) -> UpstreamResponse | NotModified:
        """See :class:`.Client`.

        :raises NotFound: always.
        """
        raise _nobody()


def _nobody() -> NotFound:
    return NotFound(
        "It is not kept here, and no other index is asked (pypi.fallback = kept)."
    )


def _project_at(source: UpstreamIndex, url: str) -> NormalizedName:
    name = url.removeprefix(source.base).rstrip("/")
    if "/" in name or not url.startswith(source.base):
        raise NotFound("The older API tells nothing of what is kept.")
    return asked_project(name)


async def kept_files(pages: StoredPages, name: NormalizedName) -> tuple[KeptFile, ...]:
    """List the files of a project that are kept.

    :raises StoreError: the store is away.
    """
    files, beside = [], set()
    async for file in stored_files(pages.store, name):
        if file.is_metadata:
            beside.add((file.of, file.filename.removesuffix(METADATA)))
        else:
            files.append(file)
    return tuple(
        KeptFile(
            file.filename,
            file.of,
            file.size,
            file.uploaded,
            (file.of, file.filename) in beside,
        )
        for file in files
    )


async def kept_page(
    pages: StoredPages,
    offload: IOffload,
    name: NormalizedName,
    kept: tuple[KeptFile, ...],
    base: str,
    standing: Standing = _UNSEEN,
) -> bytes:
    """Make the page of a project that has the files that are kept, and no others.

    :param standing: what is known of it beside its page, which may be older.
    :raises StoreError: the store is away.
    :raises UpstreamError: what is kept of its page cannot be read.
    """
    stored = await pages.load(name)
    answer = None if stored is None else stored.answer
    return await offload.in_process(
        page_of_kept, answer, name, pages.limit, kept, f"{base}{name}/", standing
    )


@limited(PAGES)
def page_of_kept(
    answer: PageResponse | None,
    name: str,
    limit: int,
    kept: tuple[KeptFile, ...],
    base: str,
    standing: Standing,
) -> bytes:
    """Leave in a page what is kept, and have in it all of that.

    :param answer: the upstream's page as it was kept; None: it was not.
    :param base: begins the address of a file that the page has not.
    :raises UpstreamError: it cannot be read.
    """
    document = _empty(name) if answer is None else read(answer, name, limit)
    if standing.status == "quarantined":
        status = {"status": standing.status, "reason": standing.reason}
        document = {**document, "project-status": status}
    left = {(file.filename, file.sha256): file for file in kept}
    files = []
    for told in document["files"]:
        found = left.pop((told["filename"], told["hashes"].get("sha256")), None)
        if found is not None:
            files.append(_shown(told, found, base))
    files += [_shown({}, file, base) for file in left.values()]
    return json.dumps(
        {
            **document,
            "files": files,
            "versions": _versions(name, files),
        }
    ).encode()


def _empty(name: str) -> Document:
    return {"meta": {"api-version": "1.4"}, "name": name, "files": []}


def _shown(told: Document, kept: KeptFile, base: str) -> Document:
    shown = {key: value for key, value in told.items() if key not in METADATA_KEYS}
    shown |= {"filename": kept.filename, "size": kept.size}
    shown.setdefault("url", f"{base}{kept.filename}")
    shown["hashes"] = {**told.get("hashes", {}), "sha256": kept.sha256}
    if kept.uploaded is not None:
        at = datetime.fromtimestamp(kept.uploaded, UTC)
        shown.setdefault("upload-time", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if kept.metadata:
        shown["core-metadata"] = told.get("core-metadata") or True
    return shown


def _versions(name: str, files: Collection[Document]) -> list[str]:
    found = {file_version(file["filename"], name) for file in files}
    return sorted(version for version in found if version is not None)
