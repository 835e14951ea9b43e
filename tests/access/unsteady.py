"""Servers whose ways to one store in memory are slow, cut, and lose answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.passwords import DOCUMENT
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.documents import TokenDocuments
from pypicloud_tw.access.tokens.last_use import LastUses
from pypicloud_tw.access.tokens.login import TokenLogin
from pypicloud_tw.access.tokens.minted import Minted
from pypicloud_tw.access.tokens.owners import TokenOwners
from pypicloud_tw.access.tokens.tokens import Tokens
from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.errors import AmbiguousWrite, StoreError
from pypicloud_tw.index.catalog import Catalog, Rendered
from pypicloud_tw.index.manifests import Manifests, Versioned
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.watch import MarkerWatch
from pypicloud_tw.store.interfaces import ObjectInfo, StoredBytes
from pypicloud_tw.store.memory import MemoryStore

T = TypeVar("T")

FRESH_FOR = 1.0

#: Seconds that one way of a request takes: mostly none that matter.
_WAYS = (0.0, 0.0, 0.0, 0.0, 0.05, 0.3, 1.2, 4.0)


@define
class Weather:
    """How steady all lines are.

    :ivar faults: of 100 requests, how many fail.
    """

    faults: int


@define(eq=False)
class Line:
    """One server's way to the store; what was sent arrives, whoever waits for it.

    :ivar dead: the server was killed: nothing that it sends arrives, nor is heard.
    """

    store: MemoryStore
    clock: Clock
    dice: Random
    weather: Weather
    dead: bool = field(default=False, init=False)

    async def get(self, key: str, **how: Any) -> StoredBytes | None:
        return await self._carry(lambda: self.store.get(key, **how))

    async def head(self, key: str) -> ObjectInfo:
        return await self._carry(lambda: self.store.head(key))

    async def put(self, key: str, data: bytes, **how: Any) -> ObjectInfo:
        # What tries a conditional write again finds its own, and cannot tell.
        lost = AmbiguousWrite if how.get("condition") else StoreError
        return await self._carry(lambda: self.store.put(key, data, **how), lost)

    async def delete(self, key: str) -> None:
        await self._carry(lambda: self.store.delete(key))

    async def list(self, prefix: str, **how: Any) -> AsyncIterator[ObjectInfo]:
        async def listed() -> list[ObjectInfo]:
            return [info async for info in self.store.list(prefix, **how)]

        for info in await self._carry(listed):
            yield info

    async def _carry(
        self,
        request: Callable[[], Coroutine[Any, Any, T]],
        lost: type[StoreError] = StoreError,
    ) -> T:
        return await shielded(self._through(request, lost))

    async def _through(
        self,
        request: Callable[[], Coroutine[Any, Any, T]],
        lost: type[StoreError],
    ) -> T:
        fails = self.dice.randrange(100) < self.weather.faults
        unheard = fails and self.dice.random() < 0.5
        await self._travel()
        if fails and not unheard:
            raise StoreError("The line is cut.")
        result = await request()
        await self._travel()
        if unheard:
            raise self.dice.choice((lost, StoreError))("The answer was lost.")
        return result

    async def _travel(self) -> None:
        if self.weather.faults and (way := self.dice.choice(_WAYS)):
            await deferLater(self.clock, way, lambda: None)
        if self.dead:
            await Deferred()


async def render(state: Versioned) -> Rendered[frozenset[str]]:
    """Render a project as the names of its files."""
    return Rendered(frozenset(file.filename for file in state.project.files), 1000)


@frozen(eq=False)
class Server:
    """What one process has of an index, made in the order of the assembly."""

    line: Line
    access: Access
    documents: AccessDocuments
    catalog: Catalog[frozenset[str]]
    tokens: Tokens
    minted: Minted
    login: TokenLogin

    @classmethod
    def start(cls, name: str, line: Line, throttle: Throttle) -> Server:
        """Make one that knows nothing yet; the ini says nothing of rights."""
        store: Any = line
        clock, standing = line.clock, Standing()
        dice = Random(line.dice.random())
        watch = MarkerWatch(Marker(store), clock, FRESH_FOR)
        catalog = Catalog(Manifests(store, clock, dice), watch, clock, render)
        documents = AccessDocuments(store, watch, standing, clock, random=dice)
        owners = TokenOwners(
            lambda name: DOCUMENT if name in documents.current.users else None
        )
        documents.subscribe(owners.obeying)
        access = Access(Policy(AccessSettings(has_users=True)), (), documents)
        books = TokenDocuments(store, watch, standing, clock, throttle, random=dice)
        minted = Minted(store, standing, clock, throttle, FRESH_FOR)
        uses = LastUses(store, clock, name)
        owner = owners.identify
        tokens = Tokens(books, minted, owner, uses, clock, lambda act: None)
        login = TokenLogin(books, minted, owner, uses, clock)
        return cls(line, access, documents, catalog, tokens, minted, login)
