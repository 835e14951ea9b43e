"""The lists of projects: one for all readers who may read the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
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
from pypicloud_tw.web.list_entries import (
    BATCH,
    Batch,
    Entries,
    Names,
    Serials,
    regrouped,
)
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

#: Bytes of the lists that are kept. One of 100,000 projects has 3 MB, compressed 0.5.
MEMORY = 64 * 2**20

#: Bytes of the entries that are kept for the next list: of 100,000 projects 5 MB as
#: JSON and 7 as HTML, for each set of readers.
ENTRIES_MEMORY = 32 * 2**20

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


def _no_entries() -> Cache[tuple[Readable, bool], Entries]:
    return Cache(ENTRIES_MEMORY, lambda entries: entries.weight)


@define(eq=False)
class _State:
    """What the lists are made of, and those that were made of it.

    :ivar own: the projects that are here, sorted.
    :ivar kept: those of which the cache has files.
    :ivar rules: whose sets of names are the keys.
    :ivar numbers: of the rights of each name, as far as they are known: see
        :meth:`Readable.select`.
    :ivar before: the batches of the list before.
    :ivar numbered: whether those of *before* have their numbers.
    :ivar entries: by whose they are, and whether they are JSON.
    :ivar batches: all names, sorted, once they are known.
    :ivar strangers: those that are not ours, and so have no serial.
    """

    own: Names
    kept: frozenset[NormalizedName]
    rules: Rules
    made: _Made
    numbers: dict[NormalizedName, int] = field(factory=dict)
    before: list[Batch] = field(factory=list)
    numbered: bool = False
    entries: Cache[tuple[Readable, bool], Entries] = field(factory=_no_entries)
    batches: list[Batch] | None = None
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
            state = self._state = self._state_of(own, kept, rules)
        return state

    def _state_of(
        self, own: Names, kept: frozenset[NormalizedName], rules: Rules
    ) -> _State:
        made: _Made = Cache(self._memory, lambda made: made.weight)
        state = _State(own, kept, rules, made)
        former = self._state
        if former is None:
            return state
        state.before = former.before if former.batches is None else former.batches
        if former.rules is not rules:
            return state
        state.numbers = former.numbers  # each took 8 µs among patterns
        state.numbered = former.numbered or former.batches is not None
        if state.strangers == former.strangers:
            state.entries = former.entries
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
            if state.batches is None:
                work = _batches_of(state, await self._sorted(state))
                state.batches = await self._collect(state, work)
            is_json = told is not None
            known = state.entries.get((readable, is_json))
            entries = Entries(is_json) if known is None else known
            written = _written(state, state.batches, readable, entries)
            serial = None if told is None else last_serial(told, readable)
            if told is None:
                pieces = index_html(text for _, text in written)
            else:
                serials = Serials.over(told, state.batches)
                filled = (serials.into(*one) for one in written)
                pieces = index_json(filled, serial)
            body = b"".join(await self._collect(state, pieces))
            made = await self._represent(body, choice, serial)
        finally:
            self._turns.release()
        state.made.put((readable, choice), _List(made, told))
        entries.forget_others(state.batches)
        state.entries.put((readable, entries.is_json), entries)
        return made

    async def _sorted(self, state: _State) -> list[NormalizedName]:
        """Sort the names of the cache."""
        runs = await self._collect(state, map(sorted, batches(state.kept, BATCH)))
        found = await self._collect(state, batches(merge(*runs), BATCH))
        return [name for some in found for name in some]

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


def _written(
    state: _State, current: Iterable[Batch], readable: Readable, entries: Entries
) -> Iterator[tuple[Batch, bytes]]:
    """Find or write the entries of what may be read."""
    for batch in current:
        text = entries.of(batch)
        if text is None:
            allowed = readable.select(batch, state.numbers)
            text = entries.write(batch, allowed, state.strangers)
        yield batch, text


def _batches_of(state: _State, kept: Names) -> Iterator[Batch]:
    """Group all names, and find their rights.

    :param kept: sorted.
    """
    numbers, find = state.numbers, state.rules.find
    known = {id(batch) for batch in state.before} if state.numbered else set()
    for batch in regrouped(state.own, kept, state.before):
        if id(batch) not in known:
            numbers.update((n, find(n).number) for n in batch if n not in numbers)
        yield batch
