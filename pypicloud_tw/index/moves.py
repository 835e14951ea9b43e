"""Moving the objects of a project that is quarantined, so that addresses die.

The store itself serves an object to whoever holds a signed address of it. So each
object is copied to another key, the manifest names that, and the former is deleted.

The manifest says where the objects move, and which of the former keys are left. So this
can be broken off at any point, and be ended by anybody: when the act is repeated, by a
sweep, or when a server starts. Several at once do no harm: a copy is the same whoever
made it, and the swap renames only what still has its former key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping

from attrs import define, evolve, field
from twisted.logger import Logger

from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import (
    NotFound,
    ObjectNotFound,
    ObjectUnreadable,
    PypicloudError,
)
from pypicloud_tw.index.manifests import Change
from pypicloud_tw.index.model import File, Project, Tombstone
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.publish import Publisher

#: {MOVES}{project}/{id}: tells that a project's objects may be on their way.
MOVES = ".moves/"

#: Objects that are copied or deleted at a time.
AT_ONCE = 8

#: Files that one swap gives their new keys. A swap of a large project costs as much as
#: a hundred copies; what is copied can be fetched at its old address until then.
BATCH = 200


@define(eq=False)
class Moves:
    """Moves objects to their new keys.

    Checkpoints are told of ``quarantine:copied``, ``quarantine:swapped`` and
    ``quarantine:told``, and ``quarantine:deleted``.

    :ivar batch: files that one swap gives their new keys.
    """

    publisher: Publisher
    batch: int = BATCH
    _moving: Coalesced[Project] = field(factory=Coalesced, init=False)
    _log = Logger()

    async def begin(self, name: NormalizedName, move: str) -> None:
        """Say that a project's objects may be about to move; durable.

        :raises StoreError: it may or may not be said.
        """
        await self.publisher.store.put(f"{MOVES}{name}/{move}", b"")

    async def finish_begun(self) -> list[str]:
        """Finish what was broken off; see :meth:`finish_each`.

        :raises StoreError: the store is away.
        """
        listing = self.publisher.store.list(MOVES)
        return await self.finish_each({move_of(info.key)[0] async for info in listing})

    async def finish_each(self, names: Iterable[NormalizedName]) -> list[str]:
        """Finish what of these projects is to be moved.

        :returns: what could not be, a sentence each.
        """
        problems = []
        for name in sorted(names):
            try:
                await self.finish(name)
            except NotFound:
                pass  # it was to be changed, and has no manifest
            except PypicloudError as e:
                problems.append(f"Objects of {name} could not be moved: {e.message}")
        return problems

    async def finish(self, name: NormalizedName) -> Project:
        """Move what of a project is still to be moved; several who ask share it.

        :raises NotFound: there is no such project.
        :raises StoreError: the store is away, or something could not be moved; what
            was moved stays so.
        """
        return await self._moving.ask(name, lambda: self._finish(name))

    async def end(self, name: NormalizedName, move: str) -> None:
        """Take back what :meth:`begin` said; a sweep does where that fails."""
        try:
            await self.publisher.store.delete(f"{MOVES}{name}/{move}")
        except PypicloudError as e:
            self._log.warn(
                "{key} is left for the next sweep: {error}",
                key=f"{MOVES}{name}/{move}",
                error=e.message,
            )

    async def _finish(self, name: NormalizedName) -> Project:
        project = (await self.publisher.manifests.read(name)).project
        stuck: set[str] = set()
        while (moving := project.moving) is not None:
            if moving.left:
                project = await self._delete(project, moving.left)
            else:
                project = await self._move(project, moving.to, stuck)
        return project

    async def _move(self, project: Project, to: str | None, stuck: set[str]) -> Project:
        """Move some of a project's objects, or end if there are no more.

        :param stuck: keys of objects that nobody may read; some are added.
        """
        todo = [] if to is None else _unmoved(project, to, stuck)
        if to is None or not todo:
            return await self._end(project, to, stuck)
        keys = {
            key: _target(project.name, to, key)
            for one in todo[: self.batch]
            for key in one.keys
        }
        await self._copy(keys, stuck)
        self.publisher.checkpoint("quarantine:copied")

        def rename(project: Project) -> Project:
            copied = {key: at for key, at in keys.items() if key not in stuck}
            return _renamed(project, to, copied)

        return await self._change(project, rename)

    async def _copy(self, keys: Mapping[str, str], stuck: set[str]) -> None:
        queue = deque(keys.items())

        async def work() -> None:
            while queue:
                source, key = queue.popleft()
                try:
                    await self.publisher.store.copy(source, key)
                except ObjectNotFound:
                    pass  # moved by another, or lost; then it stays so
                except ObjectUnreadable as e:
                    # Whoever has an address of it cannot read it either.
                    stuck.add(source)
                    self._log.warn(
                        "{key} is not moved: {error}", key=source, error=e.message
                    )

        await side_by_side(AT_ONCE, work, queue)

    async def _delete(self, project: Project, left: tuple[str, ...]) -> Project:
        queue = deque(left)

        async def work() -> None:
            while queue:
                await self.publisher.store.delete(queue.popleft())

        await side_by_side(AT_ONCE, work, queue)
        self.publisher.checkpoint("quarantine:deleted")

        def forget(project: Project) -> Project:
            moving = project.moving
            if moving is None or set(left).isdisjoint(moving.left):
                return project
            others = tuple(key for key in moving.left if key not in left)
            return evolve(project, moving=evolve(moving, left=others))

        return await self._change(project, forget)

    async def _end(self, project: Project, to: str | None, stuck: set[str]) -> Project:
        def end(project: Project) -> Project:
            moving = project.moving
            if moving is None or moving.left or moving.to != to:
                return project
            if to is not None and _unmoved(project, to, stuck):
                return project
            return evolve(project, moving=None)

        project = await self._change(project, end)
        if to is not None:
            await self.end(project.name, to)
        return project

    async def _change(self, project: Project, change: Change) -> Project:
        return await self.publisher.change(project.name, change, step="quarantine")


def move_of(key: str) -> tuple[NormalizedName, str]:
    """Return of which project, and which move of it, an object tells."""
    name, _, move = key.removeprefix(MOVES).partition("/")
    return NormalizedName(name), move


def is_moved(project: Project, key: str) -> bool:
    """Return whether this is where objects of a project are on their way to."""
    moving = project.moving
    if moving is None or moving.to is None:
        return False
    return key.startswith(f"{project.name}/{moving.to}/")


def _target(name: NormalizedName, to: str, key: str) -> str:
    return f"{name}/{to}/{key.rpartition('/')[2]}"


def _unmoved(
    project: Project, to: str, stuck: Container[str]
) -> list[File | Tombstone]:
    """List what has an object that is still to be moved."""
    every: tuple[File | Tombstone, ...] = (*project.files, *project.tombstones)
    there = f"{project.name}/{to}/"
    return [
        one
        for one in every
        if any(not key.startswith(there) and key not in stuck for key in one.keys)
    ]


def _renamed(project: Project, to: str, keys: Mapping[str, str]) -> Project:
    """Give what was copied its new keys, where it still has the former ones."""
    moving = project.moving
    every: tuple[File | Tombstone, ...] = (*project.files, *project.tombstones)
    left = tuple(key for one in every for key in one.keys if key in keys)
    if moving is None or moving.to != to or not left:
        return project
    return evolve(
        project,
        files=tuple(_at(file, keys) for file in project.files),
        tombstones=tuple(_buried_at(t, keys) for t in project.tombstones),
        moving=evolve(moving, left=(*moving.left, *left)),
    )


def _at(file: File, keys: Mapping[str, str]) -> File:
    if keys.keys().isdisjoint(file.keys):
        return file

    def now(key: str | None) -> str | None:
        return key and keys.get(key, key)

    return evolve(
        file,
        key=keys.get(file.key, file.key),
        metadata_key=now(file.metadata_key),
        provenance_key=now(file.provenance_key),
    )


def _buried_at(tombstone: Tombstone, keys: Mapping[str, str]) -> Tombstone:
    if keys.keys().isdisjoint(tombstone.keys):
        return tombstone
    metadata_key = tombstone.metadata_key
    return evolve(
        tombstone,
        key=keys.get(tombstone.key, tombstone.key),
        metadata_key=metadata_key and keys.get(metadata_key, metadata_key),
        file=None if tombstone.file is None else _at(tombstone.file, keys),
    )
