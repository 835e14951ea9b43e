"""Which HTTP proxy the environment names for an address.

One reading for whatever this program connects to, the bucket and the upstream alike;
as curl reads it (https://curl.se/docs/manpage.html, "ENVIRONMENT"), and as Python's
urllib does where they differ.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from pypicloud_tw.errors import ConfigError

_PORTS = {"http": 80, "https": 443}


@frozen
class Proxy:
    """An HTTP proxy that the environment names.

    :ivar authorization: the value of ``Proxy-Authorization``, or None.
    """

    host: str
    port: int
    authorization: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, variable: str, text: str) -> Proxy:
        """Read ``http://user:password@host:port``; all but the host may be left out.

        :raises ConfigError: it is no HTTP proxy. The message does not repeat it, for it
            may hold a password.
        """
        try:
            found = urlsplit(text if "://" in text else f"http://{text}")
            port = found.port or 80
        except ValueError:
            raise _unusable(variable, "has no valid host and port") from None
        if found.scheme != "http" or not found.hostname:
            raise _unusable(variable, "is not an HTTP proxy")
        authorization = None
        if found.username:
            user, password = unquote(found.username), unquote(found.password or "")
            authorization = b"Basic " + b64encode(f"{user}:{password}".encode())
        return cls(found.hostname, port, authorization)


@frozen
class Exceptions:
    """The hosts that are reached without a proxy (``no_proxy``).

    :ivar names: a host and those below it, with a port or with any; ``*`` is all.
    :ivar networks: for hosts that are given as addresses; names are not looked up.
    """

    names: tuple[tuple[str, int | None], ...] = ()
    networks: tuple[tuple[IPv4Network | IPv6Network, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Exceptions:
        """Read a list apart by commas or blanks: ``.corp, 10.0.0.0/8, [::1]:8080``."""
        names, networks = [], []
        for entry in text.lower().replace(",", " ").split():
            host, port = _split(entry)
            try:
                networks.append((ip_network(host.strip("[]"), strict=False), port))
            except ValueError:
                # "*.corp" and ".corp" are written for "corp".
                plain = "*" if host == "*" else host.removeprefix("*").strip(".")
                names.append((plain, port))
        return cls(tuple(names), tuple(networks))

    @property
    def hold_all(self) -> bool:
        """Whether nothing is reached through a proxy."""
        return ("*", None) in self.names

    def hold(self, host: str, port: int) -> bool:
        """Return whether a host is reached without a proxy."""
        host = host.lower().rstrip(".")
        try:
            address = ip_address(host.strip("[]"))
        except ValueError:
            address = None
        if address is not None and any(
            address in network and at in (None, port) for network, at in self.networks
        ):
            return True
        return any(
            at in (None, port)
            and (name in ("*", host) or (name != "" and host.endswith(f".{name}")))
            for name, at in self.names
        )


@frozen
class ProxySettings:
    """The proxies of an environment, by the scheme of what is asked for."""

    by_scheme: Mapping[str, Proxy]
    exceptions: Exceptions = Exceptions()

    @classmethod
    def of(cls, environ: Mapping[str, str], *schemes: str) -> ProxySettings:
        """Read ``https_proxy``, ``http_proxy``, ``all_proxy`` and ``no_proxy``.

        In small letters or capitals; small ones win, and an empty one is as none.
        ``HTTP_PROXY`` is not read in CGI, where it is the client's to set
        (CVE-2016-5385); Python's urllib and Go tell that by ``REQUEST_METHOD``, too.

        :param schemes: what will be asked for; only their proxies need be usable.
        :raises ConfigError: a proxy is not an HTTP proxy.
        """
        without = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        exceptions = Exceptions.parse(without)
        if exceptions.hold_all:
            return cls({}, exceptions)
        named = {scheme: _variable(environ, scheme) for scheme in schemes}
        found = {
            scheme: Proxy.parse(name, environ[name])
            for scheme, name in named.items()
            if name is not None
        }
        return cls(found, exceptions)

    def find(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for an address; None: it is reached without one."""
        proxy = self.by_scheme.get(scheme)
        if proxy is None or self.exceptions.hold(host, port):
            return None
        return proxy


def _variable(environ: Mapping[str, str], scheme: str) -> str | None:
    names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    not_ours = {"HTTP_PROXY"} if "REQUEST_METHOD" in environ else set()
    found = (name for name in names if environ.get(name) and name not in not_ours)
    return next(found, None)


def _split(entry: str) -> tuple[str, int | None]:
    host, _, port = entry.rpartition(":")
    # An IPv6 address has colons of its own, and a port only behind brackets.
    if port.isdecimal() and host and (":" not in host or host.endswith("]")):
        return host, int(port)
    return entry, None


def _unusable(variable: str, why: str) -> ConfigError:
    return ConfigError(
        [
            f"{variable} in the environment {why}; write it as http://host:port, or "
            "unset it. SOCKS and TLS proxies are not spoken to."
        ]
    )
