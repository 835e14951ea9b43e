"""Adopting files that lie in the store already, where they lie (DESIGN.md D1).

An older layout, or a hand-made copy: a file under any key joins by being named in its
project's manifest. Nothing is moved and nothing is ever shown less than before. What
was adopted is known by the manifest, so that a run can be broken off and repeated.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from hashlib import sha256
from secrets import token_hex
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredList

from pypicloud_tw.errors import BadRequest, Conflict, NotFound, ObjectNotFound
from pypicloud_tw.index.layout import METADATA_SUFFIX, is_foreign
from pypicloud_tw.index.manifest import in_order
from pypicloud_tw.index.manifests import Change, Manifests
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.store.interfaces import IObjectStore, ObjectInfo
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.store.spool_consumer import copy

#: Files read at a time; each costs a spool's buffer and a helper's turn.
AT_ONCE = 4


@frozen
class Skipped:
    """A file that was not adopted, and why."""

    key: str
    reason: str


@define
class Progress:
    """How far a run has come.

    :ivar found: files that are not ours and look like distributions.
    :ivar known: those that a manifest names already.
    """

    found: int = 0
    known: int = 0
    adopted: int = 0
    skipped: list[Skipped] = field(factory=list)

    @property
    def done(self) -> int:
        """Files that need no more work."""
        return self.known + self.adopted + len(self.skipped)


@frozen
class _Candidate:
    info: ObjectInfo
    filename: Filename


@define
class Adopter:
    """Finds and adopts files.

    :ivar report: told of every step.
    :ivar dry_run: only tell what would be adopted.
    """

    store: IObjectStore
    manifests: Manifests
    publisher: Publisher
    report: Callable[[Progress], None] = field(default=lambda progress: None)
    dry_run: bool = False

    async def run(self) -> Progress:
        """Adopt everything that can be.

        :raises StoreError: the store is away; what was adopted stays adopted.
        """
        progress = Progress()
        by_project: dict[NormalizedName, list[_Candidate]] = defaultdict(list)
        async for info in self.store.list(""):
            if not is_foreign(info.key):
                continue
            progress.found += 1
            try:
                filename = self._understand(info.key)
            except BadRequest as e:
                progress.skipped.append(Skipped(info.key, e.message))
            else:
                by_project[filename.project].append(_Candidate(info, filename))
        self.report(progress)
        todo = []
        for name, candidates in by_project.items():
            unnamed = await self._unnamed(name, candidates)
            progress.known += len(candidates) - len(unnamed)
            todo += unnamed
        self.report(progress)
        line = deque(todo)
        workers = [
            Deferred.fromCoroutine(self._adopt_each(line, progress))
            for _ in range(AT_ONCE)
        ]
        # All of them, also after a failure: nobody shall work on in an index that its
        # owner takes to be at rest.
        results: list[tuple[bool, Any]] = await DeferredList(
            workers, consumeErrors=True
        )
        for succeeded, result in results:
            if not succeeded:
                result.raiseException()
        return progress

    def _understand(self, key: str) -> Filename:
        legacy = self.publisher.rules.legacy_formats
        return Filename.parse(key.rpartition("/")[2], legacy=legacy)

    async def _unnamed(
        self, name: NormalizedName, candidates: list[_Candidate]
    ) -> list[_Candidate]:
        try:
            state = await self.manifests.read(name)
        except NotFound:
            return candidates
        assert state is not None, "an unconditional read answers"
        named = {file.key for file in state.project.files}
        named.update(tombstone.key for tombstone in state.project.tombstones)
        return [c for c in candidates if c.info.key not in named]

    async def _adopt_each(self, line: deque[_Candidate], progress: Progress) -> None:
        while line:
            candidate = line.popleft()
            try:
                if self.dry_run or await self._adopt(candidate):
                    progress.adopted += 1
                else:
                    progress.known += 1
            except (BadRequest, Conflict, NotFound, ObjectNotFound) as e:
                progress.skipped.append(Skipped(candidate.info.key, e.message))
            except BaseException:
                line.clear()  # the others end what they have begun, and no more
                raise
            self.report(progress)

    async def _adopt(self, candidate: _Candidate) -> bool:
        """Adopt a file; false if its name and bytes are known from another place."""
        spool = await Spool.temporary(
            self.publisher.offload, size_hint=candidate.info.size
        )
        try:
            await copy(await self.store.open(candidate.info.key), spool)
            file, metadata, display_name = await self._describe(candidate, spool)
        finally:
            await spool.close()
        name = candidate.filename.project
        change = _naming(file, display_name)
        if await self.publisher.is_done(name, change):
            return False
        if metadata is not None:
            # Beside our own files: the folder that it lies in is its owner's.
            place = f"{name}/{token_hex(16)}/{file.filename}{METADATA_SUFFIX}"
            await self.store.put(place, metadata)
            file = evolve(
                file,
                metadata_key=place,
                metadata_sha256=sha256(metadata).hexdigest(),
            )
        project = await self.publisher.change(
            name, _naming(file, display_name), create=True
        )
        named = project.file(file.filename)
        return named is not None and named.key == file.key

    async def _describe(
        self, candidate: _Candidate, spool: Spool
    ) -> tuple[File, bytes | None, str]:
        digests = await spool.finish()
        inspection = await self.publisher.inspect(spool, candidate.filename)
        file = File(
            filename=candidate.filename.text,
            version=str(candidate.filename.version),
            key=candidate.info.key,
            size=spool.size,
            sha256=digests.sha256,
            md5=digests.md5,
            blake2b_256=digests.blake2b_256,
            upload_time=candidate.info.modified,
            requires_python=inspection.requires_python,
            summary=inspection.summary,
        )
        name = inspection.name or candidate.filename.project
        return file, inspection.metadata, name


def _naming(file: File, display_name: str) -> Change:
    def name_it(project: Project) -> Project:
        existing = project.file(file.filename)
        if existing is not None and existing.sha256 == file.sha256:
            return project
        if existing is not None:
            raise Conflict(
                "Another file of this name and other bytes is named already."
            )
        if project.tombstone(file.filename) is not None:
            raise Conflict("A file of this name was deleted; it does not come back.")
        return evolve(
            project,
            display_name=project.display_name if project.files else display_name,
            files=in_order((*project.files, file)),
        )

    return name_it
