"""Doing with projects what was done where a bundle comes from.

What was decided here stays, unless it was decided anew there since the bundle before.
"""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.errors import NotFound, PypicloudError
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.model import Project, Selection
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.statuses import CLOSED
from pypicloud_tw.moving.bundle.values import BundleIndex, OwnFile, OwnProject
from pypicloud_tw.moving.report import Report


@frozen
class Follower:
    """Repeats acts on projects.

    :ivar report: is told what could not be done.
    """

    index: Index
    bundle: BundleIndex
    actor: Actor
    report: Report

    @property
    def _reason(self) -> str:
        return f"As in bundle {self.bundle.number}."

    async def prepare(self, new: OwnProject, old: OwnProject) -> None:
        """Before files are taken: reopen what was closed, restore what was deleted."""
        here = await self._here(new.name)
        if here is None:
            return
        reopened = old.status in CLOSED and new.status not in CLOSED
        if reopened and here.status == old.status:
            await self._set_status(here.name, new)
        for file in new.files:
            tombstone = here.tombstone(file.filename)
            if (
                old.has_deleted(file.filename, file.sha256)
                and tombstone is not None
                and tombstone.sha256 == file.sha256
            ):
                await self._restore(here.name, file)

    async def follow(self, new: OwnProject, old: OwnProject) -> None:
        """Delete, yank and set the status, as far as that was done there."""
        here = await self._here(new.name)
        if here is None:
            return
        for gone in new.deleted:
            known = old.has_deleted(gone.filename, gone.sha256)
            file = here.file(gone.filename)
            if file is not None and file.sha256 == gone.sha256 and not known:
                await self._delete(here.name, gone.filename)
        for one in new.files:
            before = old.file(one.filename)
            if before is not None and before.yanked != one.yanked:
                await self._yank(here, one)
        if (old.status, old.status_reason) != (new.status, new.status_reason):
            await self._set_status(here.name, new)

    async def _here(self, name: str) -> Project | None:
        try:
            found = await self.index.catalog.project(NormalizedName(name))
        except NotFound:
            return None
        return found.project

    async def _restore(self, name: NormalizedName, file: OwnFile) -> None:
        try:
            await self.index.acts.restore(
                name, Selection(file=file.filename), actor=self.actor
            )
        except PypicloudError as e:
            self._remark(name, file.filename, e)

    async def _delete(self, name: NormalizedName, filename: str) -> None:
        try:
            await self.index.acts.delete(
                name, Selection(file=filename), self._reason, actor=self.actor
            )
        except PypicloudError as e:
            self._remark(name, filename, e)

    async def _yank(self, here: Project, file: OwnFile) -> None:
        have = here.file(file.filename)
        if have is None or have.sha256 != file.sha256 or have.yanked == file.yanked:
            return
        what, acts = Selection(file=file.filename), self.index.acts
        try:
            if file.yanked is None:
                await acts.unyank(here.name, what, actor=self.actor)
            else:
                await acts.yank(here.name, what, file.yanked, actor=self.actor)
        except PypicloudError as e:
            self._remark(here.name, file.filename, e)

    async def _set_status(self, name: NormalizedName, new: OwnProject) -> None:
        try:
            await self.index.acts.set_status(
                name, new.status, new.status_reason, actor=self.actor
            )
        except PypicloudError as e:
            self._remark(name, None, e)

    def _remark(
        self, name: NormalizedName, filename: str | None, error: PypicloudError
    ) -> None:
        self.report.remark(name, filename, "failed", error.message)
