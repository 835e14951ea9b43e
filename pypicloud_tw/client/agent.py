"""The Agent of a command that asks an index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.iweb import IAgent

from pypicloud_tw.outbound.agent import ProxiedAgent
from pypicloud_tw.outbound.proxies import ProxySettings

#: Seconds for a connection.
_CONNECT = 10.0


def make_agent(reactor: Any, scheme: str, environ: Mapping[str, str]) -> IAgent:
    """Make an Agent that trusts what the system does, or what ``SSL_CERT_FILE`` has.

    OpenSSL itself reads that variable and ``SSL_CERT_DIR``.

    :param scheme: of the index's address.
    :raises ConfigError: a proxy is not usable.
    """
    pool = HTTPConnectionPool(reactor, persistent=False)
    policy = BrowserLikePolicyForHTTPS()
    direct = Agent(reactor, policy, connectTimeout=_CONNECT, pool=pool)
    proxies = ProxySettings.of(environ, scheme)
    if not proxies.by_scheme:
        return direct
    return ProxiedAgent.over(direct, proxies, reactor, pool, policy, _CONNECT)
