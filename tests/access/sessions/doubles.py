"""Servers that share one store in memory, as far as sessions are concerned."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.access.sessions.accounts import Accounts
from pypicloud_tw.access.sessions.login import SessionLogin
from pypicloud_tw.access.sessions.sessions import NewSession, Sessions
from pypicloud_tw.access.sessions.text import SessionText
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.owners import People
from pypicloud_tw.index.audit import Proof
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.store.memory import MemoryStore
from tests.access.tokens.doubles import CLIENT, NOW
from tests.doubles import InlineOffload

T = TypeVar("T")

ANN = Principal("ann", proof=Proof("password"))


@define(eq=False)
class SessionServer:
    """All of one server that sessions are made of.

    :ivar users: what tells each user from others of the name, by name.
    :ivar passwords: what tells their passwords from others.
    """

    store: MemoryStore
    clock: Clock
    users: dict[str, str] = field(factory=lambda: {"ann": "", "bob": ""})
    passwords: dict[str, str] = field(factory=lambda: {"ann": "1", "bob": "2"})
    standing: Standing = field(factory=Standing)
    people: People | None = None
    sessions: Sessions = field(init=False)
    accounts: Accounts = field(init=False)
    login: SessionLogin = field(init=False)

    def __attrs_post_init__(self) -> None:
        throttle = Throttle(self.clock.seconds)
        self.sessions = Sessions(self.store, self.standing, self.clock, throttle)
        self.accounts = Accounts(self.users.get, self.passwords.get, self.people)
        self.login = SessionLogin(self.sessions, self.accounts, self.clock)


class SessionTestCase(SynchronousTestCase):
    """Tests over one store, with two servers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.server = self.another()
        self.other = self.another()

    def another(self, **settings: Any) -> SessionServer:
        return SessionServer(self.store, self.clock, **settings)

    def get(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def fails(self, work: Coroutine[Any, Any, Any], *errors: type[Exception]) -> str:
        """Return the sentence of the error that *work* must raise."""
        failure = self.failureResultOf(Deferred.fromCoroutine(work), *errors)
        return str(failure.value)

    def begin(self, principal: Principal = ANN) -> NewSession:
        """Log somebody in."""
        user = self.server.accounts.by_password(principal)
        return self.get(self.server.sessions.begin(user))

    def shown(self, text: SessionText | bytes) -> Credentials:
        value = text if isinstance(text, bytes) else text.text.encode()
        return Credentials(None, CLIENT, session=value)

    def showing(
        self, text: SessionText | bytes, server: SessionServer | None = None
    ) -> Coroutine[Any, Any, Principal]:
        """Show a session, as a request does that is not remembered."""
        credentials = self.shown(text)
        login = (server or self.server).login
        self.assertTrue(login.takes(credentials))
        return login.authenticate(credentials)

    def name(
        self, text: SessionText | bytes, server: SessionServer | None = None
    ) -> str | None:
        """Return whose session it is; None: nobody's."""
        return self.get(self.showing(text, server)).name

    def recalled(
        self, text: SessionText, server: SessionServer | None = None
    ) -> Principal | None:
        """Show a session again, asking nobody."""
        return (server or self.server).login.recall(self.shown(text))

    def calls_during(self, work: Coroutine[Any, Any, T]) -> list[str]:
        """Return what the store was asked meanwhile."""
        before = len(self.store.calls)
        self.get(work)
        return [operation for operation, _ in self.store.calls[before:]]
