"""How an error is told: in the status line, and in the body in a form that is read."""

from __future__ import annotations

import json
from collections.abc import Mapping

from twisted.web.http_headers import Headers

from pypicloud_tw.web.http.accept import media_quality, parse_accept
from pypicloud_tw.web.http.fields import joined
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.pages import POLICY, Pages

#: In order of preference where the client has none: what curl and twine show.
_FORMS = ("text/plain", "text/html", "application/json")


def answer_error(
    request: Request,
    pages: Pages,
    *,
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str],
) -> bytes:
    """Set up the answer and give its body; cut off one that has begun already.

    twine shows the status line, pip and uv the body; uv reads ``code`` and ``message``
    of the JSON form.
    """
    if request.startedWriting:
        request.abort()
        return b""
    # What was said of the answer that did not come is not true of this one.
    request.responseHeaders = Headers()
    request.set_status(status, message)
    for name, value in headers.items():
        request.setHeader(name.encode(), value.encode())
    form = _form(request)
    request.setHeader(b"Content-Type", f"{form}; charset=utf-8".encode())
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"Content-Security-Policy", POLICY)
    match form:
        case "application/json":
            body = json.dumps({"code": code, "message": message}).encode()
        case "text/html":
            body = pages.error(status, message, prefix=request.origin.prefix)
        case _:
            body = f"{message}\n".encode()
    return measured(request, body)


def measured(request: Request, body: bytes) -> bytes:
    """Tell the length of an answer that is known whole; older clients need it."""
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def _form(request: Request) -> str:
    accepted = parse_accept(joined(request, b"Accept"))
    qualities = {form: media_quality((form,), accepted) for form in _FORMS}
    acceptable = (form for form in _FORMS if qualities[form][0] > 0)
    return max(acceptable, key=qualities.__getitem__, default=_FORMS[0])
