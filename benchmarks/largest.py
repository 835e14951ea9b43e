"""The largest page of an upstream, and what everybody else notices of it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import Request, urlopen

from attrs import define, field, frozen

from benchmarks import servers
from benchmarks.memory import resident
from pypicloud_tw.access.hashes import hash_password
from tests.integration.dists import make_wheel
from tests.integration.rig import basic, form

JSON = "application/vnd.pypi.simple.v1+json"

#: Projects with very many files; which has most changes with time, so they are asked.
CANDIDATES = ("tf-nightly", "ccxt", "tensorflow-io-nightly", "grpcio", "checkov")

#: Bytes of the page that is made up.
MADE_UP = 30_000_000

#: Seconds between two requests of the client who has nothing to do with it.
PACE = 0.002


@define
class Bystander:
    """Asks for a small page of ours all the time, over one connection.

    :ivar waits: seconds, of each request.
    """

    port: int
    waits: list[float] = field(factory=list)
    _over: threading.Event = field(factory=threading.Event)

    def run(self) -> None:
        """Ask until told to stop."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self._over.wait(PACE):
            began = time.monotonic()
            connection.request("GET", "/simple/bystander/", headers={"Accept": JSON})
            connection.getresponse().read()
            self.waits.append(time.monotonic() - began)
        connection.close()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ask while the block runs."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def told(self) -> str:
        """Give the p99 and the longest wait."""
        waits = sorted(self.waits)
        p99 = waits[int(len(waits) * 0.99)]
        return f"p99 {p99 * 1000:.1f} ms, longest {waits[-1] * 1000:.0f} ms"


@frozen
class Stalls:
    """What the server says of its reactor: times late by 50 ms, and seconds in all."""

    count: float
    seconds: float

    @classmethod
    def read(cls, port: int) -> Stalls:
        """Ask it."""
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return cls(
            float(values["pypicloud_reactor_stalls_total"]),
            float(values["pypicloud_reactor_stalled_seconds_total"]),
        )


def made_up_page() -> bytes:
    """Write a page of :data:`MADE_UP` bytes, as the big index writes them."""
    files: list[object] = []
    size = 0
    while size < MADE_UP:
        number = len(files)
        version = f"{number // 40}.{number % 40}.dev20240101"
        platform = "manylinux_2_17_x86_64.manylinux2014_x86_64"
        name = f"largest-{version}-cp311-cp311-{platform}.whl"
        digests = [sha256(f"{number}{part}".encode()).hexdigest() for part in range(3)]
        address = f"{digests[2][:2]}/{digests[2][2:4]}/{digests[2][4:]}/{name}"
        file = {
            "core-metadata": {"sha256": digests[1]},
            "data-dist-info-metadata": {"sha256": digests[1]},
            "filename": name,
            "hashes": {"sha256": digests[0]},
            "provenance": None,
            "requires-python": ">=3.9",
            "size": 100_000_000 + number,
            "upload-time": f"2024-01-01T00:00:{number % 60:02}.123456Z",
            "url": f"https://files.example/packages/{address}",
            "yanked": False,
        }
        files.append(file)
        size += len(json.dumps(file)) + 2
    versions = [f"{n}.0.dev20240101" for n in range(len(files) // 40)]
    return json.dumps(
        {
            "meta": {"api-version": "1.4"},
            "name": "largest",
            "versions": versions,
            "files": files,
        }
    ).encode()


@contextmanager
def upstream(folder: Path) -> Iterator[str]:
    """Run an upstream of the page that is made up; give its address."""
    page, port = folder / "page.json", servers.free_port()
    page.write_bytes(made_up_page())
    script = str(Path(__file__).with_name("one_page.py"))
    command = [sys.executable, script, str(port), str(page)]
    with servers.running(command, port, "/simple/x/", folder / "upstream.log"):
        yield f"http://127.0.0.1:{port}/simple/"


def find_largest(index: str) -> str:
    """Ask for each candidate, and name the one with the largest page."""
    sizes = {}
    for name in CANDIDATES:
        request = Request(f"{index.rstrip('/')}/{name}/", headers={"Accept": JSON})
        try:
            with urlopen(request, timeout=120) as answer:
                sizes[name] = len(answer.read())
        except OSError:
            continue
    name = max(sizes, key=lambda name: sizes[name])
    print(f"of {len(sizes)} asked, the largest page is that of {name}")
    return name


def measure(folder: Path, settings: Mapping[str, str], project: str) -> None:
    """Ask a server with nothing in memory for the page, in each mode."""
    for mode in ("proxy", "cache"):
        place = folder / f"{project}-{mode}"
        place.mkdir()
        own = {
            **settings,
            "storage.dir": str(place / "store"),
            "pypi.fallback": mode,
            "metrics.read": "everyone",
            f"user.{servers.USER}": hash_password(servers.PASSWORD),
        }
        port = servers.free_port()
        with servers.ours(place, own, port) as server:
            have_own_project(place, port)
            print(f"{project}, {mode}:", flush=True)
            quiet = Bystander(port)
            with quiet.watching():
                time.sleep(2)
            print(f"  bystander at rest: {quiet.told()}")
            ask(port, project, "cold", "gzip")
            ask(port, project, "again", "gzip")
            ask(port, project, "uncompressed", "identity")
            print(f"  resident: {resident(server.pid) / 2**20:.0f} MiB at the highest")


def ask(port: int, project: str, label: str, coding: str) -> None:
    """Ask once, beside a bystander."""
    bystander = Bystander(port)
    before = Stalls.read(port)
    with bystander.watching():
        time.sleep(0.5)
        began = time.monotonic()
        size = fetch(port, project, coding)
        took = time.monotonic() - began
        time.sleep(0.5)
    after = Stalls.read(port)
    print(
        f"  {label:13} {took:6.2f} s, {size / 1e6:5.1f} MB; bystander "
        f"{bystander.told()}; {after.count - before.count:.0f} stalls over 50 ms, "
        f"{(after.seconds - before.seconds) * 1000:.0f} ms",
        flush=True,
    )


def fetch(port: int, project: str, coding: str) -> int:
    """Read the page, and count its bytes as they come."""
    connection = HTTPConnection("127.0.0.1", port, timeout=300)
    headers = {"Accept": JSON, "Accept-Encoding": coding}
    connection.request("GET", f"/simple/{project}/", headers=headers)
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {response.read(500)!r}")
    size = 0
    while piece := response.read(2**20):
        size += len(piece)
    connection.close()
    return size


def have_own_project(folder: Path, port: int) -> None:
    """Publish what the bystander asks for."""
    wheel = make_wheel(folder, "bystander", "1.0")
    fields = {":action": "file_upload", "name": "bystander", "version": "1.0"}
    body, content_type = form(fields, wheel.name, wheel.read_bytes())
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        "Authorization": basic(servers.USER, servers.PASSWORD),
        "Content-Type": content_type,
    }
    connection.request("POST", "/legacy/", body, headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"not published: {answer.status} {answer.reason}")
    connection.close()
