"""A memory budget that many share."""

from __future__ import annotations

from collections import deque

from attrs import define, field
from twisted.internet.defer import Deferred


@define(eq=False)
class BufferBudget:
    """The bytes of memory that all work of one kind in the process may use together.

    First come, first served; a demand above *capacity* gets all of it.
    """

    capacity: int
    used: int = field(default=0, init=False)
    _waiting: deque[tuple[int, Deferred[None]]] = field(factory=deque, init=False)

    async def acquire(self, size: int) -> int:
        """Wait for room for *size* bytes; return what to :meth:`release`."""
        size = min(size, self.capacity)
        if self._waiting or self.used + size > self.capacity:
            place = (size, Deferred[None](lambda _: self._waiting.remove(place)))
            self._waiting.append(place)
            await place[1]
        else:
            self.used += size
        return size

    def take(self, size: int) -> bool:
        """Have *size* bytes, to be released, if there is room for them at once."""
        if self._waiting or self.used + size > self.capacity:
            return False
        self.used += size
        return True

    def release(self, size: int) -> None:
        """Give back what was acquired."""
        self.used -= size
        while self._waiting:
            wanted, ready = self._waiting[0]
            if self.used + wanted > self.capacity:
                return
            self._waiting.popleft()
            self.used += wanted
            ready.callback(None)
