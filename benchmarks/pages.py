"""Pages a second: this server, nginx with the same bytes on disk, and pypiserver.

One command, one run, side by side: ``python -m benchmarks.pages``. Ours runs with
access log and metrics on; everybody is asked for all 300 ordinary pages with 50 sets of
real clients' headers.
"""

from __future__ import annotations

import shutil
import sys
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from benchmarks import corpus, servers
from benchmarks.clients import Headers, header_sets
from benchmarks.load import Result, play, raw_request, run
from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.config.hashes import make_context

ORDINARY = [f"/simple/{name}/" for name in corpus.ORDINARY]
PAGES = {
    "20 files": ORDINARY,
    "1,000 files": [f"/simple/{corpus.LARGE}/"],
    "5,000 files": [f"/simple/{corpus.LARGEST}/"],
    "/simple/": ["/simple/"],
}

#: No coding, so that the work is equal where coding is not everybody's.
PLAIN: Headers = (("Accept", "text/html"), ("User-Agent", "benchmark"))

GZIP = b"\x1f\x8b"

LOGGED_IN: Headers = (("Authorization", servers.authorization()),)


@frozen
class Contestant:
    """A server that runs.

    :ivar connections: how many are used at once; few where more would only wait.
    """

    name: str
    port: int
    connections: int = 16

    def play(
        self, paths: Sequence[str], sets: Sequence[Headers], extra: Headers
    ) -> Result:
        """Measure it with every path and every set of headers."""
        seconds = 4 if self.connections > 2 else 10
        return play(
            self.port,
            paths,
            sets,
            extra=extra,
            seconds=seconds,
            connections=self.connections,
        )


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
    for path in (path for paths in PAGES.values() for path in paths):
        place = root / path.strip("/")
        place.mkdir(parents=True, exist_ok=True)
        for (ending, accept), (coding, more) in product(kinds.items(), codings.items()):
            form = (("Accept", accept), ("Accept-Encoding", coding))
            body = fetch(port, path, form)[0]
            if not more or body.startswith(GZIP):
                (place / f"index.{ending}{more}").write_bytes(body)


def conditional(port: int, extra: Headers) -> list[bytes]:
    """Prepare requests that are answered by 304: each with the ETag it would get.

    :raises RuntimeError: the server gives no ETags, or does not heed them.
    """
    requests = []
    host = f"127.0.0.1:{port}"
    known: dict[tuple[str, str, str], str] = {}
    for headers, path in product(header_sets(), ORDINARY[:60]):
        folded = {name.lower(): value for name, value in headers}
        form = path, folded.get("accept", ""), folded.get("accept-encoding", "")
        if form not in known:
            tag = known[form] = fetch(port, path, (*headers, *extra))[1]
            if not tag or not heeds(port, path, (*headers, *extra), tag):
                raise RuntimeError("no 304s")
        requests.append(
            raw_request(host, path, (*headers, ("If-None-Match", known[form]), *extra))
        )
    return requests


def heeds(port: int, path: str, headers: Headers, tag: str) -> bool:
    """Whether the server answers 304 to its own ETag."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(
            "GET", path, headers=dict((*headers, ("If-None-Match", tag)))
        )
        return connection.getresponse().status == 304
    finally:
        connection.close()


def warm(port: int, extra: Headers) -> None:
    """Have every page in every form made once."""
    for paths in PAGES.values():
        for path in paths:
            for headers in header_sets()[:: 7 if len(paths) > 1 else 1]:
                fetch(port, path, (*headers, *extra))


def measure(
    contestants: Sequence[Contestant], name: str, work: Callable[[Contestant], Result]
) -> None:
    """Measure one row, all contestants after each other."""
    cells = []
    for contestant in contestants:
        try:
            result = work(contestant)
        except RuntimeError as e:
            cells.append(f"{contestant.name}: {str(e).splitlines()[-1][:60]}")
        else:
            cells.append(
                f"{contestant.name} {result.rate:9,.1f}/s (p99 {result.p99:.1f} ms)"
            )
    print(f"{name:28}", " | ".join(cells), flush=True)


def rows(contestants: Sequence[Contestant], label: str, extra: Headers) -> None:
    """Measure every kind of page."""

    for name, paths in PAGES.items():
        measure(
            contestants,
            f"{name}{label}",
            lambda c, paths=paths: c.play(paths, header_sets(), extra),  # type: ignore[misc]  # mypy does not see the default
        )
    measure(
        contestants,
        f"20 files plain{label}",
        lambda c: c.play(ORDINARY, [PLAIN], extra),
    )
    measure(
        contestants,
        f"304s{label}",
        lambda c: run(c.port, conditional(c.port, extra), seconds=4),
    )


@contextmanager
def all_servers(
    folder: Path, made: corpus.Corpus, peer: Path | None, *, log_in: bool
) -> Iterator[list[Contestant]]:
    """Run everybody."""
    settings = {
        "storage.dir": str(made.store),
        "pypi.fallback": "none",
        "metrics.read": "everyone",
        f"user.{servers.USER}": hash_password(servers.PASSWORD),
        "pypi.default_read": "authenticated" if log_in else "everyone",
    }
    extra = LOGGED_IN if log_in else ()
    with ExitStack() as stack:
        contestants = [Contestant("ours", servers.free_port())]
        stack.enter_context(servers.ours(folder, settings, contestants[0].port))
        warm(contestants[0].port, extra)
        root = folder / "root"
        if not root.exists():
            save_pages(contestants[0].port, root)
        if shutil.which("nginx") or Path("/usr/sbin/nginx").exists():
            port = servers.free_port()
            stack.enter_context(servers.nginx(folder, root, port, log_in=log_in))
            contestants.append(Contestant("nginx", port))
        if peer is not None:
            port = servers.free_port()
            stack.enter_context(
                servers.pypiserver(folder, peer, made.flat, port, log_in=log_in)
            )
            contestants.append(Contestant("pypiserver", port, connections=2))
        yield contestants


def log_ins(folder: Path, made: corpus.Corpus) -> None:
    """Measure warm pages while passwords are checked by sha256_crypt."""
    slow = make_context().handler("sha256_crypt").hash("right")
    settings = {
        "storage.dir": str(made.store),
        "pypi.fallback": "none",
        "user.old": slow,
        # What is measured is checking, not refusing to check.
        "auth.max_failures": "1000000",
    }
    port = servers.free_port()
    with servers.ours(folder, settings, port):
        warm(port, ())
        quiet = play(port, ORDINARY, header_sets())
        over = threading.Event()
        counted: list[int] = []
        threads = [
            threading.Thread(target=_log_in, args=(port, over, counted))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        busy = play(port, ORDINARY, header_sets())
        over.set()
        for thread in threads:
            thread.join()
    print(
        f"20 files, p99: {quiet.p99:.1f} ms at rest, {busy.p99:.1f} ms with "
        f"{len(counted)} sha256_crypt log-ins in the meantime"
    )


def _log_in(port: int, over: threading.Event, counted: list[int]) -> None:
    while not over.is_set():
        wrong = b64encode(f"old:{len(counted)}".encode()).decode()
        request = urllib.request.Request(  # loopback
            f"http://127.0.0.1:{port}/legacy/",
            data=b"",
            headers={"Authorization": f"Basic {wrong}"},
        )
        try:
            urllib.request.urlopen(request, timeout=120).close()
        except OSError:
            counted.append(1)


def main() -> None:
    """Measure everything."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk nginx")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print("making the corpus ...", flush=True)
        made = corpus.make(folder)
        peer = servers.install(
            folder / "peer", "pypiserver", "passlib", "setuptools<81"
        )
        print(f"load average before: {servers.load_average()}")
        for log_in in (False, True):
            with all_servers(folder, made, peer, log_in=log_in) as contestants:
                label = ", Basic auth" if log_in else ""
                rows(contestants, label, LOGGED_IN if log_in else ())
        log_ins(folder, made)
        print(f"load average after: {servers.load_average()}")


if __name__ == "__main__":
    main()
