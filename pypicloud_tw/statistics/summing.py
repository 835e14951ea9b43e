"""Sums the counts up: days, when they are over, and months of these.

One of the servers does so once a day. Ended at any point and done again it counts
nothing twice: a day's sum says which objects it covers before these are removed, and a
month which sums it has, by their ETags, in the object that has their counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen
from twisted.logger import Logger

from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.statistics.counts import (
    MAX_DAY,
    SUM,
    days_before,
    key_of,
    servers,
    summed,
)
from pypicloud_tw.statistics.months import (
    KEPT,
    MonthCounts,
    month_key,
    month_of,
    months_before,
    with_days,
)
from pypicloud_tw.statistics.stored import Listing, read_day
from pypicloud_tw.store.interfaces import IObjectStore


@frozen
class Summing:
    """Sums up what lies in a store.

    :ivar keep: days that are kept; what is older stays in its month.
    """

    store: IObjectStore
    offload: IOffload
    keep: int
    _log = Logger()

    async def sum_up(self, today: str) -> str:
        """Sum up what is over, and remove what is too old.

        :return: what came of it, the rest of a sentence.
        :raises StoreError: the store is away.
        """
        listing = await Listing.of(self.store)
        # Of yesterday a server may still have to write.
        over = {
            day: n for day, n in listing.days.items() if day < days_before(today, 1)
        }
        done = 0
        for day, names in sorted(over.items()):
            if servers(names):
                done += await self._sum_day(day, names)
        for month in sorted(set(map(month_of, over))):
            sums = {
                d: n[SUM] for d, n in over.items() if month_of(d) == month and SUM in n
            }
            await self._add_to_month(month, sums, there=month in listing.months)
        await self._remove_old(listing, today)
        return f"downloads of {done} days are summed up"

    async def _sum_day(self, day: str, names: dict[str, str]) -> bool:
        """Sum a day up; *names* has then what there is."""
        objects = {}
        for name in names:
            counts = await read_day(
                self.store, self.offload, key_of(day, name), self._log
            )
            if counts is None:
                return False  # damaged, or of a newer version: nothing is lost of it
            objects[name] = counts
        result = await self.offload.in_thread(summed, objects)
        covered = frozenset(servers(names))
        result.covers = result.covers | covered
        data = await self.offload.in_thread(result.encode)
        names[SUM] = (await self.store.put(key_of(day, SUM), data)).etag
        for name in sorted(covered):
            await self.store.delete(key_of(day, name))
            del names[name]
        return True

    async def _add_to_month(
        self, month: str, sums: Mapping[str, str], *, there: bool
    ) -> None:
        """Add the days that a month has not.

        :param sums: ETags of the sums that lie in the store, by day.
        """
        data = await self._read(month_key(month)) if there else None
        try:
            before = await self._days_in(data)
        except ValueError as e:
            self._log.warn(
                "{key} is made anew of the days that are kept: {error}",
                key=month_key(month),
                error=str(e),
            )
            data, before = None, {}
        if before is None:
            return  # of a newer version, which knows better
        new = [day for day in sums if day not in before]
        changed = [day for day in sums if before.get(day, sums[day]) != sums[day]]
        if changed and before.keys() <= sums.keys():
            data, new = None, list(sums)
        elif changed:
            self._log.info(
                "What was counted late of {days} is not in the sum of its month.",
                days=", ".join(sorted(changed)),
            )
        if new:
            await self._write_month(
                month, data, {day: sums[day] for day in sorted(new)}
            )

    async def _days_in(self, data: bytes | None) -> dict[str, str] | None:
        """Return the ETags of the sums in a month, by day; None: it is of a newer
        version.

        :raises ValueError: it is damaged.
        """
        if data is None:
            return {}
        month = await self.offload.in_thread(MonthCounts.decode, data)
        if month is None:
            return None
        return {day: one.etag for day, one in month.days.items()}

    async def _write_month(
        self, month: str, data: bytes | None, days: Mapping[str, str]
    ) -> None:
        read = []
        for day, etag in days.items():
            summed_up = await self._read(key_of(day, SUM))
            if summed_up is not None:
                read.append((day, etag, summed_up))
        try:
            result = await self.offload.in_process(with_days, data, read)
        except ValueError as e:
            self._log.warn(
                "The days of {month} are not added up: {error}",
                month=month,
                error=str(e),
            )
            return
        await self.store.put(month_key(month), result)

    async def _remove_old(self, listing: Listing, today: str) -> None:
        first = days_before(today, self.keep - 1)
        for day, names in listing.days.items():
            if day < first:
                await self._remove(key_of(day, name) for name in names)
        oldest = months_before(month_of(today), KEPT)
        await self._remove(month_key(m) for m in listing.months if m < oldest)

    async def _remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            await self.store.delete(key)

    async def _read(self, key: str) -> bytes | None:
        """Read an object; None: it is gone."""
        try:
            stored = await self.store.get(key, limit=MAX_DAY)
        except ObjectNotFound:
            return None
        assert stored is not None, "an unconditional read gives bytes"
        return stored.data
