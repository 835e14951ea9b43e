"""What a maintainer does with a project: one function, one swap, one record (D8).

Each act may be repeated: what is so already is not changed, written or recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import get_args

from attrs import define, evolve, field, frozen

from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.errors import BadRequest, NotFound, StoreError, Unavailable
from pypicloud_tw.index import edits
from pypicloud_tw.index.audit import SERVER, Act, Actor
from pypicloud_tw.index.edits import Edit
from pypicloud_tw.index.history import Doing, recorded
from pypicloud_tw.index.history_pages import HistoryPages, HistoryPart
from pypicloud_tw.index.model import (
    LONGEST_REASON,
    HistoryEntry,
    Project,
    ProjectStatus,
    Selection,
)
from pypicloud_tw.index.moves import Moves
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.undo import undo

#: Seconds for which what was deleted can be restored.
RESTORE_FOR = 7 * 24 * 3600.0

#: What is not printable and stands in texts all the same: in Persian and Hindi the
#: joiners (Unicode, section 23.2) tell letters how to be written.
_ALSO_WRITTEN = "\t\r\n\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"

#: Judges the project that a change is applied to; raises what the asker shall see.
Check = Callable[[Project], None]


def accept(project: Project) -> None:
    """Require nothing of a project."""


@frozen
class Acted:
    """What came of an act.

    :ivar project: as it is now.
    :ivar entry: of the history; None: nothing changed.
    :ivar left: what of it could not be done, a sentence each.
    """

    project: Project
    entry: HistoryEntry | None
    left: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """What changes whenever the project does."""
        return state_of(self.project)


def state_of(project: Project) -> str:
    """Return the id of a project's last change; empty: it has had none."""
    return project.changes[-1] if project.changes else ""


@define
class _Attempt:
    """One act on its way into a manifest; it may be applied to several states.

    :ivar moves: it may bring the project into quarantine, and out of it.
    :ivar done: what it made of the last state that it was applied to, if anything.
    :ivar left: what of it could not be done then, a sentence each.
    """

    act: str
    edit: Callable[[Project], Edit | None]
    doing: Doing
    check: Check
    reason: str | None = None
    moves: bool = False
    done: tuple[Edit, HistoryEntry] | None = field(default=None, init=False)
    left: tuple[str, ...] = field(default=(), init=False)

    def change(self, project: Project) -> Project:
        """Apply it."""
        self.done, self.left = None, ()
        self.check(project)
        edit = self.edit(project)
        if edit is None:
            return project
        self.left = edit.left
        if edit.project is project:
            return project
        entry = self.doing.entry(
            self.act,
            edit.files,
            version=edit.version,
            reason=self.reason if edit.reason is None else edit.reason,
            undoes=None if edit.undoes is None else edit.undoes.id,
            before=edit.before,
        )
        self.done = edit, entry
        return recorded(edit.project, entry)

    def record(self, name: NormalizedName) -> Act | None:
        """Return what the audit is told; None: nothing was done."""
        if self.done is None:
            return None
        edit, entry = self.done
        record = Act(
            self.doing.actor, self.act, name, entry.version, reason=entry.reason
        )
        if edit.file is None:
            return record
        return evolve(record, file=edit.file.filename, sha256=edit.file.sha256)


@define
class Acts:
    """Everything that is done with a project but uploads.

    All of them raise :class:`~pypicloud_tw.errors.NotFound` where there is no such
    project, and what *check* raises; and
    :class:`~pypicloud_tw.errors.StoreError` where the store is away: the act may have
    been done, and is repeated to find out.

    :ivar restore_for: seconds for which what was deleted can be restored.
    """

    publisher: Publisher
    restore_for: float = RESTORE_FOR
    moves: Moves = field(init=False)

    @moves.default
    def _new_moves(self) -> Moves:
        return Moves(self.publisher)

    async def yank(
        self,
        name: NormalizedName,
        what: Selection,
        reason: str = "",
        *,
        actor: Actor = SERVER,
        check: Check = accept,
    ) -> Acted:
        """Yank a release or a file, or give another reason (PEP 592).

        :param reason: shown by installers; may be empty.
        :raises BadRequest: neither was named, or the reason is too long.
        :raises NotFound: there is no such release or file.
        """
        _check_part(what)
        _check_reason(reason)
        doing = self._doing(actor)
        return await self._act(
            name,
            _Attempt(
                "yanked", lambda p: edits.yank(p, what, reason), doing, check, reason
            ),
        )

    async def unyank(
        self,
        name: NormalizedName,
        what: Selection,
        *,
        actor: Actor = SERVER,
        check: Check = accept,
    ) -> Acted:
        """Take back that a release or a file is yanked.

        :raises BadRequest: neither was named.
        :raises NotFound: there is no such release or file.
        """
        _check_part(what)
        doing = self._doing(actor)
        return await self._act(
            name,
            _Attempt("un-yanked", lambda p: edits.yank(p, what, None), doing, check),
        )

    async def delete(
        self,
        name: NormalizedName,
        what: Selection,
        reason: str | None = None,
        *,
        actor: Actor = SERVER,
        check: Check = accept,
    ) -> Acted:
        """Delete a file, a release, or every file of a project.

        The names of files stay taken, and the project's name stays ours.

        :raises NotFound: there is and was no such release or file.
        """
        _check_reason(reason)
        doing = self._doing(actor)
        return await self._act(
            name,
            _Attempt(
                "removed", lambda p: edits.delete(p, what, doing), doing, check, reason
            ),
        )

    async def prune(
        self,
        name: NormalizedName,
        versions: Iterable[str],
        *,
        reason: str | None = None,
        actor: Actor = SERVER,
        check: Check = accept,
    ) -> Acted:
        """Delete several releases of a project at once.

        :raises NotFound: there is and was no such release; nothing was deleted.
        """
        chosen = tuple(versions)
        _check_reason(reason)
        doing = self._doing(actor)
        return await self._act(
            name,
            _Attempt(
                "pruned", lambda p: edits.prune(p, chosen, doing), doing, check, reason
            ),
        )

    async def restore(
        self,
        name: NormalizedName,
        what: Selection,
        *,
        actor: Actor = SERVER,
        check: Check = accept,
    ) -> Acted:
        """Publish again what was deleted, as it was.

        :returns: with why some of it was not: it is gone, or another file has its name.
        :raises NotFound: there was no such thing, or all of it is gone.
        :raises Conflict: nothing of it can be restored: another file has the name.
        """
        doing = self._doing(actor)
        return await self._act(
            name,
            _Attempt(
                "restored",
                lambda p: edits.restore(p, what, doing, self.restore_for),
                doing,
                check,
            ),
        )

    async def set_status(
        self,
        name: NormalizedName,
        status: ProjectStatus,
        reason: str | None = None,
        *,
        actor: Actor = SERVER,
        check: Check = accept,
    ) -> Acted:
        """Set what has become of a project (PEP 792).

        The objects of a project that is quarantined have moved when this returns:
        addresses of them that the store itself serves lead nowhere.

        :param reason: shown to whoever looks at the project.
        :raises Unavailable: the status is set, and not every object moved. To repeat
            it goes on; so do a sweep and the start of a server.
        :raises BadRequest: there is no such status, or the reason is too long.
        """
        known = get_args(ProjectStatus)
        if status not in known:
            raise BadRequest(f"There is no such status; there are {', '.join(known)}.")
        _check_reason(reason)
        doing = self._doing(actor)
        return await self._act(
            name,
            _Attempt(
                "status",
                lambda p: edits.set_status(p, status, reason, doing),
                doing,
                check,
                moves=True,
            ),
        )

    async def undo(
        self,
        name: NormalizedName,
        act: str | None = None,
        *,
        actor: Actor = SERVER,
        check: Check = accept,
    ) -> Acted:
        """Undo an act; :func:`~.undo.to_undo` tells *check* which one.

        :param act: its id; None: the last one that can be undone.
        :raises NotFound: there is no such act.
        :raises Conflict: it cannot be undone, or not any more.
        """
        doing = self._doing(actor)
        return await self._act(
            name,
            _Attempt(
                "undone",
                lambda p: undo(p, act, doing, self.restore_for),
                doing,
                check,
                moves=True,
            ),
        )

    async def history(
        self, name: NormalizedName, before: str | None = None, limit: int = 100
    ) -> HistoryPart:
        """Tell what was done with a project, newest first.

        :param before: a cursor that was given with what is newer.
        :raises BadRequest: there is no such cursor.
        :raises HistoryDamaged: what would come next is lost or damaged.
        """
        manifests = self.publisher.manifests
        project = (await manifests.read(name)).project
        return await HistoryPages(manifests, project).read(before, limit)

    def _doing(self, actor: Actor) -> Doing:
        return self.publisher.doing(actor)

    async def _act(self, name: NormalizedName, attempt: _Attempt) -> Acted:
        # Whoever asked may go: what is done is recorded all the same.
        return await shielded(self._do(name, attempt))

    async def _do(self, name: NormalizedName, attempt: _Attempt) -> Acted:
        """Make an act, tell every server, and write the record."""
        publisher = self.publisher
        announced = attempt.moves and await self._announce(name, attempt)
        project = await publisher.change(name, attempt.change, step="act")
        if (record := attempt.record(name)) is not None:
            publisher.audit(record)
        _, entry = attempt.done or (None, None)
        if attempt.moves and project.moving is not None:
            project = await self._finish(name)
        if announced:
            await self.moves.end(name, attempt.doing.move)
        return Acted(project, entry, attempt.left)

    async def _announce(self, name: NormalizedName, attempt: _Attempt) -> bool:
        """Say that objects will move, if they will: also if this is broken off."""
        try:
            project = (await self.publisher.manifests.read(name)).project
        except NotFound:
            return False  # who changes it says that better
        moving = attempt.change(project).moving
        move = attempt.doing.move
        if moving is None or moving.to != move:
            return False
        await self.moves.begin(name, move)
        return True

    async def _finish(self, name: NormalizedName) -> Project:
        try:
            return await self.moves.finish(name)
        except StoreError as e:
            raise Unavailable(
                f"The status of {name} is set, and what it says holds. But not every "
                "object could be moved yet, so that a signed address from before may "
                f"work until it ends: repeat this. {e.message}"
            ) from e


def _check_part(what: Selection) -> None:
    if what == Selection():
        raise BadRequest("Say which release, or which file.")


def _check_reason(reason: str | None) -> None:
    if reason is not None and len(reason) > LONGEST_REASON:
        raise BadRequest(f"A reason has at most {LONGEST_REASON} characters.")
    # Terminals obey some of the others, XML has no place for them, and half of a
    # surrogate pair cannot be written at all.
    if reason and not all(c.isprintable() or c in _ALSO_WRITTEN for c in reason):
        raise BadRequest("A reason has printable characters and ends of lines only.")
