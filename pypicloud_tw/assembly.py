"""The program's table of contents: from the configuration to a server that can run.

The server is assembled by :func:`assemble`; the commands need an index alone. Every
part is made complete, from parts that are made before it, and handed what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import random
from secrets import token_hex
from socket import gethostname
from typing import TYPE_CHECKING, Any, Literal

from twisted.logger import Logger
from twisted.web.client import HTTPConnectionPool

from pypicloud_tw import __version__
from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.stored import Administered
from pypicloud_tw.access.audit.downloads import DownloadLog
from pypicloud_tw.access.audit.log_file import LogFile
from pypicloud_tw.access.audit.stored import StoredRecords
from pypicloud_tw.access.audit.trail import Trail
from pypicloud_tw.access.audit.witness import Witness
from pypicloud_tw.access.certificate_login import CertificateLogin
from pypicloud_tw.access.directories.htpasswd import Htpasswd
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.metrics_readers import metrics_reader
from pypicloud_tw.access.oidc.exchange import Exchange
from pypicloud_tw.access.oidc.fetchers import IssuerFetchers
from pypicloud_tw.access.oidc.issuers import Issuers
from pypicloud_tw.access.passwords import HTPASSWD
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import ANONYMOUS
from pypicloud_tw.access.proxy_login import ProxyLogin
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.documents import TokenDocuments
from pypicloud_tw.access.tokens.last_use import LastUses
from pypicloud_tw.access.tokens.login import TokenLogin
from pypicloud_tw.access.tokens.minted import Minted
from pypicloud_tw.access.tokens.owners import TokenOwners
from pypicloud_tw.access.tokens.tokens import Tokens
from pypicloud_tw.access.users import Users
from pypicloud_tw.config.load import Config, load
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.index.audit import Audit
from pypicloud_tw.index.audit_log import log_act
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.index.watch import MarkerWatch
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
from pypicloud_tw.web.api.oidc import TrustedPublishing
from pypicloud_tw.web.api.revealed import RevealedTokens
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
    audit_log = _log_file("audit.log", config.audit.log, process)
    download_log = _log_file("downloads.log", config.downloads.log, process)
    logs = tuple(filter(None, (audit_log, download_log)))
    trail = make_trail(config, process, audit_log)
    index = make_index(config, process, environ, checkpoint=checkpoint, audit=trail)
    fallback = make_fallback(config, index, process, environ)
    throttle = Throttle(
        reactor.seconds,
        failures=config.auth.max_failures,
        every=config.auth.retry_every,
    )
    logins = make_logins(config, process, throttle)
    users = logins.users
    documents = make_access_documents(config, index, process)
    documents.subscribe(users.obeying)
    policy = Policy(AccessSettings.of(config, log_in_elsewhere=logins.possible))
    owners = TokenOwners(users.source_of)
    documents.subscribe(owners.obeying)
    tokens = make_tokens(config, index, process, throttle, owners)
    login = make_token_login(tokens, process)
    access = Access(
        policy,
        (login, *logins.authenticators),
        documents,
        process.metrics.observe_login,
    )
    exchange = make_exchange(config, index, process, environ, access, tokens.minted)
    administered = Administered(access, documents, tokens, process.offload, trail)
    application = _make_application(
        config,
        index,
        fallback,
        process,
        access,
        TrustedPublishing(exchange, reactor.seconds),
        administered,
        Witness(trail, process.metrics, users.has),
        download_log,
    )
    site = _make_site(config, application, process)
    reloader = Reloader(
        config,
        read or partial(load, config.ini, environ),
        application,
        logins,
        throttle,
        partial(_make_fetchers, process, environ),
        tokens,
    )
    server = Server(
        process,
        Front(
            make_endpoint(reactor, config.server.listen, _client_certificates(config)),
            site,
            config.server.grace,
        ),
        index.standing,
        open_logs=partial(_open_logs, logs),
        start=partial(_start, index, access, fallback, trail),
        on_hangup=partial(_hang_up, logs, reloader),
        close=partial(_close, fallback, logins, tokens, trail, download_log, index),
    )
    for notice in (*config.notices, *_greeting(config, policy, logins)):
        _log.info("{notice}", notice=notice)
    return server


def make_process(reactor: Any, offload: Offload | None = None) -> Process:
    """Make what all parts share."""
    return Process(reactor, offload or Offload(reactor), Metrics(reactor))


def make_trail(
    config: Config,
    process: Process,
    file: LogFile | None = None,
    tell: Audit = log_act,
) -> Trail:
    """Make what takes the records of who did what.

    :param file: of ``audit.log``.
    :param tell: says what was changed to whoever looks on.
    """
    stored = None
    if config.audit.store:
        stored = StoredRecords(process.reactor, token_hex(8))
    trail = Trail(process.reactor, process.metrics, file, stored, tell)
    trail.register()
    return trail


def _log_file(
    key: str, place: Path | Literal["-"] | None, process: Process
) -> LogFile | None:
    return None if place is None else LogFile(key, place, process.reactor)


def _open_logs(logs: Iterable[LogFile]) -> None:
    for log in logs:
        log.open()


def _hang_up(logs: Iterable[LogFile], reloader: Reloader) -> None:
    for log in logs:
        log.reopen()
    reloader.reload()


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
        MarkerWatch(Marker(metered), reactor, config.index.fresh_for),
        reactor,
        SignedViews(metered) if signed else view_project,
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


def make_access_documents(
    config: Config, index: Index, process: Process
) -> AccessDocuments:
    """Make what keeps the access document of an index."""
    documents = AccessDocuments(
        index.store,
        index.watch,
        index.standing,
        index.clock,
        verify_every=config.index.verify_every,
    )
    documents.register(process.metrics)
    return documents


def make_tokens(
    config: Config,
    index: Index,
    process: Process,
    throttle: Throttle,
    owners: TokenOwners,
) -> Tokens:
    """Make what makes, finds and revokes the tokens of an index.

    :param throttle: judges clients that show tokens that there are not.
    :param owners: knows whose tokens live.
    """
    store, clock = index.store, index.clock
    documents = TokenDocuments(
        store,
        index.watch,
        index.standing,
        clock,
        throttle,
        verify_every=config.index.verify_every,
    )
    minted = Minted(store, index.standing, clock, throttle, config.index.fresh_for)
    tokens = Tokens(
        documents,
        minted,
        owners.identify,
        LastUses(store, clock, _server_name(config)),
        clock,
        index.publisher.audit,
        life=config.auth.token_life,
        max_life=config.auth.token_max_life,
    )
    tokens.register(process.metrics)
    return tokens


def make_administered(config: Config, index: Index, process: Process) -> Administered:
    """Make what a command administers, which logs nobody in."""
    throttle = Throttle(process.reactor.seconds)
    # Names only: no password is checked here.
    users = Users(config.users, offload=process.offload, clock=process.reactor)
    documents = make_access_documents(config, index, process)
    documents.subscribe(users.obeying)
    owners = TokenOwners(users.source_of)
    documents.subscribe(owners.obeying)
    tokens = make_tokens(config, index, process, throttle, owners)
    access = Access(Policy(AccessSettings.of(config)), (), documents)
    audit = index.publisher.audit
    return Administered(access, documents, tokens, process.offload, audit)


def make_token_login(tokens: Tokens, process: Process) -> TokenLogin:
    """Make the authenticator of tokens."""
    login = TokenLogin(
        tokens.documents, tokens.minted, tokens.owners, tokens.uses, tokens.clock
    )
    login.register(process.metrics)
    return login


def _server_name(config: Config) -> str:
    """Tell this server from others of the store, the same after a restart."""
    where = f"{gethostname()} {config.server.listen}"
    return sha256(where.encode()).hexdigest()[:16]


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
    publishing: TrustedPublishing,
    administered: Administered,
    witness: Witness,
    download_log: LogFile | None,
) -> Application:
    downloads = None
    if download_log is not None:
        downloads = DownloadLog(download_log, process.reactor.seconds)
    return Application(
        index,
        access=access,
        publishing=publishing,
        administered=administered,
        revealed=RevealedTokens(administered.tokens, index.clock.seconds),
        offload=process.offload,
        metrics=process.metrics,
        max_upload=config.pypi.max_upload,
        metrics_read=metrics_reader(config.metrics.read),
        witness=witness,
        fallback=fallback,
        downloads=downloads,
    )


def make_exchange(
    config: Config,
    index: Index,
    process: Process,
    environ: Mapping[str, str],
    access: Access,
    minted: Minted,
) -> Exchange:
    """Make what exchanges the identity tokens of CI jobs.

    :param environ: of the process: it may name proxies.
    :raises ConfigError: there are no authorities in ``oidc.ca_file``.
    """
    seconds = process.reactor.seconds
    exchange = Exchange(
        access,
        Issuers(_make_fetchers(process, environ, config), seconds),
        minted,
        index.publisher.audit,
        seconds,
        config.oidc.token_lifetime,
    )
    exchange.register(process.metrics)
    return exchange


def _make_fetchers(
    process: Process, environ: Mapping[str, str], config: Config
) -> IssuerFetchers:
    """Make what the documents of issuers are fetched by.

    :raises ConfigError: there are no authorities in ``oidc.ca_file``.
    """
    if config.oidc.ca_file is not None:
        read_authorities(config.oidc.ca_file, "oidc.ca_file")
    return IssuerFetchers(
        config.oidc,
        frozenset(one.issuer for one in config.publishers.values()),
        process.reactor,
        environ,
        f"pypicloud-tw/{__version__}",
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


async def _start(
    index: Index, access: Access, fallback: Fallback | None, trail: Trail
) -> None:
    trail.start(index.store)
    await start(index, access, partial(_warm_up, fallback))


async def _warm_up(fallback: Fallback | None) -> None:
    if fallback is not None:
        await fallback.warm_up()


async def _close(
    fallback: Fallback | None,
    logins: Logins,
    tokens: Tokens,
    trail: Trail,
    download_log: LogFile | None,
    index: Index,
) -> None:
    if fallback is not None:
        await fallback.close()
    logins.close()
    await tokens.uses.stop()
    if download_log is not None:
        download_log.close()
    # What came before made records; they go into the store.
    await trail.close()
    await index.close()


def _greeting(config: Config, policy: Policy, logins: Logins) -> list[str]:
    """Say what is served where, and what is missing before anybody can upload."""
    bucket = config.aws.bucket
    place = config.storage.dir if bucket is None else f"the bucket {bucket}"
    lines = [f"Serving {place} at {config.server.listen}."]
    if not logins.possible and not policy.may_any(ANONYMOUS, Action.UPLOAD):
        reads = "anyone may read" if policy.public else "nobody may read"
        how = "Run pypicloud-gen-password and add 'user.NAME = HASH' to the ini."
        if config.ini is None:
            how = (
                "Run pypicloud-make-config, which writes an ini with a user, and give "
                "it by --config; pypicloud-gen-password makes hashes for more users."
            )
        lines.append(f"There is no user yet: {reads}, nobody may upload. {how}")
    lines.append(policy.rules.summary)
    return lines
