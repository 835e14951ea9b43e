"""The Agent that reaches S3: certificates, connections, proxies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.ssl import trustRootFromCertificates
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HostnameCachingHTTPSPolicy,
    HTTPConnectionPool,
)
from twisted.web.iweb import IAgent

from pypicloud_tw.outbound.agent import ProxiedAgent
from pypicloud_tw.outbound.authorities import read_authorities
from pypicloud_tw.outbound.proxies import ProxySettings

#: Idle connections are closed after so many seconds: before S3 does it, because a
#: conditional write on a connection that is just being closed is an ambiguous one.
IDLE = 4

#: Idle connections that are kept, as many as requests are usually under way.
KEPT = 32


def load_policy(ca_file: Path | None) -> BrowserLikePolicyForHTTPS:
    """Trust what the system does, or only the authorities of a PEM file.

    :raises ConfigError: there are none in the file.
    """
    if ca_file is None:
        return BrowserLikePolicyForHTTPS()
    authorities = read_authorities(ca_file, "aws.ca_file")
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
    direct = Agent(reactor, policy, connectTimeout=connect_timeout, pool=pool)
    proxies = ProxySettings.of(environ, urlsplit(url).scheme)
    if not proxies.by_scheme:
        return direct
    return ProxiedAgent.over(direct, proxies, reactor, pool, policy, connect_timeout)
