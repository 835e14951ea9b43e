"""A cache bounded by weight and age that evicts the least recently used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from math import inf
from typing import Generic, TypeVar

from attrs import define, field, frozen

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def no_clock() -> float:
    """Stand for a clock where nothing ends by its age."""
    return 0.0


def one(value: object) -> int:
    """Weigh every value alike, so that the capacity is a number of values."""
    return 1


@frozen
class _Entry(Generic[V]):
    value: V
    weight: int
    since: float
    until: float


@define(eq=False)
class Cache(Generic[K, V]):
    """Values by key up to a capacity; the least recently used are evicted first.

    :ivar capacity: the sum of the weights that are kept at most.
    :ivar weigh: a value's weight, asked once, when it is put in. What alone weighs
        more than the capacity is not kept.
    :ivar seconds: the clock that ages are judged by. Where it was set back, what was
        put in later than it now shows is not found.
    :ivar lifetime: seconds for which a value is kept, unless :meth:`put` says another.
    :ivar weight: the sum of the weights kept now.
    """

    capacity: int
    weigh: Callable[[V], int] = field(default=one)
    seconds: Callable[[], float] = field(default=no_clock)
    lifetime: float = inf
    weight: int = field(default=0, init=False)
    _entries: OrderedDict[K, _Entry[V]] = field(
        factory=OrderedDict, init=False, repr=False
    )

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None

    def get(self, key: K) -> V | None:
        """Find a value, and note that it is in use."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        # An instant before `since` is that of a clock that was set back.
        if not entry.since <= self.seconds() < entry.until:
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    def items(self) -> Iterator[tuple[K, V]]:
        """Go through all that is kept, however old; nothing may be put in meanwhile."""
        return ((key, entry.value) for key, entry in self._entries.items())

    def get_or_put(self, key: K, make: Callable[[], V]) -> V:
        """Find a value, or make one and keep it."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value

    def put(self, key: K, value: V, *, lifetime: float | None = None) -> None:
        """Keep a value in the place of any before it."""
        self.drop(key)
        weight = self.weigh(value)
        if weight > self.capacity:
            return
        now = self.seconds()
        until = now + (self.lifetime if lifetime is None else lifetime)
        self._entries[key] = _Entry(value, weight, now, until)
        self.weight += weight
        while self.weight > self.capacity:
            self.drop(next(iter(self._entries)))

    def drop(self, key: K) -> None:
        """Forget a value, if it is there."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.weight -= entry.weight

    def drop_where(self, unwanted: Callable[[V], bool]) -> None:
        """Forget the values of which that is true; looks at every one."""
        for key in [k for k, e in self._entries.items() if unwanted(e.value)]:
            self.drop(key)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.weight = 0
