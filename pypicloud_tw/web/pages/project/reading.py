"""From a manifest, or from a page of the simple API, to what a project's page shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen
from packaging.utils import canonicalize_version
from packaging.version import Version

from pypicloud_tw.concurrency.steps import Steps, at_once, batches
from pypicloud_tw.errors import BadRequest, NotFound
from pypicloud_tw.index.model import Document, File, Project
from pypicloud_tw.index.names import MAX_VERSION, FileKind, Filename
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.offload.packing import PackedResult, pack, unpacked
from pypicloud_tw.projects.addresses import file_path, provenance_path
from pypicloud_tw.projects.explained.shown import yanked_because
from pypicloud_tw.projects.shown import visible_files
from pypicloud_tw.upstream.judgement.hidden import HIDDEN
from pypicloud_tw.upstream.parse import file_version
from pypicloud_tw.upstream.releases import version_rank
from pypicloud_tw.web.pages.project.values import (
    HiddenRelease,
    ServedFrom,
    ShownFile,
    ShownProject,
    ShownRelease,
)

#: Releases that are looked at in a piece: a millisecond.
_BATCH = 100

#: How the simple API's own addresses begin on a project's page.
_HERE = "../../"

_KINDS = {
    FileKind.WHEEL: "Wheel",
    FileKind.SDIST: "Source archive",
    FileKind.EGG: "Egg",
}


@frozen
class _Listed:
    """A file, as far as the list of releases needs it."""

    version: str
    size: int
    uploaded: datetime | None
    yanked: str | None
    source: Any


def show_own(
    project: Project, wanted: str | None, *, managed: bool
) -> Steps[ShownProject]:
    """Show a project of ours.

    :param wanted: the release; None: the newest.
    :param managed: to somebody who may manage it.
    :raises NotFound: there is no such release.
    """

    def shown(file: File) -> ShownFile:
        url = file_path(project.name, file)
        return ShownFile(
            file.filename,
            url,
            kind_of(file.filename),
            file.size,
            file.sha256,
            file.upload_time,
            file.yanked,
            file.requires_python,
            file.uploader,
            file.publisher,
            file.metadata_sha256 is not None,
            provenance_path(project.name, file),
        )

    listed = [
        _Listed(file.version, file.size, file.upload_time, file.yanked, file)
        for file in visible_files(project, managed=managed)
    ]
    releases, version, latest, files = yield from _chosen(listed, wanted)
    return ShownProject(
        project.name,
        project.display_name,
        "here",
        project.status,
        project.status_reason,
        version,
        latest,
        releases,
        tuple(shown(one.source) for one in files),
    )


def show_document(
    data: bytes, name: str, wanted: str | None, origin: ServedFrom
) -> ShownProject:
    """Show what a page of the simple API says.

    :param data: its JSON, as :func:`.simple.render_project` wrote it.
    :raises NotFound: there is no such release.
    """
    document: Document = json.loads(data)
    listed = [_listed(file, name) for file in document["files"]]
    hidden = tuple(map(_hidden, document.get(HIDDEN, ())))
    unseen = [one.version for one in hidden if one.version is not None]
    releases, version, latest, files = at_once(_chosen(listed, wanted, unseen))
    status = document.get("project-status") or {}
    title = document.get("name")
    return ShownProject(
        name,
        title if isinstance(title, str) else name,
        origin,
        status.get("status", "active"),
        status.get("reason"),
        version,
        latest,
        releases,
        tuple(_shown_elsewhere(one.source) for one in files),
        hidden,
    )


@limited(PAGES)
def show_document_elsewhere(
    question: tuple[bytes, str, str | None, ServedFrom] | PackedResult,
) -> ShownProject | PackedResult:
    """Do :func:`show_document` in a helper process."""
    asked = unpacked(question) if isinstance(question, PackedResult) else question
    return pack(show_document(*asked))


def kind_of(filename: str) -> str:
    """Say what a file is, for people."""
    try:
        return _KINDS.get(Filename.parse(filename, legacy=True).kind, "Other file")
    except BadRequest:
        return "Other file"


def _listed(file: Mapping[str, Any], name: str) -> _Listed:
    size, yanked = file.get("size"), file.get("yanked")
    return _Listed(
        file_version(file["filename"], name) or "",
        size if isinstance(size, int) else 0,
        _moment(file.get("upload-time")),
        (yanked if isinstance(yanked, str) else "") if yanked else None,
        file,
    )


def _shown_elsewhere(file: Mapping[str, Any]) -> ShownFile:
    size, hashes = file.get("size"), file.get("hashes")
    sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
    requires = file.get("requires-python")
    yanked = file.get("yanked")
    url = _address(file["url"])
    return ShownFile(
        file["filename"],
        url,
        kind_of(file["filename"]),
        size if isinstance(size, int) else None,
        sha256 if isinstance(sha256, str) else None,
        _moment(file.get("upload-time")),
        (yanked if isinstance(yanked, str) else "") if yanked else None,
        requires if isinstance(requires, str) else None,
        metadata=url is not None and bool(file.get("core-metadata")),
        provenance=_address(file.get("provenance")),
    )


def _hidden(entry: Mapping[str, Any]) -> HiddenRelease:
    return HiddenRelease(
        entry["version"],
        entry["files"],
        entry["rule"],
        entry["reason"],
        entry["lifted_by"],
    )


def _address(url: object) -> str | None:
    """Return an address relative to the root, or an absolute one of the web's.

    What an upstream wrote may be of another scheme, which a browser would run.
    """
    if not isinstance(url, str):
        return None
    if url.startswith(_HERE):
        return url.removeprefix(_HERE)
    try:
        address = urlsplit(url)
    except ValueError:
        return None
    return url if address.scheme in ("http", "https") and address.netloc else None


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _chosen(
    listed: Iterable[_Listed], wanted: str | None, unseen: Iterable[str] = ()
) -> Steps[tuple[tuple[ShownRelease, ...], str | None, str | None, Sequence[_Listed]]]:
    """Group files by release, the newest first, and choose the one that is shown.

    :param unseen: versions that are hidden: there is something to be said of them.
    """
    by_version: dict[str, list[_Listed]] = {}
    for one in listed:
        by_version.setdefault(one.version, []).append(one)
    ranks: dict[str, tuple[bool, Version]] = {}
    releases: dict[str, ShownRelease] = {}
    for some in batches(by_version.items(), _BATCH):
        for version, files in some:
            ranks[version] = rank = version_rank(version)
            releases[version] = _release(version, files, rank[1].is_prerelease)
        yield
    ordered = sorted(releases.values(), key=lambda r: ranks[r.version], reverse=True)
    latest = _latest(ordered, lambda r: ranks[r.version][0])
    chosen = latest if wanted is None else _find((*releases, *unseen), wanted)
    files = [] if chosen is None else by_version.get(chosen, [])
    return tuple(ordered), chosen, latest, files


def _release(version: str, files: Sequence[_Listed], prerelease: bool) -> ShownRelease:
    uploads = [file.uploaded for file in files if file.uploaded is not None]
    return ShownRelease(
        version,
        len(files),
        sum(file.size for file in files),
        min(uploads, default=None),
        yanked_because(file.yanked for file in files),
        prerelease,
    )


def _latest(
    ordered: Sequence[ShownRelease], is_version: Callable[[ShownRelease], bool]
) -> str | None:
    """Return the version that installers take first: as :func:`.latest_version`."""

    def worth(release: ShownRelease) -> tuple[bool, bool, bool]:
        valid = is_version(release)
        return release.yanked is None, valid, valid and not release.prerelease

    return max(ordered, key=worth).version if ordered else None


def _find(versions: Iterable[str], wanted: str) -> str:
    # What is longer than any version is not even read: that takes time, or fails.
    spelled = canonicalize_version(wanted) if len(wanted) <= MAX_VERSION else wanted
    for known in versions:
        if known == wanted or (known and canonicalize_version(known) == spelled):
            return known
    raise NotFound("This project has no release of that version.")
