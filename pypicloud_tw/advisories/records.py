"""An OSV record as what is used of it here: an :class:`.Advisory` for each project.

Pure, and trusts nothing: records are read in a helper process. The rules are those of
the OSV schema (https://ossf.github.io/osv-schema/), 1.7: "Evaluation" for ranges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeGuard

from attrs import evolve
from cvss import CVSS2, CVSS3, CVSS4, CVSSError
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import Version

from pypicloud_tw.advisories.values import Advisory, Severity, VersionRange, spelled

#: Characters of an id; twice the longest known (43, of a distribution's).
_LONGEST_ID = 100
#: Characters of a summary that are kept; the longest known of PyPI's have some 250.
_LONGEST_SUMMARY = 400
#: Other ids that are kept; the most known are 12.
_MOST_ALIASES = 50

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")

#: "Embedded Malicious Code".
_MALICIOUS = "CWE-506"
#: What the OpenSSF's list of malicious packages says where its records come from. The
#: digests in it are of reports, not of files.
_ORIGINS = "malicious-packages-origins"
#: Where records tell digests of malicious files; those of the OpenSSF's list do in
#: ``indicators.package_integrity``.
_EVIDENCE = frozenset({"indicators", "iocs", "files", "artifacts"})
#: Of files inside an archive, which may be harmless in another.
_INSIDE = "evidence_files"

_SCORES = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}
_WORDS = {
    "LOW": Severity.LOW,
    "MODERATE": Severity.MEDIUM,
    "MEDIUM": Severity.MEDIUM,
    "HIGH": Severity.HIGH,
    "CRITICAL": Severity.CRITICAL,
}


class BadRecord(ValueError):
    """It is no OSV record."""


def advisories_of(record: object) -> Iterator[Advisory]:
    """Read what a record says of projects of the Python Package Index.

    A record that was withdrawn says nothing.

    :raises BadRecord: it is no record.
    """
    if not isinstance(record, dict):
        raise BadRecord("it is no object")
    identifier = record.get("id")
    if not _is_id(identifier):
        raise BadRecord("it has no id")
    if record.get("withdrawn"):
        return
    aliases = tuple(filter(_is_id, _list(record, "aliases")))[:_MOST_ALIASES]
    by_project: dict[str, list[Mapping[str, Any]]] = {}
    for affected in _list(record, "affected"):
        name = _project(affected)
        if name is not None:
            by_project.setdefault(name, []).append(affected)
    by_record = _is_malware((identifier, *aliases), record)
    for name, parts in by_project.items():
        ranges = tuple(_ranges(parts))
        versions = frozenset(_versions(parts))
        malware = by_record or any(map(_says_malicious, parts))
        if malware and not ranges and not versions:
            # Who says that something is malicious, and not what, means all of it.
            ranges = (VersionRange(),)
        yield Advisory(
            identifier,
            name,
            summary=_line(record.get("summary") or record.get("details")),
            aliases=aliases,
            malware=malware,
            severity=_severity(record, parts),
            versions=versions,
            ranges=ranges,
            sha256s=frozenset(_digests(record, parts)) if malware else frozenset(),
            fixed=_fixed(ranges),
            published=_moment(record.get("published")),
            modified=_line(record.get("modified")),
        )


def _is_id(value: object) -> TypeGuard[str]:
    return (
        isinstance(value, str)
        and len(value) <= _LONGEST_ID
        and _ID.fullmatch(value) is not None
    )


def _is_malware(ids: Iterable[str], record: Mapping[str, Any]) -> bool:
    if any(one.startswith("MAL-") for one in ids):
        return True
    return _ORIGINS in _dict(record, "database_specific") or _says_malicious(record)


def _says_malicious(holder: Mapping[str, Any]) -> bool:
    """Return whether a record, or what is said of one project, has CWE-506.

    GitHub lists the numbers as ``cwe_ids``, the OpenSSF objects as ``cwes``. No text is
    searched for words: that of a flaw may speak of malware, too.
    """
    told = _dict(holder, "database_specific")
    cwes = (one.get("cweId") for one in _list(told, "cwes") if isinstance(one, dict))
    return _MALICIOUS in (*_list(told, "cwe_ids"), *cwes)


def _project(affected: object) -> str | None:
    if not isinstance(affected, dict):
        return None
    package = _dict(affected, "package")
    ecosystem, name = package.get("ecosystem"), package.get("name")
    if not isinstance(ecosystem, str) or ecosystem.partition(":")[0] != "PyPI":
        return None
    if not isinstance(name, str):
        return None
    try:
        return canonicalize_name(name, validate=True)
    except InvalidName:
        return None


def _versions(parts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for part in parts:
        for version in _list(part, "versions"):
            if isinstance(version, str):
                yield spelled(version)


def _ranges(parts: Iterable[Mapping[str, Any]]) -> Iterator[VersionRange]:
    for part in parts:
        for told in _list(part, "ranges"):
            if isinstance(told, dict) and told.get("type") in ("ECOSYSTEM", "SEMVER"):
                events = _list(told, "events")
                yield from _limited(_range(events), _limits(events))


def _limits(events: Iterable[object]) -> list[str]:
    """Find what lies behind no limit: all that is below the highest of them."""
    told = [event.get("limit") for event in events if isinstance(event, dict)]
    return [limit for limit in told if isinstance(limit, str)]


def _limited(
    pieces: Iterable[VersionRange], limits: list[str]
) -> Iterator[VersionRange]:
    """Cut what a range holds at its limit ("BeforeLimits").

    One that is no version is ``*``: there is no limit.
    """
    parsed = [_parsed(limit) for limit in limits]
    if not limits or None in parsed:
        yield from pieces
        return
    limit = limits[parsed.index(max(filter(None, parsed)))]
    yield from (evolve(piece, limit=limit) for piece in pieces)


def _range(events: Iterable[object]) -> Iterator[VersionRange]:
    """Make the pieces of a range out of its events, in whatever order they stand."""
    begun: str | None = None
    for version, kind in sorted(_events(events), key=_order):
        if kind == "introduced":
            begun = version if begun is None else begun
        elif begun is not None:
            if kind == "fixed":
                yield VersionRange(begun, fixed=version)
            else:
                yield VersionRange(begun, last_affected=version)
            begun = None
    if begun is not None:
        yield VersionRange(begun)


def _events(events: Iterable[object]) -> Iterator[tuple[str, str]]:
    for event in events:
        if not isinstance(event, dict):
            continue
        for kind in ("introduced", "fixed", "last_affected"):
            version = event.get(kind)
            if not isinstance(version, str):
                continue
            if version == "0":
                yield "", kind
            elif _parsed(version) is not None:
                yield version, kind
            elif kind == "introduced":
                # Fails closed: nobody can tell where it begins.
                yield "", kind


def _order(event: tuple[str, str]) -> tuple[bool, Version | None, int]:
    version, kind = event
    # At one version, what ends comes before what begins anew, but for the last that is
    # affected.
    rank = {"fixed": 0, "introduced": 1, "last_affected": 2}[kind]
    return (version != "", _parsed(version) or _FIRST, rank)


_FIRST = Version("0.dev0")

#: Nothing is published later; seconds since the epoch.
_LATEST = datetime(9000, 1, 1, tzinfo=UTC).timestamp()


@lru_cache(4096)
def _parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except ValueError:  # InvalidVersion, or a number of more digits than int takes
        return None


def _fixed(ranges: Iterable[VersionRange]) -> tuple[str, ...]:
    found = {one.fixed for one in ranges if one.fixed}
    return tuple(sorted(found, key=lambda version: _parsed(version) or _FIRST))


def _severity(
    record: Mapping[str, Any], parts: Iterable[Mapping[str, Any]]
) -> Severity:
    """Return the worst that anybody says of it."""
    told = [Severity.UNKNOWN]
    for holder in (record, *parts):
        told += map(_scored, _list(holder, "severity"))
        for key in ("database_specific", "ecosystem_specific"):
            word = _dict(holder, key).get("severity")
            if isinstance(word, str):
                told.append(_WORDS.get(word.upper(), Severity.UNKNOWN))
    return max(told)


def _scored(told: object) -> Severity:
    if not isinstance(told, dict):
        return Severity.UNKNOWN
    score = told.get("score")
    if not isinstance(score, str) or len(score) > 200:
        return Severity.UNKNOWN
    return _of_vector(str(told.get("type")), score)


@lru_cache(4096)
def _of_vector(kind: str, vector: str) -> Severity:
    """Rate a CVSS vector by its own scale (CVSS 3.1, section 5; 4.0, section 6)."""
    try:
        score = float(_SCORES[kind](vector).scores()[0])
    except (KeyError, CVSSError, ValueError, TypeError, IndexError, AttributeError):
        return Severity.UNKNOWN
    if score >= 9:
        return Severity.CRITICAL
    if score >= 7:
        return Severity.HIGH
    if score >= 4:
        return Severity.MEDIUM
    return Severity.LOW if score > 0 else Severity.UNKNOWN


def _digests(
    record: Mapping[str, Any], parts: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    """Find the digests of malicious files."""
    for holder in (record, *parts):
        told = _dict(holder, "database_specific")
        for key in _EVIDENCE & told.keys():
            yield from _sha256s(told[key], 0)


def _sha256s(value: object, depth: int) -> Iterator[str]:
    if depth > 5:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "sha256" and isinstance(inner, str):
                if _SHA256.fullmatch(inner):
                    yield inner.lower()
            elif key != _INSIDE:
                yield from _sha256s(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _sha256s(inner, depth + 1)


def _line(value: object) -> str:
    """Return a text in one line, without what steers a terminal."""
    if not isinstance(value, str):
        return ""
    text = " ".join(value[: 4 * _LONGEST_SUMMARY].split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text[:_LONGEST_SUMMARY]


def _moment(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        told = datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None
    # It is written as a time again, in another zone than theirs.
    return told if 0 <= told < _LATEST else None


def _list(holder: object, key: str) -> list[Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, list) else []


def _dict(holder: object, key: str) -> dict[str, Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, dict) else {}
