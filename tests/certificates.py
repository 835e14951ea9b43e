"""Certificates for tests of TLS."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.ssl import PrivateCertificate


def certificate() -> PrivateCertificate:
    """Make a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + made.public_bytes(serialization.Encoding.PEM)
    loaded: PrivateCertificate = PrivateCertificate.loadPEM(pem)
    return loaded


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make an authority, a certificate of it for 127.0.0.1, and that one's key.

    The last two are one file.
    """
    authority = Authority.make()
    address = x509.IPAddress(IPv4Address("127.0.0.1"))
    trusted, pair = folder / "authority", folder / "certificate"
    trusted.write_bytes(authority.pem)
    pair.write_bytes(authority.pair("127.0.0.1", [address]))
    return trusted, pair, pair


@frozen
class Authority:
    """An authority that signs certificates of servers and clients.

    :ivar own: its own certificate.
    """

    key: ec.EllipticCurvePrivateKey
    own: x509.Certificate

    @classmethod
    def make(cls) -> Authority:
        """Make one of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Authority")
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = _builder(name, name, key.public_key()).add_extension(
            basic, critical=True
        )
        return cls(key, made.sign(key, hashes.SHA256()))

    @property
    def key_pem(self) -> bytes:
        """Its key."""
        return _key_pem(self.key)

    @property
    def pem(self) -> bytes:
        """Its certificate, to be trusted."""
        return self.own.public_bytes(serialization.Encoding.PEM)

    def certificate(
        self, common: str, names: Sequence[x509.GeneralName] = ()
    ) -> x509.Certificate:
        """Sign a certificate whose key nobody has."""
        return self._sign(common, names, ec.generate_private_key(ec.SECP256R1()))

    def intermediate(
        self, common: str = "Between", *, days: tuple[int, int] = (-1, 1)
    ) -> Authority:
        """Make an authority that this one vouches for; *days* as of :meth:`pair`."""
        key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(_name(common), self.own.subject, key.public_key(), days)
        signed = builder.add_extension(basic, critical=True).sign(
            self.key, hashes.SHA256()
        )
        return Authority(key, signed)

    def pair(
        self,
        common: str,
        names: Sequence[x509.GeneralName] = (),
        *,
        days: tuple[int, int] = (-1, 1),
        usage: x509.ObjectIdentifier | None = None,
    ) -> bytes:
        """Sign a certificate; key and certificate, in PEM.

        :param days: from today on, in which it is good.
        :param usage: all that it is for; None: it does not say.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        return _key_pem(key) + self._sign(common, names, key, days, usage).public_bytes(
            serialization.Encoding.PEM
        )

    def _sign(
        self,
        common: str,
        names: Sequence[x509.GeneralName],
        key: ec.EllipticCurvePrivateKey,
        days: tuple[int, int] = (-1, 1),
        usage: x509.ObjectIdentifier | None = None,
    ) -> x509.Certificate:
        builder = _builder(_name(common), self.own.subject, key.public_key(), days)
        if usage is not None:
            usages = x509.ExtendedKeyUsage([usage])
            builder = builder.add_extension(usages, critical=False)
        if names:
            alternatives = x509.SubjectAlternativeName(names)
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: tuple[int, int] = (-1, 1),
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )
