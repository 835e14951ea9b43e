"""Where clients find a server, as far as its configuration says so."""

from __future__ import annotations

import re
from ipaddress import ip_address

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.errors import ConfigError

_TCP = re.compile(r"(tcp|ssl):(?:port=)?(\d+)((?::[^:\\]*(?:\\.[^:\\]*)*)*)", re.DOTALL)
_INTERFACE = re.compile(r":interface=((?:[^:\\]|\\.)*)", re.DOTALL)


def public_address(config: Config) -> str:
    """Return the address of a server's root.

    :raises ConfigError: it listens where only a proxy knows what for, or at every
        address of its machine, which may have many names.
    """
    if config.pypi.public_url is not None:
        return config.pypi.public_url
    found = _TCP.fullmatch(config.server.listen)
    if found is None:
        raise _unknown(f"it listens at {config.server.listen}")
    kind, port, options = found.groups()
    interface = _INTERFACE.search(options)
    host = re.sub(r"\\(.)", r"\1", interface[1]) if interface else ""
    if not host or _is_any(host):
        raise _unknown("it listens at every address of its machine")
    scheme = "https" if kind == "ssl" else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _is_any(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _unknown(why: str) -> ConfigError:
    return ConfigError(
        [
            "The ini does not say by which address clients find the server, for "
            f"{why}: give --index URL, or set pypi.public_url."
        ]
    )
