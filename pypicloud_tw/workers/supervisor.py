"""The parent of workers: starts and stops them, and carries what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, LogLevel

from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.listening.service_manager import ServiceManager
from pypicloud_tw.metrics import Snapshot
from pypicloud_tw.workers.merging import lasting, merged, metrics_of_workers
from pypicloud_tw.workers.messages import Message, pack
from pypicloud_tw.workers.restarts import Restarts
from pypicloud_tw.workers.rounds import Rounds
from pypicloud_tw.workers.worker import FINISHED, Worker

#: Seconds in which a worker must have begun to serve, and those that it has to end
#: beyond ``server.grace``.
START_PATIENCE, STOP_PATIENCE = 60.0, 10.0

#: Workers that die one after the other, before any has served, until that is given up.
TRIES = 3


class Listening(Protocol):
    """The socket that workers share."""

    def open(self) -> None:
        """Listen.

        :raises SystemExit: it cannot; the message says why.
        """

    async def close(self) -> None:
        """Listen no more, as far as this process goes."""


@frozen
class Plan:
    """What a parent does.

    :ivar config: what its workers serve by.
    :ivar read: reads the configuration as it is now, at SIGHUP.
    :ivar socket: is opened while there are privileges.
    :ivar spawn: starts the process of a worker, which shares the socket.
    :ivar give_up: ends this process, with a sentence.
    """

    config: Config
    read: Callable[[], Config]
    socket: Listening
    spawn: Callable[[Worker], None]
    give_up: Callable[[str], None]


@define(eq=False)
class _Place:
    """One of the places of workers.

    :ivar worker: None: it died, and none has followed it yet.
    :ivar due: another is started then, or this one must have begun to serve.
    """

    number: int
    restarts: Restarts = field(factory=Restarts)
    worker: Worker | None = None
    due: IDelayedCall | None = None

    def cancel(self) -> None:
        """Do not do what is due."""
        due, self.due = self.due, None
        if due is not None and due.active():
            due.cancel()


class Supervisor(Service):
    """The parent.

    :param catch_hangup: has SIGHUP call what it is given.
    :param manager: is told how this process and its workers stand.
    """

    name = "pypicloud"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        plan: Plan,
        catch_hangup: Callable[[Any, Callable[[], None]], None],
        manager: ServiceManager,
    ) -> None:
        self._reactor = reactor
        self._plan = plan
        self._catch_hangup = catch_hangup
        self._manager = manager
        self._places = [_Place(n + 1) for n in range(plan.config.server.workers)]
        self._rounds = Rounds(reactor)
        self._packed = pack(plan.config)
        self._latest: str | None = None
        self._open = False
        self._dead: Snapshot = []
        self._deaths = 0
        self._served = False
        self._stopping = False
        self._empty: Waiters[None] = Waiters()

    # --- begin and end

    def privilegedStartService(self) -> None:
        """Listen; before privileges are dropped, so that port 80 can be had."""
        self._plan.socket.open()
        self._open = True

    def startService(self) -> None:
        """Start the workers."""
        if not self._open:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._catch_hangup(self._reactor, self.hang_up)
        for place in self._places:
            self._start(place)

    def stopService(self) -> Deferred[None]:
        """Listen no more, and let all workers finish; then end those that have not."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._stopping = True
        self._manager.stopping(self._plan.config.server.grace)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._plan.socket.close()
        for place in self._places:
            place.cancel()
        for worker in self._workers():
            worker.stop()
        patience = self._plan.config.server.grace + STOP_PATIENCE
        late = self._reactor.callLater(patience, self._kill_all)
        if any(self._workers()):
            await self._empty.wait()
        if late.active():
            late.cancel()
        self._manager.stopped()

    def _kill_all(self) -> None:
        for worker in self._workers():
            self._log.warn(
                "Worker {number} (process {pid}) did not end in time, and is killed.",
                number=worker.number,
                pid=worker.pid,
            )
            worker.kill()

    def hang_up(self) -> None:
        """Read the configuration again, for all workers; have them open logs again."""
        if self._served:
            self._manager.reloading()
        config = None
        try:
            config = pack(self._plan.read())
            self._latest = config
        except ConfigError as e:
            for problem in e.problems:
                self._log.error("Not reloaded: {problem}", problem=problem)
        for worker in self._workers():
            worker.send({"say": "hang up", "config": config})
        if self._served:
            self._manager.ready(self._status())

    # --- workers come and go

    def _workers(self) -> Iterator[Worker]:
        for place in self._places:
            if place.worker is not None:
                yield place.worker

    def _start(self, place: _Place) -> None:
        place.due = None
        worker = place.worker = Worker(place.number, self._reactor.seconds(), self)
        try:
            self._plan.spawn(worker)
        except OSError as e:
            self.ended(worker, f"before it began: {e.strerror}")
            return
        worker.send(
            {
                "say": "start",
                "number": place.number,
                "config": self._packed,
                "latest": self._latest,
                "greets": self._deaths == 0 and place.number == 1,
            }
        )
        place.due = self._reactor.callLater(START_PATIENCE, self._hangs, place)

    def _hangs(self, place: _Place) -> None:
        place.due = None
        if place.worker is not None:
            self._log.error(
                "Worker {number} (process {pid}) does not begin to serve, and is "
                "killed.",
                number=place.number,
                pid=place.worker.pid,
            )
            place.worker.kill()

    def ended(self, worker: Worker, how: str) -> None:
        """Have another take its place, soon."""
        place = self._places[worker.number - 1]
        place.worker = None
        place.cancel()
        self._dead = merged([self._dead, lasting(worker.counts)])
        self._rounds.gone(worker)
        if self._stopping:
            if not any(self._workers()):
                self._empty.answer(None)
            return
        self._deaths += 1
        if self._served:
            self._manager.status(self._status())
        if not self._served and (worker.problem or self._deaths >= TRIES):
            self._give_up(worker.problem or f"No worker begins: the last ended {how}.")
        else:
            self._follow(place, worker, how)

    def _give_up(self, problem: str) -> None:
        self._stopping = True
        self._plan.give_up(problem)

    def _follow(self, place: _Place, worker: Worker, how: str) -> None:
        pause = place.restarts.after(self._reactor.seconds() - worker.born)
        # Who was asked to end by a signal of its own has done what it was told.
        level = LogLevel.info if how == FINISHED else LogLevel.error
        self._log.emit(
            level,
            "Worker {number} (process {pid}) ended {how}; another begins in "
            "{pause:g} s.{problem}",
            number=worker.number,
            pid=worker.pid,
            how=how,
            pause=pause,
            problem=f" {worker.problem}" if worker.problem else "",
        )
        place.due = self._reactor.callLater(pause, self._start, place)

    # --- what workers say

    def said(self, worker: Worker, message: Message) -> None:
        """Do what a worker asks for."""
        match message:
            case {"say": "heard", "id": id}:
                self._rounds.answered(worker, id)
            case {"say": "shown", "id": id, "counts": counts}:
                worker.counts = counts
                self._rounds.answered(worker, id)
            case {"say": "counts", "counts": counts}:
                worker.counts = counts
            case {"say": "tell", "id": id, "topic": topic, "value": value}:
                news = {"say": "hear", "topic": topic, "value": value}
                over = partial(worker.send, {"say": "told", "id": id})
                self._post(self._siblings(worker, serve=False), news)
                self._rounds.ask(self._siblings(worker), news, over)
            case {"say": "post", "topic": topic, "value": value}:
                news = {"say": "hear", "topic": topic, "value": value}
                self._post(self._siblings(worker, serve=False), news)
                self._post(self._siblings(worker), news)
            case {"say": "gather", "id": id, "counts": counts}:
                worker.counts = counts
                over = partial(self._send_metrics, worker, id)
                self._rounds.ask(self._siblings(worker), {"say": "show"}, over)
            case {"say": "log"}:
                self._write_log(worker, message)
            case {"say": "started"}:
                self._serves(worker)
            case {"say": "failed", "problem": problem}:
                worker.problem = problem
            case {"say": "refused", "problem": problem} if not self._stopping:
                self._give_up(problem)

    def _siblings(self, worker: Worker, *, serve: bool = True) -> list[Worker]:
        """Return the others that serve, or those that only begin.

        For these nobody waits: they hear all that was said before they serve.
        """
        workers = self._workers()
        return [one for one in workers if one is not worker and one.started == serve]

    def _post(self, workers: Iterable[Worker], message: Message) -> None:
        for worker in workers:
            worker.send(message)

    def _serves(self, worker: Worker) -> None:
        place = self._places[worker.number - 1]
        place.cancel()
        worker.started = self._served = True
        self._manager.ready(self._status())
        self._log.info(
            "Worker {number} (process {pid}) serves.",
            number=worker.number,
            pid=worker.pid,
        )

    def _status(self) -> str:
        serving = sum(one.started for one in self._workers())
        return f"{serving} of {len(self._places)} workers serve."

    def _send_metrics(self, worker: Worker, id: int) -> None:
        counts = [one.counts for one in self._workers()]
        serving = sum(one.started for one in self._workers())
        own = metrics_of_workers(serving, self._deaths)
        all_counts = merged([self._dead, *counts, own])
        worker.send({"say": "metrics", "id": id, "counts": all_counts})

    def _write_log(self, worker: Worker, message: Message) -> None:
        level, namespace = message["level"], message["namespace"]
        Logger(namespace).emit(
            LogLevel.levelWithName(level),
            "{text}",
            text=message["text"],
            log_system=f"{namespace}#{level} worker {worker.number}",
        )
