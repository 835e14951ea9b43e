"""The Agent of a command that asks an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
)
from twisted.web.iweb import IAgent

from pypicloud_tw.outbound.agent import ProxiedAgent
from pypicloud_tw.outbound.proxies import ProxySettings
from pypicloud_tw.outbound.trust import load_policy

#: Names a file of authorities for programs in Python.
CA_VARIABLE = "REQUESTS_CA_BUNDLE"

#: Seconds for a connection.
_CONNECT = 10.0


def ca_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file of authorities that the environment names, if it names one."""
    given = environ.get(CA_VARIABLE)
    return Path(given) if given else None


def trust(environ: Mapping[str, str]) -> BrowserLikePolicyForHTTPS:
    """Trust what the environment says, or what the system does.

    :data:`CA_VARIABLE` names a file of authorities, as for twine and pip;
    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are read by OpenSSL itself.

    :raises ConfigError: the file is not usable.
    """
    return load_policy(ca_file(environ), CA_VARIABLE)


def make_agent(
    reactor: Any,
    scheme: str,
    environ: Mapping[str, str],
    *,
    kept: int = 0,
    also: Sequence[str] = (),
) -> IAgent:
    """Make an Agent that trusts as :func:`trust` says.

    :param scheme: of the index's address.
    :param kept: connections to each server that are kept for the next question.
    :param also: schemes of other addresses that it names.
    :raises ConfigError: a proxy or the file is not usable.
    """
    pool = HTTPConnectionPool(reactor, persistent=kept > 0)
    pool.maxPersistentPerHost = kept
    policy = trust(environ)
    direct = Agent(reactor, policy, connectTimeout=_CONNECT, pool=pool)
    proxies = ProxySettings.of(environ, scheme, *also)
    if not proxies.by_scheme:
        return direct
    return ProxiedAgent.over(direct, proxies, reactor, pool, policy, _CONNECT)
