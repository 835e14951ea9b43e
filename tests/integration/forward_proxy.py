"""An HTTP proxy of a company, on loopback, that wants a password.

It passes requests on (absolute form) and opens tunnels (CONNECT); names that it is told
of it resolves itself, which is what a network without DNS has it for.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field

USER, PASSWORD = "proxy-user", "s3cr3t-of-the-proxy"
_EXPECTED = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()

#: Of one hop (RFC 9110, section 7.6.1).
_OF_THE_HOP = frozenset({"connection", "proxy-authorization", "transfer-encoding"})


@define(eq=False)
class ForwardProxy:
    """Remembers what it was asked for.

    :param known: ports on loopback, by the names that it resolves.
    :ivar asked: methods and targets.
    """

    known: Mapping[str, int] = field(factory=dict)
    asked: list[tuple[str, str]] = field(factory=list)
    _server: Any = None

    def start(self) -> None:
        """Listen."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Be gone."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """As an environment variable has it."""
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self._server.server_port}"

    def address(self, host: str | None, port: int) -> tuple[str, int]:
        """Resolve a name."""
        return "127.0.0.1", self.known.get(host or "", port)


class _Handler(BaseHTTPRequestHandler):
    """Passes on."""

    server: Any

    def pass_on(self) -> None:
        """Ask for what is asked here in absolute form."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._may_pass():
            return
        parts = urlsplit(self.path)
        host, port = self.server.proxy.address(parts.hostname, parts.port or 80)
        there = HTTPConnection(host, port, timeout=10)
        target = self.path.removeprefix(f"{parts.scheme}://{parts.netloc}")
        there.request(self.command, target, body or None, _passed(self.headers.items()))
        answer = there.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in _passed(answer.getheaders()).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        there.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

    def do_CONNECT(self) -> None:
        """Open a tunnel (RFC 9110, section 9.3.6)."""
        if not self._may_pass():
            return
        name, _, port = self.path.rpartition(":")
        there = socket.create_connection(self.server.proxy.address(name, int(port)))
        self.send_response(200)
        self.end_headers()
        back = Thread(target=_pump, args=(there, self.connection), daemon=True)
        back.start()
        _pump(self.connection, there)
        back.join(10)
        there.close()

    def _may_pass(self) -> bool:
        self.server.proxy.asked.append((self.command, self.path))
        if self.headers.get("Proxy-Authorization") == _EXPECTED:
            return True
        self.send_error(407)
        return False

    def log_message(self, format: str, *args: Any) -> None:  # its name
        """Say nothing."""


def _passed(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Leave out what is of one hop."""
    return {name: value for name, value in headers if name.lower() not in _OF_THE_HOP}


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
