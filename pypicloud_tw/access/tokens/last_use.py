"""When each token was last used: the day, and the address that showed it.

Each server notes what it sees in an object of its own, now and then. Whoever wants to
know reads them all. It costs no request of the store when a token is shown, and may be
some minutes behind.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pypicloud_tw.access.tokens.lookups import PATIENCE
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.errors import ObjectNotFound, PypicloudError
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.timeout import in_time

FORMAT = 1
FOLDER = ".access/used/"

#: What servers that have not written for long have seen, together.
FORMER = f"{FOLDER}former.json"

#: Seconds between a use and its being written.
DELAY = 300.0

#: Seconds after which a server that has written nothing is taken for gone.
SILENT = 30 * 86400

#: Tokens that one object tells of, the latest used. 100 bytes each.
LIMIT = 100_000

#: Tokens that a server has in mind; of any other a use is written again.
REMEMBERED = 20_000

#: Bytes of one object at most.
_MAX_OBJECT = 64 * 2**20

_DAY = 86400


@frozen
class LastUse:
    """A token's last use.

    :ivar day: since 1970, in UTC.
    :ivar client: the address that showed it.
    """

    day: int
    client: str

    @property
    def date(self) -> date:
        """The day as a date."""
        return datetime.fromtimestamp(self.day * _DAY, UTC).date()


Uses = Mapping[str, LastUse]


@define(eq=False)
class LastUses:
    """What this server has seen of tokens' use.

    :ivar server: tells this server from the others; the same after a restart.
    """

    store: IObjectStore
    clock: IReactorTime
    server: str
    _seen: Cache[str, LastUse] = field(factory=lambda: Cache(REMEMBERED), init=False)
    _due: IDelayedCall | None = field(default=None, init=False)
    _log = Logger()

    def note(self, token: str, client: str) -> None:
        """Take down that a token was shown just now.

        :param token: its id.
        """
        day = int(self.clock.seconds() // _DAY)
        last = self._seen.get(token)
        if last is not None and last.day == day and last.client == client:
            return
        self._seen.put(token, LastUse(day, client))
        if self._due is None:
            self._due = self.clock.callLater(DELAY, self._flush_later)

    def _flush_later(self) -> None:
        self._due = None
        Deferred.fromCoroutine(self._flush())

    async def stop(self) -> None:
        """Write what was not written yet."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
            await self._flush()

    async def _flush(self) -> None:
        try:
            await in_time(self._write_own(), PATIENCE, self.clock)
        except PypicloudError as e:
            # Nothing is lost but a last use, and the next one writes it too.
            self._log.warn(
                "When tokens were used last was not written: {error}", error=e.message
            )

    async def _write_own(self) -> None:
        """Add what was seen to what this server has written before."""
        key = f"{FOLDER}{self.server}.json"
        before = await _read(self.store, key)
        await _write(self.store, key, merged(before, dict(self._seen.items())))

    async def read_all(self) -> Uses:
        """Read what all servers have written, and add what this one has seen since.

        :raises StoreError: the store is away.
        """
        uses: Uses = {}
        async for written in _read_all(self.store):
            uses = merged(uses, written)
        return merged(uses, dict(self._seen.items()))


def merged(one: Uses, other: Uses) -> Uses:
    """Put two accounts together; of each token the later use counts.

    Of two on the same day it is that of *other*.
    """
    uses = dict(one)
    for token, use in other.items():
        if token not in uses or uses[token].day <= use.day:
            uses[token] = use
    if len(uses) > LIMIT:
        latest = sorted(uses.items(), key=lambda item: item[1].day)
        uses = dict(latest[-LIMIT:])
    return uses


async def gather_former(
    store: IObjectStore, now: datetime, *, dry_run: bool = False
) -> list[str]:
    """Put together what servers wrote that have written nothing for long.

    :param now: by the store's clock.
    :return: the keys of their objects, which are removed.
    """
    before = now - timedelta(seconds=SILENT)
    former = [
        info.key
        async for info in store.list(FOLDER)
        if info.key != FORMER and info.modified < before
    ]
    if dry_run or not former:
        return former
    uses = await _read(store, FORMER)
    for key in former:
        uses = merged(uses, await _read(store, key))
    await _write(store, FORMER, uses)
    for key in former:
        await store.delete(key)
    return former


async def _read_all(store: IObjectStore) -> AsyncIterator[Uses]:
    keys = [info.key async for info in store.list(FOLDER)]
    for key in keys:
        yield await _read(store, key)


async def _write(store: IObjectStore, key: str, uses: Uses) -> None:
    used = {token: [use.day, use.client] for token, use in uses.items()}
    document = compact({"_format": FORMAT, "used": used})
    await store.put(key, document, content_type="application/json")


async def _read(store: IObjectStore, key: str) -> Uses:
    """Read one object; one that is damaged tells nothing."""
    try:
        stored = await store.get(key, limit=_MAX_OBJECT)
    except ObjectNotFound:
        return {}
    assert stored is not None, "it was read without a condition"
    try:
        used = json.loads(stored.data)["used"]
        return {
            str(token): LastUse(int(day), str(client))
            for token, (day, client) in used.items()
        }
    except DAMAGED:
        return {}
