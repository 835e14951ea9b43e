"""The big index's own JSON API, as far as the facts are known here.

``/pypi/{project}/json`` and ``/pypi/{project}/{version}/json``. No PEP describes it.
Its shape is that of the big index's documentation (its page "JSON API"), the deprecated
keys included, because it is old programs that read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC

from packaging.metadata import RawMetadata

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.archive import parse_core_metadata
from pypicloud_tw.index.manifest import format_time
from pypicloud_tw.index.model import Document, File, Project
from pypicloud_tw.index.names import FileKind, Filename
from pypicloud_tw.projects.addresses import file_path
from pypicloud_tw.projects.releases import (
    find_version,
    is_yanked,
    latest_version,
    releases,
)

#: Files of a project, bytes of core metadata, and lines of its headers up to which an
#: answer is made in less time than it takes to ask a helper.
QUICK_FILES, QUICK_METADATA, QUICK_LINES = 200, 32 * 1024, 400

#: Fields of core metadata that have one line and go into ``info`` under their own name.
_TEXTS = (
    "author",
    "author_email",
    "description",
    "description_content_type",
    "download_url",
    "home_page",
    "license",
    "license_expression",
    "maintainer",
    "maintainer_email",
    "requires_python",
    "summary",
)

#: Fields with several values, likewise; without any they are null.
_LISTS = (
    "dynamic",
    "import_namespaces",
    "license_files",
    "provides_extra",
    "requires_dist",
)


def is_quick(project: Project, metadata: bytes | None) -> bool:
    """Return whether :func:`render` takes a few milliseconds at most.

    Measured: 5 µs for each line of headers at worst, 1 ms for 32 KiB of body or of one
    field, 15 µs for each file.
    """
    metadata = metadata or b""
    return (
        len(project.files) <= QUICK_FILES
        and len(metadata) <= QUICK_METADATA
        and _header_lines(metadata) <= QUICK_LINES
    )


def _header_lines(metadata: bytes) -> int:
    headers = metadata.partition(b"\n\n")[0]  # an empty line ends them, if nothing did
    return headers.count(b"\n") + headers.count(b"\r")


def render(
    project: Project,
    version: str | None,
    base_url: str,
    metadata: bytes | None,
    serial: int = 0,
) -> bytes:
    """Make what is sent; pure, for the reactor thread where it :func:`is_quick`.

    :param version: the release that was asked for; None for the project.
    :param base_url: this server's own address, without a final slash.
    :param metadata: core metadata of the release that is described, if it is known.
    :param serial: by which it is current; 0: that is not known.
    :raises NotFound: there is no such release.
    """
    fields = None if metadata is None else _fields(metadata)

    def address(file: File) -> str:
        return f"{base_url}/{file_path(project.name, file)}"

    document = (
        project_document(project, address, base_url, fields, serial)
        if version is None
        else release_document(project, version, address, base_url, fields, serial)
    )
    return json.dumps(document).encode()


def _fields(metadata: bytes) -> RawMetadata | None:
    try:
        return parse_core_metadata(metadata)
    except BadRequest:
        return None  # stored before its bounds were known: the manifest must do


def project_document(
    project: Project,
    address: Callable[[File], str],
    base_url: str,
    metadata: RawMetadata | None = None,
    last_serial: int = 0,
) -> Document:
    """Describe a project: its latest release, and the files of all releases.

    :param address: a file's absolute URL.
    :param base_url: this server's own address.
    :param metadata: core metadata of :func:`latest_version`, if it is known.
    :raises NotFound: it has no releases.
    """
    version = latest_version(project)
    document = release_document(
        project, version, address, base_url, metadata, last_serial
    )
    document["releases"] = {
        release: [_file(file, address) for file in files]
        for release, files in releases(project).items()
    }
    return document


def release_document(
    project: Project,
    version: str,
    address: Callable[[File], str],
    base_url: str,
    metadata: RawMetadata | None = None,
    last_serial: int = 0,
) -> Document:
    """Describe one release; parameters as of :func:`project_document`.

    :raises NotFound: there is no such release.
    """
    version = find_version(project, version)
    files = releases(project)[version]
    return {
        "info": _info(project, version, files, base_url.rstrip("/"), metadata or {}),
        "last_serial": last_serial,
        "ownership": {"organization": None, "roles": []},
        "urls": [_file(file, address) for file in files],
        "vulnerabilities": [],
    }


def _info(
    project: Project, version: str, files: list[File], base: str, metadata: RawMetadata
) -> Document:
    page = f"{base}/simple/{project.name}/"
    # A TypedDict cannot be asked for a name that is not a literal.
    given: Document = dict(metadata)
    info: Document = {name: given.get(name) for name in _TEXTS}
    info |= {name: given.get(name) or None for name in _LISTS}
    # PEP 794: an empty list says that nothing can be imported, null says nothing.
    info["import_names"] = given.get("import_names")
    info["summary"] = info["summary"] or _first(file.summary for file in files)
    info["requires_python"] = info["requires_python"] or _first(
        file.requires_python for file in files
    )
    return {
        **info,
        "bugtrack_url": None,
        "classifiers": metadata.get("classifiers", []),
        "docs_url": None,
        "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
        "keywords": ",".join(metadata.get("keywords", [])) or None,
        "name": project.display_name,
        "package_url": page,
        "platform": ",".join(metadata.get("platforms", [])) or None,
        "project_url": page,
        "project_urls": metadata.get("project_urls") or None,
        "release_url": page,
        "version": version,
        "yanked": is_yanked(files),
        "yanked_reason": _first(f.yanked for f in files) if is_yanked(files) else None,
    }


def _first(texts: Iterable[str | None]) -> str | None:
    return next(filter(None, texts), None)


def _file(file: File, address: Callable[[File], str]) -> Document:
    digests = {
        "blake2b_256": file.blake2b_256,
        "md5": file.md5,
        "sha256": file.sha256,
    }
    kind, python_version = _packaging(file.filename)
    # The public index has no such key: the CI job that it came from.
    job = {} if file.publisher is None else {"publisher": dict(file.publisher)}
    moment = file.upload_time.astimezone(UTC)
    return {
        **job,
        "comment_text": "",
        "core-metadata": (
            {"sha256": file.metadata_sha256} if file.metadata_sha256 else False
        ),
        # Of a file that was found in the store only SHA-256 is certain.
        "digests": {name: value for name, value in digests.items() if value},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": file.md5,
        "packagetype": kind,
        "python_version": python_version,
        "requires_python": file.requires_python,
        "size": file.size,
        "upload_time": moment.strftime("%Y-%m-%dT%H:%M:%S"),
        "upload_time_iso_8601": format_time(moment),
        "url": address(file),
        "yanked": file.yanked is not None,
        "yanked_reason": file.yanked or None,
    }


def _packaging(filename: str) -> tuple[str, str]:
    """Return ``packagetype`` and ``python_version`` as in uploaders' forms."""
    try:
        kind = Filename.parse(filename, legacy=True).kind
    except BadRequest:
        kind = FileKind.SDIST
    if kind is FileKind.SDIST:
        return kind.value, "source"
    parts = filename.rpartition(".")[0].split("-")
    if kind is FileKind.WHEEL:
        # PEP 427: name-version(-build)-python-abi-platform.
        return kind.value, parts[-3]
    tags = [part for part in parts if part[:2] == "py" and part[2:3].isdigit()]
    return kind.value, tags[-1].removeprefix("py") if tags else "any"
