"""Counts of downloads: what one costs, and what 90 days of 10,000 projects take.

``python -m benchmarks.statistics [--projects N] [--days N]``: an increment, a day's
object, the memory of all days, the questions that pages ask, and the sum of a month.
Nothing listens, and the store is in memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from random import Random
from timeit import timeit
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks import servers
from benchmarks.lists import Stalls, resident
from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.projects.statistics.stored import (
    AdministeredStatistics,
    StoredStatistics,
)
from pypicloud_tw.statistics.agents import client_of
from pypicloud_tw.statistics.counts import SUM, DayCounts, day_of, days_before, key_of
from pypicloud_tw.statistics.downloads import CountedDownloads
from pypicloud_tw.statistics.months import with_days
from tests.statistics.test_agents import PIP
from tests.web.doubles import Domain

DAY = 86_400.0

CLIENTS = [
    f"{name}/{version}/3.{minor}/{system}"
    for name, version in (("pip", "26.2"), ("pip", "25.1"), ("uv", "0.9.1"))
    for minor in (11, 12, 13)
    for system in ("Linux", "Windows")
]


def make_day(projects: int, random: Random) -> DayCounts:
    """Make a day on which so many projects are fetched, of half as many more."""
    counts = DayCounts()
    for number in random.sample(range(projects * 3 // 2), projects):
        name = f"project-{number}"
        module = f"project_{number}"
        for _ in range(3):
            version = f"{random.randrange(1, 4)}.{random.randrange(6)}.0"
            filename = f"{module}-{version}-py3-none-any.whl"
            count = random.randrange(1, 40)
            counts.add(name, filename, count)
            counts.add_client(name, random.choice(CLIENTS), count)
    return counts


def increments() -> None:
    """Count as downloads do."""
    domain = Domain()
    counted = CountedDownloads(domain.store, domain.offload, domain.clock)
    names = [(f"project-{n}", f"project_{n}-1.0.tar.gz") for n in range(10_000)]
    agents = iter(b"pip/%d.%d {}" % divmod(n, 1000) for n in range(10**9))

    def known() -> None:
        for project, filename in names:
            counted.count(project, filename, PIP)

    def new() -> None:
        for project, filename in names:
            counted.count(project, filename, next(agents))

    known()
    for what, count in (("an agent that is remembered", known), ("a new one", new)):
        took = timeit(count, number=10) / 10 / len(names)
        print(f"an increment, by {what}: {took * 1e6:.2f} us")
    took = timeit(lambda: client_of(PIP), number=20_000) / 20_000
    print(f"pip's User-Agent is understood in {took * 1e6:.1f} us", flush=True)


async def questions(reactor: Any, projects: int, days: int, offload: Offload) -> None:
    """Read so many days, and ask."""
    random, domain, stalls = Random(1), Domain(clock=reactor), Stalls()
    today = day_of(reactor.seconds())
    for ago in range(1, days):
        data = make_day(projects, random).encode()
        await domain.store.put(key_of(days_before(today, ago), SUM), data)
    counts = make_day(projects, random)
    took = timeit(counts.encode, number=5) / 5
    print(
        f"a day of {projects} projects: {len(counts.encode()) / 1e3:.0f} kB, "
        f"{took * 1e3:.0f} ms to write in a thread"
    )
    counted = CountedDownloads(domain.store, offload, reactor, days)
    before, began = resident(), time.perf_counter()
    with stalls.watched():
        await counted.read()
    took = time.perf_counter() - began
    print(
        f"{days - 1} days are read in {took:.1f} s, {resident() - before:+.0f} MB; "
        f"{stalls}"
    )
    stored = StoredStatistics(AdministeredStatistics(domain.index, counted), Operator())
    for what, ask in (
        ("all projects, first", stored.totals),
        ("all projects, again", stored.totals),
        ("a page of the most fetched", stored.top),
        ("a project", lambda: stored.project("project-7")),
    ):
        began = time.perf_counter()
        with stalls.watched():
            await ask()
        took = time.perf_counter() - began
        print(f"{what}: {took * 1e3:.1f} ms; {stalls}", flush=True)


def month(projects: int) -> None:
    """Add a month up, as the helper does: at once, and a day more."""
    random = Random(2)
    days = [
        (f"2026-01-{number:02d}", "x", make_day(projects, random).encode())
        for number in range(1, 32)
    ]
    for what, before, some in (
        ("31 days", None, days),
        ("a day more", with_days(None, days[:30]), days[30:]),
    ):
        began = time.perf_counter()
        data = with_days(before, some)
        took = time.perf_counter() - began
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(
            f"a month of {what}: {took:.1f} s, {len(data) / 1e3:.0f} kB; "
            f"the process had {most:.0f} MB at most"
        )


async def measure(reactor: Any, options: argparse.Namespace) -> None:
    """Measure everything."""
    increments()
    month(options.projects)
    offload = Offload(reactor)
    offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
    try:
        await questions(reactor, options.projects, options.days, offload)
    finally:
        await offload.stopService()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=90)
    options = parser.parse_args()
    print(f"load average before: {servers.load_average()}")
    react(lambda reactor: Deferred.fromCoroutine(measure(reactor, options)))


if __name__ == "__main__":
    main()
