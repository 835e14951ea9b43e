"""Exemptions from rules for what comes from upstream, shown and changed on pages."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import NEW, NewExemption
from pypicloud_tw.config.exemptions import LIFTABLE, Rule, parse_end
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.visits import AdminDoor, AdminVisit, Done


@frozen(eq=False)
class ExemptionPages:
    """Shows those of what somebody administers, and takes their forms."""

    door: AdminDoor
    administered: Administered

    async def list(self, request: Request) -> bytes:
        """Answer a GET of the list."""
        return await self._list(await self.door.enter(request))

    async def add(self, request: Request) -> bytes:
        """Exempt something."""
        return await self.door.change(request, self._add, self._list)

    async def show(self, request: Request, id: str) -> bytes:
        """Answer a GET of one."""
        return await self._show(await self.door.enter(request), id)

    async def remove(self, request: Request, id: str) -> bytes:
        """Exempt something no more."""
        return await self.door.change(
            request,
            lambda visit: self._remove(visit, id),
            lambda visit: self._show(visit, id),
        )

    async def _list(self, visit: AdminVisit) -> bytes:
        window = visit.window()
        found = await self._doer(visit).exemptions()
        exemptions = visit.cut(one for one in found if window.has(one.what, one.reason))
        rules = sorted(rule.value for rule in LIFTABLE)
        return visit.send("exemptions", exemptions=exemptions, rules=rules)

    async def _show(self, visit: AdminVisit, id: str) -> bytes:
        return visit.send("exemption", exemption=await self._doer(visit).exemption(id))

    async def _add(self, visit: AdminVisit) -> Done:
        doer, text = self._doer(visit), visit.typed("until")
        try:
            until = parse_end(text)
        except BadValueError as e:
            raise BadRequest(f"This exemption {e}") from None
        new = NewExemption(
            visit.typed("project"),
            until,
            visit.typed("reason"),
            visit.typed("versions"),
            visit.typed("sha256"),
            visit.typed("rule") or Rule.MIN_AGE.value,
        )
        await doer.add_exemption(new, NEW)
        return Done("exemptions/", "added")

    async def _remove(self, visit: AdminVisit, id: str) -> Done:
        doer = self._doer(visit)
        visit.check_sure()
        changed = await doer.remove_exemption(id)
        return Done("exemptions/", "removed", changed.notices)

    def _doer(self, visit: AdminVisit) -> StoredAdministration:
        doer = visit.administration(self.administered)
        doer.authority.check_administers_some()
        return doer
