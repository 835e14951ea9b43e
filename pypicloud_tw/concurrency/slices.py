"""Many short works that come at once, begun bit by bit, so that others have turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.pieces import SLICE

#: Seconds of a slice where others take much time between two.
LONGEST = 2 * SLICE

#: Seconds without any of the works, after which a new slice begins.
_PAUSE = 0.001


@define(eq=False)
class Place:
    """Where something waits for the next slice."""

    begin: Callable[[], None] | None

    def cancel(self) -> None:
        """Never begin."""
        self.begin = None


@define(eq=False)
class Slices:
    """Tells when enough was done for one turn of the reactor.

    Whoever has something to do calls :meth:`do`; or asks :attr:`over`, does it if it is
    not, tells by :meth:`spend` when it began, and else waits for the next slice. While
    there are few works this costs them nothing but a look at the clock.

    A slice is :data:`.SLICE`, or as long as others had before it, but at most
    :data:`LONGEST`; it ends with the work that goes beyond.
    """

    clock: IReactorTime
    _spent: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)
    _waiting: deque[Place] = field(factory=deque, init=False)
    _next: IDelayedCall | None = field(default=None, init=False)
    _log = Logger()

    @property
    def over(self) -> bool:
        """Whether what comes now has to wait."""
        if self._next is None:
            return False
        now = self.clock.seconds()
        if now < self._last:
            # It was set back, and so what is to be called now would be called late.
            self._last = now
            self._next.reset(0)
        return True

    def spend(self, began: float) -> None:
        """Count work that began then and has ended now."""
        now = self.clock.seconds()
        # The reactor has waited for something, and so looked at everybody.
        self._spent = (
            now - began + (self._spent if began - self._last < _PAUSE else 0.0)
        )
        self._last = now
        if self._spent > SLICE and self._next is None:
            self._next = self.clock.callLater(0, self._begin_next)

    def do(self, work: Callable[[], None]) -> None:
        """Do something, now or in a later slice."""

        def begin() -> None:
            began = self.clock.seconds()
            try:
                work()
            finally:
                self.spend(began)

        if self.over:
            self.wait(begin)
        else:
            begin()

    def wait(self, begin: Callable[[], None]) -> Place:
        """Begin something in a later slice, in order.

        :param begin: calls :meth:`spend` in its turn.
        """
        place = Place(begin)
        self._waiting.append(place)
        if self._next is None:
            self._next = self.clock.callLater(0, self._begin_next)
        return place

    def _begin_next(self) -> None:
        # Over until all that waits has begun: nobody comes before those who wait.
        began = self.clock.seconds()
        end = began + min(max(began - self._last, SLICE), LONGEST)
        while self._waiting and self.clock.seconds() < end:
            self._begin_one(self._waiting.popleft())
        again = self._waiting or self.clock.seconds() >= end
        self._spent, self._last = 0.0, self.clock.seconds()
        self._next = self.clock.callLater(0, self._begin_next) if again else None

    def _begin_one(self, place: Place) -> None:
        if place.begin is None:
            return
        try:
            place.begin()
        except Exception:
            # The others that wait have no part in it.
            self._log.failure("What had waited for its turn failed")
