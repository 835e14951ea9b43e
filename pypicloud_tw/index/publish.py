"""What changes a project: each change is a swap of its manifest (decision D1).

A publish stores its file under a key of its own, then its core metadata, then swaps
the manifest. The swap is the commit: before it nothing is visible, and a publish that
ends earlier leaves at worst an orphan, which a sweep removes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from random import Random, SystemRandom
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.fair_queue import Asker, FairQueue
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.errors import (
    ManifestLost,
    NotFound,
    PypicloudError,
)
from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.index.archive import Inspection, inspect, inspect_file
from pypicloud_tw.index.attestations.service import Attestations
from pypicloud_tw.index.audit import Actor, Audit
from pypicloud_tw.index.audit_log import log_act
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.first_uploads import FirstUpload, is_lost
from pypicloud_tw.index.history import Doing
from pypicloud_tw.index.manifests import Change, Manifests, Versioned
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import (
    Filename,
    NormalizedName,
)
from pypicloud_tw.index.small_files import SmallFiles
from pypicloud_tw.index.survey import lost
from pypicloud_tw.index.taking import look_into
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.checkpoints import Checkpoint, pass_by
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.spool import Spool

#: Archives that are looked into at a time, by as many helpers, and that may wait. Of
#: one uploader's one fewer are: there is a place for others, however large they are.
LOOKED_INTO, WAITING = 2, 64

T = TypeVar("T")

#: Says what whoever uploads a new project is to be told of its name; never fails.
WarningsOfNew = Callable[[NormalizedName], Awaitable[tuple[str, ...]]]


async def _no_warnings(name: NormalizedName) -> tuple[str, ...]:
    return ()


@define
class Publisher:
    """Everything that changes a project goes through here.

    :ivar checkpoint: for tests that end the process between two steps; called with
        ``publish:file`` when the file is stored, ``publish:metadata``,
        ``publish:swapped`` when the manifest names it, and ``publish:told``. Of other
        changes there are ``act:swapped`` and ``act:told``; see :class:`.moves.Moves`.
    :ivar audit: takes a record of every change, once it is durable.
    :ivar attestations: judges what is sent with a file (PEP 740).
    :ivar unserved: knows the names that are ours although they have no page.
    :ivar warnings_of_new: says what is to be known of the name of a new project.
    :ivar small_files: has those judged and placed that can be.
    :ivar random: for the keys of objects, and the ids of acts.
    :ivar changes: how many were made since the start.
    :ivar uploads: how many of these were uploads, of files that were there already too.
    """

    store: IObjectStore
    manifests: Manifests
    catalog: Catalog[Any]
    offload: IOffload
    clock: IReactorTime
    rules: UploadRules = field(factory=UploadRules)
    checkpoint: Checkpoint = field(default=pass_by)
    audit: Audit = field(default=log_act)
    attestations: Attestations = field(factory=Attestations, kw_only=True)
    unserved: Unserved = field(kw_only=True)
    warnings_of_new: WarningsOfNew = field(default=_no_warnings, kw_only=True)
    random: Random = field(factory=SystemRandom, kw_only=True)
    changes: int = field(default=0, init=False)
    uploads: int = field(default=0, init=False)
    small_files: SmallFiles = field(init=False)
    _turns: FairQueue = field(
        factory=lambda: FairQueue(LOOKED_INTO, WAITING, "uploads", LOOKED_INTO - 1),
        init=False,
    )
    _log = Logger()

    @small_files.default
    def _in_this_queue(self) -> SmallFiles:
        return SmallFiles(self.offload, self.in_turn, Pieces(self.clock))

    @unserved.default
    def _nothing_unserved(self) -> Unserved:
        known = Unserved(self.store, self.clock, self.manifests.check_open)
        known.find({})
        return known

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        metrics.read(
            "pypicloud_uploads",
            "Files that were uploaded, and are published",
            lambda: self.uploads,
            counts=True,
        )
        metrics.read(
            "pypicloud_changes",
            "Uploads, removals and other changes of projects",
            lambda: self.changes,
            counts=True,
        )

    async def change(
        self,
        name: NormalizedName,
        change: Change,
        *,
        create: bool = False,
        step: str = "publish",
    ) -> Project:
        """Swap a change in and tell every server before it is acknowledged.

        Goes on to the end even when its asker has gone: a swap that is under way must
        be told to the others.

        :param create: begin the project if it does not exist, else that is NotFound.
        :param step: of what checkpoints are told.
        :raises NotFound: there is no such project.
        """
        return await shielded(self._swap_and_tell(name, change, create, step))

    async def _swap_and_tell(
        self, name: NormalizedName, change: Change, create: bool, step: str
    ) -> Project:
        try:
            state = await self.manifests.change(name, change, create=create)
        except NotFound:
            await self._refuse_unserved(name)
            raise
        self.changes += 1
        self.checkpoint(f"{step}:swapped")
        await self.catalog.changed(name, state.project.serial)
        self.checkpoint(f"{step}:told")
        return state.project

    async def find(self, name: NormalizedName) -> Versioned | None:
        """Read a project as it is now; None if it has never been published.

        :raises ManifestLost: the project has lost its manifest; a new one would hide
            what the old one named.
        :raises StoreError: the store is away or the manifest damaged.
        """
        return await self.look(name) or await self.find_again(name)

    async def find_again(self, name: NormalizedName) -> Versioned | None:
        """Read a project that was not there a moment ago; see :meth:`find`.

        :raises ManifestLost: see :meth:`find`.
        :raises StoreError: see :meth:`find`.
        """
        if not await is_lost(self.store, name):
            return None
        state = await self.look(name)
        if state is None:
            raise ManifestLost(lost(name), retry_after=60)
        return state

    async def _refuse_unserved(self, name: NormalizedName) -> None:
        """Return if a project is not here, or is and may be changed.

        :raises Unavailable: it is ours without being served, as its page says.
        """
        if await self.find(name) is None:
            await self.unserved.refuse(name, asks=True)

    async def look(self, name: NormalizedName) -> Versioned | None:
        """Read a project as it is now; None if it has no manifest.

        :raises StoreError: the store is away or the manifest damaged.
        """
        try:
            return await self.manifests.read(name)
        except NotFound:
            return None

    async def inspect(
        self, spool: Spool, filename: Filename, uploader: str | None = None
    ) -> Inspection:
        """Look into the archive, in a helper process.

        A few at a time: whoever uploads much waits behind itself, and not others
        behind it; nor behind what is adopted, which nobody uploads.

        :raises BadRequest: it is not what its name promises.
        :raises Unavailable: this uploader has too many that wait already.
        """
        return await self.in_turn(uploader, partial(self._look_into, spool, filename))

    async def in_turn(
        self, uploader: str | None, work: Callable[[], Awaitable[T]]
    ) -> T:
        """Do what takes a helper, when it is this uploader's turn.

        :raises Unavailable: this uploader has too many that wait already.
        """
        name = uploader or ""
        asker = Asker(name, name)
        await self._turns.enter(asker)
        try:
            return await work()
        finally:
            self._turns.leave(asker)

    async def _look_into(self, spool: Spool, filename: Filename) -> Inspection:
        if (data := spool.whole) is not None:
            return await self.offload.in_process(look_into, data, filename)
        if spool.path is not None:
            path = str(spool.path)
            return await self.offload.in_process(inspect, path, filename, spool.size)
        # Without /proc nobody else can open an unlinked file. A thread slows the
        # server down while it looks into a large archive, which beats not looking.
        return await self.offload.in_thread(
            inspect_file, spool.file, filename, spool.size
        )

    def doing(self, actor: Actor, at: datetime | None = None) -> Doing:
        """Begin an act, with an id of its own.

        :param at: when; None: now.
        """
        draw = self.random.randbytes
        return Doing(actor, at or self.now(), draw(8).hex(), draw(16).hex())

    def new_folder(self, name: NormalizedName) -> str:
        """Draw where objects of a project can lie that nobody else uses (D1)."""
        return f"{name}/{self.random.randbytes(16).hex()}"

    async def put_metadata(self, file: File, metadata: bytes) -> None:
        """Store a file's core metadata where :attr:`File.metadata_key` says."""
        assert file.metadata_key is not None, "it is told when it was read"
        await self.store.put(file.metadata_key, metadata)

    async def put_provenance(self, file: File, provenance: bytes) -> None:
        """Store a file's provenance object where :attr:`File.provenance_key` says."""
        assert file.provenance_key is not None, "it is told when it was judged"
        await self.store.put(
            file.provenance_key, provenance, content_type="application/json"
        )

    async def discard(self, file: File, first: FirstUpload | None) -> None:
        """Remove the objects of a publish that is known not to be committed.

        :param first: what tells of the publish; it stays if one of them does.
        """
        for key in file.keys:
            try:
                await self.store.delete(key)
            except PypicloudError as e:
                first = None
                self._log.warn(
                    "An orphan is left for the next sweep, {key}: {error}",
                    key=key,
                    error=e.message,
                )
        if first is not None:
            await first.end()

    def warn(self, filename: str, warnings: Iterable[str]) -> None:
        """Write into the log what is not well with a file that was taken."""
        for warning in warnings:
            self._log.warn(
                "{filename} was published: {sentence}",
                filename=filename,
                sentence=warning,
            )

    def now(self) -> datetime:
        """Return the time by the injected clock."""
        return datetime.fromtimestamp(self.clock.seconds(), UTC)
