"""Who shows a token: the authenticator.

A token that was right is remembered under a keyed hash of the header that it came in,
with what makes it right: the document that was read. While that is fresh a request
costs a look-up, and the store nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.access.remembered import make_sealer
from pypicloud_tw.access.tokens.documents import TokenDocuments
from pypicloud_tw.access.tokens.last_use import LastUses
from pypicloud_tw.access.tokens.minted import Minted
from pypicloud_tw.access.tokens.owners import ELSEWHERE, Owners, People
from pypicloud_tw.access.tokens.records import TokenRecord
from pypicloud_tw.access.tokens.shown import (
    ShownToken,
    is_others,
    shown_token,
    shows_token,
)
from pypicloud_tw.access.tokens.text import (
    UserToken,
    is_token,
    owner_key_of,
    read_token,
)
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.errors import PypicloudError, TooManyRequests, Unauthorized
from pypicloud_tw.index.audit import Proof
from pypicloud_tw.metrics import Metrics

_NO_OWNER = "The user whose token this is does not exist any more."

#: Headers that are remembered; each with its principal takes 1 kB.
REMEMBERED = 8192


@frozen
class _RememberedToken:
    """A token that was right.

    :ivar ends: in seconds since 1970.
    :ivar holds: tells whether what it was judged by is how it is still.
    :ivar used: the id that its use is noted under; None: it is not.
    """

    principal: Principal
    ends: int
    holds: Callable[[float], bool]
    used: str | None = None


@define(eq=False)
class TokenLogin:
    """The authenticator of tokens.

    :ivar owners: knows the users that tokens can belong to.
    :ivar people: knows those of them who are known elsewhere; None: there are none.
    :ivar outcomes: how many checks came to what.
    """

    documents: TokenDocuments
    minted: Minted
    owners: Owners
    uses: LastUses
    clock: IReactorTime
    people: People | None = None
    outcomes: Counter[str] = field(factory=Counter, init=False)
    _remembered: Cache[bytes, _RememberedToken] = field(
        factory=lambda: Cache(REMEMBERED), init=False
    )
    _seal: Callable[[bytes], bytes] = field(factory=make_sealer, init=False, repr=False)
    _log = Logger()

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        metrics.read_by(
            "pypicloud_token_checks",
            "Tokens that were shown, by what came of it",
            "outcome",
            lambda: self.outcomes,
        )

    def takes(self, credentials: Credentials) -> bool:
        """Return whether a token is shown.

        Where a proxy has signed somebody in, one that is not ours is the proxy's own.
        """
        authorization = credentials.authorization
        if authorization is None or not shows_token(authorization):
            return False
        return credentials.forwarded_user is None or not is_others(authorization)

    def recall(self, credentials: Credentials) -> Principal | None:
        """Return at once whose token it is, if it was right a moment ago."""
        assert credentials.authorization is not None, "there is a token in it"
        known = self._remembered.get(self._seal(credentials.authorization))
        return None if known is None else self._recall(known, credentials.client)

    def find_recall(
        self, credentials: Credentials
    ) -> Callable[[], Principal | None] | None:
        """Return what recalls whose token it is, when it is shown again."""
        assert credentials.authorization is not None, "there is a token in it"
        known = self._remembered.get(self._seal(credentials.authorization))
        if known is None:
            return None
        return partial(self._recall, known, credentials.client)

    def _recall(self, known: _RememberedToken, client: str) -> Principal | None:
        now = self.clock.seconds()
        if now >= known.ends or not known.holds(now):
            return None
        self._note(known, client)
        return known.principal

    async def authenticate(self, credentials: Credentials) -> Principal:
        """Find out whose token it is.

        :raises Unauthorized: unknown, revoked, at its end, its owner gone, or damaged.
        :raises TooManyRequests: the client has shown too many that are not known.
        :raises Unavailable: it cannot be found out now.
        """
        authorization = credentials.authorization
        assert authorization is not None, "there is a token in it"
        try:
            shown = shown_token(authorization)
            known = await self._judge(shown, credentials.client)
        except PypicloudError as e:
            self._count(e, credentials.client)
            raise
        if not known.principal.last_known:
            self._remembered.put(self._seal(authorization), known)
        self._note(known, credentials.client)
        return known.principal

    async def _judge(self, shown: ShownToken | None, client: str) -> _RememberedToken:
        if shown is None:
            raise Unauthorized(
                "The Authorization field is malformed: it begins as one with a token "
                "does."
            )
        if shown.misplaced:
            raise Unauthorized(
                "A token is a password: give it as the password of the user __token__."
            )
        if not is_token(shown.text):
            raise Unauthorized(
                "This is not a token of this index; those begin with pypi-tw."
            )
        token = read_token(shown.text)
        if isinstance(token, UserToken):
            return await self._judge_users(token, client)
        known, stale = await self.minted.find(token, client)
        record = known.record
        principal = Principal(
            None,
            publishers=record.publishers,
            proof=Proof("publisher", record.claims),
            last_known=stale,
        )
        holds = self.minted.holding(token, known)
        return _RememberedToken(principal, record.ends, holds)

    async def _judge_users(self, token: UserToken, client: str) -> _RememberedToken:
        key = owner_key_of(token.id)
        found = await self.documents.find(token.id, client)
        known = found.known
        record = None if known is None else known.document.tokens.get(token.id)
        if known is None or record is None or not record.fits(token.secret):
            raise Unauthorized("This token is not known here, or not any more.")
        owner = known.document.owner
        self._check_lives(record, owner)
        person = await self._person(record, owner)
        principal = evolve(
            person,
            scope=record.scope,
            proof=Proof("token", {"id": record.id, "description": record.description}),
            last_known=found.stale,
        )

        def holds(now: float) -> bool:
            return (
                self.documents.holds(key, known, now)
                and self.owners(owner) == record.owner_id
                and self._is_still(record, person)
            )

        return _RememberedToken(principal, record.ends, holds, record.id)

    async def _person(self, record: TokenRecord, owner: str) -> Principal:
        """Return an owner, with the groups that they have elsewhere.

        :raises Unauthorized: who should be known elsewhere is not.
        :raises Unavailable: that cannot be found out now.
        """
        if record.owner_id != ELSEWHERE:
            return Principal(owner)
        person = None if self.people is None else await self.people.find(owner)
        if person is None:
            raise Unauthorized(_NO_OWNER)
        return person

    def _is_still(self, record: TokenRecord, person: Principal) -> bool:
        """Return whether a person was looked up lately, if that is needed."""
        if record.owner_id != ELSEWHERE:
            return True
        recalled = (
            None if self.people is None else self.people.recall(person.name or "")
        )
        return recalled is person

    def _check_lives(self, record: TokenRecord, owner: str) -> None:
        if record.revoked is not None:
            raise Unauthorized("This token was revoked; make a new one.")
        if self.clock.seconds() >= record.ends:
            raise Unauthorized("This token has ended; make a new one.")
        if self.owners(owner) != record.owner_id:
            raise Unauthorized(_NO_OWNER)

    def _note(self, known: _RememberedToken, client: str) -> None:
        self.outcomes["right"] += 1
        if known.used is not None:
            self.uses.note(known.used, client)

    def _count(self, error: PypicloudError, client: str) -> None:
        match error:
            case Unauthorized():
                self.outcomes["refused"] += 1
                self._log.info(
                    "A token was refused to {client!r}: {why}",
                    client=client,
                    why=error.message,
                )
            case TooManyRequests():
                self.outcomes["too many"] += 1
            case _:
                self.outcomes["unknown"] += 1
