"""The manifest of a large project: an object that is swapped, and parts that it names.

A part has some of the files, or of the tombstones, and never changes. A change writes
anew those whose entries changed, then the root, which has all else and the most recent
entries. So its cost does not grow with the project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import compress, count
from operator import is_not
from typing import Any, Generic, TypeVar

from attrs import evolve, field, frozen
from packaging.utils import is_normalized_name

from pypicloud_tw.index.manifest import (
    check_format,
    decode_file,
    decode_project,
    decode_tombstone,
    document_of,
    encode_file,
    encode_tombstone,
    manifest_key,
    read_document,
    trusting_nothing,
)
from pypicloud_tw.index.model import FORMAT, Document, File, Project, Tombstone
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.json_documents import compact

PARTS = ".parts/"

#: Files and tombstones of the largest project that is one object: 0.2 MB, which take
#: 4 ms to write. One that was larger is one object again at half of that.
WHOLE_AT_MOST = 256
#: Entries of a part, and those that a part must keep to be one.
LARGEST, SMALLEST = 128, 32
#: Entries that the root has at most.
MOST_LOOSE = 63

_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(rf"{re.escape(PARTS)}([^/]+)/({_ID.pattern})\.json")

Entry = TypeVar("Entry", File, Tombstone)
#: Gives 32 random hexadecimal digits.
Draw = Callable[[], str]


@frozen(eq=False)
class Part(Generic[Entry]):
    """Some of a project's files, or of its tombstones.

    :ivar id: 32 random hexadecimal digits.
    :ivar these: the entries by Python's ``id``.
    """

    id: str
    entries: tuple[Entry, ...]
    these: frozenset[int] = field(init=False, repr=False)

    @these.default
    def _by_identity(self) -> frozenset[int]:
        return frozenset(map(id, self.entries))


@frozen(eq=False)
class Placed(Generic[Entry]):
    """Where a project's files lie, or its tombstones.

    :ivar entries: all of them, as the project has them.
    :ivar loose: those that the root has.
    """

    entries: tuple[Entry, ...] = ()
    parts: tuple[Part[Entry], ...] = ()
    loose: tuple[Entry, ...] = ()


@frozen(eq=False)
class Placement:
    """Where the entries of a large project lie."""

    files: Placed[File] = Placed()
    tombstones: Placed[Tombstone] = Placed()

    @property
    def ids(self) -> set[str]:
        """Of all its parts."""
        return {*_ids_of(self.files.parts), *_ids_of(self.tombstones.parts)}


@frozen
class Root:
    """What the object that is swapped says.

    :ivar project: without the entries of its parts.
    :ivar large: it has parts, or may.
    :ivar files: the ids of the parts that have files.
    :ivar tombstones: the same of tombstones.
    """

    project: Project
    large: bool = False
    files: tuple[str, ...] = ()
    tombstones: tuple[str, ...] = ()


def part_key(name: NormalizedName, identity: str) -> str:
    """Where a part lies."""
    return f"{PARTS}{name}/{identity}.json"


def part_of(key: str) -> tuple[NormalizedName, str] | None:
    """Return whose part is under a key, and its id; None if it is none."""
    found = _KEY.fullmatch(key)
    if found is None or not is_normalized_name(found[1]):
        return None
    return NormalizedName(found[1]), found[2]


def place(project: Project, before: Placement | None, draw: Draw) -> Placement | None:
    """Choose where a project's entries shall lie; None: all in one object.

    :param before: where they lie now. What it has not is new.
    """
    bound = WHOLE_AT_MOST if before is None else WHOLE_AT_MOST // 2
    if len(project.files) + len(project.tombstones) <= bound:
        return None
    before = before or Placement()
    return Placement(
        _placed(project.files, before.files, draw),
        _placed(project.tombstones, before.tombstones, draw),
    )


def _placed(
    entries: tuple[Entry, ...], before: Placed[Entry], draw: Draw
) -> Placed[Entry]:
    """Leave in its part what did not change, and put what is new into the root."""
    if entries is before.entries:
        return before
    fresh, gone = _difference(entries, before.entries)
    become = {entry.filename: entry for entry in fresh}
    parts = [part for part in before.parts if part.these.isdisjoint(gone)]
    loose = [entry for entry in before.loose if id(entry) not in gone]
    placed: set[int] = set()
    for part in before.parts:
        if not part.these.isdisjoint(gone):
            members = _members(part, gone, become)
            placed.update(map(id, members))
            if len(members) >= SMALLEST:
                parts.append(Part(draw(), members))
            else:
                loose += members
    loose += [entry for entry in fresh if id(entry) not in placed]
    if len(loose) + sum(len(part.entries) for part in parts) != len(entries):
        # Something is among them twice.
        return _placed(entries, Placed(), draw)
    if len(loose) > MOST_LOOSE:
        return Placed(entries, tuple(_with_room(parts, tuple(loose), draw)))
    return Placed(entries, tuple(parts), tuple(loose))


def _difference(
    entries: tuple[Entry, ...], before: tuple[Entry, ...]
) -> tuple[list[Entry], set[int]]:
    """Tell what is new, and the ids of what is not there any more.

    What did not change is the same object; most of it stands before and behind all that
    did, and to pass it by costs 0.1 ms for 5,000 entries.
    """
    most = min(len(entries), len(before))
    start = _first(map(is_not, entries, before), most)
    end = _first(map(is_not, reversed(entries), reversed(before)), most - start)
    now, then = entries[start : len(entries) - end], before[start : len(before) - end]
    had = set(map(id, then))
    fresh = [entry for entry in now if id(entry) not in had]
    return fresh, had.difference(map(id, now))


def _first(differs: Iterable[bool], most: int) -> int:
    """Count what does not differ from the other."""
    return min(next(compress(count(), differs), most), most)


def _members(
    part: Part[Entry], gone: set[int], become: dict[str, Entry]
) -> tuple[Entry, ...]:
    """Take what is left of a part's entries, and what others have become."""
    found = (become.pop(e.filename, None) if id(e) in gone else e for e in part.entries)
    return tuple(entry for entry in found if entry is not None)


def _with_room(
    parts: list[Part[Entry]], loose: tuple[Entry, ...], draw: Draw
) -> Iterator[Part[Entry]]:
    """Put what is too much for the root into parts; one that has room takes some."""
    if parts and len(parts[-1].entries) + len(loose) <= LARGEST:
        yield from parts[:-1]
        yield Part(draw(), parts[-1].entries + loose)
        return
    yield from parts
    for at in range(0, len(loose), LARGEST):
        yield Part(draw(), loose[at : at + LARGEST])


def encode_root(project: Project, placement: Placement) -> bytes:
    """Write the object that is swapped.

    Its ``files`` and ``_tombstones`` are no lists: a version that does not know parts
    takes it for damaged, and not for a project of few files.

    :raises Unavailable: it was read in a format newer than this version knows.
    """
    check_format(project)
    files, tombstones = placement.files, placement.tombstones
    document = document_of(
        evolve(project, files=files.loose, tombstones=tombstones.loose)
    )
    document["_format"] = FORMAT
    document["files"] = _in_parts(document["files"], files.parts)
    document["_tombstones"] = _in_parts(document["_tombstones"], tombstones.parts)
    del document["versions"]  # they would be those of some files
    return compact(document)


def _in_parts(recent: list[Document], parts: Iterable[Part[Entry]]) -> Document:
    return {"parts": _ids_of(parts), "recent": recent}


def _ids_of(parts: Iterable[Part[Entry]]) -> list[str]:
    return [part.id for part in parts]


def decode_root(name: NormalizedName, data: bytes) -> Root:
    """Read the object that is swapped, of a large project or a small one.

    :raises ManifestDamaged: the message says where.
    """
    with trusting_nothing(name, manifest_key(name)):
        document = read_document(name, data)
        if not isinstance(document.get("files"), dict):
            return Root(decode_project(name, document))
        files, tombstones = document["files"], document["_tombstones"]
        # The project has the keys that this version does not know.
        project = decode_project(
            name,
            {
                **document,
                "files": files["recent"],
                "_tombstones": tombstones["recent"],
            },
        )
        return Root(project, True, _ids(files["parts"]), _ids(tombstones["parts"]))


def _ids(items: Any) -> tuple[str, ...]:
    if len(set(items)) < len(items) or not all(map(_ID.fullmatch, items)):
        raise ValueError("the value of 'parts' is not what it should be")
    return tuple(items)


def encode_files(name: NormalizedName, part: Part[File]) -> bytes:
    """Write a part that has files."""
    return _encode(name, part, encode_file)


def encode_tombstones(name: NormalizedName, part: Part[Tombstone]) -> bytes:
    """Write a part that has tombstones."""
    return _encode(name, part, encode_tombstone)


def _encode(
    name: NormalizedName, part: Part[Entry], encode: Callable[[Entry], Document]
) -> bytes:
    entries = [encode(entry) for entry in part.entries]
    return compact({"_format": FORMAT, "name": name, "id": part.id, "entries": entries})


def decode_files(name: NormalizedName, identity: str, data: bytes) -> Part[File]:
    """Read a part that has files, trusting nothing in it.

    :raises ManifestDamaged: the message says where.
    """
    return _decode(name, identity, data, decode_file)


def decode_tombstones(
    name: NormalizedName, identity: str, data: bytes
) -> Part[Tombstone]:
    """Read a part that has tombstones, trusting nothing in it.

    :raises ManifestDamaged: the message says where.
    """
    return _decode(name, identity, data, decode_tombstone)


def _decode(
    name: NormalizedName,
    identity: str,
    data: bytes,
    decode: Callable[[Any], Entry],
) -> Part[Entry]:
    with trusting_nothing(name, part_key(name, identity)):
        document = read_document(name, data)
        if document["id"] != identity:
            raise ValueError("it is another part")
        return Part(identity, tuple(decode(item) for item in document["entries"]))
