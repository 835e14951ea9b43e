"""An upload, from its first byte to the manifest that names it (decision D1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred

from pypicloud_tw.errors import NotFound, PayloadTooLarge, PypicloudError, StoreError
from pypicloud_tw.index.admission import Claims, admission, check_claims, check_digests
from pypicloud_tw.index.archive import Inspection
from pypicloud_tw.index.audit import SERVER, Act, Actor
from pypicloud_tw.index.first_uploads import FirstUpload, Stage
from pypicloud_tw.index.history import Doing, recorded
from pypicloud_tw.index.manifests import Change
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.index.provenance import provenance
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.store.interfaces import IUpload


@define(eq=False)
class Publication:
    """One file on its way into the index: begun, written, then finished or aborted.

    :ivar actor: who uploads it.
    :ivar size_hint: about how many bytes will come, if the sender told.
    :ivar limit: bytes of the largest file that is taken; None: of any.
    :ivar begun: there is a file; before, there is no ``filename``.
    :ivar warnings: what its sender should know of it; known when it was judged.
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
    _received: int = field(default=0, init=False)
    warnings: tuple[str, ...] = field(default=(), init=False)
    _given_up: bool = field(default=False, init=False)
    _inspecting: Deferred[Inspection] | None = field(default=None, init=False)

    async def begin(
        self, filename: Filename, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Make ready to take the file's bytes.

        :param metadata: what is written beside the object, where the store can.
        :raises InsufficientStorage: so many would not fit.
        :raises Unavailable: nothing may be changed now, so the bytes would be in vain.
        """
        publisher = self.publisher
        publisher.manifests.check_open()
        self.filename = filename
        self._key = f"{publisher.new_folder(filename.project)}/{filename.text}"
        self._upload = await publisher.store.begin(
            self._key, size_hint=self.size_hint, metadata=metadata
        )
        self._began = publisher.clock.seconds()
        self.begun = True

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

    async def finish(self, claims: Claims, *, overwrite: bool = False) -> Project:
        """Check everything, then publish: durable and visible when this returns.

        Publishing the same bytes again changes nothing and succeeds, so that a publish
        whose answer was lost can simply be repeated.

        :param overwrite: whoever publishes it may replace a file of that name.
        :raises BadRequest: the file is not what it says it is; nothing is kept.
        :raises Conflict: the filename, or another spelling of it, is taken by other
            bytes.
        :raises StoreError: the store is away; it may have been published. Or it took so
            long that it was not.
        :raises CancelledError: it was given up before it was looked into.
        """
        spool = self._upload.spool
        digests = await spool.finish()
        check_claims(claims, self.filename)
        check_digests(claims, digests)
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
            uploader=self.actor.name,
            publisher=_job(self.actor),
        )
        display_name = inspection.name or claims.name or self.filename.project
        admit = partial(
            admission,
            display_name=display_name,
            rules=self.publisher.rules,
            overwrite=overwrite,
        )
        project = await self._commit(file, admit, inspection.metadata)
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
            self.publisher.inspect(spool, self.filename, self.actor.name)
        )
        return await self._inspecting

    async def abort(self) -> None:
        """Forget it; harmless after :meth:`finish`, and if it never began."""
        if self.begun:
            await self._upload.abort()

    async def _commit(
        self, file: File, admit: Callable[[File], Change], metadata: bytes | None
    ) -> Project:
        publisher, name = self.publisher, self.filename.project
        doing = publisher.doing(self.actor)
        change = _written_down(admit(file), file, doing)
        state = await publisher.find(name)
        if state is not None and change(state.project) is state.project:
            there = await self._find_there(change)
            if there is not None:
                return there
        first = None
        if state is None:
            first = FirstUpload.of(publisher.store, file.key)
            await first.reach(Stage.STORING)
        await self._upload.commit()
        publisher.checkpoint("publish:file")
        if metadata is not None:
            file = await publisher.put_metadata(file, metadata)
            change = _written_down(admit(file), file, doing)
            publisher.checkpoint("publish:metadata")
        if first is not None:
            self._check_time()
            await first.reach(Stage.SWAPPING)
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
            await publisher.discard(file, first)
        else:
            publisher.audit(_published(self.actor, file, name))
            if first is not None:
                await first.end()
        return project

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


def _job(actor: Actor) -> Mapping[str, str] | None:
    """Return what is kept of the CI job that uploads; None: it is none."""
    if actor.proof.kind != "publisher":
        return None
    publisher = (actor.name or "").removeprefix("publisher ")
    return provenance(publisher, actor.proof.details)


def _written_down(change: Change, file: File, doing: Doing) -> Change:
    """Have a change that publishes a file write so into the history."""
    entry = doing.entry("published", [file.filename], version=file.version)

    def written_down(project: Project) -> Project:
        after = change(project)
        return after if after is project else recorded(after, entry)

    return written_down


def _published(actor: Actor, file: File, name: NormalizedName) -> Act:
    return Act(actor, "published", name, file.version, file.filename, file.sha256)


def too_large(limit: int) -> PayloadTooLarge:
    """Make the error that says the largest size that is taken."""
    return PayloadTooLarge(
        f"Files of more than {limit} bytes are not taken here "
        "(pypi.max_upload in the ini)."
    )
