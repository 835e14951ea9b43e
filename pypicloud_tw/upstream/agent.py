"""The Agent that reaches upstreams: guarded, with bounds, through proxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HostnameCachingHTTPSPolicy,
    HTTPConnectionPool,
)
from twisted.web.iweb import IAgent

from pypicloud_tw.outbound.agent import ProxiedAgent
from pypicloud_tw.outbound.proxies import ProxySettings
from pypicloud_tw.upstream.guard import GuardedAgent, GuardedEndpoints, Rule
from pypicloud_tw.upstream.heads import BoundedHeads
from pypicloud_tw.upstream.source import UpstreamIndex


def make_agent(
    reactor: Any,
    pool: HTTPConnectionPool,
    sources: Sequence[UpstreamIndex],
    *,
    private_hosts: Sequence[str],
    connect_timeout: float,
    environ: Mapping[str, str],
) -> IAgent:
    """Make an Agent for upstreams and the hosts that their pages link to.

    :param private_hosts: ``upstream.allow_private_hosts``.
    :param environ: of the process: it may name proxies.
    :raises ConfigError: a proxy is not usable.
    """
    # An upstream of the operator's own may be at a private address: the ini names it.
    rule = Rule.for_upstreams([source.base for source in sources], private_hosts)
    # Without it every connection reads all certificate authorities again: 20 ms, in
    # the reactor's thread.
    tls = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS())
    endpoints = GuardedEndpoints(reactor, rule, connect_timeout, tls)
    direct: IAgent = Agent.usingEndpointFactory(reactor, endpoints, pool)
    # Links and redirects may lead to https from either.
    schemes = {"https", *(source.origin[0] for source in sources)}
    proxies = ProxySettings.of(environ, *sorted(schemes))
    if not proxies.by_scheme:
        return direct
    through = ProxiedAgent.over(
        direct, proxies, reactor, pool, tls, connect_timeout, BoundedHeads
    )
    return GuardedAgent(through, proxies, rule)
