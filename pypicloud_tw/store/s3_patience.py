"""How long we wait for the other side."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime


@frozen
class Timeouts:
    """How long to be patient, in seconds.

    :ivar connect: until there is a connection; the Agent watches over it.
    :ivar first_byte: from the last byte of the request to the answer's headers.
    :ivar silence: between two pieces of a body, while we are ready for the next.
    """

    connect: float = 10.0
    first_byte: float = 30.0
    silence: float = 30.0


@define
class Watchdog:
    """Calls *bark* once nothing has happened for long enough."""

    _clock: IReactorTime
    _bark: Callable[[], None]
    barked: bool = field(init=False, default=False)
    _call: IDelayedCall | None = field(init=False, default=None)

    def watch(self, seconds: float) -> None:
        """Begin again, with *seconds* to go."""
        if self._call is not None and self._call.active():
            self._call.reset(seconds)
        elif not self.barked:
            self._call = self._clock.callLater(seconds, self._timed_out)

    def rest(self) -> None:
        """Watch no more, for now."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _timed_out(self) -> None:
        self.barked = True
        self._bark()
