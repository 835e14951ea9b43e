"""What operators watch, in the Prometheus text format.

One registry a server, none in the module: several servers can live in one process.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from time import monotonic, thread_time
from typing import Literal, cast

from attrs import define, field, frozen
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two looks at how late the reactor is, and what counts as a stall. One
#: that lasts for both together is never missed; a look takes 6 microseconds.
PULSE, STALL = 0.02, 0.05

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

#: How the numbers of several processes of one server become one: what each knows of the
#: store is not added up.
Together = Literal["sum", "max", "min"]

#: A name, its labels and its value.
Sample = tuple[str, dict[str, str], float]

#: A metric: its name, description and type, how several become one, and its samples.
Family = tuple[str, str, str, Together, list[Sample]]

#: Everything that one process counts, as JSON can have it.
Snapshot = list[Family]

_LATENCIES = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0)

_DELAYS = (0.005, 0.01, 0.02, 0.035, STALL, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0)


@frozen
class Reading:
    """A number that is shown, as it is now.

    :ivar label: tells it from others of its name; empty: it is the only one.
    """

    name: str
    description: str
    value: float
    label: str = ""


@define(eq=False)
class _Reader(Collector):
    """Numbers that somebody keeps anyway, read when they are asked for."""

    readings: list[tuple[str, str, bool, Callable[[], float]]] = field(factory=list)
    counters: list[tuple[str, str, str, Callable[[], Mapping[str, float]]]] = field(
        factory=list
    )

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """Read every number now."""
        for name, description, label, read_all in self.counters:
            counter = CounterMetricFamily(name, description, labels=[label])
            for value, number in read_all().items():
                counter.add_metric([value], number)
            yield counter
        for name, description, counts, read in self.readings:
            family = CounterMetricFamily if counts else GaugeMetricFamily
            metric = family(name, description)
            metric.add_metric([], read())
            yield metric


@define(eq=False)
class _Requests(Collector):
    """Answered requests, counted by plain numbers.

    The library's own take a lock for each number, 2 µs a request; these are counted in
    the reactor's thread alone.
    """

    counts: dict[tuple[bytes, int], int] = field(factory=dict)
    seconds: float = 0.0
    # One more than there are bounds: what took longer than all of them.
    _buckets: list[int] = field(factory=lambda: [0] * (len(_LATENCIES) + 1))

    def observe(self, method: bytes, status: int, seconds: float) -> None:
        """Count a request."""
        key = method, status
        counts = self.counts
        if key in counts:
            counts[key] += 1
        else:
            # A client chooses the method: only what is known may become a label.
            known = method in (b"GET", b"HEAD", b"POST")
            key = method if known else b"other", status
            counts[key] = counts.get(key, 0) + 1
        self.seconds += seconds
        self._buckets[bisect_left(_LATENCIES, seconds)] += 1

    def collect(self) -> Iterable[CounterMetricFamily | HistogramMetricFamily]:
        """Read every number now."""
        requests = CounterMetricFamily(
            "pypicloud_requests",
            "HTTP requests answered",
            labels=["method", "status"],
        )
        for (method, status), count in self.counts.items():
            requests.add_metric([method.decode(), str(status)], count)
        yield requests
        latency = HistogramMetricFamily(
            "pypicloud_request_seconds",
            "From the end of a request's headers to the end of its answer",
        )
        bounds = (*map(floatToGoString, _LATENCIES), "+Inf")
        sums = accumulate(self._buckets)
        latency.add_metric([], list(zip(bounds, sums, strict=True)), self.seconds)
        yield latency


@frozen
class Gathered(Collector):
    """What several processes count, as it was gathered."""

    snapshot: Snapshot

    def collect(self) -> Iterator[Metric]:
        """Give it in the library's own form."""
        for name, description, kind, _, samples in self.snapshot:
            metric = Metric(name, description, kind)
            for sample, labels, value in samples:
                metric.add_sample(sample, labels, value)
            yield metric

    def render(self) -> bytes:
        """Write it in the text format."""
        return generate_latest(cast(CollectorRegistry, self))


class Metrics:
    """The server's counters.

    :param gather: adds up those of all processes of the server; None: there is one.
    """

    def __init__(
        self,
        clock: IReactorTime,
        gather: Callable[[Snapshot], Awaitable[Snapshot]] | None = None,
    ) -> None:
        self._gather = gather
        self._together: dict[str, Together] = {}
        self._registry = CollectorRegistry()
        self._reader = _Reader()
        self._registry.register(self._reader)
        self._requests = _Requests()
        self._registry.register(self._requests)
        self._store_calls = Counter(
            "pypicloud_store_calls",
            "Calls of the store by operation and result",
            ["operation", "result"],
            registry=self._registry,
        )
        self._store_latency = Histogram(
            "pypicloud_store_seconds",
            "Duration of the store's calls",
            ["operation"],
            buckets=_LATENCIES,
            registry=self._registry,
        )
        self._s3_requests = Counter(
            "pypicloud_s3_requests",
            "Requests to S3 by operation and result, each try of its own",
            ["operation", "result"],
            registry=self._registry,
        )
        self._stalls = Counter(
            "pypicloud_reactor_stalls",
            f"Times the reactor came more than {STALL * 1000:.0f} ms late",
            registry=self._registry,
        )
        self._stalled = Counter(
            "pypicloud_reactor_stalled_seconds",
            "Seconds by which the reactor came late, in all",
            registry=self._registry,
        )
        self._late = Histogram(
            "pypicloud_reactor_late_seconds",
            f"How late the reactor came, asked every {PULSE * 1000:.0f} ms",
            buckets=_DELAYS,
            registry=self._registry,
        )
        self._busy = Histogram(
            "pypicloud_reactor_busy_seconds",
            "... as far as its own thread worked meanwhile",
            buckets=_DELAYS,
            registry=self._registry,
        )
        self._acts = Counter(
            "pypicloud_acts",
            "Records by act and outcome",
            ["act", "outcome"],
            registry=self._registry,
        )
        self._logins = Counter(
            "pypicloud_logins",
            "Log-ins that took a check, by kind of proof and outcome",
            ["kind", "outcome"],
            registry=self._registry,
        )
        self._refusals = Counter(
            "pypicloud_refusals",
            "What was refused for want of a right, by action and reason",
            ["action", "reason"],
            registry=self._registry,
        )
        # labels() takes a lock and builds a tuple: a dictionary is 5 times faster.
        self._stores: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._clock = clock
        self._pulse: IDelayedCall | None = None
        self._due = self._worked = 0.0

    def tell_version(self, version: str) -> None:
        """Show which version serves: as a label, as Prometheus's own programs do."""
        name = "pypicloud_build_info"
        self._together[name] = "max"
        info = Gauge(name, "The version", ["version"], registry=self._registry)
        info.labels(version).set(1)

    def read(
        self,
        name: str,
        description: str,
        reading: Callable[[], float],
        *,
        counts: bool = False,
        together: Together = "sum",
    ) -> None:
        """Show a number that somebody else keeps.

        :param counts: it only ever grows.
        :param together: how those of several processes become one.
        """
        self._together[name] = together
        self._reader.readings.append((name, description, counts, reading))

    def read_by(
        self,
        name: str,
        description: str,
        label: str,
        reading: Callable[[], Mapping[str, float]],
    ) -> None:
        """Show numbers that somebody else keeps and that only ever grow.

        :param label: what tells them apart.
        :param reading: returns them by the label's value.
        """
        self._reader.counters.append((name, description, label, reading))

    def tell_process(self) -> None:
        """Show what its process takes of the machine.

        That is memory, processor and descriptors, by the names that all programs use;
        on Linux alone.
        """
        ProcessCollector(pid=lambda: "self", registry=self._registry)
        self._together["process_start_time_seconds"] = "max"

    def readings(self) -> Iterator[Reading]:
        """Return the numbers that others keep, as they are now."""
        for name, description, _, read in self._reader.readings:
            yield Reading(name, description, read())
        for name, description, _, read_all in self._reader.counters:
            for label, value in read_all().items():
                yield Reading(name, description, value, label)

    @property
    def observe(self) -> Callable[[bytes, int, float], None]:
        """Count an answered request: its method, status, and seconds that it took."""
        return self._requests.observe

    def observe_store(self, operation: str, result: str, seconds: float) -> None:
        """Count a call of the store; *result* is ``ok`` or an error's name."""
        known = self._stores.get((operation, result))
        if known is None:
            known = self._stores[(operation, result)] = (
                self._store_calls.labels(operation, result),
                self._store_latency.labels(operation),
            )
        calls, latency = known
        calls.inc()
        latency.observe(seconds)

    def observe_s3(self, operation: str, result: str, seconds: float) -> None:
        """Count one request to S3."""
        self._s3_requests.labels(operation, result).inc()

    def observe_act(self, act: str, outcome: str) -> None:
        """Count a record; both are words of our own."""
        self._acts.labels(act, outcome).inc()

    def observe_login(self, kind: str, outcome: str) -> None:
        """Count a log-in that took a check.

        :param kind: of the proof: ``password``, ``token``, ...
        :param outcome: ``done``, or an error's code.
        """
        self._logins.labels(kind, outcome).inc()

    def observe_refusal(self, action: str, reason: str) -> None:
        """Count what was refused for want of a right; *reason* is an error's code."""
        self._refusals.labels(action, reason).inc()

    def start(self) -> None:
        """Begin to watch how late the reactor is."""
        self._wait()

    def stop(self) -> None:
        """End the watch."""
        if self._pulse is not None:
            self._pulse.cancel()
        self._pulse = None

    def snapshot(self) -> Snapshot:
        """Return what this process counts, as it is now."""
        return [
            (
                metric.name,
                metric.documentation,
                metric.type,
                self._together.get(metric.name, "sum"),
                [(one.name, one.labels, one.value) for one in metric.samples],
            )
            for metric in self._registry.collect()
        ]

    def render(self) -> bytes:
        """Write what this process counts in the text format."""
        return generate_latest(self._registry)

    async def text(self) -> bytes:
        """Write what the whole server counts in the text format."""
        if self._gather is None:
            return self.render()
        return Gathered(await self._gather(self.snapshot())).render()

    def _wait(self) -> None:
        self._due, self._worked = monotonic() + PULSE, thread_time()
        self._pulse = self._clock.callLater(PULSE, self._beat)

    def _beat(self) -> None:
        late = max(0.0, monotonic() - self._due)
        # The machine may be busy with other things: what is ours tells less.
        busy = min(late, thread_time() - self._worked)
        self._late.observe(late)
        self._busy.observe(busy)
        if late > STALL:
            self._stalls.inc()
            self._stalled.inc(late)
        self._wait()
