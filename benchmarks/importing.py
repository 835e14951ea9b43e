"""How long it takes to move in: 200 projects out of servers that run.

Run: ``python -m benchmarks.importing``. The peers are installed below ``--cache``, each
into an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from attrs import define

from benchmarks import conditions, corpus, peers, servers
from benchmarks.contestants import Ours, Place, Setup, Target


@define
class Moved:
    """What a run of the command came to.

    :ivar worked: seconds of the processor that it took, its helpers included; the other
        server's are its own.
    """

    way: str
    seconds: float
    worked: float
    taken: int
    there: int
    size: int
    troubles: int

    @property
    def line(self) -> str:
        """Write it for people."""
        rate = self.taken / self.seconds
        return (
            f"{self.way:40} {self.seconds:6.1f} s (of the processor {self.worked:5.1f})"
            f"  {self.taken:5} taken "
            f"({rate:5.0f}/s, {self.size / 2**20:.1f} MiB)  {self.there:5} there  "
            f"{self.troubles} refused or failed"
        )


def main() -> None:
    """Move, and print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=200)
    parser.add_argument("--files", type=int, default=5, help="of each project")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--cache", type=Path, default=Path(".benchmarks"))
    given = parser.parse_args()
    sizes = dict.fromkeys(list(corpus.ORDINARY)[: given.projects], given.files)
    with tempfile.TemporaryDirectory() as folder:
        made = corpus.make(Path(folder) / "corpus", sizes)
        place = Place(Path(folder), given.cache.resolve(), made, ())
        for name, source, path in _sources(place, given):
            with source as target:
                url = f"http://127.0.0.1:{target.port}{path}"
                for moved in _move(name, url, place, given.jobs):
                    print(moved.line, flush=True)


def _sources(
    place: Place, given: argparse.Namespace
) -> Iterator[tuple[str, AbstractContextManager[Target], str]]:
    def programs(name: str) -> Path:
        return peers.programs(place.cache, name) or peers.install(place.cache, name)

    pypiserver = peers.Pypiserver(place, programs("pypiserver"))
    yield "pypiserver", pypiserver.running(Setup.OPEN), "/simple/"
    devpi = peers.Devpi(
        place, programs("devpi"), projects=given.projects, files=given.files
    )
    yield "devpi", devpi.running(Setup.OPEN), f"/{servers.USER}/main/"
    yield "this index", Ours(place).running(Setup.OPEN), "/simple/"


def _move(name: str, url: str, place: Place, jobs: int) -> Iterator[Moved]:
    """Move into a folder, once more, and into a server."""
    store = place.new_folder("into")
    ini = store.with_suffix(".ini")
    ini.write_text(f"[app:main]\nstorage.dir = {store}\n")
    into = ["--into", str(ini)]
    yield _run(f"{name} into a folder", [url, *into], jobs)
    yield _run(f"{name} into the same, nothing new", [url, *into], jobs)
    with _server(place) as target:
        into = ["--index", f"http://127.0.0.1:{target.port}/"]
        yield _run(f"{name} into a server", [url, *into], jobs)


@contextmanager
def _server(place: Place) -> Iterator[Target]:
    with ExitStack() as stack:
        settings = {
            **conditions.keys_of(place.new_folder("server")),
            "auth.admins": servers.USER,
        }
        port = servers.free_port()
        process = stack.enter_context(servers.ours(place.folder, settings, port))
        yield Target(port, process.pid)


def _run(way: str, arguments: list[str], jobs: int) -> Moved:
    environ = {
        **os.environ,
        "PYPICLOUD_USERNAME": servers.USER,
        "PYPICLOUD_PASSWORD": servers.PASSWORD,
    }
    began, worked = time.monotonic(), _worked()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pypicloud_tw", "import", *arguments),
            *("--json", "--jobs", str(jobs)),
        ],
        capture_output=True,
        text=True,
        env=environ,
    )
    seconds, worked = time.monotonic() - began, _worked() - worked
    if done.returncode == 2:
        raise RuntimeError(
            f"{way}: {done.stderr.strip()[-1000:]}\n{done.stdout[-2000:]}"
        )
    report: dict[str, Any] = json.loads(done.stdout)

    def total(what: str) -> int:
        return sum(one[what] for one in report["projects"])

    troubles = total("refused") + total("failed")
    return Moved(
        way,
        seconds,
        worked,
        total("taken"),
        total("there"),
        total("size"),
        troubles,
    )


def _worked() -> float:
    """Return the processor's seconds of programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
