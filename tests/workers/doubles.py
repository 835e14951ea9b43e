"""A parent and its workers in one process, joined as by pipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.metrics import Snapshot
from pypicloud_tw.workers.link import Link
from pypicloud_tw.workers.messages import FROM_PARENT, TO_PARENT, Message
from pypicloud_tw.workers.supervisor import Plan, Supervisor
from pypicloud_tw.workers.worker import Worker
from tests.listening.doubles import told_manager


def config_of(workers: int, **server: Any) -> Config:
    """Make a configuration with so many workers."""
    config = Config()
    return evolve(config, server=evolve(config.server, workers=workers, **server))


class ReactorClock(Clock):
    """A clock that is in its own thread."""

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        """Call it, soon."""
        self.callLater(0, call, *args)


@define(eq=False)
class Socket:
    """A listening socket."""

    events: list[str]
    problem: SystemExit | None = None

    def open(self) -> None:
        """Listen, or not."""
        if self.problem is not None:
            raise self.problem
        self.events.append("listen")

    async def close(self) -> None:
        """Listen no more."""
        self.events.append("close")


@define(eq=False)
class Child:
    """A worker's process.

    :ivar signals: those that were sent to it, by name.
    :ivar deaf: it neither reads nor ends.
    """

    worker: Worker
    clock: ReactorClock
    pid: int
    link: Link = field(init=False)
    started: Message | None = field(default=None, init=False)
    hung_up: list[str | None] = field(factory=list, init=False)
    is_orphaned: bool = field(default=False, init=False)
    signals: list[str] = field(factory=list, init=False)
    deaf: bool = field(default=False, init=False)
    ended: bool = field(default=False, init=False)
    counts: Snapshot = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.link = Link(self.clock, self)
        pipe: Any = _Pipe(self)
        process: Any = self
        self.link.makeConnection(pipe)  # type: ignore[no-untyped-call]  # Twisted's
        self.worker.makeConnection(process)  # type: ignore[no-untyped-call]  # likewise

    # What the parent does to it.

    def writeToChild(self, fd: int, data: bytes) -> None:
        """Have it read, in two pieces."""
        assert fd == FROM_PARENT, fd
        if not self.deaf and not self.ended:
            self.link.dataReceived(data[:7])
            self.link.dataReceived(data[7:])

    def signalProcess(self, name: str) -> None:
        """Note a signal; one that is deaf ends by KILL alone."""
        if self.ended:
            raise ProcessExitedAlready
        self.signals.append(name)
        if name == "KILL" or not self.deaf:
            self.end(signal=9 if name == "KILL" else None)

    # What it does.

    def start(self, message: Message) -> None:
        """Note it."""
        self.started = message

    def hang_up(self, config: str | None) -> None:
        """Note it."""
        self.hung_up.append(config)

    def orphaned(self) -> None:
        """Note it."""
        self.is_orphaned = True

    def serve(self) -> None:
        """Begin to serve."""
        self.link.count(lambda: self.counts)
        self.link.serving()

    def end(self, *, code: int = 0, signal: int | None = None) -> None:
        """End the process."""
        self.ended = True
        self.link.stopped()
        error: Exception = ProcessDone(0)
        if code or signal:
            error = ProcessTerminated(code or None, signal)
        self.worker.processEnded(Failure(error))


@define(eq=False)
class _Pipe:
    """Where a worker writes."""

    child: Child

    def write(self, data: bytes) -> None:
        self.child.worker.childDataReceived(TO_PARENT, data)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        assert streaming


@define(eq=False)
class Household:
    """A parent with what it has started.

    :ivar spawn_fails: the next processes cannot be started.
    """

    config: Config
    clock: ReactorClock = field(factory=ReactorClock)
    events: list[str] = field(factory=list)
    read: Callable[[], Config] = field(default=Config)
    children: list[Child] = field(factory=list, init=False)
    gave_up: list[str] = field(factory=list, init=False)
    hangups: list[Callable[[], None]] = field(factory=list, init=False)
    spawn_fails: int = field(default=0, init=False)
    told: list[str] = field(factory=list, init=False)
    socket: Socket = field(init=False)
    parent: Supervisor = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.socket = Socket(self.events)
        plan = Plan(
            self.config,
            lambda: self.read(),
            self.socket,
            self.spawn,
            self.gave_up.append,
        )
        self.parent = Supervisor(
            self.clock,
            plan,
            lambda _, hang_up: self.hangups.append(hang_up),
            told_manager(self.clock, self.told),
        )

    def spawn(self, worker: Worker) -> None:
        """Start a process."""
        if self.spawn_fails:
            self.spawn_fails -= 1
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self.children.append(Child(worker, self.clock, 100 + len(self.children)))

    def serve(self) -> list[Child]:
        """Start the parent, and have all workers serve."""
        self.parent.startService()
        for child in self.children:
            child.serve()
        return self.children

    def stop(self) -> Deferred[None]:
        """Stop the parent."""
        return self.parent.stopService()
