"""A wheel's RECORD, and whether its members are those that it lists (PEP 427, 376)."""

from __future__ import annotations

import csv
import io
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from hashlib import new as new_digest
from typing import IO

from attrs import frozen

from pypicloud_tw.index.archive.bounds import MAX_RECORD_LINE, MAX_RECORD_LINES
from pypicloud_tw.index.archive.findings import Findings, quoted, refuse
from pypicloud_tw.index.archive.paths import canonical_path
from pypicloud_tw.index.archive.unzip import check_content, unpack
from pypicloud_tw.index.archive.zips import Member

#: Bytes of the digests that are strong enough (the specification: "sha256 or better").
_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64}

_HEXADECIMAL = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_SIZE = re.compile(r"[0-9]{0,20}", re.ASCII)

#: Files beside RECORD that it does not list: itself, which it may, and its signatures.
_UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")

_AGAIN = "Build the wheel again with a current build tool."


@frozen
class Line:
    """What RECORD says of one file.

    :ivar digest: of its bytes; None where there is none, or none that counts.
    """

    algorithm: str
    digest: bytes | None
    size: str


class _MalformedError(Exception):
    """RECORD cannot be read; a sentence says why."""


def judge_record(
    file: IO[bytes],
    members: list[Member],
    folder: str,
    record: bytes | None,
    findings: Findings,
) -> None:
    """Compare what RECORD lists with the members of a wheel, each of which is unpacked.

    :param folder: the ``.dist-info`` folder.
    :raises BadRequest: a member's data is damaged.
    """
    listed = _listed(members, record, findings)
    free = {f"{folder}/{name}" for name in _UNLISTED}
    faults: dict[str, list[str]] = {}
    for member in members:
        fault = None
        if member.is_folder or member.path in free or listed is None:
            check_content(file, member)
        else:
            fault = _fault(file, member, listed.get(member.path))
        if fault is not None:
            faults.setdefault(fault, []).append(member.name)
    for fault, names in faults.items():
        findings.fall_short(f"The wheel's RECORD {fault} {_some(names)}. {_AGAIN}")


def _fault(file: IO[bytes], member: Member, line: Line | None) -> str | None:
    """Unpack a member, and tell what RECORD does wrong about it."""
    if line is None or line.digest is None:
        check_content(file, member)
        return (
            "does not list"
            if line is None
            else "has no digest of sha256, sha384 or sha512 for"
        )
    digest = new_digest(line.algorithm)
    for piece in unpack(file, member):
        digest.update(piece)
    if digest.digest() != line.digest:
        return "has a digest that is not the one of the bytes of"
    if line.size and int(line.size) != member.size:
        return "has another size than that of"
    return None


def _some(names: list[str]) -> str:
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return f"{quoted(names[0])}{more}"


def _listed(
    members: list[Member], record: bytes | None, findings: Findings
) -> dict[str, Line] | None:
    """Read the lines about files that are there; the others are warned of.

    :returns: None if there is nothing to compare with.
    """
    if record is None:
        findings.fall_short(
            f"The wheel has no .dist-info/RECORD; no installer installs it. {_AGAIN}"
        )
        return None
    there = {member.path for member in members if not member.is_folder}
    found: dict[str, Line] = {}
    absent: list[str] = []
    try:
        for name, line in _lines(record):
            path = canonical_path(name) if name else ""
            if path not in there:
                absent.append(name)
            elif found.setdefault(path, line) != line:
                findings.fall_short(
                    f"The wheel's RECORD lists {quoted(name)} twice, and differently. "
                    f"{_AGAIN}"
                )
    except _MalformedError as e:
        findings.fall_short(f"The wheel's RECORD {e}. {_AGAIN}")
        return None
    if absent:
        findings.warn(
            f"The wheel's RECORD lists what is not in the wheel: {_some(absent)}."
        )
    return found


def _lines(record: bytes) -> Iterator[tuple[str, Line]]:
    """Read the lines about files, each with the path as it is spelled.

    :raises _MalformedError: it is no RECORD.
    """
    for number, raw in enumerate(io.BytesIO(record)):
        if number == MAX_RECORD_LINES:
            refuse(f"The wheel's RECORD has more than {MAX_RECORD_LINES} lines.")
        columns = _columns(raw, number + 1)
        if not columns[0].endswith(("/", "\\")):
            yield columns[0], _line(columns)


def _columns(raw: bytes, number: int) -> list[str]:
    if len(raw) > MAX_RECORD_LINE:
        raise _MalformedError(f"has more than {MAX_RECORD_LINE} bytes in line {number}")
    try:
        text = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
        # Line by line: no name of a file has a line's end in it, and what stands in
        # quotation marks could be as long as the file.
        columns = (
            next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
        )
    except (UnicodeDecodeError, csv.Error):
        raise _MalformedError(f"is not CSV in UTF-8 (see line {number})") from None
    if not text or text.endswith("\r"):
        raise _MalformedError(f"has an empty line, number {number}, on which pip fails")
    if len(columns) < 3:
        raise _MalformedError(f"has fewer than 3 columns in line {number}")
    if not _SIZE.fullmatch(columns[2]):
        raise _MalformedError(f"has a size that is no number in line {number}")
    return columns


def _line(columns: list[str]) -> Line:
    algorithm, _, text = columns[1].partition("=")
    algorithm = algorithm.lower()
    digest = _digest(text.strip(), _SIZES.get(algorithm, 0))
    return Line(algorithm, digest, columns[2])


def _digest(text: str, size: int) -> bytes | None:
    """Read a digest of *size* bytes: in base64 of either alphabet, or hexadecimal.

    The specification wants base64url without padding; build tools that are in use
    write the others, and installers compare none of them.
    """
    if not size:
        return None
    if len(text) == 2 * size and _HEXADECIMAL.fullmatch(text):
        return bytes.fromhex(text)
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        digest = b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (Base64Error, ValueError):
        return b""
    return digest or None
