"""The issuers' keys: when they are asked for, what is taken, how long it is kept."""

from __future__ import annotations

from typing import Any

from klein import Klein
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import DNSLookupError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.oidc.documents import PATIENCE, Documents, FetchError
from pypicloud_tw.access.oidc.fetchers import IssuerFetchers
from pypicloud_tw.access.oidc.issuers import EVERY, FRESH, KEPT, RETRY, Issuers
from pypicloud_tw.access.oidc.keys import KeySet
from pypicloud_tw.access.oidc.refusals import IssuerUnavailable
from pypicloud_tw.config.sections.access import OidcSection
from tests.access.oidc.doubles import GITLAB, Issuer, ec_key
from tests.outbound.doubles import ResolvingReactor


class IssuerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.issuer = Issuer(self.clock.seconds)
        self.issuers = Issuers(lambda url: self.issuer, self.clock.seconds)

    def ask(self, key_id: str | None = "k1") -> Deferred[KeySet]:
        return Deferred.fromCoroutine(self.issuers.keys(self.issuer.url, key_id))

    def keys(self, key_id: str | None = "k1") -> list[str | None]:
        return [key.id for key in self.successResultOf(self.ask(key_id)).keys]

    def fails(self) -> str:
        failure = self.failureResultOf(self.ask(), IssuerUnavailable)
        message: str = failure.value.message
        return message

    def asked(self) -> int:
        """Tell how often the issuer was asked since the last time."""
        count = self.issuer.fetched.count(self.issuer.discovery)
        self.issuer.fetched.clear()
        return count

    def test_found_and_kept(self) -> None:
        self.assertEqual(self.keys(), ["k1"])
        self.assertEqual(
            self.issuer.fetched, [self.issuer.discovery, f"{self.issuer.url}/jwks"]
        )
        self.clock.advance(FRESH - 1)
        self.assertEqual(self.keys(), ["k1"])
        self.assertEqual(self.asked(), 1)
        self.clock.advance(1)
        self.issuer.keys = {"k2": ec_key("second")}
        self.assertEqual(self.keys("k2"), ["k2"])
        self.assertEqual(self.asked(), 1)

    def test_an_unknown_key_is_asked_for_once_a_minute(self) -> None:
        self.keys()
        self.asked()
        self.issuer.keys["k2"] = ec_key("second")
        self.clock.advance(EVERY - 1)
        for _ in range(100):
            self.assertEqual(self.keys("k2"), ["k1"])
        self.assertEqual(self.asked(), 0)
        self.clock.advance(1)
        self.assertEqual(self.keys("k2"), ["k1", "k2"])
        for n in range(100):
            self.keys(f"none-{n}")
        self.assertEqual(self.asked(), 1)

    def test_many_ask_once(self) -> None:
        waiting: Deferred[None] = Deferred()
        self.issuer.waiting = waiting
        asking = [self.ask() for _ in range(50)]
        # Who gives up leaves the others alone.
        asking[0].addErrback(lambda _: None)
        asking[0].cancel()
        self.issuer.waiting = None
        waiting.callback(None)
        for one in asking[1:]:
            self.successResultOf(one)
        self.assertEqual(self.asked(), 1)

    def test_away_after_it_was_known(self) -> None:
        """Its keys are believed for a day, and it is asked once a minute."""
        self.keys()
        self.asked()
        self.issuer.wrong = "It is away."
        self.clock.advance(FRESH)
        for _ in range(10):
            self.assertEqual(self.keys(), ["k1"])
        self.assertEqual(self.asked(), 1)
        self.clock.advance(KEPT - FRESH - 1)
        self.assertEqual(self.keys(), ["k1"])
        self.clock.advance(1)
        self.assertIn("It is away.", self.fails())
        self.issuer.wrong = None
        self.clock.advance(EVERY)
        self.assertEqual(self.keys(), ["k1"])

    def test_away_before_it_was_known(self) -> None:
        self.issuer.wrong = "It is away."
        for _ in range(10):
            self.assertIn("cannot be had now: It is away.", self.fails())
        self.assertEqual(self.asked(), 1)
        self.issuer.wrong = None
        self.clock.advance(RETRY)
        self.assertEqual(self.keys(), ["k1"])

    def test_a_clock_that_is_set_back(self) -> None:
        self.keys()
        self.asked()
        self.clock.rightNow -= 10 * KEPT
        self.assertEqual(self.keys(), ["k1"])
        self.assertEqual(self.asked(), 1)

    def test_what_is_wrong_with_discovery(self) -> None:
        url, at = self.issuer.url, self.issuer.discovery
        for document, why in (
            (b"<html>", "is not JSON"),
            (b'{"issuer":"a","issuer":"a"}', "has a key twice"),
            ({"jwks_uri": f"{url}/jwks"}, "of another issuer"),
            ({"issuer": f"{url}/", "jwks_uri": f"{url}/jwks"}, "of another issuer"),
            ({"issuer": url}, "no https address"),
            ({"issuer": url, "jwks_uri": "http://keys.example/"}, "no https address"),
            ({"issuer": url, "jwks_uri": "file:///etc/passwd"}, "no https address"),
            ({"issuer": url, "jwks_uri": "https://a@b/"}, "no https address"),
            ({"issuer": url, "jwks_uri": "https://a\\b/"}, "no https address"),
            ({"issuer": url, "jwks_uri": "https://a/\r\nx"}, "no https address"),
            ({"issuer": url, "jwks_uri": "https://[::1"}, "no https address"),
            ({"issuer": url, "jwks_uri": ["https://a/"]}, "no https address"),
        ):
            self.issuer.documents[at] = document
            self.assertIn(why, self.fails(), document)
            self.clock.advance(RETRY)

    def test_keys_elsewhere(self) -> None:
        self.issuer.documents = {
            self.issuer.discovery: {
                "issuer": self.issuer.url,
                "jwks_uri": "https://keys.example/all",
            },
            "https://keys.example/all": b'{"keys":[]}',
        }
        self.assertIn("no key", self.fails())

    def test_a_slash_at_the_end(self) -> None:
        """OpenID Connect Discovery 1.0, section 4: it is left out."""
        self.issuer.url = f"{GITLAB}/"
        self.assertIn("404", self.fails())
        self.assertEqual(
            self.issuer.fetched, [f"{GITLAB}/.well-known/openid-configuration"]
        )

    def test_http_on_this_machine(self) -> None:
        self.issuer.url = "http://127.0.0.1:8000"
        self.assertEqual(self.keys(), ["k1"])


class DocumentTests(SynchronousTestCase):
    """Fetching over treq."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.app = Klein()
        traversal: Any = RequestTraversalAgent
        self.agent = traversal(self.app.resource())
        self.asked: list[Any] = []
        self.sent: list[bytes] = []

    def serve(self, body: Any = b"{}", status: int = 200, **fields: str) -> None:
        @self.app.route("/", branch=True)
        def answer(request: Any) -> Any:
            self.asked.append(request)
            self.sent.append(request.content.read())
            request.setResponseCode(status)
            for name, value in fields.items():
                request.setHeader(name.replace("_", "-").encode(), value.encode())
            return body

    def fetch(self) -> Deferred[bytes]:
        documents = Documents(self.agent, self.clock, "us/1.0")
        fetching = Deferred.fromCoroutine(documents.fetch("https://ci.example/x", 100))
        flush = getattr(self.agent, "flush", None)
        if flush is not None:
            flush()
        return fetching

    def fails(self) -> str:
        return str(self.failureResultOf(self.fetch(), FetchError).value)

    def test_fetched(self) -> None:
        self.serve(b"{}")
        self.assertEqual(self.successResultOf(self.fetch()), b"{}")
        fields = self.asked[0].requestHeaders
        self.assertEqual(fields.getRawHeaders("user-agent"), ["us/1.0"])
        self.assertEqual(fields.getRawHeaders("accept-encoding"), ["identity"])

    def test_a_form(self) -> None:
        """Any status is an answer; the secret is in no error."""
        for status in (200, 400, 302):
            self.setUp()
            self.serve(b"{}", status)
            documents = Documents(self.agent, self.clock, "us/1.0")
            posting = documents.post(
                "https://ci.example/token", {"code": "a b&c"}, "Basic x", 100
            )
            answer = self.successResultOf(Deferred.fromCoroutine(posting))
            self.assertEqual(answer, (status, b"{}"))
            (request,) = self.asked
            self.assertEqual(request.method, b"POST")
            self.assertEqual(self.sent, [b"code=a+b%26c"])
            for name, value in (
                ("content-type", "application/x-www-form-urlencoded"),
                ("authorization", "Basic x"),
                ("accept", "application/json"),
            ):
                self.assertEqual(request.requestHeaders.getRawHeaders(name), [value])

    def test_a_form_is_answered_at_length(self) -> None:
        self.serve(b"x" * 101)
        documents = Documents(self.agent, self.clock, "us/1.0")
        posting = documents.post("https://ci.example/token", {}, None, 100)
        failure = self.failureResultOf(Deferred.fromCoroutine(posting), FetchError)
        self.assertIn("more than 100 bytes", str(failure.value))

    def test_too_long(self) -> None:
        self.serve(b"x" * 101)
        self.assertIn("more than 100 bytes", self.fails())

    def test_statuses(self) -> None:
        """A redirect is not followed: it could lead anywhere."""
        self.serve(b"", 302, location="https://elsewhere.example/")
        self.assertIn("answers with 302", self.fails())
        self.assertEqual(len(self.asked), 1)

    def test_a_coding(self) -> None:
        self.serve(b"x", content_encoding="gzip")
        self.assertIn("in a coding", self.fails())

    def test_silence(self) -> None:
        self.serve(Deferred())
        fetching = self.fetch()
        self.clock.advance(PATIENCE)
        error = self.failureResultOf(fetching, FetchError).value
        self.assertEqual(str(error), "ci.example did not answer within 10 s.")

    def test_no_address(self) -> None:
        class Agent:
            def request(self, *args: object) -> Deferred[object]:
                return fail(DNSLookupError())

        self.agent = Agent()
        self.assertIn("oidc.private_hosts", self.fails())


class GuardTests(SynchronousTestCase):
    """Who may have us connect to private addresses."""

    def connected(
        self, issuer: str, url: str, own: tuple[str, ...] = (), hosts: str = ""
    ) -> bool:
        reactor = ResolvingReactor()
        settings = OidcSection(private_hosts=tuple(hosts.split()))
        fetchers = IssuerFetchers(settings, frozenset(own), reactor, {}, "us")
        fetching = Deferred.fromCoroutine(fetchers(issuer).fetch(url, 100))
        fetching.addErrback(lambda _: None)
        reached = bool(reactor.tcpClients)
        reactor.advance(60)
        return reached

    def test_table(self) -> None:
        own = "https://10.0.0.5"
        at = "/.well-known/openid-configuration"
        for issuer, url, named, hosts, expected in (
            (own, own + at, (own,), "", True),
            (own, own + at, (), "", False),
            (own, own + at, (), "10.0.0.5", True),
            ("https://169.254.169.254", "https://169.254.169.254/", (own,), "", False),
            # Another's keys are not at the ini's issuer, nor at other ports of it.
            ("https://93.184.216.34", own + at, (own,), "", False),
            (own, "https://10.0.0.5:9200/", (own,), "", False),
            (own, "https://10.0.0.6/", (own,), "", False),
            (own, "https://10.0.0.6/", (own,), "10.0.0.6:443", True),
            ("https://93.184.216.34", "https://93.184.216.34/", (), "", True),
            ("http://127.0.0.1:80", "http://127.0.0.1:80/", (), "", False),
            (
                "http://127.0.0.1:80",
                "http://127.0.0.1:80/",
                ("http://127.0.0.1:80",),
                "",
                True,
            ),
        ):
            self.assertIs(
                self.connected(issuer, url, named, hosts),
                expected,
                (issuer, url, named, hosts),
            )

    def test_proxies_that_cannot_be_used(self) -> None:
        fetchers = IssuerFetchers(
            OidcSection(),
            frozenset(),
            ResolvingReactor(),
            {"https_proxy": "ftp://x"},
            "u",
        )
        error = self.assertRaises(FetchError, fetchers, "https://ci.example")
        self.assertIn("https_proxy", str(error))
