"""Wheels (PEP 427)."""

from __future__ import annotations

from typing import IO

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pypicloud_tw.index.archive.findings import Findings, refuse
from pypicloud_tw.index.archive.volume import bounded
from pypicloud_tw.index.archive.zips import check_ends, checked_members, open_zip
from pypicloud_tw.index.names import Filename


def judge_wheel(
    file: IO[bytes], filename: Filename, size: int, findings: Findings
) -> bytes:
    """Check a wheel, and read its core metadata.

    :raises BadRequest: it is unsafe, or not the wheel that its name says.
    """
    with open_zip(file) as archive:
        members = checked_members(archive, size)
        check_ends(archive, file, size)
        found = [
            member
            for member in members
            if member.filename.endswith(".dist-info/METADATA")
            and member.filename.count("/") == 1
        ]
        if len(found) != 1:
            refuse(
                f"A wheel has exactly one *.dist-info/METADATA; this one has "
                f"{len(found)}."
            )
        _check_dist_info(found[0].filename.partition("/")[0], filename)
        with archive.open(found[0]) as metadata:
            return bounded(metadata)


def _check_dist_info(folder: str, filename: Filename) -> None:
    name, _, version = folder.removesuffix(".dist-info").partition("-")
    try:
        matches = (
            canonicalize_name(name) == filename.project
            and Version(version) == filename.version
        )
    except InvalidVersion:
        matches = False
    if not matches:
        refuse("The wheel's .dist-info folder names another project or version.")
