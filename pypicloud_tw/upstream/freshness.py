"""Remembering: bounded by bytes, fresh by the upstream's word, asked once at a time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

from attrs import define, field

T = TypeVar("T")

#: Seconds for which a page is fresh whose upstream says nothing of that: enough for
#: the requests of one installation.
UNTOLD = 10.0
#: Seconds for which a page is fresh at most, whatever its upstream says.
LONGEST = 86_400.0


def directives(cache_control: str) -> dict[str, str]:
    """Read a Cache-Control field (RFC 9111, section 5.2), lower case."""
    found: dict[str, str] = {}
    for part in cache_control.lower().split(","):
        name, _, value = part.strip().partition("=")
        if name:
            # RFC 9111, section 4.2.1: of contradicting values, the strictest; the
            # first one is what is in the field that its sender wrote.
            found.setdefault(name, value.strip().strip('"'))
    return found


def may_keep(cache_control: str) -> bool:
    """Tell whether a page may be remembered at all."""
    return "no-store" not in directives(cache_control)


def fresh_for(cache_control: str, age: str | None) -> float:
    """Tell for how many seconds from now a page need not be asked again.

    ``private`` pages are asked again each time: this is a shared cache (RFC 9111,
    section 3.5).
    """
    told = directives(cache_control)
    if "no-cache" in told or "no-store" in told or "private" in told:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if name in told:
            return max(0.0, min(_seconds(told[name]) - _seconds(age or ""), LONGEST))
    return UNTOLD


def _seconds(text: str) -> float:
    # RFC 9111, section 1.2.2; what is no number is stale.
    text = text.strip()
    return float(text[:12]) if text.isascii() and text.isdecimal() else 0.0


class Weighed(Protocol):
    """What can be remembered within a bound."""

    @property
    def weight(self) -> int:
        """Bytes of memory."""


W = TypeVar("W", bound=Weighed)


@define
class Memory(Generic[W]):
    """The most recently used of what was put in, up to a bound of bytes.

    :ivar capacity: bytes. What alone is larger than that is not kept.
    """

    capacity: int
    weight: int = field(default=0, init=False)
    _items: OrderedDict[str, W] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> W | None:
        """Find something, and note that it is in use."""
        item = self._items.get(key)
        if item is not None:
            self._items.move_to_end(key)
        return item

    def put(self, key: str, item: W) -> None:
        """Keep something, at the cost of what was not used for longest."""
        self.drop(key)
        if item.weight > self.capacity:
            return
        self._items[key] = item
        self.weight += item.weight
        while self.weight > self.capacity:
            self.drop(next(iter(self._items)))

    def drop(self, key: str) -> None:
        """Forget something."""
        item = self._items.pop(key, None)
        if item is not None:
            self.weight -= item.weight


class Absences:
    """Names that an upstream did not have a moment ago; bounded, anybody may ask.

    The bound is fifty times what one lock of a large application asks for (400).
    """

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._times: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def holds(self, name: str, now: float) -> bool:
        """Tell whether a name need not be asked for again."""
        since, until = self._times.get(name, (now, now))
        # A clock that was set back tells nothing.
        return since <= now < until

    def put(self, name: str, now: float, seconds: float) -> None:
        """Remember a name for so long."""
        self._times.pop(name, None)
        self._times[name] = now, now + seconds
        if len(self._times) > self._limit:
            self._times.popitem(last=False)

    def drop(self, name: str) -> None:
        """Forget a name."""
        self._times.pop(name, None)
