"""Presigned URLs, signed once and reused (decision D4).

An address must not change while it is good, or clients' caches miss; nor may it depend
on the server that made it. So the signing time is rounded down to a window whose offset
is a hash of the key: every server with the same credentials makes the same address, and
not all addresses change at the same moment. A window is as long as an address is
reused, ``expire_after - buffer_time``.

An address takes some 830 bytes, 1,800 with a session token. Only its signature and its
times are kept, as bytes; the rest is put together again. A million take 280 MB with
their keys (``python -m benchmarks.addresses``).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.interfaces import SignedUrl
from pypicloud_tw.store.s3.sigv4 import (
    MAX_EXPIRES,
    Presigner,
    canonical_query,
    quote_path,
)

#: As many are kept; 0.3 KB each. To sign one again takes 5 microseconds, and makes the
#: same address.
LIMIT = 100_000

#: Seconds of the addresses that are forgotten together.
_TOGETHER = 60


class _Signature(NamedTuple):
    """All of an address that cannot be worked out again for nothing."""

    instant: int
    expires: int
    fresh_until: int
    signature: bytes


#: A signature as it is kept: objects would take twice the memory, and be looked at by
#: each full collection of garbage.
_KEPT = Struct(">qIq32s")


@define(eq=False)
class SignedUrls:
    """Addresses by key. Look-ups are plain calls and cost some microseconds.

    :ivar _presigner: what signs now, or None without credentials; whenever it is
        another one than before, everything is forgotten.
    :ivar _path: an object's path, encoded, by its key.
    :ivar _instant: by S3's clock, as far as we know it.
    :ivar expire_after: how long an address is good, in seconds.
    :ivar buffer_time: it is not given out within so many seconds of its end.
    """

    _presigner: Callable[[], Presigner | None]
    _path: Callable[[str], str]
    _instant: Callable[[], float]
    _clock: IReactorTime
    expire_after: int = 86400
    buffer_time: int = 300
    limit: int = LIMIT
    _life: int = field(init=False)
    _window: int = field(init=False)
    _signer: Presigner | None = field(init=False, default=None)
    _entries: dict[str, bytes] = field(init=False, factory=dict, repr=False)
    # The names of all entries by when they are to be forgotten, and a heap of that.
    _queue: dict[int, list[str]] = field(init=False, factory=dict, repr=False)
    _order: list[int] = field(init=False, factory=list, repr=False)
    _call: IDelayedCall | None = field(init=False, default=None)
    hits: int = field(init=False, default=0)
    misses: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self._life = min(self.expire_after, MAX_EXPIRES)
        self._window = max(self._life - self.buffer_time, self._life // 2, 1)

    def register(self, metrics: Metrics) -> None:
        """Have its numbers shown."""
        read = metrics.read
        read("pypicloud_signed_urls", "Signed addresses kept", lambda: len(self))
        read(
            "pypicloud_signed_url_hits",
            "... used again",
            lambda: self.hits,
            counts=True,
        )
        read(
            "pypicloud_signed_url_misses", "... made", lambda: self.misses, counts=True
        )

    def __len__(self) -> int:
        return len(self._entries)

    def look_up(self, key: str, filename: str) -> SignedUrl | None:
        """Return an address of the object *key*; None while there are no credentials.

        Its instants are by S3's clock. It ends in the object's name; a name other than
        *filename* is put right by ``response-content-disposition``.
        """
        signer = self._presigner()
        if signer is not self._signer:
            self.clear()
            self._signer = signer
        if signer is None:
            return None
        extra = _extra(key, filename)
        name = f"{key}\n{extra}" if extra else key
        path, now = self._path(key), self._instant()
        entry = self._known(name, now)
        if entry is not None:
            self.hits += 1
        else:
            self.misses += 1
            entry = self._sign(signer, key, path, extra, int(now))
            if entry is None:
                return None
            if entry.fresh_until > now:
                self._keep(name, entry, now)
        instant, expires, fresh_until, signature = entry
        url = signer.url(path, instant, expires, signature, extra)
        return SignedUrl(url, fresh_until, instant + expires)

    def clear(self) -> None:
        """Forget everything, because it is no longer good; also when all ends."""
        self._entries.clear()
        self._queue.clear()
        self._order.clear()
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _known(self, name: str, now: float) -> _Signature | None:
        kept = self._entries.get(name)
        if kept is None:
            return None
        entry = _Signature._make(_KEPT.unpack(kept))
        return entry if entry.fresh_until > now else None

    def _sign(
        self, signer: Presigner, key: str, path: str, extra: str, now: int
    ) -> _Signature | None:
        # Where the present window of this key begins; the same in every process.
        instant = now - (now - crc32(key.encode())) % self._window
        ends = instant + self._life
        fresh_until = instant + self._window
        credentials_end = signer.identity.credentials.expires
        if credentials_end is not None:
            ends = min(ends, int(credentials_end))
            fresh_until = min(fresh_until, ends - self.buffer_time)
            if ends <= now:
                return None
        expires = ends - instant
        signature = signer.sign(path, instant, expires, extra)
        return _Signature(instant, expires, fresh_until, signature)

    def _keep(self, name: str, entry: _Signature, now: float) -> None:
        if len(self._entries) >= self.limit:
            self._forget_oldest()
        # An entry that has ended before its call came is still in the queue once.
        if name not in self._entries:
            self._enqueue(name, entry.fresh_until)
        self._entries[name] = _KEPT.pack(*entry)
        if self._call is None:
            self._wait(now)

    def _enqueue(self, name: str, fresh_until: int) -> None:
        number = fresh_until // _TOGETHER
        names = self._queue.get(number)
        if names is None:
            names = self._queue[number] = []
            heapq.heappush(self._order, number)
        names.append(name)

    def _wait(self, now: float) -> None:
        """Come back for the oldest entries; one call for all of them."""
        self._call = None
        if self._order:
            pause = max(_end(self._order[0]) - now, 1.0)
            self._call = self._clock.callLater(pause, self._evict)

    def _evict(self) -> None:
        now = self._instant()
        while self._order and _end(self._order[0]) <= now:
            self._forget_oldest()
        self._wait(now)

    def _forget_oldest(self) -> None:
        oldest = self._order[0]
        names = self._queue[oldest]
        name = names.pop()
        if not names:
            del self._queue[heapq.heappop(self._order)]
        entry = _Signature._make(_KEPT.unpack(self._entries[name]))
        if entry.fresh_until >= _end(oldest):
            self._enqueue(name, entry.fresh_until)
        else:
            del self._entries[name]


def _end(number: int) -> int:
    """Return when all that is forgotten together has ended."""
    return (number + 1) * _TOGETHER


def _extra(key: str, filename: str) -> str:
    if key.rpartition("/")[2] == filename:
        return ""
    disposition = f"attachment; filename*=UTF-8''{quote_path(filename)}"
    return canonical_query(
        [
            ("response-content-disposition", disposition),
            ("response-content-type", "application/octet-stream"),
        ]
    )
