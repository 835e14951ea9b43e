"""What is derived of 100,000 projects, and searches among them.

``python -m benchmarks.search [--projects N] [--names N]``: what it takes of memory, how
long a start and a search take, by the clock and of the processor, for how long the
reactor did nothing else meanwhile, and how many requests a start costs the store. The
upstream's list has 700,000 names. Nothing listens; the store is in memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from statistics import median
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks import servers
from benchmarks.lists import Stalls, make_policy, resident
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.index.manifest import encode, manifest_key
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.projects.derived.service import DerivedProjects
from pypicloud_tw.projects.derived.shards import (
    SHARDS,
    Shard,
    Shards,
    merging,
    shard_of,
)
from pypicloud_tw.projects.derived.values import DerivedEntry, DescribedProject, Reads
from pypicloud_tw.projects.search import Others, Search, Words, searching
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.upstream.names.packed import pack, parts
from tests.builders import simple_policy
from tests.web.doubles import Domain

#: What summaries and names are made of.
WORDS = [
    *("fast", "simple", "async", "typed", "small", "data", "web", "client", "server"),
    *("tools", "parser", "stream", "cache", "queue", "table", "image", "audio"),
    *("model", "graph", "report", "mail", "auth", "token", "cloud", "bucket"),
    *("index", "schema", "config", "logging", "testing", "plugin", "wrapper"),
]

#: Searches: common, of one name, of several words, of letters, of what is not there.
QUERIES = ("web", "team7-some-library-7", "parser cloud", "e", "e q", "xyzzy", "a b z")

#: How often each is done.
TIMES = 20


def describe(number: int, random: Random) -> DescribedProject:
    """Describe a project as most are: some words, some dependencies."""
    name = NormalizedName(f"team{number % 200}-some-library-{number}")
    summary = " ".join(random.choices(WORDS, k=random.randint(4, 12))).capitalize()
    if number % 20 == 0:
        summary += " \N{ROCKET}"
    entry = DerivedEntry(
        name,
        name,
        "active",
        f"{random.randint(0, 9)}.{random.randint(0, 30)}.{random.randint(0, 9)}",
        summary,
        datetime.fromtimestamp(1_700_000_000 + random.randrange(10**8), UTC),
        f"user{number % 300}",
        random.randint(1, 80),
    )
    requires = tuple(
        sorted(f"team{n % 200}-some-library-{n}" for n in random.sample(range(9000), 4))
    )
    etag, serial = f"{random.getrandbits(128):032x}", 200_000_000 + number
    keywords = ", ".join(random.sample(WORDS, 4))
    return DescribedProject(entry, etag, serial, keywords, requires)


async def fill(store: MemoryStore, shards: Shards, projects: int) -> None:
    """Have manifests, and shards that are of them."""
    random = Random(1)
    file = File(
        "x-1.0.tar.gz", "1.0", "x/y/x-1.0.tar.gz", 7, "0" * 64, datetime.now(UTC)
    )
    by_shard: dict[int, list[DescribedProject]] = {
        number: [] for number in range(SHARDS)
    }
    for number in range(projects):
        one = describe(number, random)
        name = one.entry.name
        manifest = encode(Project(name, name, (file,)))
        info = store.add(manifest_key(name), manifest)
        by_shard[shard_of(name)].append(evolve(one, etag=info.etag))
    for number, some in by_shard.items():
        shard = Shard(number, "absent")
        await shards.write(shard, at_once(merging(shard, some)))


class Watch:
    """Measures by the clock, of the processor, and how long the reactor stood still."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.stalls = Stalls()

    async def take(self, what: str, work: Any, times: int = TIMES) -> Any:
        """Do some work several times, and tell."""
        took, worked, result = [], [], None
        with self.stalls.watched():
            for _ in range(times):
                paused: Deferred[None] = Deferred()
                self.reactor.callLater(0, paused.callback, None)
                await paused
                began, cpu = time.perf_counter(), time.process_time()
                result = await work()
                took.append(time.perf_counter() - began)
                worked.append(time.process_time() - cpu)
        print(
            f"{what:44} {median(took) * 1e3:8.1f} ms ({max(took) * 1e3:.0f} at most), "
            f"{median(worked) * 1e3:.1f} ms of the processor; {self.stalls}",
            flush=True,
        )
        return result


def readers(sets: int) -> Iterator[tuple[str, Reads]]:
    """Somebody who may read all, one who may nearly, and one who may read nothing."""
    yield "anybody", simple_policy().readable(ANONYMOUS)
    yield "200 rules", make_policy(sets).readable(Principal("reader7"))
    nobody: Policy = simple_policy("authenticated")
    yield "nobody", nobody.readable(ANONYMOUS)


async def watch_pages(
    watch: Watch, derived: DerivedProjects, reads: Reads, who: str
) -> None:
    """Measure what pages ask for."""
    name = "team7-some-library-7"
    table = derived.table

    async def near() -> Any:
        return derived.near(name[:-3], 5, reads)

    def total() -> Any:
        return derived.pieces.finish(table.count(reads))

    await watch.take(f"newest, {who}", lambda: derived.newest(20, reads))
    await watch.take(f"total, {who}", total)
    await watch.take(f"dependents, {who}", lambda: derived.dependents(name, 100, reads))
    await watch.take(f"near names, {who}", near)


async def measure(reactor: Any, projects: int, names: int) -> None:
    """Start, and search."""
    offload = Offload(reactor)
    offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
    domain = Domain(clock=reactor, offload=offload)  # type: ignore[arg-type]  # real
    store = domain.store
    await fill(store, Shards(store, offload), projects)
    domain.index.standing.open(None)
    size = sum(len(o.data) for k, o in store.objects.items() if k.startswith(".d"))
    print(f"{SHARDS} shards of {size / SHARDS / 1e3:.0f} kB")
    watch = Watch(reactor)
    derived = DerivedProjects(domain.index)
    before = resident()
    store.calls.clear()
    await watch.take("start", derived.catch_up, times=1)
    gets = sum(operation == "get" for operation, _ in store.calls)
    print(
        f"  {len(derived.table)} projects, {gets} reads and "
        f"{len(store.calls) - gets} other calls of the store; "
        f"resident {resident() - before:+.0f} MB"
    )
    every = await domain.catalog.names()
    pieces = Pieces(reactor)
    before = resident()
    lists = parts(pack(f"upstream-{n % 977}-lib-{n}" for n in range(names)))
    print(f"{names} names of an upstream: resident {resident() - before:+.0f} MB")
    for who, reads in readers(200):
        for query in QUERIES:
            search = Search(Words.parse(query), reads, 10)

            def look(search: Search = search) -> Any:
                others = Others((), (lists,), lambda name: False)
                return pieces.finish(searching(search, derived, every, others))

            await watch.take(f"search for {query!r}, {who}", look)
        await watch_pages(watch, derived, reads, who)
    one = describe(7, Random(2))

    async def put() -> None:
        derived.table.put(one)

    await watch.take("one project described anew", put)
    await offload.stopService()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=100_000)
    parser.add_argument("--names", type=int, default=700_000)
    options = parser.parse_args()
    print(f"load average before: {servers.load_average()}")
    react(
        lambda reactor: Deferred.fromCoroutine(
            measure(reactor, options.projects, options.names)
        )
    )


if __name__ == "__main__":
    main()
