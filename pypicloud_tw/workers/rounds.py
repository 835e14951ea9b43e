"""Questions that a parent asks of several workers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pypicloud_tw.workers.messages import SIBLINGS_PATIENCE, Message


class Asked(Protocol):
    """A worker that can be asked."""

    def send(self, message: Message) -> None:
        """Say something to it."""


@define(eq=False)
class _Round:
    waiting: set[Asked]
    over: Callable[[], None]
    late: IDelayedCall


@define(eq=False)
class Rounds:
    """Those that are open.

    Each is over when all who were asked have answered or died, and at the latest after
    :data:`SIBLINGS_PATIENCE`.
    """

    clock: IReactorTime
    _open: dict[int, _Round] = field(factory=dict, init=False)
    _last: int = field(default=0, init=False)

    def ask(
        self, workers: Iterable[Asked], message: Message, over: Callable[[], None]
    ) -> None:
        """Begin a round.

        :param over: called once.
        """
        waiting = set(workers)
        if not waiting:
            over()
            return
        self._last += 1
        id = self._last
        late = self.clock.callLater(SIBLINGS_PATIENCE, self._end, id)
        self._open[id] = _Round(set(waiting), over, late)
        for worker in waiting:
            worker.send({**message, "id": id})

    def answered(self, worker: Asked, id: int) -> None:
        """Take an answer; one that came too late is nothing any more."""
        found = self._open.get(id)
        if found is not None:
            found.waiting.discard(worker)
            if not found.waiting:
                self._end(id)

    def gone(self, worker: Asked) -> None:
        """Wait for a worker no longer."""
        for id in tuple(self._open):
            self.answered(worker, id)

    def _end(self, id: int) -> None:
        found = self._open.pop(id)
        if found.late.active():
            found.late.cancel()
        found.over()
