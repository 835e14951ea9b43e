"""The program's table of contents: from the configuration to a server that can run.

The server is assembled by :func:`assemble`; the commands need an index alone. Every
part is made complete, from parts that are made before it, and handed what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import random
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.web.client import HTTPConnectionPool

from pypicloud_tw import __version__
from pypicloud_tw.access.access import Access
from pypicloud_tw.access.certificate_login import CertificateLogin
from pypicloud_tw.access.directories.htpasswd import Htpasswd
from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.metrics_readers import metrics_reader
from pypicloud_tw.access.passwords import HTPASSWD
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.proxy_login import ProxyLogin
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.users import Users
from pypicloud_tw.config.load import Config, load
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.index.audit import Audit, log_act
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.outbound.authorities import read_authorities
from pypicloud_tw.process import Process
from pypicloud_tw.reload import Reloader
from pypicloud_tw.server import Front, Server, make_endpoint
from pypicloud_tw.startup import start
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.metered import MeteredStore
from pypicloud_tw.store.s3.make import make_s3_store
from pypicloud_tw.store.s3.store import S3Store
from pypicloud_tw.upstream.agent import make_agent
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.keeper import StoredPages
from pypicloud_tw.upstream.relay import Relay
from pypicloud_tw.upstream.rules import UpstreamRules
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.upstream.source import ClientLimits, UpstreamIndex
from pypicloud_tw.web.app import Application
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.web.http.proxies import IdentityFields
from pypicloud_tw.web.http.site import ConnectionLimits, Proxies, Site
from pypicloud_tw.web.http.standard_output import access_log_on_standard_output
from pypicloud_tw.web.http.tls import ClientCertificates
from pypicloud_tw.web.simple import render_upstream
from pypicloud_tw.web.views import SignedViews, view_project

if TYPE_CHECKING:
    from pypicloud_tw.access.directories.ldap import LdapDirectory

#: Connections that are kept to one upstream host: an installer asks for a dozen pages
#: and files at once.
_POOLED = 16

_log = Logger()


def nothing(point: str) -> None:
    """Ignore a checkpoint."""


def assemble(
    config: Config,
    reactor: Any,
    environ: Mapping[str, str],
    *,
    read: Callable[[], Config] | None = None,
    offload: Offload | None = None,
    checkpoint: Callable[[str], None] = nothing,
) -> Server:
    """Assemble a server; nothing has started.

    :param environ: of the process: credentials and proxies may come from it.
    :param read: reads the configuration as it is now, at SIGHUP.
    :param offload: what does work in helper processes and threads.
    :param checkpoint: see :func:`make_index`.
    :raises ConfigError: a rule, a CA file or a proxy cannot be understood.
    :raises SystemExit: it cannot listen as it is configured to.
    """
    process = make_process(reactor, offload)
    index = make_index(config, process, environ, checkpoint=checkpoint)
    fallback = make_fallback(config, index, process, environ)
    throttle = Throttle(
        reactor.seconds,
        failures=config.auth.max_failures,
        every=config.auth.retry_every,
    )
    logins = make_logins(config, process, throttle)
    policy = Policy(config.pypi.default_read, has_users=logins.possible)
    access = Access(policy, logins.authenticators)
    application = _make_application(config, index, fallback, process, access)
    site = _make_site(config, application, process)
    reloader = Reloader(
        config,
        read or partial(load, config.ini, environ),
        application,
        logins,
        throttle,
    )
    server = Server(
        process,
        Front(
            make_endpoint(reactor, config.server.listen, _client_certificates(config)),
            site,
            config.server.grace,
        ),
        index.standing,
        start=partial(start, index, partial(_warm_up, fallback)),
        on_hangup=reloader.reload,
        close=partial(_close, fallback, logins, index),
    )
    for notice in (*config.notices, *_greeting(config, policy, logins)):
        _log.info("{notice}", notice=notice)
    return server


def make_process(reactor: Any, offload: Offload | None = None) -> Process:
    """Make what all parts share."""
    return Process(reactor, offload or Offload(reactor), Metrics(reactor))


def make_logins(config: Config, process: Process, throttle: Throttle) -> Logins:
    """Assemble the ways to log in that the configuration opens.

    :raises ConfigError: one of them cannot be used as it is set.
    """
    doors, clock = config.doors, process.reactor
    directory = _make_directory(config, process)
    users = Users(
        config.users,
        offload=process.offload,
        clock=clock,
        cache_time=config.auth.cache_time,
        throttle=throttle,
        directory=directory,
    )
    htpasswd = None
    if doors.htpasswd is not None:
        update = partial(users.update, HTPASSWD)
        htpasswd = Htpasswd(doors.htpasswd, update, process.offload, clock)
        htpasswd.load()
    patterns = doors.certificate_user
    return Logins(
        users,
        htpasswd,
        directory,
        ProxyLogin() if doors.remote_user_header else None,
        CertificateLogin(patterns, clock.seconds) if patterns else None,
    )


def _make_directory(config: Config, process: Process) -> LdapDirectory | None:
    if not config.ldap.url:
        return None
    try:
        # Nobody else needs ldaptor.
        from pypicloud_tw.access.directories.ldap import LdapDirectory
        from pypicloud_tw.access.directories.ldap_client import endpoints_of
    except ModuleNotFoundError as e:
        raise ConfigError(
            [
                f"auth.ldap.url needs the module {e.name}, which is not here: pip "
                "install 'pypicloud-tw[ldap]'."
            ]
        ) from None
    reactor = process.reactor
    return LdapDirectory.make(config.ldap, reactor, endpoints_of(reactor))


def _client_certificates(config: Config) -> ClientCertificates | None:
    path = config.server.client_ca_file
    if path is None:
        return None
    trusted = read_authorities(path, "server.client_ca_file")
    required = config.server.client_certificate == "required"
    return ClientCertificates(trusted, required)


def make_index(
    config: Config,
    process: Process,
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
    reactor, metrics = process.reactor, process.metrics
    store = _make_store(config, process, environ, checkpoint)
    metered = MeteredStore(store, metrics.observe_store, reactor.seconds)
    signed = config.aws.bucket is not None and config.aws.link == "signed"
    manifests = Manifests(metered, reactor, standing=Standing.starting())
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
        process.offload,
        reactor,
        UploadRules(
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
    for part in (manifests, catalog, publisher):
        part.register(metrics)
    return Index(store, manifests, catalog, publisher, reactor)


def _make_store(
    config: Config,
    process: Process,
    environ: Mapping[str, str],
    checkpoint: Callable[[str], None],
) -> DirectoryStore | S3Store:
    if config.aws.bucket is None:
        return DirectoryStore(
            config.storage.dir,
            process.offload,
            clock=process.reactor.seconds,
            checkpoint=checkpoint,
        )
    store = make_s3_store(
        config.aws,
        process.reactor,
        process.offload,
        environ,
        temp_dir=config.storage.temp_dir,
        observe=process.metrics.observe_s3,
    )
    store.register(process.metrics)
    return store


def make_fallback(
    config: Config, index: Index, process: Process, environ: Mapping[str, str]
) -> Fallback | None:
    """Assemble what serves the projects that are not here; None if nothing does.

    :param environ: of the process: it may name proxies.
    :raises ConfigError: the rules, or a proxy, cannot be understood.
    """
    mode = config.pypi.fallback if config.pypi.use_fallback else "none"
    if mode == "none":
        return None
    sources = tuple(UpstreamIndex.parse(url) for url in config.pypi.fallback_url)
    pool = HTTPConnectionPool(process.reactor)
    pool.maxPersistentPerHost = _POOLED
    client = _make_client(config, sources, pool, process.reactor, environ)
    caches = mode == "cache"
    relays = config.pypi.fallback_files == "relay"
    keeper = None
    if caches:
        limit = config.upstream.max_page
        keeper = StoredPages.over(index.store, process.offload, limit)
    upstreams = Upstreams(
        client,
        sources,
        UpstreamRules.from_config(config.pypi, config.upstream),
        render_upstream,
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


def _make_client(
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


def _make_application(
    config: Config,
    index: Index,
    fallback: Fallback | None,
    process: Process,
    access: Access,
) -> Application:
    return Application(
        index,
        access=access,
        offload=process.offload,
        metrics=process.metrics,
        max_upload=config.pypi.max_upload,
        metrics_read=metrics_reader(config.metrics.read),
        fallback=fallback,
    )


def _make_site(config: Config, application: Application, process: Process) -> Site:
    reactor, observe = process.reactor, process.metrics.observe
    logs = config.server.access_log
    return Site(
        application.resource(),
        reactor=reactor,
        limits=ConnectionLimits(body=config.server.body_timeout),
        proxies=Proxies(
            config.pypi.trusted_proxies,
            config.pypi.public_url,
            IdentityFields.of(
                config.doors.remote_user_header, config.doors.remote_groups_header
            ),
        ),
        access_log=access_log_on_standard_output(reactor) if logs else None,
        observe=lambda request, seconds: observe(request.method, request.code, seconds),
    )


async def _warm_up(fallback: Fallback | None) -> None:
    if fallback is not None:
        await fallback.warm_up()


async def _close(fallback: Fallback | None, logins: Logins, index: Index) -> None:
    if fallback is not None:
        await fallback.close()
    logins.close()
    await index.close()


def _greeting(config: Config, policy: Policy, logins: Logins) -> list[str]:
    """Say what is served where, and what is missing before anybody can upload."""
    bucket = config.aws.bucket
    place = config.storage.dir if bucket is None else f"the bucket {bucket}"
    lines = [f"Serving {place} at {config.server.listen}."]
    if not logins.possible:
        reads = "anyone may read" if policy.public else "nobody may read"
        how = "Run pypicloud-gen-password and add 'user.NAME = HASH' to the ini."
        if config.ini is None:
            how = (
                "Run pypicloud-make-config, which writes an ini with a user, and give "
                "it by --config; pypicloud-gen-password makes hashes for more users."
            )
        lines.append(f"There is no user yet: {reads}, nobody may upload. {how}")
    return lines
