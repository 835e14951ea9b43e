"""Changes that a browser was tricked into by another site's page."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from pypicloud_tw.errors import Forbidden

#: RFC 9110, section 9.2.1: these ask for no change.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def refuse_cross_site(
    method: str, *, origin: str | None, sec_fetch_site: str | None, own_origin: str
) -> None:
    """Refuse a change that another site's page made a browser ask for.

    Browsers send passwords that they know with any request to us. They also tell where
    it comes from: in ``Sec-Fetch-Site`` (W3C Fetch Metadata), else in ``Origin``
    (RFC 6454, section 7). Other clients send neither, and are not in question.

    :param origin: the header, None if absent.
    :param sec_fetch_site: the header, None if absent.
    :param own_origin: scheme, host and port by which clients reach this server.
    :raises Forbidden: it came from another origin.
    """
    if method.upper() in _SAFE:
        return
    if sec_fetch_site is not None:
        # "same-site" is another host of the same domain: not ours, so not trusted.
        # "none" is a person's own doing, as from the address bar.
        allowed = sec_fetch_site.strip().lower() in {"same-origin", "none"}
    elif origin is not None:
        allowed = _same_origin(origin, own_origin)
    else:
        allowed = True
    if not allowed:
        raise Forbidden(
            "A page of another site asked your browser for this change; it was not "
            "made. Use this server's own pages, or a client such as twine or uv."
        )


def _same_origin(one: str, other: str) -> bool:
    first, second = _origin(one), _origin(other)
    return first is not None and first == second


def _origin(text: str) -> tuple[str, str, int | None] | None:
    """Take an origin apart; None for "null" and for what is none."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or _default_port(parts)


def _default_port(parts: SplitResult) -> int | None:
    return {"http": 80, "https": 443}.get(parts.scheme)
