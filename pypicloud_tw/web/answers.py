"""What routes answer with: errors in a form that is read, redirects, short texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import quote, unquote

from attrs import frozen
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from pypicloud_tw.errors import BadRequest, PypicloudError
from pypicloud_tw.web.http.accept import media_quality, parse_accept
from pypicloud_tw.web.http.fields import joined
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.pages import error_page
from pypicloud_tw.web.pages.templating import POLICY, Templates

#: What programs ask: errors are problems there, whatever is accepted (RFC 9457).
_API = b"/api/v1/"
_PROBLEM = "application/problem+json"

#: In order of preference where the client has none: what curl and twine show.
_FORMS = ("text/plain", "text/html", "application/json")

#: Other names of a form: who asks for provenance is a program (PEP 740).
_ALIASES = {"application/json": ("application/vnd.pypi.integrity.v1+json",)}


@frozen
class ErrorAnswers:
    """Answers with an error, in the form that the client reads.

    twine shows the status line, pip and uv the body; uv reads ``code`` and ``message``
    of the JSON form.
    """

    _templates: Templates
    _log: ClassVar[Logger] = Logger()

    def answer(self, request: Request, failure: Failure) -> bytes:
        """Answer what a route raised, or what no route takes."""
        error = failure.value
        if isinstance(error, PypicloudError):
            return self.domain_error(request, error)
        if isinstance(error, HTTPException):
            return self.routing_error(request, error)
        if isinstance(error, (CancelledError, ConnectionLost, ConnectionDone)):
            return b""  # the client went away, and hears nothing
        self._log.failure("Answering {path!r} failed", failure, path=request.path)
        return self.bug(request)

    def domain_error(self, request: Request, error: PypicloudError) -> bytes:
        """Answer with an error's own status and sentence."""
        return self.tell(
            request, error.status, error.code, error.message, error.headers
        )

    def routing_error(self, request: Request, error: HTTPException) -> bytes:
        """Answer what no route takes."""
        if isinstance(error, MethodNotAllowed):
            allowed = {"Allow": ", ".join(sorted(error.valid_methods or ()))}
            if request.method == b"OPTIONS" and request.path.startswith(_API):
                return self._options(request, allowed["Allow"])
            sentence = f"This address does not take that method; {_way(request)}."
            return self.tell(request, 405, "method-not-allowed", sentence, allowed)
        if isinstance(error, RequestRedirect) and _reads_a_page(request):
            segment = request.path.rpartition(b"/")[2].decode()
            redirect(request, f"{unquote(segment)}/")
            return b""
        return self.nothing_there(request)

    def _options(self, request: Request, allowed: str) -> bytes:
        """Tell a program what an address takes (RFC 9110, section 9.3.7)."""
        request.responseHeaders = Headers()
        request.setResponseCode(204)
        request.setHeader(b"Allow", allowed.encode())
        return b""

    def nothing_there(self, request: Request) -> bytes:
        """Answer for an address that is none of ours."""
        sentence = f"There is nothing at this address; {_way(request)}."
        return self.tell(request, 404, "not-found", sentence)

    def bad_host(self, request: Request) -> bytes:
        """Answer for a Host that cannot be a host's name."""
        sentence = "The request's Host is not one valid name."
        return self.tell(request, BadRequest.status, BadRequest.code, sentence)

    def bug(self, request: Request) -> bytes:
        """Answer an error in the program."""
        sentence = "Something went wrong in the server; see its log."
        return self.tell(request, 500, "internal-error", sentence)

    def tell(
        self,
        request: Request,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """Set up the answer and return its body; cut off one that has begun already."""
        if request.startedWriting:
            request.abort()
            return b""
        # What was said of the answer that did not come is not true of this one.
        request.responseHeaders = Headers()
        request.set_status(status, message)
        for name, value in headers.items():
            request.setHeader(name.encode(), value.encode())
        form = preferred_form(request)
        charset = "" if form == _PROBLEM else "; charset=utf-8"
        request.setHeader(b"Content-Type", f"{form}{charset}".encode())
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"Content-Security-Policy", POLICY)
        match form:
            case "application/problem+json":
                body = json.dumps(problem(status, code, message)).encode()
            case "application/json":
                body = json.dumps({"code": code, "message": message}).encode()
            case "text/html":
                prefix = request.origin.prefix
                body = error_page(self._templates, status, message, prefix=prefix)
            case _:
                body = f"{message}\n".encode()
        return measured(request, body)


def problem(status: int, code: str, message: str) -> dict[str, object]:
    """Describe an error as RFC 9457 does; ``code`` is a stable word beside that."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
    }


def measured(request: Request, body: bytes) -> bytes:
    """Set the Content-Length of a whole answer; older clients need it."""
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def plain_text(request: Request, text: str) -> bytes:
    """Answer an operator or a program of theirs."""
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    request.setHeader(b"Cache-Control", b"no-store")
    return measured(request, text.encode() + b"\n")


def set_html(request: Request) -> None:
    """Say that the answer is a page for people."""
    # It may name the user's own address and version: not for shared caches.
    request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
    request.setHeader(b"Cache-Control", b"no-cache, private")
    request.setHeader(b"Content-Security-Policy", POLICY)


def redirect(request: Request, relative: str, *, for_good: bool = True) -> None:
    """Redirect; relative, so that it is right under every path prefix.

    The query goes along: it may name the form that is wanted (PEP 691).

    :param for_good: clients may keep that in mind.
    """
    _, question, query = request.uri.partition(b"?")
    location = quote(relative, safe="/.-_~").encode() + question + query
    request.setResponseCode(301 if for_good else 302)
    request.setHeader(b"Location", location)
    measured(request, b"")


def _reads_a_page(request: Request) -> bool:
    """Return whether somebody reads, and a final slash is all that is missing."""
    reads = request.method in (b"GET", b"HEAD")
    return reads and not request.path.startswith(_API)


def _way(request: Request) -> str:
    """Name the address that was probably meant."""
    if request.path.startswith(_API):
        return "reference/api in the documentation lists those that there are"
    if request.method == b"POST":
        return f"uploads go to {request.origin.prefix}/legacy/"
    return f"the packages are at {request.origin.prefix}/simple/"


def preferred_form(request: Request) -> str:
    """Return the media type in which a client reads errors best."""
    if request.path.startswith(_API):
        return _PROBLEM
    accepted = parse_accept(joined(request, b"Accept"))
    qualities = {
        form: media_quality((form, *_ALIASES.get(form, ())), accepted)
        for form in _FORMS
    }
    acceptable = (form for form in _FORMS if qualities[form][0] > 0)
    return max(acceptable, key=qualities.__getitem__, default=_FORMS[0])
