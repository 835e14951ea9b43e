"""``twistd pypicloud``: the only assembly. Reads files, makes clients, wires it all."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger, globalLogPublisher
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.users import Users
from pypicloud_tw.assembly import Index, make_fallback, make_index, nothing
from pypicloud_tw.config.keys import KEYS, Key
from pypicloud_tw.config.load import Config, load
from pypicloud_tw.config.values import BadValueError, Network, endpoint
from pypicloud_tw.errors import ConfigError, PypicloudError, Unauthorized
from pypicloud_tw.index.audit import Act
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.survey import Survey
from pypicloud_tw.maintenance.adopt import Progress
from pypicloud_tw.server import Server
from pypicloud_tw.web.app import Application
from pypicloud_tw.web.http.access_log import AccessLog
from pypicloud_tw.web.http.site import Limits, Proxies, Site

_log = Logger()

#: Seconds between two tries to look for files and adopt them, at first and at the most.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0

#: Projects that a line of the log names.
NAMED = 20

#: Keys that a reload reads, beside users and the section auth.
_RELOADED = ("pypi.default_read", "metrics.read")


class Options(UsageOptions):
    """What ``twistd pypicloud`` takes."""

    optParameters = [  # noqa: RUF012  # Twisted's way to declare options
        ["config", "c", None, "The ini file; without it everything has its default."],
        ["listen", "l", None, "A Twisted endpoint to listen at, instead of the ini's."],
    ]

    #: Set by :meth:`postOptions`.
    settings: Config

    def read(self) -> Config:
        """Read the configuration as it is now.

        :raises ConfigError: with every mistake in it.
        """
        return load(Path(self["config"]) if self["config"] else None, os.environ)

    def postOptions(self) -> None:
        """Read the configuration; every mistake becomes one usage error."""
        if self["config"]:
            # twistd may go to another folder before a reload reads it again.
            self["config"] = os.path.abspath(self["config"])
        problems = []
        try:
            if self["listen"]:
                endpoint(self["listen"])
        except BadValueError as e:
            problems.append(f"--listen {self['listen']!r} {e}")
        try:
            self.settings = self.read()
        except ConfigError as e:
            problems += e.problems
        if problems:
            raise UsageError("\n".join(problems))


def makeService(
    options: Options, *, checkpoint: Callable[[str], None] = nothing
) -> Server:
    """Assemble a server.

    :param checkpoint: see :func:`make_index`.
    """
    # Importing it installs it: only here, where twistd has chosen which.
    from twisted.internet import reactor

    # A line for each connection to S3 or an upstream tells nobody anything.
    Factory.noisy = False
    config = options.settings
    index = make_index(config, reactor, os.environ, checkpoint=checkpoint)
    throttle = Throttle(
        reactor.seconds,
        failures=config.auth.max_failures,
        every=config.auth.retry_every,
    )
    fallback = make_fallback(config, index, reactor, os.environ)

    async def close() -> None:
        if fallback is not None:
            await fallback.close()
        await index.close()

    application = Application(
        users=Users(
            config.users,
            offload=index.offload,
            clock=reactor,
            cache_time=config.auth.cache_time,
            throttle=throttle,
        ),
        policy=_policy(config),
        catalog=index.catalog,
        publisher=index.publisher,
        store=index.publisher.store,
        offload=index.offload,
        metrics=index.metrics,
        max_upload=config.pypi.max_upload,
        ready=lambda: server.ready(),
        metrics_read=_metrics_reader(config.metrics.read),
        fallback=fallback,
    )
    site = Site(
        application.resource(),
        reactor=reactor,
        limits=Limits(body=config.server.body_timeout),
        proxies=Proxies(config.pypi.trusted_proxies, config.pypi.public_url),
        access_log=_access_log(config, reactor),
        observe=lambda request, seconds: index.metrics.observe(
            request.method, request.code, seconds
        ),
    )
    listen = options["listen"] or config.server.listen
    server = Server(
        clock=reactor,
        endpoint=_endpoint(reactor, listen),
        site=site,
        store=index.publisher.store,
        secure=lambda: _claim(index),
        offload=index.offload,
        metrics=index.metrics,
        once_ready=lambda: Deferred.fromCoroutine(_begin(index, application)),
        close=close,
        grace=config.server.grace,
    )
    server.on_hangup = lambda: _reload(options, application, throttle)
    for notice in (
        *config.notices,
        *_greeting(config, listen, has_ini=bool(options["config"])),
    ):
        _log.info("{notice}", notice=notice)
    return server


def _endpoint(reactor: Any, listen: str) -> IStreamServerEndpoint:
    try:
        made: IStreamServerEndpoint = serverFromString(reactor, listen)
        return made
    except Exception as e:
        # Each kind of endpoint has a parser of its own, which raises what it likes;
        # TLS reads its files here. Not a traceback: this is the operator's to mend.
        raise SystemExit(f"pypicloud: cannot listen at {listen!r}: {_why(e)}") from None


def _why(error: Exception) -> str:
    """Say what a parser of endpoints means by its error."""
    if isinstance(error, LookupError):
        return "systemd has given no such socket; its unit needs a .socket unit"
    # A wrong option is a wrong argument of the parser; its name tells nobody anything.
    return re.sub(r"^_\w+\(\) ", "", str(error))


def _access_log(config: Config, reactor: Any) -> AccessLog | None:
    """Write the access log to standard output, as processes in containers do."""
    if not config.server.access_log:
        return None
    # By its number: twistd puts a log of its own in the place of sys.stdout.
    output = open(1, "wb", buffering=0, closefd=False)  # noqa: SIM115  # as long as we
    failed = False

    def write(lines: bytes) -> None:
        nonlocal failed
        try:
            while lines:
                lines = lines[output.write(lines) or len(lines) :]
        except OSError as e:
            # Nobody reads it any more, or the disk is full: no reason not to serve.
            if not failed:
                failed = True
                _log.error(
                    "The access log cannot be written: {error}", error=e.strerror
                )

    log = AccessLog(write, reactor)
    # twistd begins to write its own log later, and often to the same place.
    log.go_before(globalLogPublisher)
    return log


def _policy(config: Config) -> Policy:
    return Policy(config.pypi.default_read, has_users=bool(config.users))


def _metrics_reader(
    allowed: str | tuple[Network, ...],
) -> Callable[[Principal, str], bool]:
    """Judge who may read the metrics, by ``metrics.read``."""

    def judge(principal: Principal, client: str) -> bool:
        if isinstance(allowed, str):
            if allowed == "authenticated" and principal.name is None:
                raise Unauthorized("Log in to read the metrics (metrics.read).")
            return True
        try:
            address = ip_address(client)
        except ValueError:
            return False  # a Unix socket's peer has no address
        return any(address in network for network in allowed)

    return judge


def _reload(options: Options, application: Application, throttle: Throttle) -> None:
    """Read users and access settings again; a broken file leaves them in force."""
    try:
        config = options.read()
    except ConfigError as e:
        for problem in e.problems:
            _log.error("Not reloaded: {problem}", problem=problem)
        return
    application.users.reload(config.users, cache_time=config.auth.cache_time)
    throttle.adjust(failures=config.auth.max_failures, every=config.auth.retry_every)
    application.policy = _policy(config)
    application.metrics_read = _metrics_reader(config.metrics.read)
    _log.info(
        "Users and access settings were read again: {count} users.",
        count=len(config.users),
    )
    if waiting := _waiting_for_restart(options.settings, config):
        _log.warn("Changed, and needs a restart: {keys}.", keys=", ".join(waiting))


def _waiting_for_restart(started: Config, now: Config) -> list[str]:
    """Name the settings that are not as the server was started with."""

    def differs(key: Key) -> bool:
        old, new = getattr(started, key.section), getattr(now, key.section)
        return bool(getattr(old, key.attribute) != getattr(new, key.attribute))

    return [
        key.name
        for key in KEYS.values()
        if key.section != "auth" and key.name not in _RELOADED and differs(key)
    ]


def _greeting(config: Config, listen: str, *, has_ini: bool) -> list[str]:
    """Tell what is served where, and what is missing before anybody can upload."""
    bucket = config.aws.bucket
    place = config.storage.dir if bucket is None else f"the bucket {bucket}"
    lines = [f"Serving {place} at {listen}."]
    if not config.users:
        reads = "anyone may read" if _policy(config).public else "nobody may read"
        how = "Run pypicloud-gen-password and add 'user.NAME = HASH' to the ini."
        if not has_ini:
            how = (
                "Run pypicloud-make-config, which writes an ini with a user, and give "
                "it by --config; pypicloud-gen-password makes hashes for more users."
            )
        lines.append(f"There is no user yet: {reads}, nobody may upload. {how}")
    return lines


async def _claim(index: Index) -> None:
    """Make the store ours."""
    await index.secure()
    index.take_errands()


async def _begin(index: Index, application: Application) -> None:
    """Do what can be done once the store is there, before anybody asks."""
    survey = await _look(index)
    await _list(index)
    if application.fallback is not None:
        await application.fallback.warm_up()
    await _adopt(index, survey)


async def _list(index: Index) -> None:
    """Know the projects' names: of many, that takes seconds that nobody shall wait."""
    try:
        await index.catalog.names()
    except PypicloudError as e:
        _log.warn("The projects could not be listed: {error}", error=e.message)


async def _look(index: Index) -> Survey:
    """Find out whose files lie in the store: before, nothing is taken for absent."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await index.adopter(lambda progress: None).look()
        except PypicloudError as e:
            _log.error(
                "What lies in the store could not be listed, next try in {pause:.0f} "
                "s: {error}",
                pause=pause,
                error=e.message,
            )
        await deferLater(index.reactor, pause, lambda: None)
        pause = min(LONGEST_PAUSE, pause * 2)


async def _adopt(index: Index, survey: Survey | None) -> None:
    """Adopt what lies in the folder, while the server answers."""
    pause = FIRST_PAUSE
    while True:
        reporter = AdoptionLog()
        try:
            progress = await index.adopter(reporter.report, survey=survey).run()
        except PypicloudError as e:
            # What it has not come to stays held: it is ours all the same.
            _log.error(
                "Adopting files broke off: {error} Run pypicloud refresh for the rest, "
                "or leave it to the next try in {pause:.0f} s.",
                error=e.message,
                pause=pause,
            )
        else:
            reporter.summary(progress)
            if progress.adopted:
                reason = f"{progress.adopted} files"
                index.publisher.audit(Act(None, "adopted", reason=reason))
            _tell_unserved(index.unserved.reasons() or {})
            return
        await deferLater(index.reactor, pause, lambda: None)
        survey, pause = None, min(LONGEST_PAUSE, pause * 2)


def _tell_unserved(reasons: Mapping[NormalizedName, str]) -> None:
    """Name the projects that are ours and answered with 503."""
    if not reasons:
        return
    told = [f"{name} ({why})" for name, why in sorted(reasons.items())[:NAMED]]
    more = f" And {len(reasons) - NAMED} more." if len(reasons) > NAMED else ""
    _log.warn(
        "{count} project(s) in the store cannot be served, and are not asked for "
        "elsewhere: {told}.{more} See pypicloud verify.",
        count=len(reasons),
        told="; ".join(told),
        more=more,
    )


@define
class AdoptionLog:
    """Tells in the log how far adopting has come, now and then."""

    _told: int = 0

    def report(self, progress: Progress) -> None:
        """Say something every 100 files."""
        if progress.done >= self._told + 100:
            self._told = progress.done
            _log.info(
                "Adopting: {done} of {found} files.",
                done=progress.done,
                found=progress.found,
            )

    def summary(self, progress: Progress) -> None:
        """Say how it ended, and why files were not adopted: one line a reason."""
        if not progress.adopted and not progress.skipped:
            return
        _log.info(
            "Adopted {adopted} files, {known} were known, {skipped} skipped.",
            adopted=progress.adopted,
            known=progress.known,
            skipped=len(progress.skipped),
        )
        by_reason: dict[str, list[str]] = {}
        for skipped in progress.skipped:
            by_reason.setdefault(skipped.reason, []).append(skipped.key)
        for reason, keys in by_reason.items():
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            _log.warn(
                "Skipped {key!r}{more}: {reason}",
                key=keys[0],
                more=more,
                reason=reason,
            )
        for warned in progress.warned:
            _log.warn(
                "Adopted {key!r}: {warnings}",
                key=warned.key,
                warnings=" ".join(warned.warnings),
            )
