"""Which keys are ours (DESIGN.md D1)."""

from __future__ import annotations

import re

#: PEP 658: what a file's core metadata is called, beside it.
METADATA_SUFFIX = ".metadata"

#: {project}/{id}/{filename}: what a publish makes, and its metadata.
_OWN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*/[0-9a-f]{32}/[^/]+")


def is_own(key: str) -> bool:
    """Tell whether a publish made this object: it is named, or it is an orphan."""
    return _OWN.fullmatch(key) is not None


def is_foreign(key: str) -> bool:
    """Tell whether this can be a file that somebody else put into the store."""
    parts = key.split("/")
    # What begins with a dot is ours (.index/, .marker, .cache/) or hidden on purpose;
    # what ends in a slash is a folder that a console has drawn.
    if any(part.startswith(".") for part in parts) or not parts[-1]:
        return False
    return not key.endswith(METADATA_SUFFIX) and not is_own(key)
