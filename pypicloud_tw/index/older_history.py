"""A project's older acts: objects beside its manifest, each of which names the next.

A manifest has the most recent acts. When there are too many, the oldest go into a
segment: an object that never changes, is written before the swap that drops them from
the manifest, and names the segment before it. Segments are numbered, so that a listing
tells most of those that no manifest names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from attrs import evolve, frozen
from packaging.utils import is_normalized_name

from pypicloud_tw.errors import HistoryDamaged
from pypicloud_tw.index.manifest import decode_entry, encode_entry
from pypicloud_tw.index.model import HistoryEntry, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.json_documents import DAMAGED, compact

HISTORY = ".history/"
FORMAT = 1

#: Acts that a manifest has at most, and how many of them stay when the others go. An
#: act takes about 300 bytes.
MOST, KEPT = 100, 32
#: The same in bytes; the newest act stays in any case, so that it can be undone.
MOST_BYTES, KEPT_BYTES = 64 * 1024, 16 * 1024
#: Acts that one segment has at most.
LONGEST = 256

_ID = re.compile(r"([0-9]{8,12})-[0-9a-f]{32}")
_KEY = re.compile(rf"{re.escape(HISTORY)}([^/]+)/({_ID.pattern})\.json")


@frozen
class Segment:
    """Some of a project's older acts.

    :ivar id: its number among the project's, and 32 random digits.
    :ivar entries: oldest first.
    :ivar older: the id of the one before it; None: it is the first.
    """

    id: str
    entries: tuple[HistoryEntry, ...]
    older: str | None


def segment_key(name: NormalizedName, identity: str) -> str:
    """Where a segment lies."""
    return f"{HISTORY}{name}/{identity}.json"


def segment_of(key: str) -> tuple[NormalizedName, str] | None:
    """Return whose segment is under a key, and its id; None if it is none."""
    found = _KEY.fullmatch(key)
    if found is None or not is_normalized_name(found[1]):
        return None
    return NormalizedName(found[1]), found[2]


def number_of(identity: str | None) -> int:
    """Return a segment's number; they begin with 1."""
    found = _ID.fullmatch(identity or "")
    return 0 if found is None else int(found[1])


def move_older(
    project: Project, draw: Callable[[], str]
) -> tuple[Project, tuple[Segment, ...]]:
    """Move a project's oldest acts into segments, if it has too many.

    :param draw: gives 32 random hexadecimal digits.
    :return: the project as its manifest shall say it, and the segments that must be
        written before, oldest first.
    """
    kept = _kept(project.history)
    moved = project.history[: len(project.history) - kept]
    segments = []
    older = project.older_history
    for at in range(0, len(moved), LONGEST):
        identity = f"{number_of(older) + 1:08}-{draw()}"
        segments.append(Segment(identity, moved[at : at + LONGEST], older))
        older = identity
    if not segments:
        return project, ()
    history = project.history[len(moved) :]
    return evolve(project, history=history, older_history=older), tuple(segments)


def _kept(history: tuple[HistoryEntry, ...]) -> int:
    """Tell how many of the newest acts a manifest keeps."""
    sizes = [entry.weight for entry in history]
    if len(sizes) <= MOST and sum(sizes) <= MOST_BYTES:
        return len(sizes)
    kept = room = 0
    for size in reversed(sizes[-KEPT:]):
        room += size
        if kept and room > KEPT_BYTES:
            break
        kept += 1
    return kept


def encode_segment(name: NormalizedName, segment: Segment) -> bytes:
    """Write a segment."""
    return compact(
        {
            "_format": FORMAT,
            "name": name,
            "id": segment.id,
            "older": segment.older,
            "history": [encode_entry(entry) for entry in segment.entries],
        }
    )


def decode_segment(name: NormalizedName, identity: str, data: bytes) -> Segment:
    """Read a segment, trusting nothing in it.

    :raises HistoryDamaged: the message says where.
    """
    try:
        document = json.loads(data)
        older = document["older"]
        if (document["name"], document["id"]) != (name, identity):
            raise ValueError("it is another's")
        # Each is older than what names it, so that no chain is without an end.
        if older is not None and not 0 < number_of(older) < number_of(identity):
            raise ValueError("it names none that is older")
        entries = tuple(decode_entry(item) for item in document["history"])
    except DAMAGED as e:
        raise damaged(name, identity, f"is damaged ({type(e).__name__})") from None
    return Segment(identity, entries, older)


def damaged(name: NormalizedName, identity: str, what: str) -> HistoryDamaged:
    """Make the error that ends a history before its beginning."""
    key = segment_key(name, identity)
    return HistoryDamaged(
        f"The older history of {name} ends here: {key} {what}; restore it from a "
        "backup. Nothing else of the project is affected."
    )


def ambiguous(newest: str | None, ids: Iterable[str]) -> Iterator[int]:
    """Tell the numbers, highest first, of which more than one segment is there.

    One of each is a project's; a swap that was lost has left the others. There is no
    other way to tell which but to read the segments that name them.
    """
    known = {newest, *ids} - {None}
    numbers = sorted(map(number_of, known), reverse=True)
    return (n for n, same in groupby(numbers) if len(list(same)) > 1)
