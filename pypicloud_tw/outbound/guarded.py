"""The Agent for addresses that others name: guarded, bounded, through proxies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.web.client import Agent, HostnameCachingHTTPSPolicy, HTTPConnectionPool
from twisted.web.iweb import IAgent

from pypicloud_tw.outbound.agent import ProxiedAgent
from pypicloud_tw.outbound.guard import GuardedAgent, GuardedEndpoints, Rule
from pypicloud_tw.outbound.heads import BoundedHeads
from pypicloud_tw.outbound.proxies import ProxySettings


def guarded_agent(
    reactor: Any,
    pool: HTTPConnectionPool,
    rule: Rule,
    schemes: Iterable[str],
    *,
    tls: HostnameCachingHTTPSPolicy,
    connect_timeout: float,
    environ: Mapping[str, str],
) -> IAgent:
    """Make an Agent that keeps *rule*.

    :param schemes: what will be asked by: only their proxies need be usable.
    :param tls: whose certificates are believed. Without a cache every connection reads
        all certificate authorities again: 20 ms, in the reactor's thread.
    :param environ: of the process: it may name proxies.
    :raises ConfigError: a proxy is not usable.
    """
    endpoints = GuardedEndpoints(reactor, rule, connect_timeout, tls)
    direct: IAgent = Agent.usingEndpointFactory(reactor, endpoints, pool)
    proxies = ProxySettings.of(environ, *sorted(schemes))
    if not proxies.by_scheme:
        return direct
    through = ProxiedAgent.over(
        direct, proxies, reactor, pool, tls, connect_timeout, BoundedHeads
    )
    return GuardedAgent(through, proxies, rule)
