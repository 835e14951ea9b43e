"""Feeds of new releases, in Atom (RFC 4287).

Nothing is kept for them. The feed of all is made of the projects that the marker
remembers, those of the most recent changes. It is the same after a restart; after the
marker was lost it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape, quoteattr

from attrs import frozen

from pypicloud_tw.access.readable import Readable
from pypicloud_tw.errors import ManifestDamaged, ManifestLost, NotFound, StoreError
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifest import format_time
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.releases import is_yanked, releases
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.http.conditions import check_required, is_known
from pypicloud_tw.web.http.fields import http_date
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.xml_text import fit_text

CONTENT_TYPE = b"application/atom+xml; charset=utf-8"

#: Entries of a feed.
MOST = 100

_NEVER = datetime.fromtimestamp(0, UTC)


@frozen
class Release:
    """What a feed tells of a release.

    :ivar name: of its project, normalized.
    :ivar project: the same as it is spelled.
    :ivar published: when its first file was uploaded.
    :ivar updated: when its last one was.
    """

    name: str
    project: str
    version: str
    summary: str
    published: datetime
    updated: datetime

    @property
    def id(self) -> str:
        """The same wherever the index is, and no other release's."""
        first = format_time(self.published)
        return uuid5(NAMESPACE_URL, f"{self.name} {self.version} {first}").urn


def releases_of(project: Project) -> Iterator[Release]:
    """Give a project's releases that are not yanked."""
    for version, files in releases(project).items():
        if not is_yanked(files):
            times = [file.upload_time for file in files]
            yield Release(
                project.name,
                project.display_name,
                version,
                next(filter(None, (file.summary for file in files)), ""),
                min(times),
                max(times),
            )


@frozen
class Feeds:
    """Makes the feeds of an index."""

    _index: Index

    async def of_all(self, request: Request, readable: Readable) -> bytes:
        """Answer with the newest releases that somebody may read."""
        with suppress(StoreError):  # then what was last known
            await self._index.watch.freshen()
        found: list[Release] = []
        for name, _ in reversed(self._index.watch.changelog.latest):
            if readable.allows(name):
                project = await self._find(name)
                found += () if project is None else releases_of(project)
        base = request.origin.base_url
        return _send(request, "New releases", f"{base}/simple/", found)

    def of_project(self, request: Request, project: Project) -> bytes:
        """Answer with a project's newest releases."""
        base = request.origin.base_url
        title = f"Releases of {project.display_name}"
        page = f"{base}/simple/{project.name}/"
        return _send(request, title, page, releases_of(project))

    async def _find(self, name: str) -> Project | None:
        try:
            return (await self._index.catalog.project(NormalizedName(name))).project
        except (NotFound, ManifestDamaged, ManifestLost):
            return None


def _send(request: Request, title: str, page: str, found: Iterable[Release]) -> bytes:
    newest = sorted(found, key=lambda r: (r.updated, r.name, r.version), reverse=True)
    body = feed(request.origin.base_url, request.path, title, page, newest[:MOST])
    etag = b'"%b"' % sha256(body).hexdigest()[:32].encode()
    modified = newest[0].updated if newest else None
    check_required(request, etag, modified)
    request.setHeader(b"ETag", etag)
    request.setHeader(b"Cache-Control", b"no-cache, private")
    if modified is not None:
        request.setHeader(b"Last-Modified", http_date(modified))
    if is_known(request, etag, modified):
        request.setResponseCode(304)
        return b""
    request.setHeader(b"Content-Type", CONTENT_TYPE)
    return measured(request, body)


def feed(
    base_url: str, path: bytes, title: str, page: str, found: Iterable[Release]
) -> bytes:
    """Write a feed.

    :param base_url: this server's own address, without a final slash.
    :param path: of the feed, below that.
    :param page: the address of what it is about.
    :param found: its releases, newest first.
    """
    here = base_url + quote(path.decode("latin-1"))
    entries = list(found)
    updated = entries[0].updated if entries else _NEVER
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<feed xmlns="http://www.w3.org/2005/Atom">\n'
        f"<id>{_text(here)}</id>\n"
        f"<title>{_text(title)}</title>\n"
        f"<updated>{format_time(updated)}</updated>\n"
        "<author><name>pypicloud</name></author>\n"
        f'<link rel="self" type="application/atom+xml" href={_value(here)}/>\n'
        f'<link rel="alternate" type="text/html" href={_value(page)}/>\n'
    )
    body = "".join(_entry(base_url, release) for release in entries)
    return f"{head}{body}</feed>\n".encode()


def _entry(base_url: str, release: Release) -> str:
    title = f"{release.project} {release.version}"
    page = f"{base_url}/simple/{release.name}/"
    return (
        "<entry>\n"
        f"<id>{release.id}</id>\n"
        f"<title>{_text(title)}</title>\n"
        f"<published>{format_time(release.published)}</published>\n"
        f"<updated>{format_time(release.updated)}</updated>\n"
        f'<link rel="alternate" type="text/html" href={_value(page)}/>\n'
        f"<summary>{_text(release.summary or title)}</summary>\n"
        "</entry>\n"
    )


def _text(text: str) -> str:
    return escape(fit_text(text))


def _value(text: str) -> str:
    return quoteattr(fit_text(text))
