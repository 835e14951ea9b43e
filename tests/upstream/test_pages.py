"""Remembered pages: freshness, one question at a time, and what is left on failure."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, TypeVarTuple

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pypicloud_tw.advisories.values import (
    Advisory,
    ProjectAdvisories,
    spelled,
)
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.errors import (
    Forbidden,
    NotFound,
    RefusedByRule,
    Unavailable,
    UpstreamError,
)
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.outbound.origins import origin_of
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.failures import Closed, Refused, Slow
from pypicloud_tw.upstream.freshness import (
    LONGEST,
    UNTOLD,
    fresh_for,
    may_keep,
)
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.judges import Judges
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.keeper import StoredPages, page_key
from pypicloud_tw.upstream.kept import UpstreamPage
from pypicloud_tw.upstream.pages import HURRY, INLINE, SQUEEZED_FROM
from pypicloud_tw.upstream.service import AT_ONCE, Upstreams
from pypicloud_tw.upstream.source import ClientLimits, sources
from tests.doubles import InlineOffload
from tests.upstream.doubles import (
    BASE,
    HOST,
    JSON,
    START,
    FakeUpstream,
    clock,
    file,
    later,
    page,
    project,
    silent,
    started,
    status,
    truncated,
)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ACME_NAME = project_name("acme")
ACME = f"{BASE}acme/"
OTHER = "https://other.example/simple/"
DAY = 86_400.0
#: How this server is reached.
HERE = "http://here.example/root"


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@frozen
class Malicious:
    """Knows a version of acme as malware."""

    version: str
    edition: int = 1
    trouble: str | None = None

    def of(self, name: str) -> ProjectAdvisories:
        """See :class:`.IAdvisories`."""
        versions = frozenset({spelled(self.version)})
        told = Advisory("MAL-1", "acme", malware=True, versions=versions)
        return ProjectAdvisories((told,))


class SlowOffload(InlineOffload):
    """Does what helpers do when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Deferred[Any]] = []
        self._begun: list[Callable[[], Deferred[Any]]] = []

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        """Begin a job."""
        job: Deferred[T] = Deferred()
        self.jobs.append(job)
        inline = super().in_process
        self._begun.append(lambda: inline(function, *args))
        return job

    def finish(self, number: int) -> None:
        """Finish the job that began as number so many."""
        self._begun[number]().chainDeferred(self.jobs[number])


class Bench:
    """The fallback over a fake upstream."""

    def __init__(
        self,
        *urls: str,
        rules: UpstreamRules = UpstreamRules(),  # noqa: B008  immutable
        keep: bool = False,
        own_links: bool = False,
        store: MemoryStore | None = None,
        offload: InlineOffload | None = None,
        **settings: Any,
    ) -> None:
        self.clock = clock()
        self.upstream = FakeUpstream()
        self.offload = offload or InlineOffload()
        self.client = Client(
            self.upstream, self.clock, ClientLimits(retries=0), "tests", lambda: 0.5
        )
        self.store = store or MemoryStore(self.offload)
        keeper = StoredPages.over(self.store, self.offload, 2**20) if keep else None
        self.upstreams: Upstreams[Document] = Upstreams(
            self.client,
            sources(urls or (BASE,)),
            Judges(rules),
            rendered,
            reread,
            self.offload,
            self.clock,
            UpstreamSection(**settings),
            own_links=own_links,
            keeper=keeper,
        )

    def ask(self, name: NormalizedName = ACME_NAME) -> Deferred[UpstreamPage[Document]]:
        return started(self.upstreams.page(name))

    def wait(self, seconds: float) -> None:
        for _ in range(100):
            self.clock.advance(seconds / 100)
            self.upstream.flush()


def rendered(document: Document) -> tuple[Document, int]:
    """Stand in for the rendering: the document, and what its JSON weighs."""
    return document, len(json.dumps(document))


def reread(document: Document) -> Document:
    """Make the document again of what was rendered of it."""
    return document


# A helper process looks functions up in the package itself; this one runs inline.
MAX_AGE = {"cache-control": "max-age=600"}


class MetricsTests(SynchronousTestCase):
    def test_how_many_are_not_asked(self) -> None:
        bench = Bench()
        metrics = Metrics(bench.clock)
        bench.upstreams.register(metrics)

        def paused() -> float:
            found = {one.name: one.value for one in metrics.readings()}
            return found["pypicloud_upstream_paused"]

        breaker = bench.client.breakers.of(origin_of(BASE))
        self.assertEqual(paused(), 0)
        breaker.failed(Slow("It timed out."), bench.clock.seconds())
        self.assertEqual(paused(), 1)
        breaker.succeeded()
        self.assertEqual(paused(), 0)


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        self.upstream = self.bench.upstream

    def test_a_page(self) -> None:
        told = project("acme", file("acme-1.0.tar.gz"))
        self.upstream.on(ACME, page(told))
        got = self.successResultOf(self.bench.ask())
        self.assertEqual(got.page, told)
        self.assertFalse(got.stale)
        self.assertIsNone(got.warning)
        self.assertEqual(self.upstream.urls(), [ACME])
        self.assertIn("json", self.upstream.asked[0].header("accept") or "")

    def test_html_only(self) -> None:
        self.upstream.on(ACME, page(b'<a href="../../f/acme-1.0.tar.gz">x</a>'))
        got = self.successResultOf(self.bench.ask())
        self.assertEqual(
            got.page["files"][0]["url"], "https://up.example/f/acme-1.0.tar.gz"
        )

    def test_html_is_never_read_by_the_reactors_thread(self) -> None:
        for kind in ("text/html", "text/html; x=application/json", "application/x"):
            bench = Bench()
            bench.upstream.on(ACME, page(b"<a " * 5, kind))
            asked = bench.ask()
            asked.addErrback(lambda failure: failure.trap(UpstreamError))
            self.successResultOf(asked)
            self.assertEqual(bench.offload.processed, ["prepare_elsewhere"])

    def test_coded(self) -> None:
        body = gzip.compress(json.dumps(project("acme")).encode())
        kind = "application/vnd.pypi.simple.v1+json"
        self.upstream.on(ACME, page(body, kind, headers={"content-encoding": "gzip"}))
        self.assertEqual(self.successResultOf(self.bench.ask()).page["name"], "acme")

    def test_fresh_pages_are_not_asked_for(self) -> None:
        self.upstream.on(ACME, page(project("acme"), headers=MAX_AGE))
        self.assertIsNone(self.bench.upstreams.fresh(ACME_NAME))
        first = self.successResultOf(self.bench.ask())
        self.bench.clock.advance(599)
        fresh = self.bench.upstreams.fresh(ACME_NAME)
        assert fresh is not None
        self.assertIs(fresh.page, first.page)
        self.successResultOf(self.bench.ask())
        self.assertEqual(len(self.upstream.asked), 1)
        self.bench.clock.advance(2)
        self.assertIsNone(self.bench.upstreams.fresh(ACME_NAME))

    def test_asked_again_conditionally(self) -> None:
        self.upstream.on(ACME, page(project("acme"), etag='"1"', headers=MAX_AGE))
        first = self.successResultOf(self.bench.ask())
        self.bench.clock.advance(601)
        second = self.successResultOf(self.bench.ask())
        self.assertIs(second.page, first.page)
        self.assertEqual(self.upstream.asked[1].header("if-none-match"), '"1"')
        self.bench.clock.advance(599)
        self.assertIsNotNone(self.bench.upstreams.fresh(ACME_NAME))

    def test_asked_once_for_all(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        self.upstream.on(ACME, later(waiting), page(project("acme")))
        asking = [self.bench.ask() for _ in range(5)]
        # Who gives up does not take the others with him.
        asking[0].cancel()
        self.failureResultOf(asking[0])
        waiting.callback(b'{"files": [], "name": "acme"}')
        self.upstream.flush()
        self.assertEqual(len(self.upstream.asked), 1)
        for one in asking[1:]:
            self.assertEqual(self.successResultOf(one).page["name"], "acme")

    def test_what_becomes_known_meanwhile_is_judged_by(self) -> None:
        told = project("acme", file("acme-1.0.tar.gz"), file("acme-2.0.tar.gz"))
        large = [file(f"acme-1.{i}.tar.gz") for i in range(1, 400)]
        for more in ([], large):
            bench = Bench()
            waiting: Deferred[bytes] = Deferred()
            bench.upstream.on(ACME, later(waiting))
            early = bench.ask()
            bench.upstreams.judges.advisories = Malicious("2.0")
            late = bench.ask()
            body = {**told, "files": [*told["files"], *more]}
            waiting.callback(json.dumps(body).encode())
            bench.upstream.flush()
            for asked in (early, late):
                shown = self.successResultOf(asked).page
                names = [one["filename"] for one in shown["files"]]
                self.assertIn("acme-1.0.tar.gz", names)
                self.assertNotIn("acme-2.0.tar.gz", names)
            self.assertEqual(len(bench.upstream.asked), 1)

    def test_what_becomes_known_while_the_upstream_fails(self) -> None:
        told = project("acme", file("acme-1.0.tar.gz"), file("acme-2.0.tar.gz"))
        waiting: Deferred[bytes] = Deferred()
        self.upstream.on(ACME, page(told, headers=MAX_AGE), later(waiting))
        self.successResultOf(self.bench.ask())
        self.bench.clock.advance(601)
        asked = self.bench.ask()
        self.bench.upstreams.judges.advisories = Malicious("2.0")
        self.bench.clock.advance(HURRY)
        names = [one["filename"] for one in self.successResultOf(asked).page["files"]]
        self.assertEqual(names, ["acme-1.0.tar.gz"])

    def test_not_to_be_kept(self) -> None:
        no_store = {"cache-control": "no-store"}
        self.upstream.on(ACME, page(project("acme"), headers=no_store), status(500))
        self.successResultOf(self.bench.ask())
        self.failureResultOf(self.bench.ask(), UpstreamError)

    def test_large_pages_go_to_a_helper(self) -> None:
        many = [file(f"acme-1.{i}.tar.gz") for i in range(400)]
        self.upstream.on(ACME, page(project("acme", *many)))
        got = self.successResultOf(self.bench.ask())
        self.assertEqual(len(got.page["files"]), 400)
        self.assertEqual(self.bench.offload.processed, ["prepare_elsewhere"])
        self.assertEqual(self.bench.offload.threaded, [])

    def test_a_bomb_goes_to_a_helper(self) -> None:
        """By its size when unpacked: 8 kB can become megabytes of objects."""
        page_of_nothing = b'{"files": [%b]}' % b",".join([b"{}"] * 300_000)
        body = gzip.compress(page_of_nothing)
        self.assertLess(len(body), 8192)
        self.upstream.on(ACME, page(body, JSON, headers={"content-encoding": "gzip"}))
        self.successResultOf(self.bench.ask())
        self.assertEqual(self.bench.offload.processed, ["prepare_elsewhere"])

    def test_huge_pages_are_compressed_on_their_way(self) -> None:
        huge = file("acme-1.0.tar.gz", note="x" * SQUEEZED_FROM)
        self.upstream.on(ACME, page(project("acme", huge)))
        got = self.successResultOf(self.bench.ask())
        self.assertEqual(got.page["files"][0]["note"], huge["note"])
        self.assertEqual(self.bench.offload.threaded, ["squeezed"])

    def test_so_many_at_once(self) -> None:
        names = [project_name(f"p{number}") for number in range(AT_ONCE + 3)]
        waiting: dict[str, Deferred[bytes]] = {name: Deferred() for name in names}
        for name in names:
            self.upstream.on(f"{BASE}{name}/", later(waiting[name]))
        asking = [self.bench.ask(name) for name in names]
        self.assertEqual(len(self.upstream.asked), AT_ONCE)
        for one in waiting.values():
            one.callback(b'{"files": []}')
            self.upstream.flush()
        for asked in asking:
            self.successResultOf(asked)

    def test_whoever_leaves_before_his_turn_is_not_asked_for(self) -> None:
        """Else who asks and hangs up, again and again, keeps all others waiting."""
        names = [project_name(f"p{number}") for number in range(AT_ONCE + 2)]
        answer: Deferred[bytes] = Deferred()
        for name in names:
            self.upstream.on(f"{BASE}{name}/", page(b'{"files": []}', JSON))
        self.upstream.on(f"{BASE}p0/", later(answer))
        for name in names[1:AT_ONCE]:
            self.upstream.on(f"{BASE}{name}/", silent)
        asking = [self.bench.ask(name) for name in names]
        shared = self.bench.ask(names[-1])
        for leaves in asking[-2:]:
            leaves.cancel()
            self.failureResultOf(leaves, CancelledError)
        answer.callback(b'{"files": []}')
        self.upstream.flush()
        self.successResultOf(shared)
        self.assertNotIn(f"{BASE}{names[-2]}/", self.upstream.urls())
        self.successResultOf(self.bench.ask(names[-2]))

    def test_nobody_who_hung_up_keeps_a_helper_from_others(self) -> None:
        slow = SlowOffload()
        self.bench = Bench(offload=slow)
        names = [project_name(f"p{number}") for number in range(6)]
        for name in names:
            self.upstream_of(self.bench, name)
        one, two, three, four, *_ = asking = [self.bench.ask(name) for name in names]
        self.assertEqual(len(slow.jobs), 6)
        # One that waits for a helper ends at once; one that is worked on goes on.
        four.cancel()
        self.assertTrue(slow.jobs[3].called)
        for late in asking[4:]:
            late.cancel()
        three.cancel()
        self.assertTrue(slow.jobs[2].called)
        two.cancel()
        self.assertFalse(slow.jobs[1].called)
        # Until somebody needs its place.
        self.bench.ask(names[5])
        self.assertTrue(slow.jobs[1].called)
        self.assertFalse(slow.jobs[0].called)
        slow.finish(0)
        self.successResultOf(one)
        for gone in (*asking[1:],):
            self.failureResultOf(gone, CancelledError)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_who_comes_again_finds_what_was_found_out(self) -> None:
        slow = SlowOffload()
        self.bench = Bench(offload=slow)
        names = [project_name(f"p{number}") for number in range(3)]
        for name in names:
            self.upstream_of(self.bench, name)
        first, second = (self.bench.ask(name) for name in names[:2])
        first.cancel()
        second.cancel()
        again = self.bench.ask(names[1])
        self.bench.ask(names[2])
        # Somebody waits for the second again.
        self.assertEqual([job.called for job in slow.jobs], [True, False, False])
        slow.finish(1)
        self.successResultOf(again)
        for gone in (first, second):
            self.failureResultOf(gone, CancelledError)
        self.successResultOf(self.bench.ask(names[1]))
        self.assertEqual(len(slow.jobs), 3)

    def test_who_hung_up_before_its_page_came(self) -> None:
        slow = SlowOffload()
        self.bench = Bench(offload=slow)
        names = [project_name(f"p{number}") for number in range(3)]
        for name in names[:2]:
            self.upstream_of(self.bench, name)
            self.bench.ask(name)
        answer: Deferred[bytes] = Deferred()
        self.bench.upstream.on(f"{BASE}{names[2]}/", later(answer))
        left = self.bench.ask(names[2])
        left.cancel()
        answer.callback(b"{" + b" " * INLINE + b'"files": []}')
        self.bench.upstream.flush()
        self.failureResultOf(left, CancelledError)
        self.assertEqual(len(slow.jobs), 2)

    def upstream_of(self, bench: Bench, name: NormalizedName) -> None:
        large = b"{" + b" " * INLINE + b'"files": []}'
        bench.upstream.on(f"{BASE}{name}/", page(large, JSON))

    def test_what_is_remembered_stays_in_line(self) -> None:
        self.upstream.on(ACME, page(project("acme")))
        self.successResultOf(self.bench.ask())
        self.bench.clock.advance(UNTOLD + 1)
        answer: Deferred[bytes] = Deferred()
        self.upstream.on(f"{BASE}p0/", later(answer))
        for number in range(1, AT_ONCE):
            self.upstream.on(f"{BASE}p{number}/", silent)
        for number in range(AT_ONCE):
            self.bench.ask(project_name(f"p{number}"))
        asking = self.bench.ask()
        self.bench.clock.advance(HURRY)
        self.assertTrue(self.successResultOf(asking).stale)
        answer.callback(b'{"files": []}')
        self.upstream.flush()
        self.assertEqual(self.upstream.urls()[-1], ACME)
        self.assertFalse(self.successResultOf(self.bench.ask()).stale)

    def test_a_clock_that_is_set_back(self) -> None:
        self.upstream.on(ACME, page(project("acme"), headers=MAX_AGE))
        self.successResultOf(self.bench.ask())
        self.bench.clock.rightNow -= 3600
        self.assertIsNone(self.bench.upstreams.fresh(ACME_NAME))

    def test_the_least_used_goes_first(self) -> None:
        bench = Bench(cache_memory=3000)
        for name in ("acme", "beta", "gamma"):
            bench.upstream.on(f"{BASE}{name}/", page(project(name), headers=MAX_AGE))
        beta = project_name("beta")
        self.successResultOf(bench.ask())
        self.successResultOf(bench.ask(beta))
        self.successResultOf(bench.ask())
        self.successResultOf(bench.ask(project_name("gamma")))
        self.assertIsNotNone(bench.upstreams.fresh(ACME_NAME))
        self.assertIsNone(bench.upstreams.fresh(beta))


class AbsenceTests(SynchronousTestCase):
    def test_remembered_briefly(self) -> None:
        bench = Bench(absent_for=30)
        for _ in range(3):
            failure = self.failureResultOf(bench.ask(), NotFound)
            self.assertIn("There is no acme here, nor in", failure.value.message)
        self.assertEqual(len(bench.upstream.asked), 1)
        bench.clock.advance(31)
        bench.upstream.on(ACME, page(project("acme")))
        self.successResultOf(bench.ask())

    def test_a_failure_is_no_absence(self) -> None:
        bench = Bench(absent_for=30)
        self.failureResultOf(bench.ask(), NotFound)
        bench.clock.advance(31)
        bench.upstream.on(ACME, status(500))
        self.failureResultOf(bench.ask(), UpstreamError)

    def test_what_is_gone_upstream_is_gone(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, page(project("acme")), status(404))
        self.successResultOf(bench.ask())
        bench.clock.advance(UNTOLD + 1)
        self.failureResultOf(bench.ask(), NotFound)


class FailureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(stale_for=DAY)
        self.logged: list[Any] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            self.logged.append(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def test_the_last_known_page(self) -> None:
        failures: list[Any] = [
            status(500),
            status(403),
            truncated(b"{"),
            page(b"nonsense", "image/png"),
            page(b"{", "application/json"),
            page(project("evil")),
        ]
        self.bench.upstream.on(ACME, page(project("acme"), headers=MAX_AGE), *failures)
        self.successResultOf(self.bench.ask())
        for count, _ in enumerate(failures, 1):
            self.bench.clock.advance(700)
            got = self.successResultOf(self.bench.ask())
            self.assertTrue(got.stale)
            self.assertEqual(got.page["name"], "acme")
            self.assertEqual(self.bench.upstreams.pages.served_stale, count)
        self.assertIn('111 pypicloud "Revalidation Failed', got.warning or "")
        self.assertIn("4200 s old", got.warning or "")
        self.assertTrue(
            any("served as last known" in event["log_format"] for event in self.logged)
        )

    def test_not_for_ever(self) -> None:
        self.bench.upstream.on(ACME, page(project("acme")), status(500))
        self.successResultOf(self.bench.ask())
        self.bench.clock.advance(DAY + 1)
        failure = self.failureResultOf(self.bench.ask(), UpstreamError)
        self.assertIn("status 500", failure.value.message)

    def test_unknown(self) -> None:
        self.bench.upstream.refuses.add(HOST)
        failure = self.failureResultOf(self.bench.ask(), UpstreamError)
        self.assertEqual(failure.value.status, 502)
        self.assertIn("up.example cannot be reached", failure.value.message)

    def test_a_dead_upstream_delays_once(self) -> None:
        self.bench.upstream.on(ACME, page(project("acme")), silent)
        self.successResultOf(self.bench.ask())
        self.bench.clock.advance(UNTOLD + 1)
        asking = self.bench.ask()
        self.bench.wait(36)
        self.assertTrue(self.successResultOf(asking).stale)
        self.assertTrue(self.successResultOf(self.bench.ask()).stale)
        self.failureResultOf(self.bench.ask(project_name("beta")), Closed)

    def test_what_cannot_be_read_is_not_read_again_at_once(self) -> None:
        self.bench.upstream.on(ACME, page(b"{", "application/json"))
        failure = self.failureResultOf(self.bench.ask(), UpstreamError)
        self.assertIn("is damaged JSON", failure.value.message)
        failure = self.failureResultOf(self.bench.ask(), UpstreamError)
        self.assertIn("a moment ago could not be read", failure.value.message)
        self.assertEqual(len(self.bench.upstream.asked), 1)
        self.bench.clock.advance(31)
        self.bench.upstream.on(ACME, page(project("acme")))
        self.successResultOf(self.bench.ask())
        said = [formatEvent(event) for event in self.logged]
        self.assertEqual(len(said), 2)
        self.assertIn(
            f"upstream index at https://{HOST} fails: acme: The page", said[0]
        )
        self.assertIn("is back, after 31 s", said[1])

    def test_a_slow_upstream_keeps_nobody_from_what_is_known(self) -> None:
        slow: Deferred[bytes] = Deferred()
        self.bench.upstream.on(ACME, page(project("acme")), later(slow))
        self.successResultOf(self.bench.ask())
        self.bench.clock.advance(60)
        asking = self.bench.ask()
        self.bench.wait(4.9)
        self.assertNoResult(asking)
        self.bench.wait(0.2)
        self.assertTrue(self.successResultOf(asking).stale)
        # The question goes on, and its answer is for who asks next.
        slow.callback(b'{"files": [], "name": "acme", "new": 1}')
        self.bench.upstream.flush()
        fresh = self.bench.upstreams.fresh(ACME_NAME)
        assert fresh is not None
        self.assertEqual(fresh.page["new"], 1)

    def test_a_slow_upstream_is_waited_for_once(self) -> None:
        """Who installs asks for one page after the other; an answer ends it."""
        other, slow = project_name("other"), [Deferred[bytes]() for _ in range(4)]
        self.bench.upstream.on(ACME, page(project("acme")), *map(later, slow[:2]))
        url = f"{BASE}other/"
        self.bench.upstream.on(url, page(project("other")), *map(later, slow[2:]))
        for name in (ACME_NAME, other):
            self.successResultOf(self.bench.ask(name))
        self.bench.clock.advance(60)
        first = self.bench.ask()
        self.bench.wait(5.1)
        self.assertTrue(self.successResultOf(first).stale)
        second = self.bench.ask(other)
        self.bench.clock.advance(0)
        self.assertTrue(self.successResultOf(second).stale)
        # Both are still asked for.
        slow[0].callback(b'{"files": [], "name": "acme"}')
        self.bench.upstream.flush()
        third = self.bench.ask(other)
        self.bench.clock.advance(1)
        self.assertNoResult(third)
        slow[2].callback(b'{"files": [], "name": "other"}')
        self.bench.upstream.flush()
        self.assertFalse(self.successResultOf(third).stale)

    def test_a_busy_helper_is_no_reason_to_show_nothing(self) -> None:
        class Full(InlineOffload):
            def in_process(
                self, function: Callable[[*Ts], T], *args: *Ts
            ) -> Deferred[T]:
                return fail(Unavailable("The server is busy."))

        many = [file(f"acme-1.{i}.tar.gz") for i in range(400)]
        self.bench.upstream.on(
            ACME, page(project("acme")), page(project("acme", *many))
        )
        self.successResultOf(self.bench.ask())
        self.bench.clock.advance(60)
        self.bench.upstreams.pages.offload = Full()
        self.assertTrue(self.successResultOf(self.bench.ask()).stale)

    def test_what_nobody_foresaw_is_a_failure_of_the_upstreams(self) -> None:
        class Broken(InlineOffload):
            def in_process(
                self, function: Callable[[*Ts], T], *args: *Ts
            ) -> Deferred[T]:
                return fail(MemoryError())

        self.bench.upstream.on(ACME, page(project("acme")), page(b"<a>"))
        self.successResultOf(self.bench.ask())
        self.bench.clock.advance(60)
        self.bench.upstreams.pages.offload = Broken()
        self.assertTrue(self.successResultOf(self.bench.ask()).stale)
        self.assertTrue(self.successResultOf(self.bench.ask()).stale)
        self.assertEqual(len(self.bench.upstream.asked), 2)
        self.assertEqual(len(self.flushLoggedErrors(MemoryError)), 1)

    def test_a_failure_while_preparing_is_an_answer_too(self) -> None:
        class Stuck(InlineOffload):
            def in_process(
                self, function: Callable[[*Ts], T], *args: *Ts
            ) -> Deferred[T]:
                return Deferred()

        self.bench.upstreams.pages.offload = Stuck()
        body = gzip.compress(bytes(100_000)) * 200
        self.bench.upstream.on(
            ACME, page(body, "text/html", headers={"content-encoding": "gzip"})
        )
        asking = self.bench.ask()
        self.assertNoResult(asking)
        self.bench.clock.advance(61)
        failure = self.failureResultOf(asking, UpstreamError)
        self.assertIn("took more than 60 s", failure.value.message)


class SeveralTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(BASE, OTHER)

    def test_the_first_that_has_it(self) -> None:
        self.bench.upstream.on(f"{OTHER}acme/", page(project("acme"), etag='"o"'))
        for _ in range(2):
            got = self.successResultOf(self.bench.ask())
            self.assertEqual(got.source, 1)
            self.bench.clock.advance(60)
        self.assertEqual(self.bench.upstream.urls(), [ACME, f"{OTHER}acme/"] * 2)
        # Only the one that gave the page is asked about it.
        self.assertIsNone(self.bench.upstream.asked[2].header("if-none-match"))
        self.assertEqual(self.bench.upstream.asked[3].header("if-none-match"), '"o"')

    def test_a_failing_one_is_not_passed_over(self) -> None:
        self.bench.upstream.on(ACME, status(500))
        self.bench.upstream.on(f"{OTHER}acme/", page(project("acme")))
        self.failureResultOf(self.bench.ask(), UpstreamError)
        self.assertEqual(self.bench.upstream.urls(), [ACME])

    def test_an_earlier_one_takes_over(self) -> None:
        self.bench.upstream.on(f"{OTHER}acme/", page(project("acme")))
        self.assertEqual(self.successResultOf(self.bench.ask()).source, 1)
        self.bench.clock.advance(60)
        self.bench.upstream.on(ACME, page(project("acme")))
        self.assertEqual(self.successResultOf(self.bench.ask()).source, 0)


class RuleTests(SynchronousTestCase):
    def test_what_is_refused_is_not_asked_for(self) -> None:
        bench = Bench(
            rules=UpstreamRules(
                private=(RuleEntry("acme*"),), deny=(RuleEntry("evil"),)
            )
        )
        self.failureResultOf(bench.ask(), NotFound)
        self.failureResultOf(bench.ask(project_name("evil")), Forbidden)
        for name in ("acme", "evil"):
            asked = started(bench.upstreams.legacy_json(project_name(name), None, HERE))
            self.failureResultOf(asked)
        self.assertEqual(bench.upstream.asked, [])

    def test_where_clients_are_sent(self) -> None:
        bench = Bench(
            "https://u:p@up.example/simple", rules=UpstreamRules(deny=(RuleEntry("x"),))
        )
        self.assertEqual(bench.upstreams.address(ACME_NAME), ACME)
        self.assertRaises(Forbidden, bench.upstreams.address, project_name("x"))

    def test_what_is_too_young_appears_in_time(self) -> None:
        bench = Bench(rules=UpstreamRules(min_age=DAY))
        young = file("acme-1.0.tar.gz", uploaded=moment(START - DAY + 60))
        year = {"cache-control": "max-age=86000"}
        bench.upstream.on(ACME, page(project("acme", young), etag='"1"', headers=year))
        self.assertEqual(self.successResultOf(bench.ask()).page["files"], [])
        bench.clock.advance(59)
        self.assertIsNotNone(bench.upstreams.fresh(ACME_NAME))
        bench.clock.advance(2)
        got = self.successResultOf(bench.ask())
        self.assertEqual(len(got.page["files"]), 1)
        # What is kept is the page without the file: unchanged would be of no use.
        self.assertIsNone(bench.upstream.asked[1].header("if-none-match"))


class KeptTests(SynchronousTestCase):
    def test_an_upstream_that_is_cut_off(self) -> None:
        bench = Bench(keep=True)
        told = project("acme", file("acme-1.0.tar.gz"))
        bench.upstream.on(ACME, page(told, etag='"1"'))
        self.successResultOf(bench.ask())
        later = Bench(keep=True, store=bench.store)
        later.upstream.refuses.add(HOST)
        later.clock.advance(3600)
        got = self.successResultOf(later.ask())
        self.assertEqual(got.page, told)
        self.assertTrue(got.stale)
        self.assertEqual(got.age, 3600)
        # It is back: what was kept is confirmed.
        later.upstream.refuses.clear()
        later.upstream.on(ACME, page(told, etag='"1"'))
        later.clock.advance(60)
        self.assertFalse(self.successResultOf(later.ask()).stale)
        self.assertEqual(later.upstream.asked[-1].header("if-none-match"), '"1"')

    def test_what_is_gone_does_not_come_back(self) -> None:
        """Malware that was taken off, for one, while the upstream fails later."""
        bench = Bench(keep=True, absent_for=30)
        bench.upstream.on(ACME, page(project("acme")))
        self.successResultOf(bench.ask())
        later = Bench(keep=True, absent_for=30, store=bench.store)
        later.upstream.on(ACME, status(404), status(500))
        self.failureResultOf(later.ask(), NotFound)
        later.clock.advance(31)
        self.failureResultOf(later.ask(), UpstreamError)
        self.assertNotIn(page_key("acme"), bench.store.objects)

    def test_rules_hold_for_what_was_kept(self) -> None:
        bench = Bench(keep=True)
        bench.upstream.on(ACME, page(project("acme", file("acme-1.0.tar.gz"))))
        self.successResultOf(bench.ask())
        rules = UpstreamRules(deny=(RuleEntry.parse("acme==1.0"),))
        later = Bench(keep=True, store=bench.store, rules=rules)
        later.upstream.refuses.add(HOST)
        self.assertEqual(self.successResultOf(later.ask()).page["files"], [])

    def test_what_never_changes_does_not_grow_old(self) -> None:
        bench = Bench(keep=True, stale_for=8 * DAY)
        bench.upstream.on(ACME, page(project("acme"), etag='"1"'))
        for _ in range(10):
            self.successResultOf(bench.ask())
            bench.clock.advance(DAY + 1)
        later = Bench(keep=True, store=bench.store, stale_for=8 * DAY)
        later.clock.advance(15 * DAY)
        later.upstream.refuses.add(HOST)
        self.assertTrue(self.successResultOf(later.ask()).stale)
        later.clock.advance(3 * DAY)
        self.failureResultOf(later.ask(), UpstreamError)

    def test_an_upstream_that_is_no_longer_configured(self) -> None:
        bench = Bench(keep=True)
        bench.upstream.on(ACME, page(project("acme")))
        self.successResultOf(bench.ask())
        later = Bench(OTHER, keep=True, store=bench.store)
        later.upstream.refuses.add("other.example")
        self.failureResultOf(later.ask(), UpstreamError)

    def test_what_is_kept_is_damaged(self) -> None:
        bench = Bench(keep=True)
        bench.upstream.on(ACME, page(project("acme")))
        self.successResultOf(bench.ask())
        data = bench.store.objects[page_key("acme")].data
        for damaged in (b"", b"{}", b"{}\n", data[:-1], data + b"x", b"\xff\n"):
            bench.store.add(page_key("acme"), damaged)
            later = Bench(keep=True, store=bench.store)
            later.upstream.on(ACME, status(500))
            self.failureResultOf(later.ask(), UpstreamError)
        self.assertEqual(len(self.flushLoggedErrors()), 6)

    def test_a_store_that_is_away_does_not_matter(self) -> None:
        bench = Bench(keep=True)
        bench.store.fail_next("put", RuntimeError("away"))
        bench.upstream.on(ACME, page(project("acme")))
        self.successResultOf(bench.ask())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class LegacyTests(SynchronousTestCase):
    URL = "https://up.example/pypi/acme/json"

    def legacy(self, latest: str, *versions: tuple[str, str | None]) -> Document:
        releases = {
            version: [
                {
                    "filename": f"acme-{version}.tar.gz",
                    "upload_time_iso_8601": uploaded,
                    "digests": {"sha256": "x"},
                }
            ]
            for version, uploaded in versions
        }
        info = {"name": "acme", "version": latest}
        return {
            "info": info,
            "last_serial": 3,
            "releases": releases,
            "urls": releases.get(latest, []),
            "vulnerabilities": [],
        }

    def ask(self, bench: Bench, version: str | None = None) -> Any:
        asked = started(bench.upstreams.legacy_json(ACME_NAME, version, HERE))
        body, warning = self.successResultOf(asked)
        self.assertIsNone(warning)
        return json.loads(body)

    def test_an_upstream_that_fails(self) -> None:
        bench = Bench()
        told = self.legacy("1.0", ("1.0", moment(START - DAY)))
        bench.upstream.on(self.URL, page(told), status(500))
        self.ask(bench)
        bench.clock.advance(UNTOLD + 1)
        asked = started(bench.upstreams.legacy_json(ACME_NAME, None, HERE))
        body, warning = self.successResultOf(asked)
        self.assertEqual(json.loads(body), told)
        self.assertIn("Revalidation Failed", warning or "")

    def test_as_it_is(self) -> None:
        bench = Bench()
        told = self.legacy("1.0", ("1.0", None))
        bench.upstream.on(self.URL, page(told, "application/json", headers=MAX_AGE))
        self.assertEqual(self.ask(bench), told)
        self.ask(bench)
        # Its page is asked for as well: whether it is quarantined stands there.
        self.assertEqual(len(bench.upstream.asked), 2)

    def test_a_release(self) -> None:
        bench = Bench()
        told = self.legacy("1.0", ("1.0", None))
        url = "https://up.example/pypi/acme/1.0/json"
        bench.upstream.on(url, page(told, "application/json"))
        del told["releases"]
        self.assertEqual(self.ask(bench, "1.0"), told)

    def test_no_release(self) -> None:
        bench = Bench()
        for version in ("..", "../../x", "1" * 300, "", "1/2"):
            asked = started(bench.upstreams.legacy_json(ACME_NAME, version, HERE))
            failure = self.failureResultOf(asked, NotFound)
            self.assertIn("no such release", failure.value.message)
        self.assertEqual(bench.upstream.asked, [])

    def test_the_newest_is_hidden(self) -> None:
        bench = Bench(rules=UpstreamRules(deny=(RuleEntry.parse("acme>=2"),)))
        releases = (("1.0", None), ("1.1rc1", None), ("2.0", None))
        bench.upstream.on(self.URL, page(self.legacy("2.0", *releases)))
        bench.upstream.on(
            "https://up.example/pypi/acme/1.0/json",
            page(self.legacy("1.0", releases[0])),
        )
        got = self.ask(bench)
        self.assertEqual(got["info"]["version"], "1.0")
        self.assertEqual(got["urls"][0]["filename"], "acme-1.0.tar.gz")
        self.assertEqual(list(got["releases"]), ["1.0", "1.1rc1"])

    def test_all_is_hidden(self) -> None:
        bench = Bench(rules=UpstreamRules(min_age=DAY))
        bench.upstream.on(self.URL, page(self.legacy("1.0", ("1.0", moment(START)))))
        asked = started(bench.upstreams.legacy_json(ACME_NAME, None, HERE))
        failure = self.failureResultOf(asked, RefusedByRule)
        self.assertEqual(failure.value.rule, "min-age")
        # It appears when it is old enough.
        bench.clock.advance(DAY + 1)
        self.assertEqual(self.ask(bench)["info"]["version"], "1.0")

    def test_a_release_that_is_denied(self) -> None:
        """As its files are, by their addresses."""
        rules = UpstreamRules(
            deny=(RuleEntry.parse("acme==2.*"),), denied_message="Ask Ann."
        )
        bench = Bench(rules=rules)
        asked = started(bench.upstreams.legacy_json(ACME_NAME, "2.0", HERE))
        failure = self.failureResultOf(asked, Forbidden)
        self.assertEqual(
            failure.value.message,
            "This version of acme 2.0 is denied here (upstream.deny). Ask Ann.",
        )
        self.assertEqual(bench.upstream.asked, [])

    def test_links_to_this_server(self) -> None:
        """As the project's page has them; they are found by these addresses."""
        told = file("acme-1.0+a.tar.gz"), {**file("acme-1.0.zip"), "hashes": {}}
        bench = Bench(own_links=True)
        bench.upstream.on(ACME, page(project("acme", *told)))
        links = [one["url"] for one in self.successResultOf(bench.ask()).page["files"]]
        files = [
            {
                "filename": one["filename"],
                "url": one["url"],
                "digests": one["hashes"],
                "has_sig": True,
            }
            for one in told
        ]
        legacy = self.legacy("1.0")
        legacy |= {"urls": files, "releases": {"1.0": files}}
        legacy["info"]["summary"] = "\0/"
        bench.upstream.on(self.URL, page(legacy, "application/json"))
        got = self.ask(bench)
        self.assertEqual(got["info"]["summary"], "\0/")
        for shown in (got["urls"], got["releases"]["1.0"]):
            self.assertEqual(
                [one["url"] for one in shown],
                [f"{HERE}/{link.removeprefix('../../')}" for link in links],
            )
            self.assertEqual([one["has_sig"] for one in shown], [False, False])

    def test_who_has_the_page_tells_the_rest(self) -> None:
        """Another index's project of that name may be somebody else's."""
        first = "https://devpi.example/root/+simple/"
        bench = Bench(first, BASE)
        bench.upstream.on(f"{first}acme/", page(project("acme")))
        bench.upstream.on(self.URL, page(self.legacy("1.0"), "application/json"))
        asked = started(bench.upstreams.legacy_json(ACME_NAME, None, HERE))
        self.failureResultOf(asked, NotFound)
        self.assertEqual(bench.upstream.urls(), [f"{first}acme/"])

    def test_nonsense(self) -> None:
        for body in (b"[]", b"{", b'{"info": 3}', b'{"info": {}, "urls": [3]}'):
            bench = Bench()
            bench.upstream.on(self.URL, page(body, "application/json"))
            asked = started(bench.upstreams.legacy_json(ACME_NAME, None, HERE))
            failure = self.failureResultOf(asked, UpstreamError)
            self.assertIn("is not of the JSON API", failure.value.message)

    def test_an_upstream_without_it(self) -> None:
        bench = Bench("https://devpi.example/root/+simple/")
        asked = started(bench.upstreams.legacy_json(ACME_NAME, None, HERE))
        self.failureResultOf(asked, NotFound)


class FreshnessTests(SynchronousTestCase):
    def test_told(self) -> None:
        for told, age, seconds in (
            ("max-age=600, public", None, 600.0),
            ("max-age=600", "100", 500.0),
            ("max-age=600", "700", 0.0),
            ("max-age=600, s-maxage=60", None, 60.0),
            ('MAX-AGE="30"', None, 30.0),
            ("max-age=600, no-cache", None, 0.0),
            ("private, max-age=600", None, 0.0),
            ("no-store", None, 0.0),
            ("max-age=soon", None, 0.0),
            ("max-age=-1", None, 0.0),
            ("max-age=99999999999999999999", None, LONGEST),
            ("", None, UNTOLD),
        ):
            self.assertEqual(fresh_for(told, age), seconds, told)
        self.assertFalse(may_keep("max-age=1, no-store"))

    @given(st.text(max_size=30), st.none() | st.text(max_size=5))
    def test_any_text_is_a_bounded_time(self, told: str, age: str | None) -> None:
        self.assertTrue(0 <= fresh_for(told, age) <= LONGEST)


class QuestionTests(SynchronousTestCase):
    def test_a_failed_question_fails_all_and_is_asked_anew(self) -> None:
        questions: Coalesced[int] = Coalesced()
        answer: Deferred[int] = Deferred()

        async def ask() -> int:
            return await answer

        both = [questions.ask("x", ask), questions.ask("x", ask)]
        answer.errback(Slow("x"))
        for one in both:
            self.failureResultOf(one, Slow)

        async def again() -> int:
            return 1

        self.assertEqual(self.successResultOf(questions.ask("x", again)), 1)
        self.assertTrue(issubclass(Refused, UpstreamError))
