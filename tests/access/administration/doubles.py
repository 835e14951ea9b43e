"""One server's administration of access, in memory; several can share a store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import define, field
from twisted.internet.task import Clock

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.authority import (
    Authority,
    Operator,
    PrincipalAuthority,
)
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.load import load_settings
from pypicloud_tw.index.audit import Act, Actor
from pypicloud_tw.store.memory import MemoryStore
from tests.access.administration.suite import INI
from tests.access.tokens.doubles import NOW, TokenServer
from tests.doubles import InlineOffload, QuickHashes
from tests.web.doubles import USERS

ANN = Actor("ann")


def settings(ini: Mapping[str, str] = INI) -> AccessSettings:
    """Read what an ini says of access; ann can log in."""
    return AccessSettings.of(load_settings(ini, USERS, Path("/")))


@define(eq=False)
class AccessServer:
    """All of one server that administers access."""

    clock: Clock
    store: MemoryStore
    settings: AccessSettings = field(factory=settings)
    offload: InlineOffload = field(factory=QuickHashes, init=False)
    acts: list[Act] = field(factory=list, init=False)
    parts: Administered = field(init=False)
    tokens: TokenServer = field(init=False)
    documents: AccessDocuments = field(init=False)
    access: Access = field(init=False)

    @classmethod
    def new(cls, ini: Mapping[str, str] = INI) -> AccessServer:
        """Make one over a store of its own."""
        clock = Clock()
        clock.advance(NOW)
        store = MemoryStore(InlineOffload(), clock=clock.seconds)
        return cls(clock, store, settings(ini))

    def __attrs_post_init__(self) -> None:
        owners = _Owners()
        owners.server = self
        self.tokens = TokenServer(self.store, self.clock, users=owners)
        self.documents = AccessDocuments(
            self.store, self.tokens.watch, self.tokens.standing, self.clock
        )
        self.access = Access(Policy(self.settings), (), self.documents)
        self.parts = Administered(
            self.access,
            self.documents,
            self.tokens.tokens,
            self.offload,
            self.acts.append,
        )

    def beside(self) -> AccessServer:
        """Make another over the same store."""
        return AccessServer(self.clock, self.store, self.settings)

    def administration(
        self, principal: Principal | None = None
    ) -> StoredAdministration:
        """Make what works for somebody; None: for who runs a command."""
        authority: Authority = Operator()
        if principal is not None:
            authority = PrincipalAuthority(self.access, principal)
        return StoredAdministration(self.parts, ANN, authority)


class _Owners(dict[str, str]):
    """Knows the users of the ini and of the document, as a server does."""

    server: AccessServer

    def get(self, name: str, default: object = None) -> str | None:  # type: ignore[override]  # all that is asked
        document = self.server.documents.current
        if name in self.server.settings.users:
            return ""
        return document.users[name].id if name in document.users else None
