"""Everybody's tokens, shown to administrators and revoked on pages."""

from __future__ import annotations

from itertools import groupby

from attrs import frozen

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import Token
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.visits import AdminDoor, AdminVisit, FormResult

#: Tokens of one owner that the list of all owners has.
MOST_OF_ONE = 20


@frozen
class OwnersTokens:
    """Some tokens of one owner.

    :ivar left_out: how many more there are.
    """

    owner: str
    tokens: tuple[Token, ...]
    left_out: int


@frozen(eq=False)
class TokenPages:
    """Shows them, and takes the form that revokes one."""

    door: AdminDoor
    administered: Administered

    async def list(self, request: Request) -> bytes:
        """Answer a GET of those of all owners, or of one."""
        visit = await self.door.enter(request)
        doer, owner = self._doer(visit), visit.asked("owner")
        if owner:
            tokens = visit.cut(await doer.tokens(owner), owner=owner)
            return visit.send("tokens_of", owner=owner, tokens=tokens)
        page = await doer.find_tokens(visit.asked("cursor") or None)
        owners = [
            _some(owner, tuple(tokens))
            for owner, tokens in groupby(page.items, lambda token: token.owner)
        ]
        return visit.send("tokens", owners=owners, cursor=page.cursor)

    async def show(self, request: Request, id: str) -> bytes:
        """Answer a GET of one."""
        return await self._show(await self.door.enter(request), id)

    async def revoke(self, request: Request, id: str) -> bytes:
        """Revoke one."""
        return await self.door.change(
            request,
            lambda visit: self._revoke(visit, id),
            lambda visit: self._show(visit, id),
        )

    async def _show(self, visit: AdminVisit, id: str) -> bytes:
        return visit.send("token", listed=await self._doer(visit).token(id))

    async def _revoke(self, visit: AdminVisit, id: str) -> FormResult:
        doer = self._doer(visit)
        visit.check_sure()
        changed = await doer.revoke_token(id)
        return FormResult(f"tokens/{id}", "revoked", changed.notices)

    def _doer(self, visit: AdminVisit) -> StoredAdministration:
        doer = visit.administration(self.administered)
        doer.authority.check_own_tokens()
        doer.authority.check_administers()
        return doer


def _some(owner: str, tokens: tuple[Token, ...]) -> OwnersTokens:
    shown = tokens[:MOST_OF_ONE]
    return OwnersTokens(owner, shown, len(tokens) - len(shown))
