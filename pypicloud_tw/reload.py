"""Reading users, access and retention again while the server runs (SIGHUP)."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen
from twisted.logger import Logger

from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.metrics_readers import metrics_reader
from pypicloud_tw.access.oidc.fetchers import IssuerFetchers
from pypicloud_tw.access.sessions.sessions import Sessions
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.signers import TrustedSigners
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.tokens import Tokens
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.key import Key
from pypicloud_tw.config.keys import KEYS
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.maintenance.retention.rules import RetentionRules
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.web.app import Application

#: Sections that a reload reads whole.
RELOADED_SECTIONS = ("auth", "oidc")

#: Keys that it reads, beside those and all families, as user, group and retention.
RELOADED = (
    "pypi.default_read",
    "pypi.default_write",
    "pypi.allow_overwrite",
    "pypi.allow_overwrite_groups",
    "pypi.allow_delete_groups",
    "pypi.read_only",
    "metrics.read",
    "upstream.exempt",
)


@frozen(eq=False)
class Reloader:
    """Puts new settings into force.

    :ivar started: what the server was started with.
    :ivar read: reads the configuration as it is now.
    :ivar fetchers: makes what documents of issuers are fetched by.
    :ivar retention: the rules of retention in force.
    :ivar signers: whose attestations count.
    :ivar pins: who publishes what comes from upstream.
    """

    started: Config
    read: Callable[[], Config]
    application: Application
    logins: Logins
    throttle: Throttle
    fetchers: Callable[[Config], IssuerFetchers]
    tokens: Tokens
    sessions: Sessions
    retention: RetentionRules
    signers: TrustedSigners
    pins: Pins
    _log = Logger()

    def reload(self) -> None:
        """Read users and access settings; a broken file leaves the old in force."""
        try:
            config = self.read()
            fetchers = self.fetchers(config)
        except ConfigError as e:
            for problem in e.problems:
                self._log.error("Not reloaded: {problem}", problem=problem)
            return
        auth = config.auth
        self.throttle.adjust(failures=auth.max_failures, every=auth.retry_every)
        self.tokens.adjust(life=auth.token_life, max_life=auth.token_max_life)
        self.sessions.adjust(life=auth.session_life)
        self.logins.users.reload(config.users, cache_time=auth.cache_time)
        self.logins.reload()
        self.application.access.obey(self._settings(config))
        self.application.publishing.exchange.reload(
            config.oidc.token_lifetime, fetchers
        )
        self.retention.obey(config.retention)
        self.signers.obey(config.signers)
        self.pins.obey(config.upstream_publishers)
        self.application.reload(metrics_read=metrics_reader(config.metrics.read))
        self._log.info(
            "Users and access settings were read again: {count} users.",
            count=len(config.users),
        )
        if waiting := _waiting_for_restart(self.started, config):
            keys = ", ".join(waiting)
            self._log.warn("Changed, and needs a restart: {keys}.", keys=keys)

    def _settings(self, config: Config) -> AccessSettings:
        """Take what is read again; what is private is as the server was started."""
        settings = AccessSettings.of(config, log_in_elsewhere=self.logins.possible)
        return evolve(settings, private=self.started.pypi.private)


def _waiting_for_restart(started: Config, now: Config) -> list[str]:
    """Name the settings that are not as the server was started with."""

    def differs(key: Key) -> bool:
        old, new = getattr(started, key.section), getattr(now, key.section)
        return bool(getattr(old, key.attribute) != getattr(new, key.attribute))

    return [
        key.name
        for key in KEYS.values()
        if key.section not in RELOADED_SECTIONS
        and key.name not in RELOADED
        and differs(key)
    ]
