"""Makes what serves the projects that are not here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import random
from typing import Any

from twisted.web.client import HTTPConnectionPool

from pypicloud_tw import __version__
from pypicloud_tw.advisories.values import NO_ADVISORIES, IAdvisories
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.index import Index
from pypicloud_tw.process import Process
from pypicloud_tw.upstream.agent import make_agent
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.judgement.judges import IExemptions, Judges
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.keeper import StoredPages
from pypicloud_tw.upstream.relay import Relay
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.upstream.source import ClientLimits, UpstreamIndex
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.web.simple import render_upstream, reread_upstream

#: Connections that are kept to one upstream host: an installer asks for a dozen pages
#: and files at once.
_POOLED = 16


def make_fallback(
    config: Config,
    index: Index,
    process: Process,
    environ: Mapping[str, str],
    exemptions: IExemptions,
    advisories: IAdvisories = NO_ADVISORIES,
) -> Fallback | None:
    """Assemble what serves the projects that are not here; None if nothing does.

    :param advisories: what is known of malware.
    :param environ: of the process: it may name proxies.
    :param exemptions: from the rules.
    :raises ConfigError: the rules, or a proxy, cannot be understood.
    """
    mode = config.pypi.fallback if config.pypi.use_fallback else "none"
    if mode == "none":
        return None
    sources = tuple(UpstreamIndex.parse(url) for url in config.pypi.fallback_url)
    pool = HTTPConnectionPool(process.reactor)
    pool.maxPersistentPerHost = _POOLED
    client = make_client(config, sources, pool, process.reactor, environ)
    caches = mode == "cache"
    relays = config.pypi.fallback_files == "relay"
    keeper = None
    if caches:
        limit = config.upstream.max_page
        keeper = StoredPages.over(index.store, process.offload, limit)
    upstreams = Upstreams(
        client,
        sources,
        Judges(
            UpstreamRules.from_config(config.pypi, config.upstream),
            exemptions,
            advisories,
        ),
        render_upstream,
        reread_upstream,
        process.offload,
        process.reactor,
        config.upstream,
        own_links=caches or relays,
        keeper=keeper,
    )
    upstreams.register(process.metrics)
    merge = frozenset(config.upstream.merge)
    if caches:
        files = CachingFiles(
            upstreams, client, index.store, process.reactor, index.publisher.inspect
        )
        files.register(process.metrics)
        return Fallback(
            upstreams,
            close=partial(_close_cache, files, pool),
            files=files,
            merge=merge,
            kept_names=files.names,
        )
    return Fallback(
        upstreams,
        close=partial(_close_pool, pool),
        files=Relay(upstreams, client) if relays else None,
        redirects=mode == "redirect",
        merge=merge,
    )


async def _close_cache(files: CachingFiles, pool: HTTPConnectionPool) -> None:
    await files.close()
    await _close_pool(pool)


async def _close_pool(pool: HTTPConnectionPool) -> None:
    await pool.closeCachedConnections()


def make_client(
    config: Config,
    sources: tuple[UpstreamIndex, ...],
    pool: HTTPConnectionPool,
    reactor: Any,
    environ: Mapping[str, str],
) -> Client:
    """Make what asks other servers, by the settings for the other index.

    :param sources: those that the operator has named.
    :raises ConfigError: a proxy cannot be used.
    """
    limits = ClientLimits.from_config(config.upstream)
    agent = make_agent(
        reactor,
        pool,
        sources,
        private_hosts=config.upstream.allow_private_hosts,
        connect_timeout=limits.connect,
        environ=environ,
    )
    return Client(agent, reactor, limits, f"pypicloud-tw/{__version__}", random)
