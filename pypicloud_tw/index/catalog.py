"""What is known in memory, and how fresh it is (decision D3).

Freshness is one question for the whole index: has the marker changed? While the answer
is younger than ``fresh_for``, a look-up is a dictionary look-up. What the marker names
is asked again, conditionally, when it is next used; everything is within a minute.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.errors import ManifestLost, NotFound, StoreError, Unavailable
from pypicloud_tw.index.changelog import FIRST, serial_at
from pypicloud_tw.index.manifests import Manifests, Versioned
from pypicloud_tw.index.marker import is_project
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName, unknown_project
from pypicloud_tw.index.survey import lost
from pypicloud_tw.index.watch import NEVER, MarkerWatch
from pypicloud_tw.metrics import Metrics

#: What a project is rendered to; the catalog keeps it and does not look inside.
P = TypeVar("P")
T = TypeVar("T")

#: Names that are known to be absent. Anybody may ask for any name: they are bounded.
ABSENT_REMEMBERED = 20_000
#: Seconds after which a change that nobody was told of will not be told by its writer.
UNTOLD = 120
#: Reads of one manifest in a row that others' changes may overtake.
REREADS = 5
#: Stands for the listing among the reads that can be overtaken; no project's name.
_LISTING = "/"


@frozen
class Rendered(Generic[P]):
    """What a project was rendered to.

    :ivar weight: bytes of memory, the project's own included.
    :ivar good_until: when it must be rendered anew although nothing changed, in
        seconds since the epoch: an address in it ends.
    """

    page: P
    weight: int
    good_until: float = float("inf")


@define
class CachedProject(Generic[P]):
    """A project that was read, what it was rendered to, and when it was last proved."""

    state: Versioned
    rendered: Rendered[P]
    proved: float

    @property
    def project(self) -> Project:
        """The project."""
        return self.state.project

    @property
    def page(self) -> P:
        """Its page."""
        return self.rendered.page

    def holds(self, now: float, verify_every: float) -> bool:
        """Return whether it may be served without asking."""
        return 0 <= now - self.proved < verify_every and now < self.rendered.good_until


@define
class Catalog(Generic[P]):
    """Every project that was asked for, rendered, within a bound of memory.

    While the marker does not answer, what is known is served and what is not is an
    error, at once; one request in ``fresh_for`` tries again.

    A negative age is a clock that was set back, and tells nothing.

    :ivar watch: tells which projects changed.
    :ivar render: makes a project's page; is given an earlier state's, if it is known.
    :ivar verify_every: seconds after which a page is asked again whatever happened.
    :ivar capacity: bytes of pages and projects to keep.
    """

    manifests: Manifests
    watch: MarkerWatch
    clock: IReactorTime
    render: Callable[[Versioned, P | None], Awaitable[Rendered[P]]]
    verify_every: float = 60.0
    capacity: int = 512 * 2**20
    weight: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)
    misses: int = field(default=0, init=False)
    served_stale: int = field(default=0, init=False)
    _entries: OrderedDict[str, CachedProject[P]] = field(
        factory=OrderedDict, init=False
    )
    _absent: OrderedDict[str, float] = field(factory=OrderedDict, init=False)
    _names: tuple[NormalizedName, ...] | None = field(default=None, init=False)
    _name_set: frozenset[str] = field(default=frozenset(), init=False)
    _lost: set[NormalizedName] = field(factory=set, init=False)
    _names_proved: float = field(default=NEVER, init=False)
    _overtaken: dict[str, bool] = field(factory=dict, init=False)
    _questions: Coalesced[CachedProject[P]] = field(factory=Coalesced, init=False)
    _names_question: Coalesced[tuple[NormalizedName, ...]] = field(
        factory=Coalesced, init=False
    )
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.watch.subscribe(self._hear)

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        read = metrics.read
        read("pypicloud_pages_bytes", "Memory of known pages", lambda: self.weight)
        read("pypicloud_page_hits", "Pages known", lambda: self.hits, counts=True)
        read("pypicloud_page_misses", "Pages read", lambda: self.misses, counts=True)
        read(
            "pypicloud_stale_answers",
            "Answers as last known while the store was away",
            lambda: self.served_stale,
            counts=True,
        )

    def fresh(self, name: str) -> CachedProject[P] | None:
        """Look a project up without asking anybody; None means: ask.

        This is the hot path: two comparisons and a look-up.
        """
        now = self.clock.seconds()
        if not self.watch.holds(now):
            return None
        entry = self._entries.get(name)
        if entry is None or not entry.holds(now, self.verify_every):
            return None
        return entry

    def count_hit(self) -> None:
        """Count a page that was known, and served without asking for it."""
        self.hits += 1

    def last_known(self, name: str) -> Versioned | None:
        """Return a project as it was when it was last read; None: it is not kept."""
        entry = self._entries.get(name)
        return None if entry is None else entry.state

    def known_absent(self, name: str) -> bool:
        """Return, asking nobody, whether a project is proved not to be here."""
        now = self.clock.seconds()
        if not self.watch.holds(now):
            return False
        return 0 <= now - self._absent.get(name, NEVER) < self.verify_every

    async def project(
        self, name: NormalizedName, *, prove_absence: bool = False
    ) -> CachedProject[P]:
        """Return a project as it is now, or as it was last known if the store is away.

        :param prove_absence: only a read that begins now tells that there is none:
            whoever is asked next must not hear a name that was published elsewhere
            within ``fresh_for`` (decision D5).
        :raises NotFound: it is proved that there is none.
        :raises StoreError: the store is away and nothing is known.
        """
        asked_at = self.clock.seconds()
        believed = asked_at if prove_absence else asked_at - self.verify_every
        try:
            await self.watch.freshen()
            now = self.clock.seconds()
            if believed < self._absent.get(name, NEVER) <= now:
                raise unknown_project(name)
            entry = self._entries.get(name)
            if entry is not None and entry.holds(now, self.verify_every):
                self._entries.move_to_end(name)
                self.hits += 1
                return entry
            self.misses += 1
            return await self._ask(name, believed)
        except StoreError as e:
            entry = self._entries.get(name)
            if entry is None:
                raise
            self._warn_stale(name, e)
            return entry

    async def names(self) -> tuple[NormalizedName, ...]:
        """List every project's name, sorted; the same tuple while nothing changed.

        :raises StoreError: the store is away and nothing is known.
        """
        try:
            await self.watch.freshen()
            if self._names is None or self._names_proved == NEVER:
                return await self._names_question.ask("", self._list)
            age = self.clock.seconds() - self._names_proved
            if not 0 <= age < self.verify_every:
                # The marker tells of every change. That a listing is read all the
                # same, from time to time, is no reason for anybody to wait for it.
                self._names_question.ask("", self._list).addErrback(self._not_listed)
            return self._names
        except StoreError as e:
            if self._names is None:
                raise
            self._warn_stale("the index", e)
            return self._names

    @property
    def lost(self) -> frozenset[NormalizedName]:
        """Projects whose manifests are known to be gone."""
        return frozenset(self._lost)

    def has(self, name: str) -> bool:
        """Return, by what is known here, whether a project has a manifest."""
        return name in self._name_set and name not in self._lost

    def serial(self, entry: CachedProject[P]) -> int:
        """Return by which serial a project that was just read is known to be current.

        Its own, if another's change of it was heard of and could not be read.
        """
        project = entry.project
        if not entry.holds(self.clock.seconds(), self.verify_every):
            return max(project.serial, FIRST)
        return max(project.serial, self.watch.changelog.of(project.name))

    async def changed(self, name: NormalizedName, serial: int = 0) -> None:
        """Doubt a project that this process changed, and tell every server.

        :param serial: of the state that it has by now.
        :raises StoreError: the others could not be told.
        """
        await self.watch.tell(name, serial)

    async def _ask(self, name: NormalizedName, believed: float) -> CachedProject[P]:
        while True:
            joins = name in self._questions
            try:
                return await self._questions.ask(name, lambda: self._read(name))
            except NotFound:
                # Another's question may have begun too early to be believed. An own one
                # has not, though it may seem so by a clock that was set back meanwhile.
                if not joins or self._absent.get(name, believed) >= believed:
                    raise

    def _hear(self, news: set[str] | None) -> None:
        """Take up what the marker, or this process itself, says has changed."""
        self._doubt(None if news is None else set(filter(is_project, news)))

    def _doubt(self, names: set[str] | None) -> None:
        """Have *names*, or everything, proved before it is served again.

        A read that is under way may have seen the state before: it is overtaken.
        """
        if names is None:
            self._absent.clear()
            self._names_proved = NEVER
            for entry in self._entries.values():
                entry.proved = NEVER
            self._overtaken = dict.fromkeys(self._overtaken, True)
            return
        for name in names:
            self._absent.pop(name, None)
            if name in self._entries:
                self._entries[name].proved = NEVER
            if name in self._overtaken:
                self._overtaken[name] = True
            if name not in self._name_set:
                self._add_name(NormalizedName(name))

    def _add_name(self, name: NormalizedName) -> None:
        """Take up a project that was changed, and so exists: none ever ends."""
        if self._names is not None:
            names = list(self._names)
            insort(names, name)
            self._names, self._name_set = tuple(names), self._name_set | {name}
        elif _LISTING in self._overtaken:
            self._overtaken[_LISTING] = True

    async def _undisturbed(self, what: str, read: Callable[[], Awaitable[T]]) -> T:
        """Read until no change overtook the reading; give up proving it in the end."""
        for _ in range(REREADS):
            self._overtaken[what] = False
            try:
                result = await read()
            finally:
                overtaken = self._overtaken.pop(what)
            if not overtaken:
                break
        else:
            self._doubt(None if what == _LISTING else {what})
        return result

    def _proved(self, what: str, began: float) -> float:
        """Tell how long a read that has just ended holds: not at all if overtaken."""
        return NEVER if self._overtaken[what] else began

    async def _read(self, name: NormalizedName) -> CachedProject[P]:
        entry = await self._undisturbed(name, lambda: self._read_once(name))
        if entry is None:
            raise unknown_project(name)
        return entry

    async def _read_once(self, name: NormalizedName) -> CachedProject[P] | None:
        known = self._entries.get(name)
        began = self.clock.seconds()
        try:
            state = await self.manifests.read(name)
        except NotFound:
            if known is not None or name in self._name_set:
                # It was there, and manifests are never deleted (D1).
                self._lost.add(name)
                raise ManifestLost(lost(name)) from None
            self._absent[name] = self._proved(name, began)
            if len(self._absent) > ABSENT_REMEMBERED:
                self._absent.popitem(last=False)
            return None
        self._lost.discard(name)
        self._tell_again(state.project)
        if (
            known is not None
            and state.etag == known.state.etag
            and began < known.rendered.good_until
        ):
            known.proved = self._proved(name, began)
            return self._keep(name, known)
        rendered = await self.render(state, None if known is None else known.page)
        proved = self._proved(name, began)
        return self._keep(name, CachedProject(state, rendered, proved))

    def _tell_again(self, project: Project) -> None:
        """Tell of a change whose writer ended before it could, for mirrors."""
        name, serial = project.name, project.serial
        age = serial_at(self.clock.seconds()) - serial
        if age <= UNTOLD or not self.watch.changelog.lacks(name, serial):
            return
        try:
            self.manifests.check_open()
        except Unavailable:
            return
        self.watch.marker.tell(name, serial).addErrback(self._not_told, name)

    def _not_told(self, failure: Failure, name: NormalizedName) -> None:
        self._log.warn(
            "That {name} has changed could not be told: {error}",
            name=name,
            error=failure.getErrorMessage(),
        )

    def _keep(self, name: NormalizedName, entry: CachedProject[P]) -> CachedProject[P]:
        self._drop(name)
        self._absent.pop(name, None)
        self._entries[name] = entry
        self.weight += entry.rendered.weight
        while self.weight > self.capacity and len(self._entries) > 1:
            self._drop(next(iter(self._entries)))
        return entry

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self.weight -= entry.rendered.weight

    async def _list(self) -> tuple[NormalizedName, ...]:
        return await self._undisturbed(_LISTING, self._list_once)

    async def _list_once(self) -> tuple[NormalizedName, ...]:
        began, before = self.clock.seconds(), set(self._names or ())
        # In the order of their keys, which is nearly theirs: sorting takes little.
        names = tuple(sorted([name async for name, _ in self.manifests.names()]))
        # What is not there any more is lost, and ours all the same. What was told
        # meanwhile may have come behind the listing, and need not be listed again.
        self._lost = before.difference(names)
        if not self._name_set.issubset(names):
            names = tuple(sorted({*names, *(self._names or ())}))
        if names != self._names:
            self._names, self._name_set = names, frozenset(names)
        self._names_proved = self._proved(_LISTING, began)
        return self._names

    def _not_listed(self, failure: Failure) -> None:
        self._log.warn(
            "The projects could not be listed again: {error}",
            error=failure.getErrorMessage(),
        )

    def _warn_stale(self, what: str, error: StoreError) -> None:
        self.served_stale += 1
        self._log.warn(
            "The store is away; {what} is served as last known: {error}",
            what=what,
            error=error.message,
        )
