"""Addresses that last, agree between servers, and cost next to nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.store.s3.make import CurrentPresigner
from pypicloud_tw.store.s3.signed_urls import SignedUrls
from pypicloud_tw.store.s3.sigv4 import AWSCredentials, Identity, Presigner, quote_path
from tests.store.s3.doubles import CREDENTIALS, EPOCH, Harness

DAY, BUFFER = 86400, 300
KEY = "acme/0123/acme-1.0-py3-none-any.whl"
NAME = "acme-1.0-py3-none-any.whl"


@define
class Server:
    """One server's cache, with a clock of its own."""

    credentials: AWSCredentials = CREDENTIALS
    started: float = EPOCH
    options: dict[str, Any] = field(factory=dict)
    clock: Clock = field(factory=Clock)
    presigner: Presigner | None = None
    urls: SignedUrls = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sign_with(self.credentials)
        self.urls = SignedUrls(
            lambda: self.presigner,
            lambda key: "/" + quote_path(key),
            self.now,
            self.clock,
            DAY,
            BUFFER,
            **self.options,
        )

    def sign_with(self, credentials: AWSCredentials) -> None:
        identity = Identity(credentials, "eu-west-1")
        self.presigner = Presigner(identity, "https://bucket.example")

    def now(self) -> float:
        return self.started + self.clock.seconds()

    def get(self, key: str = KEY, filename: str = NAME) -> Any:
        found = self.urls.look_up(key, filename)
        assert found is not None
        return found


class LifeTests(SynchronousTestCase):
    """How long an address is good, and given out."""

    def test_form(self) -> None:
        url = Server().get().url
        self.assertTrue(urlsplit(url).path.endswith("/" + NAME))
        query = parse_qs(urlsplit(url).query)
        self.assertEqual(query["X-Amz-Expires"], [str(DAY)])
        self.assertNotIn("response-content-disposition", query)

    def test_other_name(self) -> None:
        url = Server().get(filename="ä b.whl").url
        query = parse_qs(urlsplit(url).query)
        self.assertEqual(
            query["response-content-disposition"],
            ["attachment; filename*=UTF-8''%C3%A4%20b.whl"],
        )
        self.assertEqual(query["response-content-type"], ["application/octet-stream"])

    @settings(max_examples=60, deadline=None)
    @given(st.text(max_size=20), st.integers(0, 10 * DAY), st.integers(0, DAY))
    def test_always_good_for_a_while(self, key: str, start: int, later: int) -> None:
        server = Server(started=EPOCH + start)
        server.clock.advance(later)
        found = server.get(key)
        query = parse_qs(urlsplit(found.url).query)
        self.assertGreaterEqual(found.ends - server.now(), BUFFER)
        self.assertEqual(query["X-Amz-Expires"], [str(DAY)])
        self.assertGreater(found.fresh_until, server.now())
        self.assertEqual(found.ends - found.fresh_until, BUFFER)
        server.clock.advance(found.fresh_until - server.now() - 1)
        self.assertEqual(server.get(key).url, found.url)
        server.clock.advance(2)
        self.assertNotEqual(server.get(key).url, found.url)

    def test_credentials_that_end_first(self) -> None:
        server = Server(evolve(CREDENTIALS, expires=EPOCH + 3600.5))
        found = server.get()
        self.assertEqual(found.ends, EPOCH + 3600)
        self.assertEqual(found.fresh_until, EPOCH + 3600 - BUFFER)

    def test_credentials_that_end_soon(self) -> None:
        """Good for a moment is better than nothing, but nothing to keep."""
        server = Server(evolve(CREDENTIALS, expires=EPOCH + 100))
        self.assertEqual(server.get().ends, EPOCH + 100)
        self.assertEqual(len(server.urls), 0)

    def test_credentials_that_have_ended(self) -> None:
        server = Server(evolve(CREDENTIALS, expires=EPOCH - 1))
        self.assertIsNone(server.urls.look_up(KEY, NAME))

    def test_no_credentials(self) -> None:
        server = Server()
        server.presigner = None
        self.assertIsNone(server.urls.look_up(KEY, NAME))

    def test_changed_credentials_empty_it(self) -> None:
        server = Server()
        before = server.get().url
        server.sign_with(AWSCredentials("AKIDNEW", "x"))
        self.assertNotEqual(server.get().url, before)
        self.assertEqual(len(server.urls), 1)


class AgreementTests(SynchronousTestCase):
    """All servers make the same address."""

    @settings(max_examples=40, deadline=None)
    @given(st.text(max_size=20), st.integers(0, 3 * DAY), st.integers(0, 3 * DAY))
    def test_whenever_they_began(self, key: str, one: int, other: int) -> None:
        first, second = Server(started=EPOCH + one), Server(started=EPOCH + other)
        first.get(key)
        second.get(key)
        at = EPOCH + 4 * DAY
        for server in (first, second):
            server.clock.advance(at - server.now())
        self.assertEqual(first.get(key), second.get(key))

    def test_in_another_process(self) -> None:
        """Hashes of Python's own differ from process to process."""
        code = f"from {__name__} import Server; print(Server().get().url)"
        command = [sys.executable, "-c", code]
        others = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        found = {other.communicate()[0] for other in others}
        self.assertEqual(found, {Server().get().url.encode() + b"\n"})

    def test_not_all_change_at_once(self) -> None:
        server = Server()
        ends = {server.get(f"a/{n}").fresh_until for n in range(100)}
        self.assertGreater(len(ends), 90)


class CacheTests(SynchronousTestCase):
    """What is kept, and for how long."""

    def test_signed_once(self) -> None:
        server = Server()
        first = server.get()
        server.clock.advance(1)
        self.assertEqual(server.get(), first)
        self.assertEqual((server.urls.hits, server.urls.misses), (1, 1))

    def test_one_call_for_all(self) -> None:
        server = Server()
        for number in range(50):
            server.get(f"a/{number}")
        self.assertEqual(len(server.clock.getDelayedCalls()), 1)
        left = []
        while server.clock.getDelayedCalls():
            (call,) = server.clock.getDelayedCalls()
            server.clock.advance(call.getTime() - server.clock.seconds())
            left.append(len(server.urls))
        self.assertEqual(left, sorted(left, reverse=True))
        self.assertEqual((left[-1], len(server.urls)), (0, 0))

    def test_bounded(self) -> None:
        server = Server(options={"limit": 10})
        for number in range(100):
            server.get(f"a/{number}")
        self.assertEqual(len(server.urls), 10)
        self.assertEqual(sum(map(len, server.urls._queue.values())), 10)

    def test_late_call(self) -> None:
        """The clock of S3 decides, not the reactor's."""
        server = Server()
        before = server.get()
        server.started += DAY
        after = server.get()
        self.assertNotEqual(after.url, before.url)
        for _ in range(5):
            for call in server.clock.getDelayedCalls():
                server.clock.advance(call.getTime() - server.clock.seconds())
        self.assertEqual((len(server.urls), server.urls._queue), (0, {}))

    def test_clear_leaves_nothing(self) -> None:
        server = Server()
        server.get()
        server.urls.clear()
        self.assertEqual((len(server.urls), server.clock.getDelayedCalls()), (0, []))


class ServedTests(SynchronousTestCase):
    """The fake S3 verifies them as botocore would."""

    def test_served(self) -> None:
        harness = Harness()
        urls = SignedUrls(
            CurrentPresigner(harness.client),
            harness.client.endpoint.path,
            harness.client.requester.instant,
            harness.clock,
        )
        key = "a b+c/ä-1.0.zip"
        self.successResultOf(harness.run(harness.client.put_object(key, b"x")))
        for filename in ("ä-1.0.zip", 'other "name".zip'):
            found = urls.look_up(key, filename)
            assert found is not None
            work = harness.client.requester.wire.send("GET", found.url, {}, None)
            answer = self.successResultOf(harness.run(work))
            self.assertEqual(answer.status, 200)

    def test_endpoint_that_moves(self) -> None:
        """Once the bucket's region is known, addresses are signed for it."""
        harness = Harness()
        current = CurrentPresigner(harness.client)
        first = current()
        self.assertIs(current(), first)
        requester = harness.client.requester
        requester.endpoint = requester.endpoint.moved("eu-west-1")
        second = current()
        assert second is not None
        self.assertEqual(second.identity.region, "eu-west-1")
        self.assertIs(current(), second)
