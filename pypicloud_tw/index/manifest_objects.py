"""The objects of a project's manifest: how they are read together and written."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from random import Random
from typing import Any, TypeVar

from attrs import evolve, frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import ManifestDamaged, ObjectNotFound, StoreError
from pypicloud_tw.index.layout import SWEEP_AGE
from pypicloud_tw.index.manifest import (
    MAX_MANIFEST,
    check_format,
    encode,
    manifest_key,
    put_in_order,
)
from pypicloud_tw.index.manifest_parts import (
    Entry,
    Part,
    Placed,
    Placement,
    Root,
    decode_files,
    decode_root,
    decode_tombstones,
    encode_files,
    encode_root,
    encode_tombstones,
    part_key,
    place,
)
from pypicloud_tw.index.model import FORMAT, WHOLE, File, HistoryEntry, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.older_history import (
    Segment,
    damaged,
    decode_segment,
    encode_segment,
    move_older,
    segment_key,
)
from pypicloud_tw.store.interfaces import (
    IfAbsent,
    IfMatch,
    IObjectStore,
    ObjectInfo,
    StoredBytes,
)

#: Parts of one project that are read or written at a time.
AT_ONCE = 8
#: Reads of one project in a row whose parts another writer has replaced meanwhile.
REREADS = 5

T = TypeVar("T")
#: Decodes a part that has the given id.
Decode = Callable[[NormalizedName, str, bytes], Part[Entry]]


@frozen
class Held:
    """A project as its objects say it.

    :ivar placement: where its entries lie; None: in one object.
    """

    project: Project
    placement: Placement | None = None


@frozen
class ManifestObjects:
    """Reads and writes what a project's manifest is made of.

    :ivar random: for the ids of objects.
    :ivar sweep_age: seconds after which a sweep takes an object that is not named.
    """

    store: IObjectStore
    clock: IReactorTime
    random: Random
    sweep_age: float = SWEEP_AGE

    async def read(
        self,
        name: NormalizedName,
        unless: str | None,
        known: Held | None,
        recall: Callable[[str], T | None],
    ) -> tuple[Held, ObjectInfo] | T | None:
        """Read a project as it is now; None if its root has the ETag *unless*.

        :param known: an earlier state, of which nothing is read again.
        :param recall: gives the state of an ETag, if it is known by then.
        :raises ObjectNotFound: there is none.
        :raises ManifestDamaged: it cannot be read, or one of its parts.
        """
        seen: str | None = None
        for _ in range(REREADS):
            stored = await self.store.get(
                manifest_key(name), unless=unless, limit=MAX_MANIFEST
            )
            if stored is None:
                return None
            if (recalled := recall(stored.info.etag)) is not None:
                return recalled
            try:
                return await self._together(name, stored, known), stored.info
            except _PartMissing as e:
                # Another writer has replaced it since, and a sweep has taken it: then
                # the root says so by now.
                if seen == stored.info.etag:
                    raise _lost_part(name, e.key) from None
                seen = stored.info.etag
        raise StoreError(f"The project {name} changed too often while it was read.")

    async def _together(
        self, name: NormalizedName, stored: StoredBytes, known: Held | None
    ) -> Held:
        root = decode_root(name, stored.data)
        if not root.large:
            return Held(root.project)
        had = None if known is None else known.placement
        before = had or Placement()
        read = partial(self._parts, name)
        files = await read(root.files, before.files, decode_files)
        tombstones = await read(root.tombstones, before.tombstones, decode_tombstones)
        return _assembled(root, files, tombstones, before)

    async def _parts(
        self,
        name: NormalizedName,
        ids: Iterable[str],
        before: Placed[Entry],
        decode: Decode[Entry],
    ) -> tuple[Part[Entry], ...]:
        """Give the parts of these ids, of which only those not known are read."""
        found = {part.id: part for part in before.parts}
        missing = deque(one for one in ids if one not in found)

        async def fetch(identity: str) -> None:
            data = await self._get_part(part_key(name, identity))
            found[identity] = decode(name, identity, data)

        await _each(missing, fetch)
        return tuple(found[identity] for identity in ids)

    async def _get_part(self, key: str) -> bytes:
        try:
            stored = await self.store.get(key)
        except ObjectNotFound:
            raise _PartMissing(key) from None
        assert stored is not None, "an unconditional read answers"
        return stored.data

    async def salvage(self, name: NormalizedName) -> Project | None:
        """Read of a project what can be read; None: nothing can.

        :raises StoreError: the store is away.
        """
        try:
            stored = await self.store.get(manifest_key(name), limit=MAX_MANIFEST)
            assert stored is not None, "an unconditional read answers"
            root = decode_root(name, stored.data)
        except (ObjectNotFound, ManifestDamaged):
            return None
        files = await self._readable(name, root.files, decode_files)
        tombstones = await self._readable(name, root.tombstones, decode_tombstones)
        return _assembled(root, files, tombstones, Placement()).project

    async def _readable(
        self, name: NormalizedName, ids: Iterable[str], decode: Decode[Entry]
    ) -> tuple[Part[Entry], ...]:
        """Give those of some parts that are there and not damaged."""
        found: list[Part[Entry]] = []
        for identity in ids:
            try:
                data = await self._get_part(part_key(name, identity))
                found.append(decode(name, identity, data))
            except (_PartMissing, ManifestDamaged):
                continue
        return tuple(found)

    async def write(
        self, after: Project, etag: str | None, before: Placement | None
    ) -> tuple[Held, ObjectInfo]:
        """Write a project, if its root still has that ETag; None: if it has none.

        What is new goes first, under keys that nothing names before the root does.

        :param before: where its entries lay when it was read.
        :raises PreconditionFailed: another was first; what was written is an orphan.
        :raises StoreError: the store is away, or it took so long that a sweep may have
            taken the new parts for orphans.
        """
        check_format(after)
        began = self.clock.seconds()
        after, segments = move_older(after, self._draw)
        placement = place(after, before, self._draw)
        after = evolve(after, format=WHOLE if placement is None else FORMAT)
        await self._write_new(after.name, segments, placement, before)
        if self.clock.seconds() > began + self.sweep_age / 2:
            raise StoreError("This change took too long to be kept; try again.")
        root = encode(after) if placement is None else encode_root(after, placement)
        info = await self.store.put(
            manifest_key(after.name),
            root,
            condition=IfAbsent() if etag is None else IfMatch(etag),
            content_type="application/vnd.pypi.simple.v1+json",
        )
        return Held(after, placement), info

    def _draw(self) -> str:
        return self.random.randbytes(16).hex()

    async def _write_new(
        self,
        name: NormalizedName,
        segments: Iterable[Segment],
        placement: Placement | None,
        before: Placement | None,
    ) -> None:
        """Write what the root will name and does not name yet."""
        queue: deque[tuple[str, Callable[[], bytes]]] = deque(
            (segment_key(name, one.id), partial(encode_segment, name, one))
            for one in segments
        )
        if placement is not None:
            there = set() if before is None else before.ids
            queue.extend(
                (part_key(name, part.id), partial(encode_files, name, part))
                for part in placement.files.parts
                if part.id not in there
            )
            queue.extend(
                (part_key(name, part.id), partial(encode_tombstones, name, part))
                for part in placement.tombstones.parts
                if part.id not in there
            )

        async def write(one: tuple[str, Callable[[], bytes]]) -> None:
            key, data = one
            await self.store.put(key, data(), content_type="application/json")

        await _each(queue, write)

    async def older(self, project: Project) -> AsyncIterator[HistoryEntry]:
        """Give the acts before those that a project has, newest first.

        :raises HistoryDamaged: what has the next is lost or damaged.
        :raises StoreError: the store is away.
        """
        identity = project.older_history
        while identity is not None:
            segment = await self.segment(project.name, identity)
            for entry in reversed(segment.entries):
                yield entry
            identity = segment.older

    async def segment(self, name: NormalizedName, identity: str) -> Segment:
        """Read some of a project's older acts.

        :raises HistoryDamaged: they are lost or damaged.
        :raises StoreError: the store is away.
        """
        try:
            stored = await self.store.get(segment_key(name, identity))
        except ObjectNotFound:
            raise damaged(name, identity, "is not in the store") from None
        assert stored is not None, "an unconditional read answers"
        return decode_segment(name, identity, stored.data)


class _PartMissing(Exception):
    """A part that the root names is not there."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _lost_part(name: NormalizedName, key: str) -> ManifestDamaged:
    return ManifestDamaged(
        f"A part of the manifest of {name} is lost: its operator can restore {key} "
        f"from a backup, or run: pypicloud rebuild {name}."
    )


async def _each(queue: deque[T], work: Callable[[T], Awaitable[Any]]) -> None:
    """Do some work for each in the queue, a few at a time."""

    async def worker() -> None:
        while queue:
            await work(queue.popleft())

    await side_by_side(min(AT_ONCE, len(queue)), worker, queue)


def _assembled(
    root: Root,
    files: tuple[Part[File], ...],
    tombstones: Any,
    before: Placement,
) -> Held:
    """Put a large project together."""
    recent = root.project.files
    all_files = _sorted([*_entries(files), *recent], before.files.entries)
    buried = sorted(
        [*_entries(tombstones), *root.project.tombstones],
        key=lambda tombstone: (tombstone.deleted, tombstone.filename),
    )
    project = evolve(root.project, files=all_files, tombstones=tuple(buried))
    placement = Placement(
        Placed(project.files, files, recent),
        Placed(project.tombstones, tombstones, root.project.tombstones),
    )
    return Held(project, placement)


def _entries(parts: Iterable[Part[Entry]]) -> Iterable[Entry]:
    return (entry for part in parts for entry in part.entries)


def _sorted(files: list[File], known: tuple[File, ...]) -> tuple[File, ...]:
    """Sort files, most of which may have been sorted before."""
    there = set(map(id, files))
    still = tuple(file for file in known if id(file) in there)
    had = set(map(id, still))
    return put_in_order(still, (file for file in files if id(file) not in had))
