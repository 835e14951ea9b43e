"""Writing a lost manifest anew from the objects that lie there (decision D1).

Each file is judged as adopting judges it. What only the manifest knew is lost with it:
what was yanked, which files were removed, the project's status. Of a large project
whose root can be read, only what the damaged parts knew is lost. Who uploaded a file is
found again where the store keeps that beside it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress

from attrs import define, evolve, frozen

from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import (
    BadRequest,
    Conflict,
    ManifestDamaged,
    NotFound,
    PreconditionFailed,
)
from pypicloud_tw.index.attestations.stored import is_about
from pypicloud_tw.index.first_uploads import Stage, UnderWay
from pypicloud_tw.index.history import recorded
from pypicloud_tw.index.layout import BESIDE, PROVENANCE_SUFFIX, own_project
from pypicloud_tw.index.manifest import MAX_MANIFEST, in_order, manifest_key
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import Filename, NormalizedName, file_identity
from pypicloud_tw.index.survey import Survey, survey
from pypicloud_tw.index.swaps import REMEMBERED
from pypicloud_tw.maintenance.adopt import AT_ONCE, NO_FAULTS, Adopter, Candidate
from pypicloud_tw.maintenance.progress import Skipped
from pypicloud_tw.maintenance.sweep import named_keys
from pypicloud_tw.store.interfaces import StoredBytes


@frozen
class Rebuilt:
    """What came of one project.

    :ivar files: what its manifest names now, or would.
    :ivar left: objects that it does not name, and why.
    :ivar damaged: where the manifest that could not be read is kept.
    """

    name: NormalizedName
    files: tuple[File, ...]
    left: tuple[Skipped, ...]
    damaged: str | None = None


@define
class Rebuilder:
    """Rebuilds manifests, and never overwrites one that can be read.

    :ivar adopter: judges the files.
    :ivar dry_run: only tell what would be done.
    """

    adopter: Adopter
    dry_run: bool = False
    _survey: Survey | None = None

    async def lost(self) -> list[NormalizedName]:
        """Look for the projects whose manifests were lost.

        :raises StoreError: the store is away.
        """
        return sorted((await self._look()).lost)

    async def _look(self) -> Survey:
        if self._survey is None:
            self._survey = await survey(self.adopter.store, self.adopter.manifests)
        return self._survey

    async def rebuild(self, name: NormalizedName) -> Rebuilt | None:
        """Write a project's manifest anew; None if it has one that can be read.

        :raises NotFound: nothing in the store is of this project.
        :raises Conflict: another made it meanwhile; this one was not written.
        :raises StoreError: the store is away.
        """
        adopter = self.adopter
        salvaged = None
        try:
            await adopter.manifests.read(name)
        except NotFound:
            damaged = None
        except ManifestDamaged:
            damaged = await adopter.store.get(manifest_key(name), limit=MAX_MANIFEST)
            salvaged = await adopter.manifests.salvage(name)
        else:
            return None
        found, left = await self._describe(name, salvaged)
        lost = (await self._look()).lost
        if not found and damaged is None and name not in lost:
            raise NotFound(f"There is nothing of {name} in the store to rebuild it of.")
        project = _together(salvaged or Project(name, name), found, left)
        kept = None
        if not self.dry_run:
            kept = await self._keep(name, damaged)
            await self._write(self._written_down(project), damaged)
        return Rebuilt(name, project.files, tuple(left), kept)

    async def _describe(
        self, name: NormalizedName, salvaged: Project | None
    ) -> tuple[list[tuple[File, str]], list[Skipped]]:
        """Judge everything that can be a file of the project, and is not known."""
        known = set() if salvaged is None else named_keys(salvaged)
        found: list[tuple[File, str]] = []
        left: list[Skipped] = []
        queue: deque[Candidate] = deque()
        async for candidate in self._candidates(name, left):
            if candidate.info.key not in known:
                queue.append(candidate)
        await self._leave_unfinished(name, queue, left)
        provenances = await self._provenances(name)

        async def work() -> None:
            while queue:
                candidate = queue.popleft()
                try:
                    described = await self._described(candidate, provenances)
                except NO_FAULTS as e:
                    # Its own fault, whenever it is read: the rest is served. A store
                    # that failed tells nothing of a file, and what is left out now is
                    # the sweep's.
                    left.append(Skipped(candidate.info.key, e.message))
                else:
                    found.append(described)

        await side_by_side(AT_ONCE, work, queue)
        return found, left

    async def _candidates(
        self, name: NormalizedName, left: list[Skipped]
    ) -> AsyncIterator[Candidate]:
        async for info in self.adopter.store.list(f"{name}/"):
            key = info.key
            if own_project(key) != name or key.endswith(BESIDE):
                continue
            try:
                # It was published once, whatever the settings are now.
                text = key.rpartition("/")[2]
                yield Candidate(info, Filename.parse(text, legacy=True, project=name))
            except BadRequest as e:
                left.append(Skipped(key, e.message))
        for info in (await self._look()).foreign:
            with suppress(BadRequest):
                filename = self.adopter.understand(info.key)
                if filename.project == name:
                    yield Candidate(info, filename)

    async def _leave_unfinished(
        self,
        name: NormalizedName,
        queue: deque[Candidate],
        left: list[Skipped],
    ) -> None:
        """Leave what no manifest has ever named; nobody was told that it was taken."""
        under_way = await UnderWay.listed(self.adopter.store, name)
        for candidate in list(queue):
            key = candidate.info.key
            if under_way.stage(key) is Stage.STORING:
                queue.remove(candidate)
                left.append(Skipped(key, "Its upload was broken off."))

    async def _provenances(self, name: NormalizedName) -> Mapping[str, list[str]]:
        """Find the provenance objects of a project, by the names of their files."""
        found: dict[str, list[str]] = defaultdict(list)
        async for info in self.adopter.store.list(f"{name}/"):
            if own_project(info.key) == name and info.key.endswith(PROVENANCE_SUFFIX):
                text = info.key.rpartition("/")[2]
                found[text.removesuffix(PROVENANCE_SUFFIX)].append(info.key)
        return found

    async def _provenance_of(self, file: File, keys: Iterable[str]) -> str | None:
        """Choose the one that is about a file's bytes; it was verified when stored."""
        for key in keys:
            stored = await self.adopter.store.get(key)
            if stored is not None and is_about(stored.data, file.sha256):
                return key
        return None

    async def _described(
        self, candidate: Candidate, provenances: Mapping[str, list[str]]
    ) -> tuple[File, str]:
        described = await self.adopter.describe(candidate)
        assert described is not None, "nothing is known of a project that is lost"
        if not self.dry_run:
            await self.adopter.keep_metadata(described)
        file = described.file
        info = await self.adopter.store.head(file.key)
        uploader = info.metadata.get("uploader")
        found = provenances.get(file.filename, ())
        provenance_key = await self._provenance_of(file, found)
        file = evolve(file, uploader=uploader, provenance_key=provenance_key)
        return file, described.display_name

    async def _keep(
        self, name: NormalizedName, damaged: StoredBytes | None
    ) -> str | None:
        """Keep a manifest that cannot be read, under a key that is no project's."""
        if damaged is None:
            return None
        moment = self.adopter.publisher.now().strftime("%Y%m%dT%H%M%S.%f")
        key = f"{manifest_key(name)}.damaged-{moment}"
        await self.adopter.store.put(key, damaged.data)
        return key

    def _written_down(self, project: Project) -> Project:
        """Write down that it was rebuilt; a history that was lost begins with that."""
        doing = self.adopter.publisher.doing(self.adopter.actor)
        names = [file.filename for file in project.files]
        rebuilt = recorded(project, doing.entry("rebuilt", names))
        return evolve(rebuilt, changes=(*project.changes[1 - REMEMBERED :], doing.id))

    async def _write(self, project: Project, damaged: StoredBytes | None) -> None:
        adopter, name = self.adopter, project.name
        adopter.manifests.check_open()
        try:
            state = await adopter.manifests.write(
                project, None if damaged is None else damaged.info.etag
            )
        except PreconditionFailed:
            raise Conflict(
                f"The manifest of {name} was written by another meanwhile; this one "
                "was not. Repeat this to see whether anything is left to do."
            ) from None
        for first in (await UnderWay.listed(adopter.store, name)).uploads():
            await first.end()
        await adopter.publisher.catalog.changed(name, state.project.serial)


def _together(
    project: Project, found: list[tuple[File, str]], left: list[Skipped]
) -> Project:
    """Add files that were found to those that the manifest still tells of."""
    buried = {tombstone.filename for tombstone in project.tombstones}
    left += [
        Skipped(file.key, "A file of its name was deleted; it does not come back.")
        for file, _ in found
        if file.filename in buried
    ]
    found = [one for one in found if one[0].filename not in buried]
    taken = {file_identity(file.filename) for file in project.files}
    others = [one for one in found if file_identity(one[0].filename) not in taken]
    left += [
        Skipped(file.key, "The manifest names another by its name.")
        for file, _ in found
        if file_identity(file.filename) in taken
    ]
    files, display_name = _newest(others, left)
    if not project.files and display_name is not None:
        project = evolve(project, display_name=display_name)
    return evolve(project, files=in_order((*project.files, *files)))


def _newest(
    found: list[tuple[File, str]], left: list[Skipped]
) -> tuple[tuple[File, ...], str | None]:
    """Choose among files of one name: the newest was the one that was served.

    :returns: the files in order, and the project's name as the newest spells it.
    """
    chosen: dict[object, File] = {}
    found = sorted(found, key=lambda one: one[0].upload_time)
    for file, _ in found:
        identity = file_identity(file.filename)
        if identity in chosen:
            left.append(Skipped(chosen[identity].key, "A newer one has its name."))
        chosen[identity] = file
    return in_order(chosen.values()), found[-1][1] if found else None
