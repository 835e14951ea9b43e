"""Authorities of files."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import crypto
from twisted.internet.ssl import OpenSSLDefaultPaths
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.outbound.trust import load_policy, trust_ahead

KEY = "aws.ca_file"


class AuthorityTests(SynchronousTestCase):
    """``aws.ca_file`` and its like."""

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
        policy = load_policy(self.write(b"# two of them\n" + pem + pem), KEY)
        self.assertIsNotNone(policy.creatorForNetloc(b"s3", 443))
        both = load_policy(self.write(pem), KEY, beside_system=True)
        self.assertIsNotNone(both.creatorForNetloc(b"s3", 443))

    def test_nonsense(self) -> None:
        begin = b"-----BEGIN CERTIFICATE-----\n"
        for data in (b"", b"text", begin + b"AAAA\n-----END CERTIFICATE-----\n"):
            error = self.assertRaises(ConfigError, load_policy, self.write(data), KEY)
            self.assertIn(KEY, str(error))

    def test_missing(self) -> None:
        error = self.assertRaises(ConfigError, load_policy, Path(self.mktemp()), KEY)
        self.assertIn("FileNotFoundError", str(error))


class AheadTests(SynchronousTestCase):
    def test_the_first_connection_finds_it_made(self) -> None:
        """The authorities of a system take 40 ms to be read."""
        read: list[object] = []
        policy = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS(_Noted(read)))
        trust_ahead(policy, "up.example", 443)
        self.assertEqual(len(read), 1)
        trust_ahead(policy, "up.example", 443)
        self.assertEqual(len(read), 1)


class _Noted(OpenSSLDefaultPaths):
    """Notes when its authorities are read."""

    def __init__(self, read: list[object]) -> None:
        self._read = read

    def _addCACertsToContext(self, context: object) -> None:
        self._read.append(context)
