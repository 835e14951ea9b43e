"""Makes the ways to log in that the configuration opens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pypicloud_tw.access.certificate_login import CertificateLogin
from pypicloud_tw.access.directories.htpasswd import Htpasswd
from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.passwords import HTPASSWD
from pypicloud_tw.access.proxy_login import ProxyLogin
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.owners import People
from pypicloud_tw.access.users import Users
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.process import Process

if TYPE_CHECKING:
    from pypicloud_tw.access.directories.ldap import LdapDirectory


def make_throttle(config: Config, process: Process) -> Throttle:
    """Make what slows down who guesses passwords and tokens."""
    return Throttle(
        process.reactor.seconds,
        failures=config.auth.max_failures,
        every=config.auth.retry_every,
        siblings=process.siblings,
    )


def make_logins(config: Config, process: Process, throttle: Throttle) -> Logins:
    """Assemble the ways to log in that the configuration opens.

    :raises ConfigError: one of them cannot be used as it is set.
    """
    settings, clock = config.logins, process.reactor
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
    if settings.htpasswd is not None:
        update = partial(users.update, HTPASSWD)
        htpasswd = Htpasswd(settings.htpasswd, update, process.offload, clock)
        htpasswd.load()
    patterns = settings.certificate_user
    return Logins(
        users,
        htpasswd,
        directory,
        ProxyLogin() if settings.remote_user_header else None,
        CertificateLogin(patterns, clock.seconds) if patterns else None,
        _make_people(config, directory, process),
        config.oidc_login.issuer is not None,
    )


def _make_people(
    config: Config, directory: LdapDirectory | None, process: Process
) -> People | None:
    """Make what knows owners of tokens whom only a directory knows."""
    if directory is None or not config.ldap.tokens:
        return None
    lifetime = config.ldap.cache_time
    if lifetime is None:
        lifetime = config.auth.cache_time
    return People(directory, process.reactor.seconds, lifetime)


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
