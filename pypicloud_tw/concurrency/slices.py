"""Many short works that come at once, begun bit by bit, so that others have turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pypicloud_tw.concurrency.pieces import SLICE

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

    Whoever has something to do asks :attr:`over` first; if it is not, does it and tells
    by :meth:`spend` when it began; else waits for the next slice. So it costs the works
    nothing but a look at the clock while there are few.

    :ivar longest: seconds of a slice; it ends with the work that goes beyond.
    """

    clock: IReactorTime
    longest: float = SLICE
    _spent: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)
    _waiting: deque[Place] = field(factory=deque, init=False)
    _next: IDelayedCall | None = field(default=None, init=False)

    @property
    def over(self) -> bool:
        """Whether what comes now has to wait."""
        return self._next is not None

    def spend(self, began: float) -> None:
        """Count work that began then and has ended now."""
        now = self.clock.seconds()
        # The reactor has waited for something, and so looked at everybody.
        self._spent = now - began + (
            self._spent if began - self._last < _PAUSE else 0.0
        )
        self._last = now
        if self._spent > self.longest and self._next is None:
            self._next = self.clock.callLater(0, self._begin_next)

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
        self._spent = 0.0
        while self._waiting and self._spent <= self.longest:
            place = self._waiting.popleft()
            if place.begin is not None:
                place.begin()
        again = self._waiting or self._spent > self.longest
        self._next = self.clock.callLater(0, self._begin_next) if again else None
