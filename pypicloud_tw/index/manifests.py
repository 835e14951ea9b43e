"""Manifests in the store: read, list, and change by compare-and-swap (decision D1).

The swap is the commit. Changes that wait for one project in one process share a swap,
and every change has an id that the manifest remembers: after an answer that was lost,
the id tells whether the change was made; the ETag does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from random import Random
from secrets import token_hex
from weakref import WeakValueDictionary

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pypicloud_tw.errors import (
    AmbiguousWrite,
    NotFound,
    ObjectNotFound,
    PreconditionFailed,
    PypicloudError,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index.manifest import (
    INDEX,
    MAX_MANIFEST,
    decode,
    encode,
    manifest_key,
    project_of,
)
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.interfaces import (
    IfAbsent,
    IfMatch,
    IObjectStore,
    ObjectInfo,
    Unlisted,
)

#: How many changes may share one swap, and how many ids a manifest remembers. It must
#: remember far more than fit in one swap: an id is looked for after others' swaps too.
BATCH = 32
REMEMBERED = 256
#: Tries of one swap before its changes are refused with 503.
ATTEMPTS = 30
#: Answers that one swap may lose; each has cost the store's own tries and patience.
LOST = 3
#: States that are kept for the next reader though nobody uses them: an upload reads its
#: project, swaps it and has its page made anew, one after the other.
RECENT = 4
#: Seconds; the ceiling of the pause before the n-th try, drawn with full jitter.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0

#: A change of a project. It returns the project it was given where nothing is to do,
#: and raises what its asker shall see. It may be called several times.
Change = Callable[[Project], Project]


@frozen
class Versioned:
    """A project as it is in the store, and that state's ETag and time."""

    project: Project
    etag: str
    modified: datetime


@define
class _QueuedChange:
    """One change in the queue, and whoever waits for it."""

    change: Change
    create: bool
    id: str = field(factory=lambda: token_hex(8))
    done: Deferred[Versioned] = field(factory=Deferred)


@define
class Manifests:
    """Every project's manifest in one store.

    A state that somebody still has is not fetched and decoded again: with 5,000 files
    that takes 3 MB and 26 ms of the reactor's time. The store is asked all the same.

    :ivar standing: tells whether projects may be changed now.
    :ivar swaps: tries to write a manifest.
    :ivar overtaken: those of them that found it changed by another writer.
    """

    store: IObjectStore
    clock: IReactorTime
    random: Random = field(factory=Random)
    standing: Standing = field(factory=Standing)
    _queues: dict[NormalizedName, list[_QueuedChange]] = field(factory=dict, init=False)
    swaps: int = field(default=0, init=False)
    overtaken: int = field(default=0, init=False)
    _known: WeakValueDictionary[NormalizedName, Versioned] = field(
        factory=WeakValueDictionary, init=False
    )
    _recent: deque[Versioned] = field(factory=lambda: deque(maxlen=RECENT), init=False)
    _log = Logger()

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        metrics.read(
            "pypicloud_swaps",
            "Tries to write a manifest; changes of one project share them",
            lambda: self.swaps,
            counts=True,
        )
        metrics.read(
            "pypicloud_swaps_overtaken",
            "Tries to write a manifest that another writer was ahead of",
            lambda: self.overtaken,
            counts=True,
        )

    async def read(self, name: NormalizedName) -> Versioned:
        """Read a project as it is now.

        :raises NotFound: it is proved that there is no such project.
        :raises StoreError: the store is away or the manifest damaged.
        """
        known = self._known.get(name)
        unless = None if known is None else known.etag
        try:
            stored = await self.store.get(
                manifest_key(name), unless=unless, limit=MAX_MANIFEST
            )
        except ObjectNotFound:
            raise NotFound(f"There is no project {name} here.") from None
        if stored is None:
            assert known is not None, "a conditional read answers None to its ETag only"
            return known
        return self._learn(decode(name, stored.data), stored.info)

    def _learn(self, project: Project, info: ObjectInfo) -> Versioned:
        state = Versioned(project, info.etag, info.modified)
        self._known[project.name] = state
        self._recent.append(state)
        return state

    async def names(
        self, unlisted: Callable[[Unlisted], None] | None = None
    ) -> AsyncIterator[tuple[NormalizedName, ObjectInfo]]:
        """List every project there is, by the name's bytes.

        :param unlisted: told of what lies among the manifests and is none.
        """
        async for info in self.store.list(INDEX, unlisted=unlisted):
            name = project_of(info.key)
            if name is not None:
                yield name, info

    def check_open(self) -> None:
        """Return if projects may be changed now.

        :raises Unavailable: they may not; the message says why.
        """
        self.standing.check()

    def change(
        self, name: NormalizedName, change: Change, *, create: bool = False
    ) -> Deferred[Versioned]:
        """Change a project durably; fires with the state in which the change is made.

        :param create: begin the project if it does not exist, else that is NotFound.
        :raises Unavailable: the store is away or lost too many races; the change may
            have been made.
        """
        try:
            self.check_open()
        except Unavailable as refusal:
            return fail(refusal)
        waiting = _QueuedChange(change, create)
        queue = self._queues.get(name)
        if queue is not None:
            queue.append(waiting)
        else:
            self._queues[name] = [waiting]
            Deferred.fromCoroutine(self._work(name)).addErrback(
                lambda failure: self._log.failure("Swapping {name}", failure, name=name)
            )
        return waiting.done

    async def _work(self, name: NormalizedName) -> None:
        """Take what waits for *name*, swap after swap, until nothing does."""
        queue = self._queues[name]
        while queue:
            batch, queue[:] = queue[:BATCH], queue[BATCH:]
            try:
                await self._swap(name, batch)
            except PypicloudError as e:
                _refuse(batch, e)
            except Exception as e:
                self._log.failure("Changing {name} failed", name=name)
                _refuse(
                    batch, Unavailable(f"Changing {name} failed: {type(e).__name__}.")
                )
        del self._queues[name]

    async def _swap(self, name: NormalizedName, batch: list[_QueuedChange]) -> None:
        """Make the changes of *batch* by one swap, trying again when others were first.

        A change that does not apply to the state found fails for its asker alone.
        """
        lost: list[StoreError] = []
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._pause(attempt)
            found = await self._look(name)
            batch = _settle_made(batch, found)
            outcome = _apply(name, batch, found)
            if found is not None and not outcome.changed:
                outcome.settle(found)
                return
            if not outcome.taken:
                outcome.settle_refused()
                return
            try:
                info = await self._put(name, outcome.project, found)
            except (PreconditionFailed, AmbiguousWrite):
                # Another process was first, or an earlier try of ours, unheard: to
                # tell them apart is not needed, and Ceph hides many lost races so.
                self.overtaken += 1
                continue
            except StoreError as e:
                # It may have been written: only the ids will tell.
                lost.append(e)
                if len(lost) > LOST:
                    break
                continue
            outcome.settle(self._learn(outcome.project, info))
            return
        if lost:
            raise lost[-1]
        raise Unavailable(f"Too many writers change {name} at once; try again.")

    async def _look(self, name: NormalizedName) -> Versioned | None:
        try:
            return await self.read(name)
        except NotFound:
            return None

    async def _put(
        self, name: NormalizedName, after: Project, found: Versioned | None
    ) -> ObjectInfo:
        self.swaps += 1
        return await self.store.put(
            manifest_key(name),
            encode(after),
            condition=IfAbsent() if found is None else IfMatch(found.etag),
            content_type="application/vnd.pypi.simple.v1+json",
        )

    async def _pause(self, attempt: int) -> None:
        ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        await deferLater(self.clock, self.random.uniform(0, ceiling), lambda: None)


def _settle_made(
    batch: list[_QueuedChange], found: Versioned | None
) -> list[_QueuedChange]:
    """Answer the changes whose ids are in the manifest; return who still waits."""
    if found is not None:
        for waiting in batch:
            if waiting.id in found.project.changes and not waiting.done.called:
                waiting.done.callback(found)
    return [waiting for waiting in batch if not waiting.done.called]


@frozen
class _Outcome:
    """What came of applying a batch to the state that was found.

    :ivar changed: a swap is due before anybody may be answered.
    :ivar taken: whose change is in the project.
    :ivar refused: whose change does not apply to it, and why.
    """

    project: Project
    changed: bool
    taken: tuple[_QueuedChange, ...]
    refused: tuple[tuple[_QueuedChange, PypicloudError], ...]

    def settle(self, state: Versioned) -> None:
        """Answer everybody, now that *state* is durable."""
        for waiting in self.taken:
            waiting.done.callback(state)
        self.settle_refused()

    def settle_refused(self) -> None:
        """Answer those whom a state that is durable refused."""
        for waiting, error in self.refused:
            waiting.done.errback(error)


def _apply(
    name: NormalizedName, batch: list[_QueuedChange], found: Versioned | None
) -> _Outcome:
    """Apply each change in turn to what the ones before it made."""
    project = None if found is None else found.project
    changed = False
    taken: list[_QueuedChange] = []
    refused: list[tuple[_QueuedChange, PypicloudError]] = []
    for waiting in batch:
        try:
            if project is None and not waiting.create:
                raise NotFound(f"There is no project {name} here.")
            before = project or Project(name, name)
            after = waiting.change(before)
        except PypicloudError as e:
            refused.append((waiting, e))
            continue
        # An idle change is taken too: it may have found its wish fulfilled by a
        # change beside it, which is not durable before the swap.
        changed = changed or project is None or after is not before
        taken.append(waiting)
        project = after
    project = project or Project(name, name)
    if changed:
        ids = (*project.changes, *(waiting.id for waiting in taken))
        project = evolve(project, changes=ids[-REMEMBERED:])
    return _Outcome(project, changed, tuple(taken), tuple(refused))


def _refuse(batch: list[_QueuedChange], error: PypicloudError) -> None:
    for waiting in batch:
        if not waiting.done.called:
            waiting.done.errback(error)
