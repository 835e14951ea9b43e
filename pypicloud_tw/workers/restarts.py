"""When a worker that died is followed by another."""

from __future__ import annotations

from attrs import define, field

#: Seconds until the next, if the one before had lived for long, and at the most.
FIRST, LONGEST = 0.1, 30.0

#: Seconds that a worker must have lived for, to be no sign of trouble.
STEADY = 10.0


@define
class Restarts:
    """Waits longer each time, for a worker that dies again and again."""

    _pause: float = field(default=FIRST, init=False)

    def after(self, lived: float) -> float:
        """Return the seconds until the next is started.

        :param lived: how many the one before had.
        """
        if lived >= STEADY:
            self._pause = FIRST
        pause, self._pause = self._pause, min(LONGEST, self._pause * 2)
        return pause
