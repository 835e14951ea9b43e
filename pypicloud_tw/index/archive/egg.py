"""Eggs, which keep their metadata in EGG-INFO; installers are given none of it."""

from __future__ import annotations

from typing import IO

from pypicloud_tw.index.archive.zips import read_whole, zipped_metadata


def egg_metadata(file: IO[bytes], size: int) -> bytes | None:
    """Check an egg, and read its core metadata if it has any.

    :raises BadRequest: it is unsafe, or no zip.
    """
    members = read_whole(file, size)
    return zipped_metadata(file, members, lambda name: name == "EGG-INFO/PKG-INFO")
