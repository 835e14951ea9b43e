"""Making, listing and revoking users' tokens: one place for each (decision D8)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from random import Random, SystemRandom

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.principal import Principal, Scope
from pypicloud_tw.access.tokens.documents import TokenDocuments, document_keys
from pypicloud_tw.access.tokens.last_use import LastUse, LastUses, Uses
from pypicloud_tw.access.tokens.minted import Minted
from pypicloud_tw.access.tokens.owners import ELSEWHERE, Owners, People
from pypicloud_tw.access.tokens.records import OwnerTokens, TokenRecord
from pypicloud_tw.access.tokens.text import (
    UserToken,
    owner_key,
    owner_key_of,
    read_token,
    seal_secret,
)
from pypicloud_tw.config.names import pattern
from pypicloud_tw.config.rights import GRANTABLE, Action, show_actions
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest, Forbidden, NotFound, Unauthorized
from pypicloud_tw.index.audit import Act, Actor, Audit
from pypicloud_tw.metrics import Metrics

#: Characters of a description, and projects or patterns of one token, at most.
LONGEST_DESCRIPTION, MOST_PROJECTS = 200, 100

_ID = re.compile(r"[0-9a-f]{32}")

_DAY = 86400


@frozen
class NewToken:
    """A token that was just made.

    :ivar text: what its owner is shown; nobody can see it again.
    """

    owner: str
    text: str = field(repr=False)
    record: TokenRecord


@frozen
class ListedToken:
    """A token as it is listed.

    :ivar last_use: None: it was not used yet, as far as is known.
    """

    owner: str
    record: TokenRecord
    last_use: LastUse | None


@define(eq=False)
class Tokens:
    """The tokens of all users.

    Whether somebody may do it is judged before: :func:`check_maker`.

    :ivar owners: knows the users that tokens can belong to.
    :ivar audit: takes a record of each token that is made or revoked.
    :ivar people: knows those of them who are known elsewhere; None: there are none.
    :ivar life: seconds that a token lives for unless something else is asked for.
    :ivar max_life: and at most.
    :ivar random: for their secrets.
    """

    documents: TokenDocuments
    minted: Minted
    owners: Owners
    uses: LastUses
    clock: IReactorTime
    audit: Audit
    people: People | None = None
    life: float = 90.0 * _DAY
    max_life: float = 365.0 * _DAY
    random: Random = field(factory=SystemRandom, repr=False)
    made: int = field(default=0, init=False)
    revoked: int = field(default=0, init=False)

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        read = metrics.read
        read("pypicloud_tokens_made", "Tokens made", lambda: self.made, counts=True)
        read(
            "pypicloud_tokens_minted",
            "Tokens minted for trusted publishers",
            lambda: self.minted.minted,
            counts=True,
        )
        read(
            "pypicloud_tokens_revoked",
            "Tokens revoked or burnt",
            lambda: self.revoked + self.minted.burnt,
            counts=True,
        )

    def adjust(self, *, life: float, max_life: float) -> None:
        """Change how long tokens live that are made from now on; seconds."""
        self.life, self.max_life = life, max_life

    async def make(
        self,
        owner: str,
        by: Actor,
        description: str,
        actions: Iterable[Action] | None = None,
        projects: Iterable[str] | None = None,
        life: float | None = None,
    ) -> NewToken:
        """Make a token; it is good on every server when this returns.

        What it may do is judged when it is used: its owner's rights then, narrowed.

        :param by: who makes it: its owner, or an administrator.
        :param actions: what it may do; None: all that its owner may, but to
            administer.
        :param projects: names or patterns (``acme-*``); None: all of its owner's.
        :param life: seconds; None: as long as the ini has it.
        :raises BadRequest: something of this cannot be; the message says what.
        :raises NotFound: there is no such user here.
        :raises Conflict: the owner has too many.
        :raises Unavailable: nothing may be changed now.
        :raises StoreError: the store is away; it may have been made, and is of no use.
        """
        owner_id = await self._identify(owner)
        now = self.clock.seconds()
        text = UserToken.draw(owner, self.random.randbytes)
        record = TokenRecord(
            text.id,
            seal_secret(text.secret),
            _checked_description(description),
            checked_scope(actions, projects),
            int(now),
            int(now + self._checked_life(life)),
            by.name or "the server",
            owner_id,
        )

        def made() -> None:
            self.made += 1
            self.audit(Act(by, "made a token", reason=_told(owner, record)))

        await self.documents.change(
            owner, lambda tokens: tokens.added(record, now), made
        )
        return NewToken(owner, text.text, record)

    async def _identify(self, owner: str) -> str:
        found = self.owners(owner)
        if found == ELSEWHERE and (
            self.people is None or await self.people.find(owner) is None
        ):
            found = None
        if found is None:
            raise NotFound(
                f"There is no user {owner!r} here who could have tokens. Users of a "
                "directory have some if auth.ldap.tokens is set, through the server; "
                "whom a proxy signs in needs a user of that name without a password."
            )
        return found

    async def list(self, owner: str) -> tuple[ListedToken, ...]:
        """List an owner's tokens, the oldest first, revoked and ended ones too.

        :raises StoreError: the store is away.
        """
        document = await self.documents.read(owner_key(owner))
        uses = await self.uses.read_all()
        return () if document is None else tuple(_listed(document, uses))

    async def list_all(self) -> AsyncIterator[ListedToken]:
        """List everybody's tokens, owner by owner.

        :raises StoreError: the store is away.
        """
        uses = await self.uses.read_all()
        async for document in self.documents.read_all():
            for token in _listed(document, uses):
                yield token

    async def list_some(
        self, after: str | None, enough: int
    ) -> tuple[Sequence[ListedToken], str | None]:
        """List tokens of some owners, in the order of what they are kept under.

        :param after: the second of what was returned before; None: the first owners.
        :param enough: tokens; the last owner's may be more.
        :returns: them, and behind which owner others follow; None: none do.
        :raises StoreError: the store is away.
        """
        uses = await self.uses.read_all()
        found: list[ListedToken] = []
        keys = await document_keys(self.documents.store)
        left = keys if after is None else keys[bisect_right(keys, after) :]
        for number, key in enumerate(left, 1):
            document = await self.documents.read(key)
            found += () if document is None else _listed(document, uses)
            if len(found) >= enough:
                return found, key if number < len(left) else None
        return found, None

    async def find(self, id: str) -> ListedToken:
        """Find a token by its id.

        :raises NotFound: there is none.
        :raises StoreError: the store is away.
        """
        document = None
        if is_token_id(id):
            document = await self.documents.read(owner_key_of(id))
        if document is None or id not in document.tokens:
            raise NotFound("There is no such token.")
        uses = await self.uses.read_all()
        return ListedToken(document.owner, document.tokens[id], uses.get(id))

    async def revoke(self, owner: str, id: str, by: Actor, reason: str = "") -> None:
        """Revoke a token; within ``index.fresh_for`` every server refuses it.

        Who revokes it again has the servers told again.

        :raises NotFound: the owner has no such token.
        :raises Unavailable: nothing may be changed now.
        :raises StoreError: the store is away, or the others could not be told: try
            again.
        """
        if await self._revoke(owner, (id,), by, reason) is None:
            raise NotFound(f"{owner} has no such token.")

    async def revoke_all(self, owner: str, by: Actor, reason: str = "") -> int:
        """Revoke all tokens of an owner who is removed; return how many lived.

        Errors as of :meth:`revoke`.
        """
        document = await self.documents.read(owner_key(owner))
        if document is None:
            return 0
        return await self._revoke(owner, tuple(document.tokens), by, reason) or 0

    async def revoke_shown(self, text: str, by: Actor, reason: str) -> bool:
        """Revoke or burn a token whose whole text somebody knows.

        :return: whether it lived.
        :raises TooManyRequests: they have shown too many that there are not.
        :raises Unavailable: nothing may be changed now.
        :raises StoreError: the store is away, or the others could not be told.
        """
        client = by.address or ""
        try:
            token = read_token(text)
        except Unauthorized:
            return False
        if not isinstance(token, UserToken):
            burnt = await self.minted.burn(text, client)
            if burnt:
                self.audit(Act(by, "burnt a token", reason=reason))
            return burnt
        known = (await self.documents.find(token.id, client)).known
        document = None if known is None else known.document
        record = None if document is None else document.tokens.get(token.id)
        if document is None or record is None or not record.fits(token.secret):
            return False
        if not record.lives(self.clock.seconds()):
            return False
        await self.revoke(document.owner, token.id, by, reason)
        return True

    async def _revoke(
        self, owner: str, ids: tuple[str, ...], by: Actor, reason: str
    ) -> int | None:
        """Return how many were not revoked before; None: there is none of them."""
        now = int(self.clock.seconds())
        before: list[TokenRecord] = []
        found = False

        def change(document: OwnerTokens) -> OwnerTokens:
            nonlocal found
            known = [document.tokens[id] for id in ids if id in document.tokens]
            found = bool(known)
            before[:] = [token for token in known if token.revoked is None]
            if not before:
                return document
            name = by.name or "whoever knew it"
            revoke = partial(evolve, revoked=now, revoked_by=name)
            return document.replaced(*map(revoke, before))

        def made() -> None:
            for record in before:
                what = f"{record.id} of {owner}: {record.description}"
                reasoned = f"{what} ({reason})" if reason else what
                self.audit(Act(by, "revoked a token", reason=reasoned))
            self.revoked += len(before)

        await self.documents.change(owner, change, made)
        return len(before) if found else None

    def _checked_life(self, life: float | None) -> float:
        if life is None:
            return min(self.life, self.max_life)
        if not 0 < life <= self.max_life:
            raise BadRequest(
                "A token lives for some time, and for at most "
                f"{self.max_life / _DAY:g} days (auth.token_max_life)."
            )
        return life


def is_token_id(text: str) -> bool:
    """Whether it could be a token's id."""
    return _ID.fullmatch(text) is not None


def checked_scope(
    actions: Iterable[Action] | None, projects: Iterable[str] | None
) -> Scope:
    """Return what a token is to be narrowed to.

    :raises BadRequest: there is nothing left, or something that cannot be given.
    """
    acts = None if actions is None else frozenset(actions)
    if acts is not None and (not acts or not acts <= set(GRANTABLE)):
        known = ", ".join(action.value for action in GRANTABLE)
        raise BadRequest(
            f"A token may do some of these, or all its owner may: {known}."
        )
    if projects is None:
        return Scope(acts, None)
    try:
        names = tuple(dict.fromkeys(pattern(project) for project in projects))
    except BadValueError as e:
        raise BadRequest(f"The list of projects {e}") from None
    if not 0 < len(names) <= MOST_PROJECTS:
        raise BadRequest(
            f"A token is for 1 to {MOST_PROJECTS} projects or patterns, or for all."
        )
    return Scope(acts, names)


def check_maker(
    maker: Principal, owner: str, scope: Scope, *, administers: bool
) -> None:
    """Return if somebody may make, see or revoke such a token of an owner.

    Owners may, with their passwords, and administrators for everybody. Who shows a
    token only may if that one was made to administer, and no wider one than itself: a
    token that leaked must not outlive its being revoked.

    :param administers: whether the policy lets *maker* administer everything.
    :raises Forbidden: not so; the message says why.
    """
    if maker.name is None or (maker.name != owner and not administers):
        raise Forbidden("Only administrators change the tokens of others.")
    own = maker.scope
    if own is None:
        return
    if not own.has(Action.ADMINISTER):
        raise Forbidden(
            "A token makes no tokens, nor shows or revokes any, unless it was made for "
            "administering (administer among its actions): use your password."
        )
    if not _is_within(scope, own):
        raise Forbidden("A token makes none that may do more than itself.")


def _is_within(scope: Scope, wider: Scope) -> bool:
    """Whether everything that *scope* allows is allowed by *wider*.

    Patterns count as within only where they are the same, or *wider* has the name.
    """
    if wider.actions is not None and not (scope.actions or set(GRANTABLE)) <= (
        wider.actions
    ):
        return False
    if wider.projects is None:
        return True
    return scope.projects is not None and set(scope.projects) <= set(wider.projects)


def _told(owner: str, record: TokenRecord) -> str:
    """Say in a record of a new token whose it is, what it may, and until when."""
    scope = record.scope
    actions = "everything" if scope.actions is None else show_actions(scope.actions)
    projects = "all projects" if scope.projects is None else ", ".join(scope.projects)
    until = datetime.fromtimestamp(record.ends, UTC)
    return (
        f"{record.id} for {owner}: {record.description} ({actions} of {projects}, "
        f"until {until:%Y-%m-%d %H:%M} UTC)"
    )


def _checked_description(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST_DESCRIPTION or not text.isprintable():
        raise BadRequest(
            f"A description has at most {LONGEST_DESCRIPTION} characters in one line."
        )
    return text


def _listed(document: OwnerTokens, uses: Uses) -> Iterable[ListedToken]:
    for record in document.tokens.values():
        yield ListedToken(document.owner, record, uses.get(record.id))
