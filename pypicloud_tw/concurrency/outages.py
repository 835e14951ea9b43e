"""Logs that something others depend on fails, and that it works again.

A warning at the first failure, one a minute while it goes on (less often of what nobody
waits for), and a line when it is over: enough to be found, and no more for a thousand
clients than for one.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.logger import Logger

from pypicloud_tw.concurrency.cache import Cache

#: See :class:`Outages`.
WARN_EVERY = 60.0
#: What is remembered; strangers' pages can name any number of hosts. An index with its
#: files has two or three.
_REMEMBERED = 256


@define
class _Outage:
    """The state of one thing.

    :ivar since: when it began to fail; None: it works.
    :ivar warned: when that was last told.
    :ivar untold: failures since then.
    :ivar told: this outage was told of, so its end is worth a line.
    """

    since: float | None = None
    warned: float = float("-inf")
    untold: int = 0
    told: bool = False


@define(eq=False)
class Outages:
    """The outages of things of one kind, by name.

    :param kind: what they are, as a sentence begins: ``The upstream index at``.
    :param seconds: tells the time.
    :param warn_every: seconds from one warning to the next, about the same thing.
    """

    kind: str
    seconds: Callable[[], float]
    log: Logger = field(factory=Logger)
    warn_every: float = WARN_EVERY
    _outages: Cache[str, _Outage] = field(
        factory=lambda: Cache(_REMEMBERED), init=False
    )

    def failed(self, name: str, why: str) -> None:
        """Note a failure.

        :param why: a sentence without secrets.
        """
        outage, now = self._outages.get_or_put(name, _Outage), self.seconds()
        outage.since = now if outage.since is None else outage.since
        outage.untold += 1
        # A clock that was set back must not silence us.
        if 0 <= now - outage.warned < self.warn_every:
            return
        text = "{kind} {name} fails: {why}"
        if outage.untold > 1:
            text += " ({count} failures since it was last told)"
        self.log.warn(text, kind=self.kind, name=name, why=why, count=outage.untold)
        outage.warned, outage.untold, outage.told = now, 0, True

    def succeeded(self, name: str) -> None:
        """Note that it works."""
        outage = self._outages.get(name)
        if outage is None or outage.since is None:
            return
        if outage.told:
            self.log.info(
                "{kind} {name} is back, after {seconds:.0f} s",
                kind=self.kind,
                name=name,
                seconds=max(0.0, self.seconds() - outage.since),
            )
        # When it was last told is kept: what comes and goes is not told more often.
        outage.since, outage.told = None, False
