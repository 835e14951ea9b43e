"""The clock of one machine: it is off, it is stepped, and it ends with its process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyClass


@implementer(IReactorTime)
@define(eq=False)
class ServerClock:
    """What one process takes for the time, and has itself called back by.

    :ivar off: seconds that it is ahead.
    :ivar set_back: seconds that it was set back by, all together: for so much longer a
        server may take for fresh what it knows.
    :ivar stopped: its process was killed: nothing is called any more.
    """

    base: Clock
    off: float = 0.0
    set_back: float = field(default=0.0, init=False)
    stopped: bool = field(default=False, init=False)

    def step(self, seconds: float) -> None:
        """Set it forwards or back."""
        self.off += seconds
        self.set_back += max(0.0, -seconds)

    def seconds(self) -> float:
        """See :class:`IReactorTime`."""
        return float(self.base.seconds()) + self.off

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kw: object
    ) -> IDelayedCall:
        """See :class:`IReactorTime`; a step changes nothing of what waits."""

        def run() -> None:
            if not self.stopped:
                callable(*args, **kw)

        call: IDelayedCall = self.base.callLater(delay, run)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """See :class:`IReactorTime`."""
        return self.base.getDelayedCalls()


verifyClass(IReactorTime, ServerClock)
