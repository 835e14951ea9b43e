"""The counters say what happened, and no client can make them grow."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw import metrics as module
from pypicloud_tw.metrics import PULSE, Gathered, Metrics, Reading
from pypicloud_tw.workers.merging import merged


class MetricsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.metrics = Metrics(self.clock)

    def value(self, name: str) -> float:
        """Read a number as a monitoring system does; -1 if it is not there."""
        text = self.metrics.render().decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else -1.0


class RequestTests(MetricsCase):
    def test_counted_by_method_and_status(self) -> None:
        counts = {("GET", 200): 3, ("GET", 404): 1, ("POST", 200): 2}
        for (method, status), times in counts.items():
            for _ in range(times):
                self.metrics.observe(method.encode(), status, 0.01)
        for (method, status), times in counts.items():
            name = f'pypicloud_requests_total{{method="{method}",status="{status}"}}'
            self.assertEqual(self.value(name), times)

    def test_timed(self) -> None:
        self.metrics.observe(b"GET", 200, 0.003)
        self.metrics.observe(b"GET", 200, 2.0)
        self.assertEqual(self.value("pypicloud_request_seconds_count"), 2)
        self.assertAlmostEqual(self.value("pypicloud_request_seconds_sum"), 2.003)
        buckets = 'pypicloud_request_seconds_bucket{le="%s"}'
        self.assertEqual(self.value(buckets % "0.005"), 1)
        self.assertEqual(self.value(buckets % "5.0"), 2)

    @settings(max_examples=30)
    @given(st.lists(st.binary(max_size=10), max_size=30))
    def test_methods_that_clients_invent_make_one_number(
        self, methods: list[bytes]
    ) -> None:
        for method in methods:
            self.metrics.observe(method, 405, 0.0)
        lines = self.metrics.render().split(b"\n")
        found = [line for line in lines if line.startswith(b"pypicloud_requests_total")]
        self.assertLessEqual(len(found), 4)

    def test_two_servers_in_one_process_have_their_own(self) -> None:
        other = Metrics(self.clock)
        self.metrics.observe(b"GET", 200, 0.0)
        self.assertNotIn(b'status="200"', other.render())


class VersionTests(MetricsCase):
    def test_shown_once_by_several_processes(self) -> None:
        self.metrics.tell_version("1.0.0")
        name = 'pypicloud_build_info{version="1.0.0"}'
        self.assertEqual(self.value(name), 1)
        both = Gathered(merged([self.metrics.snapshot(), self.metrics.snapshot()]))
        self.assertIn(f"{name} 1.0\n", both.render().decode())


class StoreTests(MetricsCase):
    def test_counted_by_operation_and_result(self) -> None:
        self.metrics.observe_store("get", "ok", 0.1)
        self.metrics.observe_store("get", "store-unavailable", 0.1)
        calls = 'pypicloud_store_calls_total{operation="get",result="%s"}'
        self.assertEqual(self.value(calls % "ok"), 1)
        self.assertEqual(self.value(calls % "store-unavailable"), 1)
        count = 'pypicloud_store_seconds_count{operation="get"}'
        self.assertEqual(self.value(count), 2)


class ReaderTests(MetricsCase):
    def test_numbers_of_others_are_read_when_they_are_asked_for(self) -> None:
        kept = [1]
        self.metrics.read("pages_bytes", "Memory", lambda: kept[0])
        self.metrics.read("hits", "Hits", lambda: kept[0], counts=True)
        self.assertEqual(self.value("pages_bytes"), 1)
        kept[0] = 7
        self.assertEqual(self.value("pages_bytes"), 7)
        self.assertEqual(self.value("hits_total"), 7)
        text = self.metrics.render()
        self.assertIn(b"# TYPE pages_bytes gauge", text)
        self.assertIn(b"# TYPE hits_total counter", text)

    def test_given_as_they_are_now(self) -> None:
        self.metrics.read("hits", "Hits", lambda: 7, counts=True)
        self.metrics.read_by("refused", "Refused", "rule", lambda: {"age": 2})
        self.assertEqual(
            list(self.metrics.readings()),
            [Reading("hits", "Hits", 7), Reading("refused", "Refused", 2, "age")],
        )


class PulseTests(MetricsCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 1000.0
        self.patch(module, "monotonic", lambda: self.now)

    def pass_time(self, seconds: float) -> None:
        """Have the next beat come after so long."""
        self.now += seconds
        self.clock.advance(PULSE)

    def test_a_reactor_that_is_in_time_counts_nothing(self) -> None:
        self.metrics.start()
        for _ in range(10):
            self.pass_time(PULSE + 0.01)
        self.assertEqual(self.value("pypicloud_reactor_stalls_total"), 0)
        self.metrics.stop()

    def test_stalls(self) -> None:
        self.metrics.start()
        self.pass_time(PULSE)
        self.pass_time(PULSE + 2)
        self.pass_time(PULSE + 0.5)
        self.assertEqual(self.value("pypicloud_reactor_stalls_total"), 2)
        stalled = self.value("pypicloud_reactor_stalled_seconds_total")
        self.assertAlmostEqual(stalled, 2.5)
        self.metrics.stop()

    def test_a_pause_between_stop_and_start_is_no_stall(self) -> None:
        self.metrics.start()
        self.pass_time(PULSE)
        self.metrics.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.now += 1000
        self.metrics.start()
        self.pass_time(PULSE)
        self.assertEqual(self.value("pypicloud_reactor_stalls_total"), 0)
        self.metrics.stop()

    def test_stop_is_harmless_without_a_start(self) -> None:
        self.metrics.stop()
