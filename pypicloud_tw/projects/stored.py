"""Projects, shown and changed in the index itself, for whoever may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from attrs import evolve, frozen

from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.access.administration.values import WHATEVER, Required
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import (
    BadRequest,
    ConditionFailed,
    NotFound,
    PypicloudError,
)
from pypicloud_tw.index.acts import Acted, Acts, state_of
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.edits import WAS_DELETED, WAS_RESTORED
from pypicloud_tw.index.model import File, HistoryEntry, Project, Selection
from pypicloud_tw.index.names import NormalizedName, asked_project
from pypicloud_tw.index.undo import is_undoable, to_undo
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.releases import find_version
from pypicloud_tw.projects.search import Search, Words, page_of, searching
from pypicloud_tw.projects.server_status import server_status
from pypicloud_tw.projects.shown import (
    file_detail,
    past_act,
    project_detail,
    project_files,
    visible_files,
)
from pypicloud_tw.projects.values import (
    MOST,
    USUAL,
    Done,
    FileDetail,
    FoundPage,
    HistoryPage,
    Origin,
    OwnRight,
    ProjectDetail,
    ProjectFiles,
    ProjectsPage,
    ReleaseDetail,
    ServerStatus,
    StatusChange,
    Undo,
    Yank,
)


@frozen
class StoredProjects:
    """:class:`.ProjectAdministration` in the index itself.

    Whether the asker may is decided by the name alone, before anything is looked up; of
    an act, once more in the moment that it is done.
    """

    administered: AdministeredProjects
    actor: Actor
    authority: Authority

    # -- what there is ----------------------------------------------------------------

    async def projects(
        self, cursor: str | None = None, limit: int = USUAL, query: str | None = None
    ) -> ProjectsPage:
        """See :class:`.ProjectAdministration`."""
        _check_limit(limit)
        reads = self.authority.reads()
        words = None if query is None else Words.parse(query)
        names = await self.administered.catalog.names()

        def wanted(name: NormalizedName) -> bool:
            return (words is None or words.name(name)) and reads(name)

        page = page_of(names, cursor, limit, wanted)
        return await self.administered.look_through(page, self.actor.address)

    async def search(
        self,
        query: str,
        limit: int = USUAL,
        origin: Origin | None = None,
        right: OwnRight | None = None,
    ) -> FoundPage:
        """See :class:`.ProjectAdministration`."""
        _check_limit(limit)
        words = Words.parse(query)
        if not words.in_names:
            raise BadRequest("Give the words to search for.")
        administered = self.administered
        if administered.is_command:
            await administered.derived.catch_up()
        names, others = None, None
        if origin in (None, "ours"):
            names = await administered.catalog.names()
        if right is None:
            others = await administered.elsewhere.to_search(administered.index, origin)
        search = Search(words, self._shows(right), limit)
        found = searching(search, administered.derived, names, others)
        return await administered.look_through(found, self.actor.address)

    async def project(self, name: str) -> ProjectDetail:
        """See :class:`.ProjectAdministration`."""
        project = await self._read(name)
        detail = project_detail(
            project,
            state_of(project),
            managed=self._manages(project.name),
            restorable=timedelta(seconds=self._acts.restore_for),
        )
        return await self.administered.pieces.finish(detail)

    async def files(self, name: str) -> ProjectFiles:
        """See :class:`.ProjectAdministration`."""
        project = await self._read(name)
        found = project_files(
            project,
            managed=self._manages(project.name),
            restorable=timedelta(seconds=self._acts.restore_for),
        )
        return await self.administered.pieces.finish(found)

    async def release(self, name: str, version: str) -> ReleaseDetail:
        """See :class:`.ProjectAdministration`."""
        project = await self._read(name)
        seen = evolve(project, files=self._visible(project), status="active")
        found = find_version(seen, version)
        files = (f for f in seen.files if f.version == found)
        details = tuple(file_detail(project.name, file) for file in files)
        return ReleaseDetail(project.name, found, details)

    async def file(self, name: str, filename: str) -> FileDetail:
        """See :class:`.ProjectAdministration`."""
        project = await self._read(name)
        for file in self._visible(project):
            if file.filename == filename:
                return file_detail(project.name, file)
        raise NotFound("There is no such file here; it may have been deleted.")

    async def state(self, name: str) -> str:
        """Return what a project's state is, as an act can require it."""
        return state_of(await self._read(name))

    async def history(
        self, name: str, cursor: str | None = None, limit: int = USUAL
    ) -> HistoryPage:
        """See :class:`.ProjectAdministration`."""
        _check_limit(limit)
        project = await self._find(self._allowed(Action.MANAGE, name))
        part = await self._acts.history(project.name, cursor, limit)
        recent = {entry.id: entry for entry in project.history}
        items = tuple(
            past_act(entry, undoable=_undoable(project, recent.get(entry.id)))
            for entry in part.entries
        )
        return HistoryPage(items, part.cursor)

    # -- acts -------------------------------------------------------------------------

    async def yank(
        self, name: str, what: Selection, yank: Yank, required: Required = WHATEVER
    ) -> Done:
        """See :class:`.ProjectAdministration`."""
        project = self._allowed(Action.MANAGE, name)
        check = self._check(Action.MANAGE, required)
        return _done(
            await self._acts.yank(
                project, what, yank.reason, actor=self.actor, check=check
            )
        )

    async def unyank(
        self, name: str, what: Selection, required: Required = WHATEVER
    ) -> Done:
        """See :class:`.ProjectAdministration`."""
        project = self._allowed(Action.MANAGE, name)
        check = self._check(Action.MANAGE, required)
        return _done(
            await self._acts.unyank(project, what, actor=self.actor, check=check)
        )

    async def delete(
        self,
        name: str,
        what: Selection,
        required: Required = WHATEVER,
        reason: str | None = None,
    ) -> Done:
        """See :class:`.ProjectAdministration`."""
        project = self._allowed(Action.DELETE, name)
        check = self._check(Action.DELETE, required)
        return _done(
            await self._acts.delete(
                project, what, reason, actor=self.actor, check=check
            )
        )

    async def restore(
        self, name: str, what: Selection, required: Required = WHATEVER
    ) -> Done:
        """See :class:`.ProjectAdministration`."""
        project = self._allowed(Action.DELETE, name)
        check = self._check(Action.DELETE, required)
        return _done(
            await self._acts.restore(project, what, actor=self.actor, check=check)
        )

    async def set_status(
        self, name: str, change: StatusChange, required: Required = WHATEVER
    ) -> Done:
        """See :class:`.ProjectAdministration`."""
        project = self._allowed(Action.MANAGE, name)
        check = self._check(Action.MANAGE, required)
        return _done(
            await self._acts.set_status(
                project, change.status, change.reason, actor=self.actor, check=check
            )
        )

    async def undo(self, name: str, undo: Undo, required: Required = WHATEVER) -> Done:
        """See :class:`.ProjectAdministration`.

        What deleted or restored something takes the right to delete.
        """
        project = self._allowed(Action.MANAGE, name)
        may_manage = self._check(Action.MANAGE, required)

        def check(project: Project) -> None:
            may_manage(project)
            before = to_undo(project, undo.act).before or {}
            if before.keys() & {WAS_DELETED, WAS_RESTORED}:
                self.authority.check(Action.DELETE, project.name)

        return _done(
            await self._acts.undo(project, undo.act, actor=self.actor, check=check)
        )

    # -- the server -------------------------------------------------------------------

    async def server(self) -> ServerStatus:
        """See :class:`.ProjectAdministration`."""
        self.authority.check_administers()
        return await server_status(self.administered)

    # -- parts ------------------------------------------------------------------------

    @property
    def _acts(self) -> Acts:
        return self.administered.index.acts

    def _allowed(self, action: Action, name: str) -> NormalizedName:
        """Understand a name; what cannot be one is not here.

        :raises NotFound: it cannot, or must not be known to the asker.
        """
        normalized = asked_project(name)
        self.authority.check(action, normalized)
        return normalized

    async def _read(self, name: str) -> Project:
        return await self._find(self._allowed(Action.READ, name))

    async def _find(self, name: NormalizedName) -> Project:
        """Find a project as its page shows it.

        :raises NotFound: it is proved that there is none.
        :raises Unavailable: it is ours all the same, and cannot be shown.
        """
        try:
            return (await self.administered.catalog.project(name)).project
        except NotFound:
            await self.administered.index.unserved.refuse(name, asks=False)
            raise

    def _shows(self, right: OwnRight | None) -> Callable[[str], bool]:
        reads = self.authority.reads()
        if right is None:
            return reads
        may = self.authority.may(Action(right))
        return lambda name: reads(name) and may(name)

    def _manages(self, name: NormalizedName) -> bool:
        try:
            self.authority.check(Action.MANAGE, name)
        except PypicloudError:
            return False
        return True

    def _visible(self, project: Project) -> tuple[File, ...]:
        return visible_files(project, managed=self._manages(project.name))

    def _check(self, action: Action, required: Required) -> Callable[[Project], None]:
        """Return what judges the state that an act is applied to."""

        def check(project: Project) -> None:
            self.authority.check(action, project.name)
            check_state(required, state_of(project))

        return check


def check_state(required: Required, state: str) -> None:
    """Return if a project, which is there, is as is required.

    :raises ConditionFailed: it is not.
    """
    if required.absent:
        raise ConditionFailed("There is such a project.")
    if required.states is not None and state not in required.states:
        raise ConditionFailed(
            "The project was changed since; look at it as it is now, and decide anew."
        )


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST:
        raise BadRequest(f"The limit is a number from 1 to {MOST}.")


def _undoable(project: Project, entry: HistoryEntry | None) -> bool:
    return entry is not None and is_undoable(project, entry)


def _done(acted: Acted) -> Done:
    entry = acted.entry
    act = None
    if entry is not None:
        act = past_act(entry, undoable=is_undoable(acted.project, entry))
    return Done(entry is not None, acted.state, act, acted.left)
