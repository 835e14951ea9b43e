"""Pages of the simple API: which there are, how they are asked for, and warmed."""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence
from http.client import HTTPConnection
from itertools import product
from pathlib import Path

from benchmarks import corpus
from benchmarks.clients import Headers, header_sets
from benchmarks.load import raw_request

ORDINARY = [f"/simple/{name}/" for name in corpus.ORDINARY]
LARGE, LARGEST = f"/simple/{corpus.LARGE}/", f"/simple/{corpus.LARGEST}/"
ALL = [*ORDINARY, LARGE, LARGEST, "/simple/"]

#: No coding, so that the work is equal where coding is not everybody's.
PLAIN: Headers = (("Accept", "text/html"), ("User-Agent", "benchmark"))

#: The coding that is everybody's.
GZIP: Headers = (*PLAIN, ("Accept-Encoding", "gzip"))

_MAGIC = b"\x1f\x8b"


def fetch(port: int, path: str, headers: Headers) -> tuple[bytes, str]:
    """Get a page and its ETag."""
    request = urllib.request.Request(  # loopback
        f"http://127.0.0.1:{port}{path}", headers=dict(headers)
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read(), answer.headers.get("ETag", "")


def save_pages(port: int, root: Path) -> None:
    """Save what ours serves, in each form and coding, for nginx to serve from disk."""
    kinds = {"html": "text/html", "json": "application/vnd.pypi.simple.v1+json"}
    codings = {"identity": "", "gzip": ".gz"}
    for path in ALL:
        place = root / path.strip("/")
        place.mkdir(parents=True, exist_ok=True)
        for (ending, accept), (coding, more) in product(kinds.items(), codings.items()):
            form = (("Accept", accept), ("Accept-Encoding", coding))
            body = fetch(port, path, form)[0]
            if not more or body.startswith(_MAGIC):
                (place / f"index.{ending}{more}").write_bytes(body)


def conditional(port: int, paths: Sequence[str], extra: Headers = ()) -> list[bytes]:
    """Prepare requests that are answered by 304: each with the ETag it would get.

    :raises RuntimeError: the server gives no ETags, or does not heed them.
    """
    requests = []
    host = f"127.0.0.1:{port}"
    known: dict[tuple[str, str, str], str] = {}
    for headers, path in product(header_sets(), paths):
        form = path, *_form(headers)
        if form not in known:
            tag = known[form] = fetch(port, path, (*headers, *extra))[1]
            if not tag or not _heeds(port, path, (*headers, *extra), tag):
                raise RuntimeError("answers nothing by 304")
        requests.append(
            raw_request(host, path, (*headers, ("If-None-Match", known[form]), *extra))
        )
    return requests


def _heeds(port: int, path: str, headers: Headers, tag: str) -> bool:
    """Whether the server answers 304 to its own ETag."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(
            "GET", path, headers=dict((*headers, ("If-None-Match", tag)))
        )
        return connection.getresponse().status == 304
    finally:
        connection.close()


def warm(port: int, extra: Headers = (), paths: Sequence[str] = ALL) -> None:
    """Have pages made in every form that is asked for."""
    forms = {_form(headers): headers for headers in header_sets()}
    for headers in forms.values():
        once(port, paths, (*headers, *extra))


def once(port: int, paths: Sequence[str], headers: Headers) -> None:
    """Ask for each address, over one connection, whatever comes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        for path in paths:
            connection.request("GET", path, headers=dict(headers))
            connection.getresponse().read()
    finally:
        connection.close()


def _form(headers: Headers) -> tuple[str, str]:
    """Tell what a page's form and coding are chosen by."""
    folded = {name.lower(): value for name, value in headers}
    return folded.get("accept", ""), folded.get("accept-encoding", "")
