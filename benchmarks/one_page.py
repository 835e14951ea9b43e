"""An upstream of one page, in a process of its own: ``one_page.py PORT FILE``.

It is compressed once, for the project ``largest``; asked for ``largest-1`` and the
like, it gives the same page with that name.
"""

from __future__ import annotations

import gzip
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Gives the page for every project's name."""

    protocol_version = "HTTP/1.1"
    plain: bytes
    page: bytes

    def do_GET(self) -> None:
        """See :class:`BaseHTTPRequestHandler`."""
        page = self._page_of(self.path.strip("/").rpartition("/")[2])
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(page)

    def _page_of(self, name: str) -> bytes:
        if not name.startswith("largest-"):
            return self.page
        # Names of files first: they have a hyphen behind the project's name.
        escaped = name.replace("-", "_").encode()
        renamed = self.plain.replace(b"largest-", escaped + b"-")
        return gzip.compress(renamed.replace(b'"largest"', f'"{name}"'.encode()), 1)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until it is ended."""
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    Handler.plain = file.read_bytes()
    Handler.page = gzip.compress(Handler.plain, 6)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
