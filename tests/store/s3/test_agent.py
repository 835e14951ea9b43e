"""Authorities, and the way to S3."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.store.s3.agent import make_agent
from tests.outbound.doubles import ResolvingReactor

S3 = "https://bucket.s3.us-east-1.amazonaws.com"


class AgentTests(SynchronousTestCase):
    """What is made of the environment."""

    def connected(self, url: str, environ: dict[str, str]) -> tuple[str, int]:
        """Give where a request for *url* connects to."""
        reactor = ResolvingReactor()
        agent = make_agent(
            reactor, S3, ca_file=None, connect_timeout=1, environ=environ
        )
        asked: Any = agent.request(b"GET", url.encode())
        asked.addErrback(lambda _: None)
        ((host, port, *_),) = reactor.tcpClients
        return host, port

    def test_ways(self) -> None:
        for environ, expected in (
            ({}, ("bucket.s3.us-east-1.amazonaws.com", 443)),
            ({"https_proxy": "http://proxy:3128"}, ("proxy", 3128)),
            (
                {"https_proxy": "http://proxy:3128", "no_proxy": ".amazonaws.com"},
                ("bucket.s3.us-east-1.amazonaws.com", 443),
            ),
        ):
            self.assertEqual(self.connected(S3, environ), expected)

    def test_mistakes(self) -> None:
        with self.assertRaises(ConfigError):
            self.connected(S3, {"https_proxy": "socks5://p:1"})
