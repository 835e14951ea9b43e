"""Packing a bundle: what there is, without what an earlier one has brought."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen

from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import Conflict, NotFound, ObjectNotFound, StoreError
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.model import File
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.moving.bundle.identity import find_identity, identity
from pypicloud_tw.moving.bundle.tar import MAX_MEMBER, Draft, save_list
from pypicloud_tw.moving.bundle.values import (
    MAX_SMALL,
    BundleIndex,
    Contents,
    DeletedFile,
    KeptBundled,
    KeptProject,
    Member,
    OwnFile,
    OwnProject,
)
from pypicloud_tw.moving.report import Progress
from pypicloud_tw.moving.wanted import Wanted
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.spool_consumer import copy
from pypicloud_tw.upstream.keeper import StoredPages, file_key, stored_names
from pypicloud_tw.upstream.links import METADATA
from pypicloud_tw.upstream.offline import KeptFile, kept_files, kept_page

T = TypeVar("T")

#: Projects that are looked at at once.
AT_ONCE = 8


@frozen
class Packed:
    """A bundle that was made, or with ``--dry-run`` would be.

    :ivar sha256: of the whole; None: nothing was written.
    :ivar size: of the whole, in bytes.
    :ivar own: projects of the index that it is about, and *kept* others.
    """

    number: int
    files: int
    size: int
    own: int
    kept: int
    path: Path
    list: Path
    sha256: str | None = None


@define
class Packer:
    """Packs what an index has, and what its cache keeps.

    :ivar pages: the pages of what is kept, if anything is.
    """

    index: Index
    offload: IOffload
    pages: StoredPages
    wanted: Wanted
    contents: tuple[Contents, ...]
    tell: Callable[[Progress], None] = lambda progress: None
    _keys: dict[str, tuple[str, int]] = field(factory=dict, init=False)

    async def pack(
        self, output: Path, since: BundleIndex | None, *, dry_run: bool = False
    ) -> Packed:
        """Make a bundle.

        :param since: the one before, whose files are left out.
        :raises Conflict: the one before is about other projects, or of another index.
        :raises StoreError: the store or the disk fails, or a file is damaged.
        """
        store = self.index.store
        source = await (find_identity(store) if dry_run else identity(store))
        index = await self._survey(source or "", since)
        listed = output.with_name(f"{output.name}.json")
        packed = Packed(
            index.number,
            len(index.members),
            index.size,
            len(index.own),
            len(index.kept),
            output,
            listed,
        )
        if dry_run:
            return packed
        draft = await self.offload.in_thread(Draft.create, output)
        try:
            digest = await self._write(draft, index)
        finally:
            await self.offload.in_thread(draft.abandon)
        await self.offload.in_thread(save_list, listed, index)
        return evolve(packed, sha256=digest, size=draft.size)

    async def _survey(self, source: str, since: BundleIndex | None) -> BundleIndex:
        """Find all there is, and choose what goes in."""
        if since is not None and since.source != source:
            raise Conflict(
                "The bundle before was made of another index. Begin anew without "
                "--since-bundle."
            )
        own, kept = await self._own(), await self._kept()
        index = BundleIndex(
            made=datetime.fromtimestamp(int(self.index.clock.seconds()), UTC),
            serial=max((one.serial for one in own), default=0),
            patterns=self.wanted.patterns,
            contents=self.contents,
            own=own,
            kept=kept,
            source=source,
        )
        brought = frozenset(() if since is None else since.digests())
        if since is not None:
            _check_follows(index, since)
            index = evolve(
                index,
                number=since.number + 1,
                follows=since.id,
                chain=since.of_chain,
            )
        members = [
            Member(digest, self._keys[digest][1])
            for digest in sorted(self._keys)
            if digest not in brought
        ]
        return evolve(index, members=tuple(members)).named()

    # -- projects of the index --------------------------------------------------------

    async def _own(self) -> tuple[OwnProject, ...]:
        if "own" not in self.contents:
            return ()
        return await self._each(await self.index.catalog.names(), self._own_project)

    async def _own_project(self, name: NormalizedName) -> OwnProject | None:
        try:
            project = (await self.index.catalog.project(name)).project
        except NotFound:
            return None  # it was only listed
        return OwnProject(
            project.name,
            project.display_name,
            project.serial,
            # What is in quarantine goes nowhere.
            tuple([await self._own_file(file) for file in project.offered]),
            tuple(DeletedFile(one.filename, one.sha256) for one in project.tombstones),
            project.status,
            project.status_reason,
        )

    async def _own_file(self, file: File) -> OwnFile:
        self._add(file.sha256, file.key, file.size)
        provenance = None
        if file.provenance_key is not None:
            provenance = await self._add_small(file.provenance_key)
        return OwnFile(
            file.filename,
            file.sha256,
            file.size,
            file.upload_time,
            file.yanked,
            file.uploader,
            provenance,
        )

    # -- what is kept of the other index ----------------------------------------------

    async def _kept(self) -> tuple[KeptProject, ...]:
        if "kept" not in self.contents:
            return ()
        names = await stored_names(self.pages.store)
        return await self._each(names, self._kept_project)

    async def _kept_project(self, name: NormalizedName) -> KeptProject | None:
        files = await kept_files(self.pages, name)
        if not files:
            return None
        stored = await self.pages.load(name)
        base = "" if stored is None else stored.base
        page = await kept_page(self.pages, self.offload, name, files, base)
        return KeptProject(
            name,
            base,
            0.0 if stored is None else stored.confirmed,
            page.decode(),
            tuple([await self._kept_file(name, file) for file in files]),
        )

    async def _kept_file(self, name: NormalizedName, file: KeptFile) -> KeptBundled:
        key = file_key(name, file.sha256, file.filename)
        self._add(file.sha256, key, file.size)
        beside = None
        if file.metadata:
            beside = await self._add_small(key + METADATA)
        return KeptBundled(file.filename, file.sha256, file.size, beside)

    # -- several at once --------------------------------------------------------------

    async def _each(
        self,
        names: Iterable[NormalizedName],
        describe: Callable[[NormalizedName], Awaitable[T | None]],
    ) -> tuple[T, ...]:
        """Describe the projects that are wanted, in the order of their names."""
        wanted = sorted(map(NormalizedName, self.wanted.choose(sorted(names))))
        described: dict[NormalizedName, T | None] = {}
        queue = deque(wanted)

        async def worker() -> None:
            while queue:
                name = queue.popleft()
                described[name] = await describe(name)

        await side_by_side(AT_ONCE, worker, queue)
        found = (described[name] for name in wanted)
        return tuple(one for one in found if one is not None)

    # -- objects ----------------------------------------------------------------------

    def _add(self, digest: str, key: str, size: int) -> None:
        if size > MAX_MEMBER:
            raise StoreError(f"{key} is larger than a bundle can take (8 GiB).")
        self._keys.setdefault(digest, (key, size))

    async def _add_small(self, key: str) -> str:
        """Add an object whose digest is in no name, and return it."""
        try:
            stored = await self.index.store.get(key, limit=MAX_SMALL)
        except ObjectNotFound:
            raise _gone(key) from None
        assert stored is not None, "an unconditional read gives bytes"
        digest = sha256(stored.data).hexdigest()
        self._add(digest, key, len(stored.data))
        return digest

    async def _write(self, draft: Draft, index: BundleIndex) -> str:
        await self.offload.in_thread(draft.head, index)
        done = 0
        for number, member in enumerate(index.members, 1):
            await self._write_member(draft, member)
            done += member.size
            self.tell(Progress(len(index.members), number, number, done, "file"))
        return await self.offload.in_thread(draft.place)

    async def _write_member(self, draft: Draft, member: Member) -> None:
        await self.offload.in_thread(draft.begin, member)
        key, _ = self._keys[member.sha256]
        writing = _MemberWriter(draft, self.offload, member)
        try:
            download = await self.index.store.open(key)
        except ObjectNotFound:
            raise _gone(key) from None
        await copy(download, writing)
        if not writing.is_right:
            raise StoreError(
                f"{key} in the store is not what it should be; see pypicloud verify "
                "--deep. No bundle was made."
            )
        await self.offload.in_thread(draft.pad, member)


@define
class _MemberWriter:
    """Writes an object into the draft, and looks whether it is the right one."""

    draft: Draft
    offload: IOffload
    member: Member
    _written: int = field(default=0, init=False)
    _digest: Any = field(factory=sha256, init=False)

    async def write(self, data: bytes) -> None:
        await self.offload.in_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        self._digest.update(data)
        self.draft.write(data)

    @property
    def is_right(self) -> bool:
        found = self._written, self._digest.hexdigest()
        return found == (self.member.size, self.member.sha256)


def _gone(key: str) -> StoreError:
    """Say that an object is not there which was found a while before."""
    return StoreError(
        f"{key} is not in the store any more: it was removed, or moved into "
        "quarantine, since this began; or it is lost, which pypicloud verify would "
        "tell. No bundle was made; run this again."
    )


def _check_follows(index: BundleIndex, since: BundleIndex) -> None:
    """Refuse to leave out what nobody has brought."""
    if (since.patterns, since.contents) != (index.patterns, index.contents):
        raise Conflict(
            "The bundle before was made of other projects or contents. Give the same "
            "--project and --only as then, or begin anew without --since-bundle."
        )
