"""Pins of the publishers of upstreams' projects, shown and changed on pages."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest, NotFound
from pypicloud_tw.index.audit import Audit
from pypicloud_tw.index.names import project_name
from pypicloud_tw.projects.pinning import NewPin, StoredPins
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.web.pages.admin.collection import Collection
from pypicloud_tw.web.pages.admin.visits import AdminVisit, FormResult


@frozen(eq=False)
class PinPages(Collection):
    """Shows administrators who publishes what, and takes their forms."""

    pins: Pins
    audit: Audit

    async def _list(self, visit: AdminVisit) -> bytes:
        window, doer = visit.window(), await self._doer(visit)
        found = await doer.pins()
        pins = visit.cut(
            one for one in found if window.has(one.project, one.publisher or "")
        )
        return visit.send("pins", pins=pins)

    async def _show(self, visit: AdminVisit, name: str) -> bytes:
        doer = await self._doer(visit)
        pin = await doer.pin(name)
        if pin.publisher is None and pin.refused is None:
            raise NotFound(f"Nothing is known of who publishes {name}.")
        return visit.send("pin", pin=pin)

    async def _add(self, visit: AdminVisit) -> FormResult:
        project = project_name(visit.typed("project"))
        doer, new = await self._doer(visit), NewPin(visit.typed("publisher"))
        await doer.set_pin(project, new)
        return FormResult(f"pins/{project}", "set")

    async def _change(self, visit: AdminVisit, name: str) -> FormResult:
        project, doer = project_name(name), await self._doer(visit)
        match visit.form.one("act"):
            case "set":
                await doer.set_pin(project, NewPin(visit.typed("publisher")))
                return FormResult(f"pins/{project}", "set")
            case "remove":
                visit.check_sure()
                await doer.remove_pin(project)
                return FormResult("pins/", "removed")
        raise BadRequest("The form does not say what to do with the pin.")

    async def _doer(self, visit: AdminVisit) -> StoredPins:
        await visit.access.learn(changing=True)
        visit.who.authority.check(Action.ADMINISTER, None)
        if visit.sent:
            visit.access.refuse_while_read_only()
        return StoredPins(self.pins, self.audit, visit.who.actor, visit.who.authority)
