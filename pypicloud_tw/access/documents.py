"""The access document in the store: what is known of it, and changes (decision D7).

It is as fresh as pages are: the marker tells that it changed. While the store is away
what was known holds. What could never be read allows nothing.

No document means that nobody has set anything, and then every user may write; so one
that was lost must not be taken for one that never was. Before anything is said in a
document, another object says that there is one (:data:`BEGUN`): an empty document is
written, then that object, then what the first change says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random, SystemRandom

from attrs import define, field, frozen
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.document_format import (
    BEGUN,
    KEY,
    MAX_DOCUMENT,
    TITLE,
    Contents,
    decoding,
    encode,
    encoding,
)
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.outages import Outages
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.concurrency.steps import Steps, at_once
from pypicloud_tw.errors import (
    AccessUnusable,
    AmbiguousWrite,
    ObjectNotFound,
    PreconditionFailed,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.swaps import Swaps
from pypicloud_tw.index.watch import NEVER, PATIENCE, MarkerWatch, concerns
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.interfaces import (
    Condition,
    IfAbsent,
    IfMatch,
    IObjectStore,
)
from pypicloud_tw.store.timeout import in_time

#: What the marker calls it.
ENTRY = ".access"

#: Reads in a row that changes may overtake.
REREADS = 5

#: Changes the document; returns what it was given where nothing is to do, and raises
#: what its asker shall see. It may be called several times.
DocumentChange = Callable[[AccessDocument], AccessDocument]

#: Prepares to obey another document; what it returns obeys it.
Subscriber = Callable[[AccessDocument], Steps[Callable[[], None]]]

_NOTE = (
    b"There is an access document beside this. If that is missing, restore it from a\n"
    b"backup; to begin without any, delete this object, too, and restart the servers.\n"
)


@frozen
class StoredAccess:
    """The document as it is in the store.

    :ivar etag: None: there has never been one.
    """

    contents: Contents
    etag: str | None


_NONE = StoredAccess(Contents(), None)


async def read_access(
    store: IObjectStore,
    known: StoredAccess | None = None,
    pieces: Pieces | None = None,
) -> StoredAccess:
    """Read the document as it is now.

    :param known: as it was read last.
    :param pieces: leaves others time meanwhile; None: nobody needs any.
    :raises AccessUnusable: it is damaged, too new, or gone.
    :raises StoreError: the store is away.
    """
    etag = None if known is None else known.etag
    try:
        stored = await store.get(KEY, unless=etag, limit=MAX_DOCUMENT)
    except ObjectNotFound:
        if known is not None and known.contents.document != _NONE.contents.document:
            raise _gone() from None
        await _refuse_begun(store)
        return _NONE
    if stored is None:
        assert known is not None, "a conditional read answers None to its ETag only"
        return known
    steps = decoding(stored.data)
    contents = at_once(steps) if pieces is None else await pieces.finish(steps)
    return StoredAccess(contents, stored.info.etag)


async def _refuse_begun(store: IObjectStore) -> None:
    """Return if there has never been a document."""
    try:
        await store.head(BEGUN)
    except ObjectNotFound:
        return
    raise _gone()


def _gone() -> AccessUnusable:
    return AccessUnusable(
        f"{TITLE.capitalize()} is gone: restore {KEY} from a backup, or delete "
        f"{BEGUN} as well and restart, if nobody shall have any right by it."
    )


@define(eq=False)
class AccessDocuments:
    """What one process knows of the access document of its index.

    :ivar watch: tells that it changed.
    :ivar standing: tells whether anything may be changed now.
    :ivar verify_every: seconds after which it is asked for again whatever happened.
    """

    store: IObjectStore
    watch: MarkerWatch
    standing: Standing
    clock: IReactorTime
    verify_every: float = 60.0
    random: Random = field(factory=SystemRandom)
    _state: StoredAccess | None = field(default=None, init=False)
    _proved: float = field(default=NEVER, init=False)
    _failed: float = field(default=NEVER, init=False)
    _failure: StoreError | None = field(default=None, init=False)
    _doubts: int = field(default=0, init=False)
    _writes: int = field(default=0, init=False)
    _subscribers: list[Subscriber] = field(factory=list, init=False)
    _pieces: Pieces = field(init=False)
    _turn: DeferredLock = field(factory=DeferredLock, init=False)
    _question: Coalesced[None] = field(factory=Coalesced, init=False)
    _swaps: Swaps[StoredAccess, Contents] = field(init=False)
    _outages: Outages = field(init=False)
    _log = Logger()

    @_pieces.default
    def _make_pieces(self) -> Pieces:
        return Pieces(self.clock)

    @_swaps.default
    def _make_swaps(self) -> Swaps[StoredAccess, Contents]:
        shelf = _AccessShelf(self.store, self._pieces, self._look, self._learn_own)
        return Swaps(shelf, self.clock, self.random)

    @_outages.default
    def _make_outages(self) -> Outages:
        return Outages("Reading", self.clock.seconds)

    def __attrs_post_init__(self) -> None:
        self.watch.subscribe(self._hear)

    def register(self, metrics: Metrics) -> None:
        """Have its state and its counters shown."""
        metrics.read(
            "pypicloud_access_unreadable",
            "1 while the access document cannot be read, 0 else",
            lambda: self._failure is not None,
            together="max",
        )
        metrics.read(
            "pypicloud_access_swaps",
            "Tries to write the access document",
            lambda: self._swaps.tries,
            counts=True,
        )

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have the document told to *subscriber* whenever it is another.

        It prepares in pieces, and must not fail. What it returns is called when all are
        ready, and must neither fail nor block.
        """
        self._subscribers.append(subscriber)

    @property
    def known(self) -> bool:
        """Whether it is known what the document says, or last said."""
        return self._state is not None

    @property
    def current(self) -> AccessDocument:
        """What it says, as was last known.

        :raises Unavailable: it could never be read.
        """
        if self._state is None:
            raise self._unknown()
        return self._state.contents.document

    @property
    def problem(self) -> str | None:
        """Why it could not be read, while it cannot: a sentence."""
        return None if self._failure is None else self._failure.message

    @property
    def fresh(self) -> bool:
        """Whether what is known may be relied on without asking."""
        now = self.clock.seconds()
        return self.watch.holds(now) and self._holds(now)

    def _holds(self, now: float) -> bool:
        """Return whether what is known need not be asked for, if the marker is fresh.

        What could not be read is not asked for by everybody.
        """
        return self._is_proved(now) or (self.known and self._failed_lately(now))

    def _is_proved(self, now: float) -> bool:
        return 0 <= now - self._proved < self.verify_every

    def _failed_lately(self, now: float) -> bool:
        return 0 <= now - self._failed < self.watch.fresh_for

    async def learn(self, *, changing: bool = False) -> None:
        """Find out what it says now.

        If that cannot be found out any more, what it last said holds for reading.

        :param changing: it has to be known what it says now.
        :raises Unavailable: it is not; or it could never be read, so that nothing can
            be allowed.
        """
        if self.fresh and not (changing and self._failure):
            return
        try:
            await self._freshen(again=changing)
            if self._failure is not None:
                raise self._failure
        except StoreError as e:
            why = e.whole if isinstance(e, AccessUnusable) else e.message
            self._outages.failed(TITLE, why)
            if self._state is None:
                raise self._unknown(e.message) from None
            if changing:
                raise Unavailable(
                    "It is not known whether everybody still may do what they could, "
                    f"so that nothing is changed. {e.message}"
                ) from None
        else:
            self._outages.succeeded(TITLE)

    async def change(
        self, change: DocumentChange, made: Callable[[], None] | None = None
    ) -> AccessDocument:
        """Change it durably, and tell every server; return what it says then.

        It goes on to its end if whoever asked for it is gone.

        :param made: called when something was changed, as soon as that is durable: to
            make a record of it, which must neither fail nor block.
        :raises Unavailable: it cannot be read, the store is away, nothing may be
            changed now, or too many change it; the change may have been made.
        """
        self.standing.check()
        return await shielded(self._change(change, made))

    async def _change(
        self, change: DocumentChange, made: Callable[[], None] | None
    ) -> AccessDocument:
        changed = False

        def apply(contents: Contents | None) -> Contents:
            nonlocal changed
            before = contents or _NONE.contents
            after = change(before.document)
            changed = after is not before.document
            return before.saying(after) if changed else before

        state = await self._swaps.change(TITLE, apply)
        if changed and made is not None:
            made()
        try:
            await self.watch.tell(ENTRY)
        except StoreError as e:
            raise StoreError(
                f"{TITLE.capitalize()} is as you want it, but other servers could not "
                f"be told ({e.message}); they find out within "
                f"{self.verify_every:.0f} s."
            ) from None
        return state.contents.document

    def _hear(self, news: set[str] | None) -> None:
        if concerns(news, ENTRY):
            self._doubts += 1
            self._proved = self._failed = NEVER

    async def _freshen(self, again: bool) -> None:
        """Ask what may have changed.

        :param again: ask also for what could not be read a moment ago.
        """
        await self.watch.freshen(again=again)
        for _ in range(REREADS):
            now = self.clock.seconds()
            if self._is_proved(now) or (self._failed_lately(now) and not again):
                return
            again = False
            await self._question.ask("", self._read)

    async def _read(self) -> None:
        began, doubts, writes = self.clock.seconds(), self._doubts, self._writes
        try:
            state = await in_time(self._look(), PATIENCE, self.clock)
        except StoreError as e:
            self._failed, self._failure = self.clock.seconds(), e
            raise
        known = self._state
        if not await self._learn(state, writes):
            return
        if known is not None and known.etag != state.etag:
            self._log.info(
                "{what} was changed by another server or a command.",
                what=TITLE.capitalize(),
            )
        if doubts == self._doubts:
            self._proved = began

    async def _look(self) -> StoredAccess:
        return await read_access(self.store, self._state, self._pieces)

    async def _learn_own(self, state: StoredAccess) -> None:
        """Take over what this process wrote."""
        self._writes += 1
        await self._learn(state, self._writes)

    async def _learn(self, state: StoredAccess, writes: int) -> bool:
        """Take over what is in the store, once everybody is ready to obey it.

        :param writes: how many times this process had written it: what was read before
            the last of them may be what that replaced.
        :return: whether it was taken over.
        """
        await self._turn.acquire()
        try:
            if writes != self._writes:
                return False
            before, document = self._state, state.contents.document
            ready = []
            if before is None or document is not before.contents.document:
                ready = [
                    await self._pieces.finish(subscriber(document))
                    for subscriber in self._subscribers
                ]
            self._state = state
            self._failed, self._failure = NEVER, None
            for obey in ready:
                obey()
            return True
        finally:
            self._turn.release()

    def _unknown(self, why: str | None = None) -> Unavailable:
        because = why or self.problem or "It has not been read yet."
        return Unavailable(
            f"It is not known who may do what, so that nothing is allowed. {because}"
        )


@define(eq=False)
class _AccessShelf:
    """Where the document lies, for :class:`~pypicloud_tw.index.swaps.Swaps`."""

    store: IObjectStore
    pieces: Pieces
    read: Callable[[], Awaitable[StoredAccess]]
    learn: Callable[[StoredAccess], Awaitable[None]]
    _noted: bool = field(default=False, init=False)

    async def look(self, name: str) -> StoredAccess | None:
        state = await self.read()
        return None if state.etag is None else state

    def content(self, state: StoredAccess) -> Contents:
        return state.contents

    async def put(
        self, name: str, after: Contents, found: StoredAccess | None
    ) -> StoredAccess:
        data = await self.pieces.finish(encoding(after))
        etag = None if found is None else found.etag
        if etag is None:
            etag = await self._write(encode(_NONE.contents), IfAbsent())
        await self._note()
        state = StoredAccess(after, await self._write(data, IfMatch(etag)))
        await self.learn(state)
        return state

    async def _write(self, data: bytes, condition: Condition) -> str:
        info = await self.store.put(
            KEY, data, condition=condition, content_type="application/json"
        )
        return info.etag

    async def _note(self) -> None:
        """Say that there is a document, before it says anything."""
        if self._noted:
            return
        # It is there already, where it must not be written.
        with suppress(PreconditionFailed, AmbiguousWrite):
            await self.store.put(
                BEGUN, _NOTE, condition=IfAbsent(), content_type="text/plain"
            )
        self._noted = True
