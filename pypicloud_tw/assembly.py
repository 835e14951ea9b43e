"""Putting the parts together: an index over the store that the configuration names.

Called by the server (:mod:`pypicloud_tw.tap`) and by the commands alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from random import random
from typing import Any

from attrs import define, field
from twisted.web.client import HTTPConnectionPool

from pypicloud_tw import __version__
from pypicloud_tw.config.load import Config
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.audit import Audit, log_act
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.errands import Errands
from pypicloud_tw.index.lease import Lease
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.publish import Publisher, Rules
from pypicloud_tw.index.survey import Survey
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.maintenance import jobs
from pypicloud_tw.maintenance.adopt import Adopter, Progress
from pypicloud_tw.maintenance.rebuild import Rebuilder
from pypicloud_tw.maintenance.sweep import Sweeper
from pypicloud_tw.maintenance.verify import Verifier
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.metered import MeteredStore
from pypicloud_tw.store.s3.make import make_s3_store
from pypicloud_tw.store.s3.probe import Conditional
from pypicloud_tw.store.s3.store import S3Store
from pypicloud_tw.upstream.agent import make_agent
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.keeper import StoredPages
from pypicloud_tw.upstream.relay import Relay
from pypicloud_tw.upstream.rules import UpstreamRules
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.upstream.source import ClientLimits, UpstreamIndex
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.web.simple import render_upstream
from pypicloud_tw.web.views import ProjectView, SignedViews, view_project

#: Connections that are kept to one upstream host: an installer asks for a dozen pages
#: and files at once.
_POOLED = 16


@define(eq=False)
class Index:
    """The domain of one server or one command, assembled; nothing has started."""

    store: DirectoryStore | S3Store
    offload: Offload
    metrics: Metrics
    manifests: Manifests
    catalog: Catalog[ProjectView]
    publisher: Publisher
    reactor: Any
    _secured: bool = field(default=False, init=False)
    _lease: Lease | None = field(default=None, init=False)
    _errands: Errands | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.manifests.standing.start()

    @property
    def unserved(self) -> Unserved:
        """What knows the names that are ours although they have no page."""
        return self.publisher.unserved

    async def secure(self) -> None:
        """Take a lease where the store cannot keep two writers apart.

        To be called when the store is ready. Before, nothing is changed: what the store
        does with a condition is known only then.

        :raises StoreError: the store is away.
        """
        if self._secured:
            return
        if isinstance(self.store, S3Store) and (
            self.store.conditional is Conditional.NONE
        ):
            lease = Lease(self.publisher.store, self.reactor)
            await lease.start()
            self._lease = lease
        self._secured = True
        self.manifests.standing.open(self._lease)

    @property
    def has_rival(self) -> bool:
        """Whether another process holds the lease, and alone may change anything."""
        return self.manifests.standing.has_rival

    def take_errands(self) -> None:
        """Do what commands may not do themselves, while the lease is ours."""
        lease = self._lease
        if lease is None or self._errands is not None:
            return
        self._errands = Errands(
            self.publisher.store,
            self.reactor,
            partial(jobs.do, self),
            lambda: lease.held,
        )
        self._errands.start()

    async def close(self) -> None:
        """Free what it holds in the store and end its helpers."""
        if self._errands is not None:
            await self._errands.stop()
        if self._lease is not None:
            with suppress(PypicloudError):
                await self._lease.stop()
        await self.store.close()
        await self.offload.stopService()

    def adopter(
        self,
        report: Callable[[Progress], None],
        *,
        dry_run: bool = False,
        survey: Survey | None = None,
    ) -> Adopter:
        """Make what adopts files that lie in the store already."""
        return Adopter(
            self.publisher.store,
            self.manifests,
            self.publisher,
            report=report,
            dry_run=dry_run,
            survey=survey,
        )

    def rebuilder(self, *, dry_run: bool) -> Rebuilder:
        """Make what writes lost manifests anew."""
        adopter = self.adopter(lambda progress: None, dry_run=dry_run)
        return Rebuilder(adopter, dry_run)

    def verifier(self, *, deep: bool) -> Verifier:
        """Make what compares the manifests with the store."""
        return Verifier(self.publisher.store, self.manifests, self.offload, deep)

    def sweeper(
        self, age: float, report: Callable[[str], None], *, dry_run: bool
    ) -> Sweeper:
        """Make what removes orphans."""
        return Sweeper(self.publisher.store, self.manifests, age, dry_run, report)


def nothing(point: str) -> None:
    """Pass a checkpoint by."""


def make_index(
    config: Config,
    reactor: Any,
    environ: Mapping[str, str],
    *,
    checkpoint: Callable[[str], None] = nothing,
    audit: Audit = log_act,
) -> Index:
    """Assemble the domain over the store that the configuration names.

    :param environ: of the process: credentials and proxies may come from it.
    :param checkpoint: called with the name of each step of a publish that was just
        done, for tests that end the process there.
    :param audit: takes a record of every change.
    """
    offload = Offload(reactor)
    metrics = Metrics(reactor)
    store = _make_store(config, reactor, offload, metrics, environ, checkpoint)
    metered = MeteredStore(store, metrics.observe_store, reactor.seconds)
    signed = config.aws.bucket is not None and config.aws.link == "signed"
    manifests = Manifests(metered, reactor)
    catalog = Catalog(
        manifests,
        Marker(metered),
        reactor,
        SignedViews(metered) if signed else view_project,
        fresh_for=config.index.fresh_for,
        verify_every=config.index.verify_every,
        capacity=config.index.memory,
    )
    publisher = Publisher(
        metered,
        manifests,
        catalog,
        offload,
        reactor,
        Rules(
            legacy_formats=config.pypi.legacy_formats,
            overwrite=config.pypi.allow_overwrite,
            reupload_deleted=config.pypi.allow_reupload_deleted,
            sweep_age=config.index.sweep_age,
        ),
        checkpoint,
        audit,
        unserved=Unserved(
            metered,
            reactor,
            manifests.check_open,
            config.index.fresh_for,
            config.index.verify_every,
        ),
    )
    _watch(metrics, catalog, publisher)
    return Index(store, offload, metrics, manifests, catalog, publisher, reactor)


def _make_store(
    config: Config,
    reactor: Any,
    offload: Offload,
    metrics: Metrics,
    environ: Mapping[str, str],
    checkpoint: Callable[[str], None],
) -> DirectoryStore | S3Store:
    if config.aws.bucket is None:
        return DirectoryStore(
            config.storage.dir, offload, clock=reactor.seconds, checkpoint=checkpoint
        )
    store = make_s3_store(
        config.aws,
        reactor,
        offload,
        environ,
        temp_dir=config.storage.temp_dir,
        observe=metrics.observe_s3,
    )
    _watch_s3(metrics, store)
    return store


def _watch_s3(metrics: Metrics, store: S3Store) -> None:
    read = metrics.read
    read(
        "pypicloud_upload_buffer_bytes",
        "What is taken of aws.buffer_memory",
        lambda: store.budget.used,
    )
    signed = store.signed_urls
    if signed is None:
        return
    read("pypicloud_signed_urls", "Signed addresses kept", lambda: len(signed))
    read(
        "pypicloud_signed_url_hits", "... used again", lambda: signed.hits, counts=True
    )
    read("pypicloud_signed_url_misses", "... made", lambda: signed.misses, counts=True)


def _watch(
    metrics: Metrics, catalog: Catalog[ProjectView], publisher: Publisher
) -> None:
    read = metrics.read
    read("pypicloud_pages_bytes", "Memory of known pages", lambda: catalog.weight)
    read("pypicloud_page_hits", "Pages known", lambda: catalog.hits, counts=True)
    read("pypicloud_page_misses", "Pages read", lambda: catalog.misses, counts=True)
    read(
        "pypicloud_stale_answers",
        "Answers as last known while the store was away",
        lambda: catalog.served_stale,
        counts=True,
    )
    read(
        "pypicloud_uploads",
        "Files that were uploaded, and are published",
        lambda: publisher.uploads,
        counts=True,
    )
    read(
        "pypicloud_changes",
        "Uploads, removals and other changes of projects",
        lambda: publisher.changes,
        counts=True,
    )
    read(
        "pypicloud_swaps",
        "Tries to write a manifest; changes of one project share them",
        lambda: publisher.manifests.swaps,
        counts=True,
    )
    read(
        "pypicloud_swaps_overtaken",
        "Tries to write a manifest that another writer was ahead of",
        lambda: publisher.manifests.overtaken,
        counts=True,
    )


def make_fallback(
    config: Config, index: Index, reactor: Any, environ: Mapping[str, str]
) -> Fallback | None:
    """Assemble what serves the projects that are not here; None if nothing does.

    :param environ: of the process: it may name proxies.
    :raises ConfigError: the rules, or a proxy, cannot be understood.
    """
    mode = config.pypi.fallback if config.pypi.use_fallback else "none"
    if mode == "none":
        return None
    sources = tuple(UpstreamIndex.parse(url) for url in config.pypi.fallback_url)
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = _POOLED
    client = _upstream_client(config, sources, pool, reactor, environ)

    async def close() -> None:
        if isinstance(fallback.files, CachingFiles):
            await fallback.files.close()
        await pool.closeCachedConnections()

    caches = mode == "cache"
    relays = config.pypi.fallback_files == "relay"
    keeper = None
    if caches:
        store, limit = index.publisher.store, config.upstream.max_page
        keeper = StoredPages.over(store, index.offload, limit)
    upstreams = Upstreams(
        client,
        sources,
        UpstreamRules.from_config(config.pypi, config.upstream),
        render_upstream,
        index.offload,
        reactor,
        config.upstream,
        own_links=caches or relays,
        keeper=keeper,
    )
    fallback = Fallback(
        upstreams,
        close=close,
        redirects=mode == "redirect",
        merge=frozenset(config.upstream.merge),
    )
    if caches:
        publisher = index.publisher
        files = CachingFiles(
            upstreams, client, publisher.store, reactor, publisher.inspect
        )
        fallback.files, fallback.kept_names = files, files.names
    elif relays:
        fallback.files = Relay(upstreams, client)
    _watch_upstream(index.metrics, fallback)
    return fallback


def _watch_upstream(metrics: Metrics, fallback: Fallback) -> None:
    upstreams, files = fallback.upstreams, fallback.files
    kinds = upstreams.pages, upstreams.legacy
    readings: list[tuple[str, str, Callable[[], float]]] = [
        ("hits", "Upstream pages known", lambda: sum(p.hits for p in kinds)),
        ("misses", "Upstream pages asked for", lambda: sum(p.misses for p in kinds)),
        (
            "failures",
            "Questions that upstreams failed",
            lambda: sum(p.failures for p in kinds),
        ),
        (
            "stale",
            "Pages as last known, answered",
            lambda: sum(p.served_stale for p in kinds),
        ),
    ]
    if isinstance(files, CachingFiles):
        readings += [
            ("files_kept", "Files given from the store", lambda: files.stored_hits),
            ("files_fetched", "Files fetched to be kept", lambda: files.fetched),
        ]
    for name, description, reading in readings:
        metrics.read(f"pypicloud_upstream_{name}", description, reading, counts=True)


def _upstream_client(
    config: Config,
    sources: tuple[UpstreamIndex, ...],
    pool: HTTPConnectionPool,
    reactor: Any,
    environ: Mapping[str, str],
) -> Client:
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
