"""Which servers use a store, as far as the store itself tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from attrs import frozen

from pypicloud_tw.statistics.counts import FOLDER, SUM, day_and_name
from pypicloud_tw.store.interfaces import IObjectStore


@frozen
class SeenServer:
    """A process that counts what is fetched from a store.

    :ivar name: drawn by itself each time that it begins a day.
    :ivar written: when it wrote last, by the store's clock.
    """

    name: str
    written: datetime


async def servers_seen(store: IObjectStore, now: float) -> Sequence[SeenServer]:
    """Return who wrote counts of today or yesterday, the latest first.

    Nothing is written for this alone: each server that counts downloads
    (``statistics.downloads``) writes an object of its own for each day, be it empty.
    It costs one listing.

    :param now: seconds since the epoch.
    :raises StoreError: the store is away.
    """
    yesterday = datetime.fromtimestamp(now, UTC).date() - timedelta(days=1)
    latest: dict[str, datetime] = {}
    async for info in store.list(FOLDER, after=f"{FOLDER}{yesterday.isoformat()}/"):
        day, name = day_and_name(info.key) or ("", SUM)
        if name != SUM and day >= yesterday.isoformat():
            latest[name] = max(info.modified, latest.get(name, info.modified))
    seen = [SeenServer(name, written) for name, written in latest.items()]
    return sorted(seen, key=lambda one: one.written, reverse=True)
