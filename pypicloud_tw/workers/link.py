"""A worker's link to its parent, and by that to its siblings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from threading import get_ident
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import LogEvent, LogLevel, eventAsText

from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.metrics import Snapshot
from pypicloud_tw.workers.messages import (
    PARENT_PATIENCE,
    Message,
    Messages,
    encode,
)

#: Seconds between two times that the parent is told what was counted, so that little is
#: lost with a worker that is killed.
COUNTS_EVERY = 10.0


class Side(Protocol):
    """What a worker does when its parent says so."""

    def start(self, message: Message) -> None:
        """Begin to serve."""

    def hang_up(self, config: str | None) -> None:
        """Do what SIGHUP does; *config* is what was read anew, if it can be used."""

    def orphaned(self) -> None:
        """End: the parent is gone."""


@define(eq=False)
class Link(TwistedProtocol):
    """The worker's end of both pipes.

    :ivar side: the worker.
    """

    reactor: Any
    side: Side
    transport: ITransport | None = field(default=None, init=False)
    _messages: Messages = field(factory=Messages, init=False)
    _ids: Iterator[int] = field(factory=lambda: count(1), init=False)
    _questions: dict[int, Waiters[Any]] = field(factory=dict, init=False)
    _topics: dict[str, list[Callable[[Any], None]]] = field(factory=dict, init=False)
    _snapshot: Callable[[], Snapshot] = field(default=list, init=False)
    _thread: int = field(factory=get_ident, init=False)
    _full: bool = field(default=False, init=False)
    _counting: LoopingCall | None = field(default=None, init=False)

    # --- for the parts of the server

    @property
    def exist(self) -> bool:
        """There may always be siblings: others take the places of those that die."""
        return True

    def subscribe(self, topic: str, hear: Callable[[Any], None]) -> None:
        """Have what siblings say about something told to *hear*; it must not fail."""
        self._topics.setdefault(topic, []).append(hear)

    async def tell(self, topic: str, value: object) -> None:
        """Tell all siblings; return when they have heard it, or at a bound of time."""
        await self._ask({"say": "tell", "topic": topic, "value": value})

    def post(self, topic: str, value: object) -> None:
        """Tell all siblings, soon."""
        self._send({"say": "post", "topic": topic, "value": value})

    def refuse(self, problem: str) -> None:
        """End the whole server, with a sentence."""
        self._send({"say": "refused", "problem": problem})

    async def gather(self, own: Snapshot) -> Snapshot:
        """Return what all siblings count, with what this worker does."""
        found: Snapshot | None = await self._ask({"say": "gather", "counts": own})
        return own if found is None else found

    # --- for the worker

    def count(self, snapshot: Callable[[], Snapshot]) -> None:
        """Have what this worker counts told to who gathers it."""
        self._snapshot = snapshot

    def serving(self) -> None:
        """Tell that this worker serves."""
        self._counting = LoopingCall(self._send_counts)
        self._counting.clock = self.reactor
        self._counting.start(COUNTS_EVERY, now=False)
        self._send({"say": "started"})

    def failed(self, problem: str) -> None:
        """Tell why this worker cannot serve."""
        self._send({"say": "failed", "problem": problem})

    def stopped(self) -> None:
        """Tell what was counted, for the last time."""
        if self._counting is not None and self._counting.running:
            self._counting.stop()
            self._send_counts()

    def write_log(self, event: LogEvent) -> None:
        """Have the parent write an event into its log; an observer of Twisted's."""
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        message = {
            "say": "log",
            "level": (event.get("log_level") or LogLevel.info).name,
            "namespace": event.get("log_namespace") or "-",
            "text": text,
        }
        if get_ident() == self._thread:
            self._send_log(message)
        else:
            self.reactor.callFromThread(self._send_log, message)

    # --- what Twisted calls

    def connectionMade(self) -> None:
        """Be told when the pipe is full."""
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]  # is made

    def pauseProducing(self) -> None:
        """The parent does not read."""
        self._full = True

    def resumeProducing(self) -> None:
        """It does again."""
        self._full = False

    def stopProducing(self) -> None:
        """It is gone, which :meth:`connectionLost` tells."""

    def dataReceived(self, data: bytes) -> None:
        """Take what the parent says."""
        for message in self._messages.feed(data):
            self._take(message)

    def connectionLost(self, reason: object = None) -> None:
        """The parent is gone, whatever ended it."""
        self.transport = None
        self.side.orphaned()

    # --- messages

    def _take(self, message: Message) -> None:
        match message:
            case {"say": "hear", "topic": topic, "value": value}:
                for hear in self._topics.get(topic, ()):
                    hear(value)
                if "id" in message:
                    self._send({"say": "heard", "id": message["id"]})
            case {"say": "show", "id": id}:
                self._send({"say": "shown", "id": id, "counts": self._snapshot()})
            case {"say": "told", "id": id}:
                self._answer(id, None)
            case {"say": "metrics", "id": id, "counts": counts}:
                self._answer(id, counts)
            case {"say": "start"}:
                self.side.start(message)
            case {"say": "hang up", "config": config}:
                self.side.hang_up(config)

    async def _ask(self, message: Message) -> Any:
        """Ask the parent; None: it has not answered in time."""
        if self.transport is None:
            return None
        id = next(self._ids)
        waiters = self._questions[id] = Waiters()
        answer = waiters.wait_at_most(PARENT_PATIENCE, self.reactor)
        self._send({**message, "id": id})
        try:
            return await answer
        finally:
            self._questions.pop(id, None)

    def _answer(self, id: int, answer: object) -> None:
        waiters = self._questions.get(id)
        if waiters is not None:
            waiters.answer(answer)

    def _send_log(self, message: Message) -> None:
        # The parent may be stopped (SIGSTOP): memory comes before lines.
        if not self._full:
            self._send(message)

    def _send_counts(self) -> None:
        self._send({"say": "counts", "counts": self._snapshot()})

    def _send(self, message: Message) -> None:
        if self.transport is not None:
            self.transport.write(encode(message))
