"""Source distributions."""

from __future__ import annotations

from typing import IO

from pypicloud_tw.index.archive.findings import Findings
from pypicloud_tw.index.archive.paths import has_one_top_folder, is_pkg_info
from pypicloud_tw.index.archive.tar import tar_metadata
from pypicloud_tw.index.archive.zips import read_whole, zipped_metadata
from pypicloud_tw.index.names import Filename


def judge_sdist(
    file: IO[bytes], filename: Filename, size: int, findings: Findings
) -> bytes | None:
    """Check a source distribution, and read its core metadata if it has any.

    :raises BadRequest: it is unsafe, or no archive of the kind that its name says.
    """
    text = filename.text
    if text.endswith(".zip"):
        return _zip_metadata(file, size, findings)
    if text.endswith(".tar.Z"):
        return None  # compress(1): nothing in the standard library reads it
    found = tar_metadata(file, text, size, findings)
    if found is None and not findings.shortfalls and text.endswith(".tar.gz"):
        findings.fall_short(
            "A source distribution has a PKG-INFO in its top folder (PEP 643); build "
            "it again."
        )
    return found


def _zip_metadata(file: IO[bytes], size: int, findings: Findings) -> bytes | None:
    members = read_whole(file, size)
    paths = ((member.path, member.is_folder) for member in members)
    if not has_one_top_folder(paths, findings):
        return None  # hexdump 3.3, which pip installs
    return zipped_metadata(file, members, is_pkg_info)
