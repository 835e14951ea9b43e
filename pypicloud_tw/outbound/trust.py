"""Whose certificates are believed."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import (
    Certificate,
    OpenSSLDefaultPaths,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.client import BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy

from pypicloud_tw.outbound.authorities import read_authorities


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


def trust_ahead(policy: HostnameCachingHTTPSPolicy, host: str, port: int) -> None:
    """Read what a host's certificate is judged by, before anybody waits for it.

    That takes 60 ms, so it is for a thread.
    """
    creator = policy.creatorForNetloc(host.encode(), port)
    unconnected = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(Protocol))
    creator.clientConnectionForTLS(unconnected.buildProtocol(None))


def trust_of_system() -> HostnameCachingHTTPSPolicy:
    """Trust what the system does."""
    return HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS())


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
    authorities = read_authorities(ca_file, key)
    if beside_system:
        return BrowserLikePolicyForHTTPS(_BesideSystem(authorities))
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(authorities))
