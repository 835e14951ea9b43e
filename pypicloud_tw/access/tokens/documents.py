"""The documents of owners' tokens: read, remembered while they are fresh, and changed.

They are as fresh as pages are (decision D3): the marker tells whose tokens changed, and
each document in use is asked for again from time to time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from random import Random, SystemRandom

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.lookups import Lookups
from pypicloud_tw.access.tokens.records import (
    FOLDER,
    MAX_DOCUMENT,
    OwnerTokens,
    decode,
    document_key,
    encode,
    key_of_document,
    marker_entry,
)
from pypicloud_tw.access.tokens.text import owner_key, owner_key_of
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.errors import ObjectNotFound, StoreError
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.swaps import Swaps
from pypicloud_tw.index.watch import NEVER, MarkerWatch
from pypicloud_tw.store.interfaces import IfAbsent, IfMatch, IObjectStore

#: Bytes of memory for documents, those used last. Measured: a token takes 600, and what
#: is of its owner 1,400. So 100,000 tokens of 5,000 owners are all known, or the only
#: ones of 33,000 owners.
CAPACITY, _TOKEN, _OWNER = 64 * 2**20, 600, 1400

#: Tokens that are known not to be there; anybody may make up any.
ABSENT = 10_000

#: Seconds for which a token that was right may still be used for reading while the
#: store is away. Nobody can revoke it meanwhile, except where this server alone is cut
#: off; the files come from the store, so that nearly nothing can be read.
STALE_FOR = 86400.0

#: Reads of one document in a row that others' changes may overtake.
REREADS = 5


@define(eq=False)
class KnownTokens:
    """An owner's tokens as they were read last.

    :ivar proved: when they were asked for, if nobody has doubted them since.
    :ivar seen: when the store last said that they are so.
    :ivar changed: the marker says that they are not so any more.
    """

    document: OwnerTokens
    etag: str
    proved: float = NEVER
    seen: float = NEVER
    changed: bool = False


@frozen
class Found:
    """What was found of an owner's tokens.

    :ivar known: None: there is no such token.
    :ivar stale: the store is away, and this is what was known before.
    """

    known: KnownTokens | None
    stale: bool = False


async def read_tokens(
    store: IObjectStore, key: str, known: KnownTokens | None = None
) -> KnownTokens | None:
    """Read an owner's tokens as they are now; None: there are none.

    :param known: as they were read last; returned if they are so still.
    :raises TokensDamaged: they cannot be understood.
    :raises StoreError: the store is away.
    """
    unless = None if known is None else known.etag
    try:
        stored = await store.get(document_key(key), unless=unless, limit=MAX_DOCUMENT)
    except ObjectNotFound:
        return None
    if stored is not None:
        return KnownTokens(decode(key, stored.data), stored.info.etag)
    assert known is not None, "a conditional read answers None to its ETag only"
    return known


async def document_keys(store: IObjectStore) -> list[str]:
    """List the owners who have a document, by :func:`.text.owner_key`.

    :raises StoreError: the store is away.
    """
    keys = [key_of_document(info.key) async for info in store.list(FOLDER)]
    return [key for key in keys if key is not None]


def _weight(known: KnownTokens) -> int:
    return len(known.document.tokens) * _TOKEN + _OWNER


@define(eq=False)
class TokenDocuments:
    """Every owner's tokens, in one store.

    :ivar watch: tells whose changed.
    :ivar standing: tells whether anything may be changed now.
    :ivar throttle: judges clients that show tokens that there are not.
    :ivar verify_every: seconds after which a document in use is asked for again.
    """

    store: IObjectStore
    watch: MarkerWatch
    standing: Standing
    clock: IReactorTime
    throttle: Throttle
    verify_every: float = 60.0
    random: Random = field(factory=SystemRandom)
    _known: Cache[str, KnownTokens] = field(
        factory=lambda: Cache(CAPACITY, _weight), init=False
    )
    _absent: Cache[str, bool] = field(init=False)
    _overtaken: dict[str, bool] = field(factory=dict, init=False)
    _lookups: Lookups[KnownTokens] = field(init=False)
    _swaps: Swaps[KnownTokens, OwnerTokens] = field(init=False)

    @_absent.default
    def _make_absent(self) -> Cache[str, bool]:
        return Cache(ABSENT, seconds=self.clock.seconds, lifetime=self.watch.fresh_for)

    @_lookups.default
    def _make_lookups(self) -> Lookups[KnownTokens]:
        return Lookups(self.throttle, self.clock)

    @_swaps.default
    def _make_swaps(self) -> Swaps[KnownTokens, OwnerTokens]:
        return Swaps(_DocumentShelf(self), self.clock, self.random)

    def __attrs_post_init__(self) -> None:
        self.watch.subscribe(self._hear)

    def holds(self, key: str, known: KnownTokens, now: float) -> bool:
        """Return, asking nobody, whether these are an owner's tokens still."""
        return (
            self.watch.holds(now)
            and 0 <= now - known.proved < self.verify_every
            and self._known.get(key) is known
        )

    async def find(self, id: str, client: str) -> Found:
        """Find the document that has a token in it, as it is now.

        A token that is not in what is known is asked for, for it may just have been
        made on another server; each is once, and charged to who shows it.

        While the store is away it is what was known before, for :data:`STALE_FOR`, but
        not where the marker has already said that it changed.

        :param id: the token's.
        :param client: the address that shows it.
        :raises TooManyRequests: it has shown too many that there are not.
        :raises StoreError: the store is away, and nothing is known.
        :raises QueueFullError: too many ask at this moment.
        """
        try:
            await self.watch.freshen()
            return Found(await self._find(id, client))
        except StoreError:
            known = self._known.get(owner_key_of(id))
            if known is None or not self._is_good(known, id):
                raise
            return Found(known, stale=True)

    async def _find(self, id: str, client: str) -> KnownTokens | None:
        key = owner_key_of(id)
        known = self._known.get(key)
        question = partial(self._read, key)
        if known is not None and id in known.document.tokens:
            if self.holds(key, known, self.clock.seconds()):
                return known
            return await self._lookups.again(key, client, question)
        if id in self._absent:
            return None
        found = await self._lookups.first(
            key, client, question, id, lambda found: id in found.document.tokens
        )
        if found is None:
            self._absent.put(id, True)
        return found

    def _is_good(self, known: KnownTokens, id: str) -> bool:
        """Return whether it may serve for one token while the store is away."""
        if known.changed or id not in known.document.tokens:
            return False
        return 0 <= self.clock.seconds() - known.seen < STALE_FOR

    async def read(self, key: str) -> OwnerTokens | None:
        """Read an owner's tokens; None: there are none. Errors as of :meth:`get`."""
        known = await self.get(key)
        return None if known is None else known.document

    async def read_all(self) -> AsyncIterator[OwnerTokens]:
        """Read every owner's tokens from the store, one owner after the other.

        :raises StoreError: it is away, or a document is damaged.
        """
        for key in await document_keys(self.store):
            document = await self.read(key)
            if document is not None:
                yield document

    async def change(
        self,
        owner: str,
        change: Callable[[OwnerTokens], OwnerTokens],
        made: Callable[[], None],
    ) -> OwnerTokens:
        """Change an owner's tokens durably, and tell every server.

        :param change: returns what it was given where nothing is to do; it may be
            called several times.
        :param made: called as soon as it is durable, to make a record of it: must
            neither fail nor block.
        :raises Unavailable: nothing may be changed now, or too many do; it may have
            been made.
        :raises StoreError: the store is away, or the others could not be told.
        """
        self.standing.check()
        key = owner_key(owner)
        state = await self._swaps.change(
            key, lambda document: change(document or OwnerTokens(owner))
        )
        made()
        await self.watch.tell(marker_entry(key))
        return state.document

    def _hear(self, news: set[str] | None) -> None:
        """Doubt those whose tokens changed, and whatever is being read of them."""
        if news is None or FOLDER in news:
            for _, known in self._known.items():
                known.proved = NEVER
            self._overtaken = dict.fromkeys(self._overtaken, True)
            return
        for entry in news:
            if entry.startswith(FOLDER):
                self._doubt(entry.removeprefix(FOLDER))

    def _doubt(self, key: str) -> None:
        known = self._known.get(key)
        if known is not None:
            known.proved, known.changed = NEVER, True
        if key in self._overtaken:
            self._overtaken[key] = True

    async def _read(self, key: str) -> KnownTokens | None:
        """Read until no change overtook the reading; give up proving it in the end."""
        for _ in range(REREADS):
            began = self.clock.seconds()
            self._overtaken[key] = False
            try:
                known = await self.get(key)
            finally:
                overtaken = self._overtaken.pop(key)
            if not overtaken:
                break
        else:
            began = NEVER
        if known is None:
            self._known.drop(key)
            return None
        known.proved, known.changed = began, False
        self._known.put(key, known)
        return known

    async def get(self, key: str) -> KnownTokens | None:
        """Ask the store for an owner's tokens; what did not change is not sent again.

        :raises StoreError: it is away, or the document is damaged.
        """
        known = await read_tokens(self.store, key, self._known.get(key))
        if known is not None:
            known.seen = self.clock.seconds()
        return known


@frozen
class _DocumentShelf:
    """Where the documents lie, for :class:`.swaps.Swaps`."""

    documents: TokenDocuments

    async def look(self, name: str) -> KnownTokens | None:
        return await self.documents.get(name)

    def content(self, state: KnownTokens) -> OwnerTokens:
        return state.document

    async def put(
        self, name: str, after: OwnerTokens, found: KnownTokens | None
    ) -> KnownTokens:
        info = await self.documents.store.put(
            document_key(name),
            encode(after),
            condition=IfAbsent() if found is None else IfMatch(found.etag),
            content_type="application/json",
        )
        return KnownTokens(after, info.etag)
