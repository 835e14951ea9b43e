"""Certificates: of the server itself, of authorities, and of others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.certificates import (
    Remote,
    ends_at,
    own_files,
    remotes_of,
)
from pypicloud_tw.diagnosis.values import Finding
from tests.certificates import Authority
from tests.diagnosis.doubles import FakeMachine, levels, the

NOW = datetime.now(UTC)
AT = Remote("the index", "pypi.example", 443)
NAMES = [x509.DNSName("pypi.example"), x509.DNSName("*.corp.example")]


class CertificateCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.authority = Authority.make()

    def pair(self, days: tuple[int, int] = (-60, 60), name: str = "x") -> bytes:
        return self.authority.pair(name, NAMES, days=days)


class RemoteTests(CertificateCase):
    def look(self, pem: bytes | OSError, at: Remote = AT) -> list[Finding]:
        return list(ends_at(at, FakeMachine(certificate=pem).machine, NOW))

    def test_ends(self) -> None:
        for days, level in (
            ((-60, 60), "ok"),
            ((-60, 5), "warning"),
            ((-60, -1), "fault"),
            ((1, 60), "fault"),
            # One of a few days, that is renewed each day or two.
            ((-1, 5), "ok"),
            ((-5, 1), "warning"),
        ):
            (found,) = self.look(self.pair(days))
            self.assertEqual(found.level, level, days)
            self.assertEqual(found.subject, "the index: pypi.example:443")

    def test_names(self) -> None:
        pem = self.pair()
        for host, fits in (
            ("pypi.example", True),
            ("PyPI.example", True),
            ("a.corp.example", True),
            ("a.b.corp.example", False),
            ("corp.example", False),
            ("other.example", False),
            ("192.0.2.1", False),
        ):
            found = self.look(pem, Remote("", host, 443))
            expected = ["ok"] if fits else ["ok", "fault"]
            self.assertEqual(levels(found), expected, host)
        self.assertIn("It is not 192.0.2.1's, but of", the("fault", found).found)
        address = x509.IPAddress(ip_address("192.0.2.1"))
        of_address = self.authority.pair("x", [address], days=(-60, 60))
        found = self.look(of_address, Remote("", "192.0.2.1", 443))
        self.assertEqual(levels(found), ["ok"])

    def test_cannot_be_had(self) -> None:
        for wrong in (ConnectionRefusedError("no"), b"no PEM"):
            self.assertEqual(levels(self.look(wrong)), ["unseen"])

    def test_which(self) -> None:
        """Those that the settings name, where TLS is spoken."""
        config = Config()
        changed = evolve(
            config,
            aws=evolve(config.aws, endpoint_url="https://s3.corp:8443"),
            pypi=evolve(
                config.pypi,
                fallback_url=("https://u:p@up.corp/simple/", "http://plain.corp/"),
                public_url="https://pypi.example/root",
            ),
            ldap=evolve(config.ldap, url=("ldaps://d.corp:636", "ldap://d.corp:389")),
        )
        self.assertEqual(
            [(one.host, one.port) for one in remotes_of(changed)],
            [
                ("s3.corp", 8443),
                ("pypi.example", 443),
                ("up.corp", 443),
                ("d.corp", 636),
            ],
        )


class OwnTests(CertificateCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.config = Config()

    def listen(self, pem: bytes, more: str = "") -> list[Finding]:
        (self.folder / "own.pem").write_bytes(pem)
        listen = f"ssl:443:privateKey={self.folder}/own.pem{more}"
        server = evolve(self.config.server, listen=listen)
        return list(own_files(evolve(self.config, server=server), NOW))

    def test_none(self) -> None:
        self.assertEqual(levels(own_files(self.config, NOW)), ["ok"])

    def test_own(self) -> None:
        """One that stands alone is told, for some clients will not trust it."""
        self.assertEqual(levels(self.listen(self.pair())), ["ok", "note"])
        chain = self.pair() + self.authority.pem
        self.assertEqual(levels(self.listen(chain)), ["ok"])
        self.assertEqual(levels(self.listen(self.pair((-60, -1)))), ["fault", "note"])
        self.assertEqual(levels(self.listen(b"nothing")), ["fault"])

    def test_what_cannot_be_read(self) -> None:
        own, none = self.folder / "own.pem", self.folder / "none.pem"
        junk = self.folder / "junk.pem"
        junk.write_bytes(b"nothing")
        alone = self.authority.certificate("x").public_bytes(Encoding.PEM)
        for pem, more, words in (
            (b"nothing", "", f"{own} has no certificates in PEM"),
            (alone, "", f"The key in {own} cannot be understood"),
            (self.pair(), f":certKey={none}", f"{none} cannot be read: No such file"),
            (self.pair(), f":extraCertChain={junk}", f"{junk} has no certificates"),
            (self.pair(), f":extraCertChain={none}", f"{none} cannot be read"),
        ):
            (found,) = self.listen(pem, more)
            self.assertEqual(found.level, "fault")
            self.assertIn(words, found.found)
            self.assertIn("server.listen: ", found.subject)

    def test_authorities_between(self) -> None:
        """Those that have ended, and those of others."""
        between = self.authority.intermediate()
        pair = between.pair("x", NAMES, days=(-60, 60))
        found = self.listen(pair + self.authority.pem)
        self.assertIn("None of the certificates behind it", the("warning", found).found)
        fresh = {(-60, 60): ["ok"], (-60, 1): ["ok", "warning"]}
        for days, expected in {**fresh, (-60, -1): ["ok", "fault"]}.items():
            between = self.authority.intermediate(days=days)
            pair = between.pair("x", NAMES, days=(-60, 60))
            found = self.listen(pair + between.pem + self.authority.pem)
            self.assertEqual(levels(found), expected, days)
        self.assertIn("own.pem, CN=Between", found[-1].subject)

    def test_another_key(self) -> None:
        other = Path(self.folder, "other.pem")
        other.write_bytes(self.pair() + self.authority.pem)
        found = self.listen(self.pair(), f":certKey={other}")
        self.assertIn("is not the certificate's", the("fault", found).found)

    def test_another_name(self) -> None:
        public = "https://elsewhere.example/"
        self.config = evolve(
            self.config, pypi=evolve(self.config.pypi, public_url=public)
        )
        found = self.listen(self.pair() + self.authority.pem)
        self.assertIn("It is not elsewhere.example's", the("fault", found).found)

    def test_authorities(self) -> None:
        path = self.folder / "ca.pem"
        old = self.authority.pair("old", days=(-60, -1))
        new = self.authority.pair("new", days=(-60, 60))
        for pem, level in (
            (new, "ok"),
            (old + new, "note"),
            (old, "fault"),
            (b"none", "fault"),
        ):
            path.write_bytes(pem)
            config = evolve(self.config, aws=evolve(self.config.aws, ca_file=path))
            (found,) = own_files(config, NOW)
            self.assertEqual(found.level, level)
            self.assertIn("aws.ca_file", found.subject)

    def test_soon(self) -> None:
        """From one moment to the next it is spoken of."""
        pem = self.pair((-60, 60)) + self.authority.pem
        (self.folder / "own.pem").write_bytes(pem)
        listen = f"ssl:443:privateKey={self.folder}/own.pem"
        server = evolve(self.config.server, listen=listen)
        config = evolve(self.config, server=server)
        for days, level in ((45, "ok"), (47, "warning")):
            (found,) = own_files(config, NOW + timedelta(days=days))
            self.assertEqual(found.level, level, days)
