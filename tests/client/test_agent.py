"""How a command reaches an index: certificates and proxies."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.client.agent import make_agent
from pypicloud_tw.errors import ConfigError
from tests.outbound.doubles import ResolvingReactor

URL = b"https://pypi.example/api/v1/access/users"


class AgentTests(SynchronousTestCase):
    def connected(self, **environ: str) -> tuple[str, int]:
        """Return where an agent connects to."""
        reactor = ResolvingReactor()
        agent = make_agent(reactor, "https", environ)
        asking = agent.request(b"GET", URL)
        asking.addErrback(lambda _: None)
        host, port = reactor.tcpClients[0][:2]
        asking.cancel()
        return host, port

    def test_straight(self) -> None:
        self.assertEqual(self.connected(), ("pypi.example", 443))

    def test_through_a_proxy(self) -> None:
        proxy = {"https_proxy": "http://proxy.example:8080"}
        self.assertEqual(self.connected(**proxy), ("proxy.example", 8080))
        without = self.connected(**proxy, no_proxy=".example")
        self.assertEqual(without, ("pypi.example", 443))

    def test_an_address_of_another_scheme(self) -> None:
        reactor = ResolvingReactor()
        environ = {"https_proxy": "http://proxy.example:8080"}
        agent = make_agent(reactor, "http", environ, kept=2, also=("https",))
        asking = agent.request(b"GET", URL)
        asking.addErrback(lambda _: None)
        self.assertEqual(reactor.tcpClients[0][:2], ("proxy.example", 8080))
        asking.cancel()

    def test_a_file_without_authorities(self) -> None:
        path = Path(self.mktemp())
        path.write_text("nothing")
        error = self.assertRaises(
            ConfigError, self.connected, REQUESTS_CA_BUNDLE=str(path)
        )
        self.assertIn("holds no certificate", error.message)
