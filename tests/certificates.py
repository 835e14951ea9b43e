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
    def pem(self) -> bytes:
        """Its certificate, to be trusted."""
        return self.own.public_bytes(serialization.Encoding.PEM)

    def certificate(
        self, common: str, names: Sequence[x509.GeneralName] = ()
    ) -> x509.Certificate:
        """Sign a certificate whose key nobody has."""
        return self._sign(common, names, ec.generate_private_key(ec.SECP256R1()))

    def pair(self, common: str, names: Sequence[x509.GeneralName] = ()) -> bytes:
        """Sign a certificate; key and certificate, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ) + self._sign(common, names, key).public_bytes(serialization.Encoding.PEM)

    def _sign(
        self,
        common: str,
        names: Sequence[x509.GeneralName],
        key: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        builder = _builder(_name(common), self.own.subject, key.public_key())
        if names:
            alternatives = x509.SubjectAlternativeName(names)
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
