"""What is in a file, wherever its bytes are: fetched as needed, read in a helper."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeVar, TypeVarTuple

from attrs import define, evolve, field

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.fair_queue import ANYBODY, FairQueue
from pypicloud_tw.errors import BadRequest, NotFound, StoreError
from pypicloud_tw.index.archive.zip_end import Directory
from pypicloud_tw.index.archive.zips import Member
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.described.listing import (
    HEAD,
    PACKED,
    TAIL,
    TARS,
    Listing,
    Window,
    find_in_zip,
    is_zip,
    list_tar,
    list_tar_file,
    list_zip,
    part_of,
    read_in_tar,
    read_in_tar_file,
    read_in_zip,
    read_pkg_info,
    read_pkg_info_file,
)
from pypicloud_tw.projects.described.values import Contents, MemberText
from pypicloud_tw.store.interfaces import ByteRange
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.store.spool_consumer import copy
from pypicloud_tw.upstream.relay import LocatedFile

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Bytes of a tar, which is fetched whole. The largest source archives known have
#: 100 MB; what is larger is not looked into.
LARGEST_TAR = 200 * 2**20

#: Bytes of one that is fetched for its core metadata; nearly all have less than 1 MB.
_QUICKLY_FETCHED = 16 * 2**20

#: Bytes of lists that are kept: one of 20,000 members has some 200 kB.
CAPACITY = 16 * 2**20

#: Files that are fetched at once, and that wait for it.
_AT_ONCE, _WAITING = 2, 32

#: Characters of a member's path: as many as bytes of the longest that is taken.
_LONGEST_PATH = 4096


@define(eq=False)
class FileContents:
    """Looks into files.

    :ivar temp_dir: where files are put that must be read from their beginning; None is
        the system's folder for temporary files.
    """

    offload: IOffload
    temp_dir: Path | None = None
    _lists: Cache[str, Listing] = field(init=False)
    _listing: Coalesced[Listing] = field(factory=Coalesced, init=False)
    _turns: FairQueue = field(init=False)

    @_lists.default
    def _make_lists(self) -> Cache[str, Listing]:
        return Cache(CAPACITY, lambda listing: listing.weight)

    @_turns.default
    def _make_turns(self) -> FairQueue:
        return FairQueue(_AT_ONCE, _WAITING, "looks into files")

    async def contents(self, file: LocatedFile, cursor: str | None = None) -> Contents:
        """List what a file has in it; see :meth:`.Described.contents`."""
        listing = await self._list_of(file)
        number = _number(cursor, len(listing.parts))
        following = number + 1
        return Contents(
            file.filename,
            part_of(listing, number),
            listing.total,
            listing.unpacked,
            str(following) if following < len(listing.parts) else None,
        )

    async def member(self, file: LocatedFile, path: str) -> MemberText:
        """Read a file that is in a file; see :meth:`.Described.member`."""
        zipped = is_zip(file.filename)
        if not 0 < len(path) <= _LONGEST_PATH:
            raise NotFound("There is no such file in this archive.")
        await self._turns.enter(ANYBODY)
        try:
            read = self._read_in_zip if zipped else self._read_in_tar
            return evolve(await read(file, path), filename=file.filename)
        finally:
            self._turns.leave()

    async def pkg_info(self, file: LocatedFile) -> bytes | None:
        """Read the core metadata in a source archive; None: it has none.

        Also of one that is large, for a page waits for it, or that is no tar.

        :raises BadRequest: it cannot be read.
        """
        small = file.size is not None and file.size <= _QUICKLY_FETCHED
        if not small or not file.filename.endswith(TARS):
            return None
        await self._turns.enter(ANYBODY)
        try:
            return await self._with_tar(file, read_pkg_info, read_pkg_info_file)
        finally:
            self._turns.leave()

    async def _list_of(self, file: LocatedFile) -> Listing:
        zipped = is_zip(file.filename)
        key = f"{file.sha256}/{file.filename}"
        known = self._lists.get(key)
        if known is not None:
            return known
        make = self._list_zip if zipped else self._list_tar

        async def list_it() -> Listing:
            await self._turns.enter(ANYBODY)
            try:
                made = await make(file)
            finally:
                self._turns.leave()
            self._lists.put(key, made)
            return made

        return await self._listing.ask(key, list_it)

    # -- zips: their ends, and what is wanted -----------------------------------------

    async def _list_zip(self, file: LocatedFile) -> Listing:
        found = await self.offload.in_process(list_zip, await self._end(file))
        if isinstance(found, Directory):
            more = await self._end(file, found.start)
            found = await self.offload.in_process(list_zip, more)
        assert isinstance(found, Listing), "its whole directory was there"
        return found

    async def _read_in_zip(self, file: LocatedFile, path: str) -> MemberText:
        found = await self.offload.in_process(find_in_zip, await self._end(file), path)
        if isinstance(found, Directory):
            more = await self._end(file, found.start)
            found = await self.offload.in_process(find_in_zip, more, path)
        assert isinstance(found, Member), "its whole directory was there"
        return await self._read_member(file, found)

    async def _read_member(self, file: LocatedFile, member: Member) -> MemberText:
        size = _size(file)
        if member.header >= size:
            raise BadRequest("The directory of this zip is damaged.")
        stop = min(size, member.header + HEAD + min(member.packed, PACKED))
        window = await self._window(file, member.header, stop)
        return await self.offload.in_process(read_in_zip, window, member)

    async def _end(self, file: LocatedFile, start: int | None = None) -> Window:
        size = _size(file)
        if start is None:
            start = max(0, size - TAIL)
        return await self._window(file, start, size)

    async def _window(self, file: LocatedFile, start: int, stop: int) -> Window:
        data = await read_range(file, ByteRange(start, stop), self.offload)
        return Window(start, data, _size(file))

    # -- tars: whole -------------------------------------------------------------------

    async def _list_tar(self, file: LocatedFile) -> Listing:
        return await self._with_tar(file, list_tar, list_tar_file)

    async def _read_in_tar(self, file: LocatedFile, path: str) -> MemberText:
        return await self._with_tar(file, read_in_tar, read_in_tar_file, path)

    async def _with_tar(
        self,
        file: LocatedFile,
        read: Callable[[str, str, int, *Ts], T],
        read_file: Callable[[BinaryIO, str, int, *Ts], T],
        *more: *Ts,
    ) -> T:
        """Read something in a tar.

        :param read: does it by a path, in a helper; *read_file* where that cannot be.
        """
        spool = await self._fetch(file)
        try:
            if spool.path is not None:
                return await self.offload.in_process(
                    read, str(spool.path), file.filename, spool.size, *more
                )
            # As in Publisher.inspect: without /proc nobody else can open it.
            return await self.offload.in_thread(
                read_file, spool.file, file.filename, spool.size, *more
            )
        finally:
            await spool.close()

    async def _fetch(self, file: LocatedFile) -> Spool:
        """Put a file where a helper can read it.

        :raises BadRequest: it is too large for that.
        """
        if file.size is None or file.size > LARGEST_TAR:
            raise BadRequest(
                "Source archives are looked into up to "
                f"{LARGEST_TAR // 2**20} MiB; download this one."
            )
        spool = await Spool.temporary(
            self.offload, folder=self.temp_dir, size_hint=file.size
        )
        try:
            await copy(await file.open(None), spool)
            digests = await spool.finish()
            if file.sha256 not in (None, digests.sha256):
                raise StoreError("The bytes of this file in the store are not its own.")
        except BaseException:
            await spool.close()
            raise
        return spool


async def read_range(
    file: LocatedFile, part: ByteRange | None, offload: IOffload
) -> bytes:
    """Read a small part of a file into memory, or all of a small one."""
    memory = BytesIO()
    spool = Spool(memory, offload)
    await copy(await file.open(part), spool)
    await spool.finish()
    return memory.getvalue()


def _number(cursor: str | None, parts: int) -> int:
    """Read which part of a list is wanted.

    :raises BadRequest: it is none that a part before has told.
    """
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 8):
        raise BadRequest("This is no cursor of a list; begin without one.")
    if int(cursor) >= parts:
        raise BadRequest("The list ends before this cursor; begin without one.")
    return int(cursor)


def _size(file: LocatedFile) -> int:
    """Return a file's length.

    :raises BadRequest: it is empty, or nobody tells.
    """
    if not file.size:
        raise BadRequest("This file is empty, or its size is not known.")
    return file.size
