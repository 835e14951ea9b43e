"""A bounded queue that is fair to clients and to users.

A client that asks for much waits behind itself, and so do those who all ask for one
user; whoever asks for little is next or nearly so. Where the queue is full, the newest
place of whoever has the most is given up.
"""

from __future__ import annotations

from collections import Counter
from itertools import count

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from pypicloud_tw.errors import Unavailable


class QueueFullError(Unavailable):
    """Too many wait.

    :ivar own_fault: the same client, or others for the same user, have more places.
    """

    def __init__(self, what: str, *, own_fault: bool) -> None:
        super().__init__(f"Too many {what} at this moment; try again.")
        self.own_fault = own_fault


@frozen
class Asker:
    """Who wants a turn.

    :ivar client: its network, or the user where that does not matter.
    :ivar user: the name that it gives.
    :ivar known: this user has logged in from there before; such come before others.
    """

    client: str
    user: str
    known: bool = True


ANYBODY = Asker("", "", known=False)


@define(eq=False)
class _Place:
    """A place in the queue.

    :ivar after_client: when its client's turn was last, or when it came.
    :ivar after_user: the same of its user.
    """

    asker: Asker
    admitted: Deferred[None]
    after_client: int
    after_user: int

    @property
    def rank(self) -> tuple[bool, int, int]:
        """What is lowest is next: round robin over clients and users."""
        later = max(self.after_client, self.after_user)
        return not self.asker.known, later, self.after_client


@define(eq=False)
class FairQueue:
    """Admits a few at a time.

    :ivar free: so many more may come in now.
    :ivar queue: at most so many wait. Each change looks at all of them.
    :ivar what: they all want, for the error that says that there is no room.
    :ivar each: at most so many of one client's are in at a time; None is no bound.
    """

    free: int
    queue: int
    what: str = "log-ins"
    each: int | None = None
    _inside: Counter[str] = field(factory=Counter, init=False, repr=False)
    _places: list[_Place] = field(factory=list, init=False, repr=False)
    _moments: count[int] = field(factory=count, init=False)

    async def enter(self, asker: Asker) -> None:
        """Wait for a turn, to be ended by :meth:`leave`.

        :raises QueueFullError: there is no room, or no longer.
        """
        if self.free > 0 and self._may_enter(asker):
            self.free -= 1
            self._inside[asker.client] += 1
            return
        moment = next(self._moments)
        admitted: Deferred[None] = Deferred()
        place = _Place(asker, admitted, moment, moment)
        self._places.append(place)
        if len(self._places) > self.queue:
            self._give_up()
        try:
            await admitted
        finally:
            # Whoever hung up has a place still.
            self._places = [other for other in self._places if other is not place]

    def leave(self, asker: Asker = ANYBODY) -> None:
        """End a turn: the next one comes in.

        :param asker: whose turn it was.
        """
        self._inside[asker.client] -= 1
        self._inside += Counter()  # without those who have none
        self.free += 1
        places = [place for place in self._places if self._may_enter(place.asker)]
        if not places:
            return
        chosen = min(places, key=lambda place: place.rank)
        self._places.remove(chosen)
        self.free -= 1
        self._inside[chosen.asker.client] += 1
        moment = next(self._moments)
        for place in self._places:
            if place.asker.client == chosen.asker.client:
                place.after_client = moment
            if place.asker.user == chosen.asker.user:
                place.after_user = moment
        chosen.admitted.callback(None)

    def _may_enter(self, asker: Asker) -> bool:
        return self.each is None or self._inside[asker.client] < self.each

    def _give_up(self) -> None:
        """Refuse the newest place of whoever has the most."""
        clients = Counter(place.asker.client for place in self._places)
        users = Counter(place.asker.user for place in self._places)

        def excess(numbered: tuple[int, _Place]) -> tuple[bool, int, int, int]:
            number, place = numbered
            asker = place.asker
            return not asker.known, clients[asker.client], users[asker.user], number

        _, place = max(enumerate(self._places), key=excess)
        self._places.remove(place)
        most = max(clients[place.asker.client], users[place.asker.user])
        place.admitted.errback(QueueFullError(self.what, own_fault=most > 1))
