"""Certificates: whose they are, when they end, and whether a key fits."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from attrs import evolve, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.machine import Machine
from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, unseen, warning
from pypicloud_tw.web.http.tls import options_of

#: So long before its end a certificate is spoken of: those that renew themselves do so
#: 30 days before, and those of a few days by a third of them.
AHEAD = timedelta(days=14)

_RENEW = "Renew it, and restart the server, or what stands before it."

_TRUST = (
    "Name the file of its authority in SSL_CERT_FILE or REQUESTS_CA_BUNDLE; clients "
    "are given it by pypicloud client-config --ca."
)

#: OpenSSL's words where those between it and a known authority are missing.
_NO_CHAIN = frozenset(
    {"unable to get local issuer certificate", "unable to verify the first certificate"}
)


@frozen
class Remote:
    """A server that shows a certificate.

    :ivar key: what names it.
    """

    key: str
    host: str
    port: int


def remotes_of(config: Config) -> Iterator[Remote]:
    """Name the servers of the operator's own that are spoken to by TLS."""
    urls = [("aws.endpoint_url", config.aws.endpoint_url or "")]
    urls += [("pypi.public_url", config.pypi.public_url or "")]
    if config.pypi.use_fallback:
        urls += [("pypi.fallback_url", url) for url in config.pypi.fallback_url]
    urls += [("auth.ldap.url", url) for url in config.ldap.url]
    urls += [("oidc_login.issuer", config.oidc_login.issuer or "")]
    for key, url in urls:
        parts = urlsplit(url)
        port = {"https": 443, "ldaps": 636}.get(parts.scheme)
        if parts.hostname and port is not None:
            yield Remote(key, parts.hostname, parts.port or port)


def ends_at(remote: Remote, machine: Machine, now: datetime) -> Iterator[Finding]:
    """Look when the certificate of a server ends; for a thread."""
    subject = f"{remote.key}: {remote.host}:{remote.port}"
    try:
        (shown, *_) = x509.load_pem_x509_certificates(
            machine.certificate_at(remote.host, remote.port)
        )
    except ssl.SSLError as e:
        yield unseen(
            f"No TLS came about ({(e.reason or 'it broke off').lower()}).",
            "If it is served without TLS, let its address begin with http://.",
            subject,
        )
        return
    except (OSError, ValueError) as e:
        yield unseen(
            f"Its certificate could not be had ({type(e).__name__}).",
            "It may be reached through a proxy only.",
            subject,
        )
        return
    yield from _of_end(shown, now, subject)
    yield from _of_name(shown, remote.host, subject)


def trusted_here(
    remote: Remote, machine: Machine, ca_file: Path | None
) -> Iterator[Finding]:
    """Look why the certificate of a server is not trusted, if so; for a thread.

    :param ca_file: the only authorities that are trusted; None: the system's are.
    """
    try:
        why = machine.mistrust(remote.host, remote.port, ca_file)
    except OSError:
        return  # said of its end, or of the file where that is read
    if why is None:
        return
    advice = _TRUST
    if why in _NO_CHAIN:
        advice = (
            "Have it show the whole chain, its own certificate first (fullchain.pem). "
            f"If its authority is your own: {_TRUST}"
        )
    subject = f"{remote.key}: {remote.host}:{remote.port}"
    yield fault(f"It is not trusted here: {why}.", advice, subject)


def own_files(config: Config, now: datetime) -> Iterator[Finding]:
    """Look at the files that the server itself uses; for a thread."""
    looked = False
    if config.server.listen.startswith("ssl:"):
        looked = True
        yield from _of_listen(config, now)
    for key, path in (
        ("server.client_ca_file", config.server.client_ca_file),
        ("aws.ca_file", config.aws.ca_file),
        ("oidc.ca_file", config.oidc.ca_file),
        ("auth.ldap.ca_file", config.ldap.ca_file),
    ):
        if path is not None:
            looked = True
            yield from _of_authorities(f"{key} = {path}", path, now)
    if not looked:
        yield ok("The settings name no certificate.")


def _of_listen(config: Config, now: datetime) -> Iterator[Finding]:
    options = options_of(config.server.listen)
    key_file = Path(options["privateKey"])
    path = Path(options["certKey"] or key_file)
    subject = f"server.listen: {path}"
    try:
        own, *chain = _certificates(path)
        if options["extraCertChain"]:
            chain = _certificates(Path(options["extraCertChain"]))
        key = _key(key_file)
    except _Unusable as e:
        yield evolve(e.finding, subject=subject)
        return
    yield from _of_end(own, now, subject)
    if key != _public(own.public_key()):
        yield fault(
            f"The key in {key_file} is not the certificate's.",
            "Take the key that it was made with; the server's own comes first.",
            subject,
        )
    yield from _of_chain(own, chain, now, subject)
    host = urlsplit(config.pypi.public_url or "").hostname
    if host:
        yield from _of_name(own, host, subject)


def _of_chain(
    own: x509.Certificate,
    chain: Sequence[x509.Certificate],
    now: datetime,
    subject: str,
) -> Iterator[Finding]:
    """Look at the certificates of the authorities between."""
    if own.issuer == own.subject:
        return
    if not chain:
        yield note(
            "It stands alone, without those of the authorities between.",
            "If clients do not trust it, put the whole chain into the file.",
            subject,
        )
    elif all(one.subject != own.issuer for one in chain):
        yield warning(
            "None of the certificates behind it is of the authority that signed it.",
            "Put the chain there that came with it (fullchain.pem).",
            subject,
        )
    for one in chain:
        # Clients have roots of their own, and do not look at one that they are shown.
        if one.issuer != one.subject:
            found = _of_end(one, now, f"{subject}, {one.subject.rfc4514_string()}")
            yield from (end for end in found if end.level != "ok")


class _Unusable(Exception):
    """A file cannot be used; the finding says why."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found)
        self.finding = fault(found, advice)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise _Unusable(
            f"{path} cannot be read: {e.strerror or type(e).__name__}.",
            "Run this as the server's user; if it still says so, correct the path, or "
            "give that user the right to read it.",
        ) from None


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError:
        raise _Unusable(
            f"{path} has no certificates in PEM.",
            "Give it some, the server's own first.",
        ) from None


def _key(path: Path) -> bytes:
    """Read a key, and return its public half."""
    try:
        key = serialization.load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _Unusable(
            f"The key in {path} cannot be understood.",
            "It is in PEM, and without a password.",
        ) from None
    return _public(key.public_key())


def _public(key: object) -> bytes:
    made: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every kind has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made


def _of_authorities(subject: str, path: Path, now: datetime) -> Iterator[Finding]:
    try:
        found = _certificates(path)
    except _Unusable as e:
        yield evolve(e.finding, subject=subject)
        return
    soonest = min(found, key=lambda one: one.not_valid_after_utc)
    latest = max(found, key=lambda one: one.not_valid_after_utc)
    if latest.not_valid_after_utc < now:
        yield from _of_end(latest, now, subject)
    elif soonest.not_valid_after_utc < now:
        yield note(
            f"One of the {len(found)} in it ended on {soonest.not_valid_after_utc:%F}.",
            "Take it out, if nothing needs it.",
            subject,
        )
    else:
        yield from _of_end(soonest, now, subject)


def _of_end(shown: x509.Certificate, now: datetime, subject: str) -> Iterator[Finding]:
    begins, ends = shown.not_valid_before_utc, shown.not_valid_after_utc
    if begins > now:
        yield fault(
            f"It begins only on {begins:%F %R} UTC.", "Look at this clock.", subject
        )
    elif ends <= now:
        yield fault(f"It ended on {ends:%F %R} UTC.", _RENEW, subject)
    elif ends - now < min(AHEAD, (ends - begins) / 3):
        left = (ends - now).total_seconds() / 86400
        yield warning(f"It ends in {left:.1f} days, on {ends:%F}.", _RENEW, subject)
    else:
        yield ok(f"It ends on {ends:%F}.", subject)


def _of_name(shown: x509.Certificate, host: str, subject: str) -> Iterator[Finding]:
    names = sorted(_names(shown))
    if not any(_fits(name, host) for name in names):
        yield fault(
            f"It is not {host}'s, but of {', '.join(names[:5]) or 'no name'}.",
            f"Take one whose subjectAltName has {host}.",
            subject,
        )


def _names(shown: x509.Certificate) -> Iterable[str]:
    try:
        found = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    dns = found.value.get_values_for_type(x509.DNSName)
    addresses = found.value.get_values_for_type(x509.IPAddress)
    return [*dns, *map(str, addresses)]


def _fits(name: str, host: str) -> bool:
    """Compare as clients do (RFC 6125): a star is one label, the first."""
    try:
        return ip_address(name) == ip_address(host)
    except ValueError:
        pass
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name == host


def utc(seconds: float) -> datetime:
    """Return an instant, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
