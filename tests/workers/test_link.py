"""What workers say to each other, by their parent."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.metrics import Metrics, Snapshot
from pypicloud_tw.workers.link import COUNTS_EVERY
from pypicloud_tw.workers.messages import PARENT_PATIENCE, SIBLINGS_PATIENCE
from tests.workers.doubles import Child, Household, config_of


def counted(name: str, value: float, kind: str = "counter") -> Snapshot:
    """Make the metrics of one that counts one thing."""
    return [(name, "It", kind, "sum", [(f"{name}_total", {"a": "b"}, value)])]


class LineCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = Household(config_of(3))
        self.clock = self.house.clock
        with capturedLogs():
            self.one, self.two, self.three = self.house.serve()
        self.heard: list[tuple[int, Any]] = []
        for number, child in enumerate(self.house.children, 1):
            self.listen(number, child)

    def listen(self, number: int, child: Child) -> None:
        child.link.subscribe(
            "changed", lambda value: self.heard.append((number, value))
        )


class TellTests(LineCase):
    def tell(self, child: Child, value: object = "acme") -> Deferred[None]:
        return Deferred.fromCoroutine(child.link.tell("changed", value))

    def test_all_others_have_heard_it(self) -> None:
        self.successResultOf(self.tell(self.two))
        self.assertEqual(sorted(self.heard), [(1, "acme"), (3, "acme")])
        left = [call for call in self.clock.getDelayedCalls() if call.getTime() < 9]
        self.assertEqual(left, [])

    def test_who_does_not_answer_is_waited_for_for_a_moment(self) -> None:
        self.three.deaf = True
        told = self.tell(self.one)
        self.assertEqual(self.heard, [(2, "acme")])
        self.clock.advance(SIBLINGS_PATIENCE - 0.1)
        self.assertNoResult(told)
        self.clock.advance(0.1)
        self.successResultOf(told)

    def test_who_dies_is_not_waited_for(self) -> None:
        self.three.deaf = True
        told = self.tell(self.one)
        with capturedLogs():
            self.three.end(signal=9)
        self.successResultOf(told)

    def test_a_parent_that_is_stopped_is_not_waited_for_for_ever(self) -> None:
        self.one.deaf = True  # it hears no answer
        told = self.tell(self.one)
        self.clock.advance(PARENT_PATIENCE)
        self.successResultOf(told)

    def test_who_only_begins_hears_it_before_it_serves(self) -> None:
        with capturedLogs():
            self.three.end(signal=9)
            self.clock.advance(0.1)
        follower = self.house.children[3]
        self.listen(4, follower)
        self.successResultOf(self.tell(self.one))
        self.assertEqual(sorted(self.heard), [(2, "acme"), (4, "acme")])

    def test_post_is_not_waited_for(self) -> None:
        self.three.deaf = True
        self.one.link.post("changed", ["ann", "192.0.2.1"])
        self.assertEqual(self.heard, [(2, ["ann", "192.0.2.1"])])

    def test_what_nobody_listens_to(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.one.link.tell("something", 1)))
        self.assertEqual(self.heard, [])

    def test_an_orphan_tells_nobody_and_ends(self) -> None:
        self.one.link.connectionLost()
        self.assertTrue(self.one.is_orphaned)
        self.successResultOf(self.tell(self.one))
        self.assertEqual(self.heard, [])


class MetricsTests(LineCase):
    def gather(self, child: Child) -> dict[str, Any]:
        found = Deferred.fromCoroutine(child.link.gather(child.counts))
        snapshot = self.successResultOf(found)
        return {name: samples[0][2] for name, _, _, _, samples in snapshot}

    def test_all_are_added_up(self) -> None:
        for number, child in enumerate(self.house.children, 1):
            child.counts = counted("hits", number)
        gathered = self.gather(self.two)
        self.assertEqual(gathered["hits"], 6)
        self.assertEqual(gathered["pypicloud_workers"], 3)
        self.assertEqual(gathered["pypicloud_worker_deaths"], 0)

    def test_the_dead_still_count(self) -> None:
        self.three.counts = counted("hits", 5)
        self.assertEqual(self.gather(self.one)["hits"], 5)
        self.three.counts = counted("hits", 7)
        with capturedLogs():
            self.three.deaf = True  # it says nothing more
            self.three.link.transport = None
            self.three.end(signal=9)
        gathered = self.gather(self.one)
        self.assertEqual(gathered["hits"], 5)
        self.assertEqual(gathered["pypicloud_workers"], 2)
        self.assertEqual(gathered["pypicloud_worker_deaths"], 1)

    def test_what_the_dead_had_of_memory_does_not(self) -> None:
        self.three.counts = counted("bytes", 5, "gauge")
        self.assertEqual(self.gather(self.one)["bytes"], 5)
        with capturedLogs():
            self.three.end()
        self.assertNotIn("bytes", self.gather(self.one))

    def test_the_parent_is_told_from_time_to_time_and_at_the_end(self) -> None:
        self.three.counts = counted("hits", 5)
        self.clock.advance(COUNTS_EVERY)
        self.assertEqual(json.loads(json.dumps(self.three.worker.counts))[0][0], "hits")
        self.three.counts = counted("hits", 8)
        with capturedLogs():
            self.three.end()
        self.assertEqual(self.gather(self.one)["hits"], 8)

    def test_without_a_parent_they_are_ones_own(self) -> None:
        self.one.link.connectionLost()
        self.one.counts = counted("hits", 2)
        self.assertEqual(self.gather(self.one), {"hits": 2})

    def test_as_they_are_shown(self) -> None:
        """Counters and histograms are summed; labels keep them apart."""
        all_metrics = []
        for child in self.house.children:
            metrics = Metrics(self.clock, child.link.gather)
            child.link.count(metrics.snapshot)
            metrics.read("known", "Known of the store", lambda: 4, together="max")
            metrics.read("kept", "Kept in memory", lambda: 4)
            metrics.observe(b"GET", 200, 0.003)
            all_metrics.append(metrics)
        all_metrics[0].observe(b"GET", 404, 2.0)
        text = Deferred.fromCoroutine(all_metrics[1].text())
        shown = self.successResultOf(text).decode().splitlines()
        for line in (
            'pypicloud_requests_total{method="GET",status="200"} 3.0',
            'pypicloud_requests_total{method="GET",status="404"} 1.0',
            'pypicloud_request_seconds_bucket{le="0.005"} 3.0',
            "pypicloud_request_seconds_count 4.0",
            "# TYPE pypicloud_requests_total counter",
            "known 4.0",
            "kept 12.0",
            "pypicloud_workers 3.0",
        ):
            self.assertIn(line, shown)


class LogTests(LineCase):
    def test_a_parent_that_does_not_read(self) -> None:
        """Lines are left out then, rather than kept."""
        with capturedLogs() as logs:
            self.house.parent._log.info("It is.")
        self.one.link.pauseProducing()
        with capturedLogs() as written:
            self.one.link.write_log(logs[0])
        self.assertEqual(list(written), [])
        self.one.link.resumeProducing()
        with capturedLogs() as written:
            self.one.link.write_log(logs[0])
        self.assertEqual(len(written), 1)
