"""Asking the servers of a source: who is told what, and how often."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.basic import Login
from pypicloud_tw.errors import Forbidden, NotFound, Unauthorized, UpstreamError
from pypicloud_tw.moving.http import ATTEMPTS
from pypicloud_tw.upstream.breaker import LONGEST_WAIT
from pypicloud_tw.upstream.failures import AskingFailed
from tests.moving.doubles import Bench, Site
from tests.upstream.doubles import BASE, page, redirect, status

ANN = Login("ann", "secret")
HEADER = "Basic YW5uOnNlY3JldA=="


def wants_log_in(request: Any) -> bytes:
    if request.getHeader(b"authorization") != HEADER.encode():
        request.setResponseCode(401)
        return b""
    return page({"a": 1})(request)  # type: ignore[no-any-return]  # it is at hand


class AskingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.site = Site()
        self.upstream = self.site.upstream
        self.bench = Bench(self.site)

    def json(self, url: str = BASE) -> Any:
        return self.bench.finish(self.site.http().json(url))

    def sent(self) -> list[str | None]:
        return [asked.header("authorization") for asked in self.upstream.asked]

    def test_a_document(self) -> None:
        self.upstream.on(BASE, page({"a": 1}))
        self.assertEqual(self.json(), {"a": 1})
        (asked,) = self.upstream.asked
        self.assertTrue((asked.header("user-agent") or "").startswith("pypicloud-"))

    def test_what_is_no_json(self) -> None:
        self.upstream.on(BASE, page(b"<html>"))
        with self.assertRaisesRegex(UpstreamError, "no JSON"):
            self.json()

    def test_a_log_in_is_sent_at_once(self) -> None:
        self.site.login = ANN
        self.upstream.on(BASE, wants_log_in)
        self.json()
        self.assertEqual(self.sent(), [HEADER])

    def test_a_log_in_is_asked_for_when_it_is_wanted(self) -> None:
        self.site.ask = lambda: ANN
        self.upstream.on(BASE, wants_log_in)
        http = self.site.http()
        for _ in range(2):
            self.bench.finish(http.json(BASE))
        self.assertEqual(self.sent(), [None, HEADER, HEADER])

    def test_of_many_that_want_one_it_is_asked_for_once(self) -> None:
        times = []

        def ask() -> Login:
            times.append(1)
            return ANN

        self.site.ask = ask
        self.upstream.on(BASE, wants_log_in)
        http = self.site.http()
        many = [Deferred.fromCoroutine(http.json(BASE)) for _ in range(3)]
        self.site.wait(1)
        for one in many:
            self.assertEqual(self.successResultOf(one), {"a": 1})
        self.assertEqual(len(times), 1)

    def test_a_log_in_that_is_wrong(self) -> None:
        self.site.login = Login("ann", "wrong")
        self.upstream.on(BASE, wants_log_in)
        with self.assertRaisesRegex(Unauthorized, "does not take this log-in"):
            self.json()

    def test_nobody_logs_in(self) -> None:
        self.upstream.on(BASE, wants_log_in)
        with self.assertRaisesRegex(Unauthorized, "give --username"):
            self.json()

    def test_another_host_is_not_told(self) -> None:
        self.site.login = ANN
        self.upstream.on(BASE, redirect("https://other.example/x", 302))
        self.upstream.on("https://other.example/x", page({}))
        self.json()
        self.assertEqual(self.sent(), [HEADER, None])

    def test_statuses(self) -> None:
        for code, error in ((403, Forbidden), (404, NotFound), (418, AskingFailed)):
            self.upstream.on(BASE, status(code))
            with self.assertRaises(error):
                self.json()
        self.assertEqual(len(self.upstream.asked), 3)

    def test_it_waits_as_long_as_it_is_told(self) -> None:
        self.upstream.on(BASE, status(429, retry_after="90"), page({}))
        asking = Deferred.fromCoroutine(self.site.http().json(BASE))
        self.site.wait(80)
        self.assertNoResult(asking)
        self.site.wait(20)
        self.assertEqual(self.successResultOf(asking), {})

    def test_but_not_for_ever(self) -> None:
        self.upstream.on(BASE, status(429, retry_after="999999"), page({}))
        asking = Deferred.fromCoroutine(self.site.http().json(BASE))
        self.site.wait(LONGEST_WAIT + 10)
        self.assertEqual(self.successResultOf(asking), {})

    def test_it_gives_up(self) -> None:
        self.upstream.on(BASE, status(500))
        with self.assertRaises(AskingFailed):
            self.json()
        # While it is known to fail, it is not even asked each time.
        self.assertLessEqual(len(self.upstream.asked), ATTEMPTS)

    def test_to_look_is_no_error(self) -> None:
        http = self.site.http()
        for code in (401, 403, 404, 418, 500):
            self.upstream.on(BASE, status(code))
            self.assertIsNone(self.bench.finish(http.look(BASE)))
        self.upstream.on(BASE, page(b"hello"))
        self.site.wait(100)
        self.assertEqual(self.bench.finish(http.look(BASE)), b"hello")
        self.upstream.refuses.add("up.example")
        with self.assertRaises(AskingFailed):
            self.bench.finish(http.look(BASE))
