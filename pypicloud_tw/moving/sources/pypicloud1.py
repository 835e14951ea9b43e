"""pypicloud 1.x, by its own API (``views/api.py`` and ``models.py`` of 1.3.12).

Its simple pages tell no times and no uploaders; ``/api/package/NAME/`` does. It knows
no yanks. Whoever it does not know it takes for a stranger: with a wrong password it
lists what everybody may read, and says nothing of the password.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import field, frozen

from pypicloud_tw.errors import NotFound, Unauthorized, UpstreamError
from pypicloud_tw.index.names import project_name
from pypicloud_tw.json_values import longest
from pypicloud_tw.moving.http import HttpBody, SourceHttp
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Note, Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.answers import looked, understood
from pypicloud_tw.moving.sources.simple import folder
from pypicloud_tw.outbound.origins import is_web
from pypicloud_tw.upstream.addresses import resolve
from pypicloud_tw.upstream.parse import ACCEPT

_TITLE = "pypicloud 1.x"

#: Addresses below the server's root that people have in their settings.
_KNOWN = re.compile(r"(?:simple|pypi|api(?:/package)?)/\Z")


@frozen
class _Names:
    packages: tuple[str, ...]


@frozen
class _Metadata:
    hash_sha256: str | None = None
    hash_md5: str | None = None
    uploader: str | None = field(default=None, metadata=longest(1024, one_line=True))


@frozen
class _Package:
    """What 1.x calls a package is a file.

    :ivar last_modified: seconds since 1970: when it was uploaded.
    :ivar url: where it is, with its digest behind a ``#``.
    """

    filename: str
    url: str = field(metadata=longest(64 * 1024))
    last_modified: int | None = None
    metadata: _Metadata = _Metadata()


@frozen
class _Packages:
    packages: tuple[_Package, ...]


@frozen
class FormerSource:
    """See :class:`~.source.Source`.

    :ivar base: the server's address, with its final slash.
    """

    http: SourceHttp
    base: str

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        return f"{_TITLE} at {self.base}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        url = f"{self.base}api/package/"
        listed = understood(_Names, await self.http.json(url), url, _TITLE)
        if not listed.packages and self.http.login is not None:
            raise Unauthorized(
                f"{_TITLE} at {self.base} lists no package for this log-in. That is "
                "what it answers to a wrong password, too: see to user and password."
            )
        return listed.packages

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`."""
        url = f"{self.base}api/package/{project_name(name)}/"
        told = understood(_Packages, await self.http.json(url), url, _TITLE)
        if not told.packages:
            raise NotFound(f"{_TITLE} at {self.base} has no file of {name}.")
        files: list[SourceFile] = []
        notes: list[Note] = []
        for package in told.packages:
            location = resolve(url, package.url)
            if location is None:
                why = "Its address is none of a web server."
                notes.append(Note(why, package.filename, lost=True))
                continue
            files.append(_file(package, location))
        return SourceProject(name, tuple(files), notes=tuple(notes))

    async def open(self, file: SourceFile) -> HttpBody:
        """See :class:`~.source.Source`."""
        return await self.http.open(file.location)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`~.source.Source`."""
        return None

    async def close(self) -> None:
        """See :class:`~.source.Source`."""


def _file(package: _Package, location: str) -> SourceFile:
    digests = {"sha256": package.metadata.hash_sha256, "md5": package.metadata.hash_md5}
    return SourceFile(
        package.filename,
        location.partition("#")[0],
        {name: digest.lower() for name, digest in digests.items() if digest},
        uploaded=_instant(package.last_modified),
        uploader=package.metadata.uploader or None,
    )


def _instant(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise UpstreamError(f"{_TITLE} tells a time that there is not.") from None


@frozen
class FormerKind:
    """Takes a server that lists packages below ``/api/package/``, and is not ours."""

    name: str = "pypicloud1"
    title: str = _TITLE

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        if not is_web(place):
            return False
        http, base = tools.http(place), _root(place)
        listed = await looked(http, f"{base}api/package/")
        if not isinstance(listed, dict) or not isinstance(listed.get("packages"), list):
            return False
        # This program has that API, too, and its simple API tells more: JSON.
        page = await http.look(f"{base}simple/", ACCEPT)
        return page is not None and not page.lstrip().startswith(b"{")

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        return FormerSource(tools.http(place), _root(place))


def _root(place: str) -> str:
    return _KNOWN.sub("", folder(place))
