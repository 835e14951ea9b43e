"""Sees everything that the store does, and says at once what must not be."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from attrs import define, field

from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.first_uploads import PUBLISHING, Stage
from pypicloud_tw.index.layout import id_folder, own_project
from pypicloud_tw.index.manifest import decode, project_of
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.maintenance.sweep import named_keys
from tests.simulation.lineage import Complain, Lineage, Task
from tests.unsteady import LateStore


@define(eq=False)
class Witness:
    """What is in the store, as whoever runs it sees it.

    :ivar lineages: by the project's name.
    :ivar sweeps: tasks that are about every project.
    """

    complain: Complain
    store: LateStore = field(init=False)
    lineages: dict[str, Lineage] = field(factory=dict, init=False)
    everywhere: list[Task] = field(factory=list, init=False)
    _digests: dict[str, tuple[str, str]] = field(factory=dict, init=False)

    def watch(self, store: LateStore) -> None:
        """Begin; the store tells :meth:`after`."""
        self.store = store

    def lies_there(self, name: str, *, in_its_folder: bool) -> None:
        """Take down that somebody has copied a project's file into the store."""
        lineage, now = self.lineage(name), self.store.clock()
        if lineage.lies_since is None:
            lineage.lies_since = now
        if in_its_folder and lineage.in_folder_since is None:
            lineage.in_folder_since = now

    def lineage(self, name: str) -> Lineage:
        """Return what there was and is of a project."""
        if name not in self.lineages:
            made = self.lineages[name] = Lineage(NormalizedName(name), self.complain)
            made.tasks.extend(self.everywhere)
        return self.lineages[name]

    def expect(self, task: Task) -> None:
        """Take down that somebody asks for something."""
        if task.name is not None:
            self.lineage(task.name).tasks.append(task)
            return
        self.everywhere.append(task)
        for lineage in self.lineages.values():
            lineage.tasks.append(task)

    def after(self, operation: str, key: str) -> None:
        """See :class:`~pypicloud_tw.store.memory.MemoryStore`."""
        if operation == "put" and (name := project_of(key)) is not None:
            self._manifest(name, key)
        elif operation == "delete":
            self._deleted(key)

    def _manifest(self, name: NormalizedName, key: str) -> None:
        stored = self.store.objects[key]
        try:
            project = decode(name, stored.data)
        except PypicloudError as e:
            self.complain(f"{name}: a manifest is not well formed: {e}")
            return
        self.lineage(name).take(self.store.clock(), project, stored.info.etag)
        self.check_objects(project)

    def check_objects(self, project: Project) -> None:
        """Look whether everything is there that a manifest names, byte for byte."""
        for file in project.files:
            if self._digest(file.key) != file.sha256:
                self.complain(f"{project.name}: {file.key} is not what it should be")
            if file.metadata_key and (
                self._digest(file.metadata_key) != file.metadata_sha256
            ):
                self.complain(f"{file.metadata_key} is not what it should be")
        for tombstone in project.tombstones:
            self._check_there(project, tombstone.keys)

    def check_quarantine(self, lineage: Lineage) -> None:
        """Look whether addresses that were given out before lead nowhere any more."""
        states = [state.project for state in lineage.states]
        if states[-1].status != "quarantined":
            return
        for project in states:
            for file in project.files if project.status != "quarantined" else ():
                if file.key in self.store.objects:
                    self.complain(f"{file.key} can be fetched, and is in quarantine")

    def _check_there(self, project: Project, keys: Iterable[str]) -> None:
        for key in keys:
            if key not in self.store.objects:
                self.complain(f"{project.name}: {key} is gone, and could be restored")

    def _digest(self, key: str) -> str | None:
        stored = self.store.objects.get(key)
        if stored is None:
            return None
        etag, digest = self._digests.get(key, ("", ""))
        if etag != stored.info.etag:
            etag, digest = stored.info.etag, sha256(stored.data).hexdigest()
            self._digests[key] = etag, digest
        return digest

    def _deleted(self, key: str) -> None:
        name = own_project(key)
        project = self.lineages[name].project if name in self.lineages else None
        if project is not None and key in named_keys(project):
            self.complain(f"{key} was deleted, and is named")

    def unnamed(self) -> list[str]:
        """List what lies there by our own layout and that nothing names.

        What a first upload left that was broken off at its last step stays.
        """
        named: set[str] = set()
        for lineage in self.lineages.values():
            if lineage.project is not None:
                named |= named_keys(lineage.project)
        return sorted(
            key
            for key in self.store.objects
            if own_project(key) and key not in named and not self.in_doubt(key)
        )

    def in_doubt(self, key: str) -> bool:
        """Tell whether an object is of a first upload that may have been named."""
        told = self.store.objects.get(f"{PUBLISHING}{id_folder(key)}")
        return told is not None and told.data == Stage.SWAPPING.value
