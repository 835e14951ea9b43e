"""A deadline that is moved often and reached seldom."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime


@define(eq=False)
class Deadline:
    """Calls back once when its time has come, unless it was moved or cleared.

    Moving it later costs a look at the clock and no more: its one delayed call finds
    out, when it comes, that it came too early (measured: 0.3 µs against 3 µs for a
    delayed call cancelled and made anew, which a connection would do at each request).

    :ivar expired: called with no arguments when the time has come.
    :ivar passed: whether it has ever come.
    """

    clock: IReactorTime
    expired: Callable[[], None]
    passed: bool = field(default=False, init=False)
    _moment: float | None = field(default=None, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)
    _call_time: float = field(default=0.0, init=False)

    def set(self, seconds: float) -> None:
        """Move the deadline to so many seconds from now."""
        now = self.clock.seconds()
        self._moment = now + seconds
        if self._call is None:
            self._arm(seconds)
        elif self._moment < self._call_time:
            self._call.reset(seconds)
            self._call_time = self._moment

    def clear(self) -> None:
        """Have no deadline until the next :meth:`set`."""
        self._moment = None

    def cancel(self) -> None:
        """Clear it and leave no delayed call behind."""
        self._moment = None
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _arm(self, seconds: float) -> None:
        self._call_time = self.clock.seconds() + seconds
        self._call = self.clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._call = None
        if self._moment is None:
            return
        left = self._moment - self.clock.seconds()
        if left > 0:
            self._arm(left)
        else:
            self._moment = None
            self.passed = True
            self.expired()
