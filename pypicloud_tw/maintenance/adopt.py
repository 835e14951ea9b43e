"""Adopting files that are in the store already, where they are (decision D1).

An older layout, or a hand-made copy: a file under any key joins by being named in its
project's manifest. Nothing is moved and nothing is ever shown less than before. What
was adopted is known by the manifest, so that a run can be broken off and repeated.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from attrs import define, evolve, field, frozen
from packaging.utils import canonicalize_name
from twisted.internet.defer import DeferredSemaphore

from pypicloud_tw.concurrency.side_by_side import next_of, side_by_side
from pypicloud_tw.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InsufficientStorage,
    ManifestDamaged,
    NotFound,
    ObjectNotFound,
    ObjectUnreadable,
)
from pypicloud_tw.index.archive import Inspection
from pypicloud_tw.index.audit import SERVER, Actor
from pypicloud_tw.index.first_uploads import FirstUpload, Stage
from pypicloud_tw.index.history import gathered
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.layout import METADATA_SUFFIX, is_own
from pypicloud_tw.index.manifest import in_order
from pypicloud_tw.index.manifests import Change, Manifests
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.statuses import check_takes_files
from pypicloud_tw.index.survey import Survey, lost, survey, why_unlisted
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.maintenance.progress import Progress, Skipped, Warned
from pypicloud_tw.store.interfaces import IObjectStore, ObjectInfo
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.store.spool_consumer import copy

#: Files read at a time; each costs a spool's buffer and a helper's turn.
AT_ONCE = 8

#: Files that are being read, or were read and wait to be named: all of one project that
#: wait share a swap, and a swap costs as much as its project is large.
UNDER_WAY = 64

#: What keeps the files of one project from being adopted, and nothing else.
NO_FAULTS = (
    BadRequest,
    Conflict,
    Forbidden,  # by its project's status
    InsufficientStorage,  # for this file, while others are read
    ManifestDamaged,
    NotFound,
    ObjectNotFound,
    ObjectUnreadable,
)

_SHA256 = re.compile(r"[0-9a-f]{64}")


@frozen
class Candidate:
    """An object that may be named in a manifest.

    :ivar info: as a listing tells of it.
    """

    info: ObjectInfo
    filename: Filename


@frozen
class Described:
    """A file as it will be named, and what was found in it.

    :ivar display_name: the project's name as the file spells it.
    """

    file: File
    display_name: str
    inspection: Inspection


@define
class Adopter:
    """Finds and adopts files.

    :ivar unserved: told of the projects that are ours without a manifest, before any
        file is read and at the end.
    :ivar report: told of every step.
    :ivar dry_run: only tell what would be adopted.
    :ivar survey: what is in the store; None: to be found out.
    :ivar actor: who has it done, for the projects' history.
    """

    store: IObjectStore
    manifests: Manifests
    publisher: Publisher
    unserved: Unserved = field()
    report: Callable[[Progress], None] = field(default=lambda progress: None)
    dry_run: bool = False
    survey: Survey | None = None
    actor: Actor = SERVER
    _began: datetime = field(init=False)
    # Projects as they were when last read or changed here, where there is work to do.
    _states: dict[NormalizedName, Project] = field(factory=dict, init=False)
    # Projects that have a manifest by now, of those that had files to be adopted.
    _named: set[NormalizedName] = field(factory=set, init=False)

    @_began.default
    def _now(self) -> datetime:
        return self.publisher.now()

    @unserved.default
    def _the_publishers(self) -> Unserved:
        return self.publisher.unserved

    @classmethod
    def over(
        cls,
        index: Index,
        *,
        report: Callable[[Progress], None] = lambda progress: None,
        dry_run: bool = False,
        survey: Survey | None = None,
        actor: Actor = SERVER,
    ) -> Adopter:
        """Make what adopts files of an index's store."""
        return cls(
            index.store,
            index.manifests,
            index.publisher,
            report=report,
            dry_run=dry_run,
            survey=survey,
            actor=actor,
        )

    async def run(self) -> Progress:
        """Adopt everything that can be.

        :raises StoreError: the store is away; what was adopted stays adopted.
        """
        progress = Progress()
        found = self.survey or await self.look()
        by_project = self._candidates(found, progress)
        self.report(progress)
        todo: deque[Candidate] = deque()
        names = deque(by_project)

        async def look() -> None:
            while names:
                name = names.popleft()
                try:
                    unnamed = await self._unnamed(name, by_project[name])
                except NO_FAULTS as e:
                    progress.skipped.extend(
                        Skipped(candidate.info.key, e.message)
                        for candidate in by_project[name]
                    )
                    continue
                progress.known += len(by_project[name]) - len(unnamed)
                todo.extend(unnamed)

        await side_by_side(AT_ONCE, look, names)
        self.report(progress)
        reading = DeferredSemaphore(AT_ONCE)
        await side_by_side(
            UNDER_WAY, lambda: self._adopt_each(todo, reading, progress), todo
        )
        await self._conclude(found, progress)
        return progress

    async def look(self) -> Survey:
        """Find out what is in the store; its names are reserved from now on.

        :raises StoreError: the store is away.
        """
        self.survey = await survey(self.store, self.manifests)
        if not self.dry_run:
            await self.unserved.tell(self.survey.reasons())
            for ended in self.survey.ended:
                await ended.end()
        return self.survey

    async def _conclude(self, found: Survey, progress: Progress) -> None:
        """Reserve the names of what was not adopted, and no others any more."""
        if self.dry_run:
            return
        found.manifests |= self._named
        skipped = {one.key: _sentence(one.reason) for one in progress.skipped}
        await self.unserved.tell(found.reasons(skipped.get))

    def _candidates(
        self, survey: Survey, progress: Progress
    ) -> dict[NormalizedName, list[Candidate]]:
        found: dict[NormalizedName, list[Candidate]] = defaultdict(list)
        gone = progress.lost = survey.lost
        for what in survey.unlisted:
            progress.found += 1
            progress.skipped.append(Skipped(what.key, why_unlisted(what)))
        for info in survey.foreign:
            progress.found += 1
            try:
                filename = self.understand(info.key)
            except BadRequest as e:
                progress.skipped.append(Skipped(info.key, e.message))
                continue
            if filename.project in gone:
                # To begin anew would hide what else the manifest named.
                progress.skipped.append(Skipped(info.key, lost(filename.project)))
            else:
                found[filename.project].append(Candidate(info, filename))
        return found

    def understand(self, key: str) -> Filename:
        """Parse what a file is from its key.

        :raises BadRequest: its name is no distribution's that is taken.
        """
        legacy = self.publisher.rules.legacy_formats
        folder, _, text = key.rpartition("/")
        # pypicloud 1.x's layouts have the project's name there.
        project = canonicalize_name(folder.rpartition("/")[2])
        return Filename.parse(text, legacy=legacy, project=project)

    async def _unnamed(
        self, name: NormalizedName, candidates: list[Candidate]
    ) -> list[Candidate]:
        try:
            state = await self.manifests.read(name)
        except NotFound:
            if self.survey is not None and name in self.survey.manifests:
                # It was lost since: to begin anew would hide what else it named.
                raise NotFound(lost(name)) from None
            return candidates
        self._named.add(name)
        named = {file.key for file in state.project.files}
        named.update(tombstone.key for tombstone in state.project.tombstones)
        if state.project.moving is not None:
            named.update(state.project.moving.left)
        unnamed = [c for c in candidates if c.info.key not in named]
        if unnamed:
            self._states[name] = state.project
        return unnamed

    async def _adopt_each(
        self,
        queue: deque[Candidate],
        reading: DeferredSemaphore,
        progress: Progress,
    ) -> None:
        while (candidate := await next_of(queue, reading)) is not None:
            try:
                adopted = await self._adopt(candidate, queue, reading)
                if adopted is None:
                    progress.known += 1
                else:
                    progress.adopted += 1
                    if adopted.warnings:
                        progress.warned.append(adopted)
            except NO_FAULTS as e:
                progress.skipped.append(Skipped(candidate.info.key, e.message))
            self.report(progress)

    async def _adopt(
        self,
        candidate: Candidate,
        queue: deque[Candidate],
        reading: DeferredSemaphore,
    ) -> Warned | None:
        """Adopt a file; None if its name and bytes are known from another place.

        :param reading: was acquired; it is released when the file is read.
        """
        name = candidate.filename.project
        try:
            if name in self._states:
                check_takes_files(self._states[name])
            if self.dry_run:
                return Warned(candidate.info.key, ())
            # Before anything is stored that nobody may name.
            self.manifests.check_open()
            described = await self.describe(candidate)
            first = None
            if described is not None:
                first = await self._begin(name, described)
                await self.keep_metadata(described)
        except NO_FAULTS:
            raise
        except BaseException:
            queue.clear()  # before another one begins, in this one's place
            raise
        finally:
            reading.release()
        if described is None:
            return None
        file = described.file
        project = await self.publisher.change(
            name, self._naming(described), create=name not in self._named
        )
        if first is not None:
            await first.end()
        self._states[name] = project
        self._named.add(name)
        named = project.file(file.filename)
        if named is None or named.key != file.key:
            return None
        return Warned(candidate.info.key, described.inspection.warnings)

    async def describe(self, candidate: Candidate) -> Described | None:
        """Read a file; None if it is known.

        :raises BadRequest: it is not a distribution that is taken.
        """
        found = await self._read(candidate)
        state = self._states.get(candidate.filename.project)
        if state is not None and self._naming(found)(state) is state:
            return None
        metadata = found.inspection.metadata
        if metadata is None:
            return found
        file = found.file
        place = file.key + METADATA_SUFFIX
        if not is_own(file.key):
            # Beside our own files: the folder that it lies in is its owner's.
            folder = self.publisher.new_folder(candidate.filename.project)
            place = f"{folder}/{file.filename}{METADATA_SUFFIX}"
        digest = sha256(metadata).hexdigest()
        return evolve(
            found, file=evolve(file, metadata_key=place, metadata_sha256=digest)
        )

    async def keep_metadata(self, described: Described) -> None:
        """Store a file's core metadata, if it has any."""
        metadata, place = described.inspection.metadata, described.file.metadata_key
        if metadata is not None and place is not None:
            await self.store.put(place, metadata)

    async def _begin(
        self, name: NormalizedName, described: Described
    ) -> FirstUpload | None:
        """Say of a project without a manifest that none names its core metadata yet.

        That this is about to be named need not be said: it is in the file, too.
        """
        place = described.file.metadata_key
        if place is None or name in self._named:
            return None
        first = FirstUpload.of(self.store, place)
        await first.reach(Stage.STORING)
        return first

    async def _read(self, candidate: Candidate) -> Described:
        """Read the whole file once, as an upload would be: digests and judgement."""
        spool = await Spool.temporary(
            self.publisher.offload, size_hint=candidate.info.size
        )
        try:
            download = await self.store.open(candidate.info.key)
            await copy(download, spool)
            digests = await spool.finish()
            inspection = await self.publisher.inspect(spool, candidate.filename)
            if _told_digest(download.info) not in (None, digests.sha256):
                raise BadRequest("Its bytes are not those that hash-sha256 tells of.")
        finally:
            await spool.close()
        inspection = _completed(inspection.lenient(), candidate, download.info)
        file = File(
            filename=candidate.filename.text,
            version=str(candidate.filename.version),
            key=candidate.info.key,
            size=spool.size,
            upload_time=candidate.info.modified,
            requires_python=inspection.requires_python,
            summary=inspection.summary,
            sha256=digests.sha256,
        )
        display_name = inspection.name or candidate.filename.project
        return Described(file, display_name, inspection)

    def _naming(self, described: Described) -> Change:
        """Make the change that has a project name a file."""
        file = described.file
        entry = self.publisher.doing(self.actor, self._began).entry(
            "adopted", [file.filename], version=file.version
        )

        def name_it(project: Project) -> Project:
            if _is_named(file, project):
                return project
            check_takes_files(project)
            named = evolve(
                project,
                display_name=(
                    project.display_name if project.files else described.display_name
                ),
                files=in_order((*project.files, file)),
            )
            return gathered(named, entry)

        return name_it


def _completed(
    inspection: Inspection, candidate: Candidate, info: ObjectInfo
) -> Inspection:
    """Add what pypicloud 1.x wrote beside a file that says nothing of itself."""
    name = info.metadata.get("name", "")
    if inspection.name or canonicalize_name(name) != candidate.filename.project:
        return inspection
    return evolve(
        inspection,
        name=name,
        requires_python=info.metadata.get("requires-python") or None,
        summary=info.metadata.get("summary") or None,
    )


def _told_digest(info: ObjectInfo) -> str | None:
    """Read the digest that pypicloud 1.x wrote beside a file, if it did."""
    digest = info.metadata.get("hash-sha256", "").lower()
    return digest if _SHA256.fullmatch(digest) else None


def _sentence(reason: str) -> str:
    """Say to whoever asks for a project why nothing of it is served."""
    return f"What lies in the store for this project was not taken: {reason}"


def _is_named(file: File, project: Project) -> bool:
    """Return whether a project has a file already.

    :raises Conflict: its name stands for other bytes.
    """
    existing = project.file(file.filename)
    if existing is not None and existing.sha256 == file.sha256:
        return True
    if existing is not None:
        raise Conflict("Another file of this name and other bytes is named already.")
    if project.tombstone(file.filename) is not None:
        raise Conflict("A file of this name was deleted; it does not come back.")
    return False
