"""Tokens as administrators and their owners see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import frozen

from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.access.administration.values import (
    Changed,
    MadeToken,
    NewToken,
    Token,
    TokensPage,
)
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.tokens.tokens import ListedToken, Tokens, checked_scope
from pypicloud_tw.errors import BadRequest, NotFound
from pypicloud_tw.index.audit import Actor

#: Tokens of a page, before it ends with the owner whose go beyond.
MOST_LISTED = 50


@frozen
class TokenAdministration:
    """Lists, makes and revokes them for whoever may.

    :ivar book: of all users' tokens.
    """

    book: Tokens
    actor: Actor
    authority: Authority

    async def list(self, owner: str | None, everybody: bool) -> Sequence[Token]:
        """Return somebody's tokens; see the interface.

        :raises Forbidden: they are others', and an administrator's to see; or it is a
            token that asks.
        """
        self.authority.check_own_tokens()
        if everybody:
            self.authority.check_administers()
            return [_token(one) async for one in self.book.list_all()]
        owner = owner or self._own_name()
        own = self.authority.principal
        if own is None or own.name != owner:
            self.authority.check_administers()
        return [_token(one) for one in await self.book.list(owner)]

    async def page(self, after: str | None) -> TokensPage:
        """Return a part of everybody's, owner by owner.

        :param after: the cursor of the page before.
        :raises Forbidden: they are an administrator's to see.
        """
        self.authority.check_own_tokens()
        self.authority.check_administers()
        found, cursor = await self.book.list_some(after, MOST_LISTED)
        return TokensPage(tuple(map(_token, found)), cursor)

    async def one(self, id: str) -> Token:
        """Return one; errors as of :meth:`find`."""
        return _token(await self.find(id))

    async def make(self, token: NewToken) -> MadeToken:
        """Make one; see the interface.

        :raises Forbidden: it is not theirs to make.
        """
        owner = token.owner or self._own_name()
        scope = checked_scope(token.actions, token.projects)
        self.authority.check_tokens(owner, scope)
        made = await self.book.make(
            owner,
            self.actor,
            token.description,
            scope.actions,
            scope.projects,
            token.life,
        )
        return MadeToken(made.record.id, made.text, _moment(made.record.ends))

    async def revoke(self, id: str) -> Changed:
        """Revoke one; see the interface.

        :raises NotFound: there is none, or none that is theirs to revoke.
        """
        found = await self.find(id)
        self.authority.check_tokens(found.owner, found.record.scope)
        await self.book.revoke(found.owner, id, self.actor)
        return Changed()

    async def find(self, id: str) -> ListedToken:
        """Find one of theirs; administrators find everybody's.

        :raises NotFound: there is none.
        :raises Forbidden: the token that is shown is for none.
        """
        found = await self.book.find(id)
        own = self.authority.principal
        if own is not None and own.name == found.owner:
            self.authority.check_own_tokens()
        elif not self.authority.administers():
            raise NotFound("There is no such token.")
        return found

    async def principal(self, id: str) -> Principal:
        """Return who shows a token; errors as of :meth:`find`."""
        found = await self.find(id)
        return Principal(found.owner, scope=found.record.scope)

    def _own_name(self) -> str:
        own = self.authority.principal
        if own is None or own.name is None:
            raise BadRequest("Say whose tokens are meant: nobody is logged in by name.")
        return own.name


def _token(listed: ListedToken) -> Token:
    record, use = listed.record, listed.last_use
    return Token(
        record.id,
        listed.owner,
        record.description,
        record.scope.actions,
        record.scope.projects,
        _moment(record.created),
        _moment(record.ends),
        revoked=record.revoked is not None,
        used=None if use is None else use.date.isoformat(),
        used_from=None if use is None else use.client,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
