"""Every file of an upstream's page, by release, whether or not it may be seen.

So that it can be explained what is made of it. Kept as one compressed block, a line of
JSON for each release, the newest first: the largest pages have 40,000 files.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterator
from typing import Any

from attrs import frozen
from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion, Version

from pypicloud_tw.index.model import Document
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.offload.packing import PackedResult, pack
from pypicloud_tw.upstream.judgement.judge import upload_time
from pypicloud_tw.upstream.judgement.values import Candidate
from pypicloud_tw.upstream.links import checked_sha256
from pypicloud_tw.upstream.parse import file_version
from pypicloud_tw.upstream.prepare import (
    PageResponse,
    PreparedPage,
    Recipe,
    read,
    standing_of,
)

#: Files of one release that are told, as of tensorflow's largest (60), four times over.
MOST_FILES = 250


@frozen
class UpstreamFile:
    """A file as it is judged, and what its page says of it beside that.

    :ivar yanked: None, or why, which may be empty (PEP 592).
    """

    candidate: Candidate
    yanked: str | None = None


@frozen
class UpstreamRelease:
    """A release of an upstream's page.

    :ivar version: None: of files whose version cannot be told.
    :ivar total: how many files it has; :attr:`files` has at most :data:`MOST_FILES`.
    """

    version: str | None
    files: tuple[UpstreamFile, ...]
    total: int


@frozen
class WantedReleases:
    """Which releases of a page are wanted.

    :ivar versions: these; none: the newest.
    :ivar most: how many of the newest.
    :ivar filenames: it is to be told which of these are not on the page.
    """

    versions: tuple[str, ...] = ()
    most: int = 0
    filenames: tuple[str, ...] = ()


@frozen
class FoundReleases:
    """What a page has of what was wanted, the newest first.

    :ivar total: how many releases it has.
    :ivar gone: the filenames that are not on it.
    """

    releases: tuple[UpstreamRelease, ...] = ()
    total: int = 0
    gone: tuple[str, ...] = ()


def table_of(document: Document) -> bytes:
    """Pack every file of a page, by release."""
    name = document["name"]
    by_version: dict[str | None, list[list[Any]]] = {}
    for file in document["files"]:
        version = file_version(file["filename"], name)
        by_version.setdefault(version, []).append(_fields(file))
    lines = (
        json.dumps([version, by_version[version]], separators=(",", ":"))
        for version in sorted(by_version, key=version_rank, reverse=True)
    )
    return zlib.compress("\n".join(lines).encode(), 1)


@limited(PAGES)
def prepare_releases(
    answer: PageResponse, recipe: Recipe[Any], now: float
) -> PreparedPage[bytes] | PackedResult:
    """Read a project's page and pack what it says of its files.

    :raises UpstreamError: it is no page, or larger than the limit.
    """
    document = read(answer, recipe.name, recipe.limit)
    table = table_of(document)
    return pack(PreparedPage(table, len(table), standing=standing_of(document)))


@limited(PAGES)
def keep_releases(
    table: bytes, _recipe: Recipe[Any], _now: float
) -> PreparedPage[bytes]:
    """Keep it all under a stricter judge, for nothing of it is given out."""
    return PreparedPage(table, len(table))


@limited(PAGES)
def find_releases(table: bytes, wanted: WantedReleases) -> FoundReleases:
    """Find releases in a :func:`table_of`; in a thread, if that is large."""
    lines = zlib.decompress(table).decode().splitlines()
    chosen = [line for line in lines if _is_wanted(line, wanted)]
    if not wanted.versions:
        chosen = chosen[: wanted.most]
    there = _filenames(lines) if wanted.filenames else frozenset()
    return FoundReleases(
        tuple(map(_release, chosen)),
        len(lines),
        tuple(one for one in wanted.filenames if one not in there),
    )


def version_rank(version: str | None) -> tuple[bool, Version]:
    """Return what orders versions; what is none comes before all."""
    try:
        return True, Version(version or "")
    except InvalidVersion:
        return False, Version("0")


def _fields(file: Document) -> list[Any]:
    yanked = file.get("yanked") or None
    return [
        file["filename"],
        checked_sha256(file["hashes"].get("sha256")),
        upload_time(file.get("upload-time")),
        bool(file.get("provenance")),
        "" if yanked is True else yanked,
    ]


def _is_wanted(line: str, wanted: WantedReleases) -> bool:
    if not wanted.versions:
        return True
    version = json.loads(line[1 : line.index(",[")])
    if version is None:
        return False
    spelled = canonicalize_version(version)
    return any(canonicalize_version(one) == spelled for one in wanted.versions)


def _filenames(lines: Collection[str]) -> frozenset[str]:
    return frozenset(_names(lines))


def _names(lines: Collection[str]) -> Iterator[str]:
    for line in lines:
        yield from (fields[0] for fields in json.loads(line)[1])


def _release(line: str) -> UpstreamRelease:
    version, files = json.loads(line)
    return UpstreamRelease(
        version,
        tuple(
            UpstreamFile(Candidate(filename, version, sha256, uploaded, proved), yanked)
            for filename, sha256, uploaded, proved, yanked in files[:MOST_FILES]
        ),
        len(files),
    )
