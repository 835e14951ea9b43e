"""What an upload to a project of 5,000 files costs, beside one to a new project.

``python -m benchmarks.nth_upload [--files N] [--rounds N]``: small wheels by HTTP to
one server on a folder, one at a time, both kinds in turn; once as they are, and once
with the project's page read after each. Medians of wall time, means of the processor's.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks import corpus, servers
from benchmarks.large_uploads import Costs
from benchmarks.manifests import NAME, fill, manifests_of
from benchmarks.memory import form
from benchmarks.processes import worked
from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.store.folder.store import DirectoryStore

JSON = "application/vnd.pypi.simple.v1+json"
#: What the first may be exceeded by.
RATIO = 2.0


async def make(reactor: Any, folder: str, files: int) -> None:
    """Make the large project."""
    offload = Offload(reactor)
    offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
    store = DirectoryStore(Path(folder), offload)
    await store.prepare()
    await fill(manifests_of(store, reactor), files, 0, 0)
    await store.close()
    await offload.stopService()


@define
class Client:
    """Whoever uploads, on one connection.

    :ivar reads: the page too, after each.
    """

    folder: Path
    port: int
    pid: int
    reads: bool
    _connection: HTTPConnection = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._connection = HTTPConnection("127.0.0.1", self.port, timeout=60)

    def upload(self, name: str, version: str, costs: Costs | None = None) -> None:
        """Upload a small wheel, and note what that cost the server."""
        body, kind = self._form(name, version)
        headers = {"Authorization": servers.authorization(), "Content-Type": kind}
        before, began = worked(self.pid), time.perf_counter()
        self._ask("POST", "/legacy/", body, headers)
        if self.reads:
            self._ask("GET", f"/simple/{name}/", b"", {"Accept": JSON})
        if costs is not None:
            costs.wall.append(time.perf_counter() - began)
            costs.processor.append(worked(self.pid) - before)

    def _form(self, name: str, version: str) -> tuple[bytes, str]:
        data = corpus.wheel(name, version)[0]
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        fields = {"version": version, "sha256_digest": digest}
        head, tail, kind = form(path, name, fields)
        return head + data + tail, kind

    def _ask(self, method: str, path: str, body: bytes, headers: Any) -> None:
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {said[:500]!r}")


def measure(folder: Path, rounds: int, files: int, reads: bool) -> None:
    """Upload to the large project and to new ones in turn, and print a row."""
    settings = {
        "storage.dir": str(folder / "store"),
        "pypi.fallback": "none",
        "pypi.default_read": "everyone",
        f"user.{servers.USER}": hash_password(servers.PASSWORD),
    }
    port = servers.free_port()
    first, late = Costs(), Costs()
    kind = "read" if reads else "plain"
    with servers.ours(folder, settings, port) as server:
        client = Client(folder, port, server.pid, reads)
        for number in range(10):
            client.upload(f"warm-{kind}-{number}", "1.0")
        client.upload(NAME, f"0.{rounds}.{kind == 'read':d}")
        for number in range(rounds):
            turns: list[Callable[[], None]] = [
                lambda n=number: client.upload(f"new-{kind}-{n}", "1.0", first),  # type: ignore[misc]  # bound at once
                lambda n=number: client.upload(NAME, f"9.{n}.{reads:d}", late),  # type: ignore[misc]  # likewise
            ]
            for turn in turns if number % 2 else reversed(turns):
                turn()
    what = "upload, page read" if reads else "upload"
    ratio = mean(late.processor) / mean(first.processor)
    met = "met" if ratio <= RATIO else "MISSED"
    print(
        f"{what:18} first {told(first)}   {files:,} files {told(late)}   "
        f"{ratio:.2f} times, at most {RATIO:.0f}: {met}",
        flush=True,
    )


def told(costs: Costs) -> str:
    """Write what they were."""
    wall, worked = 1000 * median(costs.wall), 1000 * mean(costs.processor)
    return f"{wall:.1f} ms, processor {worked:.1f} ms"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--make", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        react(
            lambda reactor: Deferred.fromCoroutine(
                make(reactor, options.make, options.files)
            )
        )
    print(f"load average before: {servers.load_average()}")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        command = [sys.executable, "-m", "benchmarks.nth_upload", "--make"]
        command += [str(folder / "store"), "--files", str(options.files)]
        # It takes a reactor, and a process runs one once.
        subprocess.run(command, check=True)
        for reads in (False, True):
            measure(folder, options.rounds, options.files, reads)


if __name__ == "__main__":
    main()
