"""Publishing, yanking and removing: what changes a project (DESIGN.md D1).

A publish stores its file under a key of its own, then its core metadata, then swaps
the manifest. The swap is the commit: before it nothing is visible, and a publish that
ends earlier leaves at worst an orphan, which a sweep removes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.fair_queue import Asker, FairQueue
from pypicloud_tw.errors import (
    BadRequest,
    Conflict,
    NotFound,
    PypicloudError,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index.archive import Inspection, inspect, inspect_file
from pypicloud_tw.index.audit import Act, Audit, log_act
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.first_uploads import FirstUpload, Stage, is_lost
from pypicloud_tw.index.layout import METADATA_SUFFIX
from pypicloud_tw.index.manifest import in_order
from pypicloud_tw.index.manifests import Change, Manifests, Versioned
from pypicloud_tw.index.model import File, Project, Tombstone
from pypicloud_tw.index.names import (
    Filename,
    NormalizedName,
    file_identity,
    parse_version,
)
from pypicloud_tw.index.survey import lost
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import IObjectStore, IUpload
from pypicloud_tw.store.spool import Digests, Spool

#: Seconds after which a sweep takes an unnamed object for an orphan.
SWEEP_AGE = 24 * 3600.0

#: Archives that are looked into at a time, by as many helpers, and that may wait. Of
#: one uploader's one fewer are: there is a place for others, however large they are.
LOOKED_INTO, WAITING = 2, 64

T = TypeVar("T")
Entry = TypeVar("Entry", File, Tombstone)


@frozen
class Rules:
    """What an index takes.

    :ivar legacy_formats: eggs, installers and old source archives too, source
        distributions without core metadata, and what else falls short of the rules for
        core metadata and RECORD (:class:`.archive.findings.Findings`).
    :ivar overwrite: a filename may be published again with other bytes.
    :ivar reupload_deleted: so may one that was deleted.
    :ivar sweep_age: seconds after which a sweep takes an unnamed object for an orphan.
    """

    legacy_formats: bool = False
    overwrite: bool = False
    reupload_deleted: bool = False
    sweep_age: float = SWEEP_AGE


@frozen
class Claims:
    """What the sender says of a file; every claim made is checked.

    :ivar md5: hexadecimal, as are the other digests.
    """

    name: str | None = None
    version: str | None = None
    sha256: str | None = None
    md5: str | None = None
    blake2b_256: str | None = None


@define
class Publication:
    """One file on its way into the index.

    :ivar warnings: what its sender should know of it; known when it was judged.
    """

    publisher: Publisher
    filename: Filename
    uploader: str | None
    _key: str
    _upload: IUpload
    _began: float
    warnings: tuple[str, ...] = field(default=(), init=False)
    _given_up: bool = field(default=False, init=False)
    _inspecting: Deferred[Inspection] | None = field(default=None, init=False)

    async def write(self, data: bytes) -> None:
        """Take more of the file's bytes; returns when the sender may go on.

        :raises InsufficientStorage: there is no room for them.
        :raises StoreError: the store failed for good.
        """
        await self._upload.write(data)

    async def finish(self, claims: Claims) -> Project:
        """Check everything, then publish: durable and visible when this returns.

        Publishing the same bytes again changes nothing and succeeds, so that a publish
        whose answer was lost can simply be repeated.

        :raises BadRequest: the file is not what it says it is; nothing is kept.
        :raises Conflict: the filename, or another spelling of it, is taken by other
            bytes.
        :raises StoreError: the store is away; it may have been published. Or it took so
            long that it was not.
        :raises CancelledError: it was given up before it was looked into.
        """
        spool = self._upload.spool
        digests = await spool.finish()
        _check_claims(claims, self.filename)
        _check_digests(claims, digests)
        inspection = await self._inspect()
        if self.publisher.rules.legacy_formats:
            inspection = inspection.lenient()
        self.warnings = inspection.strict().warnings
        file = File(
            filename=self.filename.text,
            version=str(self.filename.version),
            key=self._key,
            size=spool.size,
            sha256=digests.sha256,
            md5=digests.md5,
            blake2b_256=digests.blake2b_256,
            upload_time=self.publisher.now(),
            requires_python=inspection.requires_python,
            summary=inspection.summary,
            uploader=self.uploader,
        )
        display_name = inspection.name or claims.name or self.filename.project
        project = await self._commit(file, display_name, inspection.metadata)
        self.publisher.warn(file.filename, self.warnings)
        self.publisher.uploads += 1
        return project

    def give_up(self) -> None:
        """Look no further into it: nobody waits for it any more.

        What was found fit goes on into the index all the same.
        """
        self._given_up = True
        if self._inspecting is not None:
            self._inspecting.cancel()

    async def _inspect(self) -> Inspection:
        if self._given_up:
            raise CancelledError
        spool = self._upload.spool
        self._inspecting = Deferred.fromCoroutine(
            self.publisher.inspect(spool, self.filename, self.uploader)
        )
        return await self._inspecting

    async def abort(self) -> None:
        """Forget it; harmless after :meth:`finish`."""
        await self._upload.abort()

    async def _commit(
        self, file: File, display_name: str, metadata: bytes | None
    ) -> Project:
        publisher, name = self.publisher, self.filename.project
        change = _admission(file, display_name, publisher.rules)
        state = await publisher.find(name)
        if state is not None and change(state.project) is state.project:
            return await publisher.change(name, change)
        first = None
        if state is None:
            first = FirstUpload.of(publisher.store, file.key)
            await first.reach(Stage.STORING)
        await self._upload.commit()
        publisher.checkpoint("publish:file")
        if metadata is not None:
            file = await publisher.put_metadata(file, metadata)
            change = _admission(file, display_name, publisher.rules)
            publisher.checkpoint("publish:metadata")
        if first is not None:
            await first.reach(Stage.SWAPPING)
        try:
            project = await publisher.change(
                name, self._timely(change), create=first is not None
            )
        except StoreError:
            raise  # it may be committed, and then it names the object
        except PypicloudError:
            await publisher.discard(file, first)
            raise
        # By the key alone: it may have been yanked in the same swap. One that is gone
        # again has a tombstone, which is the sweep's.
        named = project.file(file.filename)
        if named is not None and named.key != file.key:
            await publisher.discard(file, first)
        else:
            publisher.audit(_published(file, name))
            if first is not None:
                await first.end()
        return project

    def _timely(self, change: Change) -> Change:
        """Refuse a change before a sweep may take our objects for orphans.

        It is asked at every try to swap: one may wait long for its turn.
        """
        publisher = self.publisher
        ends = self._began + publisher.rules.sweep_age / 2

        def timely(project: Project) -> Project:
            after = change(project)
            if after is not project and publisher.clock.seconds() > ends:
                # Like a store that failed: the sweep takes away what is not named.
                raise StoreError("This upload took too long to be kept; send it again.")
            return after

        return timely


def _nothing(point: str) -> None:
    """Pass a checkpoint by."""


@define
class Publisher:
    """Everything that changes a project goes through here.

    :ivar checkpoint: for tests that end the process between two steps; called with
        ``publish:file`` when the file is stored, ``publish:metadata``,
        ``publish:swapped`` when the manifest names it, and ``publish:told``.
    :ivar audit: takes a record of every change, once it is durable.
    :ivar unserved: knows the names that are ours although they have no page.
    :ivar changes: how many were made since the start.
    :ivar uploads: how many of these were uploads, of files that were there already too.
    """

    store: IObjectStore
    manifests: Manifests
    catalog: Catalog[Any]
    offload: IOffload
    clock: IReactorTime
    rules: Rules = field(factory=Rules)
    checkpoint: Callable[[str], None] = field(default=_nothing)
    audit: Audit = field(default=log_act)
    unserved: Unserved = field(kw_only=True)
    changes: int = field(default=0, init=False)
    uploads: int = field(default=0, init=False)
    _turns: FairQueue = field(
        factory=lambda: FairQueue(LOOKED_INTO, WAITING, "uploads", LOOKED_INTO - 1),
        init=False,
    )
    _log = Logger()

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

    async def begin(
        self,
        filename: Filename,
        *,
        uploader: str | None = None,
        size_hint: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Publication:
        """Start to take a file.

        :param size_hint: about how many bytes will come, if the sender told.
        :param metadata: what is written beside the object, where the store can.
        :raises InsufficientStorage: so many would not fit.
        :raises Unavailable: nothing may be changed now, so the bytes would be in vain.
        """
        self.manifests.check_open()
        key = f"{filename.project}/{token_hex(16)}/{filename.text}"
        upload = await self.store.begin(key, size_hint=size_hint, metadata=metadata)
        return Publication(self, filename, uploader, key, upload, self.clock.seconds())

    async def remove(
        self, name: NormalizedName, version: str, *, who: str | None = None
    ) -> Project:
        """Remove a release; its filenames stay taken (tombstones).

        :param who: for the record of the change.
        :raises NotFound: there is no such project or release.
        """
        now = self.now()

        def change(project: Project) -> Project:
            gone = _files_of(project, version)
            return evolve(
                project,
                files=tuple(f for f in project.files if f not in gone),
                tombstones=(*project.tombstones, *(_bury(f, now) for f in gone)),
            )

        project = await self.change(name, change)
        self.audit(Act(who, "removed", name, version))
        return project

    async def yank(
        self,
        name: NormalizedName,
        version: str,
        reason: str | None,
        *,
        who: str | None = None,
    ) -> Project:
        """Yank a release with a reason that may be empty, or un-yank it with None.

        :param who: for the record of the change.
        :raises NotFound: there is no such project or release.
        """
        changed = False

        def change(project: Project) -> Project:
            nonlocal changed
            yanked = _files_of(project, version)
            files = tuple(
                evolve(f, yanked=reason) if f in yanked else f for f in project.files
            )
            changed = files != project.files
            return evolve(project, files=files) if changed else project

        project = await self.change(name, change)
        if changed:
            act = "un-yanked" if reason is None else "yanked"
            self.audit(Act(who, act, name, version, reason=reason))
        return project

    async def change(
        self, name: NormalizedName, change: Change, *, create: bool = False
    ) -> Project:
        """Swap a change in and tell every server before it is acknowledged.

        Goes on to the end even when its asker has gone: a swap that is under way must
        be told to the others.
        """
        return await shielded(self._swap_and_tell(name, change, create))

    async def _swap_and_tell(
        self, name: NormalizedName, change: Change, create: bool
    ) -> Project:
        try:
            state = await self.manifests.change(name, change, create=create)
        except NotFound:
            await self._refuse_unserved(name)
            raise
        self.changes += 1
        self.checkpoint("publish:swapped")
        await self.catalog.changed(name)
        self.checkpoint("publish:told")
        return state.project

    async def find(self, name: NormalizedName) -> Versioned | None:
        """Read a project as it is now; None if it has never been published.

        :raises Unavailable: the project has lost its manifest; a new one would hide
            what the old one named.
        :raises StoreError: the store is away or the manifest damaged.
        """
        state = await self._look(name)
        if state is None and await is_lost(self.store, name):
            # Another may have made it since.
            state = await self._look(name)
            if state is None:
                raise Unavailable(lost(name), retry_after=60)
        return state

    async def _refuse_unserved(self, name: NormalizedName) -> None:
        """Return if a project is not here, or is and may be changed.

        :raises Unavailable: it is ours without being served, as its page says.
        """
        if await self.find(name) is None:
            await self.unserved.refuse(name, asks=True)

    async def _look(self, name: NormalizedName) -> Versioned | None:
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
        name = uploader or ""
        asker = Asker(name, name)
        await self._turns.enter(asker)
        try:
            return await self._look_into(spool, filename)
        finally:
            self._turns.leave(asker)

    async def _look_into(self, spool: Spool, filename: Filename) -> Inspection:
        if spool.path is not None:
            path = str(spool.path)
            return await self.offload.in_process(inspect, path, filename, spool.size)
        # Without /proc nobody else can open an unlinked file. A thread slows the
        # server down while it looks into a large archive, which beats not looking.
        return await self.offload.in_thread(
            inspect_file, spool.file, filename, spool.size
        )

    async def put_metadata(self, file: File, metadata: bytes) -> File:
        """Store a file's core metadata beside it (PEP 658)."""
        key = file.key + METADATA_SUFFIX
        await self.store.put(key, metadata)
        digest = sha256(metadata).hexdigest()
        return evolve(file, metadata_key=key, metadata_sha256=digest)

    async def discard(self, file: File, first: FirstUpload | None) -> None:
        """Remove the objects of a publish that is known not to be committed.

        :param first: what tells of the publish; it stays if one of them does.
        """
        for key in filter(None, (file.key, file.metadata_key)):
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
        """Tell the time by the injected clock."""
        return datetime.fromtimestamp(self.clock.seconds(), UTC)


def _published(file: File, name: NormalizedName) -> Act:
    return Act(
        file.uploader, "published", name, file.version, file.filename, file.sha256
    )


def _admission(file: File, display_name: str, rules: Rules) -> Change:
    def admit(project: Project) -> Project:
        existing = project.file(file.filename)
        if existing is not None and existing.sha256 == file.sha256:
            return project
        replaced = _rivals(file, project.files)
        if replaced and not rules.overwrite:
            raise Conflict(
                "File already exists, with other bytes. A published file never "
                "changes: give the release a new version."
            )
        if not rules.reupload_deleted and _rivals(file, project.tombstones):
            raise Conflict(
                "File already existed and was deleted; its name is not taken again "
                "with other bytes. Give the release a new version."
            )
        buried = project.tombstone(file.filename)
        others = (f for f in project.files if f not in replaced)
        return evolve(
            project,
            display_name=project.display_name if project.files else display_name,
            files=in_order((*others, file)),
            tombstones=tuple(t for t in project.tombstones if t is not buried),
        )

    return admit


def _rivals(file: File, others: Iterable[Entry]) -> list[Entry]:
    """Find those that give other bytes this name, however it is spelled.

    Installers take equal names for one file, and would install either.
    """
    identity = file_identity(file.filename)
    return [
        other
        for other in others
        if other.sha256 != file.sha256 and file_identity(other.filename) == identity
    ]


def _files_of(project: Project, version: str) -> tuple[File, ...]:
    found = tuple(f for f in project.files if same_version(f.version, version))
    if not found:
        raise NotFound(f"There is no such release of {project.name} here.")
    return found


def _bury(file: File, now: datetime) -> Tombstone:
    return Tombstone(
        filename=file.filename,
        sha256=file.sha256,
        key=file.key,
        deleted=now,
        metadata_key=file.metadata_key,
    )


def same_version(one: str, other: str) -> bool:
    """Compare two versions as PEP 440 does, or as text where one is none."""
    try:
        return parse_version(one) == parse_version(other)
    except InvalidVersion:
        return one == other


def _check_claims(claims: Claims, filename: Filename) -> None:
    if claims.name is not None and _normalized(claims.name) != filename.project:
        raise BadRequest("The form's name is not the project that the filename says.")
    if claims.version is not None and not same_version(
        claims.version, str(filename.version)
    ):
        raise BadRequest("The form's version is not the one that the filename says.")


def _normalized(name: str) -> str | None:
    try:
        return canonicalize_name(name, validate=True)
    except InvalidName:
        return None


def _check_digests(claims: Claims, computed: Digests) -> None:
    claimed: Iterable[tuple[str, str | None, str]] = (
        ("SHA-256", claims.sha256, computed.sha256),
        ("MD5", claims.md5, computed.md5),
        ("BLAKE2b-256", claims.blake2b_256, computed.blake2b_256),
    )
    for algorithm, said, seen in claimed:
        if said is not None and said.lower() != seen:
            raise BadRequest(
                f"The {algorithm} digest sent is not that of the bytes received; "
                "send the file again."
            )


def _ignore() -> None:
    """Have work go on as if somebody waited for it."""


async def shielded(
    work: Coroutine[Any, Any, T], given_up: Callable[[], None] = _ignore
) -> T:
    """Await *work* without passing a cancellation on to it; it goes on to its end.

    :param given_up: called when it is awaited no longer, to end what may be ended.
    """
    waiting: Deferred[T] = Deferred(lambda _: given_up())

    def answer(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)

    Deferred.fromCoroutine(work).addBoth(answer)
    return await waiting
