"""The cookies that browsers keep for us: their names, and how they are set and read.

Their names' beginnings have browsers refuse them from anybody else than this host, by
TLS ("Cookies: HTTP State Management Mechanism", draft, section 4.1.3). Scripts read
none of them.
"""

from __future__ import annotations

import re
from typing import Literal

from pypicloud_tw.web.http.proxies import Origin
from pypicloud_tw.web.http.site import Request

#: Who is logged in; what forms are bound to without a session; a log-in that a provider
#: is asked for.
SESSION, FORM, PROVIDER = "pypicloud", "pypicloud-form", "pypicloud-oidc"

SameSite = Literal["Lax", "Strict"]

_SET = b"Set-Cookie"

#: Bytes of a Cookie field that are looked through; browsers keep 4 KiB of each cookie.
_LONGEST = 16 * 1024

#: What a value of ours is made of.
_VALUE = re.compile(rb"[A-Za-z0-9_=-]{1,4096}")


def cookie_name(origin: Origin, name: str) -> str:
    """Return what a cookie is called in full, by the address that the browser knows."""
    if origin.scheme != "https":
        return name
    return f"__Secure-{name}" if origin.prefix else f"__Host-{name}"


def read_cookie(request: Request, name: str) -> bytes | None:
    """Return a cookie's value; None: there is none, or several.

    Of several of a name one was set by somebody else, for a part of our addresses.
    """
    fields = request.requestHeaders.getRawHeaders(b"Cookie")
    if fields is None:
        return None
    # One that came by HTTP/2 may have been taken apart (RFC 9113, section 8.2.3).
    field = b"; ".join(fields)
    if len(field) > _LONGEST:
        return None
    wanted = cookie_name(request.origin, name).encode()
    found = [
        value.strip()
        for pair in field.split(b";")
        for key, equals, value in [pair.partition(b"=")]
        if equals and key.strip() == wanted
    ]
    if len(found) != 1 or _VALUE.fullmatch(found[0]) is None:
        return None
    return found[0]


def set_cookie(
    request: Request, name: str, value: str, same_site: SameSite, seconds: float | None
) -> None:
    """Have the browser keep a cookie, whatever the answer is.

    :param seconds: for which it is kept; None: until the browser is closed.
    """
    origin = request.origin
    parts = [
        f"{cookie_name(origin, name)}={value}",
        f"Path={origin.prefix or '/'}",
        "HttpOnly",
        f"SameSite={same_site}",
    ]
    if seconds is not None:
        parts.append(f"Max-Age={int(seconds)}")
    if origin.scheme == "https":
        parts.append("Secure")
    field = (_SET, "; ".join(parts).encode())
    request.added = (*_without(request, name), field)


def being_set(request: Request, name: str) -> bytes | None:
    """Return the value that a cookie is being given; None: it stays as it is."""
    begin = f"{cookie_name(request.origin, name)}=".encode()
    for field, value in request.added:
        if field == _SET and value.startswith(begin):
            return value[len(begin) :].partition(b";")[0]
    return None


def _without(request: Request, name: str) -> tuple[tuple[bytes, bytes], ...]:
    begin = f"{cookie_name(request.origin, name)}=".encode()
    return tuple(
        (field, value)
        for field, value in request.added
        if field != _SET or not value.startswith(begin)
    )


def drop_cookie(request: Request, name: str, same_site: SameSite) -> None:
    """Have the browser forget a cookie."""
    set_cookie(request, name, "", same_site, 0)
