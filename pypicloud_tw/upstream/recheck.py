"""Asks again, in the background, for the pages of projects of which files are kept.

What is kept is given out without asking anybody. So that a quarantine is found all the
same, each such project's page is asked for once in every period, by one of all servers,
conditionally, and spread out over the period.

A period has :data:`PARTS`. Each project has its place in one of them, the same in every
period, so that it is asked for a period after it was asked for last. Each part is
claimed by itself: a server that dies leaves no more of a period undone than the rest of
one part, which is done a period later. In memory are the names of kept projects, and no
more than that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from hashlib import sha256
from random import Random

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import (
    AmbiguousWrite,
    NotFound,
    PreconditionFailed,
    PypicloudError,
    StoreError,
)
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.standing import Standing as OwnStanding
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import IfAbsent, IObjectStore
from pypicloud_tw.upstream.client import Client, NotModified, Validators
from pypicloud_tw.upstream.freshness import may_keep
from pypicloud_tw.upstream.judgement.judges import Judges
from pypicloud_tw.upstream.judgement.values import Standing
from pypicloud_tw.upstream.keeper import CACHE, stored_files
from pypicloud_tw.upstream.kept import IKeeper, KeptResponse
from pypicloud_tw.upstream.parse import ACCEPT
from pypicloud_tw.upstream.prepare import PageResponse, read_told
from pypicloud_tw.upstream.source import UpstreamIndex
from pypicloud_tw.upstream.standings import GONE, Standings

#: Claims of parts of periods, by their number since the epoch.
CLAIMS = f"{CACHE}.recheck/"

#: Seconds between two readings of what other servers have found.
LISTEN_EVERY = 60.0

#: Into how many a period is divided.
PARTS = 8
#: How much of a part its questions are spread over; the rest is for being slow.
_SPREAD = 0.8
#: Questions at once, where the upstream is slow.
_AT_ONCE = 4
#: Files of a project that are looked for on its page.
_MOST = 20_000


@define(eq=False)
class Recheck:
    """Asks for each kept project's page once in every period.

    :ivar names: tells the projects of which files are kept.
    :ivar own: says whether this process may change anything.
    :ivar period: seconds; 0: nothing is asked.
    :ivar confirm_after: seconds after which it is written down that what is kept of a
        page still holds: a page may have megabytes.
    :ivar asked: how many pages this server has asked for.
    """

    client: Client
    sources: tuple[UpstreamIndex, ...]
    judges: Judges
    standings: Standings
    keeper: IKeeper
    names: Callable[[], Awaitable[frozenset[NormalizedName]]]
    store: IObjectStore
    own: OwnStanding
    offload: IOffload
    clock: IReactorTime
    period: float
    random: Random = field(factory=Random)
    confirm_after: float = 0.0
    asked: int = field(default=0, init=False)
    failures: int = field(default=0, init=False)
    _done: int = field(default=-1, init=False)
    _listening: LoopingCall | None = field(default=None, init=False)
    _working: Deferred[None] | None = field(default=None, init=False)
    _log = Logger()

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        metrics.read(
            "pypicloud_upstream_rechecks",
            "Pages of kept projects asked for again",
            lambda: self.asked,
            counts=True,
        )
        metrics.read(
            "pypicloud_upstream_quarantined",
            "Kept projects that their upstream has quarantined",
            lambda: float(
                sum(one.status == "quarantined" for one in self.standings.all.values())
            ),
            together="max",
        )

    def start(self) -> None:
        """Begin; returns at once."""
        self._listening = LoopingCall(
            lambda: Deferred.fromCoroutine(self.standings.refresh())
        )
        self._listening.clock = self.clock
        self._listening.start(LISTEN_EVERY)
        if self.period:
            self._working = Deferred.fromCoroutine(self._run())
            self._working.addErrback(self._ended)

    def stop(self) -> None:
        """Give up what is under way."""
        if self._listening is not None and self._listening.running:
            self._listening.stop()
        if self._working is not None:
            self._working.cancel()

    def _ended(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._log.failure("Asking for kept projects again has ended", failure)

    async def _run(self) -> None:
        part = self.period / PARTS
        while True:
            try:
                await self._look(part)
            except CancelledError:
                raise
            except Exception:
                # The next part shall be asked for all the same.
                self._log.failure("Asking for kept projects again failed")
            pause = min(part, 300.0) * self.random.uniform(0.05, 0.2)
            await deferLater(self.clock, pause)

    async def _look(self, part: float) -> None:
        """Do what is to be done now and nobody does."""
        number = int(self.clock.seconds() // part)
        if number != self._done and await self._claim(number):
            await self._recheck_part(number, part)

    async def _claim(self, number: int) -> bool:
        """Claim a part; false if another server has, or nobody can now."""
        try:
            self.own.check()
            await self.store.put(f"{CLAIMS}{number}", b"", condition=IfAbsent())
        except (PreconditionFailed, AmbiguousWrite):
            self._done = number
            return False
        except PypicloudError as e:
            self._log.debug("No recheck now: {error}", error=e.message)
            return False
        self._done = number
        await self._remove_claims(number)
        return True

    async def _remove_claims(self, number: int) -> None:
        """Remove those of long ago, and of another length of the period."""
        try:
            old = [info.key async for info in self.store.list(CLAIMS)]
            for key in old:
                told = key.removeprefix(CLAIMS)
                if not told.isdecimal() or abs(int(told) - number) > 2 * PARTS:
                    await self.store.delete(key)
        except StoreError as e:
            self._log.debug("Old claims stay: {error}", error=e.message)

    async def _recheck_part(self, number: int, part: float) -> None:
        """Ask for each project of a part, spread out over what is left of it."""
        try:
            kept = await self.names()
        except StoreError as e:
            self._log.warn("Kept projects wait a period: {error}", error=e.message)
            return
        names = sorted(
            (name for name in kept if _place(name) % PARTS == number % PARTS),
            key=_place,
        )
        now = self.clock.seconds()
        step = max(0.0, (number + 1) * part - now) * _SPREAD / max(1, len(names))
        queue = deque((now + step * at, name) for at, name in enumerate(names))

        async def worker() -> None:
            while queue:
                due, name = queue.popleft()
                # Never longer than a part, though the clock be set back.
                pause = min(part, max(0.0, due - self.clock.seconds()))
                await deferLater(self.clock, pause)
                await self._try(name)

        await side_by_side(_AT_ONCE, worker, queue)

    async def _try(self, name: NormalizedName) -> None:
        """Ask for one project; what fails waits for the next period."""
        try:
            await self.recheck(name)
        except CancelledError:
            raise
        except PypicloudError as e:
            # Nothing is lifted because nobody answers.
            self.failures += 1
            self._log.debug("{name} waits: {error}", name=name, error=e.message)
        except Exception:
            # Strangers wrote the page: it must not end the work on all others.
            self.failures += 1
            self._log.failure("Asking for {name} again failed", name=name)

    async def recheck(self, name: NormalizedName) -> None:
        """Ask for one project's page, and take note of what it says.

        :raises PypicloudError: it may not be asked for, or nobody answers.
        """
        refusal = self.judges.of(name).refusal
        if refusal is not None:
            return  # not even its name is told
        known = await self._load(name)
        self.asked += 1
        for source in self.sources:
            unless = _validators(known) if _is_from(known, source) else None
            url = source.project_url(name)
            try:
                answer = await self.client.page(source, url, ACCEPT, unless)
            except NotFound:
                continue
            await self._take(name, source, answer, known)
            return
        self.standings.saw(name, Standing(GONE))
        # What was taken off the upstream must not come back when that fails.
        await self.keeper.drop(name)

    async def _take(
        self,
        name: NormalizedName,
        source: UpstreamIndex,
        answer: PageResponse | NotModified,
        known: KeptResponse | None,
    ) -> None:
        now = self.clock.seconds()
        if isinstance(answer, NotModified):
            assert known is not None, "asked conditionally, so something was known"
            if now - known.confirmed > self.confirm_after:
                await self.keeper.confirm(name, now)
            answer = known.answer
        elif may_keep(answer.cache_control):
            await self.keeper.save(name, KeptResponse(answer, source.base, now))
        limit = self.client.limits.page
        kept = await self._kept(name)
        standing, marks = await self.offload.in_process(
            read_told, answer, name, limit, kept
        )
        self.standings.saw(name, standing)
        if standing.status != "quarantined":
            # Else its page lists nothing, and none of that was deleted.
            self.standings.saw_marks(name, marks)

    async def _kept(self, name: NormalizedName) -> frozenset[tuple[str, str]]:
        """Return the names and digests of a project's files that are kept."""
        found = set()
        async for file in stored_files(self.store, name):
            if not file.is_metadata:
                found.add((file.filename, file.of))
            if len(found) >= _MOST:
                break
        return frozenset(found)

    async def _load(self, name: NormalizedName) -> KeptResponse | None:
        try:
            return await self.keeper.load(name)
        except DAMAGED:
            return None  # it is asked for unconditionally, and written anew


def _place(name: str) -> int:
    """Return where a project stands in every period."""
    return int.from_bytes(sha256(name.encode()).digest()[:4])


def _is_from(known: KeptResponse | None, source: UpstreamIndex) -> bool:
    return known is not None and known.base == source.base


def _validators(known: KeptResponse | None) -> Validators | None:
    if known is None:
        return None
    return Validators(known.answer.etag, known.answer.modified)
