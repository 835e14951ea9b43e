"""A part of a long listing of a folder, in a helper process."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from datetime import datetime

from attrs import field, frozen

from pypicloud_tw.offload.limits import LISTINGS, limited
from pypicloud_tw.store.folder.explain import explained
from pypicloud_tw.store.folder.tree import Folder, Identified
from pypicloud_tw.store.folder.walker import Walker
from pypicloud_tw.store.interfaces import ObjectInfo, Unlisted

#: Seconds and objects of a part: 10 MB on their way. To go on costs reading the names
#: of the folders again that it is in, 0.1 s for 100,000 of them, and more where the
#: machine is busy.
LONGEST, MOST = 30.0, 100_000

#: Objects that are unpacked at once: 2 ms.
_PACKED = 500

_Row = tuple[str, int, str, datetime]


@frozen
class Scanned:
    """A part of a listing.

    :ivar packed: its objects, for :func:`unpacked`.
    :ivar unlisted: what else lies there, as far as was asked for.
    :ivar reached: after what the rest comes; None: there is none.
    """

    packed: list[bytes] = field(repr=False)
    unlisted: list[Unlisted]
    reached: bytes | None


@limited(LISTINGS)
def scan(
    place: Identified,
    segments: tuple[bytes, ...],
    prefix: bytes,
    after: bytes,
    tells: bool,
    skip: Callable[[str], bool],
) -> Scanned:
    """List objects for a while.

    :param segments: the folder in which to begin.
    :param tells: what is no object is told.
    :raises StoreError: a folder cannot be read.
    """
    folder = Folder.again(place)
    unlisted: list[Unlisted] = []
    tell = unlisted.append if tells else None
    walker = Walker(folder, prefix, after, tell, skip)
    rows: list[_Row] = []
    until = time.monotonic() + LONGEST
    with explained(folder.path):
        for info in walker.below(segments):
            if info is not None:
                rows.append((info.key, info.size, info.etag, info.modified))
            over = len(rows) >= MOST or time.monotonic() > until
            if over and walker.reached != after:
                return Scanned(_packed(rows), unlisted, walker.reached)
    return Scanned(_packed(rows), unlisted, None)


def _packed(rows: list[_Row]) -> list[bytes]:
    pieces = (rows[at : at + _PACKED] for at in range(0, len(rows), _PACKED))
    return [pickle.dumps(piece, pickle.HIGHEST_PROTOCOL) for piece in pieces]


def unpacked(packed: bytes) -> list[ObjectInfo]:
    """Make the objects' values again."""
    rows: list[_Row] = pickle.loads(packed)  # noqa: S301  made by our own helper
    return [ObjectInfo(*row) for row in rows]
