"""Exemptions from rules for what comes from upstream, shown and changed on pages."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import NEW, NewExemption
from pypicloud_tw.config.exemptions import LIFTABLE, Rule, parse_end
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.pages.admin.collection import Collection
from pypicloud_tw.web.pages.admin.visits import AdminVisit, FormResult


@frozen(eq=False)
class ExemptionPages(Collection):
    """Shows those of what somebody administers, and takes their forms."""

    administered: Administered

    async def _list(self, visit: AdminVisit) -> bytes:
        window = visit.window()
        found = await self._doer(visit).exemptions()
        exemptions = visit.cut(one for one in found if window.has(one.what, one.reason))
        rules = sorted(rule.value for rule in LIFTABLE)
        return visit.send("exemptions", exemptions=exemptions, rules=rules)

    async def _show(self, visit: AdminVisit, name: str) -> bytes:
        exemption = await self._doer(visit).exemption(name)
        return visit.send("exemption", exemption=exemption)

    async def _add(self, visit: AdminVisit) -> FormResult:
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
        return FormResult("exemptions/", "added")

    async def _change(self, visit: AdminVisit, name: str) -> FormResult:
        doer = self._doer(visit)
        visit.check_sure()
        changed = await doer.remove_exemption(name)
        return FormResult("exemptions/", "removed", changed.notices)

    def _doer(self, visit: AdminVisit) -> StoredAdministration:
        doer = visit.administration(self.administered)
        doer.authority.check_administers_some()
        return doer
