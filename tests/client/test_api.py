"""Asking an index, and in whose words it failed."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, evolve, field
from OpenSSL.SSL import Error as SSLError
from OpenSSL.SSL import SysCallError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import ParseError
from twisted.web.client import Agent, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from pypicloud_tw.access.administration.values import User
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.api import PATIENCE, ApiClient, Refused, Requester, Unanswered
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.errors import (
    BadRequest,
    ConditionFailed,
    ConfigError,
    Conflict,
    Forbidden,
    InsufficientStorage,
    NotFound,
    PayloadTooLarge,
    PypicloudError,
    Unauthorized,
)
from tests.web.api.doubles import Canned, WebAgent

URL = "https://pypi.example/sub/simple/"


@implementer(IAgent)
@define
class SilentAgent:
    """Never answers, or fails.

    :ivar canceller: see :class:`Deferred`.
    """

    error: Exception | None = None
    canceller: Callable[[Deferred[IResponse]], None] | None = None

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        if self.error is None:
            return Deferred(self.canceller)
        return fail(self.error)


@implementer(IAgent)
@define
class TricklingAgent:
    """Answers, and never ends; it is its own answer, too."""

    code: int = 200
    headers: Headers = field(factory=Headers)
    transport: StringTransport = field(factory=StringTransport)
    _reader: IProtocol | None = None

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        return succeed(self)  # type: ignore[arg-type]  # as far as is asked of it

    def deliverBody(self, protocol: IProtocol) -> None:
        self._reader = protocol
        protocol.makeConnection(self.transport)

    def trickle(self) -> None:
        assert self._reader is not None
        self._reader.dataReceived(b"x")


def _of_tls(*reasons: str) -> SSLError:
    """What OpenSSL says, as pyOpenSSL passes it on."""
    return SSLError([("SSL routines", "", reason) for reason in reasons])


class ApiClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.canned = Canned()
        self.agent = WebAgent(self.canned)

    def client(self, agent: IAgent | None = None) -> ApiClient:
        address = IndexAddress.parse(URL, "--index")
        login = Login("ann", "secret")
        return ApiClient(address, Credentials(login), agent or self.agent, self.clock)

    def asking(self, agent: IAgent | None = None) -> Deferred[object]:
        async def ask() -> object:
            return await self.client(agent).ask("GET", "a b/c", query={"x": "ü&"})

        return Deferred.fromCoroutine(ask())

    def failed(self, asking: Deferred[object]) -> PypicloudError:
        error = self.failureResultOf(asking, PypicloudError).value
        assert isinstance(error, PypicloudError)
        self.assertNotIn("secret", error.message)
        return error

    def test_what_is_sent(self) -> None:
        self.canned.answer(200, b"{}")
        self.successResultOf(self.asking())
        ((method, path, fields, body),) = self.agent.asked
        self.assertEqual((method, body), ("GET", b""))
        self.assertEqual(path, "/sub/api/v1/a%20b%2Fc?x=%C3%BC%26")
        self.assertEqual(fields["Authorization"], "Basic YW5uOnNlY3JldA==")

    def test_nobody_is_asked_for_a_log_in_before_it_is_wanted(self) -> None:
        demanded: list[Login] = []

        def demand() -> Login:
            demanded.append(Login("ann", "secret"))
            return demanded[-1]

        address = IndexAddress.parse(URL, "--index")
        credentials = Credentials(None, demand)
        client = ApiClient(address, credentials, self.agent, self.clock)

        def ask() -> Deferred[object]:
            return Deferred.fromCoroutine(client.ask("PUT", "x", value={}))

        self.canned.answer(200, b"{}")
        self.successResultOf(ask())
        self.canned.answer(403, b'{"detail": "No."}')
        self.assertIsInstance(self.failed(ask()), Forbidden)
        self.assertEqual(demanded, [])
        self.canned.answer(401, b'{"detail": "Log in."}')
        for _ in range(2):
            self.assertEqual(self.failed(ask()).message, "Log in.")
        self.assertEqual(len(demanded), 1)
        sent = [fields.get("Authorization") for _, _, fields, _ in self.agent.asked]
        basic = "Basic YW5uOnNlY3JldA=="
        self.assertEqual(sent, [None, None, None, basic, basic])
        self.assertEqual({body for *_, body in self.agent.asked}, {b"{}"})

    def test_refusals_are_of_the_class_that_says_the_same(self) -> None:
        for kind in (
            BadRequest,
            Unauthorized,
            Forbidden,
            NotFound,
            Conflict,
            ConditionFailed,
            PayloadTooLarge,
            InsufficientStorage,
        ):
            self.canned.answer(kind.status, b'{"detail": "So it is."}')
            error = self.failed(self.asking())
            self.assertIs(type(error), kind)
            self.assertEqual(error.message, "So it is.")
        self.canned.answer(415, b'{"detail": "Odd."}')
        self.assertIsInstance(self.failed(self.asking()), Refused)

    def test_no_answer(self) -> None:
        for status, body, words in (
            (503, b'{"detail": "The store is away."}', "The store is away."),
            (404, b"<html>", "answers 404, and not as this program's server does"),
            (404, b'{"detail": 1}', "answers 404"),
            (302, b"", "it redirects"),
        ):
            self.canned.answer(status, body)
            error = self.failed(self.asking())
            self.assertIsInstance(error, Unanswered)
            self.assertIn(words, error.message)

    def test_a_proxy_that_takes_no_long_request(self) -> None:
        self.canned.answer(413, b"<html>")
        error = self.failed(self.asking())
        self.assertIsInstance(error, PayloadTooLarge)
        self.assertIn("or a proxy before it", error.message)

    def test_what_a_terminal_would_obey_is_not_shown(self) -> None:
        self.canned.answer(404, b'{"detail": "\\u001b[2J"}')
        self.assertEqual(self.failed(self.asking()).message, "?[2J")

    def test_an_ipv6_address(self) -> None:
        self.canned.answer(200, b"{}")
        address = IndexAddress.parse("http://[::1]:6543/", "--index")
        client = ApiClient(
            address, Credentials(Login("ann", "secret")), self.agent, self.clock
        )
        self.successResultOf(Deferred.fromCoroutine(client.ask("GET", "x")))

    def test_a_log_in_that_is_no_text(self) -> None:
        address = IndexAddress.parse(URL, "--index")
        client = ApiClient(
            address, Credentials(Login("ann", "\udcff")), self.agent, self.clock
        )
        asking = Deferred.fromCoroutine(client.ask("GET", "x"))
        error = self.failureResultOf(asking, ConfigError).value
        self.assertIn("not UTF-8", str(error))

    def test_what_is_no_http(self) -> None:
        broken = Failure(ParseError("wrong number of parts", b"\x00"))
        agent = SilentAgent(ResponseFailed([broken]))
        self.assertIn("not HTTP", self.failed(self.asking(agent)).message)

    def test_tls_where_there_is_none_and_the_reverse(self) -> None:
        """Said is what to change, and not OpenSSL's own words."""
        alert = ParseError("wrong number of parts", b"\x15\x03\x03\x00\x02\x02\x46")
        for error, words in (
            (_of_tls("wrong version number"), "address begin with http://."),
            (_of_tls("a", "packet length too long"), "address begin with http://."),
            (alert, "it speaks TLS: let its address begin with https://."),
            (_of_tls("certificate verify failed"), "is not trusted (SSL_CERT_FILE"),
            (VerificationError([]), "its certificate is another host's."),
            (_of_tls("no protocols available"), "came about (no protocols available)."),
            (SysCallError(-1, "Unexpected EOF"), "no TLS came about (it broke off)."),
        ):
            agent = SilentAgent(ResponseFailed([Failure(error)]))
            message = self.failed(self.asking(agent)).message
            self.assertIn(words, message)
            self.assertNotIn("[(", message)

    def test_nothing_comes(self) -> None:
        asking = self.asking(SilentAgent())
        self.clock.advance(PATIENCE)
        self.assertIn("nothing came for 60 seconds", self.failed(asking).message)

    def test_nothing_comes_over_a_connection(self) -> None:
        """What Twisted makes of a request that is given up then is its own."""
        given_up = ResponseFailed([Failure(CancelledError())])
        agent = SilentAgent(canceller=lambda asked: asked.errback(given_up))
        asking = self.asking(agent)
        self.clock.advance(PATIENCE)
        self.assertIn("nothing came for 60 seconds", self.failed(asking).message)
        asking = self.asking(agent)
        asking.cancel()
        self.assertIn("it was given up", self.failed(asking).message)

    def test_nobody_waits(self) -> None:
        asking = self.asking(SilentAgent())
        asking.cancel()
        self.failureResultOf(asking, CancelledError)

    def test_an_answer_without_an_end(self) -> None:
        """It is given up in time, however often a piece of it comes."""
        agent = TricklingAgent()
        client = evolve(self.client(agent), whole=5.0)
        asking: Deferred[object] = Deferred.fromCoroutine(client.ask("GET", "users"))
        for _ in range(9):
            self.clock.advance(0.5)
            agent.trickle()
        self.assertNoResult(asking)
        self.clock.advance(0.5)
        message = self.failed(asking).message
        self.assertIn("could not be asked: it takes longer than 5 seconds.", message)
        self.assertEqual(agent.transport.disconnected, True)

    def test_what_is_no_address(self) -> None:
        """As a page may have one that is fetched next."""
        agent = Agent(MemoryReactorClock())
        requester = Requester(agent, self.clock, Unanswered)
        for url in ("http://a b/", "http://pypi.example/\xe9", "http://\ud800/"):
            asking = Deferred.fromCoroutine(requester.send("GET", url, Headers()))
            error = self.failureResultOf(asking, Unanswered).value
            self.assertEqual(error.message, "that is no address")

    def test_no_connection(self) -> None:
        asking = self.asking(SilentAgent(ConnectionRefusedError()))
        self.assertIn("could not be asked: Connection was", self.failed(asking).message)

    def test_an_answer_of_something_else(self) -> None:
        for body in (b"{}", b"[]", b"nothing", b'{"items": [{}]}', b'{"items": 1}'):
            self.canned.answer(200, body)

            async def ask() -> object:
                return (await self.client().ask("GET", "users")).items(User)

            error = self.failed(Deferred.fromCoroutine(ask()))
            self.assertIn("does not answer as this program's server", error.message)
