"""Authorities, and the way to S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.store.s3.agent import load_policy, make_agent
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
