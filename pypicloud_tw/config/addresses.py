"""Kinds of settings that are hosts, networks or URLs.

They are as those of :mod:`pypicloud_tw.config.values`.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pypicloud_tw.config.values import BadValueError, path, whole, words

Network = IPv4Network | IPv6Network
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_WITH_PORT = re.compile(
    r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:]+)(?=:))(?::(?P<port>[^:]*))?"
)
_NO_ORIGIN = (
    "has something that is no site; write https://app.example.com, with a port if it "
    "is not the usual one, and no path; or * alone."
)
_ENDPOINT = re.compile(r"[a-z][a-z0-9_]*:.+", re.DOTALL)


def network(text: str) -> Network:
    """Parse an address or a network: ``127.0.0.1``, ``fd00::/8``."""
    try:
        return ip_network(text)
    except ValueError as e:
        if "host bits" in str(e):
            raise BadValueError(
                "has an address inside a network; give the network's own, "
                f"{ip_network(text, strict=False)}."
            ) from None
        raise BadValueError(
            "has something that is no address or network; write them as 10.0.0.0/8, or "
            "as 10.0.0.1."
        ) from None


def readers(text: str) -> str | tuple[Network, ...]:
    """Parse who may read: ``everyone``, ``authenticated``, or networks."""
    if text.lower() in {"everyone", "authenticated"}:
        return text.lower()
    try:
        return words(network)(text)
    except BadValueError:
        raise BadValueError(
            "is not known here; write everyone, authenticated, or networks such as "
            "127.0.0.1, 10.0.0.0/8."
        ) from None


def host(text: str) -> str:
    """Parse an address to listen at, or a name; ``*`` is every IPv4 address."""
    if text == "*":
        return "0.0.0.0"  # noqa: S104  that is what the star asks for
    bare = text.removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(bare))
    except ValueError:
        return _host_name(text)


def _host_name(text: str) -> str:
    if not _is_host_name(text):
        raise BadValueError("is not a host's name or address (without a port).")
    return text.lower()


def _is_host_name(text: str) -> bool:
    numeric = re.fullmatch(r"[0-9./]+", text)
    return len(text) <= 253 and _HOST.fullmatch(text) is not None and not numeric


def origin(text: str) -> str:
    """Parse a site as browsers name it: ``https://app.example:8443``; ``*`` for all."""
    if text == "*":
        return text
    lower = text.lower()
    try:
        parts = urlsplit(lower)
        ports = {"https": 443, "http": 80}
        default = parts.port == ports[parts.scheme]
    except (ValueError, KeyError):
        raise BadValueError(_NO_ORIGIN) from None
    if not parts.hostname or lower != f"{parts.scheme}://{parts.netloc}" or default:
        raise BadValueError(_NO_ORIGIN)
    if "@" in parts.netloc or not _is_host_name(parts.hostname):
        raise BadValueError(_NO_ORIGIN)
    return lower


def private_host(text: str) -> str:
    """Parse a host's name, an address or a network, each with a port or without.

    In its normal form; an IPv6 address with a port is in brackets.
    """
    match = _WITH_PORT.fullmatch(text)
    if match is None:
        return _private(text)
    host, port = _private(match["v6"] or match["host"]), match["port"]
    if port is None:
        return host
    try:
        number = whole(1, 65535)(port)
    except BadValueError:
        raise BadValueError("has a port that is not from 1 to 65535.") from None
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


def _private(text: str) -> str:
    try:
        return str(network(text))
    except BadValueError:
        pass
    if not _is_host_name(text):
        raise BadValueError("has something that is no host's name, address or network.")
    return text.lower().removesuffix(".")


def tcp_endpoint(host: str, port: int) -> str:
    """Write the Twisted endpoint for a host and a port."""
    escaped = host.replace(":", r"\:")
    return f"tcp:{port}:interface={escaped}"


def endpoint(text: str) -> str:
    """Parse a Twisted server endpoint as far as can be told without a reactor."""
    if _ENDPOINT.fullmatch(text) is None:
        raise BadValueError(
            "is not a Twisted endpoint; write it as tcp:6543:interface=127.0.0.1, "
            "unix:/run/pypicloud.sock or systemd:domain=INET:index=0."
        )
    return text


def service_url(text: str) -> str:
    """Parse an http or https URL without credentials; no slash at its end."""
    parts = _split_url(text)
    if "@" in parts.netloc:
        raise BadValueError("has a user or password, which do not belong here.")
    return urlunsplit(parts).rstrip("/")


def issuer_url(text: str) -> str:
    """Parse the URL of an issuer of identity tokens (OpenID Connect).

    It stays as it is, a final slash included: tokens have to have the same.
    """
    service_url(text)
    parts = urlsplit(text)
    host = parts.hostname or ""
    if ":" in host:
        raise BadValueError("has an IPv6 address for its host; give it a name.")
    if parts.scheme != "https" and not _is_loopback(host):
        raise BadValueError("is not https: anybody on the way could be the issuer.")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def source(text: str) -> str | Path | None:
    """Parse a path, or an http or https URL; none is neither."""
    if text == "none":
        return None
    if "://" not in text:
        return path(text)
    return urlunsplit(_split_url(text))


def index_url(text: str) -> str:
    """Parse the URL of a simple index; a slash at its end (PEP 503)."""
    parts = _split_url(text)
    if ":" in (parts.hostname or ""):
        # hyperlink, which treq asks through, takes it for a name and refuses it.
        raise BadValueError(
            "has an IPv6 address for its host, which cannot be asked; give it a name."
        )
    url = urlunsplit(parts)
    return url if url.endswith("/") else f"{url}/"


def _split_url(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        usable = _is_url_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        # The text of urllib's own error repeats the value, credentials and all.
        raise BadValueError("has a URL with a bad host or port.") from None
    # "https://http://host" is the host "http", with a colon and no port.
    if parts.scheme not in {"http", "https"} or not usable or parts.netloc[-1:] == ":":
        raise BadValueError("is not a URL; write it as https://host/path/.")
    if parts.query or parts.fragment:
        raise BadValueError(
            "has a URL with a query or fragment, which is of no use here."
        )
    return parts


def _is_url_host(text: str) -> bool:
    # Other letters than those of ASCII are IDNA's to judge.
    if _is_host_name(text) or not text.isascii():
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def ldap_url(text: str) -> str:
    """Parse the URL of a directory's server: scheme, host and port, and nothing else.

    :return: with the port, and an IPv6 address in brackets.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadValueError("has a URL with a bad host or port.") from None
    default = {"ldap": 389, "ldaps": 636}.get(parts.scheme)
    host = parts.hostname or ""
    if default is None or port == 0 or not _is_url_host(host):
        raise BadValueError("is not a URL; write it as ldaps://host or ldap://host.")
    if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise BadValueError(
            "has more than a host and port, which does not belong here."
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port or default}"
