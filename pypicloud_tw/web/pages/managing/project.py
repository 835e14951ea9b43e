"""A project of ours, as those who manage it see and change it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, get_args
from urllib.parse import quote

from attrs import frozen

from pypicloud_tw.access.administration.values import Required
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest, NotFound
from pypicloud_tw.index.model import LONGEST_REASON, ProjectStatus, Selection
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.json_values import NotAsDeclared, decode
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.stored import StoredProjects
from pypicloud_tw.projects.values import (
    Done,
    FileDetail,
    StatusChange,
    Undo,
    Yank,
)
from pypicloud_tw.web.api.json_api import parameter
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.acting import ActDoor, Visit
from pypicloud_tw.web.pages.paging import Listing
from pypicloud_tw.web.pages.visitor import Visitor

T = TypeVar("T")

#: Acts on a page of the history, which have up to 3 kB each.
ACTS = 25


@frozen(eq=False)
class ManagedProject:
    """Shows one project to whoever manages it, and takes their forms.

    :ivar name: normalized.
    :ivar has_upstream: whether there is anything beside what is ours.
    """

    door: ActDoor
    administered: AdministeredProjects
    name: NormalizedName
    has_upstream: bool

    async def show(self, request: Request, visitor: Visitor) -> bytes:
        """Show its status and its releases."""
        return await self._show(self.door.visit(request, visitor))

    async def show_part(
        self, request: Request, visitor: Visitor, what: Selection
    ) -> bytes:
        """Show a release, or a file."""
        return await self._show_part(self.door.visit(request, visitor), what)

    async def show_deletion(self, request: Request, visitor: Visitor) -> bytes:
        """Ask whether something is really to be deleted."""
        visit = self.door.visit(request, visitor)
        what = _selection(parameter(request, "version"), parameter(request, "file"))
        return await self._show_deletion(visit, what)

    async def show_deleted(self, request: Request, visitor: Visitor) -> bytes:
        """Show what can be restored."""
        return await self._show_deleted(self.door.visit(request, visitor))

    async def show_history(self, request: Request, visitor: Visitor) -> bytes:
        """Show who did what with it."""
        return await self._show_history(self.door.visit(request, visitor))

    # -- acts -------------------------------------------------------------------------

    async def yank(self, request: Request) -> bytes:
        """Yank a release or a file, or give another reason."""
        return await self._act(request, Action.MANAGE, self._yank, self._show_chosen)

    async def unyank(self, request: Request) -> bytes:
        """Take back that something is yanked."""
        return await self._act(request, Action.MANAGE, self._unyank, self._show_chosen)

    async def set_status(self, request: Request) -> bytes:
        """Set what has become of the project."""
        return await self._act(request, Action.MANAGE, self._set_status, self._show)

    async def delete(self, request: Request) -> bytes:
        """Delete a file, a release, or all that there is."""
        return await self._act(request, Action.DELETE, self._delete, self._ask_again)

    async def restore(self, request: Request) -> bytes:
        """Publish again what was deleted."""
        return await self._act(
            request, Action.DELETE, self._restore, self._show_deleted
        )

    async def undo(self, request: Request) -> bytes:
        """Undo an act."""
        return await self._act(request, Action.MANAGE, self._undo, self._show_history)

    async def _act(
        self,
        request: Request,
        action: Action,
        do: Callable[[Visit], Awaitable[str | bytes]],
        show: Callable[[Visit], Awaitable[bytes]],
    ) -> bytes:
        return await self.door.act(
            request, lambda who: who.authority.check(action, self.name), do, show
        )

    async def _yank(self, visit: Visit) -> str | bytes:
        what, yank = _chosen_part(visit), _read(Yank, reason=visit.typed("reason"))
        done = await self._doer(visit).yank(self.name, what, yank, _required(visit))
        return self._tell(visit, done, "yanked", _part(what))

    async def _unyank(self, visit: Visit) -> str | bytes:
        what = _chosen_part(visit)
        done = await self._doer(visit).unyank(self.name, what, _required(visit))
        return self._tell(visit, done, "unyanked", _part(what))

    async def _set_status(self, visit: Visit) -> str | bytes:
        reason = visit.typed("reason") or None
        change = _read(StatusChange, status=visit.typed("status"), reason=reason)
        doer = self._doer(visit)
        done = await doer.set_status(self.name, change, _required(visit))
        return self._tell(visit, done, "status", "")

    async def _delete(self, visit: Visit) -> str | bytes:
        what = _chosen(visit)
        reason = _read(Yank, reason=visit.typed("reason")).reason or None
        if what == Selection():
            if visit.typed("name") != self.name:
                raise BadRequest(f"Type the project's name to delete it: {self.name}.")
        else:
            visit.check_sure()
        doer = self._doer(visit)
        done = await doer.delete(self.name, what, _required(visit), reason)
        return self._tell(visit, done, "deleted", "")

    async def _restore(self, visit: Visit) -> str | bytes:
        what = _chosen(visit)
        done = await self._doer(visit).restore(self.name, what, _required(visit))
        return self._tell(visit, done, "restored", "deleted")

    async def _undo(self, visit: Visit) -> str | bytes:
        act = visit.typed("act")
        if not act:
            raise BadRequest("The form does not say which act to undo.")
        done = await self._doer(visit).undo(self.name, Undo(act), _required(visit))
        return self._tell(visit, done, "undone", "history")

    def _tell(self, visit: Visit, done: Done, word: str, place: str) -> str | bytes:
        """Lead to the page that shows what came of an act.

        :param place: the page, below the project's.
        """
        if done.notices:  # they are told once, and a redirect would lose them
            return self.door.send(
                visit,
                "managing/notices",
                name=self.name,
                notices=done.notices,
                place=place,
            )
        said = word if done.changed else "same"
        return f"project/{self.name}/manage/{place}?done={said}"

    # -- pages ------------------------------------------------------------------------

    async def _show(self, visit: Visit) -> bytes:
        detail = await self._doer(visit).project(self.name)
        return self.door.send(
            visit,
            "managing/project",
            project=detail,
            releases=Listing.of(visit, detail.releases[::-1]),
            statuses=get_args(ProjectStatus),
            deletes=self._may(visit, Action.DELETE),
            upstream=self._shows_upstream(visit),
            longest=LONGEST_REASON,
        )

    async def _show_chosen(self, visit: Visit) -> bytes:
        """Show again what an act was about; if it is gone, the project."""
        try:
            return await self._show_part(visit, _chosen_part(visit))
        except (NotFound, BadRequest):
            return await self._show(visit)

    async def _show_part(self, visit: Visit, what: Selection) -> bytes:
        doer = self._doer(visit)
        # First: what is required must not be newer than what is shown.
        state = await doer.state(self.name)
        files: Sequence[FileDetail]
        if what.file is not None:
            files = (await doer.file(self.name, what.file),)
        else:
            files = (await doer.release(self.name, what.version or "")).files
        return self.door.send(
            visit,
            "managing/part",
            name=self.name,
            state=state,
            release=files[0].version,
            file=what.file,
            files=Listing.of(visit, files),
            yanked=all(one.yanked is not None for one in files),
            reason=next(filter(None, (one.yanked for one in files)), ""),
            deletes=self._may(visit, Action.DELETE),
            longest=LONGEST_REASON,
        )

    async def _ask_again(self, visit: Visit) -> bytes:
        return await self._show_deletion(visit, _chosen(visit))

    async def _show_deletion(self, visit: Visit, what: Selection) -> bytes:
        detail = await self._doer(visit).project(self.name)
        return self.door.send(
            visit,
            "managing/delete",
            project=detail,
            release=what.version,
            file=what.file,
            days=detail.restore_for // 86400,
            longest=LONGEST_REASON,
        )

    async def _show_deleted(self, visit: Visit) -> bytes:
        detail = await self._doer(visit).project(self.name)
        latest_first = sorted(detail.deleted, key=lambda one: one.deleted, reverse=True)
        return self.door.send(
            visit,
            "managing/deleted",
            project=detail,
            deleted=Listing.of(visit, latest_first),
            deletes=self._may(visit, Action.DELETE),
            upstream=self._shows_upstream(visit),
        )

    async def _show_history(self, visit: Visit) -> bytes:
        doer = self._doer(visit)
        state = await doer.state(self.name)
        cursor = None if visit.sent else parameter(visit.request, "cursor")
        page = await doer.history(self.name, cursor, ACTS)
        return self.door.send(
            visit,
            "managing/history",
            name=self.name,
            state=state,
            history=page,
            upstream=self._shows_upstream(visit),
        )

    def _doer(self, visit: Visit) -> StoredProjects:
        who = visit.who
        return StoredProjects(self.administered, who.actor, who.authority)

    def _shows_upstream(self, visit: Visit) -> bool:
        return self.has_upstream and self._may(visit, Action.ADMINISTER)

    def _may(self, visit: Visit, action: Action) -> bool:
        authority = visit.who.authority
        return authority.access.policy.may(authority.principal, action, self.name)


def _part(what: Selection) -> str:
    """Return the page of a release or a file, below the project's."""
    if what.file is not None:
        return f"file/{quote(what.file, safe='')}/"
    return f"release/{quote(what.version or '', safe='')}/"


def _chosen(visit: Visit) -> Selection:
    return _selection(visit.typed("version") or None, visit.typed("file") or None)


def _chosen_part(visit: Visit) -> Selection:
    """Return the release or the file that a form is about.

    :raises BadRequest: it is about neither.
    """
    what = _chosen(visit)
    if what == Selection():
        raise BadRequest("The form names neither a release nor a file.")
    return what


def _selection(version: str | None, file: str | None) -> Selection:
    if version is not None and file is not None:
        raise BadRequest("Name a release or a file, not both.")
    return Selection(version, file)


def _required(visit: Visit) -> Required:
    """Return the state that the project had when the form was made.

    :raises BadRequest: the form does not say it.
    """
    state = visit.typed("state")
    if not state:
        raise BadRequest("The form is not whole; load the page again.")
    return Required(states=frozenset({state}))


def _read(kind: type[T], **values: object) -> T:
    """Make a value of what was typed, by the rules that the API has for it.

    :raises BadRequest: it cannot be.
    """
    try:
        return decode(kind, values)
    except NotAsDeclared as e:
        raise BadRequest(str(e)) from None
