"""Which servers use a store, as far as the store itself tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from attrs import frozen

from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.statistics.counts import (
    FOLDER,
    MAX_DAY,
    SUM,
    DayCounts,
    day_and_name,
)
from pypicloud_tw.store.interfaces import IObjectStore


@frozen
class SeenServer:
    """A process that counts what is fetched from a store.

    :ivar name: drawn by itself each time that it begins a day.
    :ivar written: when it wrote last, by the store's clock.
    :ivar key: what it wrote.
    """

    name: str
    written: datetime
    key: str = ""


async def servers_seen(store: IObjectStore, now: float) -> Sequence[SeenServer]:
    """Return who wrote counts of today or yesterday, the latest first.

    Nothing is written for this alone: each server that counts downloads
    (``statistics.downloads``) writes an object of its own for each day, be it empty.
    It costs one listing.

    :param now: seconds since the epoch.
    :raises StoreError: the store is away.
    """
    yesterday = datetime.fromtimestamp(now, UTC).date() - timedelta(days=1)
    latest: dict[str, SeenServer] = {}
    async for info in store.list(FOLDER, after=f"{FOLDER}{yesterday.isoformat()}/"):
        day, name = day_and_name(info.key) or ("", SUM)
        if name != SUM and day >= yesterday.isoformat():
            seen = SeenServer(name, info.modified, info.key)
            latest[name] = max(latest.get(name, seen), seen, key=_written)
    return sorted(latest.values(), key=_written, reverse=True)


def _written(server: SeenServer) -> datetime:
    return server.written


async def version_of(
    server: SeenServer, store: IObjectStore, offload: IOffload
) -> str | None:
    """Return the version that a server has; None: it does not tell.

    :raises StoreError: the store is away.
    """
    try:
        found = await store.get(server.key, limit=MAX_DAY)
    except ObjectNotFound:
        return None  # it has been summed up meanwhile
    assert found is not None, "an unconditional read answers"
    try:
        counts = await offload.in_thread(DayCounts.decode, found.data)
    except ValueError:
        return None
    return None if counts is None else counts.version or None
