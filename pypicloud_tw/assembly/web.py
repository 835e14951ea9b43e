"""Makes what listens and what answers."""

from __future__ import annotations

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.audit.downloads import DownloadLog
from pypicloud_tw.access.audit.log_file import LogFile
from pypicloud_tw.access.audit.witness import Witness
from pypicloud_tw.access.metrics_readers import metrics_reader
from pypicloud_tw.access.oidc.exchange import Exchange
from pypicloud_tw.access.sessions.browser import BrowserLogIn
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.admission import Screen
from pypicloud_tw.index.index import Index
from pypicloud_tw.outbound.authorities import read_authorities
from pypicloud_tw.process import Process
from pypicloud_tw.projects.affected.stored import AdministeredAdvisories
from pypicloud_tw.projects.derived.service import DerivedProjects
from pypicloud_tw.projects.elsewhere import Elsewhere
from pypicloud_tw.projects.statistics.stored import AdministeredStatistics
from pypicloud_tw.projects.stored_pruning import AdministeredPruning
from pypicloud_tw.server import Front, make_endpoint
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.web.api.oidc import TrustedPublishing
from pypicloud_tw.web.api.revealed import RevealedTokens
from pypicloud_tw.web.app import Application
from pypicloud_tw.web.cors import Cors
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.web.http.proxies import IdentityFields
from pypicloud_tw.web.http.site import ConnectionLimits, Proxies, Site
from pypicloud_tw.web.http.standard_output import access_log_on_standard_output
from pypicloud_tw.web.http.tls import ClientCertificates
from pypicloud_tw.workers.member import Member
from pypicloud_tw.workers.shared_socket import without_systemd


def make_application(
    config: Config,
    index: Index,
    fallback: Fallback | None,
    process: Process,
    access: Access,
    exchange: Exchange,
    administered: Administered,
    witness: Witness,
    browser: BrowserLogIn,
    download_log: LogFile | None,
    pruning: AdministeredPruning,
    advised: AdministeredAdvisories,
    screen: Screen,
    statistics: AdministeredStatistics,
    pins: Pins,
    derived: DerivedProjects,
    elsewhere: Elsewhere,
) -> Application:
    """Make what answers requests, whatever connection they come by.

    :param screen: raises the error for a file that nobody may upload.
    :param pins: who publishes the projects of upstreams.
    :param statistics: how often projects are fetched, and what counts that.
    :param derived: what is known of all projects at once.
    :param elsewhere: what is known here of other indexes.
    :param download_log: None: nobody writes down what is downloaded.
    """
    origins = config.server.cors_origins
    downloads = None
    if download_log is not None:
        downloads = DownloadLog(download_log, process.reactor.seconds)
    return Application(
        index,
        access=access,
        publishing=TrustedPublishing(exchange),
        administered=administered,
        revealed=RevealedTokens(administered.tokens, index.clock.seconds),
        offload=process.offload,
        metrics=process.metrics,
        max_upload=config.pypi.max_upload,
        metrics_read=metrics_reader(config.metrics.read),
        witness=witness,
        browser=browser,
        fallback=fallback,
        downloads=downloads,
        cors=Cors(frozenset(origins)) if origins else None,
        pruning=pruning,
        advisories=advised,
        screen=screen,
        pins=pins,
        temp_dir=config.storage.temp_dir,
        statistics=statistics,
        count=None if statistics.counted is None else statistics.counted.count,
        derived=derived,
        elsewhere=elsewhere,
    )


def make_front(
    config: Config,
    application: Application,
    process: Process,
    member: Member | None = None,
) -> Front:
    """Make what listens.

    :param member: this process is one of several workers, which share a socket.
    :raises ConfigError: there are no authorities in ``server.client_ca_file``.
    :raises SystemExit: it cannot listen as it is configured to.
    """
    server = config.server
    reactor, listen = process.reactor, server.listen
    if member is not None:
        reactor, listen = member.listener, without_systemd(listen)
    return Front(
        make_endpoint(reactor, listen, _client_certificates(config)),
        _make_site(config, application, process),
        server.grace,
    )


def _client_certificates(config: Config) -> ClientCertificates | None:
    path = config.server.client_ca_file
    if path is None:
        return None
    trusted = read_authorities(path, "server.client_ca_file")
    required = config.server.client_certificate == "required"
    return ClientCertificates(trusted, required)


def _make_site(config: Config, application: Application, process: Process) -> Site:
    reactor, observe = process.reactor, process.metrics.observe
    shared = process.number is not None
    access_log = None
    if config.server.access_log:
        access_log = access_log_on_standard_output(reactor, shared=shared)
    proxies = Proxies(
        config.pypi.trusted_proxies,
        config.pypi.public_url,
        IdentityFields.of(
            config.logins.remote_user_header, config.logins.remote_groups_header
        ),
    )
    lane = None
    if config.server.express_lane:
        lane = application.express_lane(proxies, observe, access_log)
    if lane is not None:
        lane.register(process.metrics)
    return Site(
        application.resource(),
        reactor=reactor,
        limits=ConnectionLimits(body=config.server.body_timeout),
        proxies=proxies,
        access_log=access_log,
        observe=lambda request, seconds: observe(request.method, request.code, seconds),
        express=None if lane is None else lane.answers,
        slices=process.offload.slices,
    )
