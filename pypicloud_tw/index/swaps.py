"""Changes of small documents in the store, by compare-and-swap (decision D1).

The swap is the commit. Changes that wait for one document in one process share a swap,
and every change has an id that the document remembers: after an answer that was lost,
the id tells whether the change was made; the ETag does not.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random, SystemRandom
from typing import Any, Generic, Protocol, TypeVar

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pypicloud_tw.errors import (
    AmbiguousWrite,
    PreconditionFailed,
    PypicloudError,
    StoreError,
    Unavailable,
)

#: How many changes may share one swap, and how many ids a document remembers. It must
#: remember far more than fit in one swap: an id is looked for after others' swaps too.
BATCH = 32
REMEMBERED = 256
#: Tries of one swap before its changes are refused with 503.
ATTEMPTS = 30
#: Answers that one swap may lose; each has cost the store's own tries and patience.
LOST = 3
#: Seconds; the ceiling of the pause before the n-th try, drawn with full jitter.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0


class Content(Protocol):
    """What a document says: an attrs value."""

    @property
    def changes(self) -> tuple[str, ...]:
        """The ids of its most recent changes, newest last."""


#: A document as it is in the store, and what it says.
S = TypeVar("S")
D = TypeVar("D", bound=Content)


class Shelf(Protocol[S, D]):
    """Where documents of one kind lie."""

    async def look(self, name: str) -> S | None:
        """Read one as it is now; None if there is none.

        :raises StoreError: the store is away, or it cannot be read.
        """

    def content(self, state: S) -> D:
        """Return what a document says."""

    async def put(self, name: str, after: D, found: S | None) -> S:
        """Write one, if it is still as it was found.

        :raises PreconditionFailed: it is not.
        :raises StoreError: the store is away.
        """


@define
class _QueuedChange(Generic[S, D]):
    """One change in the queue, and whoever waits for it."""

    change: Callable[[D | None], D]
    id: str
    new: bool
    done: Deferred[S] = field(factory=Deferred)


@define(eq=False)
class Swaps(Generic[S, D]):
    """This process's changes of the documents of one kind.

    :ivar random: for the pauses between tries, and for the ids.
    :ivar recall: gives a document as it was when it was last read or written here, or
        None; a change is tried on that first.
    :ivar tries: tries to write one.
    :ivar overtaken: those of them that found it changed by another writer.
    """

    shelf: Shelf[S, D]
    clock: IReactorTime
    random: Random = field(factory=SystemRandom)
    recall: Callable[[str], S | None] = field(default=lambda name: None, kw_only=True)
    tries: int = field(default=0, init=False)
    overtaken: int = field(default=0, init=False)
    _queues: dict[str, list[_QueuedChange[S, D]]] = field(factory=dict, init=False)
    _log = Logger()

    def change(
        self, name: str, change: Callable[[D | None], D], *, new: bool = False
    ) -> Deferred[S]:
        """Change a document durably; fires with the state in which the change is made.

        :param name: what it is called, in errors too.
        :param change: is given what it says, None if there is no such document. It
            returns what it was given where nothing is to do, and raises what its asker
            shall see. It may be called several times.
        :param new: there was no such document a moment ago.
        :raises Unavailable: the store is away or lost too many races; the change may
            have been made.
        """
        waiting: _QueuedChange[S, D] = _QueuedChange(
            change, self.random.randbytes(8).hex(), new
        )
        queue = self._queues.get(name)
        if queue is not None:
            queue.append(waiting)
        else:
            self._queues[name] = [waiting]
            Deferred.fromCoroutine(self._work(name)).addErrback(
                lambda failure: self._log.failure("Swapping {name}", failure, name=name)
            )
        return waiting.done

    async def _work(self, name: str) -> None:
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

    async def _swap(self, name: str, batch: list[_QueuedChange[S, D]]) -> None:
        """Make the changes of *batch* by one swap, trying again when others were first.

        A change that does not apply to the state found fails for its asker alone.
        """
        if await self._swap_unseen(name, batch):
            return
        lost: list[StoreError] = []
        last: PypicloudError | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._pause(attempt)
            found = await self.shelf.look(name)
            content = None if found is None else self.shelf.content(found)
            batch = _settle_made(batch, found, content)
            outcome = _apply(batch, content)
            if found is not None and not outcome.changed:
                outcome.settle(found)
                return
            if outcome.content is None:
                outcome.settle_refused()
                return
            try:
                self.tries += 1
                state = await self.shelf.put(name, outcome.content, found)
            except (PreconditionFailed, AmbiguousWrite) as e:
                # Another process was first, or an earlier try of ours, unheard: to
                # tell them apart is not needed, and Ceph hides many lost races so.
                self.overtaken += 1
                last = e
                continue
            except StoreError as e:
                # It may have been written: only the ids will tell.
                lost.append(e)
                if len(lost) > LOST:
                    break
                continue
            outcome.settle(state)
            return
        if lost:
            raise lost[-1]
        # Nobody has looked what came of the last try.
        unknown = isinstance(last, AmbiguousWrite)
        failed = StoreError if unknown else Unavailable
        raise failed(f"Too many writers change {name} at once; try again.")

    async def _swap_unseen(self, name: str, batch: list[_QueuedChange[S, D]]) -> bool:
        """Make the changes of what is known here, if that is so: it spares a read.

        Only a write proves that it is. Whoever is refused by it, or has nothing to do,
        has it read.
        """
        found = self.recall(name)
        if found is None and not all(waiting.new for waiting in batch):
            return False
        content = None if found is None else self.shelf.content(found)
        outcome = _apply(batch, content)
        if outcome.content is None or not outcome.changed or outcome.refused:
            return False
        try:
            self.tries += 1
            state = await self.shelf.put(name, outcome.content, found)
        except (PreconditionFailed, AmbiguousWrite):
            self.overtaken += 1
            return False
        except StoreError:
            return False  # it may have been written: the ids will tell
        outcome.settle(state)
        return True

    async def _pause(self, attempt: int) -> None:
        ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        await deferLater(self.clock, self.random.uniform(0, ceiling), lambda: None)


def _settle_made(
    batch: list[_QueuedChange[S, D]], found: S | None, content: D | None
) -> list[_QueuedChange[S, D]]:
    """Answer the changes whose ids are in the document; return who still waits."""
    if found is not None and content is not None:
        for waiting in batch:
            if waiting.id in content.changes and not waiting.done.called:
                waiting.done.callback(found)
    return [waiting for waiting in batch if not waiting.done.called]


@frozen
class _Outcome(Generic[S, D]):
    """What came of applying a batch to the state that was found.

    :ivar content: what the document says now; None: there is none.
    :ivar changed: a swap is due before anybody may be answered.
    :ivar taken: whose change is in the document.
    :ivar refused: whose change does not apply to it, and why.
    """

    content: D | None
    changed: bool
    taken: tuple[_QueuedChange[S, D], ...]
    refused: tuple[tuple[_QueuedChange[S, D], PypicloudError], ...]

    def settle(self, state: S) -> None:
        """Answer everybody, now that *state* is durable."""
        for waiting in self.taken:
            waiting.done.callback(state)
        self.settle_refused()

    def settle_refused(self) -> None:
        """Answer those whom a state that is durable refused."""
        for waiting, error in self.refused:
            waiting.done.errback(error)


def _apply(batch: list[_QueuedChange[S, D]], content: D | None) -> _Outcome[S, D]:
    """Apply each change in turn to what the ones before it made."""
    changed = False
    taken: list[_QueuedChange[S, D]] = []
    refused: list[tuple[_QueuedChange[S, D], PypicloudError]] = []
    for waiting in batch:
        try:
            after = waiting.change(content)
        except PypicloudError as e:
            refused.append((waiting, e))
            continue
        # An idle change is taken too: it may have found its wish fulfilled by a
        # change beside it, which is not durable before the swap.
        changed = changed or after is not content
        taken.append(waiting)
        # At once: what the next one requires of the last change holds for this one too.
        content = _remembering(after, waiting.id) if changed else after
    return _Outcome(content, changed, tuple(taken), tuple(refused))


def _remembering(content: D, change: str) -> D:
    value: Any = content  # attrs has no type for "some attrs value with this field"
    changed: D = evolve(value, changes=(*content.changes, change)[-REMEMBERED:])
    return changed


def _refuse(batch: list[_QueuedChange[S, D]], error: PypicloudError) -> None:
    for waiting in batch:
        if not waiting.done.called:
            waiting.done.errback(error)
