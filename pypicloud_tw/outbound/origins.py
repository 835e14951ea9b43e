"""What an address belongs to, and what of it may be shown."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit

#: scheme, host, port: what credentials belong to (RFC 6454, section 4).
Origin = tuple[str, str, int]

PORTS = {"http": 80, "https": 443}


def is_web(text: str) -> bool:
    """Return whether a text is meant as an address of a web server."""
    return text.lower().startswith(("http://", "https://"))


def origin_of(url: str) -> Origin:
    """Return an address's scheme, host and port.

    :raises ValueError: it is no address of a web server.
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("this is no address of a web server")
    return parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme]


def host_and_port(parts: SplitResult) -> str:
    """Return an address's host and port, without who logs in."""
    return parts.netloc.rpartition("@")[2]


def without_userinfo(url: str) -> str:
    """Drop ``user:password@`` from an address."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=host_and_port(parts)))


def shown(url: str) -> str:
    """Name in a message where something came from.

    No more than that: a path or a query may be a key to something, and some indexes
    have their clients' tokens in there.
    """
    parts = urlsplit(without_userinfo(url))
    return f"{parts.scheme}://{parts.netloc}"
