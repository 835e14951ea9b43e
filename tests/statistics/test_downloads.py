"""Counting downloads, on several servers and over days."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError
from pypicloud_tw.statistics.agents import OTHER
from pypicloud_tw.statistics.counts import SUM, DayCounts, key_of, summed
from pypicloud_tw.statistics.downloads import CountedDownloads
from pypicloud_tw.statistics.months import month_key
from pypicloud_tw.statistics.own_day import OwnDay
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload

DAY = 86_400.0
#: 2026-01-10, noon.
START = 1_768_046_400.0
ONE, TWO = "acme-1.0.tar.gz", "acme-2.0-py3-none-any.whl"


class HangingOffload(InlineOffload):
    """Does nothing, for ever."""

    def in_thread(self, function: Any, *args: Any, **more: Any) -> Deferred[Any]:
        return Deferred()


class DownloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.offload = InlineOffload()
        self.store = MemoryStore(self.offload)

    def server(self) -> CountedDownloads:
        return CountedDownloads(self.store, self.offload, self.clock, keep=40)

    def done(self, work: Any) -> Any:
        if not isinstance(work, Deferred):
            work = Deferred.fromCoroutine(work)
        return self.successResultOf(work)

    def versions(self, server: CountedDownloads, days: int = 30) -> dict[str, int]:
        return dict(self.done(server.versions("acme", days)))

    def test_counted_here_and_elsewhere(self) -> None:
        one, two = self.server(), self.server()
        for filename in (ONE, ONE, TWO):
            one.count("acme", filename)
        two.count("acme", ONE)
        two.count("beta", "beta-1.tar.gz")
        one.work()
        two.work()
        self.assertEqual(self.versions(two), {"1.0": 3, "2.0": 1})
        self.assertEqual(self.done(two.names(30)), {"acme", "beta"})
        self.assertEqual(self.versions(one), {"1.0": 2, "2.0": 1})
        self.clock.advance(3600)
        one.work()
        self.assertEqual(self.versions(one), {"1.0": 3, "2.0": 1})

    def test_days_end(self) -> None:
        server = self.server()
        server.count("acme", ONE)
        self.clock.advance(DAY)
        server.count("acme", TWO)
        server.work()
        self.assertEqual(self.versions(server, 1), {"2.0": 1})
        self.assertEqual(self.versions(server, 2), {"1.0": 1, "2.0": 1})

    def test_a_restart_loses_nothing_that_was_written(self) -> None:
        server = self.server()
        server.count("acme", ONE)
        self.done(server.stop())
        later = self.server()
        later.count("acme", ONE)
        later.work()
        self.assertEqual(self.versions(later), {"1.0": 2})

    def test_the_store_is_away(self) -> None:
        server = self.server()
        server.count("acme", ONE)

        def away(operation: str, key: str) -> None:
            raise StoreError("The store is away.")

        self.store.before = away
        server.work()
        self.flushLoggedErrors()
        self.store.before = lambda operation, key: None
        server.count("acme", ONE)
        server.work()
        self.assertEqual(self.versions(self.read()), {"1.0": 2})

    def test_a_writing_that_is_given_up_is_done_again(self) -> None:
        server = self.server()
        server.work()
        server.count("acme", ONE)
        server.offload = HangingOffload()
        server.work()
        server.offload = self.offload
        self.done(server.stop())
        self.assertEqual(self.versions(self.read()), {"1.0": 1})

    def test_a_day_that_others_wrote_too_ends_while_nothing_is_counted(self) -> None:
        one, two = self.server(), self.server()
        one.count("acme", ONE)
        two.count("acme", ONE)
        two.work()
        one.work()
        self.assertEqual(self.versions(one), {"1.0": 2})
        self.clock.advance(DAY)
        one.work()
        self.assertEqual(self.versions(one), {"1.0": 2})
        self.assertEqual(self.versions(self.read()), {"1.0": 2})

    def test_a_clock_that_is_set_back_to_a_day_that_was_written(self) -> None:
        server = self.server()
        for _ in range(3):
            server.count("acme", ONE)
        self.clock.advance(DAY)
        server.work()
        self.clock.rightNow -= DAY
        server.count("acme", ONE)
        server.work()
        self.assertEqual(self.versions(server), {"1.0": 4})
        self.clock.advance(DAY)
        server.work()
        self.assertEqual(self.versions(server), {"1.0": 4})
        self.assertEqual(self.versions(self.read()), {"1.0": 4})

    def test_what_was_written_late_is_counted_once(self) -> None:
        one, two = self.server(), self.server()
        two.work()
        one.count("acme", ONE)
        one.work()
        one.count("acme", ONE)
        self.clock.advance(DAY)
        one.work()
        self.assertEqual(self.versions(one), {"1.0": 2})

    def test_what_is_none_of_ours_lies_there(self) -> None:
        told = DayCounts({"acme": {ONE: 1}}).encode()
        for day in ("zzz", "2026-01-10~", "2026-W02-6"):
            self.done(self.store.put(f".stats/{day}/other", told))
        server = self.server()
        server.count("acme", ONE)
        server.work()
        self.done(server.sum_up())
        self.assertEqual(self.versions(server), {"1.0": 1})
        self.assertEqual(list(server.last("acme")), ["1.0"])
        self.assertIsNotNone(server.since)

    def read(self) -> CountedDownloads:
        server = self.server()
        self.done(server.read())
        return server

    def test_damaged_is_left_out(self) -> None:
        server = self.server()
        server.count("acme", ONE)
        server.work()
        self.done(self.store.put(key_of("2026-01-10", "other"), b"{"))
        self.assertEqual(self.versions(self.read()), {"1.0": 1})

    def test_damaged_is_not_all_that_is_known(self) -> None:
        server = self.server()
        server.work()
        self.done(self.store.put(key_of("2026-01-10", "other"), b"{"))
        later = self.read()
        for _ in range(2):
            self.assertIsNone(later.since)
            self.done(later.read())
        told = DayCounts({"acme": {ONE: 4}}).encode()
        self.done(self.store.put(key_of("2026-01-10", "other"), told))
        self.done(later.read())
        self.assertIsNotNone(later.since)

    def test_summed_up_while_it_is_read(self) -> None:
        for _ in range(2):
            server = self.server()
            server.count("acme", ONE)
            self.done(server.stop())
        self.clock.advance(3 * DAY)
        later = self.server()

        def before(operation: str, key: str) -> None:
            if operation == "get":
                self.store.before = lambda operation, key: None
                self.done(self.server().sum_up())

        self.store.before = before
        self.done(later.read())
        self.assertFalse(later.knows("2026-01-10"))
        self.done(later.read())
        self.assertTrue(later.knows("2026-01-10"))
        self.assertEqual(self.versions(later), {"1.0": 2})

    def test_a_sum_counts_nothing_twice_wherever_it_ends(self) -> None:
        for ends_after in range(12):
            self.setUp()
            for _ in range(3):
                server = self.server()
                server.count("acme", ONE)
                self.done(server.stop())
            self.clock.advance(5 * DAY)
            calls = iter(range(100))

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
            self.assertEqual(self.versions(self.read()), {"1.0": 3}, ends_after)
            self.done(self.server().sum_up())
            self.assertEqual(self.versions(self.read()), {"1.0": 3}, ends_after)
            keys = [key_of("2026-01-10", SUM), month_key("2026-01")]
            self.assertEqual(list(self.store.objects), keys)
            self.assertEqual(self.read().stored.months.of("acme"), {"2026-01": 3})

    def test_who_writes_late_is_added(self) -> None:
        late, server = self.server(), self.server()
        late.count("acme", ONE)
        server.count("acme", ONE)
        self.done(server.stop())
        self.clock.advance(5 * DAY)
        self.done(self.server().sum_up())
        self.done(late.stop())
        self.assertEqual(self.versions(self.read()), {"1.0": 2})
        self.done(self.server().sum_up())
        self.assertEqual(self.versions(self.read()), {"1.0": 2})

    def test_old_days_are_removed(self) -> None:
        server = self.server()
        server.count("acme", ONE)
        self.done(server.stop())
        self.clock.advance(60 * DAY)
        self.done(self.server().sum_up())
        self.assertEqual(list(self.store.objects), [month_key("2026-01")])
        later = self.read()
        self.assertEqual(later.stored.months.of("acme"), {"2026-01": 1})
        self.assertEqual(later.last("acme"), {"1.0": datetime(2026, 1, 11, tzinfo=UTC)})
        self.clock.advance(1200 * DAY)
        self.done(self.server().sum_up())
        self.assertEqual(list(self.store.objects), [])

    def test_since_when_all_is_known(self) -> None:
        server = self.server()
        self.assertIsNone(server.since)
        for _ in range(3):
            server.work()
            self.clock.advance(DAY)
        server.count("acme", ONE)
        server.work()
        later = self.read()
        self.assertEqual(later.since, datetime(2026, 1, 10, tzinfo=UTC))
        self.assertEqual(later.last("acme"), {"1.0": datetime(2026, 1, 14, tzinfo=UTC)})
        self.assertEqual(server.since, later.since)

    def test_a_day_without_counts_is_not_known(self) -> None:
        server = self.server()
        server.count("acme", ONE)
        self.done(server.stop())
        self.clock.advance(2 * DAY)
        later = self.server()
        later.work()
        self.assertEqual(later.since, datetime(2026, 1, 12, tzinfo=UTC))

    def test_a_sum_that_cannot_be_read_anew_is_known_as_it_was(self) -> None:
        """Else a prune would take a release for one that nobody fetched."""
        key = key_of("2026-01-09", SUM)
        counts = DayCounts({"acme": {ONE: 1}})
        self.done(self.store.put(key, counts.encode()))
        server = self.read()
        before = server.since, server.last("acme")
        self.assertEqual(list(before[1]), ["1.0"])
        counts.add("acme", ONE)
        self.done(self.store.put(key, counts.encode()))

        def away(operation: str, key: str) -> None:
            if operation == "get":
                raise StoreError("The store is away.")

        self.store.before = away
        self.failureResultOf(Deferred.fromCoroutine(server.read()), StoreError)
        self.assertEqual((server.since, server.last("acme")), before)
        self.store.before = lambda operation, key: None
        self.done(server.read())
        self.assertEqual(self.versions(server), {"1.0": 2})

    def test_many_kinds_of_clients_of_one_project_leave_room_for_others(self) -> None:
        import pypicloud_tw.statistics.own_day as module

        self.patch(module, "MOST_KINDS", 60)
        own = OwnDay("2026-01-10")
        for number in range(200):
            own.count("acme", ONE, f"pip/{number}//")
        own.count("beta", "beta-1.tar.gz", "pip/1//")
        self.assertEqual(own.counts.clients["acme"][OTHER.key], 150)
        self.assertEqual(own.counts.clients["beta"], {"pip/1//": 1})
        for number in range(20):
            own.count("corp", "corp-1.tar.gz", f"pip/{number}//")
        self.assertEqual(own.counts.clients["corp"][OTHER.key], 12)

    def test_bounded(self) -> None:
        import pypicloud_tw.statistics.own_day as module

        self.patch(module, "MOST_FILES", 10)
        server = self.server()
        for number in range(100):
            server.count("acme", f"acme-{number}.tar.gz")
        self.assertEqual(sum(self.versions(server).values()), 10)
        self.assertEqual(server.counted, 100)
        server.work()
        # What was fetched of the others nobody knows.
        self.assertIsNone(server.since)


class SumTests(SynchronousTestCase):
    counts = st.builds(
        DayCounts,
        st.dictionaries(
            st.sampled_from("ab"),
            st.dictionaries(st.sampled_from("xyz"), st.integers(1, 9)),
        ),
    )

    @given(st.dictionaries(st.sampled_from("123"), counts))
    def test_written_and_read(self, objects: dict[str, DayCounts]) -> None:
        whole = summed(objects)
        self.assertEqual(DayCounts.decode(whole.encode()), whole)
        total = sum(n for counts in objects.values() for _, _, n in counts)
        self.assertEqual(sum(n for _, _, n in whole), total)

    @given(st.binary(max_size=40))
    def test_nonsense(self, data: bytes) -> None:
        self.assertRaises(ValueError, DayCounts.decode, data)
