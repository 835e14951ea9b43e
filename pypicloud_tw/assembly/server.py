"""The program's table of contents: from the configuration to a server that can run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from twisted.logger import Logger

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.audit.log_file import LogFile
from pypicloud_tw.access.audit.trail import Trail
from pypicloud_tw.access.audit.witness import Witness
from pypicloud_tw.access.exemptions import Exemptions, ended_notices
from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.signers import TrustedSigners
from pypicloud_tw.access.tokens.tokens import Tokens
from pypicloud_tw.advisories.service import Advisories
from pypicloud_tw.advisories.values import NO_ADVISORIES
from pypicloud_tw.assembly.access import (
    make_access,
    make_access_documents,
    make_browser_log_in,
    make_exchange,
    make_fetchers,
    make_session_login,
    make_tokens,
)
from pypicloud_tw.assembly.advised import make_advised, make_reporter
from pypicloud_tw.assembly.advisories import make_advisories, make_screen
from pypicloud_tw.assembly.audit import make_log_file, make_trail
from pypicloud_tw.assembly.daily import make_daily
from pypicloud_tw.assembly.fallback import (
    make_fallback,
    make_names_jobs,
    make_pins,
    make_upstream_reports,
)
from pypicloud_tw.assembly.greeting import greeting, who_may_upload
from pypicloud_tw.assembly.index import make_index, make_process
from pypicloud_tw.assembly.logins import make_logins, make_throttle
from pypicloud_tw.assembly.search import make_derived, make_elsewhere
from pypicloud_tw.assembly.statistics import (
    make_downloads,
    make_last_fetched,
    make_statistics_jobs,
)
from pypicloud_tw.assembly.watched import register_standing
from pypicloud_tw.assembly.web import make_application, make_front
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.load import load
from pypicloud_tw.index.index import Index
from pypicloud_tw.listening.service_manager import ServiceManager
from pypicloud_tw.maintenance.daily import Daily
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.projects.affected.stored import AdministeredAdvisories
from pypicloud_tw.projects.derived.service import DerivedProjects
from pypicloud_tw.projects.statistics.stored import AdministeredStatistics
from pypicloud_tw.projects.stored_pruning import AdministeredPruning
from pypicloud_tw.reload import Reloader
from pypicloud_tw.server import Server
from pypicloud_tw.startup import start
from pypicloud_tw.statistics.downloads import CountedDownloads
from pypicloud_tw.store.checkpoints import Checkpoint, pass_by
from pypicloud_tw.web.app import Application
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.workers.member import Member

_log = Logger()


def assemble(
    config: Config,
    reactor: Any,
    environ: Mapping[str, str],
    *,
    read: Callable[[], Config] | None = None,
    offload: Offload | None = None,
    checkpoint: Checkpoint = pass_by,
    member: Member | None = None,
) -> Server:
    """Assemble a server; nothing has started.

    :param environ: of the process: credentials and proxies may come from it.
    :param read: reads the configuration as it is now, at SIGHUP.
    :param offload: what does work in helper processes and threads.
    :param checkpoint: see :func:`~pypicloud_tw.assembly.index.make_index`.
    :param member: this process is one of several workers; None: it is alone.
    :raises ConfigError: a rule, a CA file or a proxy cannot be understood.
    :raises SystemExit: it cannot listen as it is configured to.
    """
    process = make_process(reactor, offload, member)
    audit_log = make_log_file("audit.log", config.audit.log, process)
    download_log = make_log_file("downloads.log", config.downloads.log, process)
    logs = tuple(filter(None, (audit_log, download_log)))
    trail = make_trail(config, process, audit_log)
    signers = TrustedSigners(config.signers)
    index = make_index(
        config,
        process,
        environ,
        checkpoint=checkpoint,
        audit=trail,
        signers=signers,
    )
    pins = make_pins(config, index)
    throttle = make_throttle(config, process)
    logins = make_logins(config, process, throttle)
    documents = make_access_documents(config, index, process, logins.users)
    tokens = make_tokens(
        config, index, process, throttle, documents, logins.users, logins.people
    )
    session_login = make_session_login(config, index, process, tokens, logins)
    access = make_access(config, process, documents, tokens, logins, session_login)
    exemptions = Exemptions(access)
    advisories = make_advisories(config, index.store, process, environ)
    known = advisories or NO_ADVISORIES
    fallback = make_fallback(
        config, index, process, environ, exemptions, known, pins=pins
    )
    exchange = make_exchange(config, index, process, environ, access, tokens.minted)
    browser = make_browser_log_in(
        config, index, access, session_login, logins, exchange.issuers
    )
    counted = make_downloads(config, index, process)
    pruning = AdministeredPruning.of(
        index, config.retention, make_last_fetched(counted)
    )
    advised = make_advised(
        index, lambda: access.policy.settings.private, advisories, fallback, counted
    )
    derived = make_derived(index, process)
    application = make_application(
        config,
        index,
        fallback,
        process,
        access,
        exchange,
        Administered(access, documents, tokens, process.offload, trail),
        Witness(trail, process.metrics, logins.users.has),
        browser,
        download_log,
        pruning,
        advised,
        make_screen(config, known, exemptions, process),
        AdministeredStatistics(index, counted),
        pins,
        derived,
        make_elsewhere(
            config, index, fallback, lambda: access.policy.settings.private, process
        ),
    )
    register_standing(config, process, index, access)
    reporter = make_reporter(
        index,
        advised,
        advisories,
        lambda: exemptions.all,
        *make_upstream_reports(config, index, fallback, process, pins),
        fallback=fallback,
    )
    jobs = (
        *make_names_jobs(config, index, fallback, process),
        *make_statistics_jobs(counted),
        reporter.job,
    )
    daily = make_daily(index, access, pruning, process.metrics, *jobs)
    reloader = Reloader(
        config,
        read or partial(load, config.ini, environ),
        application,
        logins,
        throttle,
        partial(make_fetchers, process, environ),
        tokens,
        browser.sessions,
        pruning.rules,
        signers,
        pins,
    )
    greets = member is None or member.greets
    server = Server(
        process,
        make_front(config, application, process, member),
        index.standing,
        # Of workers, it knows their parent.
        ServiceManager.of(environ if member is None else {}, reactor),
        open_logs=partial(_open_logs, logs),
        start=partial(
            _start,
            index,
            access,
            fallback,
            application,
            advisories,
            counted,
            derived,
            trail,
            daily,
            partial(_welcome, config, access, logins, environ) if greets else None,
        ),
        on_hangup=partial(_hang_up, logs, reloader),
        close=partial(
            _close,
            fallback,
            advisories,
            counted,
            derived,
            logins,
            tokens,
            trail,
            download_log,
            advised,
            index,
        ),
    )
    notices = (
        *config.notices,
        *_missing_extras(config, index),
        *ended_notices(config.upstream.exempt, reactor.seconds()),
        *greeting(config),
    )
    if greets:
        for notice in notices:
            _log.info("{notice}", notice=notice)
    return server


def _open_logs(logs: Iterable[LogFile]) -> None:
    for log in logs:
        log.open()


def _hang_up(logs: Iterable[LogFile], reloader: Reloader) -> None:
    for log in logs:
        log.reopen()
    reloader.reload()


async def _start(
    index: Index,
    access: Access,
    fallback: Fallback | None,
    application: Application,
    advisories: Advisories | None,
    counted: CountedDownloads | None,
    derived: DerivedProjects,
    trail: Trail,
    daily: Daily,
    welcome: Callable[[], None] | None,
) -> None:
    trail.start(index.store)
    begin = partial(_begin, advisories, counted, derived, welcome)
    await start(index, access, partial(_warm_up, fallback, application), begin)
    await daily.run()  # until the server stops


def _begin(
    advisories: Advisories | None,
    counted: CountedDownloads | None,
    derived: DerivedProjects,
    welcome: Callable[[], None] | None,
) -> None:
    if welcome is not None:
        welcome()
    derived.start()
    if advisories is not None:
        advisories.start()
    if counted is not None:
        counted.start()


def _welcome(
    config: Config, access: Access, logins: Logins, environ: Mapping[str, str]
) -> None:
    # Of a document that cannot be read, the log has the reason.
    if access.problem is None:
        for notice in who_may_upload(config, access.policy, logins, environ):
            _log.info("{notice}", notice=notice)


async def _warm_up(fallback: Fallback | None, application: Application) -> None:
    if fallback is not None:
        fallback.begin()
        await fallback.warm_up()
    await application.warm_up()


async def _close(
    fallback: Fallback | None,
    advisories: Advisories | None,
    counted: CountedDownloads | None,
    derived: DerivedProjects,
    logins: Logins,
    tokens: Tokens,
    trail: Trail,
    download_log: LogFile | None,
    advised: AdministeredAdvisories,
    index: Index,
) -> None:
    advised.close()
    derived.stop()
    if advisories is not None:
        advisories.stop()
    if counted is not None:
        await counted.stop()
    if fallback is not None:
        await fallback.close()
    logins.close()
    await tokens.uses.stop()
    if download_log is not None:
        download_log.close()
    # What came before made records; they go into the store.
    await trail.close()
    await index.close()


def _missing_extras(config: Config, index: Index) -> Iterator[str]:
    if config.signers and index.publisher.attestations.verify is None:
        yield (
            "attestation.NAME... is of no use without the extra that verifies: pip "
            "install 'pypicloud-tw[attestations]'. Until then every upload with "
            "attestations is refused."
        )
