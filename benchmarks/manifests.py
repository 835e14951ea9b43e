"""What one change of a large project costs: a swap of its manifest, and a cold read.

``python -m benchmarks.manifests [--files N ...] [--store memory|folder ...]``: projects
of so many files, plain, with 20,000 acts in their history, and with 20,000 deleted
filenames too. Of a yank of one file and an upload of one: medians of the time, of the
processor's, of the objects and bytes that are written. Nothing listens.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks import servers
from pypicloud_tw.index.admission import UploadRules, admission, bury
from pypicloud_tw.index.manifest import in_order
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.model import File, HistoryEntry, Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.memory import MemoryStore

NAME = project_name("project-largest")
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
#: Changes at a time while a project is made.
STEP = 250


def make_file(number: int) -> File:
    """Make what a manifest says of a file: four of each release, as wheels are."""
    version = f"1.{number // 4}.0"
    tag = f"cp3{10 + number % 4}-cp3{10 + number % 4}-manylinux_2_28_x86_64"
    filename = f"project_largest-{version}-{tag}.whl"
    digest = hashlib.sha256(filename.encode()).hexdigest()
    key = f"{NAME}/{number:032x}/{filename}"
    return File(
        filename=filename,
        version=version,
        key=key,
        size=123_456,
        sha256=digest,
        upload_time=BEGUN + timedelta(minutes=number),
        md5=digest[:32],
        blake2b_256=digest[::-1],
        requires_python=">=3.9",
        metadata_key=f"{key}.metadata",
        metadata_sha256=digest,
        uploader="releases",
        summary="Nothing in particular, as a project's summary says it",
    )


def make_entry(number: int, file: File) -> HistoryEntry:
    """Make what a history says of an act."""
    return HistoryEntry(
        id=f"{number:016x}",
        at=BEGUN + timedelta(minutes=number),
        act="yanked",
        who="releases",
        proof="token",
        address="192.0.2.1",
        version=file.version,
        files=(file.filename,),
        count=1,
        reason="It breaks on a Tuesday",
        before={"yanked": "null"},
    )


def upload(number: int) -> Callable[[Project], Project]:
    """Make the change of an upload, with its act."""
    file = make_file(number)
    admit = admission(file, NAME, UploadRules(), overwrite=False)

    def change(project: Project) -> Project:
        after = admit(project)
        return evolve(after, history=(*after.history, make_entry(number, file)))

    return change


def yank(number: int, filename: str) -> Callable[[Project], Project]:
    """Make the change of a yank of one file, with its act."""

    def change(project: Project) -> Project:
        files = tuple(
            evolve(f, yanked=f"reason {number}") if f.filename == filename else f
            for f in project.files
        )
        entry = make_entry(number, project.files[0])
        return evolve(project, files=files, history=(*project.history, entry))

    return change


@define
class CountingStore:
    """Passes everything on, and counts what is written and read."""

    _store: Any
    puts: int = field(default=0, init=False)
    written: int = field(default=0, init=False)
    gets: int = field(default=0, init=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put(self, key: str, data: bytes, **more: Any) -> Any:
        """Write an object."""
        self.puts += 1
        self.written += len(data)
        return await self._store.put(key, data, **more)

    async def get(self, key: str, **more: Any) -> Any:
        """Read an object."""
        self.gets += 1
        return await self._store.get(key, **more)


async def fill(manifests: Manifests, files: int, acts: int, deleted: int) -> None:
    """Make the project as its acts would, some hundred of them at a time."""
    numbers = count(1_000_000)

    def grow(some: range, more: int, gone: range) -> Callable[[Project], Project]:
        def change(project: Project) -> Project:
            known = [*project.files, *(make_file(n) for n in some)]
            entries = (make_entry(next(numbers), known[0]) for _ in range(more))
            dead = (bury(make_file(10**6 + n), BEGUN, "0" * 16) for n in gone)
            return evolve(
                project,
                files=in_order(known),
                history=(*project.history, *entries),
                tombstones=(*project.tombstones, *dead),
            )

        return change

    for at in range(0, max(files, acts, deleted), STEP):
        some = range(min(at, files), min(at + STEP, files))
        gone = range(min(at, deleted), min(at + STEP, deleted))
        more = max(0, min(STEP, acts - at))
        await manifests.change(NAME, grow(some, more, gone), create=True)


@define
class Costs:
    """What each repetition cost."""

    wall: list[float] = field(factory=list)
    processor: list[float] = field(factory=list)
    puts: list[int] = field(factory=list)
    written: list[int] = field(factory=list)

    def __str__(self) -> str:
        median = statistics.median
        return (
            f"{median(self.wall) * 1e3:7.1f} ms {median(self.processor) * 1e3:7.1f} ms"
            f" {statistics.mean(self.puts):5.2f} objects"
            f" {statistics.mean(self.written) / 1e3:8.1f} kB"
        )


def manifests_of(store: Any, reactor: Any) -> Manifests:
    """Make the manifests of a server that knows nothing yet."""
    return Manifests(store, reactor)


async def measure(
    store: CountingStore,
    reactor: Any,
    what: str,
    size: tuple[int, int, int],
    rounds: int,
) -> None:
    """Fill a project, then swap and read."""
    files, acts, deleted = size
    about = f"{what:8} {files:6} files {acts:6} acts {deleted:6} deleted"
    await fill(manifests_of(store, reactor), files, acts, deleted)
    manifests = manifests_of(store, reactor)
    state = await manifests.read(NAME)
    for act, changes in {
        "upload": [upload(files + n) for n in range(rounds)],
        "yank": [
            yank(n, state.project.files[n * 37 % files].filename) for n in range(rounds)
        ],
    }.items():
        costs = Costs()
        for change in changes:
            store.puts = store.written = 0
            wall, processor = time.perf_counter(), time.process_time()
            await manifests.change(NAME, change)
            costs.wall.append(time.perf_counter() - wall)
            costs.processor.append(time.process_time() - processor)
            costs.puts.append(store.puts)
            costs.written.append(store.written)
        print(f"{about} {act:7} {costs}", flush=True)
    del manifests, state
    gc.collect()
    wall, store.gets = time.perf_counter(), 0
    state = await manifests_of(store, reactor).read(NAME)
    took, gets = (time.perf_counter() - wall) * 1e3, store.gets
    del state
    gc.collect()
    tracemalloc.start()
    kept = await manifests_of(store, reactor).read(NAME)
    size_kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    print(
        f"{about} read    {took:7.1f} ms, {gets} objects, "
        f"{size_kept / 1e6:.1f} MB of memory",
        flush=True,
    )


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Measure each size on each store."""
    offload = Offload(reactor)
    offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
    sizes = [(files, 0, 0) for files in options.files]
    sizes += [(options.files[-1], 20_000, 0), (options.files[-1], 20_000, 5000)]
    sizes += [(options.files[-1], 20_000, 20_000)]
    try:
        for kind in options.store:
            for size in sizes:
                with tempfile.TemporaryDirectory() as folder:
                    store: Any = MemoryStore(offload)
                    if kind == "folder":
                        store = DirectoryStore(Path(folder), offload)
                        await store.prepare()
                    await measure(
                        CountingStore(store), reactor, kind, size, options.rounds
                    )
                    if kind == "folder":
                        await store.close()
    finally:
        await offload.stopService()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[1, 500, 5000])
    parser.add_argument("--store", nargs="+", default=["memory", "folder"])
    parser.add_argument("--rounds", type=int, default=70)
    options = parser.parse_args()
    print(f"load average before: {servers.load_average()}")
    gc.freeze()
    react(lambda reactor: Deferred.fromCoroutine(run(reactor, options)))


if __name__ == "__main__":
    main()
