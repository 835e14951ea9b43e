"""Warm pages with rights in force: requests for each second of the server's processor.

``python -m benchmarks.readers [--rounds N] [--without]``; ``--without`` leaves out what
older servers do not know. With rights there are 1,000 groups and 10,000 lines.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attrs import field, frozen

from benchmarks import corpus, servers
from benchmarks.clients import Headers, header_sets
from benchmarks.load import play
from benchmarks.pages import LOGGED_IN, ORDINARY, warm
from pypicloud_tw.access.hashes import hash_password

_TICKS = os.sysconf("SC_CLK_TCK")
_SECONDS = 4


def many_rights() -> dict[str, str]:
    """Give 1,000 groups and 10,000 lines of other projects."""
    groups = {f"group.team{n}": f"member{n} member{n + 1}" for n in range(1000)}
    exact = {f"package.of-team-{n}.group.team{n % 1000}": "rw" for n in range(5000)}
    patterns = {f"package.team{n}-*.group.team{n % 1000}": "rw" for n in range(5000)}
    return groups | exact | patterns


@frozen
class Runner:
    """A server that runs, and who asks it."""

    name: str
    port: int
    pid: int
    extra: Headers
    rates: list[float] = field(factory=list)

    def measure(self) -> None:
        """Ask for pages, and note how many a second of processor gave."""
        before = self._worked()
        result = play(
            self.port, ORDINARY, header_sets(), extra=self.extra, seconds=_SECONDS
        )
        self.rates.append(result.rate * _SECONDS / (self._worked() - before))

    def _worked(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def running(
    folder: Path, name: str, store: Path, settings: Mapping[str, str], extra: Headers
) -> Iterator[Runner]:
    """Run a server of the corpus, with every page made."""
    port = servers.free_port()
    base = {
        "storage.dir": str(store),
        "pypi.fallback": "none",
        f"user.{servers.USER}": hash_password(servers.PASSWORD),
    }
    with servers.ours(folder, {**base, **settings}, port) as process:
        warm(port, extra)
        yield Runner(name, port, process.pid, extra)


def main() -> None:
    """Measure all in turn, several times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", action="store_true")
    options = parser.parse_args()
    closed = {"pypi.default_read": "authenticated"}
    variants: dict[str, tuple[dict[str, str], Headers]] = {
        "anonymous": ({}, ()),
        "Basic": (closed, LOGGED_IN),
    }
    if not options.without:
        named = {"package.project-*.group.readers": "r"}
        readers = {"group.readers": servers.USER}
        variants |= {
            "anonymous, rights": (many_rights(), ()),
            "Basic, rights": ({**many_rights(), **closed}, LOGGED_IN),
            "Basic, by a group": ({**many_rights(), **named, **readers}, LOGGED_IN),
        }
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        store = corpus.make(folder).store
        print(f"load average before: {servers.load_average()}", flush=True)
        runners = [
            stack.enter_context(running(folder, name, store, settings, extra))
            for name, (settings, extra) in variants.items()
        ]
        for _ in range(options.rounds):
            for runner in runners:
                runner.measure()
        for runner in runners:
            rates = ", ".join(f"{rate:,.0f}" for rate in runner.rates)
            middle = f"{median(runner.rates):9,.0f} a CPU second"
            print(f"{runner.name:18} {middle} ({rates})")
        print(f"load average after: {servers.load_average()}")


if __name__ == "__main__":
    main()
