"""Any index that speaks the simple repository API.

PEP 503, 592, 691, 700, 740, 792.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import get_args

from attrs import define, frozen
from packaging.utils import canonicalize_name, is_normalized_name

from pypicloud_tw.errors import NotFound, UpstreamError
from pypicloud_tw.index.imported import parse_moment
from pypicloud_tw.index.model import Document, ProjectStatus
from pypicloud_tw.index.names import MAX_FILENAME, project_name
from pypicloud_tw.moving.digests import is_known, malformed
from pypicloud_tw.moving.http import HttpBody, SourceHttp
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Note, Source, SourceFile, SourceProject
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.outbound.origins import is_web, origin_of, shown, without_userinfo
from pypicloud_tw.upstream.dropped import HASHES, Dropped
from pypicloud_tw.upstream.names.packed import MAX_LIST, NAMES, names_of, pack, parts
from pypicloud_tw.upstream.parse import ACCEPT
from pypicloud_tw.upstream.prepare import PageResponse, read

#: Bytes of a project's page, unpacked: four times the largest known (30 MB).
MAX_PAGE = 128 * 2**20

#: Bytes of a provenance object; those of the public index have some 10 kB.
MAX_PROVENANCE = 2**20

#: What a list may have that can be no name, before it is taken for none.
_MOST_OTHERS = 10_000

#: Keys under which files are checked, and what is there; see :class:`.Dropped`.
_CHECKS = {"size": "size", HASHES: "digests"}

_SIMPLE = "simple"


@frozen
class ReadPage:
    """A project's page, and what of it is not in the document."""

    document: Document
    dropped: tuple[Dropped, ...] = ()


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
        normal = project_name(name)
        answer = await self.http.page(f"{self.base}{normal}/", ACCEPT)
        if self.only_own and origin_of(answer.url) != origin_of(self.base):
            raise NotFound(
                f"{self.description} has no project {normal}: it sends to "
                f"{shown(answer.url)} whoever asks for it."
            )
        return page_project(name, await self.http.read(read_page, answer, normal))

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

    What can be no name is in it, too, as it is spelled: it is not left out unsaid.

    :raises UpstreamError: it is none, or too long.
    """
    if answer.size > MAX_LIST:
        raise UpstreamError("The list of projects is too long.")
    coding = "" if answer.coding == "identity" else answer.coding
    others: set[str] = set()

    def told() -> Iterator[str]:
        for name in names_of(BytesIO(answer.body), coding):
            if not is_normalized_name(canonicalize_name(name)):
                others.add(name[:MAX_FILENAME])
                if len(others) > _MOST_OTHERS:
                    raise UpstreamError("The list of projects has none of names.")
            yield name

    names = [name for part in parts(pack(told())) for name in part.decode().split()]
    return names + sorted(others)


@limited(PAGES)
def read_page(answer: PageResponse, name: str) -> ReadPage:
    """Read a project's page.

    :raises UpstreamError: it is none, or another project's.
    """
    dropped: list[Dropped] = []
    return ReadPage(read(answer, name, MAX_PAGE, dropped), tuple(dropped))


def page_project(name: str, page: ReadPage) -> SourceProject:
    """Make what is taken of a project's page that was read."""
    status, reason = _status(page.document.get("project-status"))
    notes = [note for one in page.dropped if (note := _note(one)) is not None]
    if status is None and "project-status" in page.document:
        notes.append(Note("Its status there is none that is known here."))
    # Of a file that cannot be used at all the page may have another.
    damaged = {one.filename for one in page.dropped if one.key and _is_check(one.key)}
    return SourceProject(
        name,
        tuple(
            source_file(file)
            for file in page.document["files"]
            if file["filename"] not in damaged
        ),
        status,
        reason,
        tuple(notes),
    )


def _note(dropped: Dropped) -> Note | None:
    """Say what of a page is not taken; None: it would be of no use here."""
    key, filename = dropped.key, dropped.filename
    if key is None:
        return Note(dropped.why, filename, lost=True)
    if _is_check(key):
        _, _, algorithm = key.partition(".")
        what = f"{algorithm} digest" if algorithm else _CHECKS[key]
        return Note(malformed(what).message, filename, lost=True)
    if key.startswith(f"{HASHES}."):
        return None
    return Note(f"What the source tells of it as {key!r} is not understood.", filename)


def _is_check(key: str) -> bool:
    """Return whether a file's bytes are checked by what stands under a key."""
    return key in _CHECKS or is_known(key.removeprefix(f"{HASHES}."))


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
