"""Servers that share one store in memory, as far as tokens are concerned."""

from __future__ import annotations

import base64
from collections.abc import Coroutine
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.documents import TokenDocuments
from pypicloud_tw.access.tokens.last_use import LastUses
from pypicloud_tw.access.tokens.login import TokenLogin
from pypicloud_tw.access.tokens.minted import Minted
from pypicloud_tw.access.tokens.owners import People
from pypicloud_tw.access.tokens.tokens import NewToken, Tokens
from pypicloud_tw.index.audit import Act, Actor
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.watch import MarkerWatch
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload

T = TypeVar("T")

#: Some moment; seconds since 1970.
NOW = 1_800_000_000.0

CLIENT = "192.0.2.1"

ANN = Actor("ann")
ISSUER = "https://ci.example"


def basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def bearer(text: str) -> bytes:
    return f"Bearer {text}".encode()


@define(eq=False)
class TokenServer:
    """All of one server that tokens are made of.

    :ivar users: what tells each user from others of the name, by name.
    :ivar people: knows those that are known elsewhere.
    """

    store: MemoryStore
    clock: Clock
    name: str = "one"
    fresh_for: float = 1.0
    users: dict[str, str] = field(factory=lambda: {"ann": "", "bob": ""})
    standing: Standing = field(factory=Standing)
    people: People | None = None
    acts: list[Act] = field(factory=list, init=False)
    watch: MarkerWatch = field(init=False)
    documents: TokenDocuments = field(init=False)
    minted: Minted = field(init=False)
    uses: LastUses = field(init=False)
    tokens: Tokens = field(init=False)
    login: TokenLogin = field(init=False)

    def __attrs_post_init__(self) -> None:
        throttle = Throttle(self.clock.seconds)
        self.watch = MarkerWatch(Marker(self.store), self.clock, self.fresh_for)
        self.documents = TokenDocuments(
            self.store, self.watch, self.standing, self.clock, throttle
        )
        self.minted = Minted(
            self.store, self.standing, self.clock, throttle, self.fresh_for
        )
        self.uses = LastUses(self.store, self.clock, self.name)
        self.tokens = Tokens(
            self.documents,
            self.minted,
            self.users.get,
            self.uses,
            self.clock,
            self.acts.append,
            self.people,
        )
        self.login = TokenLogin(
            self.documents,
            self.minted,
            self.users.get,
            self.uses,
            self.clock,
            self.people,
        )


class TokenTestCase(SynchronousTestCase):
    """Tests over one store, with a server or several."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.server = self.another("one")

    def another(self, name: str, **settings: Any) -> TokenServer:
        return TokenServer(self.store, self.clock, name, **settings)

    def get(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def fails(self, work: Coroutine[Any, Any, Any], *errors: type[Exception]) -> str:
        """Return the sentence of the error that *work* must raise."""
        failure = self.failureResultOf(Deferred.fromCoroutine(work), *errors)
        return str(failure.value)

    def make(self, owner: str = "ann", **narrowed: Any) -> NewToken:
        making = self.server.tokens.make(owner, Actor(owner), "for CI", **narrowed)
        return self.get(making)

    def show(
        self, text: str, server: TokenServer | None = None, client: str = CLIENT
    ) -> Principal:
        """Show a token, as the first request with it does."""
        return self.get(self.showing(text, server, client))

    def showing(
        self, text: str, server: TokenServer | None = None, client: str = CLIENT
    ) -> Coroutine[Any, Any, Principal]:
        credentials = Credentials(basic("__token__", text), client)
        login = (server or self.server).login
        assert login.takes(credentials)
        return login.authenticate(credentials)

    def recall(
        self, text: str, server: TokenServer | None = None, client: str = CLIENT
    ) -> Principal | None:
        """Show a token again, asking nobody."""
        credentials = Credentials(basic("__token__", text), client)
        return (server or self.server).login.recall(credentials)

    def calls_during(self, work: Coroutine[Any, Any, T]) -> list[tuple[str, str]]:
        """Return what the store was asked meanwhile."""
        before = len(self.store.calls)
        self.get(work)
        return self.store.calls[before:]
