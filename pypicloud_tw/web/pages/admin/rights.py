"""Lines of rights, shown, changed and explained on pages."""

from __future__ import annotations

from typing import cast, get_args
from urllib.parse import urlencode

from attrs import frozen

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import NEW, Grant, Right
from pypicloud_tw.access.changes import holder
from pypicloud_tw.access.patterns import project_or_pattern
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.config.rights import Kind
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.users import PRESENT
from pypicloud_tw.web.pages.admin.visits import AdminDoor, AdminVisit, FormResult

_KINDS: tuple[str, ...] = get_args(Kind)


@frozen
class Line:
    """Which line is meant: whose rights with what."""

    project: str
    kind: Kind
    name: str

    @classmethod
    def of(cls, project: str, kind: str, name: str) -> Line:
        """Understand what an address or a form says.

        :raises BadRequest: it can be no line.
        """
        if kind not in _KINDS:
            raise BadRequest("A right is a user's or a group's.")
        known = cast(Kind, kind)
        return cls(project_or_pattern(project), known, holder(known, name))

    @property
    def place(self) -> str:
        """Its page, below ``/admin/``."""
        return f"rights/line?{urlencode(self.query)}"

    @property
    def query(self) -> dict[str, str]:
        """What the page's address says."""
        return {"project": self.project, "kind": self.kind, "name": self.name}


@frozen(eq=False)
class RightPages:
    """Shows the lines that somebody may change, and takes their forms."""

    door: AdminDoor
    administered: Administered
    pieces: Pieces

    async def list(self, request: Request) -> bytes:
        """Answer a GET of the list."""
        return await self._list(await self.door.enter(request))

    async def add(self, request: Request) -> bytes:
        """Add a line."""
        return await self.door.change(request, self._add, self._list)

    async def show(self, request: Request) -> bytes:
        """Answer a GET of one."""
        return await self._show(await self.door.enter(request))

    async def change(self, request: Request) -> bytes:
        """Change a line, or remove it."""
        return await self.door.change(request, self._change, self._show)

    async def explain(self, request: Request) -> bytes:
        """Explain what somebody may do with a project."""
        visit = await self.door.enter(request)
        doer = visit.administration(self.administered)
        user, project = visit.asked("user"), visit.asked("project")
        found = None
        if project:
            try:
                found = await doer.rights_of(user or None, project)
            except BadRequest as e:
                visit = self.door.refuse(visit, e)
        whole = doer.authority.administers()
        return visit.send(
            "explain", user=user, project=project, found=found, others=whole
        )

    async def _list(self, visit: AdminVisit) -> bytes:
        doer = self._doer(visit)
        found = await doer.find_rights(visit.window(), self.pieces)
        return visit.send(
            "rights",
            rights=visit.listing(found),
            is_open=visit.access.policy.rules.open,
        )

    async def _show(self, visit: AdminVisit) -> bytes:
        line = self._asked(visit)
        right: Right = await self._doer(visit).right(line.project, line.kind, line.name)
        return visit.send("right", right=right, query=urlencode(line.query))

    async def _add(self, visit: AdminVisit) -> FormResult:
        line = Line.of(
            visit.typed("project"), visit.form.one("kind"), visit.typed("name")
        )
        doer = self._doer(visit, line.project)
        grant = Grant(visit.actions())
        changed = await doer.put_right(line.project, line.kind, line.name, grant, NEW)
        return FormResult(line.place, "added", changed.notices)

    async def _change(self, visit: AdminVisit) -> FormResult:
        line = self._asked(visit)
        doer, what = self._doer(visit, line.project), (line.kind, line.name)
        match visit.form.one("act"):
            case "set":
                grant = Grant(visit.actions())
                changed = await doer.put_right(line.project, *what, grant, PRESENT)
                return FormResult(line.place, "set", changed.notices)
            case "remove":
                visit.check_sure()
                changed = await doer.remove_right(line.project, *what, PRESENT)
                return FormResult("rights/", "removed", changed.notices)
        raise BadRequest("The form does not say what to do with the right.")

    def _asked(self, visit: AdminVisit) -> Line:
        return Line.of(visit.asked("project"), visit.asked("kind"), visit.asked("name"))

    def _doer(self, visit: AdminVisit, *projects: str) -> StoredAdministration:
        doer = visit.administration(self.administered)
        if projects:
            doer.authority.check_administers(*projects)
        else:
            doer.authority.check_administers_some()
        return doer
