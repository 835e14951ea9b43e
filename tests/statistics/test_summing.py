"""Months: what stays of days, whatever breaks off; and days in little memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.errors import StoreError
from pypicloud_tw.statistics.archive import Archive
from pypicloud_tw.statistics.counts import SUM, DayCounts, day_and_name, key_of
from pypicloud_tw.statistics.downloads import CountedDownloads
from pypicloud_tw.statistics.months import (
    MonthCounts,
    month_key,
    month_of_key,
    months_before,
    with_days,
)
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload

DAY = 86_400.0
#: 2026-01-28, noon.
START = 1_769_601_600.0
ONE = "acme-1.0.tar.gz"


class MonthCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.offload = InlineOffload()
        self.store = MemoryStore(self.offload)

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def server(self) -> CountedDownloads:
        return CountedDownloads(self.store, self.offload, self.clock, keep=30)

    def a_day(self, agent: bytes = b"pip/26.2 {}") -> None:
        """Have somebody fetch something on a day that ends then."""
        server = self.server()
        server.count("acme", ONE, agent)
        self.done(server.stop())
        self.clock.advance(DAY)

    def sum_up(self) -> None:
        self.done(self.server().sum_up())

    def month(self, month: str) -> MonthCounts:
        stored = self.done(self.store.get(month_key(month)))
        found = MonthCounts.decode(stored.data)
        assert found is not None
        return found

    def read(self) -> CountedDownloads:
        server = self.server()
        self.done(server.read())
        return server


class MonthTests(MonthCase):
    def test_days_are_added_as_they_end(self) -> None:
        for _ in range(8):
            self.a_day()
            self.sum_up()
        january, february = self.month("2026-01"), self.month("2026-02")
        self.assertEqual(january.versions, {"acme": {"1.0": 4}})
        self.assertEqual(january.clients, {"acme": {"pip/26.2//": 4}})
        self.assertEqual(sorted(january.days), [f"2026-01-{n}" for n in range(28, 32)])
        self.assertEqual(february.versions, {"acme": {"1.0": 3}})
        self.assertEqual(self.processed, ["with_days"] * 7)

    @property
    def processed(self) -> list[str]:
        return self.offload.processed

    def test_breaking_off_anywhere_counts_nothing_twice(self) -> None:
        for ends_after in range(30):
            self.setUp()
            for _ in range(6):
                self.a_day()
            calls = iter(range(1000))

            def before(
                operation: str, key: str, calls: Any = calls, last: int = ends_after
            ) -> None:
                if next(calls) >= last:
                    raise StoreError("The server is gone.")

            self.store.before = before
            Deferred.fromCoroutine(self.server().sum_up()).addErrback(
                lambda failure: failure.trap(StoreError)
            )
            self.store.before = lambda operation, key: None
            for _ in range(2):
                self.sum_up()
                months = self.read().stored.months.of("acme")
                self.assertEqual(months, {"2026-01": 4, "2026-02": 1}, ends_after)

    def test_what_comes_late_is_added_while_its_days_are_kept(self) -> None:
        late = self.server()
        late.count("acme", ONE)
        self.a_day()
        self.a_day()
        self.a_day()
        self.sum_up()
        self.assertEqual(self.month("2026-01").versions, {"acme": {"1.0": 2}})
        self.done(late.stop())
        self.sum_up()
        self.sum_up()
        self.assertEqual(self.month("2026-01").versions, {"acme": {"1.0": 3}})

    def test_what_comes_too_late_is_left_out(self) -> None:
        self.a_day()
        late = self.server()
        late.count("acme", ONE)
        self.a_day()
        self.clock.advance(29 * DAY)
        self.sum_up()  # the 28th is removed, the 29th is kept
        self.assertEqual(self.month("2026-01").versions, {"acme": {"1.0": 2}})
        self.done(late.stop())
        self.sum_up()
        self.sum_up()
        self.assertEqual(self.month("2026-01").versions, {"acme": {"1.0": 2}})

    def test_a_month_that_is_damaged(self) -> None:
        self.a_day()
        self.clock.advance(2 * DAY)
        self.sum_up()
        self.done(self.store.put(month_key("2026-01"), b"{"))
        self.assertEqual(self.read().stored.months.of("acme"), {})
        self.sum_up()
        self.assertEqual(self.month("2026-01").versions, {"acme": {"1.0": 1}})

    def test_a_month_of_a_newer_version_is_left_alone(self) -> None:
        self.a_day()
        self.clock.advance(2 * DAY)
        self.sum_up()
        newer = self.month("2026-01")
        import pypicloud_tw.statistics.months as module

        self.patch(module, "_FORMAT", 2)
        data = newer.encode()
        self.patch(module, "_FORMAT", 1)
        self.done(self.store.put(month_key("2026-01"), data))
        self.clock.advance(-2 * DAY)
        self.a_day()
        self.clock.advance(3 * DAY)
        self.sum_up()
        self.assertEqual(self.store.objects[month_key("2026-01")].data, data)

    def test_known_beyond_the_days_that_are_kept(self) -> None:
        for _ in range(40):
            self.a_day()
            self.sum_up()
        server = self.read()
        self.assertEqual(server.since, None)  # nobody has counted today
        server.count("other", "other-1.tar.gz")
        self.assertEqual(server.since, datetime(2026, 1, 28, tzinfo=UTC))

    def test_fetched_last_long_ago(self) -> None:
        self.a_day()
        for _ in range(60):
            server = self.server()
            server.count("other", "other-1.tar.gz")
            self.done(server.stop())
            self.clock.advance(DAY)
            self.sum_up()
        # By the end of that month, at the latest: its days are gone.
        last = {"1.0": datetime(2026, 2, 1, tzinfo=UTC)}
        self.assertEqual(self.read().last("acme"), last)


class KeyTests(SynchronousTestCase):
    def test_neither_is_taken_for_the_other(self) -> None:
        month, day = month_key("2026-01"), key_of("2026-01-10", SUM)
        self.assertEqual(month_of_key(month), "2026-01")
        self.assertIsNone(day_and_name(month))
        self.assertIsNone(month_of_key(day))
        for key in ("2026-1/sum", "2026-13/sum", "2026-01/x", "2026-01", "x/sum"):
            self.assertIsNone(month_of_key(f".stats/{key}"), key)

    def test_months_before(self) -> None:
        self.assertEqual(months_before("2026-03", 2), "2026-01")
        self.assertEqual(months_before("2026-03", 36), "2023-03")
        self.assertEqual(months_before("2026-03", 3), "2025-12")


names = st.sampled_from("abc")
counts = st.dictionaries(names, st.dictionaries(names, st.integers(1, 9), min_size=1))
days = st.builds(DayCounts, counts, counts)


class ArchiveTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.sampled_from("123"), days), max_size=40))
    def test_it_has_what_it_took_last(self, taken: list[tuple[str, DayCounts]]) -> None:
        archive, expected = Archive(), dict[str, DayCounts]()
        for day, one in taken:
            at_once(archive.take(day, one))
            expected[day] = one
            at_once(archive.tidy())
        self.assertEqual(set(archive), set(expected))
        for first in "123":
            for name in "abc":
                wanted = {
                    (day, file, count)
                    for day, one in expected.items()
                    for file, count in one.files.get(name, {}).items()
                    if day >= first
                }
                self.assertEqual(set(archive.files(name, first)), wanted)
                clients = sum(
                    sum(one.clients.get(name, {}).values())
                    for day, one in expected.items()
                    if day >= first
                )
                told = archive.clients(name, first)
                self.assertEqual(sum(count for _, _, count in told), clients)

    def test_a_day_is_there_when_all_of_it_is(self) -> None:
        archive = Archive()
        steps = archive.take("1", DayCounts({"a": {"x": 1}}, {"a": {"y": 1}}))
        next(steps)
        self.assertEqual(list(archive.files("a", "")), [])
        at_once(steps)
        self.assertEqual(list(archive.files("a", "")), [("1", "x", 1)])
        steps = archive.take("1", DayCounts({"a": {"x": 2}}))
        next(steps)
        self.assertEqual(list(archive.files("a", "")), [("1", "x", 1)])
        at_once(steps)
        self.assertEqual(list(archive.files("a", "")), [("1", "x", 2)])


class HelperTests(SynchronousTestCase):
    def test_what_is_no_day(self) -> None:
        day = ("2026-01-10", "x", b"{")
        self.assertRaises(ValueError, with_days, None, [day])
        self.assertRaises(ValueError, with_days, b"{", [])
