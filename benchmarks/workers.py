"""Several workers beside one process, and how they share their socket.

``python -m benchmarks.workers [--rounds N] [--connections N] [--no-kills]``: warm pages
for each second of the processor, of all processes of a server together: with one, with
two workers, and of two servers that know nothing of each other, which tells what the
machine itself loses when two work at once. Then what ``/metrics`` costs. Before that,
with small servers of its own, connections that are lost while a process is killed: of
one socket that all have, and of one each (SO_REUSEPORT).
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread

from attrs import define, field, frozen

from benchmarks import corpus, servers
from benchmarks.clients import header_sets
from benchmarks.load import Result, play
from benchmarks.pages import ORDINARY, warm
from benchmarks.processes import tree, worked, worked_alone

_SECONDS = 3
#: Seconds that a connection takes in the small servers, and for which they are asked.
_WORK, _ASKED_FOR = 0.004, 6.0


@frozen
class Runner:
    """Servers that run, and what they gave in each round.

    :ivar servers: the port and the process of each. Two programs ask side by side, of
        one server or of one each.
    """

    name: str
    servers: list[tuple[int, int]]
    rates: list[float] = field(factory=list)

    def measure(self, connections: int) -> None:
        """Ask for pages, and note how many a second of processor gave."""
        pids = [one for _, pid in self.servers for one in tree(pid)]
        before = {pid: worked_alone(pid) for pid in pids}
        ports = [port for port, _ in (*self.servers, *self.servers)][:2]
        with ThreadPoolExecutor() as threads:
            results = list(threads.map(ask, ports, [connections // 2] * 2))
        used = [worked_alone(pid) - seconds for pid, seconds in before.items()]
        rate = sum(result.rate for result in results)
        self.rates.append(rate * _SECONDS / sum(used))
        slowest = max(result.p99 for result in results)
        shares = ", ".join(f"{one:.2f}" for one in used)
        print(
            f"{self.name:12} {rate:8,.0f} a second, {self.rates[-1]:8,.0f} a CPU "
            f"second, p99 {slowest:6.1f} ms; processes worked {shares} s",
            flush=True,
        )

    def share_of(self, other: Runner) -> float:
        """Give the median of what it did in each round, as a part of another's."""
        return median(a / b for a, b in zip(self.rates, other.rates, strict=True))


def ask(port: int, connections: int) -> Result:
    """Ask one server for the ordinary pages."""
    sets = header_sets()
    return play(port, ORDINARY, sets, seconds=_SECONDS, connections=connections)


@contextmanager
def running(folder: Path, store: Path, workers: int) -> Iterator[tuple[int, int]]:
    """Run a server of the corpus, with every page made by every worker."""
    port = servers.free_port()
    settings = {
        "storage.dir": str(store),
        "pypi.fallback": "none",
        "metrics.read": "everyone",
        "server.workers": str(workers),
    }
    with servers.ours(folder, settings, port) as process:
        while workers > 1 and not all_serve(port, workers):
            time.sleep(0.1)
        for _ in range(4 * workers):
            warm(port, ())
        yield port, process.pid


def all_serve(port: int, workers: int) -> bool:
    """Whether all workers have begun."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return f"pypicloud_workers {workers}.0\n".encode() in answer.read()


def show_metrics(runner: Runner) -> None:
    """Tell what a question for the metrics costs all processes."""
    [(port, pid)] = runner.servers
    url, times = f"http://127.0.0.1:{port}/metrics", 50
    before, began = worked(pid), time.monotonic()
    for _ in range(times):
        with urllib.request.urlopen(url) as answer:
            answer.read()
    waited = (time.monotonic() - began) / times
    cost = (worked(pid) - before) / times
    print(
        f"{runner.name}: /metrics takes {waited * 1e3:.1f} ms, {cost * 1e3:.1f} of CPU"
    )


@define
class Lost:
    """What came of connections."""

    done: int = 0
    lost: int = 0
    longest: float = 0.0


def serve_small(listening: socket.socket) -> None:
    """Answer each connection, one after the other."""
    while True:
        connection, _ = listening.accept()
        with connection:
            time.sleep(_WORK)
            connection.sendall(b"x")


def make_socket(port: int, *, reuse: bool) -> socket.socket:
    """Listen."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(128)
    return listening


def begin_small(port: int, shared: socket.socket | None) -> int:
    """Begin a process that answers at the shared socket, or at one of its own."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        serve_small(shared or make_socket(port, reuse=True))
    return pid


def ask_small(port: int, until: float, found: Lost) -> None:
    """Connect again and again."""
    while (began := time.monotonic()) < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                answered = client.recv(1) == b"x"
        except OSError:
            answered = False
        found.done += answered
        found.lost += not answered
        found.longest = max(found.longest, time.monotonic() - began)


def kill_under_load(*, shared: bool) -> Lost:
    """Kill one of two processes every half second, and begin another at once."""
    port, found = servers.free_port(), Lost()
    listening = make_socket(port, reuse=False) if shared else None
    pids = [begin_small(port, listening) for _ in range(2)]
    time.sleep(0.3)
    until = time.monotonic() + _ASKED_FOR
    askers = [Thread(target=ask_small, args=(port, until, found)) for _ in range(12)]
    for asker in askers:
        asker.start()
    while time.monotonic() < until - 1:
        time.sleep(0.5)
        victim = pids.pop(0)
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        pids.append(begin_small(port, listening))
    for asker in askers:
        asker.join()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if listening is not None:
        listening.close()
    return found


def main() -> None:
    """Measure all in turn, several times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--no-kills", action="store_true", help="measure pages alone")
    options = parser.parse_args()
    # Before there are threads: processes are forked.
    ways = () if options.no_kills else (("one socket", True), ("SO_REUSEPORT", False))
    for name, shared in ways:
        found = kill_under_load(shared=shared)
        print(
            f"{name}: {found.done:,} connections answered, {found.lost} lost, "
            f"the longest took {found.longest * 1e3:.0f} ms",
            flush=True,
        )
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        store = corpus.make(folder).store
        print(f"load average before: {servers.load_average()}", flush=True)

        def run(workers: int) -> tuple[int, int]:
            return stack.enter_context(running(folder, store, workers))

        one = Runner("one process", [run(1)])
        two = Runner("two workers", [run(2)])
        apart = Runner("two servers", [*one.servers, run(1)])
        for _ in range(options.rounds):
            for runner in (one, two, apart):
                runner.measure(options.connections)
        print("for each CPU second, as a part of one process:")
        for runner in (two, apart):
            print(f"  {runner.name}: {runner.share_of(one):.2f}")
        print(f"two workers as a part of two servers: {two.share_of(apart):.2f}")
        for runner in (one, two):
            show_metrics(runner)
        print(f"load average after: {servers.load_average()}")


if __name__ == "__main__":
    main()
