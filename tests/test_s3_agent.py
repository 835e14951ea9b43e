"""Proxies, tunnels and authorities on the way to S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import crypto
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI, Agent, ProxyAgent
from zope.interface import implementer

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.store.s3_agent import Proxy, load_policy, make_agent
from pypicloud_tw.store.s3_tunnel import MAX_HEAD, TunnelEndpoint

S3 = "https://bucket.s3.us-east-1.amazonaws.com"


class ProxyTests(SynchronousTestCase):
    """What the environment says of proxies."""

    def test_none(self) -> None:
        self.assertIsNone(Proxy.find(S3, {"http_proxy": "http://p:1"}))

    def test_named(self) -> None:
        for environ in (
            {"https_proxy": "http://proxy:3128"},
            {"HTTPS_PROXY": "proxy:3128"},
            {"all_proxy": "http://proxy:3128/"},
            {"https_proxy": "http://proxy:3128", "HTTPS_PROXY": "http://other:1"},
        ):
            self.assertEqual(Proxy.find(S3, environ), Proxy("proxy", 3128, None))

    def test_password(self) -> None:
        found = Proxy.find(S3, {"https_proxy": "http://us%40er:pa%3Ass@proxy"})
        self.assertEqual(found, Proxy("proxy", 80, b"Basic dXNAZXI6cGE6c3M="))

    def test_without(self) -> None:
        for names, expected in (
            ("*", None),
            ("amazonaws.com", None),
            ("localhost, .AMAZONAWS.com", None),
            ("aws.com", Proxy("proxy", 1, None)),
        ):
            environ = {"https_proxy": "http://proxy:1", "no_proxy": names}
            self.assertEqual(Proxy.find(S3, environ), expected)

    def test_capitals_are_not_trusted_for_http(self) -> None:
        """HTTP_PROXY is what a client of CGI can set (CVE-2016-5385)."""
        self.assertIsNone(Proxy.find("http://s3", {"HTTP_PROXY": "http://evil:1"}))

    def test_socks(self) -> None:
        error = self.assertRaises(
            ConfigError, Proxy.find, S3, {"all_proxy": "socks5://user:s3cr3t@p:1"}
        )
        self.assertIn("all_proxy", str(error))
        self.assertNotIn("s3cr3t", str(error))


class AgentTests(SynchronousTestCase):
    """What is made of it."""

    def make(self, url: str, environ: dict[str, str]) -> Any:
        return make_agent(
            MemoryReactorClock(), url, ca_file=None, connect_timeout=1, environ=environ
        )

    def test_kinds(self) -> None:
        self.assertIsInstance(self.make(S3, {}), Agent)
        self.assertIsInstance(
            self.make("http://s3", {"http_proxy": "http://p:1"}), ProxyAgent
        )

    def test_tunnel(self) -> None:
        agent = self.make(S3, {"https_proxy": "http://p:1"})
        endpoint = agent._endpointFactory.endpointForURI(URI.fromBytes(S3.encode()))
        self.assertTrue(IStreamClientEndpoint.providedBy(endpoint))

    def test_password_in_the_clear(self) -> None:
        error = self.assertRaises(
            ConfigError, self.make, "http://s3", {"http_proxy": "http://u:s3cr3t@p:1"}
        )
        self.assertNotIn("s3cr3t", str(error))


class AuthorityTests(SynchronousTestCase):
    """``aws.ca_file``."""

    def write(self, data: bytes) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(data)
        return path

    def test_certificates(self) -> None:
        key = crypto.PKey()
        key.generate_key(crypto.TYPE_RSA, 2048)
        certificate = crypto.X509()
        certificate.gmtime_adj_notBefore(0)
        certificate.gmtime_adj_notAfter(60)
        certificate.set_pubkey(key)
        certificate.sign(key, "sha256")
        pem = crypto.dump_certificate(crypto.FILETYPE_PEM, certificate)
        policy = load_policy(self.write(b"# two of them\n" + pem + pem))
        self.assertIsNotNone(policy.creatorForNetloc(b"s3", 443))

    def test_nonsense(self) -> None:
        begin = b"-----BEGIN CERTIFICATE-----\n"
        for data in (b"", b"text", begin + b"AAAA\n-----END CERTIFICATE-----\n"):
            error = self.assertRaises(ConfigError, load_policy, self.write(data))
            self.assertIn("aws.ca_file", str(error))

    def test_missing(self) -> None:
        error = self.assertRaises(ConfigError, load_policy, Path(self.mktemp()))
        self.assertIn("FileNotFoundError", str(error))


@implementer(IStreamClientEndpoint)
class ProxyEndpoint:
    """Connects to a proxy that a test plays."""

    def connect(self, factory: Any) -> Deferred[Any]:
        self.transport = StringTransport()
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        return succeed(self.protocol)


class Inner(Protocol):
    """What speaks through the tunnel."""

    received = b""
    lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


class TunnelTests(SynchronousTestCase):
    """CONNECT."""

    def setUp(self) -> None:
        self.proxy = ProxyEndpoint()

    def open(self, host: bytes = b"s3", authorization: bytes | None = None) -> Any:
        tunnel = TunnelEndpoint(self.proxy, host, 443, authorization)
        make_factory: Any = Factory.forProtocol
        return tunnel.connect(make_factory(Inner))

    def test_opens(self) -> None:
        opening = self.open(authorization=b"Basic eDp5")
        self.assertEqual(
            self.proxy.transport.value(),
            b"CONNECT s3:443 HTTP/1.1\r\nHost: s3:443\r\n"
            b"Proxy-Authorization: Basic eDp5\r\n\r\n",
        )
        for byte in b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n":
            self.assertNoResult(opening)
            self.proxy.protocol.dataReceived(bytes([byte]))
        inner = self.successResultOf(opening)
        self.proxy.protocol.dataReceived(b"hello")
        self.assertEqual(inner.received, b"hello")
        self.proxy.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(inner.lost)

    def test_ipv6(self) -> None:
        self.open(b"::1")
        self.assertIn(b"CONNECT [::1]:443 ", self.proxy.transport.value())

    def test_early_bytes(self) -> None:
        opening = self.open()
        self.proxy.protocol.dataReceived(b"HTTP/1.0 200\r\n\r\nhello")
        self.assertEqual(self.successResultOf(opening).received, b"hello")

    def test_refused(self) -> None:
        for answer, cause in (
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy"),
            (b"SSH-2.0-x\r\n\r\n", "refused"),
            (b"x" * (MAX_HEAD + 1), "too long"),
        ):
            opening = self.open()
            self.proxy.protocol.dataReceived(answer)
            error = self.failureResultOf(opening, ConnectError).value
            self.assertIn(cause, str(error))
            self.assertTrue(self.proxy.transport.disconnecting)

    def test_closed(self) -> None:
        opening = self.open()
        self.proxy.protocol.connectionLost(Failure(ConnectionDone()))
        error = self.failureResultOf(opening, ConnectError).value
        self.assertIn("closed", str(error))

    def test_given_up(self) -> None:
        opening = self.open()
        opening.cancel()
        self.failureResultOf(opening)
        self.assertTrue(self.proxy.transport.disconnecting)
        self.proxy.protocol.connectionLost(Failure(ConnectionDone()))
