"""Keeps a server's counts in its journal, and takes over what dead servers left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from pypicloud_tw.errors import PypicloudError, StoreError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.statistics.counts import DayCounts
from pypicloud_tw.statistics.journal import (
    DeadJournal,
    Journal,
    Left,
    open_journal,
)
from pypicloud_tw.statistics.own_day import OwnDay
from pypicloud_tw.statistics.stored import read_day
from pypicloud_tw.store.interfaces import IObjectStore


@define(eq=False)
class Journaling:
    """A journal, as the reactor's thread has it; without one nothing is kept.

    That it cannot be written is told once, and is no error: the store is written all
    the same.

    :ivar folder: where the journals of the store's servers are.
    """

    folder: Path
    store: IObjectStore
    offload: IOffload
    _journal: Journal | None = field(default=None, init=False)
    _dead: list[DeadJournal] | None = field(default=None, init=False)
    _failed: bool = field(default=False, init=False)
    # One after the other: what is newer stays.
    _opening: DeferredLock = field(factory=DeferredLock, init=False)
    _keeping: DeferredLock = field(factory=DeferredLock, init=False)
    _log = Logger()

    async def take_over(self) -> None:
        """Begin, and write to the store what dead servers have left, once.

        :raises StoreError: the store is away; it is done with the next call.
        """
        journal = await self._open()
        if journal is None:
            return
        if self._dead is None:
            try:
                self._dead = await self.offload.in_thread(journal.left)
            except OSError as e:
                self._fail(e)
                return
        while self._dead:
            await self._take_over(self._dead[0])
            del self._dead[0]

    async def _take_over(self, dead: DeadJournal) -> None:
        left = await self.offload.in_thread(lambda: list(dead.objects()))
        for one in left:
            data = await self._checked(one)
            if data is not None:
                await self.store.put(one.key, data)
        if left:
            self._log.info(
                "A server that died left counts of downloads; they are stored now."
            )
        await self._try(dead.end)

    async def _checked(self, left: Left) -> bytes | None:
        """Return what was left; None: it is damaged, or the store has as much."""
        data, error = left.data, "it cannot be read"
        if data is not None:
            try:
                counts = await self.offload.in_thread(DayCounts.decode, data)
            except ValueError as e:
                error = str(e)
            else:
                return data if await self._is_more(left.key, counts) else None
        self._log.warn(
            "What a server that died had counted last is lost, {path}: {error}.",
            path=str(left.path),
            error=error,
        )
        return None

    async def _is_more(self, key: str, counts: DayCounts | None) -> bool:
        """Whether the store has less, as counts only grow.

        A journal can fall behind: its disk was full.
        """
        stored = await read_day(self.store, self.offload, key, self._log)
        return stored is None or counts is None or stored.fetches < counts.fetches

    async def write(self, days: Iterable[OwnDay]) -> None:
        """Keep what was counted since it was kept last."""
        for own in list(days):
            if own.journaled != own.changes and await self._open() is not None:
                changes = own.changes
                data = await self.offload.in_thread(own.counts.encode)
                await self.keep(own, data, changes)

    async def keep(self, own: OwnDay, data: bytes, changes: int) -> None:
        """Keep a day's object.

        :param changes: those that are in it.
        """
        journal = await self._open()
        if journal is None:
            return
        async with self._keeping:
            if own.journaled < changes and await self._try(
                lambda: journal.write(own.key, data)
            ):
                own.journaled = changes

    async def drop(self, own: OwnDay) -> None:
        """Forget a day that the store has."""
        journal = self._journal
        if journal is not None:
            async with self._keeping:
                own.journaled = own.changes
                await self._try(lambda: journal.drop(own.key))

    async def stop(self, *, keep: bool) -> None:
        """End it.

        :param keep: the store does not have everything.
        """
        for dead in self._dead or ():
            await self._try(dead.leave)
        journal, self._journal, self._failed = self._journal, None, True
        if journal is not None:
            await self._try(lambda: journal.close(keep=keep))

    async def _open(self) -> Journal | None:
        async with self._opening:
            if self._journal is None and not self._failed:
                try:
                    self._journal = await self.offload.in_thread(
                        open_journal, self.folder
                    )
                except (OSError, StoreError) as e:
                    self._fail(e)
        return self._journal

    async def _try(self, work: Callable[[], None]) -> bool:
        try:
            await self.offload.in_thread(work)
        except OSError as e:
            self._fail(e)
            return False
        return True

    def _fail(self, error: Exception) -> None:
        if self._failed:
            return
        self._failed = True
        reason = error.message if isinstance(error, PypicloudError) else str(error)
        self._log.warn(
            "What is counted of downloads cannot be kept in {folder}: {reason}. It is "
            "written to the bucket alone, four times an hour: a server that is killed "
            "loses what it counted since. Set storage.temp_dir to a folder that the "
            "server may write to.",
            folder=str(self.folder),
            reason=reason.rstrip("."),
        )
