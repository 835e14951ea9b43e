"""Reading a body that is pushed at us: bounded, with back-pressure and a timeout."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.concurrency.deadline import Deadline

#: Bytes that may wait to be read before the sender is paused. What was under way then
#: (one read of the socket: 64 KiB, or a MiB of a large request) still comes.
HIGH_WATER = 256 * 1024


def _nothing() -> None:
    """Do nothing."""


@define(eq=False)
class BodyReader:
    """Takes bytes as they come and gives them to whoever reads.

    Silence counts only while somebody waits to read: a slow reader of ours is no slow
    sender.

    :ivar timeout: seconds for which the sender may be silent.
    :ivar silent: called when it was; to call :meth:`fail`.
    :ivar pause: called when more than *high_water* bytes are unread.
    :ivar resume: called when they were taken.
    :ivar piece: bytes that each call of :meth:`feed` counts beside its own.
    :ivar full: it was paused, and not resumed since.
    :ivar ended: no more comes; what is unread may still be read.
    :ivar error: why it ended, if not because all had come.
    """

    clock: IReactorTime
    timeout: float
    silent: Callable[[], None]
    pause: Callable[[], None] = _nothing
    resume: Callable[[], None] = _nothing
    high_water: int = HIGH_WATER
    piece: int = 0
    full: bool = field(default=False, init=False)
    ended: bool = field(default=False, init=False)
    error: BaseException | None = field(default=None, init=False)
    # Not a list of pieces: they may be of a byte each.
    _unread: bytearray = field(factory=bytearray, init=False, repr=False)
    _weight: int = field(default=0, init=False)
    _waiting: Deferred[bytes] | None = field(default=None, init=False)
    _deadline: Deadline = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._deadline = Deadline(self.clock, self.silent)

    def __len__(self) -> int:
        """How many bytes are unread."""
        return len(self._unread)

    async def read(self) -> bytes:
        """Wait for bytes and take all that have come; none at the end.

        :raises RuntimeError: somebody else is reading.
        :raises BaseException: what :meth:`fail` was given.
        """
        if self._waiting is not None:
            raise RuntimeError("A body has one reader at a time.")
        if self._unread:
            return self.take()
        if not self.ended and (data := await self._more()):
            return data
        if self.error is not None:
            raise self.error
        return b""

    def take(self) -> bytes:
        """Take what is unread, and have the sender go on."""
        data = bytes(self._unread)
        self._unread.clear()
        self._weight = 0
        if self.full:
            self.full = False
            self.resume()
        return data

    def feed(self, data: bytes) -> None:
        """Take bytes from the sender; they are dropped after the end."""
        if self.ended or not data:
            return
        if self._waiting is not None:
            # Nothing is unread, and so nothing is copied.
            self._wake(data)
            return
        self._unread += data
        self._weight += len(data) + self.piece
        if not self.full and self._weight > self.high_water:
            self.full = True
            self.pause()

    def end(self) -> None:
        """All of it has come."""
        self.ended = True
        self._deadline.cancel()
        self._wake(b"")

    def fail(self, error: BaseException, *, drop: bool = False) -> None:
        """No more of it will come.

        :param error: for who reads, after what is unread.
        :param drop: what is unread is dropped.
        """
        if self.error is None:
            self.error = error
        if drop:
            self._unread.clear()
            self._weight, self.full = 0, False
        self.end()

    async def _more(self) -> bytes:
        waiting: Deferred[bytes] = Deferred(self._given_up)
        self._waiting = waiting
        self._deadline.set(self.timeout)
        return await waiting

    def _wake(self, data: bytes) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._deadline.clear()
            waiting.callback(data)

    def _given_up(self, _waiting: Deferred[bytes]) -> None:
        self._waiting = None
        self._deadline.cancel()
