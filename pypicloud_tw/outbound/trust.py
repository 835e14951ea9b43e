"""Whose certificates are believed."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_PEM, load_certificate
from twisted.internet.ssl import (
    Certificate,
    OpenSSLDefaultPaths,
    trustRootFromCertificates,
)
from twisted.web.client import BrowserLikePolicyForHTTPS

from pypicloud_tw.errors import ConfigError

_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"


def load_authorities(ca_file: Path, key: str) -> list[Certificate]:
    """Read the authorities of a PEM file.

    :param key: the ini's key that names the file.
    :raises ConfigError: there are none in the file.
    """
    try:
        blocks = ca_file.read_bytes().split(_PEM_BEGIN)[1:]
        authorities = [
            Certificate(load_certificate(FILETYPE_PEM, _PEM_BEGIN + block))
            for block in blocks
        ]
    except Exception as error:
        raise ConfigError(
            [f"{key} = {ca_file} cannot be read: {type(error).__name__}."]
        ) from None
    if not authorities:
        raise ConfigError([f"{key} = {ca_file} holds no certificate in PEM."])
    return authorities


class _BesideSystem(OpenSSLDefaultPaths):
    """Trusts what the system does, and these authorities."""

    def __init__(self, authorities: list[Certificate]) -> None:
        self._authorities = authorities

    def _addCACertsToContext(self, context: SSL.Context) -> None:
        # The one method that there is to override.
        super()._addCACertsToContext(context)  # type: ignore[no-untyped-call]  # Twisted's
        store = context.get_cert_store()
        assert store is not None, "every context has one"
        for authority in self._authorities:
            store.add_cert(authority.original)


def load_policy(
    ca_file: Path | None, key: str, *, beside_system: bool = False
) -> BrowserLikePolicyForHTTPS:
    """Trust what the system does, or only the authorities of a PEM file.

    :param key: the ini's key that names the file.
    :param beside_system: trust both.
    :raises ConfigError: there are none in the file.
    """
    if ca_file is None:
        return BrowserLikePolicyForHTTPS()
    authorities = load_authorities(ca_file, key)
    if beside_system:
        return BrowserLikePolicyForHTTPS(_BesideSystem(authorities))
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(authorities))
