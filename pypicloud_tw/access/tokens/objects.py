"""Objects that each tell of one secret: asked for once, and again while they are used.

Each lies in a folder of the hour in which it is of no use any more, so that what is
long over is found by its key. No marker tells of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.documents import STALE_FOR
from pypicloud_tw.access.tokens.lookups import Lookups
from pypicloud_tw.access.tokens.text import HOUR
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.siblings import ALONE, Siblings
from pypicloud_tw.errors import ObjectNotFound, StoreError
from pypicloud_tw.index.watch import NEVER
from pypicloud_tw.store.interfaces import IObjectStore, StoredBytes

R = TypeVar("R")

#: What these objects are called among the processes of one server.
TOPIC = "secrets"

#: Bytes of one object at most. Claims have 2 kB, and at most 16 KiB, of which JSON may
#: make six times as much; a thousand long names of groups have 1.5 MB so.
MAX_OBJECT = 2 * 2**20

#: Seconds after the end of its hour for which an object stays. By then it is of no use
#: by every server's clock.
KEPT = 24 * HOUR

#: Bytes of objects that are remembered, and what one costs beside its own.
CAPACITY, _OVERHEAD = 32 * 2**20, 1500

#: Ids that are known not to be there.
ABSENT = 10_000

#: Objects that siblings changed, in case they are being read at that moment.
_CHANGED = 1000


@define(eq=False)
class KnownObject(Generic[R]):
    """An object as it was read last.

    :ivar weight: bytes of memory, roughly.
    :ivar proved: when the store last said that it is so.
    """

    record: R
    etag: str
    weight: int
    proved: float = NEVER

    @classmethod
    def of(cls, record: R, etag: str, size: int, proved: float) -> KnownObject[R]:
        """Make it; *size* is the object's, in bytes."""
        return cls(record, etag, size + _OVERHEAD, proved)


@define(eq=False)
class SecretObjects(Generic[R]):
    """Finds them, and remembers what was found.

    :ivar throttle: judges clients that show what is not there.
    :ivar decode: understands an object; raises StoreError.
    :ivar fresh_for: seconds after which one in use is asked for again.
    :ivar siblings: the other processes of this server.
    """

    store: IObjectStore
    clock: IReactorTime
    throttle: Throttle
    decode: Callable[[StoredBytes], R]
    fresh_for: float = 1.0
    siblings: Siblings = ALONE
    _failed: float = field(default=NEVER, init=False)
    _known: Cache[str, KnownObject[R]] = field(
        factory=lambda: Cache(CAPACITY, lambda known: known.weight), init=False
    )
    _absent: Cache[str, bool] = field(init=False)
    _changed: Cache[str, float] = field(factory=lambda: Cache(_CHANGED), init=False)
    _lookups: Lookups[KnownObject[R]] = field(init=False)

    @_absent.default
    def _make_absent(self) -> Cache[str, bool]:
        return Cache(ABSENT, seconds=self.clock.seconds, lifetime=self.fresh_for)

    @_lookups.default
    def _make_lookups(self) -> Lookups[KnownObject[R]]:
        return Lookups(self.throttle, self.clock)

    def __attrs_post_init__(self) -> None:
        self.siblings.subscribe(TOPIC, self._hear)

    def holds(self, key: str, known: KnownObject[R], now: float) -> bool:
        """Return, asking nobody, whether this is how an object is still."""
        return (
            0 <= now - known.proved < self.fresh_for and self._known.get(key) is known
        )

    async def find(self, key: str, client: str) -> tuple[KnownObject[R] | None, bool]:
        """Find an object as it is now, and whether that is what was known before.

        It is where the store is away, and may be used for reading then.

        :param client: the address that shows the secret.
        :raises TooManyRequests: the client has shown too many that are not there.
        :raises StoreError: the store is away, and nothing is known.
        """
        known = self._known.get(key)
        now = self.clock.seconds()
        if known is not None and self.holds(key, known, now):
            return known, False
        question = partial(self._read, key)
        if known is None:
            if key in self._absent:
                return None, False
            known = await self._lookups.first(key, client, question, key)
            if known is None or not self._is_old(known, now):
                return known, False
        good = 0 <= now - known.proved < STALE_FOR
        if good and 0 <= now - self._failed < self.fresh_for:
            return known, True  # others have waited for the store, a moment ago
        try:
            found = await self._lookups.again(key, client, question)
            if found is not None and self._is_old(found, now):
                found = await self._lookups.again(key, client, question)
            return found, False
        except StoreError:
            self._failed = self.clock.seconds()
            if not good:
                raise
            return known, True

    def _is_old(self, known: KnownObject[R], now: float) -> bool:
        """Whether others asked for it too long before that time."""
        return known.proved < now - self.fresh_for

    async def read(self, key: str) -> KnownObject[R] | None:
        """Ask for an object now; None: there is none.

        :raises StoreError: the store is away, or it is damaged.
        """
        began = self.clock.seconds()
        known = self._known.get(key)
        unless = None if known is None else known.etag
        try:
            stored = await self.store.get(key, unless=unless, limit=MAX_OBJECT)
        except ObjectNotFound:
            return None
        proved = NEVER if began <= (self._changed.get(key) or NEVER) else began
        if stored is not None:
            info = stored.info
            return KnownObject.of(self.decode(stored), info.etag, info.size, proved)
        assert known is not None, "a conditional read answers None to its ETag only"
        known.proved = proved
        return known

    async def _read(self, key: str) -> KnownObject[R] | None:
        known = await self.read(key)
        if known is None:
            self._known.drop(key)
            self._absent.put(key, True)
        else:
            self.keep(key, known)
        return known

    async def tell(self, key: str) -> None:
        """Have the other processes of this server ask for an object anew."""
        await self.siblings.tell(TOPIC, key)

    def _hear(self, key: str) -> None:
        """Doubt what a sibling changed, and whatever is being read of it."""
        self._changed.put(key, self.clock.seconds())
        known = self._known.get(key)
        if known is not None:
            known.proved = NEVER

    def keep(self, key: str, known: KnownObject[R]) -> None:
        """Remember how an object is now."""
        self._absent.drop(key)
        if self._known.get(key) is not known:
            self._known.put(key, known)


def hour_key(folder: str, hour: int, id: str) -> str:
    """Return the key of an object.

    :param hour: in which it ends; hours since 1970.
    """
    when = datetime.fromtimestamp(0, UTC) + timedelta(hours=min(hour, _LAST))
    return f"{folder}{when:%Y%m%dT%H}/{id}"


#: Hours from 1970 to the end of what a date can say; later ones are never there.
_LAST = int(datetime(9999, 12, 31, 23, tzinfo=UTC).timestamp()) // HOUR


async def sweep_hours(
    store: IObjectStore, folder: str, now: datetime, *, dry_run: bool = False
) -> list[str]:
    """Remove what tells of hours that are long over; return the keys.

    :param now: by the store's clock.
    """
    due = []
    async for info in store.list(folder):
        hour = _hour_of(info.key.removeprefix(folder))
        if hour is None:
            continue
        if hour + timedelta(seconds=HOUR + KEPT) >= now:
            break  # hours are listed in their order
        due.append(info.key)
    if not dry_run:
        for key in due:
            await store.delete(key)
    return due


def _hour_of(below: str) -> datetime | None:
    try:
        text = below.partition("/")[0]
        return datetime.strptime(text, "%Y%m%dT%H").replace(tzinfo=UTC)
    except ValueError:
        return None
