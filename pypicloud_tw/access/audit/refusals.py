"""Refusals, told at a bounded rate.

Of each client a few a minute are told one by one, and of all clients a few hundred.
What is more is counted, and told at the end of the minute. So a flood of wrong
passwords does not fill a disk, and is not overlooked either: there are at most 701
records a minute.
"""

from __future__ import annotations

from attrs import define, field, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pypicloud_tw.access.throttle import network
from pypicloud_tw.index.audit import Act, Actor, Audit

#: Seconds over which refusals are counted.
WINDOW = 60.0

#: How many are told one by one of a client, and of all clients, in that time.
OF_ONE, OF_ALL = 5, 300

#: So many clients more are counted apart.
CLIENTS = 100


@frozen
class _Client:
    """Whose refusals are counted together: what one address asked for in one name."""

    address: str
    name: str | None
    act: str

    @classmethod
    def of(cls, act: Act) -> _Client:
        return cls(network(act.actor.address or ""), act.actor.name, act.act)

    def sum_up(self, untold: int) -> Act:
        """Make the record of those that were not told one by one."""
        actor = Actor(self.name, address=self.address or None)
        return Act(actor, self.act, reason=_more(untold), outcome="refused")


@define(eq=False)
class Refusals:
    """Takes records of refusals, and hands on as many as should be told.

    :ivar audit: takes those.
    """

    audit: Audit
    clock: IReactorTime
    _told: int = field(default=0, init=False)
    _counts: dict[_Client, int] = field(factory=dict, init=False, repr=False)
    _others: int = field(default=0, init=False)
    _end: IDelayedCall | None = field(default=None, init=False)

    def __call__(self, act: Act) -> None:
        """Tell it, or count it."""
        if self._end is None:
            self._end = self.clock.callLater(WINDOW, self._sum_up)
        client = _Client.of(act)
        untold = self._counts.get(client, -OF_ONE)
        if untold < 0 and self._told < OF_ALL:
            self._told += 1
            self._counts[client] = untold + 1
            self.audit(act)
        elif client in self._counts:
            self._counts[client] = max(untold, 0) + 1
        elif len(self._counts) < OF_ALL + CLIENTS:
            self._counts[client] = 1
        else:
            self._others += 1

    def close(self) -> None:
        """Tell what was only counted so far."""
        if self._end is not None:
            self._end.cancel()
            self._sum_up()

    def _sum_up(self) -> None:
        counts, others = self._counts, self._others
        self._counts, self._others, self._told, self._end = {}, 0, 0, None
        for client, untold in counts.items():
            if untold > 0:
                self.audit(client.sum_up(untold))
        if others:
            more = _more(others)
            self.audit(Act(Actor(None), "any", reason=more, outcome="refused"))


def _more(count: int) -> str:
    return f"{count} more within {WINDOW:.0f} s"
