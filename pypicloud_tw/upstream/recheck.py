"""Asks again, in the background, for the pages of projects of which files are kept.

What is kept is given out without asking anybody. So that a quarantine is found all the
same, each such project's page is asked for once in every period, by one of all servers,
conditionally, and spread out over the period.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.errors import (
    AmbiguousWrite,
    NotFound,
    ObjectNotFound,
    PreconditionFailed,
    PypicloudError,
    StoreError,
)
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.standing import Standing as OwnStanding
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import IfAbsent, IObjectStore
from pypicloud_tw.upstream.client import Client, NotModified, Validators
from pypicloud_tw.upstream.judgement.judges import Judges
from pypicloud_tw.upstream.judgement.values import Standing
from pypicloud_tw.upstream.keeper import CACHE
from pypicloud_tw.upstream.kept import IKeeper, KeptResponse
from pypicloud_tw.upstream.parse import ACCEPT
from pypicloud_tw.upstream.prepare import PageResponse, read_standing
from pypicloud_tw.upstream.source import UpstreamIndex
from pypicloud_tw.upstream.standings import GONE, Standings

#: Claims of a period's work, by its number.
CLAIMS = f"{CACHE}.recheck/"

#: Seconds between two readings of what other servers have found.
LISTEN_EVERY = 60.0

#: The part of a period over which its questions are spread; the rest is for being slow.
_SPREAD = 0.8


@define(eq=False)
class Recheck:
    """Asks for each kept project's page once in every period.

    :ivar names: tells the projects of which files are kept.
    :ivar own: says whether this process may change anything.
    :ivar period: seconds; 0: nothing is asked.
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
        while True:
            number = int(self.clock.seconds() // self.period)
            if number != self._done and await self._claim(number):
                await self._recheck_all(number)
            pause = min(self.period, 300.0) * self.random.uniform(0.05, 0.2)
            await deferLater(self.clock, pause)

    async def _claim(self, number: int) -> bool:
        """Claim a period's work; false if another server has, or nobody can now."""
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
        """Remove those of periods long past."""
        try:
            old = [info.key async for info in self.store.list(CLAIMS)]
            for key in old:
                told = key.removeprefix(CLAIMS)
                if not told.isdecimal() or int(told) < number - 1:
                    await self.store.delete(key)
        except StoreError as e:
            self._log.debug("Old claims stay: {error}", error=e.message)

    async def _recheck_all(self, number: int) -> None:
        """Ask for each project, spread out over what is left of the period."""
        try:
            names = sorted(await self.names())
        except StoreError as e:
            self._log.warn("No recheck in this period: {error}", error=e.message)
            return
        self.random.shuffle(names)
        ends = (number + 1) * self.period
        for at, name in enumerate(names):
            left = max(0.0, ends - self.clock.seconds()) * _SPREAD
            await deferLater(self.clock, left / (len(names) - at))
            try:
                await self.recheck(name)
            except PypicloudError as e:
                # Nothing is lifted because nobody answers.
                self.failures += 1
                self._log.debug("{name} waits: {error}", name=name, error=e.message)

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
            await self.keeper.confirm(name, now)
            answer = known.answer
        else:
            await self.keeper.save(name, KeptResponse(answer, source.base, now))
        limit = self.client.limits.page
        standing = await self.offload.in_process(read_standing, answer, name, limit)
        self.standings.saw(name, standing)

    async def _load(self, name: NormalizedName) -> KeptResponse | None:
        try:
            return await self.keeper.load(name)
        except (ObjectNotFound, ValueError):
            return None


def _is_from(known: KeptResponse | None, source: UpstreamIndex) -> bool:
    return known is not None and known.base == source.base


def _validators(known: KeptResponse | None) -> Validators | None:
    if known is None:
        return None
    return Validators(known.answer.etag, known.answer.modified)
