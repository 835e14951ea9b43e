"""What is done once a day, by one of all servers of a store.

Whichever server looks first claims the day's work by an object ``.daily/{job}/{date}``,
written only if there is none. It renews its claim while it works, and writes down how
that ended. Another takes over a claim that was not renewed for long: its server is
gone. Where the store does not honour conditions, only the holder of the lease looks.

Two may be at work for a moment, where one was stopped for long and goes on. So each job
must bear that, and bear being done again.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from secrets import token_hex
from typing import Literal, TypeAlias

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from pypicloud_tw.errors import (
    AmbiguousWrite,
    ObjectNotFound,
    PreconditionFailed,
    PypicloudError,
    Unavailable,
)
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.maintenance.sweep import CLOCK
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.interfaces import (
    Condition,
    IfAbsent,
    IfMatch,
    IObjectStore,
)

FOLDER = ".daily/"
FORMAT = 1

#: Seconds between two looks of a server, on average. Each pause is drawn anew, so that
#: servers that were started together do not look together.
LOOK_EVERY = 900.0

#: Seconds between two renewals of a claim, and after which another server takes over
#: one that was not renewed.
RENEW_EVERY, ENDS_AFTER = 300.0, 1500.0

#: Days after which a sweep removes what tells of a day.
KEPT = 7

_MAX_CLAIM = 4096

#: How a day's work stands. ``left``: its server was stopped, and anybody may go on.
State: TypeAlias = Literal["running", "left", "done", "failed"]


@frozen
class DailyJob:
    """Something to be done once a day.

    :ivar name: a word of letters and ``_``.
    :ivar due: tells whether there is anything to do; may neither fail nor block.
    :ivar run: does it, and returns what came of it, the rest of a sentence.
    """

    name: str
    due: Callable[[], bool]
    run: Callable[[], Awaitable[str]]


@define(eq=False)
class Claim:
    """The work of a day that this server has claimed.

    :ivar etag: of the object as it was written last.
    :ivar lost: another server has taken over.
    """

    store: IObjectStore
    key: str
    owner: str
    etag: str
    lost: bool = field(default=False, init=False)

    async def write(self, state: State) -> None:
        """Renew it, or say how it ended.

        :raises StoreError: the store is away.
        """
        try:
            await self._put(state, IfMatch(self.etag))
        except (PreconditionFailed, AmbiguousWrite):
            found = await _read(self.store, self.key)
            if found is None or found.owner != self.owner:
                self.lost = True
            else:
                # An earlier try was carried out and its answer lost.
                await self._put(state, IfMatch(found.etag))

    async def _put(self, state: State, condition: Condition) -> None:
        self.etag = await _write(self.store, self.key, self.owner, state, condition)


@frozen
class _Found:
    """A claim as it lies in the store."""

    owner: str
    state: str
    etag: str
    modified: datetime


@define(eq=False)
class Daily:
    """Does jobs once a day, if no other server does.

    :ivar standing: says whether this process may change anything.
    :ivar runs: when this server finished each job last, seconds since the epoch.
    :ivar failures: how many of its runs failed.
    """

    store: IObjectStore
    standing: Standing
    clock: IReactorTime
    jobs: Sequence[DailyJob]
    random: Random = field(factory=Random)
    runs: dict[str, float] = field(factory=dict, init=False)
    failures: int = field(default=0, init=False)
    _owner: str = field(factory=lambda: token_hex(8), init=False)
    _finished: dict[str, str] = field(factory=dict, init=False)
    _log = Logger()

    def register(self, metrics: Metrics) -> None:
        """Have its numbers shown."""
        for job in self.jobs:
            metrics.read(
                f"pypicloud_daily_{job.name}_timestamp_seconds",
                f"When this server finished its daily {job.name} last; 0: it has not",
                partial(self._last_run, job.name),
                together="max",
            )
        metrics.read(
            "pypicloud_daily_failures",
            "Daily jobs of this server that failed",
            lambda: self.failures,
            counts=True,
        )

    def _last_run(self, job: str) -> float:
        return self.runs.get(job, 0.0)

    async def run(self) -> None:
        """Look from time to time, until it is cancelled."""
        while True:
            await deferLater(self.clock, LOOK_EVERY * self.random.uniform(0.5, 1.5))
            await self.look()

    async def look(self) -> None:
        """Do what is to be done today and nobody does."""
        for job in self.jobs:
            today = datetime.fromtimestamp(self.clock.seconds(), UTC).date().isoformat()
            if self._finished.get(job.name) == today or not job.due():
                continue
            try:
                self.standing.check()
                claim = await self._claim(job, today)
            except Unavailable as e:
                self._log.debug("{job} waits: {error}", job=job.name, error=e.message)
                continue
            if claim is not None:
                await self._work(job, claim)

    async def _claim(self, job: DailyJob, today: str) -> Claim | None:
        """Claim a day's work; None: another has, or it is finished."""
        key = f"{FOLDER}{job.name}/{today}"
        found = await _read(self.store, key)
        condition: Condition = IfAbsent()
        if found is not None:
            if found.state in ("done", "failed"):
                self._finished[job.name] = today
                return None
            if not await self._may_take_over(found):
                return None
            condition = IfMatch(found.etag)
        try:
            etag = await _write(self.store, key, self._owner, "running", condition)
        except (PreconditionFailed, AmbiguousWrite):
            return None  # the next look tells whose it is
        self._finished[job.name] = today
        return Claim(self.store, key, self._owner, etag)

    async def _may_take_over(self, found: _Found) -> bool:
        # Its own is of a write whose answer was lost.
        if found.state == "left" or found.owner == self._owner:
            return True
        # By the store's own clock: servers' clocks differ.
        now = (await self.store.put(CLOCK, b"")).modified
        return (now - found.modified).total_seconds() >= ENDS_AFTER

    async def _work(self, job: DailyJob, claim: Claim) -> None:
        """Do a job; a failure is logged, and it is tried again tomorrow."""
        work = Deferred.fromCoroutine(_run(job))
        renewing = LoopingCall(lambda: Deferred.fromCoroutine(self._renew(claim, work)))
        renewing.clock = self.clock
        renewing.start(RENEW_EVERY, now=False)
        state: State = "failed"
        try:
            sentence = await work
            state = "done"
            self.runs[job.name] = self.clock.seconds()
            self._log.info("Daily {job}: {sentence}.", job=job.name, sentence=sentence)
        except CancelledError:
            state = "left"
            if not claim.lost:
                raise
            self._log.warn("Another server has taken over {job}.", job=job.name)
        except PypicloudError as e:
            self.failures += 1
            self._log.error(
                "Daily {job} failed, and is tried again tomorrow: {error}",
                job=job.name,
                error=e.message,
            )
        except Exception:
            self.failures += 1
            self._log.failure("Daily {job} failed", job=job.name)
        finally:
            renewing.stop()
            await self._end(claim, state)

    async def _renew(self, claim: Claim, work: Deferred[str]) -> None:
        try:
            await claim.write("running")
        except PypicloudError as e:
            # If that goes on, another server takes over when the store is back.
            self._log.warn("A claim was not renewed: {error}", error=e.message)
        if claim.lost:
            work.cancel()

    async def _end(self, claim: Claim, state: State) -> None:
        if claim.lost:
            return
        try:
            await claim.write(state)
        except PypicloudError as e:
            self._log.warn(
                "How a daily job ended was not written, and another server may do it "
                "again: {error}",
                error=e.message,
            )


async def _run(job: DailyJob) -> str:
    return await job.run()


async def _read(store: IObjectStore, key: str) -> _Found | None:
    """Read a claim; one that is damaged is nobody's, and not finished."""
    try:
        stored = await store.get(key, limit=_MAX_CLAIM)
    except ObjectNotFound:
        return None
    assert stored is not None, "it was read without a condition"
    owner = state = ""
    try:
        document = json.loads(stored.data)
        owner, state = str(document["server"]), str(document["state"])
    except DAMAGED:
        pass
    return _Found(owner, state, stored.info.etag, stored.info.modified)


async def _write(
    store: IObjectStore, key: str, owner: str, state: State, condition: Condition
) -> str:
    """Write a claim and return its ETag."""
    # A renewal has other bytes than the one before: its ETag shall differ, too.
    parts = {"server": owner, "state": state, "write": token_hex(4)}
    document = compact({"_format": FORMAT, **parts})
    info = await store.put(
        key, document, condition=condition, content_type="application/json"
    )
    return info.etag


async def sweep_claims(
    store: IObjectStore, now: datetime, *, dry_run: bool = False
) -> list[str]:
    """Remove what tells of days long past; see :class:`.sweep.SweepOther`."""
    before = now - timedelta(days=KEPT)
    old = [info.key async for info in store.list(FOLDER) if info.modified < before]
    if not dry_run:
        for key in old:
            await store.delete(key)
    return old
