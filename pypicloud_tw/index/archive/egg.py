"""Eggs, which keep their metadata in EGG-INFO; installers are given none of it."""

from __future__ import annotations

from typing import IO

from pypicloud_tw.index.archive.volume import bounded
from pypicloud_tw.index.archive.zips import checked_members, open_zip


def egg_metadata(file: IO[bytes], size: int) -> bytes | None:
    """Check an egg, and read its core metadata if it has any.

    :raises BadRequest: it is unsafe, or no zip.
    """
    with open_zip(file) as archive:
        for member in checked_members(archive, size):
            if member.filename == "EGG-INFO/PKG-INFO":
                with archive.open(member) as metadata:
                    return bounded(metadata)
    return None
