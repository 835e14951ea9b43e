"""The upstream's older JSON API (``/pypi/{name}/json``), after the rules."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from attrs import evolve, frozen
from packaging.version import InvalidVersion

from pypicloud_tw.errors import UpstreamError
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import parse_version
from pypicloud_tw.json_documents import compact
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.offload.packing import PackedResult, pack
from pypicloud_tw.outbound.origins import shown
from pypicloud_tw.upstream.judgement.hidden import HIDDEN, told_hidden
from pypicloud_tw.upstream.judgement.judge import Judging, ProjectJudge, upload_time
from pypicloud_tw.upstream.judgement.values import Candidate, Refusal
from pypicloud_tw.upstream.links import checked_sha256, path, segment
from pypicloud_tw.upstream.parse import load_json
from pypicloud_tw.upstream.prepare import PageResponse, PreparedPage, unpack

#: How a link to this server begins while its address is not known, and so in JSON.
_HERE = "\0/"
_LINK, _ROOT = b'"url":"', b"\\u0000/"


@frozen
class LegacyRecipe:
    """What is to be made of an answer of the older JSON API.

    :ivar version: the release that was asked for, if one was.
    :ivar limit: bytes that it may have when it is unpacked.
    :ivar own_links: files are linked to this server.
    """

    name: str
    version: str | None
    judge: ProjectJudge
    limit: int
    own_links: bool = False


@frozen
class LegacyPage:
    """A document of the older JSON API.

    :ivar body: JSON; its links to this server are completed by :func:`addressed`.
    :ivar instead: the rules hide the release that it describes; this one is to be
        described.
    :ivar hidden: why nothing is left of what was asked for, if nothing is.
    """

    body: bytes
    instead: str | None = None
    hidden: Refusal | None = None


@limited(PAGES)
def prepare_legacy(
    answer: PageResponse, recipe: LegacyRecipe, now: float
) -> PreparedPage[LegacyPage] | PackedResult:
    """Read a document of the older JSON API and apply the rules.

    :raises UpstreamError: it is none.
    """
    body = unpack(answer, recipe.limit)
    try:
        document = load_json(body)
        if not isinstance(document, dict) or not isinstance(document["info"], dict):
            raise ValueError("no info")
        # Keys that begin so are private to whoever wrote them.
        document.pop(HIDDEN, None)
        shows = _Shows(recipe, now, own_links=recipe.own_links)
        page = _filtered(document, recipe, shows)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UpstreamError(
            f"The answer of the upstream index at {shown(answer.url)} is not of the "
            "JSON API."
        ) from None
    return pack(PreparedPage(page, len(page.body), changes_at=shows.changes_at))


@limited(PAGES)
def narrow_legacy(
    page: LegacyPage, recipe: LegacyRecipe, now: float
) -> PreparedPage[LegacyPage] | PackedResult:
    """Take out of a document what its judge hides now; it can only become less."""
    shows = _Shows(recipe, now, own_links=False)
    gone = page.hidden is not None or page.instead is not None
    left = _filtered(json.loads(page.body), recipe, shows, gone=gone)
    if gone and left.hidden is None and left.instead is None:
        left = evolve(left, hidden=page.hidden)
    return pack(PreparedPage(left, len(left.body), changes_at=shows.changes_at))


@limited(PAGES)
def merged(page: LegacyPage, release: LegacyPage) -> bytes:
    """Describe a project by another of its releases; for a helper, if it is large."""
    document, other = json.loads(page.body), json.loads(release.body)
    for key in ("info", "urls", "vulnerabilities"):
        if key in other:
            document[key] = other[key]
    return _encoded(document)


def addressed(body: bytes, base_url: str) -> bytes:
    """Complete the links to this server: only a request tells how it is reached."""
    return body.replace(_LINK + _ROOT, _LINK + f"{base_url.rstrip('/')}/".encode())


class _Shows:
    """Tells whether a file of the older API may be seen, and remembers which may not.

    :ivar hidden: by their names, for a release's files stand in a document twice.
    """

    def __init__(self, recipe: LegacyRecipe, now: float, *, own_links: bool) -> None:
        self._recipe, self._own_links = recipe, own_links
        self._judging = Judging(recipe.judge, now)
        self.hidden: dict[str, tuple[Candidate, Refusal]] = {}

    @property
    def changes_at(self) -> float | None:
        """When time changes what is shown."""
        return self._judging.changes_at

    def files(self, files: Iterable[Any]) -> list[Any]:
        """Return those that are shown."""
        kept = [file for file in files if self._shows(file)]
        if not self._own_links:
            return kept
        return [_relinked(self._recipe.name, file) for file in kept]

    @property
    def refusal(self) -> Refusal | None:
        """Why the first file that was left out was."""
        return next((refusal for _, refusal in self.hidden.values()), None)

    def tell_hidden(self, document: Document) -> None:
        """Add to a document what was left out of it."""
        if self.hidden:
            document[HIDDEN] = told_hidden(
                document, self.hidden.values(), self._judging.version_of
            )

    def _shows(self, file: Any) -> bool:
        filename = str(file["filename"])
        digests = file.get("digests") or {}
        candidate = Candidate(
            filename,
            self._judging.version_of(filename),
            checked_sha256(str(digests.get("sha256", "")).lower()),
            upload_time(file.get("upload_time_iso_8601")),
            # This API does not tell; the file's own address is judged by it.
            provenance=True,
        )
        refusal = self._judging.refusal_of(candidate)
        if refusal is not None:
            self.hidden[filename] = candidate, refusal
        return refusal is None


def _relinked(project: str, file: Document) -> Document:
    """Link a file to this server, by the address that the project's page has for it."""
    url, digests = str(file["url"]).partition("#")[0], file.get("digests") or {}
    digest = checked_sha256(str(digests.get("sha256", "")).lower())
    address = path(project, segment(digest, url), str(file["filename"]))
    # A detached signature lies beside the upstream's file, not beside ours.
    return {**file, "url": f"{_HERE}{address}", "has_sig": False}


def _filtered(
    document: Document, recipe: LegacyRecipe, shows: _Shows, *, gone: bool = False
) -> LegacyPage:
    """Leave out what may not be seen.

    :param gone: the release that it describes was left out before.
    """
    urls = document.get("urls") or []
    document["urls"] = shown = shows.files(urls)
    gone = gone or (bool(urls) and not shown)
    releases = document.get("releases")
    if recipe.version is not None or not isinstance(releases, dict):
        document.pop("releases", None)
        shows.tell_hidden(document)
        return LegacyPage(_encoded(document), hidden=shows.refusal if gone else None)
    document["releases"] = {
        version: kept
        for version, files in releases.items()
        # A release without any file was never one to hide.
        if (kept := shows.files(files)) or not files
    }
    shows.tell_hidden(document)
    if not gone:
        return LegacyPage(_encoded(document))
    left = [v for v, files in document["releases"].items() if files]
    instead = _newest(left)
    refusal = shows.refusal if instead is None else None
    return LegacyPage(_encoded(document), instead, refusal)


def _newest(versions: Iterable[str]) -> str | None:
    """Choose as the index does: the newest release, a pre-release only if all are."""
    known = []
    for text in versions:
        try:
            version = parse_version(text)
        except InvalidVersion:
            continue
        known.append((not version.is_prerelease, version, text))
    return max(known)[2] if known else None


def _encoded(document: Document) -> bytes:
    return compact(document)
