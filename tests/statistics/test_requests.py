"""What counting costs where each request of the store is paid for."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.statistics.counts import SUM, DayCounts, day_of, key_of
from pypicloud_tw.statistics.downloads import FLUSH_BUCKET, CountedDownloads
from pypicloud_tw.store.interfaces import ObjectInfo
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.store.metered import MeteredStore
from tests.doubles import InlineOffload

DAY = 86_400.0
#: 2026-01-10, noon.
START = 1_768_046_400.0
#: Keys in an answer of S3 to a listing.
LISTED = 1000


class CountedStore(MeteredStore):
    """Counts listings, too."""

    def list(self, prefix: str, **more: Any) -> AsyncIterator[ObjectInfo]:
        self.observe("list", "ok", 0.0)
        return super().list(prefix, **more)


class RequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.offload = InlineOffload()
        self.bucket = MemoryStore(self.offload, kind="bucket")

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_one_server(self) -> None:
        self.assertLessEqual(max(self.requests_of_a_day(1)), 135)

    def test_three_servers(self) -> None:
        """The dearest is the one that sums up; projects do not matter."""
        self.assertLess(max(self.requests_of_a_day(3)), 200)

    def test_ten_servers(self) -> None:
        self.assertLess(max(self.requests_of_a_day(10)), 200)

    def requests_of_a_day(self, count: int) -> list[int]:
        """Return how many requests of a day each server makes, after some days."""
        self.earlier_days()
        requests = [Counter[str]() for _ in range(count)]
        servers = [self.server(counter) for counter in requests]
        for server in servers:
            server.start()
        for number in range(2):
            for counter in requests:
                counter.clear()
            self.a_day(servers, number)
        self.assertLess(len(self.bucket.objects), LISTED)
        fetched = set[str]()
        for server in servers:
            fetched |= self.done(server.names(1))
        self.assertGreater(len(fetched), 100)
        return [counter.total() for counter in requests]

    def a_day(self, servers: list[CountedDownloads], number: int) -> None:
        for minute in range(0, 24 * 60, 5):
            for server in servers:
                project = f"project-{number}-{minute}"
                server.count(project, f"{project}-1.0.tar.gz", b"pip/26.2 {}")
            self.clock.advance(300)
            if minute == 300:
                self.done(servers[0].sum_up())

    def server(self, requests: Counter[str]) -> CountedDownloads:
        def observe(operation: str, result: str, seconds: float) -> None:
            requests[operation] += 1

        store = CountedStore(self.bucket, observe, self.clock.seconds)
        return CountedDownloads(store, self.offload, self.clock, 90, FLUSH_BUCKET)

    def earlier_days(self) -> None:
        data = DayCounts({"acme": {"acme-1.0.tar.gz": 1}}).encode()
        for days in range(3, 92):
            day = day_of(START - days * DAY)
            self.done(self.bucket.put(key_of(day, SUM), data))
