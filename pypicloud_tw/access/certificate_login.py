"""Who a client's certificate belongs to (``auth.certificate_user``).

The endpoint has verified the certificate; revocation lists are not read, so that a key
that was lost is kept out by a new authority, or by its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC
from types import MappingProxyType

from attrs import define, field, frozen
from cryptography import x509
from cryptography.x509.oid import NameOID

from pypicloud_tw.access.foreign import user_of
from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.config.certificate_patterns import CertificatePattern
from pypicloud_tw.errors import Unauthorized
from pypicloud_tw.index.audit import Proof

_TextName = x509.RFC822Name | x509.DNSName | x509.UniformResourceIdentifier
_GENERAL_NAMES: Mapping[str, type[_TextName]] = MappingProxyType(
    {
        "email": x509.RFC822Name,
        "dns": x509.DNSName,
        "uri": x509.UniformResourceIdentifier,
    }
)

#: Certificates that are not read again; each has about 2 KiB.
_REMEMBERED = 1000


@frozen
class _Holder:
    """Who a certificate belongs to, and until when, in seconds since 1970."""

    principal: Principal
    until: float


@define(eq=False)
class CertificateLogin:
    """The authenticator of client certificates.

    :ivar patterns: the first that fits names the user.
    :ivar seconds: the clock, in seconds since 1970.
    """

    patterns: Sequence[CertificatePattern]
    seconds: Callable[[], float]
    _holders: Cache[bytes, _Holder] = field(
        factory=lambda: Cache(_REMEMBERED), init=False
    )

    def takes(self, credentials: Credentials) -> bool:
        """Return whether there is a certificate."""
        return credentials.certificate is not None

    def recall(self, credentials: Credentials) -> Principal | None:
        """Return who it is.

        :raises Unauthorized: it names no user, or more than one, or has ended.
        """
        der = credentials.certificate
        if der is None:
            return None
        holder = self._holders.get_or_put(der, lambda: self._read(der))
        if self.seconds() >= holder.until:
            # It was verified when the connection began, which may be long ago.
            raise Unauthorized("Your certificate has ended; connect with a new one.")
        return holder.principal

    def find_recall(self, credentials: Credentials) -> None:
        """Find nothing: there is nothing that could be left out."""

    async def authenticate(self, credentials: Credentials) -> Principal:
        """Return who it is; see :meth:`recall`."""
        principal = self.recall(credentials)
        assert principal is not None, "it takes only certificates"
        return principal

    def _read(self, der: bytes) -> _Holder:
        certificate = x509.load_der_x509_certificate(der)
        name = user_of(self._name(certificate), "A client's certificate")
        if name is None:
            raise Unauthorized("Your certificate names a user who cannot be one here.")
        serial = f"{certificate.serial_number:x}"
        issuer = certificate.issuer.rfc4514_string()
        proof = Proof("certificate", {"serial": serial, "issuer": issuer})
        until = certificate.not_valid_after_utc.astimezone(UTC)
        return _Holder(Principal(name, proof=proof), until.timestamp())

    def _name(self, certificate: x509.Certificate) -> str:
        for pattern in self.patterns:
            found = {pattern.user(text) for text in _names(certificate, pattern.kind)}
            found.discard(None)
            if len(found) > 1:
                raise Unauthorized("Your certificate names more than one user.")
            for user in found:
                return user or ""
        raise Unauthorized(
            "Your certificate names no user here: none of auth.certificate_user in the "
            "ini fits."
        )


def _names(certificate: x509.Certificate, kind: str) -> Iterator[str]:
    """Return the names of one kind that a certificate has."""
    if kind == "cn":
        for attribute in certificate.subject.get_attributes_for_oid(
            NameOID.COMMON_NAME
        ):
            if isinstance(attribute.value, str):
                yield attribute.value
        return
    try:
        alternatives = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, ValueError):
        return
    yield from alternatives.get_values_for_type(_GENERAL_NAMES[kind])
