"""The Agent that reaches upstreams: guarded, with bounds, through proxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.web.client import HostnameCachingHTTPSPolicy, HTTPConnectionPool
from twisted.web.iweb import IAgent

from pypicloud_tw.outbound.guard import Rule
from pypicloud_tw.outbound.guarded import guarded_agent
from pypicloud_tw.upstream.source import UpstreamIndex


def make_agent(
    reactor: Any,
    pool: HTTPConnectionPool,
    sources: Sequence[UpstreamIndex],
    *,
    tls: HostnameCachingHTTPSPolicy,
    private_hosts: Sequence[str],
    connect_timeout: float,
    environ: Mapping[str, str],
) -> IAgent:
    """Make an Agent for upstreams and the hosts that their pages link to.

    :param tls: whose certificates are believed.
    :param private_hosts: ``upstream.allow_private_hosts``.
    :param environ: of the process: it may name proxies.
    :raises ConfigError: a proxy is not usable.
    """
    return guarded_agent(
        reactor,
        pool,
        # An upstream of the operator's own may be at a private address: the ini names
        # it.
        Rule.for_upstreams([source.base for source in sources], private_hosts),
        # Links and redirects may lead to https from either.
        {"https", *(source.origin[0] for source in sources)},
        tls=tls,
        connect_timeout=connect_timeout,
        environ=environ,
    )
