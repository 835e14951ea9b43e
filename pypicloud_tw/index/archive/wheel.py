"""Wheels (PEP 427, now "Binary distribution format" among the specifications)."""

from __future__ import annotations

import re
from email.parser import HeaderParser
from typing import IO
from unicodedata import normalize

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pypicloud_tw.index.archive.bounds import (
    MAX_ENTRY_POINTS_BYTES,
    MAX_METADATA,
    MAX_RECORD,
    MAX_WHEEL,
    MAX_WHEEL_TAGS,
)
from pypicloud_tw.index.archive.entry_points import judge_entry_points
from pypicloud_tw.index.archive.findings import Findings, quoted, refuse
from pypicloud_tw.index.archive.paths import check_unique
from pypicloud_tw.index.archive.record import judge_record
from pypicloud_tw.index.archive.zips import Member, read_member, read_members
from pypicloud_tw.index.names import Filename

_SUFFIX = ".dist-info"

_WHEEL_VERSION = re.compile(r"[ \t]*([0-9]+)(?:\.[0-9]+)+[ \t]*", re.ASCII)

#: Folders in ``.data``: the places that installers know ("Binary distribution format").
_SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")
#: Those that are one folder nearly everywhere; which is filled first is up to each.
_LIBRARIES = _SCHEMES[:2]

#: Fields of WHEEL that an installer reads once, so that two of them are two wheels.
_ONCE = ("wheel-version", "root-is-purelib")


def judge_wheel(
    file: IO[bytes], filename: Filename, size: int, findings: Findings
) -> bytes:
    """Judge a wheel, and read its core metadata.

    :raises BadRequest: it is unsafe, installers would unpack it differently, or it is
        not the wheel that its name says.
    """
    members = read_members(file, size)
    _check_names(members)
    folder = _dist_info(members)
    _judge_folder(folder, filename, findings)
    _check_data(members, folder, findings)
    by_name = {
        member.name: member for member in members if member.name.startswith(folder)
    }

    def read(name: str, most: int) -> bytes | None:
        member = by_name.get(f"{folder}/{name}")
        return None if member is None else read_member(file, member, most)

    metadata = read("METADATA", MAX_METADATA)
    if metadata is None:
        refuse("A wheel has exactly one *.dist-info/METADATA; this one has 0.")
    _judge_encoding(metadata, findings)
    _judge_wheel_file(read("WHEEL", MAX_WHEEL), findings)
    judge_entry_points(read("entry_points.txt", MAX_ENTRY_POINTS_BYTES), findings)
    record = read("RECORD", MAX_RECORD)
    judge_record(file, members, folder, record, findings)
    return metadata


def _check_names(members: list[Member]) -> None:
    for member in members:
        if not member.is_utf8:
            refuse(
                f"The name of the member {quoted(member.name)} is not marked as UTF-8, "
                "so that installers would unpack different names. Build the wheel "
                "again with a current build tool."
            )
    check_unique(
        (
            (normalize("NFC", member.path.casefold()), member.is_folder)
            for member in members
        ),
        "The wheel holds two members of one name but for upper and lower case, which "
        "are one file on Windows and macOS",
    )


def _dist_info(members: list[Member]) -> str:
    """Find the one folder that tells what the wheel is."""
    tops = {member.path.partition("/")[0] for member in members}
    found = {top for top in tops if top.endswith(_SUFFIX)}
    if len(found) != 1:
        refuse(
            f"A wheel has exactly one *.dist-info; this one has {len(found)}. "
            "Build the wheel again with a current build tool."
        )
    return found.pop()


def _judge_folder(folder: str, filename: Filename, findings: Findings) -> None:
    parts = folder.removesuffix(_SUFFIX).split("-")
    for at in range(1, len(parts)):
        if canonicalize_name("-".join(parts[:at])) == filename.project:
            version = "-".join(parts[at:])
            break
    else:
        refuse(
            f"The wheel's {_SUFFIX} folder names another project than the filename, "
            f"which says {filename.project}: {quoted(folder)}. Build the wheel again."
        )
    if not _is_escaped(version, filename.version):
        findings.warn(
            f"The wheel's {_SUFFIX} folder names another version than the filename, "
            f"which says {filename.version}: {quoted(folder)}."
        )


def _check_data(members: list[Member], folder: str, findings: Findings) -> None:
    """Judge what lies in a ``.data`` folder, which installers move elsewhere.

    :raises BadRequest: pip would move something, and uv would not or over other files.
    """
    own = f"{folder.removesuffix(_SUFFIX)}.data"
    libraries: list[tuple[str, bool]] = []
    for member in members:
        top, slash, below = member.path.partition("/")
        if not (slash or member.is_folder) or not top.endswith(".data"):
            continue
        if top != own:
            refuse(
                f"The wheel has files in {quoted(top)}, which is not the name of its "
                f"{_SUFFIX} folder with .data at its end ({quoted(own)}): installers "
                "would unpack them to different places."
            )
        scheme, _, path = below.partition("/")
        if not _has_place(scheme, path, member.is_folder):
            findings.fall_short(
                f"The wheel has {quoted(member.name)}, and not every installer knows "
                f"where to put it: {quoted(own)} holds folders of the names "
                f"{', '.join(_SCHEMES)}, and that of scripts no folders. Build the "
                "wheel again."
            )
        elif scheme in _LIBRARIES and path:
            libraries.append((path, member.is_folder))
    check_unique(libraries, "The wheel has a file both in purelib and in platlib")


def _has_place(scheme: str, path: str, is_folder: bool) -> bool:
    """Tell whether all installers know where something in ``.data`` belongs."""
    if scheme == "scripts" and ("/" in path or (path and is_folder)):
        return False  # uv refuses it
    return not scheme or (scheme in _SCHEMES and bool(path or is_folder))


def _is_escaped(text: str, version: Version) -> bool:
    """Tell whether *text* is a version as PEP 427 has it escaped in a filename.

    There ``_`` stands for what is no letter, digit or dot: the ``!`` of an epoch, the
    ``+`` of a local version, or any separator that a version may have.
    """
    texts = {text, text.replace("_", "!", 1)}
    texts |= {
        f"{one[:at]}+{one[at + 1 :]}"
        for one in tuple(texts)
        for at, character in enumerate(one)
        if character == "_"
    }
    return any(_is_version(one, version) for one in texts)


def _is_version(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False


def _judge_encoding(metadata: bytes, findings: Findings) -> None:
    """Warn of what pip cannot read and uv can; of a source archive neither reads it."""
    try:
        metadata.decode("utf-8")
    except UnicodeDecodeError:
        findings.warn(
            "The wheel's METADATA is not UTF-8, so that pip cannot install it; correct "
            "the project's description or summary and build it again."
        )


def _judge_wheel_file(data: bytes | None, findings: Findings) -> None:
    """Judge the file WHEEL; its tags are not compared with the filename's."""
    again = "no installer installs it. Build the wheel again with a current build tool."
    if data is None:
        findings.fall_short(f"The wheel has no {_SUFFIX}/WHEEL; {again}")
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\ufeff"
    if text.startswith("\ufeff"):
        findings.fall_short(
            f"The wheel's {_SUFFIX}/WHEEL is not UTF-8 (without a byte order mark); "
            f"{again}"
        )
        return
    fields = HeaderParser().parsestr(text)
    if len(fields.get_all("Tag", [])) > MAX_WHEEL_TAGS:
        refuse(f"The wheel's {_SUFFIX}/WHEEL has more than {MAX_WHEEL_TAGS} tags.")
    known = _WHEEL_VERSION.fullmatch(fields.get(_ONCE[0], ""))
    if known is None or int(known[1]) != 1:
        findings.fall_short(
            f"The wheel's {_SUFFIX}/WHEEL has no Wheel-Version of 1, the one that "
            f"installers know; {again}"
        )
    if any(len(fields.get_all(name, [])) > 1 for name in _ONCE):
        findings.fall_short(
            f"The wheel's {_SUFFIX}/WHEEL has a field twice that it has once; {again}"
        )
