"""Upstream pages: fetched once, prepared, remembered, and served stale on failure."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, NoReturn, TypeVar

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.outages import Outages
from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.errors import (
    NotFound,
    PypicloudError,
    StoreError,
    Unavailable,
    UpstreamError,
)
from pypicloud_tw.offload.packing import PackedResult, unpacked
from pypicloud_tw.offload.service import IOffload, unpack_apart
from pypicloud_tw.outbound.origins import shown
from pypicloud_tw.upstream.client import Client, NotModified, Validators
from pypicloud_tw.upstream.freshness import fresh_for, may_keep
from pypicloud_tw.upstream.jobs import Jobs
from pypicloud_tw.upstream.judgement.judges import Judges
from pypicloud_tw.upstream.kept import (
    IKeeper,
    Judged,
    KeptResponse,
    RememberedPage,
    UpstreamPage,
)
from pypicloud_tw.upstream.parse import is_json
from pypicloud_tw.upstream.prepare import (
    PageResponse,
    PreparedPage,
    squeezed,
    unpack_within,
)
from pypicloud_tw.upstream.source import UpstreamIndex

__all__ = ["PageQuestion", "UpstreamPage", "UpstreamPages"]

T = TypeVar("T")

#: Bytes of JSON, unpacked, up to which it is prepared in the reactor's thread. About
#: 10 ms there; a helper costs 1 ms and is there for more.
INLINE = 64 * 1024

#: Bytes of an answer that came uncompressed, above which it is compressed for its way
#: to a helper: the reactor's thread fills the pipe, and each MB takes it 1 ms. Below,
#: that is less than what a client would notice of a thread that compresses: 6 % of
#: all the time that uv takes to resolve a project of 50 dependencies.
SQUEEZED_FROM = 8 * 1024 * 1024

#: Seconds between two lines in the log about one page.
WARN_EVERY = 60.0

#: Seconds for a page from when it waits for a helper; the helper's own limit begins
#: with its work.
PREPARE_TIMEOUT = 60.0

#: Seconds for which a page that could not be read is not asked for again: finding that
#: out may have taken a helper all of its time.
UNREADABLE_FOR = 30.0

#: Names that are remembered as absent, or unreadable; anybody may ask for any name.
#: Fifty times what one lock of a large application asks for (400).
ABSENT_REMEMBERED = 20_000

#: Seconds that a client waits for an upstream to confirm what is remembered: pip gives
#: up after 15, and comes again.
HURRY = 5.0

#: Seconds for which nobody does, after somebody did in vain: who installs asks for one
#: page after the other. The first answer ends it.
IN_VAIN = 30.0


@frozen
class PageQuestion:
    """A page that is wanted of the upstreams.

    :ivar key: tells it from others of its kind.
    :ivar addresses: where each upstream has it, in order; None: it has no such page.
    :ivar prepare: makes of an answer, *recipe* and the time what is kept; a
        module-level function, for large answers are prepared in a helper process.
    :ivar narrow: likewise, of what was kept before a stricter judge.
    :ivar judged: by which judge it is prepared, which the recipe has as well.
    """

    key: str
    addresses: tuple[str | None, ...]
    prepare: Callable[[PageResponse, Any, float], Any]
    narrow: Callable[[Any, Any, float], Any]
    recipe: Any
    judged: Judged


@define
class UpstreamPages(Generic[T]):
    """One kind of page of every project (or release), by key.

    :ivar kind: tells its pages in *memory*, which may be shared, from others.
    :ivar sources: asked in order. The first that has the page gives it. One that fails
        ends the search: what a later one has under that name may be somebody else's
        (dependency confusion), and must not appear because an earlier one is away.
    :ivar accept: the header field to ask with.
    :ivar judges: what is in force now; a page holds while its judge is the same.
    :ivar turns: how many pages may be asked for at once.
    :ivar jobs: the work of helpers on them.
    :ivar keeper: where answers are kept beyond this process, if they are.
    """

    kind: str
    client: Client
    sources: tuple[UpstreamIndex, ...]
    accept: str
    offload: IOffload
    clock: IReactorTime
    memory: Cache[str, RememberedPage[T]]
    settings: UpstreamSection
    judges: Judges
    turns: DeferredSemaphore
    jobs: Jobs
    keeper: IKeeper | None = None
    hits: int = field(default=0, init=False)
    misses: int = field(default=0, init=False)
    failures: int = field(default=0, init=False)
    served_stale: int = field(default=0, init=False)
    _in_vain: float = field(default=float("-inf"), init=False)
    _absent: Cache[str, bool] = field(init=False)
    _unreadable: Cache[str, bool] = field(init=False)
    _questions: Coalesced[UpstreamPage[T]] = field(init=False)
    _queue: dict[str, Deferred[Any]] = field(factory=dict, init=False)
    _outages: Outages = field(init=False)
    _log = Logger()

    @_questions.default
    def _make_questions(self) -> Coalesced[UpstreamPage[T]]:
        return Coalesced(self._unwanted)

    @_absent.default
    def _make_absent(self) -> Cache[str, bool]:
        return Cache(
            ABSENT_REMEMBERED,
            seconds=self.clock.seconds,
            lifetime=self.settings.absent_for,
        )

    @_unreadable.default
    def _make_unreadable(self) -> Cache[str, bool]:
        return Cache(
            ABSENT_REMEMBERED, seconds=self.clock.seconds, lifetime=UNREADABLE_FOR
        )

    @_outages.default
    def _make_outages(self) -> Outages:
        kind = "What is read of the upstream index at"
        return Outages(kind, self.clock.seconds, self._log)

    def fresh(self, key: str) -> UpstreamPage[T] | None:
        """Look a page up without asking anybody; None means: ask."""
        kept = self.memory.get(self._slot(key))
        if kept is None or not self._is_good(key, kept):
            return None
        self.hits += 1
        return kept.shown

    def remembered(self, key: str) -> UpstreamPage[T] | None:
        """Return a page as it is remembered, be it fresh or not."""
        kept = self.memory.get(self._slot(key))
        return None if kept is None else kept.shown

    def knows(self, key: str) -> bool:
        """Return whether :meth:`get` answers without asking anybody."""
        kept = self.memory.get(self._slot(key))
        return key in self._absent or (kept is not None and self._is_good(key, kept))

    def _is_good(self, key: str, kept: RememberedPage[T]) -> bool:
        """Return whether a page may be served without asking anybody."""
        if not kept.is_fresh(self.clock.seconds()):
            return False
        edition = self.judges.edition
        if kept.edition != edition:
            if kept.judge != self.judges.of(_project(key)):
                return False
            kept.edition = edition
        return True

    async def get(self, question: PageQuestion) -> UpstreamPage[T]:
        """Return a page as it is now, or as it was last known if the upstream fails.

        :raises NotFound: every upstream said that it has none, now or a moment ago.
        :raises UpstreamError: an upstream fails, and nothing is known.
        """
        key = question.key
        fresh = self.fresh(key)
        if fresh is not None:
            return fresh
        if key in self._absent:
            self.hits += 1
            raise _absent(key)
        self.misses += 1
        asking = self._questions.ask(key, lambda: self._ask(question))
        self.jobs.wanted(self._slot(key))
        known = self.memory.get(self._slot(key))
        if known is not None and not self._is_too_old(known):
            # The question goes on; who asks later has the answer.
            asking.addTimeout(
                self._timeout(),
                self.clock,
                lambda _r, s: self._hurry(question, known, s),
            )
        return await asking

    def _timeout(self) -> float:
        waited = 0 <= self.clock.seconds() - self._in_vain < IN_VAIN
        return 0.0 if waited else HURRY

    def _hurry(
        self, question: PageQuestion, known: RememberedPage[T], waited: float
    ) -> Deferred[UpstreamPage[T]]:
        if waited:
            self._in_vain = self.clock.seconds()
        why = f"no answer within {HURRY:g} s"
        return Deferred.fromCoroutine(self._stale(question, known, why))

    async def _ask(self, question: PageQuestion) -> UpstreamPage[T]:
        key = question.key
        turn = self._queue[key] = self.turns.acquire()
        try:
            await turn
        finally:
            del self._queue[key]
        try:
            kept = await self._ask_each(question)
        except (UpstreamError, Unavailable) as e:
            self.failures += 1
            return await self._last_known(question, e)
        finally:
            self.turns.release()
            self.jobs.wanted(self._slot(key))
        self._in_vain = float("-inf")
        return (await self._judge_again(question, kept)).shown

    async def _judge_again(
        self, question: PageQuestion, kept: RememberedPage[T]
    ) -> RememberedPage[T]:
        """Judge by what became known while the page was asked for, and joined in."""
        latest, now = self._latest(question), self.clock.seconds()
        if latest is question or kept.holds_for(latest.judged, now):
            return kept
        narrowed = kept.narrow(await self._narrow(latest, kept, now), latest.judged)
        if self.memory.get(self._slot(question.key)) is kept:
            self.memory.put(self._slot(question.key), narrowed)
        return narrowed

    def _latest(self, question: PageQuestion) -> PageQuestion:
        """Return a question by the judge that is in force now."""
        judged, edition = question.judged, self.judges.edition
        if edition == judged.edition:
            return question
        judge = self.judges.of(_project(question.key))
        if judge == judged.judge:
            return question
        recipe = evolve(question.recipe, judge=judge)
        return evolve(question, recipe=recipe, judged=Judged(judge, edition))

    def _unwanted(self, key: str) -> None:
        """Leave the queue, unless it is to freshen what is remembered."""
        if self.memory.get(self._slot(key)) is not None:
            return
        if key in self._queue:
            self._queue[key].cancel()
        else:
            self.jobs.unwanted(self._slot(key))

    async def _ask_each(self, question: PageQuestion) -> RememberedPage[T]:
        key = question.key
        if key in self._unreadable:
            raise UpstreamError(
                f"What the upstream index said of {key} a moment ago could not be read."
            )
        known = self.memory.get(self._slot(key))
        asked = zip(self.sources, question.addresses, strict=True)
        for place, (source, url) in enumerate(asked):
            if url is None:
                continue
            unless = self._unless(known, place, question.judged)
            try:
                answer = await self.client.page(source, url, self.accept, unless)
            except NotFound:
                continue
            if isinstance(answer, NotModified):
                assert known is not None, "asked conditionally, so something was known"
                return self._confirm(key, known, answer)
            return await self._take(question, place, answer)
        self.memory.drop(self._slot(key))
        self._absent.put(key, True)
        if self.keeper is not None:
            # What was taken off the upstream must not come back when that fails.
            self._in_background(key, self.keeper.drop(key))
        raise _absent(key)

    def _unless(
        self, known: RememberedPage[T] | None, place: int, judged: Judged
    ) -> Validators | None:
        """Ask conditionally, if an unchanged page would be of use."""
        if known is None or known.shown.source != place or known.narrowed:
            return None
        if not known.holds_for(judged, self.clock.seconds()):
            return None
        return known.validators

    def _confirm(
        self, key: str, known: RememberedPage[T], answer: NotModified
    ) -> RememberedPage[T]:
        now = self.clock.seconds()
        known.confirmed = now
        known.fresh_until = now + fresh_for(answer.cache_control, answer.age)
        # Else a page that never changes would one day be too old after a restart.
        if self.keeper is not None and now - known.saved > self.settings.stale_for / 8:
            known.saved = now
            self._in_background(key, self.keeper.confirm(key, now))
        # It may have been dropped while its upstream was asked.
        self.memory.put(self._slot(key), known)
        return known

    async def _take(
        self, question: PageQuestion, place: int, answer: PageResponse
    ) -> RememberedPage[T]:
        key, now = question.key, self.clock.seconds()
        prepared = await self._read(question, answer, now)
        kept = RememberedPage.of(
            prepared,
            place,
            Validators(answer.etag, answer.modified),
            now,
            now + fresh_for(answer.cache_control, answer.age),
            question.judged,
        )
        self._absent.drop(key)
        if may_keep(answer.cache_control):
            self.memory.put(self._slot(key), kept)
            if self.keeper is not None:
                answered = KeptResponse(answer, self.sources[place].base, now)
                self._in_background(key, self.keeper.save(key, answered))
        return kept

    async def _read(
        self, question: PageQuestion, answer: PageResponse, now: float
    ) -> PreparedPage[T]:
        """Prepare an answer; what cannot be, is not tried again at once."""
        key = question.key
        try:
            prepared = await self._prepare(question, answer, now)
        except (Unavailable, CancelledError):
            raise
        except Exception as e:
            self._unreadable.put(key, True)
            if isinstance(e, UpstreamError):
                self._outages.failed(shown(answer.url), f"{key}: {e.message}")
                raise
            # Strangers wrote it: what nobody foresaw in it is their failure as well.
            self._log.failure("Reading the upstream's page of {key} failed", key=key)
            raise UpstreamError(
                f"What the upstream index says of {key} cannot be read."
            ) from None
        self._outages.succeeded(shown(answer.url))
        return prepared

    async def _prepare(
        self, question: PageQuestion, answer: PageResponse, now: float
    ) -> PreparedPage[T]:
        function, recipe = question.prepare, question.recipe
        small = _small(answer)
        if small is not None:
            return _checked(function(small, recipe, now))
        if not answer.coding and answer.size > SQUEEZED_FROM:
            answer = await self.offload.in_thread(squeezed, answer)
        return await self._apart(question.key, function, answer, recipe, now)

    async def _narrow(
        self, question: PageQuestion, known: RememberedPage[T], now: float
    ) -> PreparedPage[T]:
        """Take out of a page what may not be seen any more."""
        function, recipe = question.narrow, question.recipe
        page = known.shown.page
        if known.weight <= INLINE:
            return _checked(function(page, recipe, now))
        return await self._apart(question.key, function, page, recipe, now)

    async def _apart(
        self, key: str, function: Callable[..., Any], *arguments: Any
    ) -> PreparedPage[T]:
        """Prepare a page in a helper process."""
        result = await self.jobs.run(
            self._slot(key),
            lambda: self.offload.in_process(function, *arguments).addTimeout(
                PREPARE_TIMEOUT, self.clock, _gave_up
            ),
        )
        return _checked(await unpack_apart(self.offload, result))

    async def _last_known(
        self, question: PageQuestion, error: PypicloudError
    ) -> UpstreamPage[T]:
        """Serve what is remembered, here or in the store, or fail as the upstream."""
        key = question.key
        kept, now = self.memory.get(self._slot(key)), self.clock.seconds()
        if kept is None or not kept.holds_for(question.judged, now):
            # The store has all of the answer, memory what the rules left of it then.
            kept = await self._load(question, kept) or kept
        if kept is None or self._is_too_old(kept):
            raise error
        return await self._stale(question, kept, error.message)

    def _is_too_old(self, kept: RememberedPage[T]) -> bool:
        return self.clock.seconds() - kept.confirmed > self.settings.stale_for

    async def _stale(
        self, question: PageQuestion, kept: RememberedPage[T], why: str
    ) -> UpstreamPage[T]:
        """Serve what is known, but for what may not be seen any more."""
        question, now = self._latest(question), self.clock.seconds()
        key = question.key
        if not kept.holds_for(question.judged, now):
            narrowed = await self._narrow(question, kept, now)
            kept = kept.narrow(narrowed, question.judged)
            self.memory.put(self._slot(key), kept)
        page = kept.stale(now)
        self.served_stale += 1
        if now >= kept.warn_from:
            kept.warn_from = now + WARN_EVERY
            self._log.warn(
                "The upstream index fails; {key} is served as last known, {age:.0f} s "
                "old: {why}",
                key=key,
                age=page.age,
                why=why,
            )
        return page

    async def _load(
        self, question: PageQuestion, known: RememberedPage[T] | None
    ) -> RememberedPage[T] | None:
        """Remember what is kept in the store, if anything is."""
        key = question.key
        if self.keeper is None:
            return None
        try:
            found = await self.keeper.load(key)
            bases = [source.base for source in self.sources]
            # What an upstream gave that is configured no longer is of no use.
            if found is None or found.base not in bases:
                return None
            now = self.clock.seconds()
            prepared: PreparedPage[T] = await self._prepare(question, found.answer, now)
        except CancelledError:
            raise
        except StoreError as e:
            self._log.warn(
                "The stored page of {key}: {error}", key=key, error=e.message
            )
            return None
        except Exception:
            self._log.failure("The stored page of {key} cannot be used", key=key)
            return None
        confirmed = max(found.confirmed, known.confirmed if known else 0.0)
        kept = RememberedPage.of(
            prepared,
            bases.index(found.base),
            Validators(found.answer.etag, found.answer.modified),
            confirmed,
            fresh_until=confirmed,
            judged=question.judged,
        )
        self.memory.put(self._slot(key), kept)
        return kept

    def _slot(self, key: str) -> str:
        return f"{self.kind}:{key}"

    def _in_background(self, key: str, keeping: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(keeping).addErrback(
            lambda f: self._log.failure("Storing the page of {key} failed", f, key=key)
        )


def _project(key: str) -> str:
    """Return the project of a page's key, which may be of one of its releases."""
    return key.partition("/")[0]


def _small(answer: PageResponse) -> PageResponse | None:
    """Unpack what may be prepared in the reactor's thread; None: it may not be."""
    # The standard library's HTML parser takes half a second for 4 kB of malice.
    if answer.size > INLINE or not is_json(answer.content_type):
        return None
    body = unpack_within(answer, INLINE)
    return None if body is None else evolve(answer, pieces=body, coding="")


def _checked(result: Any) -> PreparedPage[Any]:
    if isinstance(result, PackedResult):
        result = unpacked(result)
    assert isinstance(result, PreparedPage), "what prepares an answer gives a Prepared"
    return result


def _gave_up(_result: object, seconds: float) -> NoReturn:
    raise UpstreamError(f"A page of the upstream index took more than {seconds:g} s.")


def _absent(key: str) -> NotFound:
    return NotFound(
        f"There is no {key} here, nor in the upstream index that is asked for what is "
        "not here."
    )
