"""The manifest: a project as a document of the simple API's JSON form (decision D1).

The standard keys are PEP 691, 700 and 792's, so that what is stored is what is served;
private ones begin with ``_``. Keys that this version does not know are kept.
"""

from __future__ import annotations

import json
import re
from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from packaging.utils import is_normalized_name
from packaging.version import InvalidVersion

from pypicloud_tw.config.namespaces import NO_NAMESPACES, Namespaces
from pypicloud_tw.errors import ManifestDamaged, Unavailable
from pypicloud_tw.index.ci_job import LONGEST_PART, MOST_PARTS
from pypicloud_tw.index.model import (
    FORMAT,
    WHOLE,
    Document,
    File,
    HistoryEntry,
    Moving,
    Project,
    Tombstone,
)
from pypicloud_tw.index.names import NormalizedName, parse_version
from pypicloud_tw.json_documents import DAMAGED, compact

API_VERSION = "1.5"
INDEX = ".index/"

#: Bytes of a manifest. Of the public index's projects ddtrace has most files that are
#: known, 46,724: they would take 36.5 MB here (factor 7).
MAX_MANIFEST = 256 * 2**20

#: Files that are put into their places one by one; more of them are sorted with all.
FEW = 64

_HEX_256 = re.compile(r"[0-9a-f]{64}")
_STATUSES = ("active", "archived", "quarantined", "deprecated")
_PROJECT_KEYS = frozenset(
    {
        "meta",
        "name",
        "versions",
        "files",
        "project-status",
        "_format",
        "_display_name",
        "_tombstones",
        "_history",
        "_older_history",
        "_changes",
        "_moving",
        "_serial",
    }
)
_FILE_KEYS = frozenset(
    {
        "filename",
        "hashes",
        "size",
        "upload-time",
        "requires-python",
        "yanked",
        "core-metadata",
        "_key",
        "_version",
        "_md5",
        "_blake2b_256",
        "_metadata_key",
        "_uploader",
        "_summary",
        "_publisher",
        "_provenance_key",
    }
)
_TOMBSTONE_KEYS = frozenset(
    {
        "filename",
        "sha256",
        "key",
        "deleted",
        "purged",
        "metadata_key",
        "file",
        "act",
    }
)
_HISTORY_KEYS = frozenset(
    {
        "id",
        "at",
        "act",
        "who",
        "proof",
        "address",
        "version",
        "files",
        "count",
        "reason",
        "undoes",
        "before",
    }
)

#: What is known within the values of some keys; a later PEP may add to it.
_WITHIN: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "hashes": frozenset({"sha256"}),
        "core-metadata": frozenset({"sha256"}),
        "project-status": frozenset({"status", "reason"}),
    }
)

T = TypeVar("T")


def manifest_key(name: NormalizedName) -> str:
    """Where a project's manifest lies."""
    return f"{INDEX}{name}.json"


def project_of(key: str) -> NormalizedName | None:
    """Return whose manifest is under *key*, if one is."""
    name = key.removeprefix(INDEX).removesuffix(".json")
    if key != f"{INDEX}{name}.json" or not is_normalized_name(name):
        return None
    return NormalizedName(name)


def format_time(moment: datetime) -> str:
    """Write an instant as PEP 700 wants it: ISO 8601, ending in Z, microseconds."""
    # strftime takes five times as long.
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"


def encode(project: Project) -> bytes:
    """Write a manifest.

    :raises Unavailable: it was read in a format newer than this version knows.
    """
    check_format(project)
    return compact(document_of(project))


def check_format(project: Project) -> None:
    """Return if this version may write a project.

    :raises Unavailable: it was read in a format newer than this version knows.
    """
    if project.format > FORMAT:
        raise Unavailable(
            f"The project {project.name} was written by a newer server (format "
            f"{project.format}, here {FORMAT}); upgrade this one before changing it."
        )


def document_of(project: Project) -> Document:
    """Make the document that says all of a project."""
    document = {
        **project.extra,
        "meta": {"api-version": API_VERSION},
        "name": project.name,
        "versions": versions_of(project.files),
        "files": [encode_file(file) for file in project.files],
        "project-status": _encode_status(project),
        "_format": WHOLE,
        "_display_name": project.display_name,
        "_tombstones": [encode_tombstone(t) for t in project.tombstones],
        "_history": [encode_entry(entry) for entry in project.history],
        "_changes": list(project.changes),
        **_encode_moving(project.moving),
        "_serial": project.serial,
    }
    if project.older_history is not None:
        document["_older_history"] = project.older_history
    return document


def decode(name: NormalizedName, data: bytes) -> Project:
    """Read the manifest of *name*, trusting nothing in it.

    :raises ManifestDamaged: the message says where.
    """
    with trusting_nothing(name, manifest_key(name)):
        return decode_project(name, read_document(name, data))


@contextmanager
def trusting_nothing(name: NormalizedName, key: str) -> Iterator[None]:
    """Make one error of whatever reading a damaged object of a project raises.

    :raises ManifestDamaged: the message says where.
    """
    try:
        yield
    except DAMAGED as e:
        raise ManifestDamaged(
            f"The manifest of {name} is damaged ({type(e).__name__}: {e}); restore "
            f"{key} from a backup."
        ) from None


def read_document(name: NormalizedName, data: bytes) -> Document:
    """Read an object of a project.

    :raises ValueError: it is damaged or another's; or another error of
        :data:`.DAMAGED`.
    """
    document: object = json.loads(data)
    if not isinstance(document, dict) or document.get("name") != name:
        _damaged("name")
    return document


def public_document(
    project: Project,
    address: Callable[[File], str],
    namespaces: Namespaces = NO_NAMESPACES,
) -> Document:
    """Make the document that is served: no private keys, an address a file.

    :param address: a file's URL, absolute or relative to the project's page.
    """
    files = [{**public_file(file), "url": address(file)} for file in project.offered]
    return {**public_head(project, namespaces), "files": files}


def public_head(project: Project, namespaces: Namespaces = NO_NAMESPACES) -> Document:
    """Make the document that is served, but for its files."""
    return {
        **{k: v for k, v in project.extra.items() if not k.startswith("_")},
        "meta": _meta(project),
        "name": project.name,
        "versions": versions_of(project.files),
        "files": [],
        "project-status": _encode_status(project),
        "namespaces": namespaces.told(project.name),
    }


def _meta(project: Project) -> Document:
    meta: Document = {"api-version": API_VERSION}
    if project.serial:
        meta["_last-serial"] = project.serial
    return meta


def versions_of(files: Iterable[File]) -> list[str]:
    """List every version once, oldest first (PEP 700)."""
    return list(dict.fromkeys(file.version for file in files))


def in_order(files: Iterable[File]) -> tuple[File, ...]:
    """Sort files by version, then name; what is no version comes first."""
    keys: dict[str, tuple[bool, Any]] = {}

    def rank(file: File) -> tuple[tuple[bool, Any], str]:
        if file.version not in keys:
            keys[file.version] = _version_rank(file.version)
        return keys[file.version], file.filename

    return tuple(sorted(files, key=rank))


def put_in_order(files: tuple[File, ...], new: Iterable[File]) -> tuple[File, ...]:
    """Add files to those that are sorted already."""
    some = list(new)
    if len(some) > FEW:
        return in_order((*files, *some))
    together = list(files)
    for file in some:
        insort(together, file, key=_rank)
    return tuple(together)


def _rank(file: File) -> tuple[tuple[bool, Any], str]:
    return _version_rank(file.version), file.filename


def in_version_order(versions: Iterable[str]) -> list[str]:
    """Sort versions; what is none comes first."""
    return sorted(versions, key=_version_rank)


def _version_rank(text: str) -> tuple[bool, Any]:
    try:
        return True, parse_version(text)
    except InvalidVersion:
        return False, text


def _encode_status(project: Project) -> Document:
    status: Document = {"status": project.status}
    if project.status_reason is not None:
        status["reason"] = project.status_reason
    return _with_unknown(project.extra, "project-status", status)


def _encode_moving(moving: Moving | None) -> Document:
    if moving is None:
        return {}
    return {"_moving": {"to": moving.to, "left": list(moving.left)}}


def encode_file(file: File) -> Document:
    """Write a file."""
    document = _standard_keys(file, file.extra)
    document["_key"] = file.key
    document["_version"] = file.version
    for key, value in (
        ("_md5", file.md5),
        ("_blake2b_256", file.blake2b_256),
        ("_metadata_key", file.metadata_key),
        ("_uploader", file.uploader),
        ("_summary", file.summary),
        ("_publisher", None if file.publisher is None else dict(file.publisher)),
        ("_provenance_key", file.provenance_key),
    ):
        if value is not None:
            document[key] = value
    return document


def public_file(file: File) -> Document:
    """Make what is served of a file, but for its address."""
    extra = file.extra
    if extra:
        extra = {k: v for k, v in extra.items() if not k.startswith("_")}
    return _standard_keys(file, extra)


def _standard_keys(file: File, extra: Mapping[str, Any]) -> Document:
    """Write what PEP 691, 700 and 714 say of a file, but its address."""
    document: Document = {
        **extra,
        "filename": file.filename,
        "hashes": _with_unknown(extra, "hashes", {"sha256": file.sha256}),
        "size": file.size,
        "upload-time": format_time(file.upload_time),
    }
    if file.requires_python is not None:
        document["requires-python"] = file.requires_python
    if file.metadata_sha256 is not None:
        known = {"sha256": file.metadata_sha256}
        document["core-metadata"] = _with_unknown(extra, "core-metadata", known)
    if file.yanked is not None:
        # PEP 691: a reason, or true; an empty reason would read as not yanked.
        document["yanked"] = file.yanked or True
    return document


def encode_tombstone(tombstone: Tombstone) -> Document:
    """Write a tombstone."""
    document: Document = {
        **tombstone.extra,
        "filename": tombstone.filename,
        "sha256": tombstone.sha256,
        "key": tombstone.key,
        "deleted": format_time(tombstone.deleted),
        "purged": tombstone.purged,
        "metadata_key": tombstone.metadata_key,
    }
    if tombstone.file is not None:
        document["file"] = encode_file(tombstone.file)
    if tombstone.act is not None:
        document["act"] = tombstone.act
    return document


def encode_entry(entry: HistoryEntry) -> Document:
    """Write one act of a project's history."""
    document: Document = {
        **entry.extra,
        "id": entry.id,
        "at": format_time(entry.at),
        "act": entry.act,
        "proof": entry.proof,
        "count": entry.count,
    }
    for key, value in (
        ("who", entry.who),
        ("address", entry.address),
        ("version", entry.version),
        ("files", list(entry.files) or None),
        ("reason", entry.reason),
        ("undoes", entry.undoes),
        ("before", None if entry.before is None else dict(entry.before)),
    ):
        if value is not None:
            document[key] = value
    return document


def decode_project(name: NormalizedName, document: Document) -> Project:
    """Read what a document says of a project; raises as :func:`read_document`."""
    status = document.get("project-status") or {}
    state = status.get("status", "active")
    return Project(
        name=name,
        display_name=_text(document.get("_display_name", name), "_display_name"),
        files=tuple(decode_file(item) for item in _list(document, "files")),
        tombstones=tuple(
            decode_tombstone(item) for item in _list(document, "_tombstones")
        ),
        # One that is not known may have been set to hide the project's files.
        status=state if state in _STATUSES else _damaged("status"),
        status_reason=_maybe_text(status, "reason"),
        history=tuple(decode_entry(item) for item in _list(document, "_history")),
        changes=tuple(_text(i, "_changes") for i in _list(document, "_changes")),
        moving=_decode_moving(document.get("_moving")),
        extra=_unknown(document, _PROJECT_KEYS),
        format=_number(document.get("_format", WHOLE), "_format"),
        older_history=_maybe_text(document, "_older_history"),
        serial=_number(document.get("_serial", 0), "_serial"),
    )


def _decode_moving(value: Any) -> Moving | None:
    if value is None:
        return None
    left = tuple(_text(key, "left") for key in _list(value, "left"))
    return Moving(_maybe_text(value, "to"), left)


def decode_file(item: Any) -> File:
    """Read a file; raises as :func:`read_document`."""
    core_metadata = item.get("core-metadata") or {}
    return File(
        filename=_segment(item["filename"]),
        version=_text(item["_version"], "_version"),
        key=_text(item["_key"], "_key"),
        size=_number(item["size"], "size"),
        sha256=_digest(item["hashes"]["sha256"]),
        upload_time=_time(item["upload-time"]),
        md5=_maybe_text(item, "_md5"),
        blake2b_256=_maybe_text(item, "_blake2b_256"),
        requires_python=_maybe_text(item, "requires-python"),
        yanked=_yanked(item.get("yanked")),
        metadata_key=_maybe_text(item, "_metadata_key"),
        metadata_sha256=_maybe_text(core_metadata, "sha256"),
        uploader=_maybe_text(item, "_uploader"),
        summary=_maybe_text(item, "_summary"),
        publisher=_publisher(item.get("_publisher")),
        provenance_key=_maybe_text(item, "_provenance_key"),
        extra=_unknown(item, _FILE_KEYS),
    )


def decode_tombstone(item: Any) -> Tombstone:
    """Read a tombstone; raises as :func:`read_document`."""
    return Tombstone(
        filename=_segment(item["filename"]),
        sha256=_digest(item["sha256"]),
        key=_text(item["key"], "key"),
        deleted=_time(item["deleted"]),
        purged=item.get("purged") is True,
        metadata_key=_maybe_text(item, "metadata_key"),
        file=None if item.get("file") is None else decode_file(item["file"]),
        act=_maybe_text(item, "act"),
        extra=_unknown(item, _TOMBSTONE_KEYS),
    )


def decode_entry(item: Any) -> HistoryEntry:
    """Read one act of a project's history.

    :raises ValueError: it is damaged; or another error of :data:`.DAMAGED`.
    """
    before = item.get("before")
    if before is not None and not isinstance(before, dict):
        _damaged("before")
    return HistoryEntry(
        id=_text(item["id"], "id"),
        at=_time(item["at"]),
        act=_text(item["act"], "act"),
        who=_maybe_text(item, "who"),
        proof=_text(item.get("proof", "none"), "proof"),
        address=_maybe_text(item, "address"),
        version=_maybe_text(item, "version"),
        files=tuple(_segment(name) for name in _list(item, "files")),
        count=_number(item.get("count", 0), "count"),
        reason=_maybe_text(item, "reason"),
        undoes=_maybe_text(item, "undoes"),
        before=before,
        extra=_unknown(item, _HISTORY_KEYS),
    )


def _yanked(value: object) -> str | None:
    if value is True:
        return ""
    return _text(value, "yanked") if value else None


def _publisher(value: object) -> Mapping[str, str] | None:
    """Read where a file came from; a newer version may know more parts of it."""
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > MOST_PARTS:
        _damaged("_publisher")
    for name, text in value.items():
        if len(name) > LONGEST_PART or len(_text(text, "_publisher")) > LONGEST_PART:
            _damaged("_publisher")
    return value


def _unknown(document: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Keep what this version does not know, also within what it does."""
    unknown = {}
    if not document.keys() <= known:
        unknown = {key: value for key, value in document.items() if key not in known}
    for key, inner in _WITHIN.items():
        found = document.get(key) if key in known else None
        if isinstance(found, dict) and not found.keys() <= inner:
            unknown[key] = {k: v for k, v in found.items() if k not in inner}
    return unknown


def _with_unknown(extra: Mapping[str, Any], key: str, known: Document) -> Document:
    return {**extra[key], **known} if key in extra else known


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key, [])
    return value if isinstance(value, list) else _damaged(key)


def _text(value: object, key: str) -> str:
    return value if isinstance(value, str) else _damaged(key)


def _maybe_text(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    return None if value is None else _text(value, key)


def _number(value: object, key: str) -> int:
    # bool is an int to Python and none to JSON.
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return _damaged(key)


def _segment(value: object) -> str:
    text = _text(value, "filename")
    return text if text and "/" not in text else _damaged("filename")


def _digest(value: object) -> str:
    text = _text(value, "sha256")
    return text if _HEX_256.fullmatch(text) else _damaged("sha256")


def _time(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value, "time"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _damaged(key: str) -> NoReturn:
    raise ValueError(f"the value of {key!r} is not what it should be")
