"""The entries of all projects in the store: a fixed number of objects.

``.derived/search/NN`` has the entries of the projects whose names have that checksum: a
line of JSON about it, then the rest, deflated: of each project its name, a blank, and
its entry as JSON, a line each, by name. A writer merges what it knows with what others
wrote, by compare-and-swap.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from sys import intern
from typing import Any, Literal, TypeAlias, cast, get_args

from attrs import field, frozen

from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.errors import ObjectNotFound, StoreError
from pypicloud_tw.index.model import ProjectStatus
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.derived.values import DerivedEntry, DescribedProject
from pypicloud_tw.store.interfaces import (
    Condition,
    IfAbsent,
    IfMatch,
    IObjectStore,
)

FOLDER = ".derived/search/"
FORMAT = 1

#: Objects. Of 100,000 projects each has 1,560, in 120 kB.
SHARDS = 64

#: Bytes that are unpacked at once.
_PIECE = 16 * 1024

#: Bytes of one, and unpacked: 100,000 projects need 0.6 MB (factors of 260 and 210).
_MAX_SHARD, _MAX_UNPACKED = 32 * 2**20, 128 * 2**20

#: Entries that are read and written in a piece: 2 ms.
_BATCH = 100

_STATUSES = frozenset(get_args(ProjectStatus))

#: Entries by name, as they are written.
Written: TypeAlias = Mapping[str, bytes]

#: ``newer``: a later version of this program wrote it, and it is left as it is.
State: TypeAlias = Literal["sound", "absent", "damaged", "newer"]


@frozen
class Shard:
    """An object as it lies in the store.

    :ivar packed: what is behind its first line. All of them unpacked are too much.
    :ivar etag: None: there is none.
    """

    number: int
    state: State
    packed: bytes = field(default=b"", repr=False)
    etag: str | None = None

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Give the entries as they are written, with their names, by name."""
        for line in _unpacked(self.packed):
            name, _, entry = line.partition(b" ")
            yield name.decode("ascii", "replace"), entry

    def entries(self, names: Container[str]) -> Iterator[DescribedProject]:
        """Give those of some projects; those that can be read."""
        for name, line in self.lines():
            if name in names:
                described = decode_entry(name, line)
                if described is not None:
                    yield described


def shard_of(name: str) -> int:
    """Return the number of the shard that a project's entry is in."""
    return zlib.crc32(name.encode()) % SHARDS


def shard_key(number: int) -> str:
    """Return a shard's key."""
    return f"{FOLDER}{number:02}"


def encode_entry(described: DescribedProject) -> bytes:
    """Write an entry, without the name."""
    entry = described.entry
    uploaded = None if entry.uploaded is None else entry.uploaded.astimezone(UTC)
    document = {
        "display_name": entry.display_name,
        "version": entry.version,
        "summary": entry.summary,
        "keywords": described.keywords,
        "uploaded": uploaded and uploaded.isoformat().replace("+00:00", "Z"),
        "uploader": entry.uploader,
        "releases": entry.releases,
        "requires": described.requires,
        "status": entry.status,
        "etag": described.etag,
        "serial": described.serial,
    }
    return compact(document)


def decode_entry(name: str, line: bytes) -> DescribedProject | None:
    """Read an entry; None: it is not as it was written."""
    try:
        document = json.loads(line)
        status = document["status"]
        if status not in _STATUSES:
            return None
        display_name = _text(document["display_name"])
        if display_name == name:
            display_name = name  # the same object: there are many
        uploaded = document["uploaded"]
        entry = DerivedEntry(
            NormalizedName(name),
            display_name,
            cast(ProjectStatus, intern(status)),
            _often(document["version"]),
            _some(document["summary"]),
            None if uploaded is None else _moment(uploaded),
            _often(document["uploader"]),
            int(document["releases"]),
        )
        return DescribedProject(
            entry,
            _text(document["etag"]),
            int(document["serial"]),
            _text(document["keywords"]),
            tuple(map(_text, document["requires"])),
        )
    except DAMAGED:
        return None


def merging(shard: Shard, fresh: Iterable[DescribedProject]) -> Steps[dict[str, bytes]]:
    """Add entries to a shard's; one of a later change that another wrote stays."""
    result = dict(shard.lines())
    for some in batches(fresh, _BATCH):
        for described in some:
            entry = described.entry
            line = result.get(entry.name)
            there = None if line is None else decode_entry(entry.name, line)
            if there is None or there.serial <= described.serial:
                result[entry.name] = encode_entry(described)
        yield
    return result


@frozen
class Shards:
    """Reads and writes them."""

    store: IObjectStore
    offload: IOffload

    async def numbers(self) -> list[int]:
        """List those that are there.

        :raises StoreError: the store is away.
        """
        keys = {shard_key(number): number for number in range(SHARDS)}
        found = [info.key async for info in self.store.list(FOLDER)]
        return [keys[key] for key in found if key in keys]

    async def read(self, number: int) -> Shard:
        """Read one.

        :raises StoreError: the store is away.
        """
        try:
            stored = await self.store.get(shard_key(number), limit=_MAX_SHARD)
        except ObjectNotFound:
            return Shard(number, "absent")
        except StoreError:
            # One object that cannot be read is no outage.
            await self.store.ping()
            return Shard(number, "damaged")
        assert stored is not None, "an unconditional read gives bytes"
        head, _, packed = stored.data.partition(b"\n")
        state = _state(head, packed)
        if state != "sound":
            packed = b""
        return Shard(number, state, packed, stored.info.etag)

    async def write(self, shard: Shard, written: Written) -> None:
        """Write one, if it still is as it was read.

        :raises PreconditionFailed: it is not.
        :raises StoreError: the store is away.
        """
        data = await self.offload.in_thread(_pack, written)
        condition: Condition = IfAbsent()
        if shard.etag is not None:
            condition = IfMatch(shard.etag)
        await self.store.put(shard_key(shard.number), data, condition=condition)


def _pack(written: Written) -> bytes:
    lines = [b"%b %b\n" % (name.encode(), written[name]) for name in sorted(written)]
    packed = zlib.compress(b"".join(lines), 6)
    about = {
        "_format": FORMAT,
        "projects": len(written),
        "checksum": zlib.crc32(packed),
    }
    return compact(about) + b"\n" + packed


def _state(head: bytes, packed: bytes) -> State:
    try:
        about = json.loads(head)
        if about["_format"] > FORMAT:
            return "newer"
        sound = about["checksum"] == zlib.crc32(packed)
        return "sound" if sound else "damaged"
    except DAMAGED:
        return "damaged"


def _unpacked(packed: bytes) -> Iterator[bytes]:
    """Unpack lines, some at a time; where it is damaged they end."""
    inflate, left, size = zlib.decompressobj(), b"", 0
    while not inflate.eof and size < _MAX_UNPACKED:
        try:
            piece = inflate.decompress(packed, _PIECE)
        except zlib.error:
            return
        packed = inflate.unconsumed_tail
        if not piece and not packed:
            return
        size += len(piece)
        *lines, left = (left + piece).split(b"\n")
        yield from lines


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is something else")
    return value


def _some(value: Any) -> str | None:
    return None if value is None else _text(value)


def _often(value: Any) -> str | None:
    """Return what many entries have, as one object for all of them."""
    return None if value is None else intern(_text(value))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment has no zone")
    return moment
