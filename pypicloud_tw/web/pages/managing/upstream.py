"""A project of an upstream, as administrators see what is let through of it."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.values import NewExemption
from pypicloud_tw.config.exemptions import LIFTABLE, LONGEST_REASON, Rule, parse_end
from pypicloud_tw.config.rights import Action
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.pinning import NewPin, StoredPins
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.acting import ActDoor, Visit
from pypicloud_tw.web.pages.paging import Listing
from pypicloud_tw.web.pages.visitor import Visitor
from pypicloud_tw.web.requester import Requester


@frozen(eq=False)
class ManagedUpstream:
    """Shows what is exempted of a project and who publishes it, and takes the forms.

    :ivar name: normalized.
    :ivar ours: whether there is a project of that name here, too.
    """

    door: ActDoor
    administered: Administered
    pins: Pins
    name: NormalizedName
    ours: bool

    async def show(self, request: Request, visitor: Visitor) -> bytes:
        """Answer a GET."""
        return await self._show(self.door.visit(request, visitor))

    async def exempt(self, request: Request) -> bytes:
        """Exempt versions from a rule, until a day."""
        return await self.door.act(request, self._judge, self._exempt, self._show)

    async def end_exemption(self, request: Request) -> bytes:
        """Exempt something no more."""
        return await self.door.act(request, self._judge, self._end, self._show)

    async def pin(self, request: Request) -> bytes:
        """Pin a publisher, or accept another."""
        return await self.door.act(request, _judge_all, self._pin, self._show)

    async def unpin(self, request: Request) -> bytes:
        """Pin nobody."""
        return await self.door.act(request, _judge_all, self._unpin, self._show)

    def _judge(self, who: Requester) -> None:
        who.authority.check(Action.ADMINISTER, self.name)

    async def _exempt(self, visit: Visit) -> str:
        try:
            until = parse_end(visit.typed("until"))
        except BadValueError:
            raise BadRequest("Say until when, by a day as 2026-12-24.") from None
        new = NewExemption(
            self.name,
            until,
            visit.typed("reason"),
            visit.typed("versions"),
            rule=visit.typed("rule"),
        )
        doer = visit.who.administration(self.administered, changes=True)
        await doer.add_exemption(new)
        return self._address("exempted")

    async def _end(self, visit: Visit) -> str:
        doer = visit.who.administration(self.administered, changes=True)
        await doer.remove_exemption(visit.typed("id"))
        return self._address("ended")

    async def _pin(self, visit: Visit) -> str:
        await self._pinner(visit).set_pin(self.name, NewPin(visit.typed("publisher")))
        return self._address("pinned")

    async def _unpin(self, visit: Visit) -> str:
        await self._pinner(visit).remove_pin(self.name)
        return self._address("unpinned")

    async def _show(self, visit: Visit) -> bytes:
        doer = visit.who.administration(self.administered, changes=False)
        exemptions = [
            one for one in await doer.exemptions() if one.project == self.name
        ]
        administers = visit.who.authority.administers()
        pinned = await self._pinner(visit).pin(self.name) if administers else None
        return self.door.send(
            visit,
            "managing/upstream",
            name=self.name,
            ours=self.ours,
            exemptions=Listing.of(visit, exemptions),
            rules=sorted(LIFTABLE),
            usual_rule=Rule.MIN_AGE,
            pinned=pinned,
            longest=LONGEST_REASON,
        )

    def _pinner(self, visit: Visit) -> StoredPins:
        who, audit = visit.who, self.administered.audit
        return StoredPins(self.pins, audit, who.actor, who.authority)

    def _address(self, word: str) -> str:
        return f"project/{self.name}/manage/upstream/?done={word}"


def _judge_all(who: Requester) -> None:
    """Let those pass who administer all of the index."""
    who.authority.check(Action.ADMINISTER, None)
