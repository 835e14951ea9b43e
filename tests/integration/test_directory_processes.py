"""Several processes on one folder, and processes that are killed in it.

The processes are forks of the test: they start in milliseconds, so each step can be
the last one of many of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.interfaces import IObjectStore
from tests.doubles import InlineOffload
from tests.integration import apart
from tests.store_suite import keys, swaps

#: Every point that a writer passes, in its order.
POINTS = [
    "object:written",
    "object:synced",
    "folder:made",
    "object:linked",
    "folder:synced",
    "object:unlinked",
]

KILLS = 25


def whole(body: bytes) -> bytes:
    """Make an object that tells whether it is whole."""
    return sha256(body).hexdigest().encode() + body


def is_whole(data: bytes) -> bool:
    return sha256(data[64:]).hexdigest().encode() == data[:64]


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run *work* to its end; with an inline offload it is there at once."""
    Deferred.fromCoroutine(work).addErrback(lambda failure: failure.raiseException())


@define
class Process:
    """A fork that runs *main* with a pipe to us."""

    pid: int
    pipe: int
    said: bytes = b""

    @classmethod
    def start(cls, main: Callable[[int], None]) -> Process:
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            _child(main, theirs)
        os.close(theirs)
        return cls(pid, ours)

    def wait(self) -> int:
        """Read what it says until it ends; return its exit code, or minus a signal."""
        while piece := os.read(self.pipe, 65536):
            self.said += piece
        os.close(self.pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    @property
    def acknowledged(self) -> list[str]:
        """The whole lines that it said."""
        return self.said.decode().split("\n")[:-1]


def _child(main: Callable[[int], None], pipe: int) -> NoReturn:
    status = 1
    try:
        main(pipe)
        status = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        # Nothing of the test runner may run in the fork.
        os._exit(status)


@define
class Writer:
    """Writes without end, tells what was acknowledged, and dies at a point.

    :ivar point: the step after which to die, the *count*-th time; None to live on.
    """

    folder: Path
    name: str
    point: str | None
    count: int
    passed: int = field(default=0, init=False)

    def checkpoint(self, point: str) -> None:
        if point == self.point:
            self.passed += 1
            if self.passed == self.count:
                os.kill(os.getpid(), signal.SIGKILL)

    def main(self, pipe: int) -> None:
        store = DirectoryStore(self.folder, InlineOffload(), checkpoint=self.checkpoint)
        run(self.write(store, pipe))

    async def write(self, store: IObjectStore, pipe: int) -> None:
        await store.prepare()
        number = 0
        while True:
            number += 1
            key = f"project-{number % 3}/{self.name}-{number}/file.whl"
            upload = await store.begin(key)
            await upload.write(whole(key.encode() * 1000))
            await upload.commit()
            os.write(pipe, f"file {key}\n".encode())
            await store.put(key + ".metadata", whole(b"metadata"))
            await swaps(store, ".index/project.json", 1)
            os.write(pipe, b"swap\n")
            if number % 2:
                os.write(pipe, f"deleting {key}.metadata\n".encode())
                await store.delete(key + ".metadata")


class ProcessesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        #: Swaps that earlier processes made in the folder.
        self.before = 0

    def test_swaps_of_processes_lose_nothing(self) -> None:
        """Some write conditionally; a process each, all at once."""

        def main(pipe: int) -> None:
            store = DirectoryStore(self.folder, InlineOffload())
            run(store.prepare())
            run(swaps(store, ".index/n.json", 50))
            run(store.close())

        processes = [Process.start(main) for _ in range(4)]
        self.assertEqual([process.wait() for process in processes], [0] * 4)
        lines = (self.folder / ".index" / "n.json").read_bytes().splitlines()
        self.assertEqual(len(lines), 200)
        self.assertEqual(os.listdir(self.folder / ".tmp"), [])

    def test_puts_and_deletes_of_processes(self) -> None:
        """Folders come and go under the puts of others."""

        async def work(store: IObjectStore, name: str) -> None:
            await store.prepare()
            for n in range(100):
                await store.put(f"a/b/{name}-{n}", b"")
                await store.delete(f"a/b/{name}-{n}")
            await store.put(f"a/b/{name}", b"")

        def main(pipe: int) -> None:
            store = DirectoryStore(self.folder, InlineOffload())
            run(work(store, str(os.getpid())))

        processes = [Process.start(main) for _ in range(3)]
        self.assertEqual([process.wait() for process in processes], [0] * 3)
        self.assertEqual(len(os.listdir(self.folder / "a" / "b")), 3)

    def test_killed_at_every_step(self) -> None:
        random = Random(2026)
        for point in POINTS:
            for n in range(KILLS):
                writer = Writer(
                    self.folder, f"{point}-{n}", point, random.randint(1, 6)
                )
                process = Process.start(writer.main)
                self.assertEqual(process.wait(), -signal.SIGKILL)
                self.check([process])
            self.empty()

    def test_killed_at_any_moment(self) -> None:
        """Several at once, and one that starts beside them sweeps what they left."""
        random = Random(2026)
        for n in range(KILLS):
            processes = [
                Process.start(Writer(self.folder, f"{n}-{m}", None, 0).main)
                for m in range(3)
            ]
            time.sleep(random.uniform(0.02, 0.2))
            for process in processes:
                os.kill(process.pid, signal.SIGKILL)
            for process in processes:
                self.assertEqual(process.wait(), -signal.SIGKILL)
            self.check(processes)
            self.empty()

    def empty(self) -> None:
        """Begin a new folder, lest every check reads all files of those before."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.before = 0

    def check(self, processes: list[Process]) -> None:
        """See that what was acknowledged is there, and nothing is by halves."""
        store = DirectoryStore(self.folder, InlineOffload())
        run(store.prepare())
        run(self.check_objects(store, processes))
        run(store.close())
        self.assertEqual(os.listdir(self.folder / ".tmp"), [])

    async def check_objects(
        self, store: IObjectStore, processes: list[Process]
    ) -> None:
        there = set(await keys(store))
        for key in there - {".index/project.json"}:
            stored = await store.get(key)
            assert stored is not None
            self.assertTrue(is_whole(stored.data), key)
        acknowledged = [line for p in processes for line in p.acknowledged]
        for line in acknowledged:
            word, _, key = line.partition(" ")
            if word == "file":
                self.assertIn(key, there)
        swapped = acknowledged.count("swap")
        number = await self.number(store)
        # At most one each was made and not heard of.
        self.assertGreaterEqual(number, swapped + self.before)
        self.assertLessEqual(number, swapped + self.before + len(processes))
        self.before = number

    async def number(self, store: IObjectStore) -> int:
        try:
            stored = await store.get(".index/project.json")
        except ObjectNotFound:
            return 0
        assert stored is not None
        return len(stored.data.splitlines())


test_suite = apart(__name__)
