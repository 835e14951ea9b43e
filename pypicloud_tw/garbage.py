"""Keeps full collections of garbage short, for which everybody waits.

Python looks at every object when those that stay have become a quarter more: with
20,000 pages in memory for 200 to 500 ms. But what stays a while mostly stays, and ends
by its references where it ends. So what a long collection has left is looked at no
more: the next begins with what came since. Once a day everything is, for cycles among
that.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from time import monotonic, thread_time
from typing import Any

from attrs import define, field

#: Seconds of the processor that a full collection may take before what it left is put
#: aside, and between two that look at everything.
LONGEST, EVERYTHING_EVERY = 0.005, 24 * 3600.0

#: Collections of the middle generation between two full ones, for Python's 10: these
#: come sooner, and are as much shorter. 7 to 18 ms with this, on a busy machine; 20 to
#: 41 without.
_BETWEEN = 4


@define(eq=False)
class ShortCollections:
    """Puts aside what long collections have left.

    :ivar seconds: the clock of days.
    :ivar worked: what the thread has taken of the processor.
    """

    seconds: Callable[[], float] = monotonic
    worked: Callable[[], float] = thread_time
    _everything_at: float = field(init=False)
    _began: float = field(default=0.0, init=False)

    @_everything_at.default
    def _tomorrow(self) -> float:
        return self.seconds() + EVERYTHING_EVERY

    def start(self) -> None:
        """Begin; all that is there now is put aside."""
        gc.set_threshold(*gc.get_threshold()[:2], _BETWEEN)
        gc.freeze()
        gc.callbacks.append(self._hear)

    def stop(self) -> None:
        """End."""
        gc.callbacks.remove(self._hear)

    def _hear(self, phase: str, info: Mapping[str, Any]) -> None:
        if info["generation"] < 2:
            return
        if phase == "stop":
            if self.worked() - self._began > LONGEST:
                gc.freeze()
            return
        if self.seconds() >= self._everything_at:
            gc.unfreeze()
            self._everything_at = self._tomorrow()
        self._began = self.worked()
