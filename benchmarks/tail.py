"""The slowest of a hundred warm pages, at rest and while the server does other things.

``python -m benchmarks.tail [--quick] [--only PHASE ...]``: pages of 20 files over 256
connections that are kept, at a fixed rate, by a client that never waits; then as many
as the server can, by wrk. Both cores are full then: that tells how long a page waits
for those of the other 255 clients, and for wrk itself.

Of each phase: pages, what they took at the median, of 99 in 100, of 999 in 1,000 and at
the most, in milliseconds; times that the server says that its reactor came more than 50
ms late, and by how much in all; the longest turn of the reactor, in which nobody is
answered; for how long its thread worked in one at most, and for how long it waited for
the GIL or a disk; seconds of a processor that the server took, of each second, and its
helpers.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import define, field, frozen

from benchmarks import (
    conditions,
    corpus,
    largest,
    load,
    log_ins,
    memory,
    open_loop,
    pages,
    processes,
    servers,
    small_wheels,
    watched,
)
from benchmarks.clients import header_sets
from benchmarks.largest import Stalls
from pypicloud_tw.config.hashes import make_context

CONNECTIONS = 256

#: Users with a password of sha256_crypt, each of whom logs in once.
_SLOW_USERS = 400


@frozen
class Phase:
    """Something that the server does beside pages.

    :ivar work: does it once.
    :ivar prepare: is called before anything is measured.
    """

    key: str
    title: str
    work: Callable[[], None]
    prepare: Callable[[], None] = lambda: None


@define
class Works:
    """Whatever the server is asked to do meanwhile.

    :ivar ini: the server's.
    :ivar store: its folder.
    :ivar size: bytes of the large file.
    """

    folder: Path
    store: Path
    ini: Path
    port: int
    size: int
    _numbers: Iterator[int] = field(factory=count)
    _wheels: Iterator[small_wheels.Upload] = field(factory=small_wheels.small_wheels)

    def phases(self) -> list[Phase]:
        """Give them in order."""
        return [
            Phase("rest", "nothing", lambda: time.sleep(1)),
            Phase(
                "upload",
                f"an upload of {self.size / 2**30:.3g} GiB",
                self.upload,
                self.make_wheel,
            ),
            Phase("small", "64 small uploads at once", self.small),
            Phase("upstream", "an upstream page of 30 MB", self.upstream),
            Phase("refresh", "pypicloud refresh", self.refresh),
            Phase("search", "pypicloud refresh --derived", self.search),
            Phase("log-ins", "sha256_crypt log-ins", self.log_in),
        ]

    @property
    def _wheel(self) -> Path:
        return self.folder / "large-1.0-py3-none-any.whl"

    def make_wheel(self) -> None:
        """Make what is uploaded."""
        memory.big_wheel(self._wheel, "large", self.size)

    def upload(self) -> None:
        """Upload a large wheel."""
        status = memory.upload(self.port, self._wheel, "large")
        if status != 200:
            raise RuntimeError(f"The large upload was not taken: {status}")

    def small(self) -> None:
        """Upload small wheels."""
        some = islice(self._wheels, 64)
        small_wheels.send(self.port, "/legacy/", some, at_once=64)

    def upstream(self) -> None:
        """Ask for a page that nobody has asked for."""
        largest.fetch(self.port, f"largest-{next(self._numbers)}", "gzip")

    def refresh(self) -> None:
        """Put files into the folder, and have them adopted."""
        for number in islice(self._numbers, 20):
            name = f"adopted-{number}"
            (self.store / name).mkdir()
            for version in range(10):
                data, _ = corpus.wheel(name, f"1.{version}")
                filename = f"adopted_{number}-1.{version}-py3-none-any.whl"
                (self.store / name / filename).write_bytes(data)
        self._command("refresh")

    def search(self) -> None:
        """Have what searches read made anew."""
        self._command("refresh", "--derived")

    def _command(self, *words: str) -> None:
        command = [sys.executable, "-m", "pypicloud_tw", *words, str(self.ini)]
        subprocess.run(command, check=True, capture_output=True)

    def log_in(self) -> None:
        """Log in as users whom the server has not seen, two at a time."""
        users = [f"old{next(self._numbers) % _SLOW_USERS}" for _ in range(2)]
        threads = [
            threading.Thread(
                target=log_ins.ask, args=(self.port, "127.0.0.2", user, "right")
            )
            for user in users
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@frozen
class Seen:
    """What was seen in a phase.

    :ivar reactor: what the reactor's process took of each second of a processor.
    :ivar helpers: the same of its helpers.
    """

    asked: open_loop.Asked
    stalls: Stalls
    turns: list[watched.Turn]
    reactor: float
    helpers: float

    def line(self, title: str) -> str:
        """Write it as a line of the table."""
        longest = max(self.turns, key=lambda turn: turn.took, default=None)
        worked = max((turn.worked for turn in self.turns), default=0.0)
        waited = max((turn.waited for turn in self.turns), default=0.0)
        took = longest.took if longest else 0.0
        asked = self.asked
        missed = f"; {asked.unanswered} not asked" if asked.unanswered else ""
        return (
            f"{title:28} {len(asked.waits):7,} {asked.part(500):7.2f} "
            f"{asked.part(990):7.1f} {asked.part(999):7.1f} {asked.waits[-1]:7.1f} "
            f"{self.stalls.count:4.0f} {1000 * self.stalls.seconds:6.0f} "
            f"{1000 * took:7.1f} {1000 * worked:7.1f} {1000 * waited:7.1f} "
            f"{self.reactor:7.2f} {self.helpers:7.2f}{missed}"
        )


_HEADING = (
    f"{'meanwhile':28} {'pages':>7} {'p50':>7} {'p99':>7} {'p99.9':>7} {'longest':>7} "
    f"{'stalls, ms':>11} {'turn':>7} {'worked':>7} {'waited':>7} "
    f"{'reactor':>7} {'helpers':>7}"
)


@define
class Tail:
    """A server that runs, and its pages.

    :ivar turns: the file of its watch.
    """

    folder: Path
    port: int
    pid: int
    turns: Path
    rate: float
    seconds: float
    requests: list[bytes]

    def measure(self, phase: Phase) -> Seen:
        """Ask for pages while a phase's work is done, over and over."""
        phase.prepare()
        stalls, worked = Stalls.read(self.port), self._worked()
        with open_loop.asking(
            self.folder,
            self.port,
            self.requests,
            connections=CONNECTIONS,
            rate=self.rate,
        ) as asked:
            time.sleep(1)
            began = time.monotonic()
            until = began + self.seconds
            while time.monotonic() < until:
                phase.work()
            ended = time.monotonic()
        after, worked_after = Stalls.read(self.port), self._worked()
        took = ended - began
        mine, all_ = (b - a for a, b in zip(worked, worked_after, strict=True))
        return Seen(
            asked,
            Stalls(after.count - stalls.count, after.seconds - stalls.seconds),
            list(watched.turns(self.turns, began, ended)),
            mine / took,
            (all_ - mine) / took,
        )

    def saturated(self) -> load.Result:
        """Ask for as many pages as there can be."""
        return load.run(
            self.port, self.requests, seconds=self.seconds, connections=CONNECTIONS
        )

    def _worked(self) -> tuple[float, float]:
        """Tell the processor's seconds of the reactor's process, and of all."""
        return processes.worked_alone(self.pid), processes.worked(self.pid)


def settings(store: Path, upstream: str) -> Mapping[str, str]:
    """Give the server's ini."""
    slow = make_context().handler("sha256_crypt").hash("right")
    return {
        **conditions.keys_of(store),
        **conditions.many_rights(),
        **{f"user.old{number}": slow for number in range(_SLOW_USERS)},
        "pypi.fallback": "proxy",
        "pypi.fallback_url": upstream,
        "pypi.default_write": "authenticated",
        "auth.max_failures": "1000000",
    }


@contextmanager
def running(folder: Path, options: argparse.Namespace) -> Iterator[tuple[Tail, Works]]:
    """Run a server on the corpus, with all pages in memory."""
    made = corpus.make(folder, corpus.ORDINARY)
    with ExitStack() as stack:
        address = stack.enter_context(largest.upstream(folder))
        port, turns = servers.free_port(), folder / "turns"
        turns.touch()
        command = [
            sys.executable,
            "-m",
            os.environ.get("WATCHED", "benchmarks.watched"),
            str(turns),
        ]
        keys = settings(made.store, address)
        server = stack.enter_context(servers.ours(folder, keys, port, twistd=command))
        pages.warm(port, paths=pages.ORDINARY)
        host = f"127.0.0.1:{port}"
        requests = [
            load.raw_request(host, path, headers)
            for headers in header_sets()
            for path in pages.ORDINARY
        ]
        tail = Tail(
            folder, port, server.pid, turns, options.rate, options.seconds, requests
        )
        size = options.bytes or (2**29 if options.quick else 5 * 2**30)
        yield tail, Works(folder, made.store, folder / f"ours-{port}.ini", port, size)


def before_others() -> None:
    """Have what this benchmark starts come before the machine's other work.

    It becomes a session of its own, and Linux prefers sessions by their niceness
    (sched(7), autogroup); among themselves its processes are as always. So a busy
    machine measures about as an idle one. It takes root's rights.
    """
    os.setsid()
    Path("/proc/self/autogroup").write_text("-15")


def main() -> None:
    """Measure every phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=500, help="pages a second")
    parser.add_argument(
        "--seconds", type=float, default=8, help="of each phase, at least"
    )
    parser.add_argument("--bytes", type=int, help="of the large upload; 5 GiB")
    parser.add_argument("--quick", action="store_true", help="an upload of 512 MiB")
    parser.add_argument("--only", nargs="+", metavar="PHASE")
    parser.add_argument("--folder", type=Path, help="on which disk the store is")
    parser.add_argument(
        "--before-others", action="store_true", help="of a busy machine; needs root"
    )
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as temporary:
        if options.before_others:
            before_others()
        print(f"load average: {servers.load_average()}")
        with running(Path(temporary), options) as (tail, works):
            print(_HEADING, flush=True)
            for phase in works.phases():
                if not options.only or phase.key in options.only:
                    print(tail.measure(phase).line(phase.title), flush=True)
            if not options.only or "full" in options.only:
                full = tail.saturated()
                print(
                    f"as many as there can be: {full.rate:,.0f} a second, p50 "
                    f"{full.p50:.1f} ms, p99 {full.p99:.1f} ms"
                )
        print(f"load average: {servers.load_average()}")


if __name__ == "__main__":
    main()
