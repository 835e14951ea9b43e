"""An audit of 100,000 projects by 50,000 advisories, all of it in memory.

``python -m benchmarks.affected [--projects N] [--advisories N] [--thorough]``: what it
takes of a processor and of memory, and for how long the reactor did nothing else
meanwhile. Half of the advisories are for projects that are there. Nothing listens.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Collection
from random import Random
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks import servers
from benchmarks.lists import Stalls, resident
from benchmarks.manifests import make_file
from pypicloud_tw.advisories.values import (
    Advisory,
    MaliciousDigests,
    ProjectAdvisories,
    Severity,
    VersionRange,
)
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.index.manifest import encode, manifest_key
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.projects.affected.audit import Audit, Auditor
from pypicloud_tw.projects.affected.osv import Osv, Query
from tests.web.doubles import Domain


@define
class Made:
    """Advisories as they would be read."""

    by_name: dict[str, tuple[Advisory, ...]]
    malicious: MaliciousDigests
    edition: int = 1
    trouble: str | None = None

    def of(self, name: str) -> ProjectAdvisories:
        """See :class:`.IAdvisories`."""
        return ProjectAdvisories(self.by_name.get(name, ()), self.malicious)

    def names(self) -> Collection[str]:
        """See :class:`.IKnownAdvisories`."""
        return self.by_name.keys()

    async def find(self, identity: str) -> bytes | None:
        """See :class:`.IRecords`."""
        return None


def make_advisories(count: int, projects: int) -> Made:
    """Make them, two of each matter; every second name is none that is here."""
    random, by_name = Random(1), dict[str, list[Advisory]]()
    for number in range(count // 2):
        here = number % 2 == 0
        name = f"name-{random.randrange(projects)}" if here else f"other-{number}"
        range_ = VersionRange("0", f"1.{random.randrange(12)}")
        fixed = (str(range_.fixed),)
        severity = Severity(random.randrange(5))
        for kind in ("GHSA", "PYSEC"):
            one = Advisory(
                f"{kind}-{number}",
                name,
                f"A flaw of {name} that lets strangers in.",
                (f"CVE-2026-{number}",),
                severity=severity,
                ranges=(range_,),
                fixed=fixed,
            )
            by_name.setdefault(name, []).append(one)
    digests = b"".join(sorted(random.randbytes(32) for _ in range(10_000)))
    ids = "\n".join(f"MAL-2026-{number}" for number in range(10_000))
    listed = {name: tuple(many) for name, many in by_name.items()}
    return Made(listed, MaliciousDigests(digests, ids))


def fill(domain: Domain, projects: int) -> None:
    """Have the manifests of so many projects, of 3 releases with 4 files each."""
    files = tuple(
        evolve(make_file(number), version=f"1.{number // 4}") for number in range(12)
    )
    first = Project(project_name("name-0"), "name-0", files, changes=("0" * 16,))
    text = encode(first)
    for number in range(projects):
        name = f"name-{number}"
        data = text.replace(b'"name-0"', f'"{name}"'.encode())
        key = manifest_key(project_name(name))
        Deferred.fromCoroutine(domain.store.put(key, data))


async def measure(reactor: Any, options: argparse.Namespace) -> None:
    """Audit everything, and ask as uv does."""
    domain = Domain(clock=reactor)
    fill(domain, options.projects)
    made = make_advisories(options.advisories, options.projects)
    await domain.index.catalog.names()
    auditor = Auditor(domain.index, made, Pieces(reactor))
    if options.no_gc:
        gc.freeze()
        gc.disable()
    stalls, before = Stalls(), resident()
    began, worked = time.perf_counter(), time.process_time()
    with stalls.watched():
        audit: Audit = await auditor.look(thorough=options.thorough)
    took, worked = time.perf_counter() - began, time.process_time() - worked
    print(
        f"{options.projects} projects, {options.advisories} advisories: "
        f"{audit.looked_at} manifests read, {len(audit.rows)} rows and "
        f"{audit.left_out} left out in {took:.1f} s ({worked:.1f} s of processor); "
        f"{stalls}; resident {resident() - before:+.0f} MB",
        flush=True,
    )
    osv = Osv(made, Pieces(reactor))
    names = [project_name(name) for name in list(made.by_name)[:1000]]
    began = time.perf_counter()
    with stalls.watched():
        answer = await osv.batch([Query(name, "1.0") for name in names])
    took = time.perf_counter() - began
    found = sum(len(one.get("vulns", ())) for one in answer["results"])
    print(
        f"a batch of {len(names)} queries, {found} ids: {took * 1e3:.0f} ms; {stalls}"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=100_000)
    parser.add_argument("--advisories", type=int, default=50_000)
    parser.add_argument("--thorough", action="store_true")
    parser.add_argument("--no-gc", action="store_true")
    options = parser.parse_args()
    print(f"load average before: {servers.load_average()}")
    react(lambda reactor: Deferred.fromCoroutine(measure(reactor, options)))


if __name__ == "__main__":
    main()
