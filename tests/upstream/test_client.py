"""Asking an upstream: patience, breaker, redirects, and whom nothing is sent to."""

from __future__ import annotations

import gzip
import json
import zlib
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.errors import NotFound, UpstreamError
from pypicloud_tw.outbound.guard import GuardedEndpoints, GuardedResolver, Rule
from pypicloud_tw.outbound.heads import MAX_HEAD, BoundedHeads
from pypicloud_tw.upstream.breaker import Breaker, Breakers, BreakerStanding
from pypicloud_tw.upstream.client import Client, NotModified, Validators
from pypicloud_tw.upstream.failures import (
    AskingFailed,
    Away,
    Busy,
    Closed,
    Failing,
    Refused,
    Slow,
    Truncated,
)
from pypicloud_tw.upstream.prepare import MAX_MEMBERS, PageResponse, unpack
from pypicloud_tw.upstream.source import ClientLimits, UpstreamIndex, sources
from tests.measures import least_cost
from tests.upstream.doubles import (
    BASE,
    HOST,
    FakeUpstream,
    clock,
    file,
    page,
    project,
    redirect,
    silent,
    stalled,
    started,
    status,
    truncated,
    unframed,
)

ACME = f"{BASE}acme/"
PAGE = project("acme", file("acme-1.0.tar.gz"))
PEER = IPv4Address("TCP", "1.1.1.1", 443)


class Bench:
    """A client, its upstream and its clock."""

    def __init__(self, url: str = BASE, **limits: Any) -> None:
        self.clock = clock()
        self.upstream = FakeUpstream()
        self.source = UpstreamIndex.parse(url)
        self.client = Client(
            self.upstream, self.clock, ClientLimits(**limits), "tests", lambda: 0.5
        )

    def ask(
        self, url: str = ACME, unless: Validators | None = None
    ) -> Deferred[PageResponse | NotModified]:
        return started(self.client.page(self.source, url, "application/json", unless))

    def wait(self, seconds: float) -> None:
        step = max(0.1, seconds / 100)
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.upstream.flush()


class AskingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        self.upstream = self.bench.upstream

    def answer(self, asked: Deferred[PageResponse | NotModified]) -> PageResponse:
        result = self.successResultOf(asked)
        assert isinstance(result, PageResponse)
        return result

    def test_a_page(self) -> None:
        self.upstream.on(
            ACME, page(PAGE, etag='"1"', headers={"cache-control": "max-age=60"})
        )
        answer = self.answer(self.bench.ask())
        self.assertEqual(json.loads(answer.body), PAGE)
        self.assertEqual(answer.etag, '"1"')
        self.assertEqual(answer.cache_control, "max-age=60")
        self.assertTrue(answer.whole)

    def test_what_is_sent(self) -> None:
        self.upstream.on(ACME, page(PAGE))
        self.answer(self.bench.ask())
        (asked,) = self.upstream.asked
        self.assertEqual(asked.header("accept"), "application/json")
        self.assertEqual(asked.headers.getRawHeaders("accept-encoding"), ["gzip"])
        self.assertEqual(asked.header("user-agent"), "tests")
        self.assertIsNone(asked.header("authorization"))

    def test_not_modified(self) -> None:
        self.upstream.on(ACME, page(PAGE, etag='"1"', headers={"age": "3"}))
        asked = self.bench.ask(unless=Validators('"1"', "then"))
        self.assertEqual(self.successResultOf(asked), NotModified("", "3"))
        self.assertEqual(self.upstream.asked[0].header("if-modified-since"), "then")

    def test_not_modified_unasked(self) -> None:
        self.upstream.on(ACME, status(304))
        failure = self.failureResultOf(self.bench.ask(), Refused)
        self.assertIn("status 304", failure.value.message)

    def test_coded_bytes_are_left_as_they_came(self) -> None:
        body = gzip.compress(b"page")
        self.upstream.on(ACME, page(body, headers={"content-encoding": "gzip"}))
        answer = self.answer(self.bench.ask())
        self.assertEqual((answer.coding, answer.body), ("gzip", body))

    def test_absent(self) -> None:
        for code in (404, 410):
            self.upstream.on(ACME, status(code))
            failure = self.failureResultOf(self.bench.ask(), NotFound)
            self.assertIn("has no such thing", failure.value.message)
        self.assertEqual(len(self.upstream.asked), 2)

    def test_absent_by_a_status_of_its_own(self) -> None:
        bench = Bench(absent=frozenset({403, 404, 410}))
        for code in (403, 404, 410):
            bench.upstream.on(ACME, status(code))
            self.failureResultOf(bench.ask(), NotFound)
        # A file that a page links to is there: this is a refusal.
        bench.upstream.on(f"{BASE}a.whl", status(403))
        opened = started(bench.client.open(bench.source, f"{BASE}a.whl"))
        failure = self.failureResultOf(opened, Refused)
        self.assertEqual(failure.value.message, f"{HOST} refuses us (status 403).")

    def test_who_is_blamed_for_a_refusal(self) -> None:
        for url, code, expected in (
            (BASE, 403, "if that is its answer for what it does not have, say so: "),
            (BASE, 403, "upstream.absent_statuses = 404, 403."),
            (BASE, 401, "it wants credentials, which pypi.fallback_url has not."),
            (f"https://u:p@{HOST}/simple/", 401, "the credentials in pypi.fallback_"),
            (f"https://u:p@{HOST}/simple/", 403, "the credentials in pypi.fallback_"),
            (BASE, 407, "a proxy that wants credentials (status 407)"),
        ):
            bench = Bench(url)
            bench.upstream.on(ACME, status(code))
            failure = self.failureResultOf(bench.ask(), Refused)
            self.assertIn(expected, failure.value.message)
            self.assertEqual("may be wrong" in failure.value.message, "@" in url)

    def test_no_other_status_is_absence(self) -> None:
        for code in (204, 206, 400, 401, 403, 405, 418, 451, 501):
            bench = Bench(retries=0)
            bench.upstream.on(ACME, status(code))
            failure = self.failureResultOf(bench.ask(), UpstreamError)
            self.assertIn(f"status {code}", failure.value.message)

    def test_cookies_are_not_kept(self) -> None:
        self.upstream.on(ACME, page(PAGE, headers={"set-cookie": "a=b"}))
        self.answer(self.bench.ask())
        self.answer(self.bench.ask())
        self.assertIsNone(self.upstream.asked[1].header("cookie"))

    def test_a_page_larger_than_its_bound(self) -> None:
        bench = Bench(page=100)
        bench.upstream.on(ACME, page(b"x" * 101))
        failure = self.failureResultOf(bench.ask(), UpstreamError)
        self.assertIn("is larger than 100 bytes", failure.value.message)

    def test_a_page_of_no_told_length_larger_than_its_bound(self) -> None:
        bench = Bench(page=100)
        bench.upstream.on(ACME, unframed(b"x" * 101, "text/html"))
        failure = self.failureResultOf(bench.ask(), UpstreamError)
        self.assertIn("is larger than 100 bytes", failure.value.message)

    def test_a_page_that_comes_byte_by_byte(self) -> None:
        """It takes no more memory than one that comes at once."""

        def drip(request: Any) -> bytes:
            for _ in range(100_000):
                request.write(b"x")
            return b"y"

        self.upstream.on(ACME, drip)
        answer = self.answer(self.bench.ask())
        self.assertEqual(answer.body, b"x" * 100_000 + b"y")
        self.assertLess(len(answer.pieces), 3)

    def test_an_unframed_page(self) -> None:
        self.upstream.on(ACME, unframed(b"<html></html>", "text/html"))
        asked = self.bench.ask()
        self.upstream.flush()
        self.assertFalse(self.answer(asked).whole)


class LimitTests(SynchronousTestCase):
    def test_absent_statuses(self) -> None:
        """What the ini adds to those that always mean absence."""
        for told, expected in (((403,), {403, 404, 410}), ((404,), {404, 410})):
            limits = ClientLimits.from_config(UpstreamSection(absent_statuses=told))
            self.assertEqual(limits.absent, expected)


class LogTests(SynchronousTestCase):
    """An upstream that is away is told of once a minute, and when it is back."""

    def test_away_and_back(self) -> None:
        bench = Bench(f"https://user:s3cr3t@{HOST}/simple/", retries=0)
        bench.upstream.refuses.add(HOST)
        with capturedLogs() as logs:
            for _ in range(90):
                self.failureResultOf(bench.ask(), AskingFailed)
                bench.wait(1)
            bench.upstream.refuses.clear()
            bench.wait(60)
            bench.upstream.on(ACME, page(PAGE))
            self.successResultOf(bench.ask())
        first, again, back = [formatEvent(event) for event in logs]
        self.assertEqual(
            first,
            f"The upstream index at {HOST} fails: {HOST} cannot be reached, or broke "
            "off (ConnectionRefusedError).",
        )
        self.assertIn("failures since it was last told", again)
        self.assertIn("is back, after 150 s", back)
        self.assertNotIn("s3cr3t", f"{first}{again}{back}")

    def test_refusals_are_told(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, status(403), status(404))
        with capturedLogs() as logs:
            self.failureResultOf(bench.ask(), Refused)
            self.failureResultOf(bench.ask(), NotFound)
        said = [formatEvent(event) for event in logs]
        self.assertIn("upstream.absent_statuses", said[0])
        self.assertIn("is back", said[1])
        self.assertEqual(len(said), 2)


class BoundTests(SynchronousTestCase):
    def test_a_bomb_is_not_unpacked(self) -> None:
        body = gzip.compress(bytes(10_000_000))
        answer = PageResponse(ACME, body, coding="gzip")
        error = self.assertRaises(UpstreamError, unpack, answer, 1000)
        self.assertIn("is larger than 1000 bytes", error.message)

    def test_very_many_gzip_files(self) -> None:
        # Each copied what followed it, and what had come before: minutes.
        blocks = gzip.compress(b"x" * 65536, 1) * 500
        answer = PageResponse(ACME, blocks, coding="gzip")
        self.assertEqual(len(unpack(answer, 2**27)), 500 * 65536)
        self.assertLess(least_cost(partial(unpack, answer, 2**27), 2), 5)
        empty = PageResponse(
            ACME, gzip.compress(b"") * (MAX_MEMBERS + 1), coding="gzip"
        )
        error = self.assertRaises(UpstreamError, unpack, empty, 2**27)
        self.assertIn("more than 10000 gzip files", error.message)

    def test_at_most_so_many_bytes(self) -> None:
        data = bytes(range(256)) * 1000
        for packed in (gzip.compress(data), zlib.compress(data, 0)):
            answer = PageResponse(ACME, packed, coding="gzip")
            self.assertEqual(unpack(answer, len(data)), data)
            self.assertRaises(UpstreamError, unpack, answer, len(data) - 1)

    def test_several_gzip_files_are_one(self) -> None:
        whole = gzip.compress(b"a" * 600) + gzip.compress(b"b" * 600)
        answer = PageResponse(ACME, whole, coding="gzip")
        self.assertEqual(unpack(answer, 1200), b"a" * 600 + b"b" * 600)
        self.assertRaises(UpstreamError, unpack, answer, 1199)
        cut = PageResponse(ACME, whole[:-9], coding="gzip")
        self.assertRaises(UpstreamError, unpack, cut, 1200)
        padded = PageResponse(ACME, gzip.compress(b"a") + bytes(9), coding="gzip")
        self.assertEqual(unpack(padded, 1), b"a")

    def test_damaged_coding(self) -> None:
        whole = gzip.compress(b"x" * 1000)
        for body in (whole[:-9], b"no", whole[:20] + b"!!" + whole[22:]):
            answer = PageResponse(ACME, body, coding="gzip")
            error = self.assertRaises(UpstreamError, unpack, answer, 10_000)
            self.assertIn("ended early or is damaged", error.message)

    def test_codings(self) -> None:
        self.assertEqual(unpack(PageResponse(ACME, b"x", coding="identity"), 10), b"x")
        self.assertEqual(
            unpack(PageResponse(ACME, gzip.compress(b""), coding="gzip"), 9), b""
        )
        error = self.assertRaises(
            UpstreamError, unpack, PageResponse(ACME, b"", coding="br"), 10
        )
        self.assertIn("coding that was not asked for", error.message)


class PatienceTests(SynchronousTestCase):
    def test_silence(self) -> None:
        bench = Bench(connect=5, first_byte=30)
        bench.upstream.on(ACME, silent)
        asked = bench.ask()
        bench.wait(34)
        self.assertNoResult(asked)
        bench.wait(1.5)
        failure = self.failureResultOf(asked, Slow)
        self.assertIn("up.example did not answer within 35 s", failure.value.message)
        # A timeout is not paid twice for one request.
        self.assertEqual(len(bench.upstream.asked), 1)

    def test_silence_amid_an_answer(self) -> None:
        bench = Bench(silence=10)
        bench.upstream.on(ACME, stalled(b"{", 100))
        asked = bench.ask()
        bench.wait(11)
        failure = self.failureResultOf(asked, Slow)
        self.assertIn("sent nothing for 10 s amid an answer", failure.value.message)

    def test_an_answer_that_drips(self) -> None:
        bench = Bench(silence=10, total=60)
        drips: list[Any] = []

        def drip(request: Any) -> Deferred[bytes]:
            request.setHeader(b"content-length", b"1000")
            drips.append(request)
            return Deferred()

        bench.upstream.on(ACME, drip)
        asked = bench.ask()
        for _ in range(13):
            drips[0].write(b"x")
            bench.wait(5)
        failure = self.failureResultOf(asked, Slow)
        self.assertIn("did not answer within 60 s", failure.value.message)

    def test_truncated(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, truncated(b'{"files": []}'))
        asked = bench.ask()
        bench.wait(5)
        failure = self.failureResultOf(asked, Truncated)
        self.assertIn("ended before its end", failure.value.message)
        self.assertEqual(len(bench.upstream.asked), 3)

    def test_truncated_once(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, truncated(b"{"), page(PAGE))
        asked = bench.ask()
        bench.wait(1)
        self.assertIsInstance(self.successResultOf(asked), PageResponse)

    def test_failing_once(self) -> None:
        for code in (500, 502, 503, 504):
            bench = Bench()
            bench.upstream.on(ACME, status(code), page(PAGE))
            asked = bench.ask()
            bench.wait(1)
            self.assertIsInstance(self.successResultOf(asked), PageResponse)

    def test_failing(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, status(500))
        asked = bench.ask()
        bench.wait(5)
        failure = self.failureResultOf(asked, Failing)
        self.assertIn("up.example answered with status 500", failure.value.message)
        self.assertEqual(len(bench.upstream.asked), 3)

    def test_no_connection(self) -> None:
        bench = Bench()
        bench.upstream.refuses.add(HOST)
        asked = bench.ask()
        bench.wait(5)
        failure = self.failureResultOf(asked, UpstreamError)
        self.assertIn("up.example", failure.value.message)

    def test_cancelled(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, silent, page(PAGE))
        asked = bench.ask()
        asked.cancel()
        self.failureResultOf(asked)
        bench.wait(5)
        # Nothing goes on behind the back of who gave up, and nothing was learned.
        self.assertEqual(len(bench.upstream.asked), 1)
        self.assertIsInstance(self.successResultOf(bench.ask()), PageResponse)


class BreakerTests(SynchronousTestCase):
    def test_a_dead_upstream_costs_its_timeout_once(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, silent)
        asked = bench.ask()
        bench.wait(36)
        self.failureResultOf(asked, Slow)
        failure = self.failureResultOf(bench.ask(), Closed)
        self.assertIn("did not answer within 35 s", failure.value.message)
        self.assertIn("That was a moment ago", failure.value.message)
        # pip would sleep that long, five times over.
        self.assertEqual(failure.value.headers, {})
        self.assertEqual(len(bench.upstream.asked), 1)

    def test_the_probe_is_short_and_alone(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, silent)
        asked = bench.ask()
        bench.wait(41)
        self.failureResultOf(asked, Slow)
        probe = bench.ask()
        self.failureResultOf(bench.ask(), Closed)
        bench.wait(3.2)
        self.failureResultOf(probe, Slow)
        # The next pause is longer.
        bench.wait(8)
        self.failureResultOf(bench.ask(), Closed)

    def test_the_probe_succeeds(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, silent, page(PAGE))
        asked = bench.ask()
        bench.wait(41)
        self.failureResultOf(asked, Slow)
        self.successResultOf(bench.ask())
        self.successResultOf(bench.ask())

    def test_failing_pages_open_it_after_some(self) -> None:
        bench = Bench(retries=0)
        bench.upstream.on(ACME, status(500))
        for _ in range(5):
            self.failureResultOf(bench.ask(), Failing)
        self.failureResultOf(bench.ask(), Closed)

    def test_another_upstream_is_not_concerned(self) -> None:
        bench = Bench(retries=0)
        bench.upstream.refuses.add(HOST)
        for _ in range(4):
            self.failureResultOf(bench.ask(), UpstreamError)
        other = "https://other.example/simple/acme/"
        bench.upstream.on(other, page(PAGE))
        self.successResultOf(bench.ask(other))

    def test_a_redirects_target_is_blamed(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, redirect("https://new.example/acme/", 302))
        bench.upstream.on("https://new.example/acme/", silent)
        asked = bench.ask()
        bench.wait(36)
        self.failureResultOf(asked, Slow)
        failure = self.failureResultOf(bench.ask(), Closed)
        self.assertIn("new.example", failure.value.message)
        beta = f"{BASE}beta/"
        bench.upstream.on(beta, page(PAGE))
        self.successResultOf(bench.ask(beta))

    def test_a_short_patience_is_sat_out(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, status(429, retry_after="1"), page(PAGE))
        asked = bench.ask()
        bench.wait(0.9)
        self.assertNoResult(asked)
        bench.wait(0.2)
        self.successResultOf(asked)

    def test_patience(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, status(429, retry_after="60"), page(PAGE))
        failure = self.failureResultOf(bench.ask(), Busy)
        self.assertIn("asks for patience (429)", failure.value.message)
        self.assertEqual(failure.value.headers, {"Retry-After": "30"})
        bench.wait(59)
        self.failureResultOf(bench.ask(), Closed)
        self.assertEqual(len(bench.upstream.asked), 1)
        bench.wait(2)
        self.successResultOf(bench.ask())

    def test_patience_as_a_date_and_its_bound(self) -> None:
        for told in ("Thu, 31 Dec 2099 23:59:59 GMT", "999999999999999"):
            bench = Bench()
            bench.upstream.on(ACME, status(503, retry_after=told), page(PAGE))
            self.failureResultOf(bench.ask(), Busy)
            bench.wait(607)
            self.successResultOf(bench.ask())

    def test_nonsense_patience(self) -> None:
        for told in ("soon", "-1", "Thu, 31 Dec 99999999999999999999 23:59:59 GMT"):
            bench = Bench()
            bench.upstream.on(ACME, status(429, retry_after=told))
            self.failureResultOf(bench.ask(), Busy)

    def test_a_clock_that_is_set_back(self) -> None:
        breaker = Breaker(("https", HOST, 443))
        breaker.failed(Slow("x"), 10_000.0)
        self.assertTrue(breaker.enter(0.0))

    def test_how_it_stands(self) -> None:
        breakers = Breakers()
        origin = "https", HOST, 443
        breaker = breakers.of(origin)
        self.assertEqual(breakers.standings(100.0), [BreakerStanding(origin)])
        breaker.failed(Slow("x"), 100.0)
        standing = BreakerStanding(origin, "x", 2.0)
        self.assertEqual(breakers.standings(103.0), [standing])
        self.assertEqual(breakers.standings(200.0)[0].wait, 0)
        breaker.succeeded()
        self.assertEqual(breakers.standings(200.0), [BreakerStanding(origin)])

    def test_failures_together_are_one_pause(self) -> None:
        breaker = Breaker(("https", HOST, 443))
        for _ in range(10):
            breaker.failed(Slow("x"), 100.0)
        self.assertTrue(breaker.enter(105.5))


class RedirectTests(SynchronousTestCase):
    NEW = "https://new.example/simple/"

    def moved(self, bench: Bench, *names: str) -> None:
        """Have the whole index moved: its root, and the pages of projects."""
        for name in ("", *(f"{name}/" for name in names)):
            bench.upstream.on(f"{BASE}{name}", redirect(f"{self.NEW}{name}"))
            bench.upstream.on(f"{self.NEW}{name}", page(PAGE))

    def test_a_move_is_remembered(self) -> None:
        bench = Bench()
        self.moved(bench, "acme", "beta")
        for name in ("acme", "beta"):
            self.successResultOf(bench.ask(f"{BASE}{name}/"))
        self.assertEqual(
            bench.upstream.urls(),
            [ACME, f"{self.NEW}acme/", BASE, self.NEW, f"{self.NEW}beta/"],
        )

    def test_a_projects_move_is_not_the_indexs(self) -> None:
        """The names of the other projects are not for whom it has moved to."""
        for root in (
            page(PAGE),
            redirect(self.NEW, 302),
            redirect("https://x.example/"),
        ):
            bench = Bench(retries=0)
            self.moved(bench, "acme")
            bench.upstream.on(BASE, root)
            bench.upstream.on(f"{BASE}beta/", page(PAGE))
            for _ in range(2):
                self.successResultOf(bench.ask())
                self.successResultOf(bench.ask(f"{BASE}beta/"))
            self.assertNotIn(f"{self.NEW}beta/", bench.upstream.urls())
            self.assertEqual(bench.upstream.urls().count(BASE), 1)

    def test_a_move_that_was_not_proved_is_asked_for_again(self) -> None:
        bench = Bench(retries=0)
        self.moved(bench, "acme")
        bench.upstream.on(BASE, redirect(BASE))
        self.successResultOf(bench.ask())
        bench.upstream.on(BASE, redirect(self.NEW))
        self.successResultOf(bench.ask())
        self.successResultOf(bench.ask())
        self.assertEqual(bench.upstream.urls().count(ACME), 2)
        self.assertEqual(bench.upstream.urls()[-1], f"{self.NEW}acme/")

    def test_a_temporary_move_is_not(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, redirect(f"{self.NEW}acme/", 302))
        bench.upstream.on(f"{self.NEW}acme/", page(PAGE))
        self.successResultOf(bench.ask())
        self.successResultOf(bench.ask())
        self.assertEqual(bench.upstream.urls()[2], ACME)

    def test_a_move_to_another_name_is_not(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, redirect(f"{self.NEW}other/"))
        bench.upstream.on(f"{self.NEW}other/", page(PAGE))
        self.successResultOf(bench.ask())
        self.successResultOf(bench.ask())
        self.assertEqual(bench.upstream.urls()[2], ACME)

    def test_a_move_is_forgotten_when_it_fails(self) -> None:
        bench = Bench(retries=0)
        self.moved(bench)
        bench.upstream.on(ACME, redirect(f"{self.NEW}acme/"), page(PAGE))
        bench.upstream.on(f"{self.NEW}acme/", page(PAGE), status(500))
        self.successResultOf(bench.ask())
        self.failureResultOf(bench.ask(), Failing)
        self.successResultOf(bench.ask())
        self.assertEqual(bench.upstream.urls()[-1], ACME)

    def test_absence_is_proved_at_the_configured_address(self) -> None:
        bench = Bench()
        self.moved(bench)
        bench.upstream.on(ACME, redirect(f"{self.NEW}acme/"), page(PAGE))
        bench.upstream.on(f"{self.NEW}acme/", page(PAGE), status(404))
        self.successResultOf(bench.ask())
        self.successResultOf(bench.ask())

    def test_a_loop(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, redirect(ACME))
        failure = self.failureResultOf(bench.ask(), Refused)
        self.assertIn("redirects in circles", failure.value.message)
        self.assertEqual(len(bench.upstream.asked), 6)

    def test_relative(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, redirect("../beta/"))
        bench.upstream.on(f"{BASE}beta/", page(PAGE))
        answer = self.successResultOf(bench.ask())
        assert isinstance(answer, PageResponse)
        self.assertEqual(answer.url, f"{BASE}beta/")

    def test_never_from_https_to_http(self) -> None:
        bench = Bench()
        bench.upstream.on(ACME, redirect("http://up.example/simple/acme/"))
        failure = self.failureResultOf(bench.ask(), Refused)
        self.assertIn("redirects from https to http", failure.value.message)
        self.assertEqual(len(bench.upstream.asked), 1)

    def test_from_http_to_https(self) -> None:
        bench = Bench("http://up.example/simple/")
        bench.upstream.on("http://up.example/simple/acme/", redirect(ACME))
        bench.upstream.on(ACME, page(PAGE))
        self.successResultOf(bench.ask("http://up.example/simple/acme/"))

    def test_nowhere(self) -> None:
        for there in ("file:///etc/passwd", "https://x:y/", "gopher://x/"):
            bench = Bench()
            bench.upstream.on(ACME, redirect(there))
            failure = self.failureResultOf(bench.ask(), Refused)
            self.assertIn("redirects", failure.value.message)
            self.assertEqual(len(bench.upstream.asked), 1)

    def test_plain_http_is_not_asked_for_an_https_upstream(self) -> None:
        bench = Bench()
        failure = self.failureResultOf(bench.ask("http://files.example/a"), Refused)
        self.assertIn("not https, which is not fetched", failure.value.message)
        self.assertEqual(bench.upstream.asked, [])


class CredentialTests(SynchronousTestCase):
    URL = "https://user:s3cr%20et@up.example/simple/"
    BASIC = "Basic dXNlcjpzM2NyIGV0"

    def authorizations(self, bench: Bench) -> list[str | None]:
        return [asked.header("authorization") for asked in bench.upstream.asked]

    def test_they_are_used(self) -> None:
        bench = Bench(self.URL)
        bench.upstream.on(ACME, page(PAGE))
        self.successResultOf(bench.ask())
        self.assertEqual(self.authorizations(bench), [self.BASIC])

    def test_they_go_to_no_other_host(self) -> None:
        for there in (
            "https://other.example/",
            "https://up.example:8443/",
            "https://x:y@other.example/",
        ):
            bench = Bench(self.URL)
            bench.upstream.on(ACME, redirect(there))
            self.failureResultOf(bench.ask(), NotFound)
            self.assertEqual(self.authorizations(bench), [self.BASIC, None])

    def test_they_go_to_the_https_side_of_the_host(self) -> None:
        bench = Bench("http://user:x@up.example/simple/")
        bench.upstream.on("http://up.example/simple/acme/", redirect(ACME))
        bench.upstream.on(ACME, page(PAGE))
        self.successResultOf(bench.ask("http://up.example/simple/acme/"))
        self.assertNotIn(None, self.authorizations(bench))

    def test_they_are_not_shown(self) -> None:
        bench = Bench(self.URL, retries=0)
        bench.upstream.on(ACME, status(401))
        failure = self.failureResultOf(bench.ask(), Refused)
        shown = f"{failure.value!r} {bench.source!r} {bench.client!r} {failure}"
        self.assertNotIn("s3cr", shown)
        self.assertNotIn(self.BASIC, shown)
        self.assertIn("the credentials in pypi.fallback_url", failure.value.message)

    @given(st.text(st.characters(exclude_characters="@/?#:[]"), min_size=6))
    def test_no_mistake_shows_them(self, secret: str) -> None:
        for url in (f"ftp://u:{secret}@h/", f"https://u:{secret}@h:x{secret}/"):
            error = self.assertRaises(ValueError, sources, [BASE, url])
            self.assertNotIn(secret, str(error).replace("number", ""))
            self.assertIn("pypi.fallback_url, number 2", str(error))


class SourceTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        source = UpstreamIndex.parse("https://up.example/root/simple")
        self.assertEqual(source.base, "https://up.example/root/simple/")
        self.assertEqual(
            source.project_url("acme"),  # type: ignore[arg-type]  # it is normalised
            "https://up.example/root/simple/acme/",
        )
        self.assertEqual(
            source.legacy_url("acme", "1!0"),  # type: ignore[arg-type]  # as above
            "https://up.example/root/pypi/acme/1%210/json",
        )
        other = UpstreamIndex.parse("https://up.example/root/+simple/")
        self.assertIsNone(other.legacy_url("acme", None))  # type: ignore[arg-type]


@implementer(IHostnameResolver)
class Resolver:
    """Knows one address of everything."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        resolutionReceiver.resolutionBegan(None)  # type: ignore[arg-type]  # unused
        for literal in self.addresses:
            kind = IPv6Address if ":" in literal else IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", literal, portNumber))
        resolutionReceiver.resolutionComplete()


class GuardTests(SynchronousTestCase):
    INSIDE = (
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "::10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b:1::a00:1",
        "fec0::1",
        "5f00::1",
        "nonsense",
    )

    def test_nothing_inside(self) -> None:
        for literal in self.INSIDE:
            self.assertFalse(Rule().allows("x.example", literal), literal)

    def test_the_world(self) -> None:
        for literal in ("1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"):
            self.assertTrue(Rule().allows("x.example", literal), literal)

    def test_what_the_ini_names(self) -> None:
        rule = Rule.of(["Devpi.corp.", "10.0.0.0/8", "[::1]", "192.168.7.7"])
        self.assertTrue(rule.allows("devpi.corp", "172.16.0.1"))
        self.assertTrue(rule.allows("DEVPI.corp.", "172.16.0.1"))
        self.assertTrue(rule.allows("any.example", "10.9.9.9"))
        self.assertTrue(rule.allows("any.example", "::ffff:10.9.9.9"))
        self.assertTrue(rule.allows("any.example", "::1"))
        self.assertTrue(rule.allows("any.example", "192.168.7.7"))
        self.assertFalse(rule.allows("any.example", "192.168.7.8"))

    def test_ports(self) -> None:
        """What else listens at a host that is named is not for a page to name."""
        rule = Rule.of(
            ["files.corp:8080", "devpi.corp", "10.0.0.0/8", "10.0.0.0/8:81", "[::1]:82"]
        )
        for host, literal, ports in (
            ("FILES.corp.", "10.1.1.1", {8080, 80, 81, 443}),
            ("files.corp", "192.168.0.1", {8080}),
            ("devpi.corp", "192.168.0.1", {80, 443}),
            ("x.example", "::ffff:10.1.1.1", {80, 81, 443}),
            ("x.example", "::1", {82}),
            ("x.example", "192.168.0.1", set()),
        ):
            tried = {22, 80, 81, 82, 443, 5432, 8080}
            allowed = {port for port in tried if rule.allows(host, literal, port)}
            self.assertEqual(allowed, ports, (host, literal))

    def test_the_upstreams_of_the_ini(self) -> None:
        rule = Rule.for_upstreams(
            ["http://127.0.0.1:3141/root/", "http://devpi.corp/", "https://[fd00::1]/"],
            ["files.corp:8080"],
        )
        for host, literal, ports in (
            ("127.0.0.1", "127.0.0.1", {3141}),
            ("devpi.corp", "10.0.0.1", {80, 443}),
            ("fd00::1", "fd00::1", {443}),
            ("files.corp", "10.0.0.1", {8080}),
            ("other.corp", "10.0.0.1", set()),
        ):
            tried = {22, 80, 443, 3141, 8080}
            allowed = {port for port in tried if rule.allows(host, literal, port)}
            self.assertEqual(allowed, ports, host)

    def test_names_that_a_proxy_resolves(self) -> None:
        rule = Rule.of(["10.0.0.0/8", "localhost:81"])
        for host in ("x.example", "1.1.1.1", "2606:4700::1111", "10.0.0.1", "10.1"):
            self.assertTrue(rule.allows_unresolved(host, 443), host)
        for host in (
            *self.INSIDE[:-1],
            "127.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "1.2.3.4.5",
            "localhost",
            "LocalHost.",
            "a.localhost",
        ):
            self.assertFalse(Rule().allows_unresolved(host, 443), host)
        self.assertTrue(rule.allows_unresolved("localhost", 81))

    def connect(
        self,
        *addresses: str,
        url: bytes = b"http://x.example/",
        rule: Rule = Rule(),  # noqa: B008  immutable
    ) -> Any:
        reactor = MemoryReactorClock()
        reactor.nameResolver = Resolver(*addresses)
        endpoints = GuardedEndpoints(reactor, rule, 5.0, BrowserLikePolicyForHTTPS())
        endpoint = endpoints.endpointForURI(URI.fromBytes(url))
        connecting = endpoint.connect(Factory.forProtocol(Protocol))
        connecting.addErrback(lambda f: f.trap(DNSLookupError))
        return [host for host, *_ in reactor.tcpClients], connecting

    def test_only_good_addresses_are_connected_to(self) -> None:
        hosts, _ = self.connect("10.0.0.1", "1.1.1.1")
        self.assertEqual(hosts, ["1.1.1.1"])

    def test_only_bad_addresses(self) -> None:
        for url in (b"http://x.example/", b"https://x.example/"):
            hosts, connecting = self.connect("10.0.0.1", "::1", url=url)
            self.assertEqual(hosts, [])
            self.assertIs(self.successResultOf(connecting), DNSLookupError)

    def test_only_the_named_port(self) -> None:
        rule = Rule.for_upstreams(["http://127.0.0.1:3141/simple/"], [])
        for port, expected in ((3141, ["127.0.0.1"]), (5432, [])):
            url = b"http://127.0.0.1:%d/" % port
            hosts, _ = self.connect("127.0.0.1", url=url, rule=rule)
            self.assertEqual(hosts, expected)

    def test_the_resolver(self) -> None:
        verifyObject(IHostnameResolver, GuardedResolver(Resolver(), Rule()))

    def test_how_it_is_told(self) -> None:
        bench = Bench(retries=0)

        bench.upstream.unresolved.add(HOST)
        failure = self.failureResultOf(bench.ask(), Away)
        self.assertIn("upstream.allow_private_hosts", failure.value.message)


class Collected(Protocol):
    """What reaches Twisted's client."""

    data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


@implementer(IStreamClientEndpoint)
class Connected:
    """A connection in memory."""

    def __init__(self) -> None:
        self.wire = StringTransport()
        self.outer: Any = None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        self.outer = protocolFactory.buildProtocol(PEER)
        self.outer.makeConnection(self.wire)
        return succeed(self.outer)


class HeadTests(SynchronousTestCase):
    """A head without end is cut off before it fills the memory."""

    START = b"HTTP/1.1 200 OK\r\n"
    LINE = b"X-A: b\r\n"
    BODY = bytes(2 * MAX_HEAD)

    def setUp(self) -> None:
        self.connection = Connected()
        connecting = BoundedHeads(self.connection).connect(
            Factory.forProtocol(Collected)
        )
        self.inner: Any = self.successResultOf(connecting)

    def come(self, *pieces: bytes) -> bool:
        """Receive something; tell whether the connection is still there."""
        for piece in pieces:
            self.connection.outer.dataReceived(piece)
        return not self.connection.wire.disconnected

    def test_bodies_have_no_bound_here(self) -> None:
        for end in (b"\r\n", b"\n"):
            self.inner.transport.writeSequence([b"GET", b" /"])
            self.assertTrue(self.come(self.START, end[:1], end[1:], self.BODY))
        self.assertEqual(self.connection.wire.value(), b"GET /GET /")
        self.assertEqual(self.inner.data.count(self.BODY), 2)

    def test_the_first_and_the_next(self) -> None:
        self.ends_without_end()
        for method, asked in (("write", b"GET"), ("writeSequence", [b"GET"])):
            self.setUp()
            self.come(self.START, b"\r\n", self.BODY)
            getattr(self.inner.transport, method)(asked)
            self.ends_without_end()

    def ends_without_end(self) -> None:
        before = len(self.inner.data)
        self.assertTrue(self.come(self.START, self.LINE * (MAX_HEAD // 8 - 4)))
        self.assertFalse(self.come(*[self.LINE] * 10))
        self.assertLessEqual(len(self.inner.data) - before, MAX_HEAD)
