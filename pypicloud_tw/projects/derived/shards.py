"""The entries of all projects in the store: a fixed number of objects.

``.derived/search/NN`` has the entries of the projects whose names have that checksum: a
line of JSON about it, then the rest, deflated: of each project its name, a blank, and
its entry as JSON, a line each, by name. A writer merges what it knows with what others
wrote, by compare-and-swap.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from sys import intern
from typing import Any, Literal, TypeAlias, cast, get_args

from attrs import frozen

from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.index.model import ProjectStatus
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.derived.values import DerivedEntry, Described
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

    :ivar etag: None: there is none.
    """

    number: int
    state: State
    written: Written
    etag: str | None = None

    def entry(self, name: str) -> Described | None:
        """Return a project's entry; None: it has none that can be read."""
        line = self.written.get(name)
        return None if line is None else decode_entry(name, line)


def shard_of(name: str) -> int:
    """Return the number of the shard that a project's entry is in."""
    return zlib.crc32(name.encode()) % SHARDS


def shard_key(number: int) -> str:
    """Return a shard's key."""
    return f"{FOLDER}{number:02}"


def encode_entry(described: Described) -> bytes:
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
        "etag": entry.etag,
        "serial": entry.serial,
    }
    return compact(document)


def decode_entry(name: str, line: bytes) -> Described | None:
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
            _text(document["etag"]),
            int(document["serial"]),
            _often(document["version"]),
            _some(document["summary"]),
            None if uploaded is None else _moment(uploaded),
            _often(document["uploader"]),
            int(document["releases"]),
        )
        requires = tuple(map(_text, document["requires"]))
        return Described(entry, _text(document["keywords"]), requires)
    except DAMAGED:
        return None


def merging(written: Written, fresh: Iterable[Described]) -> Steps[dict[str, bytes]]:
    """Add entries; one of a later change that another wrote stays."""
    result = dict(written)
    for some in batches(fresh, _BATCH):
        for described in some:
            entry = described.entry
            line = result.get(entry.name)
            there = None if line is None else decode_entry(entry.name, line)
            if there is None or there.entry.serial <= entry.serial:
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
            return Shard(number, "absent", {})
        assert stored is not None, "an unconditional read gives bytes"
        state, written = await self.offload.in_thread(_unpack, stored.data)
        return Shard(number, state, written, stored.info.etag)

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


def _unpack(data: bytes) -> tuple[State, dict[str, bytes]]:
    head, _, packed = data.partition(b"\n")
    try:
        about = json.loads(head)
        if about["_format"] > FORMAT:
            return "newer", {}
        if about["checksum"] != zlib.crc32(packed):
            return "damaged", {}
        inflate = zlib.decompressobj()
        unpacked = inflate.decompress(packed, _MAX_UNPACKED)
        if not inflate.eof:
            return "damaged", {}
        lines = (line.partition(b" ") for line in unpacked.splitlines())
        return "sound", {name.decode(): entry for name, _, entry in lines}
    except (*DAMAGED, zlib.error):
        return "damaged", {}


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
