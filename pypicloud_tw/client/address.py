"""The address of an index, as people have it for their installers and for uploads."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit, urlunsplit

from attrs import field, frozen

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.outbound.origins import PORTS, host_and_port, origin_of

#: What stands behind an index's address in settings of pip, uv and twine.
_SUFFIXES = ("/simple", "/legacy", "/pypi")

#: What stands in a path as it is (RFC 3986, section 3.3), escapes included.
_PATH = "/%:@!$&'()*+,;="


@frozen
class IndexAddress:
    """Where an index is, and who its address says that we are.

    :ivar base: without a final slash, without user and password; ASCII.
    """

    base: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, where: str) -> IndexAddress:
        """Read an address, with or without ``/simple/`` or ``/legacy/`` behind it.

        :param where: names the setting, for the error.
        :raises ConfigError: it is none. The message does not repeat it, for it may
            hold a password.
        """
        try:
            parts = urlsplit(url.strip())
            usable = parts.scheme in PORTS and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise _no_address(where)
        path = parts.path.rstrip("/")
        for suffix in _SUFFIXES:
            path = path.removesuffix(suffix)
        try:
            host = _ascii(host_and_port(parts).lower())
        except UnicodeError:
            raise _no_address(where) from None
        base = urlunsplit((parts.scheme, host, quote(path.rstrip("/"), _PATH), "", ""))
        user, password = parts.username or None, parts.password
        return cls(
            base,
            None if user is None else unquote(user),
            None if password is None else unquote(password),
        )

    @property
    def scheme(self) -> str:
        """``https`` or ``http``."""
        return urlsplit(self.base).scheme

    @property
    def host(self) -> str:
        """The host's name, without its port."""
        return urlsplit(self.base).hostname or ""

    @property
    def port(self) -> int:
        """The port, which need not stand in it."""
        return origin_of(self.base)[2]


def _ascii(host: str) -> str:
    """Write a host's name, its port included, as it is asked for.

    :raises UnicodeError: it can be nobody's.
    """
    if host.isascii():
        return host
    name, colon, port = host.partition(":")
    return f"{name.encode('idna').decode()}{colon}{port}"


def _no_address(where: str) -> ConfigError:
    return ConfigError(
        [
            f"{where} is not the address of an index; write it as https://host/ or "
            "https://host/simple/."
        ]
    )
