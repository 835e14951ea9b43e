"""The list of 100,000 projects for 200 readers, each of whom may read others.

``python -m benchmarks.lists [--projects N] [--sets N]``: what the lists take of memory,
how long one takes to be made, and for how long the reactor did nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from attrs import define, field
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks import servers
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.rights import Action, RightLine
from pypicloud_tw.index.changelog import Changelog
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.web.media import Encoding, Format, Variant
from pypicloud_tw.web.negotiation import Choice
from pypicloud_tw.web.project_list import MEMORY, ProjectList

READ = frozenset({Action.READ})

#: What uv and pip ask for first.
CHOICES = {
    "JSON, zstd": Choice(
        Variant(Format.JSON, Encoding.ZSTD), Variant(Format.JSON, Encoding.IDENTITY)
    ),
    "JSON, gzip": Choice(
        Variant(Format.JSON, Encoding.GZIP), Variant(Format.JSON, Encoding.IDENTITY)
    ),
    "HTML, gzip": Choice(
        Variant(Format.HTML, Encoding.GZIP), Variant(Format.HTML, Encoding.IDENTITY)
    ),
    "HTML, plain": Choice(
        Variant(Format.HTML, Encoding.IDENTITY), Variant(Format.HTML, Encoding.IDENTITY)
    ),
}


def make_names(projects: int, sets: int) -> tuple[NormalizedName, ...]:
    """Name so many projects of so many teams."""
    return tuple(
        sorted(
            NormalizedName(f"team{n % sets}-some-library-{n}") for n in range(projects)
        )
    )


def make_policy(sets: int) -> Policy:
    """Let reader N read everything but what team N has."""
    readers = [f"reader{n}" for n in range(sets)]
    return Policy(
        AccessSettings(
            groups={
                f"not{n}": frozenset(r for r in readers if r != f"reader{n}")
                for n in range(sets)
            },
            rights=tuple(
                RightLine(f"team{n}-*", "group", f"not{n}", READ, "benchmark")
                for n in range(sets)
            ),
            users=frozenset(readers),
            has_users=True,
        )
    )


@define
class Stalls:
    """Tells for how long a reactor was busy with one thing, in seconds.

    :ivar longest: by the clock; on a busy machine others may have run meanwhile.
    :ivar working: by what its thread took of a processor.
    """

    longest: float = 0.0
    working: float = 0.0
    _last: float = field(default=0.0)
    _worked: float = field(default=0.0)
    _on: bool = field(default=False)

    def _tick(self) -> None:
        now, worked = time.perf_counter(), time.thread_time()
        self.longest = max(self.longest, now - self._last)
        self.working = max(self.working, worked - self._worked)
        self._last, self._worked = now, worked
        if self._on:
            the_reactor.callLater(0, self._tick)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the reactor until the block ends."""
        self.longest = self.working = 0.0
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._on = True
        the_reactor.callLater(0, self._tick)
        try:
            yield
        finally:
            self._on = False
            self._tick()

    def __str__(self) -> str:
        """Return both, in milliseconds."""
        return f"longest stall {self.longest * 1e3:.1f} ms ({self.working * 1e3:.1f})"


def resident() -> float:
    """Tell the resident set of this process, in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


async def measure(reactor: Any, projects: int, sets: int) -> None:
    """Ask for every reader's list in every form."""
    names, policy, stalls = make_names(projects, sets), make_policy(sets), Stalls()
    readers = [Principal(f"reader{n}") for n in range(sets)]
    offload = Offload(reactor)
    offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
    for form, choice in CHOICES.items():
        lists = ProjectList(offload, reactor)
        before = resident()
        for round_ in ("first", "second"):
            took, bodies = [], []
            with stalls.watched():
                for reader in readers:
                    began = time.perf_counter()
                    made = await lists.find(
                        names, frozenset(), policy, reader, choice, Changelog()
                    )
                    took.append(time.perf_counter() - began)
                    bodies.append(len(made.body))
                    paused: Deferred[None] = Deferred()
                    reactor.callLater(0, paused.callback, None)
                    await paused
            print(
                f"{form:12} {round_:6} round: {median(took) * 1e3:7.1f} ms a list "
                f"({max(took) * 1e3:.0f} at most), {median(bodies) / 1e6:.2f} MB each; "
                f"kept {lists.weight / 1e6:.1f} of {MEMORY / 1e6:.0f} MB; "
                f"resident {resident() - before:+.0f} MB; "
                f"{stalls}",
                flush=True,
            )
    lists = ProjectList(offload, reactor)
    with stalls.watched():
        asked = [
            Deferred.fromCoroutine(
                lists.find(
                    names, frozenset(), policy, one, CHOICES["JSON, gzip"], Changelog()
                )
            )
            for one in readers[:20]
        ]
        for one in asked:
            await one
    await offload.stopService()
    print(f"20 asked for at once: {stalls}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=100_000)
    parser.add_argument("--sets", type=int, default=200)
    options = parser.parse_args()
    print(f"load average before: {servers.load_average()}")
    react(
        lambda reactor: Deferred.fromCoroutine(
            measure(reactor, options.projects, options.sets)
        )
    )


if __name__ == "__main__":
    main()
