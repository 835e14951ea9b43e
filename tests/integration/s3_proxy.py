"""What stands between a server and S3 in tests: it spoils requests when told to.

It knows nothing of signatures; the ``Host`` that was signed is passed on as it is.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import define, field, frozen

from tests.integration.rig import free_port

#: Seconds that the proxy waits for S3, and a connection for its next request.
PATIENCE = 60.0

_ERROR = """\
<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>{code}</Code><Message>As the test wants it.</Message></Error>"""

#: Of one hop, not of the message (RFC 9110, section 7.6.1).
_OF_THE_HOP = frozenset({"connection", "transfer-encoding", "keep-alive"})


class Kind(Enum):
    """What a request asks of S3."""

    GET = "get"
    HEAD = "head"
    PUT = "put"
    DELETE = "delete"
    LIST = "list"
    INIT = "init"
    PART = "part"
    COMPLETE = "complete"
    ABORT = "abort"
    OTHER = "other"


@frozen
class Operation:
    """One request, understood.

    :ivar key: the object's key, without the bucket; empty for the bucket itself.
    """

    kind: Kind
    key: str

    @classmethod
    def of(cls, method: str, target: str) -> Operation:
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        key = unquote(parts.path[1:].partition("/")[2])
        return cls(_kind(method, key, frozenset(query)), key)


def _kind(method: str, key: str, query: frozenset[str]) -> Kind:
    match method:
        case "POST" if "uploads" in query:
            return Kind.INIT
        case "POST" if "uploadId" in query:
            return Kind.COMPLETE
        case "PUT" if "uploadId" in query:
            return Kind.PART
        case "DELETE" if "uploadId" in query:
            return Kind.ABORT
        case "GET" if not key:
            return Kind.LIST
        case "GET" | "HEAD" | "PUT" | "DELETE" if key:
            return Kind(method.lower())
        case _:
            return Kind.OTHER


@frozen
class Answer:
    """What S3 answered, read whole."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@define
class Exchange:
    """One request in the proxy's hands, and what can be done with it."""

    handler: _Handler
    operation: Operation
    _body: bytes | None = field(default=None, init=False)

    def body(self) -> bytes:
        """Read the request's body."""
        if self._body is None:
            length = int(self.handler.headers.get("content-length") or 0)
            self._body = self.handler.rfile.read(length)
        return self._body

    def forward(self) -> Answer:
        """Let S3 do it."""
        connection = self._send(self.body())
        try:
            response = connection.getresponse()
            return Answer(
                response.status,
                response.reason,
                tuple(response.getheaders()),
                response.read(),
            )
        finally:
            connection.close()

    def forward_half(self) -> None:
        """Send S3 the first half of the body, and hang up."""
        body = self.body()
        self._send(body[: len(body) // 2]).close()

    def answer(self, answer: Answer, *, upto: int | None = None) -> None:
        """Answer; with *upto*, only so many bytes of the body come."""
        handler = self.handler
        handler.send_response_only(answer.status, answer.reason)
        told = {name.lower() for name, _ in answer.headers}
        for name, value in answer.headers:
            if name.lower() not in _OF_THE_HOP:
                handler.send_header(name, value)
        if "content-length" not in told and answer.status not in (204, 304):
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body[:upto])

    def refuse(self, status: int, code: str) -> None:
        """Answer an error of S3's."""
        self.body()
        body = _ERROR.format(code=code).encode()
        head = self.handler.command == "HEAD"
        self.answer(Answer(status, code, (), b"" if head else body))

    def cut(self) -> None:
        """Hang up on the server."""
        self.handler.close_connection = True
        with suppress(OSError):
            self.handler.connection.shutdown(socket.SHUT_RDWR)

    def pause(self, seconds: float) -> None:
        """Wait, unless the proxy ends meanwhile."""
        self.handler.proxy.over.wait(seconds)

    def _send(self, body: bytes) -> HTTPConnection:
        handler, proxy = self.handler, self.handler.proxy
        connection = HTTPConnection(*proxy.target, timeout=PATIENCE)
        connection.putrequest(
            handler.command, handler.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in handler.headers.items():
            if name.lower() not in _OF_THE_HOP:
                connection.putheader(name, value)
        connection.putheader("Connection", "close")
        connection.endheaders(body or None)
        return connection


#: What is done with a request instead of passing it on.
Fault = Callable[[Exchange], None]


def drop(exchange: Exchange) -> None:
    """Hang up without a word; S3 hears of nothing."""
    exchange.cut()


def delay(seconds: float) -> Fault:
    """Pass it on, late."""

    def fault(exchange: Exchange) -> None:
        exchange.body()
        exchange.pause(seconds)
        exchange.answer(exchange.forward())

    return fault


def silence(exchange: Exchange) -> None:
    """Take it, and never answer."""
    exchange.body()
    exchange.pause(PATIENCE)
    exchange.cut()


def cut_request(exchange: Exchange) -> None:
    """Let S3 have half of the body."""
    exchange.forward_half()
    exchange.cut()


def truncate(exchange: Exchange) -> None:
    """Give back half of the answer: of its body, or of its head if it has none."""
    answer = exchange.forward()
    if answer.body:
        exchange.answer(answer, upto=len(answer.body) // 2)
    else:
        exchange.handler.wfile.write(b"HTTP/1.1 %d OK\r\nETag: " % answer.status)
    exchange.cut()


def do_and_cut(exchange: Exchange) -> None:
    """Let S3 do it, and keep its answer."""
    exchange.forward()
    exchange.cut()


def do_and_refuse(status: int, code: str) -> Fault:
    """Let S3 do it, and say that it did not."""

    def fault(exchange: Exchange) -> None:
        exchange.forward()
        exchange.refuse(status, code)

    return fault


def refuse(status: int, code: str) -> Fault:
    """Answer an error in S3's place."""
    return lambda exchange: exchange.refuse(status, code)


def no_conditions(exchange: Exchange) -> None:
    """Know no conditional writes, as OpenStack Swift."""
    headers = exchange.handler.headers
    if "If-Match" in headers or "If-None-Match" in headers:
        exchange.refuse(501, "NotImplemented")
    else:
        exchange.answer(exchange.forward())


def before(act: Callable[[], None]) -> Fault:
    """Do something, and cut the line before S3 has heard of it."""

    def fault(exchange: Exchange) -> None:
        exchange.body()
        act()
        exchange.cut()

    return fault


def after(act: Callable[[], None]) -> Fault:
    """Do something when S3 has done it, before its answer is passed on."""

    def fault(exchange: Exchange) -> None:
        exchange.forward()
        act()
        exchange.cut()

    return fault


@define(eq=False)
class Rule:
    """Which requests are spoiled, and how.

    :ivar kinds: of requests.
    :ivar part: what their keys contain.
    :ivar passes: so many of them are let through first.
    :ivar times: so many are spoiled then; None for all.
    :ivar hits: so many were.
    """

    kinds: frozenset[Kind]
    part: str
    fault: Fault
    times: int | None = 1
    passes: int = 0
    hits: int = field(default=0, init=False)

    def takes(self, operation: Operation) -> bool:
        if operation.kind not in self.kinds or self.part not in operation.key:
            return False
        if self.passes > 0:
            self.passes -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = PATIENCE
    proxy: S3Proxy

    def handle(self) -> None:
        # Whoever cuts lines must not wonder that they are cut.
        with suppress(OSError, HTTPException, ValueError):
            super().handle()

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        operation = Operation.of(self.command, self.path)
        fault = self.proxy.judge(operation)
        exchange = Exchange(self, operation)
        if fault is not None:
            fault(exchange)
        else:
            exchange.answer(exchange.forward())

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: S3Proxy, port: int) -> None:
        handler = type("Handler", (_Handler,), {"proxy": proxy})
        self.sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.sockets.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        for one in list(self.sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # lines are cut here on purpose


@define(eq=False)
class S3Proxy:
    """A double of the network: passes everything on that no rule spoils.

    :ivar target: host and port of the real S3.
    :ivar over: set when it ends.
    """

    target: tuple[str, int]
    port: int = field(factory=free_port)
    over: Event = field(factory=Event, init=False)
    seen: list[Operation] = field(factory=list, init=False)
    _rules: list[Rule] = field(factory=list, init=False)
    _lock: Lock = field(factory=Lock, init=False)
    _listener: _Listener | None = field(default=None, init=False)

    @classmethod
    def before(cls, url: str) -> S3Proxy:
        """Make one that stands before the S3 at *url*, and start it."""
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        proxy = cls((parts.hostname, parts.port))
        proxy.come_back()
        return proxy

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def come_back(self) -> None:
        """Listen, at the port that was first found."""
        self.over.clear()
        self._listener = listener = _Listener(self, self.port)
        Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()

    def go_away(self) -> None:
        """Refuse every connection, and cut those that there are."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self.over.set()
        listener.shutdown()
        listener.socket.close()
        listener.cut_all()

    def hang_up(self) -> None:
        """Cut every connection that there is, and take new ones."""
        self.go_away()
        self.come_back()

    def judge(self, operation: Operation) -> Fault | None:
        with self._lock:
            self.seen.append(operation)
            for rule in self._rules:
                if rule.takes(operation):
                    return rule.fault
        return None

    def add(self, rule: Rule) -> Rule:
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        with self._lock:
            self._rules.remove(rule)

    @contextmanager
    def spoiling(
        self,
        fault: Fault,
        *kinds: Kind,
        part: str = "",
        times: int | None = 1,
        passes: int = 0,
    ) -> Iterator[Rule]:
        """Spoil what the rule says, for a while."""
        rule = self.add(Rule(frozenset(kinds), part, fault, times, passes))
        try:
            yield rule
        finally:
            self.remove(rule)
