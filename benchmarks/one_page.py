"""An upstream of one page, in a process of its own: ``one_page.py PORT FILE``."""

from __future__ import annotations

import gzip
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Gives the page for every project's name, compressed once."""

    protocol_version = "HTTP/1.1"
    page: bytes

    def do_GET(self) -> None:
        """See :class:`BaseHTTPRequestHandler`."""
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(self.page)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until it is ended."""
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    Handler.page = gzip.compress(file.read_bytes(), 6)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
