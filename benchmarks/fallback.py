"""Resolving by the public index: straight, through us, and through proxpi.

``python -m benchmarks.fallback``; then what the largest page costs everybody else.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attrs import define, field, frozen

from benchmarks import largest, servers
from benchmarks.processes import worked
from tests.integration.live_index import LiveIndex, find
from tests.integration.rig import clean_environment, script

#: Needs about fifty other projects.
PROJECT = "poetry"

#: Seconds that one client may take.
PATIENCE = 900

#: Seconds between two looks at whether a server still does something, and its
#: processor's seconds between them when it does nothing.
LOOK, NOTHING = 0.5, 0.02


@frozen
class Running:
    """A server that runs: its index's address, and its process."""

    address: str
    pid: int


#: Starts a server with nothing in memory.
Start = Callable[[], AbstractContextManager[Running]]


@define
class Taken:
    """What one way took, by round: seconds, and of these the server's processors."""

    seconds: list[float] = field(factory=list)
    processor: list[float] = field(factory=list)

    def told(self, straight: float) -> str:
        """Give the medians, the first also as a multiple."""
        seconds = median(self.seconds)
        return (
            f"{seconds:6.2f} s ({seconds / straight:.2f} times), "
            f"processor {median(self.processor):.2f} s"
        )


@define
class Row:
    """One way to resolve; *start* is None for asking the index itself.

    :ivar cold: the first client of a server.
    :ivar warm: the second.
    """

    name: str
    start: Start | None
    cold: Taken = field(factory=Taken)
    warm: Taken = field(factory=Taken)


@define
class Resolving:
    """Clients that have no cache of their own."""

    folder: Path
    index: LiveIndex
    proxpi: Path | None
    rounds: int
    _numbers: Iterator[int] = field(factory=count)

    def rows(self) -> list[Row]:
        """Give every way."""
        rows = [Row("straight", None)]
        rows += [Row(f"ours, {mode}", self.ours(mode)) for mode in ("proxy", "cache")]
        if self.proxpi is not None:
            rows.append(Row("proxpi", self.run_proxpi))
        return rows

    def measure(self, client: str, command: Callable[[str], list[str]]) -> None:
        """Compare all ways for one client, and print."""
        rows = self.rows()
        # What lies between here and the index may remember, too: for nobody first.
        self.timed(command(self.index.url))
        for _ in range(self.rounds):
            for row in rows:
                self.once(row, command)
        straight = median(rows[0].cold.seconds)
        print(f"{client}: straight {straight:.2f} s")
        for row in rows[1:]:
            cold, warm = row.cold.told(straight), row.warm.told(straight)
            print(f"  {row.name:12} cold {cold}; warm {warm}", flush=True)

    def once(self, row: Row, command: Callable[[str], list[str]]) -> None:
        """Run the client cold and warm."""
        if row.start is None:
            row.cold.seconds.append(self.timed(command(self.index.url)))
            return
        with row.start() as server:
            come_to_rest(server.pid)
            for taken in (row.cold, row.warm):
                before = worked(server.pid)
                taken.seconds.append(self.timed(command(server.address)))
                after = worked(server.pid)
                taken.processor.append(after - before)

    def timed(self, command: list[str]) -> float:
        """Run a client to its end, and tell the seconds.

        :raises RuntimeError: it failed.
        """
        home = self.folder / f"home-{next(self._numbers)}"
        home.mkdir()
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=home,
            env=clean_environment(home, **self.index.trust),
            input=f"{PROJECT}\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        took = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}")
        return took

    def ours(self, mode: str) -> Start:
        """Run this program."""

        @contextmanager
        def start() -> Iterator[Running]:
            place = self.folder / f"ours-{next(self._numbers)}"
            place.mkdir()
            port = servers.free_port()
            settings = {
                **self.index.settings,
                "pypi.fallback": mode,
                "storage.dir": str(place / "store"),
            }
            with servers.ours(place, settings, port) as process:
                yield Running(f"http://127.0.0.1:{port}/simple/", process.pid)

        return start

    @contextmanager
    def run_proxpi(self) -> Iterator[Running]:
        """Run proxpi as its own container does: gunicorn, one process, two threads."""
        assert self.proxpi is not None, "asked for only if it is installed"
        port, number = servers.free_port(), next(self._numbers)
        cache = self.folder / f"proxpi-{number}"
        cache.mkdir()
        command = [
            *(str(self.proxpi / "gunicorn"), "--preload", "--threads=2"),
            *("--access-logfile=-", f"--bind=127.0.0.1:{port}", "proxpi.server:app"),
        ]
        environment = {
            # Without its last slash proxpi finds no page, and downloads the list of all
            # projects that there are, for each.
            "PROXPI_INDEX_URL": f"{self.index.url.rstrip('/')}/",
            "PROXPI_CACHE_DIR": str(cache),
            # gunicorn keeps a socket there.
            "HOME": str(cache),
            **self.index.trust,
        }
        log = self.folder / f"proxpi-{number}.log"
        with servers.running(command, port, "/", log, environment) as process:
            yield Running(f"http://127.0.0.1:{port}/index/", process.pid)


def come_to_rest(pid: int) -> None:
    """Wait until a server has done what it does at its start, as to start helpers."""
    before, now = float("-inf"), worked(pid)
    while now - before > NOTHING:
        time.sleep(LOOK)
        before, now = now, worked(pid)


def uv_compile(index: str) -> list[str]:
    """Resolve with uv."""
    return [
        *(script("uv"), "pip", "compile", "--quiet", "--no-cache", "-"),
        *("--python", sys.executable, "--index-url", index),
    ]


def pip_install(index: str) -> list[str]:
    """Resolve with pip; it downloads what has no core metadata beside it."""
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"),
        *("--ignore-installed", "--no-cache-dir", "-i", index, PROJECT),
    ]


def resolving(folder: Path, index: LiveIndex, rounds: int, pip_rounds: int) -> None:
    """Compare uv and pip on every way."""
    proxpi = servers.install(folder / "proxpi", "proxpi", "gunicorn")
    work = Resolving(folder, index, proxpi, rounds=rounds)
    print(f"load average: {servers.load_average()}", flush=True)
    work.measure(f"uv pip compile {PROJECT}", uv_compile)
    if pip_rounds:
        work.rounds = pip_rounds
        work.measure(f"pip install --dry-run {PROJECT}", pip_install)


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of uv")
    parser.add_argument("--pip-rounds", type=int, default=1)
    parser.add_argument("--only", choices=("resolving", "largest"))
    options = parser.parse_args()
    index = find()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if isinstance(index, str):
            print(f"{index} Only a page that is made up is measured.")
        elif options.only != "largest":
            resolving(folder, index, options.rounds, options.pip_rounds)
        if options.only != "resolving":
            print(f"load average: {servers.load_average()}", flush=True)
            if isinstance(index, LiveIndex):
                settings = dict(index.settings)
                largest.measure(folder, settings, largest.find_largest(index.url))
            with largest.upstream(folder) as address:
                largest.measure(folder, {"pypi.fallback_url": address}, "largest")
        print(f"load average: {servers.load_average()}")


if __name__ == "__main__":
    main()
