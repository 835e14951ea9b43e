"""What a key may be, and the order of keys."""

from __future__ import annotations

from pypicloud_tw.errors import ObjectUnfit

#: Deeper folders are neither written nor listed: a walk holds one descriptor a level.
#: Our own keys have 3 levels, and pypicloud 1.x's 3: a factor of 21.
MAX_DEPTH = 64

#: First segments that are the store's own business, or the file system's.
HIDDEN = frozenset({b".tmp", b".locks", b"lost+found"})

#: First segments of what only the server may read, where a store can see to that: the
#: hashes of passwords and tokens, and who did what.
PRIVATE = frozenset({b".access", b".audit"})


def key_segments(key: str) -> tuple[bytes, ...]:
    """Split a key into the names of its folders and its file, as UTF-8 bytes.

    :raises ObjectUnfit: it could lead elsewhere, or is not text that can be stored.
    """
    try:
        encoded = key.encode("utf-8")
    except UnicodeEncodeError:
        raise _refusal("it is not valid Unicode") from None
    segments = tuple(encoded.split(b"/"))
    if b"" in segments:
        raise _refusal("a name in it is empty")
    if b"." in segments or b".." in segments or b"\0" in encoded:
        raise _refusal("it would lead elsewhere")
    if segments[0] in HIDDEN:
        raise _refusal("the store keeps its own files there")
    if len(segments) > MAX_DEPTH:
        raise _refusal(f"it is more than {MAX_DEPTH} folders deep")
    return segments


def key_order(key: str) -> bytes:
    """Return the sort key: listings come in the order of the key's UTF-8 bytes."""
    # Any string may be asked for as a prefix or a starting point.
    return key.encode("utf-8", "surrogatepass")


def _refusal(reason: str) -> ObjectUnfit:
    return ObjectUnfit(f"No object can have this key: {reason}.")
