"""Groups, shown and changed on pages."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import (
    NEW,
    Changed,
    Members,
    Required,
)
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.pages.admin.collection import Collection
from pypicloud_tw.web.pages.admin.users import PRESENT
from pypicloud_tw.web.pages.admin.visits import AdminVisit, FormResult, segment


@frozen(eq=False)
class GroupPages(Collection):
    """Shows administrators the groups, and takes their forms."""

    administered: Administered
    pieces: Pieces

    async def _list(self, visit: AdminVisit) -> bytes:
        found = await self._doer(visit).find_groups(visit.window(), self.pieces)
        return visit.send("groups", groups=visit.listing(found))

    async def _show(self, visit: AdminVisit, name: str) -> bytes:
        group = await self._doer(visit).group(name)
        members = filter(visit.window().has, group.members)
        return visit.send("group", group=group, members=visit.cut(members))

    async def _add(self, visit: AdminVisit) -> FormResult:
        name, members = visit.typed("name"), Members(_names(visit))
        doer, place = self._doer(visit), f"groups/{segment(name)}"
        changed = await doer.put_group(name, members, NEW)
        return FormResult(place, "added", changed.notices)

    async def _change(self, visit: AdminVisit, name: str) -> FormResult:
        doer, act = self._doer(visit), visit.form.one("act")
        match act:
            case "join":
                changed = await self._set(doer, name, join=_names(visit))
            case "leave":
                changed = await self._set(doer, name, leave=visit.form.all("leaves"))
            case "remove":
                visit.check_sure()
                changed = await doer.remove_group(name, PRESENT)
                return FormResult("groups/", "removed", changed.notices)
            case _:
                raise BadRequest("The form does not say what to do with the group.")
        return FormResult(f"groups/{segment(name)}", act, changed.notices)

    async def _set(
        self,
        doer: StoredAdministration,
        name: str,
        join: Iterable[str] = (),
        leave: Iterable[str] = (),
    ) -> Changed:
        """Change who is in a group, all at once, if nobody else did meanwhile."""
        members = {*(await doer.group(name)).members, *join}.difference(leave)
        state = doer.state("groups", name)
        required = Required(states=frozenset({state} if state else ()))
        return await doer.put_group(name, Members(tuple(sorted(members))), required)

    def _doer(self, visit: AdminVisit) -> StoredAdministration:
        doer = visit.administration(self.administered)
        doer.authority.check_administers()
        return doer


def _names(visit: AdminVisit) -> tuple[str, ...]:
    """Return the names that were typed, one a line: they may have blanks in them."""
    lines = visit.form.one("members").splitlines()
    return tuple(filter(None, (line.strip() for line in lines)))
