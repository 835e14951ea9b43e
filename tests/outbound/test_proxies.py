"""The environment's proxies: which one, and the way through it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.error import (
    ConnectError,
    ConnectionDone,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
)
from twisted.web.http_headers import Headers

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.outbound.agent import ProxiedAgent
from pypicloud_tw.outbound.guard import GuardedAgent, Rule
from pypicloud_tw.outbound.heads import BoundedHeads
from pypicloud_tw.outbound.proxies import Proxy, ProxySettings
from pypicloud_tw.outbound.trust import trust_of_system
from pypicloud_tw.outbound.tunnel import MAX_HEAD, TunnelEndpoint
from pypicloud_tw.upstream.agent import make_agent
from pypicloud_tw.upstream.source import sources
from tests.outbound.doubles import ProxyEndpoint, ResolvingReactor

S3 = "https://bucket.s3.us-east-1.amazonaws.com"


def find(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Tell the proxy for an address."""
    scheme, _, host = url.partition("://")
    host, colon, port = host.rpartition(":") if host[-1:].isdigit() else (host, "", "")
    number = int(port) if colon else {"http": 80, "https": 443}[scheme]
    return ProxySettings.of(environ, scheme).find(scheme, host or port, number)


class ProxyTests(SynchronousTestCase):
    """What the environment says of proxies."""

    def test_none(self) -> None:
        self.assertIsNone(find(S3, {"http_proxy": "http://p:1"}))

    def test_named(self) -> None:
        for environ in (
            {"https_proxy": "http://proxy:3128"},
            {"HTTPS_PROXY": "proxy:3128"},
            {"all_proxy": "http://proxy:3128/"},
            {"https_proxy": "http://proxy:3128", "HTTPS_PROXY": "http://other:1"},
        ):
            self.assertEqual(find(S3, environ), Proxy("proxy", 3128, None))

    def test_password(self) -> None:
        found = find(S3, {"https_proxy": "http://us%40er:pa%3Ass@proxy"})
        self.assertEqual(found, Proxy("proxy", 80, b"Basic dXNAZXI6cGE6c3M="))

    def test_without(self) -> None:
        for names, expected in (
            ("*", None),
            ("amazonaws.com", None),
            ("localhost, .AMAZONAWS.com", None),
            ("aws.com", Proxy("proxy", 1, None)),
        ):
            environ = {"https_proxy": "http://proxy:1", "no_proxy": names}
            self.assertEqual(find(S3, environ), expected)

    def test_capitals_for_http(self) -> None:
        for environ in (
            {"HTTP_PROXY": "http://proxy:1"},
            {"http_proxy": "", "HTTP_PROXY": "http://proxy:1"},
            {"http_proxy": "http://proxy:1", "HTTP_PROXY": "http://other:1"},
            {"HTTP_PROXY": "http://proxy:1", "ALL_PROXY": "http://other:1"},
        ):
            self.assertEqual(find("http://s3", environ), Proxy("proxy", 1))
            self.assertIsNone(find("http://s3", environ | {"NO_PROXY": "s3"}))

    def test_capitals_are_not_trusted_for_http(self) -> None:
        """HTTP_PROXY is what a client of CGI can set (CVE-2016-5385)."""
        in_cgi = {"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://evil:1"}
        self.assertIsNone(find("http://s3", in_cgi))
        also = in_cgi | {"HTTPS_PROXY": "http://proxy:1", "ALL_PROXY": "http://all:1"}
        self.assertEqual(find("http://s3", also), Proxy("all", 1))
        self.assertEqual(find(S3, also), Proxy("proxy", 1))

    def test_socks(self) -> None:
        error = self.assertRaises(
            ConfigError, find, S3, {"all_proxy": "socks5://user:s3cr3t@p:1"}
        )
        self.assertIn("all_proxy", str(error))
        self.assertNotIn("s3cr3t", str(error))

    def test_exceptions(self) -> None:
        """Names, networks and ports; as curl and Go read them."""
        for names, without, through in (
            ("*", ["a", "10.0.0.1"], []),
            ("corp", ["corp", "a.corp", "A.CORP."], ["acorp", "corp.example"]),
            (".corp", ["corp", "a.corp"], ["acorp"]),
            ("*.corp", ["corp", "a.corp"], ["acorp"]),
            ("corp:8080", ["a.corp:8080"], ["a.corp", "a.corp:80"]),
            ("corp:443", ["a.corp"], ["a.corp:8443"]),
            ("10.0.0.0/8", ["10.1.2.3", "10.1.2.3:99"], ["11.0.0.1", "a10.0.0.0"]),
            ("10.0.0.0/8:81", ["10.1.2.3:81"], ["10.1.2.3"]),
            ("10.1.2.3/8", ["10.9.9.9"], ["11.0.0.1"]),
            ("10.0.0.1", ["10.0.0.1"], ["10.0.0.11", "x.10.0.0.2"]),
            ("fd00::/8", ["[fd00::1]", "[FD00:0::1]:99"], ["[fe80::1]"]),
            ("::1", ["[::1]:99"], ["[::2]"]),
            ("[::1]:99", ["[::1]:99"], ["[::1]"]),
            ("a,,b\tc", ["a", "b", "c"], ["d"]),
            (".", [], ["a"]),
            ("", [], ["a"]),
        ):
            for spelled in ("no_proxy", "NO_PROXY"):
                environ = {"HTTPS_PROXY": "http://proxy:1", spelled: names}
                for host in without:
                    self.assertIsNone(find(f"https://{host}", environ), (names, host))
                for host in through:
                    self.assertIsNotNone(
                        find(f"https://{host}", environ), (names, host)
                    )

    def test_mistakes(self) -> None:
        for text in ("https://p", "http://", "http://h:x", "http://u:s3cr3t@h:99999"):
            error = self.assertRaises(ConfigError, find, S3, {"https_proxy": text})
            self.assertIn("https_proxy in the environment", str(error))
            self.assertNotIn("s3cr3t", str(error))

    def test_nothing_shows_a_password(self) -> None:
        proxies = ProxySettings.of({"https_proxy": "http://u:s3cr3t@h"}, "https")
        for secret in ("s3cr3t", "dTpzM2NyM3Q"):
            self.assertNotIn(secret, repr(proxies))


class AgentTests(SynchronousTestCase):
    """The way that a request takes."""

    def setUp(self) -> None:
        self.reactor = ResolvingReactor()

    def ask(self, url: str, environ: dict[str, str], *named: str) -> Any:
        pool, tls = HTTPConnectionPool(self.reactor), BrowserLikePolicyForHTTPS()
        proxies = ProxySettings.of(environ, "http", "https")
        direct = Agent(self.reactor, tls, pool=pool)
        agent = ProxiedAgent.over(
            direct, proxies, self.reactor, pool, tls, 5.0, BoundedHeads
        )
        guarded = GuardedAgent(agent, proxies, Rule.of(named))
        asked: Any = guarded.request(b"GET", url.encode(), Headers({"X-A": ["b"]}))
        self.addCleanup(asked.addErrback, lambda _: None)
        return asked

    def connected(self) -> list[tuple[str, int]]:
        return [(host, port) for host, port, *_ in self.reactor.tcpClients]

    def test_https(self) -> None:
        self.ask("https://up.example/a", {"https_proxy": "http://u:p@proxy:1"})
        self.assertEqual(self.connected(), [("proxy", 1)])
        protocol, wire = self.reactor.accept()
        self.assertEqual(
            wire.value(),
            b"CONNECT up.example:443 HTTP/1.1\r\nHost: up.example:443\r\n"
            b"Proxy-Authorization: Basic dTpw\r\n\r\n",
        )
        wire.clear()
        protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
        # A TLS record that begins a handshake; nothing is sent in the clear.
        self.assertEqual(wire.value()[:2], b"\x16\x03")
        self.assertNotIn(b"x-a", wire.value().lower())

    def test_http(self) -> None:
        self.ask("http://up.example:81/a?b", {"http_proxy": "http://u:p@proxy:1"})
        self.assertEqual(self.connected(), [("proxy", 1)])
        _, wire = self.reactor.accept()
        head = wire.value()
        self.assertTrue(head.startswith(b"GET http://up.example:81/a?b HTTP/1.1\r\n"))
        self.assertIn(b"\r\nProxy-Authorization: Basic dTpw\r\n", head)
        self.assertIn(b"\r\nHost: up.example:81\r\n", head)

    def test_without(self) -> None:
        environ = {"https_proxy": "http://proxy:1", "no_proxy": "up.example"}
        self.ask("https://up.example/a", environ)
        self.ask("http://other.example/a", environ)
        self.assertEqual(self.connected(), [("up.example", 443), ("other.example", 80)])

    def test_the_proxy_is_away(self) -> None:
        asked = self.ask("https://up.example/", {"https_proxy": "http://u:p@proxy:1"})
        self.reactor.refuse(ConnectionRefusedError())
        error = self.failureResultOf(asked, ConnectError).value
        self.assertEqual(
            str(error),
            "The proxy at proxy:1 cannot be reached (ConnectionRefusedError).",
        )

    def test_upstreams(self) -> None:
        """The same variables hold for the fallback as for the bucket."""
        environ = {"https_proxy": "http://proxy:1", "no_proxy": "10.0.0.0/8"}
        agent = make_agent(
            self.reactor,
            HTTPConnectionPool(self.reactor),
            sources(["https://up.example/simple/", "https://10.0.0.1/simple/"]),
            tls=trust_of_system(),
            private_hosts=(),
            connect_timeout=5.0,
            environ=environ,
        )
        for host in ("up.example", "files.example", "10.0.0.1", "10.0.0.2"):
            asked: Any = agent.request(b"GET", b"https://%b/" % host.encode())
            self.addCleanup(asked.addErrback, lambda _: None)
        self.assertEqual(
            self.connected(), [("proxy", 1), ("proxy", 1), ("10.0.0.1", 443)]
        )

    def test_guard(self) -> None:
        """The proxy resolves names; addresses are judged all the same."""
        environ = {"https_proxy": "http://proxy:1", "http_proxy": "http://proxy:2"}
        for url in (
            "https://127.0.0.1/",
            "http://127.1:5432/",
            "http://2130706433/",
            "https://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://169.254.169.254/latest/",
            "http://localhost/",
        ):
            self.failureResultOf(self.ask(url, environ), DNSLookupError)
        self.ask("http://10.0.0.1:81/", environ, "10.0.0.0/8:81")
        self.ask("http://intranet.corp/", environ)
        self.assertEqual(self.connected(), [("proxy", 2), ("proxy", 2)])


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
