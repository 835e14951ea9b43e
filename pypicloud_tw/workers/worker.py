"""A worker, as its parent sees it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Protocol

from attrs import define, field
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from pypicloud_tw.metrics import Snapshot
from pypicloud_tw.workers.messages import (
    FROM_PARENT,
    TO_PARENT,
    Message,
    Messages,
    encode,
)

#: How a worker ends that has done all that it had begun.
FINISHED = "with exit code 0"


class Parent(Protocol):
    """Who is told of a worker."""

    def said(self, worker: Worker, message: Message) -> None:
        """A worker has said something."""

    def ended(self, worker: Worker, how: str) -> None:
        """A worker's process is gone; *how* it ended ends a sentence."""


@define(eq=False)
class Worker(ProcessProtocol):
    """One process.

    :ivar number: of its place, from 1; the one that follows it has the same.
    :ivar born: when it was started, by its parent's clock.
    :ivar started: it serves.
    :ivar pid: its process; None: there is none yet.
    :ivar problem: why it cannot, as it said itself.
    :ivar counts: its metrics, as they were known last.
    """

    number: int
    born: float
    parent: Parent
    transport: IProcessTransport | None = field(default=None, init=False)
    pid: int | None = field(default=None, init=False)
    started: bool = field(default=False, init=False)
    problem: str | None = field(default=None, init=False)
    counts: Snapshot = field(factory=list, init=False)
    _messages: Messages = field(factory=Messages, init=False)

    def send(self, message: Message) -> None:
        """Say something to it; one that is gone hears nothing."""
        if self.transport is not None:
            self.transport.writeToChild(FROM_PARENT, encode(message))

    def stop(self) -> None:
        """Let it finish what it has begun, and end."""
        self._signal("TERM")

    def kill(self) -> None:
        """End it at once."""
        self._signal("KILL")

    def connectionMade(self) -> None:
        """It has a process."""
        if self.transport is not None:
            self.pid = self.transport.pid

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Take what it says."""
        if childFD == TO_PARENT:
            for message in self._messages.feed(data):
                self.parent.said(self, message)

    def processEnded(self, reason: Failure) -> None:
        """It is gone and reaped, and all that it said was heard."""
        self.parent.ended(self, _how(reason))

    def _signal(self, name: str) -> None:
        if self.transport is not None:
            try:
                self.transport.signalProcess(name)
            except ProcessExitedAlready:
                return  # that it has ended will be told


def _how(reason: Failure) -> str:
    """Say how a process ended."""
    error = reason.value
    if isinstance(error, ProcessTerminated) and error.signal is not None:
        return f"by signal {error.signal} ({signal.Signals(error.signal).name})"
    if isinstance(error, ProcessDone | ProcessTerminated):
        return f"with exit code {error.exitCode}"
    return f"somehow: {error}"


#: Makes the process of a worker.
Spawn = Callable[[Worker], None]
