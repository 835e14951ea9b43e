"""Any index that speaks the simple repository API.

PEP 503, 592, 691, 700, 740, 792.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import get_args

from attrs import define, frozen

from pypicloud_tw.errors import NotFound, UpstreamError
from pypicloud_tw.index.imported import parse_moment
from pypicloud_tw.index.model import Document, ProjectStatus
from pypicloud_tw.index.names import project_name
from pypicloud_tw.moving.http import HttpBody, SourceHttp
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Source, SourceFile, SourceProject
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.outbound.origins import is_web, origin_of, shown, without_userinfo
from pypicloud_tw.upstream.names.packed import MAX_LIST, NAMES, pack_list, parts
from pypicloud_tw.upstream.parse import ACCEPT
from pypicloud_tw.upstream.prepare import PageResponse, read

#: Bytes of a project's page, unpacked: four times the largest known (30 MB).
MAX_PAGE = 128 * 2**20

#: Bytes of a provenance object; those of the public index have some 10 kB.
MAX_PROVENANCE = 2**20

_SIMPLE = "simple"


@frozen
class SimpleSource:
    """See :class:`~.source.Source`: an index as installers see it.

    :ivar base: the address of its list of projects, with its final slash.
    :ivar title: what it is called in the report.
    :ivar only_own: a page that another server has is not this index's.
    """

    http: SourceHttp
    base: str
    title: str = "a simple index"
    only_own: bool = False

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        return f"{self.title} at {self.base}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        try:
            answer = await self.http.page(self.base, ACCEPT)
        except NotFound:
            raise NotFound(
                f"There is no list of projects at {self.base}. If the address is "
                "right, name the projects: --project NAME."
            ) from None
        return await self.http.read(read_names, answer)

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`."""
        return page_project(name, await self.document(name))

    async def document(self, name: str) -> Document:
        """Return a project's page, read and checked; errors as of :meth:`project`."""
        normal = project_name(name)
        answer = await self.http.page(f"{self.base}{normal}/", ACCEPT)
        if self.only_own and origin_of(answer.url) != origin_of(self.base):
            raise NotFound(
                f"{self.description} has no project {normal}: it sends to "
                f"{shown(answer.url)} whoever asks for it."
            )
        return await self.http.read(read_page, answer, normal)

    async def open(self, file: SourceFile) -> HttpBody:
        """See :class:`~.source.Source`."""
        return await self.http.open(file.location)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`~.source.Source`."""
        if file.provenance is None:
            return None
        data = await self.http.body(file.provenance, "application/json")
        if len(data) > MAX_PROVENANCE:
            raise UpstreamError(f"The provenance of {file.filename} is too long.")
        return data

    async def close(self) -> None:
        """See :class:`~.source.Source`."""


@define(eq=False)
class BehindPages:
    """A source whose files are those of its simple pages; its own API tells more.

    :ivar simple: the same index, as installers see it.
    """

    simple: SimpleSource

    async def open(self, file: SourceFile) -> HttpBody:
        """See :class:`~.source.Source`."""
        return await self.simple.open(file)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`~.source.Source`."""
        return await self.simple.provenance(file)

    async def close(self) -> None:
        """See :class:`~.source.Source`."""
        await self.simple.close()


@frozen
class SimpleKind:
    """Takes any web server, so it is asked last."""

    name: str = "simple"
    title: str = "a simple index"

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        return is_web(place)

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        http = tools.http(place)
        return SimpleSource(http, await find_simple(place, http))


async def find_simple(place: str, http: SourceHttp) -> str:
    """Return where the list of projects is: there, or in ``simple/`` below it.

    :raises PypicloudError: the server cannot be asked.
    """
    base = folder(place)
    if base.endswith(f"/{_SIMPLE}/") or not await _is_list(f"{base}{_SIMPLE}/", http):
        return base
    return f"{base}{_SIMPLE}/"


async def _is_list(url: str, http: SourceHttp) -> bool:
    """Return whether an address has a list of projects."""
    try:
        answer = await http.page(url, ACCEPT)
        return bool(await http.read(read_names, answer))
    except NotFound:
        return False


def folder(place: str) -> str:
    """Return an address with a final slash, without user, password, query, fragment."""
    plain = without_userinfo(place.partition("#")[0].partition("?")[0])
    return f"{plain.rstrip('/')}/"


def matched(pattern: re.Pattern[str], place: str) -> re.Match[str] | None:
    """Look whether a place is an address of a certain form, with its final slash."""
    return pattern.fullmatch(folder(place)) if is_web(place) else None


def root_of(place: str) -> str:
    """Return a server's address, which may be given as that of its simple pages."""
    return folder(place).removesuffix(f"/{_SIMPLE}/").rstrip("/") + "/"


@limited(NAMES)
def read_names(answer: PageResponse) -> list[str]:
    """Read a list of projects, normalized and sorted.

    :raises UpstreamError: it is none, or too long.
    """
    if answer.size > MAX_LIST:
        raise UpstreamError("The list of projects is too long.")
    coding = "" if answer.coding == "identity" else answer.coding
    try:
        packed = pack_list(BytesIO(answer.body), coding)
    except zlib.error:
        raise UpstreamError("The list of projects is damaged.") from None
    return [name for part in parts(packed) for name in part.decode().split()]


@limited(PAGES)
def read_page(answer: PageResponse, name: str) -> Document:
    """Read a project's page.

    :raises UpstreamError: it is none, or another project's.
    """
    return read(answer, name, MAX_PAGE)


def page_project(name: str, document: Document) -> SourceProject:
    """Make what is taken of a project's page that was read."""
    return SourceProject(
        name,
        tuple(map(source_file, document["files"])),
        *_status(document.get("project-status")),
    )


def source_file(file: Document) -> SourceFile:
    """Make what is taken of a file of a page that was read."""
    url, _, _ = file["url"].partition("#")
    yanked = file.get("yanked", False)
    return SourceFile(
        file["filename"],
        url,
        file["hashes"],
        file.get("size"),
        parse_moment(file.get("upload-time")),
        reason_of(yanked),
        provenance=file.get("provenance"),
        signature=f"{url}.asc" if file.get("gpg-sig") else None,
    )


def reason_of(yanked: object) -> str | None:
    """Read ``yanked`` as PEP 691 has it: a reason, or whether it is."""
    if not yanked:
        return None
    return yanked if isinstance(yanked, str) else ""


def _status(
    told: Mapping[str, str] | None,
) -> tuple[ProjectStatus | None, str | None]:
    """Read what has become of a project (PEP 792); None: it is not told.

    What is not told is not active: an index may not know statuses at all.
    """
    if told is None:
        return None, None
    known: tuple[ProjectStatus, ...] = get_args(ProjectStatus)
    found = next((one for one in known if one == told["status"]), None)
    return found, told.get("reason")
