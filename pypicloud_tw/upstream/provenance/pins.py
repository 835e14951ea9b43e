"""Who publishes a project of an upstream, pinned when a file of it is first given out.

An object for each project, ``.provenance/{project}``, changed by compare-and-swap: of
two servers that pin at once, one wins. Who is pinned stays so until an administrator
says otherwise. A publisher of the ini wins over what is in the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from random import Random, SystemRandom

from attrs import define, evolve, field, frozen
from packaging.utils import is_normalized_name
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import ObjectNotFound, StoreError
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.swaps import Swaps
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.json_values import from_bytes, to_bytes
from pypicloud_tw.store.interfaces import IfAbsent, IfMatch, IObjectStore

FOLDER = ".provenance/"
FORMAT = 1

#: Bytes of one; what a pin says takes some hundreds, the ids of its changes 5,000.
_MAX_PIN = 64 * 1024

#: Pins that are remembered, and for how many seconds: that long another server may keep
#: to one that an administrator has changed. Who is refused by one is refused by it as
#: it is in the store.
REMEMBERED, FRESH_FOR = 20_000, 10.0


@frozen
class RefusedPublisher:
    """Another publisher than the pinned one, who was refused last.

    :ivar publisher: as a line of the ini has it.
    :ivar file: the first file of theirs.
    :ivar at: when that was asked for.
    """

    publisher: str
    file: str
    at: datetime


@frozen
class Pin:
    """Who publishes a project.

    :ivar publisher: as a line of the ini has it; None: the next one will be pinned.
    :ivar pinned: when.
    :ivar by: which administrator said so; None: nobody, it was the first one.
    :ivar file: of which file that one was.
    :ivar changes: see :class:`.swaps.Content`.
    """

    project: str
    publisher: str | None
    pinned: datetime
    by: str | None = None
    file: str | None = None
    sha256: str | None = None
    refused: RefusedPublisher | None = None
    changes: tuple[str, ...] = ()
    format: int = FORMAT


@frozen
class _StoredPin:
    """A pin as it lies in the store."""

    pin: Pin
    etag: str


@frozen
class _PinShelf:
    """Where pins lie, for :class:`.swaps.Swaps`."""

    store: IObjectStore

    async def look(self, name: str) -> _StoredPin | None:
        try:
            stored = await self.store.get(FOLDER + name, limit=_MAX_PIN)
        except ObjectNotFound:
            return None
        assert stored is not None, "an unconditional read gives bytes"
        return _StoredPin(_decode(name, stored.data), stored.info.etag)

    def content(self, state: _StoredPin) -> Pin:
        return state.pin

    async def put(self, name: str, after: Pin, found: _StoredPin | None) -> _StoredPin:
        info = await self.store.put(
            FOLDER + name,
            to_bytes(after),
            condition=IfAbsent() if found is None else IfMatch(found.etag),
            content_type="application/json",
        )
        return _StoredPin(after, info.etag)


@define(eq=False)
class Pins:
    """The pins of every project.

    :ivar fixed: who publishes a project by the ini that was read last, by its name.
    :ivar standing: says whether this process may change anything.
    """

    store: IObjectStore
    clock: IReactorTime
    standing: Standing
    fixed: Mapping[str, Signer] = field(factory=dict)
    random: Random = field(factory=SystemRandom, kw_only=True)
    _known: Cache[str, Pin] = field(init=False)
    _reads: Coalesced[Pin | None] = field(factory=Coalesced, init=False)
    _shelf: _PinShelf = field(init=False)
    _swaps: Swaps[_StoredPin, Pin] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._known = Cache(REMEMBERED, seconds=self.clock.seconds, lifetime=FRESH_FOR)
        self._shelf = _PinShelf(self.store)
        self._swaps = Swaps(self._shelf, self.clock, self.random)

    def obey(self, fixed: Mapping[str, Signer]) -> None:
        """Put other publishers of the ini into force."""
        self.fixed = fixed

    async def publisher(
        self, name: NormalizedName, *, anew: bool = False
    ) -> Signer | None:
        """Return who publishes a project; None: nobody is pinned yet.

        :param anew: ask the store, whatever is remembered.
        :raises StoreError: the store is away, or has something else there.
        """
        if name in self.fixed:
            return self.fixed[name]
        pin = None if anew else self._known.get(name)
        if pin is None:
            pin = await self._reads.ask(name, partial(self.find, name))
        return None if pin is None else _signer(pin)

    async def find(self, name: NormalizedName) -> Pin | None:
        """Return a project's pin as it is in the store; None: it never had one.

        :raises StoreError: as of :meth:`publisher`.
        """
        found = await self._shelf.look(name)
        if found is None:
            self._known.drop(name)
            return None
        self._known.put(name, found.pin)
        return found.pin

    async def all(self) -> AsyncIterator[Pin]:
        """Give the pins of the store, by the projects' names.

        :raises StoreError: as of :meth:`publisher`.
        """
        async for info in self.store.list(FOLDER):
            name = info.key.removeprefix(FOLDER)
            if is_normalized_name(name):
                pin = await self.find(NormalizedName(name))
                if pin is not None and (pin.publisher or pin.refused):
                    yield pin

    async def pin_first(
        self, name: NormalizedName, signer: Signer, file: str, sha256: str
    ) -> tuple[Signer, bool]:
        """Pin who signed the first file that is asked for, unless somebody is pinned.

        :return: who is pinned now, and whether that was done here.
        :raises Unavailable: nothing may be changed now.
        :raises StoreError: as of :meth:`publisher`.
        """
        made = Pin(name, signer.line, self._now(), None, file, sha256)
        is_first = False

        def pin(known: Pin | None) -> Pin:
            nonlocal is_first
            is_first = known is None or known.publisher is None
            if known is not None and not is_first:
                return known
            return made if known is None else evolve(made, changes=known.changes)

        pinned = await self._change(name, pin)
        found = _signer(pinned)
        assert found is not None, "it was pinned, by whomever"
        return found, is_first

    async def set(self, name: NormalizedName, signer: Signer, by: str) -> Pin:
        """Pin whom an administrator names.

        :raises Unavailable: nothing may be changed now.
        :raises StoreError: as of :meth:`publisher`.
        """
        made = Pin(name, signer.line, self._now(), by)

        def pin(known: Pin | None) -> Pin:
            if known is not None and known.publisher == made.publisher:
                return evolve(known, refused=None) if known.refused else known
            return made if known is None else evolve(made, changes=known.changes)

        return await self._change(name, pin)

    async def remove(self, name: NormalizedName, by: str) -> Pin:
        """Pin nobody: the next publisher will be.

        :raises Unavailable: nothing may be changed now.
        :raises StoreError: as of :meth:`publisher`.
        """
        made = Pin(name, None, self._now(), by)

        def pin(known: Pin | None) -> Pin:
            if known is None or known.publisher is None:
                return known or made
            return evolve(made, changes=known.changes)

        return await self._change(name, pin)

    async def note_refused(
        self, name: NormalizedName, signer: Signer, file: str
    ) -> bool:
        """Note in the pin that another publisher was refused.

        :return: whether that is news.
        :raises Unavailable: nothing may be changed now.
        :raises StoreError: as of :meth:`publisher`.
        """
        refused = RefusedPublisher(signer.line, file, self._now())
        is_news = False

        def note(known: Pin | None) -> Pin:
            nonlocal is_news
            before = known.refused if known else None
            is_news = before is None or before.publisher != refused.publisher
            if known is not None:
                return evolve(known, refused=refused) if is_news else known
            # Of the ini: what was refused is told from here all the same.
            return Pin(name, None, refused.at, refused=refused)

        await self._change(name, note)
        return is_news

    async def _change(
        self, name: NormalizedName, change: Callable[[Pin | None], Pin]
    ) -> Pin:
        self.standing.check()
        pin = (await self._swaps.change(name, change)).pin
        self._known.put(name, pin)
        return pin

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.seconds(), UTC)


def _signer(pin: Pin) -> Signer | None:
    return None if pin.publisher is None else Signer.parse(pin.publisher)


def _decode(name: str, data: bytes) -> Pin:
    """Read a pin.

    :raises StoreError: it is none. Who publishes the project is not known then, which
        must not be taken for nobody.
    """
    try:
        pin = from_bytes(Pin, data, strict=False)
        if pin.project != name or pin.format > FORMAT:
            raise ValueError
        _signer(pin)
    except DAMAGED:
        raise StoreError(
            f"Who publishes {name} cannot be read: {FOLDER}{name} is damaged or of a "
            "newer version. An administrator restores it, or removes it."
        ) from None
    return pin
