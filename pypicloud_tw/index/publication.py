"""An upload, from its first byte to the manifest that names it (decision D1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred

from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import (
    BadRequest,
    NotFound,
    PayloadTooLarge,
    PypicloudError,
    StoreError,
)
from pypicloud_tw.index.admission import (
    Claims,
    Screen,
    admission,
    check_claims,
    check_digests,
    take_all,
)
from pypicloud_tw.index.archive import Inspection
from pypicloud_tw.index.attestations.question import LEAVE_OUT
from pypicloud_tw.index.audit import SERVER, Act, Actor
from pypicloud_tw.index.ci_job import describe_job
from pypicloud_tw.index.first_uploads import FirstUpload, Stage
from pypicloud_tw.index.history import Doing, gathered, recorded
from pypicloud_tw.index.imported import Imported
from pypicloud_tw.index.layout import PROVENANCE_SUFFIX
from pypicloud_tw.index.manifests import Change, Versioned
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.statuses import check_takes_files
from pypicloud_tw.index.taking import Placed, SmallFile, described, judged
from pypicloud_tw.store.interfaces import IUpload
from pypicloud_tw.store.small import SMALL

T = TypeVar("T")

_HAS_PROVENANCE = (
    "The file was here already and keeps the attestations that it has; those sent now "
    "hold, and are not kept."
)


@frozen
class Contents:
    """What is to be stored beside a file."""

    metadata: bytes | None = field(repr=False)
    provenance: bytes | None = field(repr=False)


@define(eq=False)
class Publication:
    """One file on its way into the index: begun, written, then finished or aborted.

    :ivar actor: who uploads it.
    :ivar size_hint: about how many bytes will come, if the sender told.
    :ivar limit: bytes of the largest file that is taken; None: of any.
    :ivar begun: there is a file; before, there is no ``filename``.
    :ivar warnings: what its sender should know of it; known when it was judged.
    :ivar was_there: these bytes were published before, so that nothing was changed.
    """

    publisher: Publisher
    actor: Actor = SERVER
    size_hint: int | None = None
    limit: int | None = None
    begun: bool = field(default=False, init=False)
    filename: Filename = field(init=False, repr=False)
    _key: str = field(init=False, repr=False)
    _upload: IUpload = field(init=False, repr=False)
    _began: float = field(init=False, repr=False)
    _looked: bool = field(default=False, init=False)
    _found: bool = field(default=False, init=False)
    _remembered: bool = field(default=False, init=False)
    _state: Versioned | None = field(default=None, init=False)
    _received: int = field(default=0, init=False)
    warnings: tuple[str, ...] = field(default=(), init=False)
    was_there: bool = field(default=False, init=False)
    _imported: Imported | None = field(default=None, init=False)
    _given_up: bool = field(default=False, init=False)
    _working: Deferred[Any] | None = field(default=None, init=False)

    async def begin(
        self, filename: Filename, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Make ready to take the file's bytes.

        :param metadata: what is written beside the object, where the store can.
        :raises Forbidden: the project's status lets none be added.
        :raises InsufficientStorage: so many would not fit.
        :raises Unavailable: nothing may be changed now, so the bytes would be in vain.
        """
        publisher = self.publisher
        publisher.manifests.check_open()
        await self._check_status(filename.project)
        self.filename = filename
        self._key = f"{publisher.new_folder(filename.project)}/{filename.text}"
        self._upload = await publisher.store.begin(
            self._key,
            size_hint=self.size_hint,
            small=self._is_small,
            metadata=metadata,
        )
        self._began = publisher.clock.seconds()
        self.begun = True

    @property
    def _is_small(self) -> bool:
        """Whether so few bytes will come that they may be kept in memory."""
        return self.size_hint is not None and self.size_hint <= SMALL

    async def _check_status(self, name: NormalizedName) -> None:
        """Spare the sender the bytes; the swap asks again, and decides."""
        publisher = self.publisher
        known = publisher.catalog.fresh(name)
        if known is None and not self._is_small:
            self._looked = True
            self._state = await publisher.look(name)
        if (state := known or self._state) is not None:
            check_takes_files(state.project)

    async def _find(self) -> Versioned | None:
        """Find the project; the store is not asked what it has said already.

        The swap decides, by what there is then.
        """
        publisher, name = self.publisher, self.filename.project
        if not self._looked:
            self._looked = True
            self._state = publisher.manifests.last_known(name)
            self._remembered = self._state is not None
            self._state = self._state or await publisher.look(name)
        if not self._found:
            self._state = self._state or await publisher.find_again(name)
            self._found = True
        return self._state

    async def write(self, data: bytes) -> None:
        """Take more of the file's bytes; returns when the sender may go on.

        :raises PayloadTooLarge: they are more than :attr:`limit`.
        :raises InsufficientStorage: there is no room for them.
        :raises StoreError: the store failed for good.
        """
        self._received += len(data)
        if self.limit is not None and self._received > self.limit:
            raise too_large(self.limit)
        await self._upload.write(data)

    async def finish(
        self,
        claims: Claims,
        *,
        overwrite: bool = False,
        attestations: str | None = None,
        screen: Screen = take_all,
        imported: Imported | None = None,
    ) -> Project:
        """Check everything, then publish: durable and visible when this returns.

        Publishing the same bytes again changes nothing and succeeds, so that a publish
        whose answer was lost can simply be repeated. A file that was published without
        attestations gets those that come with its bytes the second time.

        :param overwrite: whoever publishes it may replace a file of that name.
        :param attestations: of the file, as they were sent (PEP 740), if any were.
        :param screen: raises the error for a file that must not be taken in.
        :param imported: what another index says of it; None: it is uploaded.
        :raises BadRequest: the file is not what it says it is, or what is attested of
            it does not hold; nothing is kept.
        :raises Conflict: the filename, or another spelling of it, is taken by other
            bytes.
        :raises StoreError: the store is away; it may have been published. Or it took so
            long that it was not.
        :raises CancelledError: it was given up before it was looked into.
        """
        self._imported = imported
        spool = self._upload.spool
        digests = await spool.finish()
        check_claims(claims, self.filename)
        if claims.lack_sha256:
            digests = await spool.more_digests()
        check_digests(claims, digests)
        screen(self.filename.project, str(self.filename.version), digests.sha256)
        file = File(
            filename=self.filename.text,
            version=str(self.filename.version),
            key=self._key,
            size=spool.size,
            sha256=digests.sha256,
            md5=digests.md5,
            blake2b_256=digests.blake2b_256,
            upload_time=self._uploaded(),
            uploader=self.actor.name,
            publisher=_job(self.actor),
        )
        if imported is not None:
            file = evolve(
                file, uploader=imported.uploader, yanked=imported.yanked, publisher=None
            )
        admit = partial(
            admission,
            rules=self.publisher.rules,
            overwrite=overwrite,
            imported=imported is not None,
        )
        placed = None
        if attestations is None:
            placed = await self._place(admit(file, self.filename.project))
        inspection = await self._inspect() if placed is None else placed.inspection
        self.warnings += inspection.warnings
        provenance = await self._judge(attestations, digests.sha256)
        file = evolve(
            file,
            upload_time=self._uploaded(),
            requires_python=inspection.requires_python,
            summary=inspection.summary,
            provenance_key=self._key + PROVENANCE_SUFFIX if provenance else None,
        )
        display_name = inspection.name or claims.name or self.filename.project
        project = await self._commit(
            file,
            partial(admit, display_name=display_name),
            placed or Contents(inspection.metadata, provenance),
        )
        self.publisher.warn(file.filename, self.warnings)
        self.publisher.uploads += 1
        return project

    def _uploaded(self) -> datetime:
        now = self.publisher.now()
        return now if self._imported is None else self._imported.uploaded_by(now)

    def give_up(self) -> None:
        """Look no further into it: nobody waits for it any more.

        What was found fit goes on into the index all the same.
        """
        self._given_up = True
        if self._working is not None:
            self._working.cancel()

    async def _place(self, change: Change) -> Placed | None:
        """Have a small file judged and placed by one job, if it will be admitted.

        :param change: adds it to its project, as far as it is known yet.
        :returns: None: it is to be judged and stored, one after the other.
        """
        data = self._upload.spool.whole
        if data is None or not self._upload.places:
            return None
        state, notice = await self._find(), None
        if state is None:
            # To store it takes no longer than to swap: it is told of both at once.
            self._check_time()
            notice = self._first_upload().notice(Stage.SWAPPING)
        elif not _applies(change, state.project):
            return None

        def make() -> SmallFile:
            legacy, placer = self.publisher.rules.legacy_formats, self._upload.placer()
            return SmallFile(data, self.filename, legacy, placer, notice)

        small_files = self.publisher.small_files
        placed = await self._apart(
            lambda: small_files.take(self.actor.name, len(data), make)
        )
        self._upload.placed(placed.receipt)
        for step in ("file", "metadata"):
            self.publisher.checkpoint(f"publish:{step}")
        return placed

    def _first_upload(self) -> FirstUpload:
        return FirstUpload.of(self.publisher.store, self._key)

    async def _inspect(self) -> Inspection:
        """Look into the file, and apply the rules of the index to what is found."""
        spool, publisher = self._upload.spool, self.publisher
        inspect = partial(publisher.inspect, spool, self.filename, self.actor.name)
        found = await self._apart(lambda: Deferred.fromCoroutine(inspect()))
        return judged(found, legacy=publisher.rules.legacy_formats)

    async def _apart(self, begin: Callable[[], Deferred[T]]) -> T:
        """Await work of a helper, which ends when this is given up."""
        if self._given_up:
            raise CancelledError
        working = begin()
        self._working = working
        return await working

    async def _judge(self, attestations: str | None, sha256: str) -> bytes | None:
        if attestations is None:
            return None
        judge = self.publisher.attestations.provenance
        try:
            return await self.publisher.in_turn(
                self.actor.name,
                partial(judge, attestations, self.filename, sha256, self.actor),
            )
        except BadRequest as e:
            # Nobody can send it again without them.
            if self._imported is None:
                raise
            why = e.message.partition(LEAVE_OUT)[0].rstrip()
            self.warnings += (f"What is attested of it is not kept: {why}",)
            return None

    async def abort(self) -> None:
        """Forget it; harmless after :meth:`finish`, and if it never began."""
        if self.begun:
            await self._upload.abort()

    async def _commit(
        self,
        file: File,
        admit: Callable[[File], Change],
        stored: Placed | Contents,
    ) -> Project:
        publisher, name = self.publisher, self.filename.project
        imported = self._imported
        doing = publisher.doing(self.actor, imported.began if imported else None)
        provenance = isinstance(stored, Contents) and stored.provenance is not None
        change = _written_down(admit(file), file, doing, self._imported)
        state = await self._find()
        if self._remembered and state and not _applies(change, state.project):
            # What nobody has read just now may refuse nobody.
            state = await publisher.find(name)
        idle = state is not None and change(state.project) is state.project
        if idle and isinstance(stored, Contents):
            there = await self._find_there(change)
            if there is not None:
                self.was_there = True
                if provenance:
                    self.warnings += (_HAS_PROVENANCE,)
                return there
        first = None
        new: tuple[str, ...] = ()
        if state is None:
            new = await publisher.warnings_of_new(name)
            self.warnings += new
            first = self._first_upload()
        if isinstance(stored, Placed):
            file = stored.describe(file)
        else:
            file = await self._store(file, stored, first)
        change = _written_down(admit(file), file, doing, self._imported)
        try:
            project = await publisher.change(
                name, self._timely(change), create=first is not None
            )
        except (StoreError, NotFound):
            # It may be committed, and then it names the object. Or the manifest was
            # lost meanwhile, and is rebuilt of what lies there.
            raise
        except PypicloudError:
            await publisher.discard(file, first)
            raise
        # By the key alone: it may have been yanked in the same swap. One that is gone
        # again has a tombstone, which is the sweep's.
        named = project.file(file.filename)
        if named is not None and named.key != file.key:
            self.was_there = True
            if provenance and named.provenance_key == file.provenance_key:
                publisher.audit(_did("attested", self.actor, file, name))
                file = evolve(file, provenance_key=None)
            await publisher.discard(file, first)
        else:
            publisher.audit(self._published(file, name, new))
            if first is not None:
                await first.end()
        return project

    def _published(self, file: File, name: NormalizedName, new: Iterable[str]) -> Act:
        if self._imported is None:
            return _did("published", self.actor, file, name, " ".join(new))
        reason = " ".join((_origin(self._imported), *new))
        return _did("imported", self.actor, file, name, reason)

    async def _store(
        self, file: File, contents: Contents, first: FirstUpload | None
    ) -> File:
        """Store the file and what belongs to it; return it with its metadata."""
        publisher = self.publisher
        if first is not None:
            await first.reach(Stage.STORING)
        steps: deque[tuple[str, Callable[[], Awaitable[object]]]] = deque()
        steps.append(("file", self._upload.commit))
        if (metadata := contents.metadata) is not None:
            file = described(file, sha256(metadata).hexdigest())
            steps.append(("metadata", partial(publisher.put_metadata, file, metadata)))
        if (provenance := contents.provenance) is not None:
            put = partial(publisher.put_provenance, file, provenance)
            steps.append(("provenance", put))

        async def work() -> None:
            while steps:
                name, step = steps.popleft()
                await step()
                publisher.checkpoint(f"publish:{name}")

        await side_by_side(len(steps), work, steps)
        if first is not None:
            self._check_time()
            await first.reach(Stage.SWAPPING)
        return file

    async def _find_there(self, change: Change) -> Project | None:
        """Return the project if this very file is in it; None: it was deleted just now.

        Nothing is added meanwhile: the bytes are not stored.
        """
        gone = False

        def look(project: Project) -> Project:
            nonlocal gone
            gone = change(project) is not project
            return project

        project = await self.publisher.change(self.filename.project, look)
        return None if gone else project

    def _check_time(self) -> None:
        """Return if no sweep may take our objects for orphans yet.

        :raises StoreError: one may. Like a store that failed: the sweep takes away what
            is not named.
        """
        ends = self._began + self.publisher.rules.sweep_age / 2
        if self.publisher.clock.seconds() > ends:
            raise StoreError("This upload took too long to be kept; send it again.")

    def _timely(self, change: Change) -> Change:
        """Refuse a change that comes too late.

        It is asked at every try to swap: one may wait long for its turn.
        """

        def timely(project: Project) -> Project:
            after = change(project)
            if after is not project:
                self._check_time()
            return after

        return timely


def _applies(change: Change, project: Project) -> bool:
    """Return whether a change does something to a project, rather than be refused."""
    try:
        return change(project) is not project
    except PypicloudError:
        return False


def _job(actor: Actor) -> Mapping[str, str] | None:
    """Return what is kept of the CI job that uploads; None: it is none."""
    if actor.proof.kind != "publisher":
        return None
    publisher = (actor.name or "").removeprefix("publisher ")
    return describe_job(publisher, actor.proof.details)


def _origin(imported: Imported) -> str:
    """Say where a file comes from."""
    by = f", uploaded there by {imported.uploader}" if imported.uploader else ""
    return f"from {imported.source}{by}"


def _written_down(
    change: Change, file: File, doing: Doing, imported: Imported | None
) -> Change:
    """Have a change that publishes a file write so into the history."""

    def written_down(project: Project) -> Project:
        after = change(project)
        if after is project:
            return after
        named = after.file(file.filename)
        if named is not None and named.key != file.key:
            entry = doing.entry("attested", [file.filename], version=file.version)
            return recorded(after, entry)
        if imported is None:
            entry = doing.entry("published", [file.filename], version=file.version)
            return recorded(after, entry)
        reason = f"from {imported.source}"
        return gathered(
            after,
            doing.entry(
                "imported", [file.filename], version=file.version, reason=reason
            ),
        )

    return written_down


def _did(
    act: str, actor: Actor, file: File, name: NormalizedName, reason: str = ""
) -> Act:
    about = name, file.version, file.filename, file.sha256
    return Act(actor, act, *about, reason or None)


def too_large(limit: int) -> PayloadTooLarge:
    """Make the error that says the largest size that is taken."""
    return PayloadTooLarge(
        f"Files of more than {limit} bytes are not taken here "
        "(pypi.max_upload in the ini)."
    )
