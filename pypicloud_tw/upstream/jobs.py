"""Pages that helpers work on, some of which nobody waits for any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred

T = TypeVar("T")


@define(eq=False)
class Jobs:
    """The work of helpers, which ends where nobody waits for it but others do.

    A client that gives up comes again, and finds what was found out meanwhile. But
    strangers who ask and hang up must not keep the helpers from others.

    :ivar places: so many jobs run at a time; what is more waits.
    """

    places: int
    _begun: dict[str, Deferred[Any]] = field(factory=dict, init=False)
    _unwanted: set[str] = field(factory=set, init=False)

    async def run(self, name: str, begin: Callable[[], Deferred[T]]) -> T:
        """Do a job, or give it up when its place is needed and nobody waits for it.

        :param name: tells it from all others.
        :raises CancelledError: it was given up.
        """
        if len(self._begun) >= self.places:
            if name in self._unwanted:
                raise CancelledError
            self._make_room()
        job = self._begun[name] = begin()
        try:
            return await job
        finally:
            del self._begun[name]

    def unwanted(self, name: str) -> None:
        """Note that nobody waits for a job any more, be it begun or to come."""
        self._unwanted.add(name)
        if len(self._begun) > self.places and name in self._begun:
            self._begun[name].cancel()

    def wanted(self, name: str) -> None:
        """Note that somebody waits for it again, or that it is done."""
        self._unwanted.discard(name)

    def _make_room(self) -> None:
        for name, job in self._begun.items():
            if name in self._unwanted:
                job.cancel()
                return
