"""Makes what serves the projects that are not here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from random import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.client import HostnameCachingHTTPSPolicy, HTTPConnectionPool

from pypicloud_tw import __version__
from pypicloud_tw.advisories.values import NO_ADVISORIES, IAdvisories
from pypicloud_tw.assembly.index import make_names_elsewhere
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.index.attestations.provenance import Proved, ProvenanceQuestion
from pypicloud_tw.index.attestations.verification import (
    is_installed,
    verify_provenance,
)
from pypicloud_tw.index.index import Index
from pypicloud_tw.maintenance.daily import DailyJob
from pypicloud_tw.maintenance.reports.upstream import ChangedPublishers, NamesLikeOurs
from pypicloud_tw.maintenance.reports.values import IReportSource
from pypicloud_tw.outbound.trust import trust_ahead, trust_of_system
from pypicloud_tw.process import Process
from pypicloud_tw.projects.own_names import OwnNames
from pypicloud_tw.upstream.agent import make_agent
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.judgement.judges import IExemptions, Judges, SeenStandings
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.keeper import StoredPages
from pypicloud_tw.upstream.names.refresh import NamesReader
from pypicloud_tw.upstream.offline import OfflineClient
from pypicloud_tw.upstream.provenance.check import Provenance
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.upstream.provenance.proofs import Proofs
from pypicloud_tw.upstream.recheck import Recheck
from pypicloud_tw.upstream.relay import Relay
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.upstream.source import ClientLimits, UpstreamIndex
from pypicloud_tw.upstream.standings import Standings
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
    *,
    pins: Pins,
) -> Fallback | None:
    """Assemble what serves the projects that are not here; None if nothing does.

    :param advisories: what is known of malware.
    :param environ: of the process: it may name proxies.
    :param exemptions: from the rules.
    :param pins: who publishes what comes from upstream.
    :raises ConfigError: the rules, or a proxy, cannot be understood; or what they ask
        for is not installed.
    """
    mode = config.pypi.fallback if config.pypi.use_fallback else "none"
    if mode == "none":
        return None
    sources = tuple(UpstreamIndex.parse(url) for url in config.pypi.fallback_url)
    pool = HTTPConnectionPool(process.reactor)
    pool.maxPersistentPerHost = _POOLED
    tls = trust_of_system()
    client = make_client(config, sources, pool, process.reactor, environ, tls)
    caches, offline = mode in ("cache", "kept"), mode == "kept"
    relays = config.pypi.fallback_files == "relay"
    standings, keeper = None, None
    if caches:
        limit = config.upstream.max_page
        keeper = StoredPages.over(index.store, process.offload, limit)
        standings = Standings(index.store, process.reactor, index.standing)
    if offline and keeper is not None and standings is not None:
        client = _make_offline(client, keeper, standings, process)
    judges = Judges(
        UpstreamRules.from_config(config.pypi, config.upstream),
        exemptions,
        advisories,
        standings or SeenStandings(),
    )
    upstreams = Upstreams(
        client,
        sources,
        judges,
        render_upstream,
        reread_upstream,
        process.offload,
        process.reactor,
        config.upstream,
        own_links=caches or relays,
        # Offline, what is kept is the upstream, and no answer of it is to be kept.
        keeper=None if offline else keeper,
        provenance=_make_provenance(config, client, index, process, pins),
        connect_ahead=partial(_trust_ahead, tls, sources),
    )
    upstreams.register(process.metrics)
    merge = frozenset(config.upstream.merge)
    if keeper is not None and standings is not None:
        files = CachingFiles(
            upstreams, client, index.store, process.reactor, index.publisher.inspect
        )
        files.register(process.metrics)
        if offline:
            return Fallback(
                upstreams,
                close=partial(_close_offline, files, pool),
                files=files,
                merge=merge,
                kept_names=files.names,
            )
        recheck = Recheck(
            client,
            sources,
            judges,
            standings,
            keeper,
            files.names,
            index.store,
            index.standing,
            process.offload,
            process.reactor,
            config.upstream.recheck,
            confirm_after=config.upstream.stale_for / 8,
        )
        recheck.register(process.metrics)
        return Fallback(
            upstreams,
            close=partial(_close_cache, recheck, files, pool),
            begin=recheck.start,
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


def make_names_jobs(
    config: Config, index: Index, fallback: Fallback | None, process: Process
) -> tuple[DailyJob, ...]:
    """Make the job that reads the upstream's list of names, if that is to be read."""
    if fallback is None or not config.upstream.list_names:
        return ()
    if config.pypi.fallback == "kept":
        return ()  # nobody is asked
    reader = NamesReader(
        fallback.upstreams.client,
        fallback.upstreams.sources,
        make_names_elsewhere(config, index.store, process),
        process.offload,
        process.reactor,
        config.storage.temp_dir,
    )
    return (DailyJob("names", lambda: True, reader.refresh),)


def make_upstream_reports(
    config: Config,
    index: Index,
    fallback: Fallback | None,
    process: Process,
    pins: Pins,
) -> tuple[IReportSource, ...]:
    """Make what the daily report tells of projects of upstreams."""
    if fallback is None:
        return ()

    names = OwnNames(index.catalog, lambda: config.pypi.private)

    async def ours() -> frozenset[str]:
        # What is shown with the upstream's files is meant to have its name.
        return (await names.all()).difference(config.upstream.merge)

    return (
        ChangedPublishers(pins),
        NamesLikeOurs(
            make_names_elsewhere(config, index.store, process),
            ours,
            fallback.kept_names,
            Pieces(process.reactor),
        ),
    )


def make_pins(config: Config, index: Index) -> Pins:
    """Make what knows who publishes the projects of upstreams."""
    return Pins(index.store, index.clock, index.standing, config.upstream_publishers)


def _make_provenance(
    config: Config, client: Client, index: Index, process: Process, pins: Pins
) -> Provenance:
    def verify_apart(question: ProvenanceQuestion) -> Deferred[Proved]:
        return process.offload.in_process(verify_provenance, question)

    if config.upstream.require_provenance and not is_installed():
        raise ConfigError(
            [
                "upstream.require_provenance needs the extra that verifies: pip "
                "install 'pypicloud-tw[attestations]'. Without it nothing of these "
                "projects could be given out."
            ]
        )
    root = config.attestations.trust_root
    caches = config.pypi.fallback in ("cache", "kept")
    provenance = Provenance(
        client,
        pins,
        Proofs(index.clock, index.store if caches else None),
        verify_apart,
        index.publisher.audit,
        None if root is None else str(root),
    )
    provenance.register(process.metrics)
    return provenance


def _make_offline(
    client: Client, keeper: StoredPages, standings: Standings, process: Process
) -> OfflineClient:
    """Make what stands for an upstream that cannot be asked."""
    return OfflineClient(
        client.agent,
        client.clock,
        client.limits,
        client.user_agent,
        client.random,
        pages=keeper,
        standings=standings,
        offload=process.offload,
    )


async def _close_offline(files: CachingFiles, pool: HTTPConnectionPool) -> None:
    await files.close()
    await _close_pool(pool)


async def _close_cache(
    recheck: Recheck, files: CachingFiles, pool: HTTPConnectionPool
) -> None:
    recheck.stop()
    await files.close()
    await _close_pool(pool)


def _trust_ahead(
    tls: HostnameCachingHTTPSPolicy, sources: Sequence[UpstreamIndex]
) -> None:
    for scheme, host, port in [source.origin for source in sources]:
        if scheme == "https" and host.isascii():
            trust_ahead(tls, host, port)


async def _close_pool(pool: HTTPConnectionPool) -> None:
    await pool.closeCachedConnections()


def make_client(
    config: Config,
    sources: tuple[UpstreamIndex, ...],
    pool: HTTPConnectionPool,
    reactor: Any,
    environ: Mapping[str, str],
    tls: HostnameCachingHTTPSPolicy,
    *,
    tells: bool = True,
) -> Client:
    """Make what asks other servers, by the settings for the other index.

    :param sources: those that the operator has named.
    :param tls: whose certificates are believed.
    :param tells: see :class:`.Client`.
    :raises ConfigError: a proxy cannot be used.
    """
    limits = ClientLimits.from_config(config.upstream)
    agent = make_agent(
        reactor,
        pool,
        sources,
        tls=tls,
        private_hosts=config.upstream.allow_private_hosts,
        connect_timeout=limits.connect,
        environ=environ,
    )
    user_agent = f"pypicloud-tw/{__version__}"
    return Client(agent, reactor, limits, user_agent, random, tells)
