"""A plan of a prune over 100,000 projects, and carrying out a part of it.

``python -m benchmarks.prunes [--projects N] [--releases N] [--apply N]``: on a folder,
how long a plan takes, what it takes of memory, and for how long the reactor did nothing
else meanwhile. Nothing listens.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks import servers
from benchmarks.lists import Stalls, resident
from benchmarks.manifests import make_file
from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.assembly.index import make_index, make_process
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.retention import Keeping
from pypicloud_tw.config.sections.storage import StorageSection
from pypicloud_tw.index.audit import SERVER
from pypicloud_tw.index.manifest import encode, manifest_key
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance.retention.plan import Plan
from pypicloud_tw.projects.pruning import PlanQuestion, apply_plan, plan_pages
from pypicloud_tw.projects.stored_pruning import AdministeredPruning, StoredPruning

NOW = datetime.now(UTC)


def fill(folder: Path, projects: int, releases: int) -> None:
    """Write the manifests of so many projects with so many releases of 4 files each."""
    index = folder / manifest_key(project_name("x"))
    index.parent.mkdir(parents=True)
    files = tuple(
        evolve(make_file(number), upload_time=NOW - timedelta(days=100))
        for number in range(4 * releases)
    )
    first = Project(project_name("name-0"), "name-0", files, changes=("0" * 16,))
    text = encode(first)
    for number in range(projects):
        name = f"name-{number}"
        path = folder / manifest_key(project_name(name))
        path.write_bytes(text.replace(b'"name-0"', f'"{name}"'.encode()))


async def measure(reactor: Any, folder: Path, projects: int, apply: int) -> None:
    """Plan everything, and carry out a part."""
    process = make_process(reactor)
    config = Config(storage=StorageSection(dir=folder))
    index = make_index(config, process, {}, audit=lambda act: None)
    process.start()
    await index.store.prepare()
    await index.secure()
    pruning = StoredPruning(AdministeredPruning.of(index), SERVER, Operator())
    await index.catalog.names()
    stalls, before = Stalls(), resident()
    began, worked = time.perf_counter(), time.process_time()
    question = PlanQuestion(("*",), Keeping(releases=1, younger=86400))
    with stalls.watched():
        pages = [page async for page in plan_pages(pruning, question)]
    plan = Plan.of(pages)
    took = time.perf_counter() - began
    print(
        f"{projects} projects planned in {took:.1f} s "
        f"({time.process_time() - worked:.1f} s of processor): "
        f"{plan.totals.releases} releases, {plan.totals.files} files; the plan takes "
        f"{resident() - before:+.0f} MB; {stalls}",
        flush=True,
    )
    began = time.perf_counter()
    with stalls.watched():
        done = await apply_plan(pruning, plan.projects[:apply], lambda count: None)
    took = time.perf_counter() - began
    pruned = sum(one.outcome == "pruned" for one in done)
    print(f"{pruned} projects pruned in {took:.1f} s; {stalls}", flush=True)
    await index.close()
    await process.stop()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=100_000)
    parser.add_argument("--releases", type=int, default=3)
    parser.add_argument("--apply", type=int, default=1000)
    options = parser.parse_args()
    print(f"load average before: {servers.load_average()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, options.projects, options.releases)
        react(
            lambda reactor: Deferred.fromCoroutine(
                measure(reactor, folder, options.projects, options.apply)
            )
        )


if __name__ == "__main__":
    main()
