"""An issuer of identity tokens over TLS, as a CI's jobs see one."""

from __future__ import annotations

import json
import ssl
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, field

from tests.access.oidc.doubles import Issuer

#: What GitHub Actions gives a job to ask for its identity.
REQUEST_TOKEN = "of-the-job"


@define(eq=False)
class LiveIssuer:
    """Serves an issuer's documents, and its tokens to who asks as a job does.

    :param certificate: of 127.0.0.1.
    :ivar claims: what the next tokens have, beside and instead of what others have.
    """

    certificate: Path
    key: Path
    claims: dict[str, Any] = field(factory=dict)
    issuer: Issuer = field(init=False)
    _server: ThreadingHTTPServer = field(init=False)

    def __attrs_post_init__(self) -> None:
        live = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document = live.answer(self.path, self.headers.get("Authorization"))
                data = json.dumps(document).encode()
                self.send_response(404 if document is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        port = self._server.server_address[1]
        self.issuer = Issuer(time.time, f"https://127.0.0.1:{port}")
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return self.issuer.url

    def token(self) -> str:
        """Issue a token."""
        return self.issuer.token(**self.claims)

    @property
    def github(self) -> dict[str, str]:
        """What the environment of a job of GitHub Actions has."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
        }

    @property
    def gitlab(self) -> dict[str, str]:
        """What the environment of a job of GitLab has: one token, made before."""
        return {"GITLAB_CI": "true", "PYPICLOUD_ID_TOKEN": self.token()}

    def answer(self, target: str, authorization: str | None) -> object:
        """Return a document; None: there is none."""
        parts = urlsplit(target)
        if parts.path == "/token":
            asked = parse_qs(parts.query)["audience"]
            assert asked == ["pypicloud"], asked
            # Schemes have no case (RFC 9110, section 11.1): clients write either.
            scheme, _, shown = (authorization or "").partition(" ")
            assert (scheme.lower(), shown) == ("bearer", REQUEST_TOKEN), authorization
            return {"value": self.token()}
        return self.issuer.own.get(f"{self.url}{parts.path}")
