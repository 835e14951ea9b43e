"""A public index of our own, on loopback: it counts what is asked, and fails if told.

It listens in threads of the test's process, speaks HTTP/1.0 (so that no connection
outlives it) and knows the simple API in both forms (PEP 503, PEP 691).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext
from threading import Thread
from typing import Any
from zipfile import ZipFile

from attrs import define, evolve, field, frozen
from packaging.utils import canonicalize_name, parse_wheel_filename

from tests.integration.rig import free_port

JSON = "application/vnd.pypi.simple.v1+json"

#: Uploaded long ago, for every purpose.
LONG_AGO = "2020-01-01T00:00:00Z"


@frozen
class Asked:
    """One request that came; the names of its header fields are lower case."""

    path: str
    headers: Mapping[str, str] = field(repr=False)

    @property
    def by_us(self) -> bool:
        """Whether a server of ours asked, and not a client."""
        return self.headers.get("user-agent", "").startswith("pypicloud-tw/")


@frozen
class Published:
    """A wheel that it has.

    :ivar uploaded: when, by what it says; None: it does not tell.
    :ivar yanked: why, or that it is (PEP 592).
    """

    wheel: Path
    uploaded: str | None
    yanked: str | bool = False

    @property
    def metadata(self) -> bytes:
        """Its core metadata."""
        with ZipFile(self.wheel) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
            return archive.read(name)


@define(eq=False)
class FakeUpstream:
    """Has the wheels that it was given.

    :ivar tls: it speaks https with that.
    :ivar failing: the status of every answer while it is set.
    :ivar cache_control: what its pages say of their freshness.
    :ivar asked: every request, in the order in which they came.
    """

    port: int = field(factory=free_port)
    tls: SSLContext | None = None
    failing: int | None = None
    cache_control: str = "max-age=600"
    asked: list[Asked] = field(factory=list)
    _published: dict[str, list[Published]] = field(factory=dict)
    _quarantined: dict[str, str] = field(factory=dict)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def simple(self) -> str:
        return f"{self.url}/simple/"

    def publish(self, *wheels: Path, uploaded: str | None = LONG_AGO) -> None:
        """Have more wheels."""
        for wheel in wheels:
            name = parse_wheel_filename(wheel.name)[0]
            self._published.setdefault(name, []).append(Published(wheel, uploaded))

    def change(self, wheel: Path, **more: Any) -> None:
        """Say something else of a wheel: ``uploaded``, ``yanked``."""
        published = self._published[parse_wheel_filename(wheel.name)[0]]
        published[:] = [
            evolve(one, **more) if one.wheel.name == wheel.name else one
            for one in published
        ]

    def delete(self, wheel: Path) -> None:
        """Have a wheel no more; without its last one, there is no project."""
        name = parse_wheel_filename(wheel.name)[0]
        left = [one for one in self._published[name] if one.wheel.name != wheel.name]
        if left:
            self._published[name] = left
        else:
            del self._published[name]

    def quarantine(self, name: str, reason: str) -> None:
        """Offer nothing of a project (PEP 792)."""
        self._quarantined[name] = reason

    def lift(self, name: str) -> None:
        """Offer it again."""
        del self._quarantined[name]

    def start(self) -> None:
        """Listen."""
        self._server = _Listener(("127.0.0.1", self.port), _Handler)
        self._server.upstream = self
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        # How long the end may take that shutdown() waits for.
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Be gone; who connects is refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def projects_asked(self) -> set[str]:
        """Name every project that was asked for in any way, normalised."""
        return {canonicalize_name(a.path.split("/")[2]) for a in self.asked}

    def paths_asked(self, prefix: str, *, by_us: bool) -> list[str]:
        """Give the paths that servers of ours, or that others asked for."""
        return [
            asked.path
            for asked in self.asked
            if asked.path.startswith(prefix) and asked.by_us is by_us
        ]

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Give a status, a content type and a body."""
        if self.failing is not None:
            return self.failing, "text/plain", b"as told\n"
        parts = path.split("/")
        match parts[1:]:
            case ["simple", name, ""] if name in self._published:
                reason = self._quarantined.get(name)
                files = self._published[name] if reason is None else []
                if JSON in accept:
                    document = _document(name, files)
                    if reason is not None:
                        status = {"status": "quarantined", "reason": reason}
                        document["project-status"] = status
                    return 200, JSON, json.dumps(document).encode()
                return 200, "text/html", _html(files).encode()
            case ["files", name, filename]:
                return self._file(name, filename)
        return 404, "text/plain", b"no such thing\n"

    def _file(self, name: str, filename: str) -> tuple[int, str, bytes]:
        for one in self._published.get(name, ()):
            if filename == one.wheel.name:
                return 200, "application/octet-stream", one.wheel.read_bytes()
            if filename == f"{one.wheel.name}.metadata":
                return 200, "application/octet-stream", one.metadata
        return 404, "text/plain", b"no such file\n"


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    upstream: FakeUpstream

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who does not want the rest, and all else."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers as the index of its server says."""

    server: _Listener

    def do_GET(self) -> None:
        """See :class:`BaseHTTPRequestHandler`."""
        upstream = self.server.upstream
        headers = {name.lower(): value for name, value in self.headers.items()}
        upstream.asked.append(Asked(self.path, headers))
        status, content_type, body = upstream.answer(
            self.path, headers.get("accept", "")
        )
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", upstream.cache_control)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:  # its name
        """Say nothing."""


def _document(name: str, files: Iterable[Published]) -> Any:
    """Write a project's page (PEP 691, PEP 700, PEP 714)."""
    return {
        "meta": {"api-version": "1.1"},
        "name": name,
        "versions": sorted({_version(one.wheel) for one in files}),
        "files": [_file(one) for one in files],
    }


def _file(one: Published) -> dict[str, Any]:
    data = one.wheel.read_bytes()
    about = {
        "filename": one.wheel.name,
        "url": _address(one.wheel),
        "hashes": {"sha256": sha256(data).hexdigest()},
        "size": len(data),
        "requires-python": ">=3.6",
        "core-metadata": {"sha256": sha256(one.metadata).hexdigest()},
        "yanked": one.yanked,
    }
    return about if one.uploaded is None else {**about, "upload-time": one.uploaded}


def _html(files: Iterable[Published]) -> str:
    """Write a project's page (PEP 503)."""
    links = [
        f'<a href="{_address(one.wheel)}#sha256='
        f'{sha256(one.wheel.read_bytes()).hexdigest()}">{escape(one.wheel.name)}</a>'
        for one in files
    ]
    return "<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>"


def _address(wheel: Path) -> str:
    """Link to a file, relative to its project's page."""
    return f"../../files/{parse_wheel_filename(wheel.name)[0]}/{wheel.name}"


def _version(wheel: Path) -> str:
    return str(parse_wheel_filename(wheel.name)[1])
