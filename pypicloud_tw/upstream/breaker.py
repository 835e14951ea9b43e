"""A circuit breaker for each origin: one that is known to be dead is not asked."""

from __future__ import annotations

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.outbound.origins import Origin
from pypicloud_tw.upstream.failures import AskingFailed, Busy, Closed

#: Strikes in a row that open a breaker.
STRIKES = 5
#: Seconds for which it stays open, the first time and at most; doubled each time.
FIRST_PAUSE, LAST_PAUSE = 5.0, 60.0
#: Seconds of Retry-After that a request waits itself, instead of being told to; and
#: seconds that are honoured at most, for a slip must not cut us off for days.
SHORT_WAIT = 2.0
LONGEST_WAIT = 600.0
#: Origins that are remembered; pages can name any number of them. An index with its
#: files has two or three.
_REMEMBERED = 256


@frozen
class BreakerStanding:
    """Whether an origin is asked.

    :ivar why: it failed; None: it did not, and everybody asks.
    :ivar wait: seconds until one asks, as a probe.
    """

    origin: Origin
    why: str | None = None
    wait: float = 0.0


@define
class Breaker:
    """Closed: everybody asks. Open: nobody. Then one asks, as a probe, and decides.

    :ivar origin: what it is of.
    """

    origin: Origin
    _why: str = field(default="", init=False)
    _strikes: int = field(default=0, init=False)
    _pause: float = field(default=FIRST_PAUSE, init=False)
    _open_until: float | None = field(default=None, init=False)
    _probing: bool = field(default=False, init=False)

    def standing(self, now: float) -> BreakerStanding:
        """Return whether it is asked now, and why not."""
        until = self._open_until
        if until is None:
            return BreakerStanding(self.origin)
        return BreakerStanding(self.origin, self._why, max(0.0, until - now))

    def enter(self, now: float) -> bool:
        """Begin an attempt; true if it is a probe, which must not take long.

        Every return is followed by :meth:`succeeded`, :meth:`failed` or :meth:`left`.

        :raises Closed: the upstream is not to be asked now.
        """
        if self._open_until is None:
            return False
        # A clock that was set back must not keep it open for hours.
        waiting = 0 < self._open_until - now <= LONGEST_WAIT
        if self._probing or waiting:
            raise Closed(f"{self._why} That was a moment ago; it is not asked now.")
        self._probing = True
        return True

    def succeeded(self) -> None:
        """It answered."""
        self._strikes = 0
        self._pause = FIRST_PAUSE
        self._open_until = None
        self._probing = False

    def failed(self, error: AskingFailed, now: float) -> None:
        """It failed, or asked us to wait."""
        was_open, self._probing = self._open_until is not None, False
        self._why = error.message
        if isinstance(error, Busy):
            until = now + min(error.wait, LONGEST_WAIT)
            self._open_until = max(until, self._open_until or until)
            return
        self._strikes += error.strikes
        if not error.strikes:
            self.succeeded()
        elif (was_open or self._strikes >= STRIKES) and now >= (
            self._open_until or now
        ):
            # Attempts that were under way together fail together: one pause for all.
            self._open_until = now + self._pause
            self._pause = min(2 * self._pause, LAST_PAUSE)

    def left(self) -> None:
        """The attempt was given up by who wanted it; nothing was learned."""
        self._probing = False


class Breakers:
    """The breakers of the origins that were asked lately."""

    def __init__(self) -> None:
        self._breakers: Cache[Origin, Breaker] = Cache(_REMEMBERED)

    def of(self, origin: Origin) -> Breaker:
        """Return an origin's breaker."""
        return self._breakers.get_or_put(origin, lambda: Breaker(origin))

    def standings(self, now: float) -> list[BreakerStanding]:
        """Return how each stands, in the order of the origins."""
        known = sorted(self._breakers.items())
        return [breaker.standing(now) for _, breaker in known]


class Visit:
    """One attempt's way from origin to origin, for their breakers."""

    def __init__(self, breakers: Breakers, clock: IReactorTime) -> None:
        self._breakers = breakers
        self._clock = clock
        self._passed: list[Breaker] = []

    def enter(self, origin: Origin) -> bool:
        """Ask the next origin; true if that is a probe.

        :raises Closed: it is not to be asked now.
        """
        breaker = self._breakers.of(origin)
        if breaker in self._passed:
            return False
        probing = breaker.enter(self._clock.seconds())
        self._passed.append(breaker)
        return probing

    def failed(self, error: AskingFailed) -> None:
        """Blame the last origin; those before it did answer."""
        if self._passed and not _is_harmless(error):
            self._passed.pop().failed(error, self._clock.seconds())
        self.succeeded()

    def succeeded(self) -> None:
        """Every origin answered."""
        for breaker in self._passed:
            breaker.succeeded()

    def left(self) -> None:
        """Nothing was learned."""
        for breaker in self._passed:
            breaker.left()


def _is_harmless(error: AskingFailed) -> bool:
    if isinstance(error, Busy):
        # A short wait that we sit out ourselves is nobody else's business.
        return error.wait <= SHORT_WAIT
    # A breaker's own refusal says nothing new.
    return isinstance(error, Closed)
