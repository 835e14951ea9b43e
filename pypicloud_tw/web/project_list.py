"""The lists of projects: one for all readers who may read the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from typing import TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.readable import Readable
from pypicloud_tw.access.rules import Rules
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import batches
from pypicloud_tw.index.changelog import Changelog
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.web.media import Format
from pypicloud_tw.web.negotiation import Choice
from pypicloud_tw.web.representation import (
    OVERHEAD,
    QUICK,
    SMALL,
    Representation,
    represent,
)
from pypicloud_tw.web.simple import index_html, index_json

T = TypeVar("T")
Names = Sequence[NormalizedName]

#: Bytes of the lists that are kept. One of 100,000 projects has 3 MB, compressed 0.5.
MEMORY = 64 * 2**20

#: Names that are looked at in a piece: two milliseconds at worst.
BATCH = 250

#: Projects up to which their list is made at once.
QUICK_INDEX = 1000

#: Lists that are made at once. Each has some 10 MB in memory meanwhile.
AT_ONCE = 2


@frozen
class _List:
    """A list as it is sent.

    :ivar changelog: whose serials are in it; None: there are none.
    """

    representation: Representation
    changelog: Changelog | None

    @property
    def weight(self) -> int:
        return len(self.representation.body) + OVERHEAD


_Made = Cache[tuple[Readable, Choice], _List]


@define(eq=False)
class _State:
    """What the lists are made of, and those that were made of it.

    :ivar own: the projects that are here, sorted.
    :ivar kept: those of which the cache has files.
    :ivar rules: whose sets of names are the keys.
    :ivar numbers: of the rights of each name, as far as they are known: see
        :meth:`Readable.select`.
    :ivar batches: all names, sorted, once they are known.
    :ivar strangers: those that are not ours, and so have no serial.
    """

    own: Names
    kept: frozenset[NormalizedName]
    rules: Rules
    made: _Made
    numbers: dict[NormalizedName, int]
    batches: list[Names] | None = None
    making: Coalesced[Representation] = field(factory=Coalesced)
    strangers: frozenset[NormalizedName] = field(init=False)

    @strangers.default
    def _not_ours(self) -> frozenset[NormalizedName]:
        return self.kept.difference(self.own) if self.kept else self.kept

    def is_of(self, own: Names, kept: frozenset[NormalizedName], rules: Rules) -> bool:
        """Return whether nothing has changed."""
        # The catalog gives the same tuple while nothing changed; comparing two of
        # 100,000 names takes a millisecond.
        return (
            self.rules is rules
            and (self.own is own or self.own == own)
            and (self.kept is kept or self.kept == kept)
        )

    @property
    def quick(self) -> bool:
        """Whether so few names need no pauses."""
        return len(self.own) + len(self.kept) <= QUICK_INDEX


class ProjectList:
    """Makes the lists and keeps those that were asked for last, as they are sent.

    Only the forms that are asked for are kept, and of a form no intermediate: two
    hundred sets of readers have their lists in 64 MB where each would take 10 as a page
    with all that it may come to hold.

    :param memory: bytes of lists to keep.
    """

    def __init__(
        self, offload: IOffload, clock: IReactorTime, memory: int = MEMORY
    ) -> None:
        self._offload = offload
        self._pieces = Pieces(clock)
        self._turns = DeferredSemaphore(AT_ONCE)
        self._memory = memory
        self._state: _State | None = None

    @property
    def weight(self) -> int:
        """Bytes of the lists that are kept."""
        return 0 if self._state is None else self._state.made.weight

    async def find(
        self,
        own: Names,
        kept: frozenset[NormalizedName],
        policy: Policy,
        principal: Principal,
        choice: Choice,
        changelog: Changelog,
    ) -> Representation:
        """Return the list of what somebody may read of these names.

        :param own: of the projects that are here, sorted.
        :param kept: of those of which the cache has files.
        :param changelog: has their serials, which only the JSON form tells.
        """
        told = changelog if choice.large.format is Format.JSON else None
        state = self._current(own, kept, policy.rules)
        key = policy.readable(principal), choice
        known = state.made.get(key)
        if known is not None and known.changelog is told:
            return known.representation
        question = (*key, told)
        return await state.making.ask(question, lambda: self._make(state, *key, told))

    def _current(
        self, own: Names, kept: frozenset[NormalizedName], rules: Rules
    ) -> _State:
        state = self._state
        if state is None or not state.is_of(own, kept, rules):
            made: _Made = Cache(self._memory, lambda made: made.weight)
            known: dict[NormalizedName, int] = {}
            if state is not None and state.rules is rules:
                known = state.numbers  # each took 8 µs among patterns
            state = self._state = _State(own, kept, rules, made, known)
        return state

    async def _make(
        self,
        state: _State,
        readable: Readable,
        choice: Choice,
        told: Changelog | None,
    ) -> Representation:
        await self._turns.acquire()
        try:
            merged = state.batches
            if merged is None:
                kept = map(sorted, batches(state.kept, BATCH))
                work = _batches_of(state, await self._collect(state, kept))
                merged = state.batches = await self._collect(state, work)
            allowed = (readable.select(names, state.numbers) for names in merged)
            serial = None if told is None else last_serial(told, readable)
            if told is None:
                pieces = index_html(allowed)
            else:
                pieces = index_json(allowed, serial, _serials(told, state.strangers))
            body = b"".join(await self._collect(state, pieces))
            made = await self._represent(body, choice, serial)
        finally:
            self._turns.release()
        state.made.put((readable, choice), _List(made, told))
        return made

    async def _collect(self, state: _State, pieces: Iterable[T]) -> list[T]:
        return list(pieces) if state.quick else await self._pieces.collect(pieces)

    async def _represent(
        self, body: bytes, choice: Choice, serial: int | None
    ) -> Representation:
        variant = choice.small if len(body) < SMALL else choice.large
        if len(body) <= QUICK:
            return represent(body, variant, serial)
        return await self._offload.in_thread(represent, body, variant, serial)


def last_serial(changelog: Changelog, readable: Readable) -> int:
    """Return the last serial of what somebody may read; they hear of nothing else."""
    changes = reversed(changelog.changes)
    readable_ones = (serial for name, serial in changes if readable.allows(name))
    return next(readable_ones, changelog.floor)


def _serials(
    changelog: Changelog, strangers: frozenset[NormalizedName]
) -> Callable[[NormalizedName], int | None]:
    return lambda name: None if name in strangers else changelog.of(name)


def _batches_of(state: _State, kept: Iterable[Names]) -> Iterator[Names]:
    """Merge sorted names, each once, and find their rights.

    :param kept: sorted, each of them.
    """
    names = (name for name, _ in groupby(merge(state.own, *kept)))
    numbers, find = state.numbers, state.rules.find
    for batch in batches(names, BATCH):
        numbers.update((n, find(n).number) for n in batch if n not in numbers)
        yield batch
