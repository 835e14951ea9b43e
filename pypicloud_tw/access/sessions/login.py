"""Whose session a request shows: the authenticator.

A session is never more than its user: what that may do is judged anew at each request.
One that is damaged, over or unknown is nobody's, and no error: a browser that has an
old cookie reads what everybody may, and what not everybody may leads it to the log-in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.principal import ANONYMOUS, Credentials, Principal
from pypicloud_tw.access.remembered import make_sealer
from pypicloud_tw.access.sessions.accounts import Accounts
from pypicloud_tw.access.sessions.records import SessionUser
from pypicloud_tw.access.sessions.sessions import Sessions
from pypicloud_tw.access.sessions.text import SessionText, read_session
from pypicloud_tw.access.users import Watched
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.index.audit import Proof
from pypicloud_tw.metrics import Metrics

#: Sessions that are remembered, and groups of their users; each takes 1 kB at most.
REMEMBERED = 16_384

#: The kind of proof of whoever is logged in so.
KIND = "session"


@frozen
class _RememberedSession:
    """A session that was right.

    :ivar until: in seconds since 1970.
    :ivar holds: tells whether what it was judged by is how it is still.
    """

    principal: Principal
    until: int
    holds: Callable[[float], bool]


@define(eq=False)
class SessionLogin:
    """The authenticator of sessions.

    :ivar watched: a source of users that is looked at before a session counts, if not
        just now; None: none changes by itself.
    :ivar outcomes: how many checks came to what.
    """

    sessions: Sessions
    accounts: Accounts
    clock: IReactorTime
    watched: Watched | None = None
    outcomes: Counter[str] = field(factory=Counter, init=False)
    _remembered: Cache[bytes, _RememberedSession] = field(
        factory=lambda: Cache(
            REMEMBERED, lambda known: 1 + len(known.principal.groups)
        ),
        init=False,
    )
    _seal: Callable[[bytes], bytes] = field(factory=make_sealer, init=False, repr=False)

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        metrics.read_by(
            "pypicloud_session_checks",
            "Sessions that were shown, by what came of it",
            "outcome",
            lambda: self.outcomes,
        )

    def takes(self, credentials: Credentials) -> bool:
        """Return whether a session is shown, and nothing else that says who it is.

        What a proxy or a certificate says goes before it: they say so each time anew.
        """
        return (
            credentials.session is not None
            and credentials.authorization is None
            and credentials.forwarded_user is None
            and credentials.certificate is None
        )

    def recall(self, credentials: Credentials) -> Principal | None:
        """Return at once whose session it is, if it was right a moment ago."""
        assert credentials.session is not None, "there is a session in it"
        if self.watched is not None and not self.watched.fresh:
            return None
        known = self._remembered.get(self._seal(credentials.session))
        now = self.clock.seconds()
        if known is None or now >= known.until or not known.holds(now):
            return None
        self.outcomes["right"] += 1
        return known.principal

    def find_recall(self, credentials: Credentials) -> None:
        """Find nothing: browsers show it on many connections."""

    async def authenticate(self, credentials: Credentials) -> Principal:
        """Find out whose session it is; anonymous: nobody's.

        :raises TooManyRequests: the client has shown too many that there are not.
        :raises Unavailable: it cannot be found out now.
        """
        assert credentials.session is not None, "there is a session in it"
        if self.watched is not None:
            await self.watched.freshen()
        text = read_session(credentials.session)
        known = None
        if text is not None:
            known = await self._judge(text, credentials.client)
        if known is None:
            self.outcomes["refused"] += 1
            return ANONYMOUS
        if not known.principal.last_known:
            self._remembered.put(self._seal(credentials.session), known)
        self.outcomes["right"] += 1
        return known.principal

    async def _judge(self, text: SessionText, client: str) -> _RememberedSession | None:
        known, stale = await self.sessions.find(text, client)
        if known is None:
            return None
        user = known.record.user
        if not self.accounts.has(user):
            return None
        person = await self.accounts.find(user)
        if person is None:
            return None
        proof = Proof(KIND, {**user.proof, "id": text.id})
        principal = evolve(person, proof=proof, last_known=stale)
        is_same = self.sessions.holding(text, known)

        def holds(now: float) -> bool:
            return is_same(now) and self._is_still(user, person)

        return _RememberedSession(principal, known.record.until, holds)

    def _is_still(self, user: SessionUser, person: Principal) -> bool:
        return self.accounts.has(user) and self.accounts.is_still(user, person)
