"""Who a client's certificate belongs to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.certificate_login import CertificateLogin
from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.config.certificate_patterns import certificate_pattern
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import Unauthorized
from tests.certificates import Authority

AUTHORITY = Authority.make()


def shown(*names: str, common: str = "someone") -> Credentials:
    """Make what a request with a certificate brings."""
    made = AUTHORITY.certificate(common, [_general(name) for name in names])
    der = made.public_bytes(serialization.Encoding.DER)
    return Credentials(None, "192.0.2.1", certificate=der)


def _general(name: str) -> x509.GeneralName:
    kind, _, text = name.partition("=")
    if kind == "email":
        return x509.RFC822Name(text)
    return x509.DNSName(text) if kind == "dns" else x509.UniformResourceIdentifier(text)


class CertificateLoginTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(datetime.now(UTC).timestamp())

    def login(self, *patterns: str) -> CertificateLogin:
        parsed = [certificate_pattern(pattern) for pattern in patterns]
        return CertificateLogin(parsed, self.clock.seconds)

    def user(self, pattern: str, credentials: Credentials) -> str | None:
        principal = self.login(pattern).recall(credentials)
        return None if principal is None else principal.name

    def refusal(self, credentials: Credentials, *patterns: str) -> str:
        with self.assertRaises(Unauthorized) as caught:
            self.login(*patterns).recall(credentials)
        message: str = caught.exception.message
        return message

    def test_takes(self) -> None:
        login = self.login("cn:{user}")
        self.assertTrue(login.takes(shown()))
        self.assertFalse(login.takes(Credentials(None, "192.0.2.1")))
        self.assertIsNone(login.recall(Credentials(None, "192.0.2.1")))

    def test_every_kind(self) -> None:
        machine = shown(
            "email=Ann@Corp.Example",
            "dns=Build7.CI.corp.example",
            "uri=spiffe://corp.example/ci/Robot",
            common="Ann Lee",
        )
        for pattern, user in {
            "cn:{user}": "Ann Lee",
            "email:{user}@corp.example": "ann",
            "dns:{user}.ci.corp.example": "build7",
            "uri:spiffe://corp.example/ci/{user}": "Robot",
            "uri:spiffe://corp.example/{user}/Robot": "ci",
        }.items():
            self.assertEqual(self.user(pattern, machine), user)

    def test_first_pattern_that_fits(self) -> None:
        login = self.login("email:{user}@corp.example", "cn:{user}")
        for credentials, name in (
            (shown("email=a@corp.example"), "a"),
            (shown("email=a@else.example"), "someone"),
        ):
            principal = login.recall(credentials)
            assert principal is not None
            self.assertEqual(principal.name, name)

    def test_nothing_fits(self) -> None:
        for pattern, credentials in [
            ("email:{user}@corp.example", shown(common="ann@corp.example")),
            ("email:{user}@corp.example", shown("email=ann@corp.example.evil.org")),
            ("email:{user}@corp.example", shown("email=ann@xcorp.example")),
            ("dns:{user}.ci.corp.example", shown("dns=ci.corp.example")),
            ("dns:{user}.corp.example", shown("dns=acorpxexample")),
            ("uri:spiffe://corp/ci/{user}", shown("uri=spiffe://corp/ci/a/b")),
            ("uri:spiffe://corp/ci/{user}", shown("uri=SPIFFE://corp/ci/a")),
            ("cn:x-{user}", shown(common="X-ann")),
        ]:
            self.assertIn("names no user", self.refusal(credentials, pattern))

    def test_two_users(self) -> None:
        both = shown("email=ann@corp.example", "email=bob@corp.example")
        self.assertIn("more than one", self.refusal(both, "email:{user}@corp.example"))

    def test_one_user_twice(self) -> None:
        both = shown("email=ann@corp.example", "email=ANN@corp.example")
        self.assertEqual(self.user("email:{user}@corp.example", both), "ann")

    def test_names_that_cannot_be(self) -> None:
        for name in ("everyone", "a:b", "a\nb"):
            refusal = self.refusal(shown(common=name), "cn:{user}")
            self.assertIn("cannot be one here", refusal)

    def test_end(self) -> None:
        """A connection can last longer than the certificate that it began with."""
        login, credentials = self.login("cn:{user}"), shown()
        self.assertIsNotNone(login.recall(credentials))
        self.clock.advance(timedelta(days=2).total_seconds())
        with self.assertRaises(Unauthorized) as caught:
            login.recall(credentials)
        self.assertIn("has ended", caught.exception.message)

    def test_proof(self) -> None:
        login, credentials = self.login("cn:{user}"), shown()
        result = Deferred.fromCoroutine(login.authenticate(credentials))
        principal: Principal = self.successResultOf(result)
        self.assertEqual(principal.proof.kind, "certificate")
        self.assertEqual(principal.proof.details["issuer"], "CN=Authority")

    def test_patterns_that_are_none(self) -> None:
        for text in ("{user}", "cn:", "cn:ann", "ou:{user}", "cn:{user}{user}", ""):
            with self.assertRaises(BadValueError):
                certificate_pattern(text)
