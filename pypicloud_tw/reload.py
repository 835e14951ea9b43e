"""Reading users and access settings again while the server runs (SIGHUP)."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.logger import Logger

from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.metrics_readers import metrics_reader
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.config.keys import KEYS, Key
from pypicloud_tw.config.load import Config
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.web.app import Application

#: Keys that a reload reads, beside users and the section auth.
RELOADED = ("pypi.default_read", "metrics.read")


@frozen(eq=False)
class Reloader:
    """Puts new settings into force.

    :ivar started: what the server was started with.
    :ivar read: reads the configuration as it is now.
    """

    started: Config
    read: Callable[[], Config]
    application: Application
    logins: Logins
    throttle: Throttle
    _log = Logger()

    def reload(self) -> None:
        """Read users and access settings; a broken file leaves the old in force."""
        try:
            config = self.read()
        except ConfigError as e:
            for problem in e.problems:
                self._log.error("Not reloaded: {problem}", problem=problem)
            return
        auth = config.auth
        self.throttle.adjust(failures=auth.max_failures, every=auth.retry_every)
        self.logins.users.reload(config.users, cache_time=auth.cache_time)
        self.logins.reload()
        self.application.access.policy = Policy(
            config.pypi.default_read, has_users=self.logins.possible
        )
        self.application.reload(metrics_read=metrics_reader(config.metrics.read))
        self._log.info(
            "Users and access settings were read again: {count} users.",
            count=len(config.users),
        )
        if waiting := _waiting_for_restart(self.started, config):
            keys = ", ".join(waiting)
            self._log.warn("Changed, and needs a restart: {keys}.", keys=keys)


def _waiting_for_restart(started: Config, now: Config) -> list[str]:
    """Name the settings that are not as the server was started with."""

    def differs(key: Key) -> bool:
        old, new = getattr(started, key.section), getattr(now, key.section)
        return bool(getattr(old, key.attribute) != getattr(new, key.attribute))

    return [
        key.name
        for key in KEYS.values()
        if key.section != "auth" and key.name not in RELOADED and differs(key)
    ]
