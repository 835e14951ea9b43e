"""Rate limits for wrong passwords (429) that lock nobody else out.

Three buckets are charged for each attempt, before its password is checked, and get
their charge back if it was right or could not be checked. So what an address has under
way counts too, and not only what has failed. What was refused because its client, or
its user, had too much in the queue stays charged.

- *user and client*: ``failures`` in a row, then one more every ``every`` seconds.
- *client*, whatever user it names: ten times as many, ten times as often.
- *user*, whatever client: the same. When this is spent, somebody guesses from many
  addresses: then an address with any recent failure for the user is refused, but one
  with a clean slate still gets its attempt. So the right password has a way in.

An address from which a user has logged in before is judged by the first alone: neither
guesses from elsewhere nor a neighbour behind the same NAT slow it.

What a client is: an IPv4 address, or the /64 of an IPv6 address, which one customer has
at least. Everything is bounded; what was charged longest ago is forgotten first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil

from attrs import define, field

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.fair_queue import Asker
from pypicloud_tw.concurrency.siblings import ALONE, Siblings
from pypicloud_tw.errors import TooManyRequests

#: What attempts that failed are called among the processes of one server.
TOPIC = "failed attempts"

#: How many users, clients and pairs of them are remembered.
_LIMIT = 10_000


def network(client: str) -> str:
    """Return what counts as one client; anything but an address stands for itself."""
    try:
        # A zone (fe80::1%eth0, RFC 4007) is ours, not the client's.
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), 64), strict=False))


@define
class Buckets:
    """Leaky buckets by key (the generic cell rate algorithm: one number a key).

    :param burst: charges that an empty bucket takes at once.
    :param every: seconds in which one charge leaks out.
    """

    burst: int
    every: float
    limit: int = _LIMIT
    _empty_at: Cache[Hashable, float] = field(init=False)

    @_empty_at.default
    def _make_empty_at(self) -> Cache[Hashable, float]:
        return Cache(self.limit)

    def adjust(self, burst: int, every: float) -> None:
        """Change the numbers; what is held now leaks out in the time it had."""
        self.burst, self.every = burst, every

    def until_room(self, key: Hashable, now: float) -> float:
        """Seconds until one more charge fits; 0 if it does now."""
        return max(0.0, self._fill(key, now) - (self.burst - 1) * self.every)

    def until_empty(self, key: Hashable, now: float) -> float:
        """Seconds until nothing is held against *key*."""
        return self._fill(key, now)

    def admit(self, key: Hashable, now: float, what: str) -> None:
        """Charge one more attempt, to be refunded if it was right.

        :param what: there were too many of, for the error.
        :raises TooManyRequests: there is no room for it now.
        """
        wait = ceil(self.until_room(key, now))
        if wait > 0:
            raise TooManyRequests(
                f"Too many {what} from this address; try again in {wait} seconds.", wait
            )
        self.charge(key, now)

    def charge(self, key: Hashable, now: float) -> None:
        """Hold one more attempt against *key*."""
        self._empty_at.put(key, now + self._fill(key, now) + self.every)

    def refund(self, key: Hashable, now: float) -> None:
        """Take one charge back."""
        fill = self._fill(key, now) - self.every
        if fill > 0:
            self._empty_at.put(key, now + fill)
        else:
            self._empty_at.drop(key)

    def _fill(self, key: Hashable, now: float) -> float:
        """Seconds until the bucket is empty."""
        empty_at = self._empty_at.get(key)
        fill = 0.0 if empty_at is None else empty_at - now
        # The upper bound is for a clock that was set back.
        return min(max(fill, 0.0), self.burst * self.every)


class Throttle:
    """Judges attempts to log in; see the module's text for the rules.

    :param seconds: the clock.
    :param failures: wrong passwords of one user from one client before it is slowed.
    :param every: seconds after which it has one more attempt.
    :param siblings: the other processes of this server; what fails at one counts at
        all.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        *,
        failures: int = 10,
        every: float = 30.0,
        siblings: Siblings = ALONE,
    ) -> None:
        self._seconds = seconds
        self._siblings = siblings
        siblings.subscribe(TOPIC, self._hear)
        self._pairs = Buckets(failures, every)
        self._clients = Buckets(failures * 10, every / 10)
        self._users = Buckets(failures * 10, every / 10)
        self._welcome: Cache[tuple[str, str], bool] = Cache(_LIMIT)

    def adjust(self, *, failures: int, every: float) -> None:
        """Change the rules, and forget nothing."""
        self._pairs.adjust(failures, every)
        for buckets in (self._clients, self._users):
            buckets.adjust(failures * 10, every / 10)

    def admit(self, user: str, client: str) -> Attempt:
        """Charge an attempt that is about to be checked.

        :param user: as sent; whether there is such a user makes no difference.
        :param client: the trusted address of the client.
        :raises TooManyRequests: it must not be checked now.
        """
        now = self._seconds()
        pair = (user, network(client))
        wait = self._wait(pair, now)
        if wait > 0:
            seconds = ceil(wait)
            raise TooManyRequests(
                f"Too many wrong passwords; try again in {seconds} seconds.", seconds
            )
        self._charge(pair, now)
        return Attempt(self, pair)

    def _charge(self, pair: tuple[str, str], now: float) -> None:
        for buckets, key in self._held(pair):
            buckets.charge(key, now)

    def failed(self, pair: tuple[str, str]) -> None:
        """Have an attempt that failed count at the other processes, too."""
        self._siblings.post(TOPIC, pair)

    def _hear(self, pair: Sequence[str]) -> None:
        user, client = pair
        self._charge((user, client), self._seconds())

    def _wait(self, pair: tuple[str, str], now: float) -> float:
        user, client = pair
        wait = self._pairs.until_room(pair, now)
        if self.knows(pair):
            return wait
        wait = max(wait, self._clients.until_room(client, now))
        if self._users.until_room(user, now) > 0:
            wait = max(wait, self._pairs.until_empty(pair, now))
        return wait

    def _held(self, pair: tuple[str, str]) -> tuple[tuple[Buckets, Hashable], ...]:
        user, client = pair
        return (self._pairs, pair), (self._clients, client), (self._users, user)

    def give_back(self, pair: tuple[str, str]) -> None:
        """Take back what an attempt was charged."""
        now = self._seconds()
        for buckets, key in self._held(pair):
            buckets.refund(key, now)

    def knows(self, pair: tuple[str, str]) -> bool:
        """Return whether this user has logged in from there."""
        return pair in self._welcome

    def welcome(self, pair: tuple[str, str]) -> None:
        """Remember that this user has logged in from there."""
        self._welcome.put(pair, True)


@define
class Attempt:
    """One log-in attempt, charged and not yet judged."""

    _throttle: Throttle
    _pair: tuple[str, str]

    @property
    def asker(self) -> Asker:
        """Who makes it, for the queue of checks."""
        user, client = self._pair
        return Asker(client, user, self._throttle.knows(self._pair))

    def end(self, right: bool | None) -> None:
        """Note what came of it, once.

        :param right: whether the password was; None if it could not be checked, for a
            reason that is not the client's.
        """
        if right is False:
            self._throttle.failed(self._pair)
            return
        self._throttle.give_back(self._pair)
        if right:
            self._throttle.welcome(self._pair)
