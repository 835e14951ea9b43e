"""The cookie of a session, as pages give it to browsers."""

from __future__ import annotations

from pypicloud_tw.access.sessions.sessions import NewSession, Sessions
from pypicloud_tw.access.sessions.text import SessionText, read_session
from pypicloud_tw.web.cookies import SESSION, drop_cookie, read_cookie, set_cookie
from pypicloud_tw.web.http.site import Request


def shown_session(request: Request) -> SessionText | None:
    """Return the session that a browser shows, whether there is such a one or not."""
    shown = read_cookie(request, SESSION)
    return None if shown is None else read_session(shown)


def give_session(request: Request, new: NewSession) -> None:
    """Have the browser keep a session until its end."""
    seconds = new.record.ends - new.record.created
    set_cookie(request, SESSION, new.text.text, "Lax", seconds)


def take_session(request: Request) -> None:
    """Have the browser forget its session."""
    drop_cookie(request, SESSION, "Lax")


async def renew_session(request: Request, sessions: Sessions) -> None:
    """Give the browser a new secret where its session has had one for long.

    To be called for pages alone: a program that shows a cookie may not keep another.
    What a script fetches is none: it breaks off while somebody types, and the new
    secret would be lost with the answer.
    """
    text = shown_session(request)
    if request.method != b"GET" or text is None or _is_fetched(request):
        return
    new = await sessions.renew(text, request.client_address)
    if new is not None:
        give_session(request, new)


def _is_fetched(request: Request) -> bool:
    """Return whether a script asks, as far as browsers tell (W3C Fetch Metadata)."""
    return request.getHeader(b"Sec-Fetch-Dest") == b"empty"
