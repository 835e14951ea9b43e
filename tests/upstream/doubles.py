"""A fake upstream index with switches, driven in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any, TypeVar

from attrs import define, field, frozen
from klein import Klein
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IRequest, IResponse
from zope.interface import implementer

from pypicloud_tw.index.model import Document

T = TypeVar("T")

HOST = "up.example"
BASE = f"https://{HOST}/simple/"
FILES = "https://files.example"
JSON = "application/vnd.pypi.simple.v1+json"

#: Seconds since the epoch at which the tests' clocks start.
START = 1_700_000_000.0


@frozen
class Asked:
    """A request that reached the upstream."""

    url: str
    headers: Headers = field(repr=False)

    def header(self, name: str) -> str | None:
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None


#: Answers a request: with bytes, or later, or never.
Behaviour = Callable[[Any], Any]


def page(
    body: bytes | Document,
    content_type: str | None = None,
    *,
    status: int = 200,
    etag: str | None = None,
    headers: dict[str, str] | None = None,
) -> Behaviour:
    """A page; conditional where it has an ETag."""
    if isinstance(body, dict):
        body, content_type = json.dumps(body).encode(), content_type or JSON

    def answer(request: Any) -> bytes:
        for name, value in (headers or {}).items():
            request.setHeader(name.encode(), value.encode())
        request.setHeader(b"content-type", (content_type or "text/html").encode())
        if etag is not None:
            request.setHeader(b"etag", etag.encode())
            if request.getHeader(b"if-none-match") == etag.encode():
                request.setResponseCode(304)
                return b""
        request.setResponseCode(status)
        request.setHeader(b"content-length", b"%d" % len(body))
        return body

    return answer


def status(code: int, **headers: str) -> Behaviour:
    """Nothing but a status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return page(b"as told", "text/plain", status=code, headers=named)


def redirect(to: str, code: int = 301) -> Behaviour:
    return status(code, location=to)


def silent(_request: Any) -> Deferred[bytes]:
    """Take the request and never answer."""
    return Deferred()


def later(waiting: Deferred[bytes]) -> Behaviour:
    """A JSON page that comes when it comes."""

    def answer(request: Any) -> Deferred[bytes]:
        request.setHeader(b"content-type", JSON.encode())
        return waiting

    return answer


def truncated(body: bytes, content_type: str = JSON) -> Behaviour:
    """Promise more than comes."""

    def answer(request: Any) -> Deferred[bytes]:
        request.setHeader(b"content-type", content_type.encode())
        request.setHeader(b"content-length", b"%d" % (len(body) + 100))
        request.write(body)
        request.channel.loseConnection()
        return Deferred()

    return answer


def stalled(body: bytes, total: int) -> Behaviour:
    """Send a beginning of *total* bytes, and then nothing."""

    def answer(request: Any) -> Deferred[bytes]:
        request.setHeader(b"content-length", b"%d" % total)
        request.write(body)
        return Deferred()

    return answer


def chunked(body: bytes) -> Behaviour:
    """An answer that tells its length at its end."""

    def answer(request: Any) -> bytes:
        request.write(body[:100])
        return body[100:]

    return answer


def unframed(body: bytes, content_type: str) -> Behaviour:
    """An answer that ends with its connection, of no told length."""

    def answer(request: Any) -> Deferred[bytes]:
        request.channel.transport.write(
            b"HTTP/1.0 200 OK\r\nContent-Type: "
            + content_type.encode()
            + b"\r\n\r\n"
            + body
        )
        request.channel.loseConnection()
        return Deferred()

    return answer


@define
class Stream:
    """An answer that the test sends piece by piece; it ends with its last byte."""

    total: int
    request: Any = None

    def __call__(self, request: Any) -> Deferred[bytes]:
        self.request = request
        request.setHeader(b"content-length", b"%d" % self.total)
        request.write(b"")
        return Deferred()

    def send(self, data: bytes) -> None:
        self.request.write(data)

    def break_off(self) -> None:
        self.request.channel.loseConnection()


def ranged(body: bytes) -> Behaviour:
    """A file that can be had in parts."""

    def answer(request: Any) -> bytes:
        asked = request.getHeader(b"range")
        if asked is None:
            request.setHeader(b"content-length", b"%d" % len(body))
            return body
        first, _, last = asked.removeprefix(b"bytes=").partition(b"-")
        start, stop = int(first), int(last) + 1 if last else len(body)
        request.setResponseCode(206)
        request.setHeader(
            b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, len(body))
        )
        return body[start:stop]

    return answer


@implementer(IAgent)
class FakeUpstream:
    """Any number of hosts; says 404 to what it was not told of.

    :ivar asked: every request, in order.
    :ivar refuses: hosts that do not take connections.
    :ivar unresolved: hosts that have no address.
    """

    app = Klein()

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.refuses: set[str] = set()
        self.unresolved: set[str] = set()
        self._answers: dict[str, list[Behaviour]] = {}
        # treq's testing module is not typed.
        self._agent: Any = RequestTraversalAgent(  # type: ignore[no-untyped-call]
            self.app.resource()
        )

    def on(self, url: str, *answers: Behaviour) -> None:
        """Answer requests for *url* in turn; the last answer is repeated."""
        self._answers[url] = list(answers)

    def urls(self) -> list[str]:
        return [asked.url for asked in self.asked]

    def flush(self) -> None:
        self._agent.flush()

    @app.route("/", branch=True)
    def _any(self, request: IRequest) -> Any:
        scheme = b"https" if request.isSecure() else b"http"
        host = request.getHeader(b"host") or b""
        url = (scheme + b"://" + host + request.uri).decode()
        answers = self._answers.get(url, [status(404)])
        behave = answers[0] if len(answers) == 1 else answers.pop(0)
        return behave(request)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        self.asked.append(Asked(uri.decode(), headers or Headers()))
        host = uri.decode().split("/")[2]
        if host in self.refuses:
            return fail(ConnectionRefusedError())
        if host in self.unresolved:
            return fail(DNSLookupError())
        response: Deferred[IResponse] = self._agent.request(
            method, uri, headers, bodyProducer
        )
        return response


def file(
    filename: str, body: bytes = b"bytes", uploaded: str | None = None, **more: Any
) -> Document:
    """A file of a page."""
    document = {
        "filename": filename,
        "url": f"{FILES}/{filename}",
        "hashes": {"sha256": sha256(body).hexdigest()},
        "size": len(body),
        **more,
    }
    if uploaded is not None:
        document["upload-time"] = uploaded
    return document


def project(name: str, *files: Document, **more: Any) -> Document:
    """A page in the JSON form."""
    return {
        "meta": {"api-version": "1.1"},
        "name": name,
        "versions": [],
        "files": list(files),
        **more,
    }


def started(coroutine: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    return Deferred.fromCoroutine(coroutine)


def clock() -> Clock:
    made = Clock()
    made.advance(START)
    return made
