"""The Agent that reaches S3: certificates, connections, proxies."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import frozen
from OpenSSL.crypto import FILETYPE_PEM, load_certificate
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    HostnameCachingHTTPSPolicy,
    HTTPConnectionPool,
    ProxyAgent,
)
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.store.s3_tunnel import TunnelEndpoint

#: Idle connections are closed after so many seconds: before S3 does it, because a
#: conditional write on a connection that is just being closed is an ambiguous one.
IDLE = 4

#: Idle connections that are kept, as many as requests are usually under way.
KEPT = 32

_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"


@frozen
class Proxy:
    """An HTTP proxy that the environment names.

    :ivar authorization: the value of ``Proxy-Authorization``, or None.
    """

    host: str
    port: int
    authorization: bytes | None

    @classmethod
    def find(cls, url: str, environ: Mapping[str, str]) -> Proxy | None:
        """Tell the proxy for *url*, by ``https_proxy``, ``http_proxy``, ``no_proxy``.

        ``HTTP_PROXY`` in capitals is not read: in CGI it is the client's to set. SOCKS
        proxies are not spoken to.

        :raises ConfigError: it is not an HTTP proxy.
        """
        parts = urlsplit(url)
        names = [f"{parts.scheme}_proxy", "all_proxy"]
        names += [name.upper() for name in names if name != "http_proxy"]
        named = [name for name in names if environ.get(name)]
        without = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        if not named or _is_among(parts.netloc, parts.hostname or "", without):
            return None
        text = environ[named[0]]
        found = urlsplit(text if "://" in text else f"http://{text}")
        if found.scheme != "http" or not found.hostname:
            raise ConfigError(
                [f"{named[0]} in the environment is not an HTTP proxy (http://...)."]
            )
        authorization = None
        if found.username:
            user, password = unquote(found.username), unquote(found.password or "")
            authorization = b"Basic " + b64encode(f"{user}:{password}".encode())
        return cls(found.hostname, found.port or 80, authorization)


def _is_among(authority: str, host: str, names: str) -> bool:
    """Tell whether ``no_proxy`` names a host: itself, a domain above it, or ``*``."""
    for name in names.lower().replace(",", " ").split():
        name = name.lstrip(".")
        if name in ("*", host, authority) or host.endswith(f".{name}"):
            return True
    return False


def load_policy(ca_file: Path | None) -> BrowserLikePolicyForHTTPS:
    """Trust what the system does, or only the authorities of a PEM file.

    :raises ConfigError: there are none in the file.
    """
    if ca_file is None:
        return BrowserLikePolicyForHTTPS()
    try:
        blocks = ca_file.read_bytes().split(_PEM_BEGIN)[1:]
        authorities = [
            Certificate(load_certificate(FILETYPE_PEM, _PEM_BEGIN + block))
            for block in blocks
        ]
    except Exception as error:
        raise ConfigError(
            [f"aws.ca_file = {ca_file} cannot be read: {type(error).__name__}."]
        ) from None
    if not authorities:
        raise ConfigError([f"aws.ca_file = {ca_file} holds no certificate in PEM."])
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(authorities))


def make_agent(
    reactor: Any,
    url: str,
    *,
    ca_file: Path | None,
    connect_timeout: float,
    environ: Mapping[str, str],
) -> IAgent:
    """Make an Agent with a pool of its own for the S3 endpoint at *url*.

    :raises ConfigError: the CA file or the proxy is not usable.
    """
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = KEPT
    pool.cachedConnectionTimeout = IDLE
    # Without it every connection reads all certificate authorities again: 20 ms, in
    # the reactor's thread.
    policy = HostnameCachingHTTPSPolicy(load_policy(ca_file))
    proxy = Proxy.find(url, environ)
    if proxy is None:
        return Agent(reactor, policy, connectTimeout=connect_timeout, pool=pool)
    to_proxy = HostnameEndpoint(
        reactor, proxy.host.encode(), proxy.port, timeout=connect_timeout
    )
    if url.startswith("http:"):
        # Its Proxy-Authorization would have to go with every request; say so early.
        if proxy.authorization is not None:
            raise ConfigError(
                ["http_proxy with a password works for https endpoints only."]
            )
        return ProxyAgent(to_proxy, reactor, pool)
    tunnels = _Tunnels(to_proxy, proxy.authorization, policy)
    agent: IAgent = Agent.usingEndpointFactory(reactor, tunnels, pool)
    return agent


@implementer(IAgentEndpointFactory)
@frozen
class _Tunnels:
    """Reaches TLS servers through an HTTP proxy."""

    proxy: IStreamClientEndpoint
    authorization: bytes | None
    policy: IPolicyForHTTPS

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Tell how to connect to *uri*."""
        tunnel = TunnelEndpoint(self.proxy, uri.host, uri.port, self.authorization)
        creator = self.policy.creatorForNetloc(uri.host, uri.port)
        endpoint: IStreamClientEndpoint = wrapClientTLS(creator, tunnel)
        return endpoint
