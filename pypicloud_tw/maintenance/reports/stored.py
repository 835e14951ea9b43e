"""Daily reports in the store: ``.reports/DATE.json``, the newest of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from attrs import frozen

from pypicloud_tw.errors import NotFound, ObjectNotFound, ObjectUnreadable
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.json_values import decode, encode
from pypicloud_tw.maintenance.reports.values import DailyReport
from pypicloud_tw.store.interfaces import IObjectStore

REPORTS = ".reports/"
FORMAT = 1

#: Reports that are kept; the oldest go when another is written.
KEPT = 30

#: Bytes of one: what sources remember is most of it.
MAX_REPORT = 16 * 2**20

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_KEY = re.compile(rf"{re.escape(REPORTS)}({_DATE.pattern})\.json")


@frozen
class StoredReport:
    """A report, and what its sources asked to be given the next day, by their names."""

    report: DailyReport
    remembered: Mapping[str, frozenset[str]]


@frozen
class StoredReports:
    """The reports of one store."""

    store: IObjectStore

    async def dates(self) -> list[str]:
        """Return the days of which there is a report, the oldest first.

        :raises StoreError: the store is away.
        """
        found = [_KEY.fullmatch(info.key) async for info in self.store.list(REPORTS)]
        return sorted(match[1] for match in found if match is not None)

    async def read(self, date: str | None = None) -> StoredReport:
        """Return the report of a day.

        :param date: None: the newest.
        :raises NotFound: there is none.
        :raises ObjectUnreadable: it is damaged, or a newer version wrote it.
        :raises StoreError: the store is away.
        """
        if date is None:
            dates = await self.dates()
            if not dates:
                raise NotFound("There is no report yet; one is made once a day.")
            date = dates[-1]
        elif _DATE.fullmatch(date) is None:
            raise NotFound("A report is named by its day, as 2026-03-01.")
        try:
            stored = await self.store.get(_key(date), limit=MAX_REPORT)
        except ObjectNotFound:
            raise NotFound(
                f"There is no report of {date}; those of {KEPT} days are kept."
            ) from None
        assert stored is not None, "it was read without a condition"
        return _decode(date, stored.data)

    async def write(self, stored: StoredReport) -> None:
        """Keep a report in place of one of the same day, and drop the oldest.

        :raises StoreError: the store is away.
        """
        await self.store.put(
            _key(stored.report.date), _encode(stored), content_type="application/json"
        )
        for date in (await self.dates())[:-KEPT]:
            await self.store.delete(_key(date))


def _key(date: str) -> str:
    return f"{REPORTS}{date}.json"


def _encode(stored: StoredReport) -> bytes:
    # One text of many words is read a hundred times as fast as a list.
    remembered = {name: " ".join(words) for name, words in stored.remembered.items()}
    return compact(
        {
            "_format": FORMAT,
            "report": encode(stored.report),
            "remembered": remembered,
        }
    )


def _decode(date: str, data: bytes) -> StoredReport:
    try:
        document = json.loads(data)
        if document["_format"] > FORMAT:
            raise ObjectUnreadable(
                f"The report of {date} was written by a newer version: upgrade this."
            )
        remembered = {
            str(name): frozenset(words.split())
            for name, words in document["remembered"].items()
        }
        report = decode(DailyReport, document["report"], strict=False)
    except DAMAGED:
        raise ObjectUnreadable(
            f"The report of {date} ({_key(date)}) is damaged; delete that object."
        ) from None
    return StoredReport(report, remembered)
