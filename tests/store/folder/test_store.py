"""The store in a folder: what the suite for all stores cannot know of."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from pypicloud_tw.errors import (
    InsufficientStorage,
    ObjectNotFound,
    ObjectUnreadable,
    PreconditionFailed,
    PypicloudError,
    StoreError,
    Unavailable,
)
from pypicloud_tw.offload.service import IOffload, Offload
from pypicloud_tw.store.folder import locks as locks_module
from pypicloud_tw.store.folder import scan as scan_module
from pypicloud_tw.store.folder import walk as walk_module
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.folder.writing import Write, write_all
from pypicloud_tw.store.interfaces import (
    IfAbsent,
    IfMatch,
    IObjectStore,
    Notice,
    ObjectInfo,
    Placer,
    Unlistable,
    Unlisted,
)
from pypicloud_tw.store.small import SMALL
from tests.doubles import InlineOffload
from tests.store_suite import (
    LARGE,
    Consumer,
    StoreProperties,
    StoreSuite,
    keys,
    looked,
    swaps,
)

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def quick_folder() -> Path:
    """Make a folder in memory where there is one: what is made durable there is so."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))


@implementer(IOffload)
@define(eq=False)
class CountedThreads:
    """Real threads, and a way to wait until none is at work."""

    offload: Offload
    running: int = 0
    idle: list[Deferred[None]] = field(factory=list)

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        self.running += 1
        return self.offload.in_thread(function, *args, **kwargs).addBoth(self._count)

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        return self.offload.in_process(function, *args)

    def _count(self, result: Any) -> Any:
        self.running -= 1
        return result


class DirectoryStoreTests(StoreSuite, TestCase):
    """In one thread: every interleaving is the one that the test asks for."""

    rapid_puts = 500

    async def make_store(self) -> IObjectStore:
        path = quick_folder()
        self.addCleanup(shutil.rmtree, path)
        store = DirectoryStore(path, InlineOffload())
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))
        return store

    async def progress(self) -> None:
        """Everything happens at once."""


class ListedApartTests(StoreSuite, TestCase):
    """Every listing counts as long, and takes many parts."""

    rapid_puts = 10

    def setUp(self) -> Any:
        self.patch(scan_module, "MOST", 2)
        return super().setUp()

    async def make_store(self) -> IObjectStore:
        path = quick_folder()
        self.addCleanup(shutil.rmtree, path)
        store = DirectoryStore(path, InlineOffload(), short=0)
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))
        return store

    async def progress(self) -> None:
        """Everything happens at once."""


class ThreadedDirectoryStoreTests(StoreSuite, TestCase):
    """With real threads: what overlaps does."""

    rapid_puts = 100

    async def make_store(self) -> IObjectStore:
        offload = Offload(reactor)  # type: ignore[arg-type]  # a module to mypy
        offload.startService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self.addCleanup(offload.stopService)
        self.threads = CountedThreads(offload)
        path = quick_folder()
        self.addCleanup(shutil.rmtree, path)
        store = DirectoryStore(path, self.threads)
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))
        return store

    async def progress(self) -> None:
        clock = IReactorTime(reactor)
        await deferLater(clock, 0)
        while self.threads.running:
            await deferLater(clock, 0)


class DirectoryStorePropertiesTests(StoreProperties, SynchronousTestCase):
    def make_store_now(self) -> IObjectStore:
        return DirectoryStore(quick_folder(), InlineOffload())

    def discard(self, store: IObjectStore) -> None:
        assert isinstance(store, DirectoryStore)
        self.wait(store.close())
        shutil.rmtree(store.path)


class FolderCase(SynchronousTestCase):
    """A store in one thread, and its folder."""

    def setUp(self) -> None:
        self.path = quick_folder()
        self.addCleanup(shutil.rmtree, self.path, ignore_errors=True)
        self.offload = InlineOffload()
        self.now = 1_700_000_000.0
        self.points: list[str] = []
        self.store = self.make_store()
        self.wait(self.store.prepare())

    def make_store(self, path: Path | None = None) -> DirectoryStore:
        store = DirectoryStore(
            path or self.path,
            self.offload,
            clock=lambda: self.now,
            checkpoint=lambda point: self.checkpoint(point),
        )
        self.addCleanup(lambda: self.wait(store.close()))
        return store

    def checkpoint(self, point: str) -> None:
        self.points.append(point)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self.successResultOf(Deferred.fromCoroutine(work))
        return result

    def error(
        self, kind: type[PypicloudError], work: Coroutine[Any, Any, object]
    ) -> str:
        failure = self.failureResultOf(Deferred.fromCoroutine(work), kind)
        error = failure.value
        assert isinstance(error, PypicloudError)
        return error.message

    def scratch_files(self) -> list[str]:
        found = []
        for _, _, names in os.walk(self.path / ".tmp"):
            found += [name for name in names if not name.endswith(".lock")]
        return found


class StepTests(FolderCase):
    """The named points that kill tests use, and what is there at each of them."""

    def checkpoint(self, point: str) -> None:
        super().checkpoint(point)
        place = self.path / "a" / "b"
        if point in ("object:written", "object:synced", "folder:made"):
            self.assertFalse(place.exists() and place.read_bytes() == b"new")
        elif point in ("object:linked", "folder:synced"):
            self.assertEqual(place.read_bytes(), b"new")

    def test_create(self) -> None:
        self.wait(self.store.put("a/b", b"new"))
        self.assertEqual(
            self.points,
            [
                "object:written",
                "object:synced",
                "folder:made",
                "object:linked",
                "folder:synced",
            ],
        )

    def test_replace(self) -> None:
        (self.path / "a").mkdir()
        (self.path / "a" / "b").write_bytes(b"old")
        self.wait(self.store.put("a/b", b"new"))
        self.assertEqual(self.points[-2:], ["object:linked", "folder:synced"])
        self.assertEqual(self.scratch_files(), [])

    def test_upload(self) -> None:
        upload = self.wait(self.store.begin("a/b"))
        self.wait(upload.write(b"new"))
        self.assertEqual(self.points, [])
        self.assertEqual(len(self.scratch_files()), 1)
        self.wait(upload.commit())
        self.assertEqual(self.points[-2:], ["object:linked", "folder:synced"])
        self.assertEqual(self.scratch_files(), [])

    def test_delete(self) -> None:
        self.wait(self.store.put("a/b", b"new"))
        self.wait(self.store.delete("a/b"))
        self.assertEqual(self.points[-1:], ["object:unlinked"])


class ScratchTests(FolderCase):
    """What a process leaves when it dies, and what a living one must keep."""

    def test_dead_process(self) -> None:
        dead = self.path / ".tmp" / ("0" * 32)
        dead.mkdir()
        (dead / "1").write_bytes(b"half a file")
        dead.with_suffix(".lock").touch()
        unlocked = self.path / ".tmp" / ("1" * 32)
        unlocked.mkdir()
        other = self.make_store()
        self.wait(other.prepare())
        self.assertFalse(dead.exists() or dead.with_suffix(".lock").exists())
        self.assertFalse(unlocked.exists())

    def test_living_process(self) -> None:
        upload = self.wait(self.store.begin("a"))
        self.wait(upload.write(LARGE))
        other = self.make_store()
        self.wait(other.prepare())
        self.wait(upload.commit())
        stored = self.wait(other.get("a"))
        assert stored is not None
        self.assertEqual(stored.data, LARGE)

    def test_sweep_between_file_and_lock(self) -> None:
        """A lock file that is not locked yet may be swept; then another is made."""
        real = fcntl.flock
        swept: list[int] = []

        def sweeping(fd: int, operation: int) -> None:
            if not swept:
                swept.append(fd)
                for path in (self.path / ".tmp").glob("*.lock"):
                    if path.stat().st_ino == os.fstat(fd).st_ino:
                        path.unlink()
            real(fd, operation)

        self.patch(fcntl, "flock", sweeping)
        other = self.make_store()
        self.wait(other.prepare())
        self.patch(fcntl, "flock", real)
        self.assertTrue(swept)
        third = self.make_store()
        self.wait(third.prepare())
        self.wait(other.put("a", b"1"))

    def test_folders_of_another_user(self) -> None:
        """Root's leavings do not keep the server from starting."""
        foreign = self.path / ".tmp" / ("0" * 32)
        foreign.mkdir()
        real = os.open

        def forbidding(path: Any, *args: Any, **kwargs: Any) -> int:
            if os.fspath(path) == os.fspath(foreign.with_suffix(".lock")):
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, *args, **kwargs)

        self.patch(os, "open", forbidding)
        self.wait(self.make_store().prepare())
        self.assertTrue(foreign.is_dir())

    def test_close(self) -> None:
        upload = self.wait(self.store.begin("a"))
        self.wait(upload.write(LARGE))
        self.wait(self.store.close())
        self.assertEqual(list((self.path / ".tmp").iterdir()), [])
        self.assertIn("closed", self.error(StoreError, self.store.put("b", b"")))
        self.wait(upload.abort())

    def test_other_things_there_stay(self) -> None:
        (self.path / ".tmp" / "mine").mkdir()
        self.wait(self.make_store().prepare())
        self.assertTrue((self.path / ".tmp" / "mine").is_dir())

    def test_aborted_upload_leaves_nothing(self) -> None:
        upload = self.wait(self.store.begin("a/b"))
        self.wait(upload.write(LARGE))
        self.assertEqual(len(self.scratch_files()), 1)
        self.wait(upload.abort())
        self.assertEqual(self.scratch_files(), [])

    def test_spool_is_the_file(self) -> None:
        """A helper process can look into it, and commit copies nothing."""
        upload = self.wait(self.store.begin("a/b"))
        self.wait(upload.write(LARGE))
        self.wait(upload.spool.finish())
        path = upload.spool.path
        assert path is not None
        self.assertEqual(path.read_bytes(), LARGE)
        inode = path.stat().st_ino
        self.wait(upload.commit())
        self.assertEqual((self.path / "a" / "b").stat().st_ino, inode)
        self.assertFalse(path.exists())

    def test_locks_that_do_not_lock(self) -> None:
        self.patch(fcntl, "flock", lambda fd, operation: None)
        message = self.error(StoreError, self.make_store().prepare())
        self.assertIn("Locks (flock) do not lock", message)


class RaceTests(FolderCase):
    """Two stores on one folder are as two processes: their locks are each other's."""

    def test_swaps_lose_nothing(self) -> None:
        other = self.make_store()
        self.wait(other.prepare())
        for _ in range(5):
            self.wait(swaps(self.store, "n", 1))
            self.wait(swaps(other, "n", 2))
        stored = self.wait(self.store.get("n"))
        assert stored is not None
        self.assertEqual(len(stored.data.splitlines()), 15)

    def test_condition_is_judged_under_the_lock(self) -> None:
        """Somebody else's write between the first look and ours is seen."""
        other = self.make_store()
        self.wait(other.prepare())
        info = self.wait(self.store.put("a", b"1"))

        def intrude(point: str) -> None:
            if point == "object:synced":
                self.checkpoint = lambda point: None  # type: ignore[method-assign]  # once
                self.wait(other.put("a", b"2", condition=IfMatch(info.etag)))

        self.checkpoint = intrude  # type: ignore[method-assign]  # for this test
        self.error(
            PreconditionFailed, self.store.put("a", b"3", condition=IfMatch(info.etag))
        )
        self.assertEqual((self.path / "a").read_bytes(), b"2")
        self.assertEqual(self.scratch_files(), [])

    def test_created_by_somebody_without_locks(self) -> None:
        def intrude(point: str) -> None:
            (self.path / "a").write_bytes(b"theirs")

        self.checkpoint = intrude  # type: ignore[method-assign]  # for this test
        self.error(
            PreconditionFailed, self.store.put("a", b"ours", condition=IfAbsent())
        )
        self.assertEqual((self.path / "a").read_bytes(), b"theirs")

    def test_delete_removes_the_folder_of_a_put(self) -> None:
        """A put makes its folders again when a delete beside it removed them."""
        removed = 0

        def remove(point: str) -> None:
            nonlocal removed
            if point == "folder:made" and removed < 3:
                removed += 1
                for path in (self.path / "a" / "b", self.path / "a"):
                    if path.exists():
                        path.rmdir()

        self.checkpoint = remove  # type: ignore[method-assign]  # for this test
        self.wait(self.store.put("a/b/c", b"1"))
        self.assertGreater(removed, 1)
        self.assertEqual((self.path / "a" / "b" / "c").read_bytes(), b"1")

    def test_commit_does_not_overwrite(self) -> None:
        upload = self.wait(self.store.begin("a"))
        self.wait(upload.write(b"new"))
        self.wait(self.store.put("a", b"old"))
        message = self.error(StoreError, upload.commit())
        self.assertEqual(message, "There is an object of that key already.")
        self.assertEqual((self.path / "a").read_bytes(), b"old")
        self.assertEqual(self.scratch_files(), [])

    def test_lock_that_is_never_released(self) -> None:
        self.wait(self.store.put("a", b"1"))
        self.patch(locks_module, "LOCK_PATIENCE", 0.0)
        with self.locked("a"):
            message = self.error(StoreError, self.store.put("a", b"2"))
        self.assertIn("Another process has held a lock", message)
        self.assertEqual((self.path / "a").read_bytes(), b"1")

    def test_lock_file_of_another_user(self) -> None:
        """A command that root ran makes lock files that we may only read."""
        real = os.open
        refused: list[object] = []

        def forbidding(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            if path == f"{locks_module.stripe('a'):02x}" and flags & os.O_RDWR:
                refused.append(path)
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, flags, *args, **kwargs)

        self.wait(self.store.put("a", b"1"))
        self.patch(os, "open", forbidding)
        self.wait(self.store.put("a", b"2"))
        self.assertTrue(refused)

    def test_lock_is_waited_for(self) -> None:
        self.wait(self.store.put("a", b"1"))
        waited: list[float] = []
        with self.locked("a") as fd:

            def release(seconds: float) -> None:
                waited.append(seconds)
                fcntl.flock(fd, fcntl.LOCK_UN)

            self.patch(time, "sleep", release)
            self.wait(self.store.put("a", b"2"))
        self.assertEqual(len(waited), 1)
        self.assertEqual((self.path / "a").read_bytes(), b"2")

    @contextmanager
    def locked(self, key: str) -> Iterator[int]:
        path = self.path / ".locks" / f"{locks_module.stripe(key):02x}"
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file.fileno()


class EtagTests(FolderCase):
    """No state of an object has the ETag of an earlier one (ABA)."""

    def test_clock_stands_still(self) -> None:
        etags = [self.wait(self.store.put("a", b"%03d" % n)).etag for n in range(99)]
        self.assertEqual(len(set(etags)), 99)

    def test_clock_is_set_back(self) -> None:
        etags = set()
        for n in range(50):
            self.now -= 3600
            etags.add(self.wait(self.store.put("a", b"%02d" % n)).etag)
        self.assertEqual(len(etags), 50)

    def test_times_only_grow(self) -> None:
        times = []
        for n in range(20):
            self.now -= 1
            self.wait(self.store.put("a", b"%d" % n))
            times.append((self.path / "a").stat().st_mtime_ns)
        self.assertEqual(times, sorted(set(times)))

    def test_deleted_and_back(self) -> None:
        """The inode may be the old one, and so may the clock's time."""
        etags = set()
        for _ in range(50):
            etags.add(self.wait(self.store.put("a", b"same")).etag)
            self.wait(self.store.delete("a"))
        self.assertEqual(len(etags), 50)

    def test_coarse_file_system(self) -> None:
        """Where only whole seconds are kept, the next state is a second later."""
        real = os.utime

        def coarse(fd: int, *, ns: tuple[int, int]) -> None:
            real(fd, ns=(ns[0] // 10**9 * 10**9, ns[1] // 10**9 * 10**9))

        self.patch(os, "utime", coarse)
        times = []
        for n in range(5):
            self.wait(self.store.put("a", b"%d" % n))
            times.append((self.path / "a").stat().st_mtime_ns)
        self.assertEqual(times, sorted(set(times)))

    def test_changed_while_read(self) -> None:
        """The ETag belongs to the bytes; who changes a file in place is told so."""
        self.wait(self.store.put("a", b"12345"))
        real = os.fstat
        calls = 0

        def meddling(fd: int) -> os.stat_result:
            nonlocal calls
            calls += 1
            with (self.path / "a").open("ab") as file:
                file.write(b"x")
            return real(fd)

        self.patch(os, "fstat", meddling)
        message = self.error(StoreError, self.store.get("a"))
        self.assertIn("changes while it is read", message)


class KeyTests(FolderCase):
    """Keys never lead out of the folder."""

    def test_refused(self) -> None:
        for key, reason in [
            ("../a", "lead elsewhere"),
            ("a/../../b", "lead elsewhere"),
            ("a/./b", "lead elsewhere"),
            ("a\0b", "lead elsewhere"),
            ("/etc/passwd", "empty"),
            ("a//b", "empty"),
            ("a/", "empty"),
            ("", "empty"),
            (".tmp/x", "own files"),
            (".locks/00", "own files"),
            ("a\udcff", "Unicode"),
            ("/".join("a" * 65), "64 folders"),
        ]:
            for work in (
                self.store.get(key),
                self.store.head(key),
                self.store.open(key),
                self.store.put(key, b""),
                self.store.begin(key),
                self.store.delete(key),
            ):
                self.assertIn(reason, self.error(StoreError, work))

    def test_prefix_that_leads_elsewhere(self) -> None:
        for prefix in ["../", "/", "a//", ".tmp/", "../../etc/", "a/../"]:
            self.assertEqual(self.wait(keys(self.store, prefix)), [])

    def test_names_that_are_too_long(self) -> None:
        key = "x" * 256
        self.error(ObjectNotFound, self.store.get(key))
        self.wait(self.store.delete(key))
        message = self.error(StoreError, self.store.put(key, b""))
        self.assertIn("does not take names as long", message)

    def test_key_below_a_file(self) -> None:
        self.wait(self.store.put("a", b"1"))
        message = self.error(StoreError, self.store.put("a/b", b"2"))
        self.assertIn("where a folder is needed", message)
        self.wait(self.store.put("c/d", b"3"))
        message = self.error(StoreError, self.store.put("c", b"4"))
        self.assertIn("where a file is needed", message)
        self.assertEqual(self.scratch_files(), [])


class LinkTests(FolderCase):
    """Symbolic links below the folder are never followed."""

    def setUp(self) -> None:
        super().setUp()
        self.outside = quick_folder()
        self.addCleanup(shutil.rmtree, self.outside)
        (self.outside / "secret").write_bytes(b"secret")
        (self.path / "file").symlink_to(self.outside / "secret")
        (self.path / "folder").symlink_to(self.outside)
        (self.path / "real").write_bytes(b"real")
        (self.path / "inside").symlink_to("real")
        (self.path / "loop").symlink_to("loop")

    def test_whoever_looks_for_packages_is_told_of_them(self) -> None:
        """By a slash of what is a folder, or was one before its disk was away."""
        os.mkfifo(self.path / "pipe")
        (self.path / "gone").symlink_to(self.outside / "nothing")
        (self.path / ".hidden").symlink_to(self.outside)
        found, told = self.wait(looked(self.store))
        self.assertEqual(found, ["real"])
        self.assertEqual(
            sorted(told), ["file", "folder/", "gone/", "inside", "loop/", "pipe"]
        )

    def test_whoever_looks_into_a_hidden_folder_is_told_of_them_too(self) -> None:
        (self.path / ".index").mkdir()
        (self.path / ".index" / "acme.json").symlink_to(self.outside / "secret")
        (self.path / ".index" / ".acme.swp").symlink_to(self.outside / "secret")
        told: list[Unlisted] = []

        async def listed() -> list[str]:
            listing = self.store.list(".index/", unlisted=told.append)
            return [info.key async for info in listing]

        self.assertEqual(self.wait(listed()), [])
        self.assertEqual(told, [Unlisted(".index/acme.json", Unlistable.LINK)])

    def test_listing(self) -> None:
        self.assertEqual(self.wait(keys(self.store)), ["real"])
        self.assertEqual(self.wait(keys(self.store, "folder/")), [])

    def test_reading(self) -> None:
        for key in ["file", "folder/secret", "inside", "loop"]:
            self.error(ObjectNotFound, self.store.get(key))
            self.error(ObjectNotFound, self.store.open(key))
            self.error(ObjectNotFound, self.store.head(key))

    def test_writing(self) -> None:
        for key in ["file", "folder/secret", "folder/new", "folder/new/x"]:
            self.error(StoreError, self.store.put(key, b"changed"))
            upload = self.wait(self.store.begin(key))
            self.error(StoreError, upload.commit())
        self.assertEqual(os.listdir(self.outside), ["secret"])
        self.assertEqual((self.outside / "secret").read_bytes(), b"secret")

    def test_deleting(self) -> None:
        for key in ["file", "folder/secret", "inside", "folder"]:
            self.wait(self.store.delete(key))
        self.assertEqual((self.outside / "secret").read_bytes(), b"secret")
        self.assertTrue((self.path / "file").is_symlink())

    def test_folder_itself_may_be_a_link(self) -> None:
        link = self.outside / "link"
        link.symlink_to(self.path)
        store = self.make_store(link)
        self.wait(store.prepare())
        self.wait(store.put("a/b", b"1"))
        self.assertEqual((self.path / "a" / "b").read_bytes(), b"1")


class DurableTests(FolderCase):
    """Folders on the way to an object are durable, and known to be so."""

    def test_known_folders_are_not_synced_again(self) -> None:
        self.wait(self.store.put("a/c", b""))
        self.points.clear()
        self.wait(self.store.put("a/b", b"new"))
        self.assertNotIn("folder:made", self.points)

    def test_folders_of_others_are_made_durable_too(self) -> None:
        """Who made a folder may not have made it durable yet."""
        (self.path / "a" / "b").mkdir(parents=True)
        self.wait(self.store.put("a/b/c", b""))
        self.assertEqual(self.points.count("folder:made"), 2)

    def test_folder_that_was_made_again(self) -> None:
        self.wait(self.store.put("a/b", b""))
        self.wait(self.store.delete("a/b"))
        self.points.clear()
        self.wait(self.store.put("a/b", b""))
        self.assertIn("folder:made", self.points)


class AdoptedTests(FolderCase):
    """What lies in the folder already."""

    def test_special_files(self) -> None:
        os.mkfifo(self.path / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path / "socket"))
        (self.path / "folder").mkdir()
        self.assertEqual(self.wait(keys(self.store)), [])
        for key in ["pipe", "socket", "folder"]:
            self.error(ObjectNotFound, self.store.get(key))
            self.error(ObjectNotFound, self.store.head(key))
            self.wait(self.store.delete(key))
            self.assertTrue((self.path / key).exists())

    def test_names_that_are_not_utf8(self) -> None:
        Path(os.fsdecode(bytes(self.path) + b"/caf\xe9-1.0.whl")).touch()
        (self.path / "ok.whl").touch()
        self.assertEqual(self.wait(keys(self.store)), ["ok.whl"])

    def test_times_beyond_the_calendar(self) -> None:
        (self.path / "a").touch()
        os.utime(self.path / "a", (1e12, 1e12))
        self.assertEqual(self.wait(keys(self.store)), ["a"])

    def test_lost_and_found(self) -> None:
        (self.path / "lost+found").mkdir()
        (self.path / "lost+found" / "#123").touch()
        self.assertEqual(self.wait(keys(self.store)), [])

    def test_folders_too_deep(self) -> None:
        path = self.path
        for _ in range(70):
            path = path / "d"
            path.mkdir()
            (path / "f").touch()
        found = self.wait(keys(self.store))
        self.assertEqual(len(found), 63)
        for key in found:
            self.wait(self.store.head(key))

    def test_many_files_in_pieces(self) -> None:
        """No turn of a thread takes a whole large folder."""
        folder = self.path / "many"
        folder.mkdir()
        for n in range(2000):
            (folder / f"{n}.whl").touch()
        self.offload.threaded.clear()
        found = self.wait(keys(self.store, "many/"))
        self.assertEqual(found, sorted(f"many/{n}.whl" for n in range(2000)))
        self.assertGreater(len(self.offload.threaded), 2)

    def test_a_long_listing_goes_on_in_a_helper(self) -> None:
        for n in range(700):
            (self.path / f"{n}-1.0.whl").touch()
            (self.path / f"p{n}").mkdir()
            (self.path / f"p{n}" / "x-1.0.whl").touch()
        here = self.wait(keys(DirectoryStore(self.path, self.offload, short=10**6)))
        self.assertEqual(self.offload.processed, [])
        for most in (1, 2, 333, 10_000):
            self.patch(scan_module, "MOST", most)
            store = DirectoryStore(self.path, self.offload, short=1)
            self.patch(walk_module, "TURN", 0.0)
            self.assertEqual(self.wait(keys(store)), here)
        self.assertEqual(set(self.offload.processed), {"scan"})

    def test_what_is_no_object_is_told_once(self) -> None:
        self.patch(scan_module, "MOST", 1)
        for n in range(4):
            (self.path / f"{n}-1.0.whl").touch()
            (self.path / f"link{n}").symlink_to("elsewhere")
        told: list[Unlisted] = []

        async def listing() -> list[str]:
            store = DirectoryStore(self.path, self.offload, short=0)
            return [info.key async for info in store.list("", unlisted=told.append)]

        self.assertEqual(len(self.wait(listing())), 4)
        keys = [what.key for what in told]
        self.assertEqual(sorted(keys), [f"link{n}/" for n in range(4)])

    def test_a_helper_lists_only_the_very_folder(self) -> None:
        """Not the empty mount point that is there in its place by now."""
        store = DirectoryStore(self.path, self.offload, short=0)
        self.wait(store.prepare())
        aside = self.path.with_name(f"{self.path.name}-aside")
        self.path.rename(aside)
        self.addCleanup(shutil.rmtree, aside)
        self.path.mkdir()
        self.assertIn("is not the one it was", self.error(StoreError, keys(store)))

    def test_no_helper_is_an_error_of_the_store(self) -> None:
        """What is in the folder is not absent for it."""

        class NoHelpers(InlineOffload):
            def in_process(
                self, function: Callable[[*Ts], T], *args: *Ts
            ) -> Deferred[T]:
                return fail(Unavailable("Too many calls wait."))

        store = DirectoryStore(self.path, NoHelpers(), short=0)
        self.assertEqual(self.error(StoreError, keys(store)), "Too many calls wait.")

    def test_vanishing_while_listed(self) -> None:
        for n in range(5):
            self.wait(self.store.put(f"a/{n}/x", b""))

        async def listing() -> list[str]:
            found = []
            async for info in self.store.list(""):
                found.append(info.key)
                if len(found) == 1:
                    shutil.rmtree(self.path / "a" / "3")
            return found

        self.assertIn("a/0/x", self.wait(listing()))

    def test_delete_removes_empty_folders_only(self) -> None:
        self.wait(self.store.put("a/b/c", b""))
        self.wait(self.store.put("a/d", b""))
        self.wait(self.store.delete("a/b/c"))
        self.assertEqual(sorted(os.listdir(self.path / "a")), ["d"])
        self.wait(self.store.delete("a/d"))
        self.assertFalse((self.path / "a").exists())
        self.assertTrue(self.path.is_dir())

    def test_modes_follow_the_umask(self) -> None:
        before = os.umask(0o027)
        try:
            self.wait(self.store.put("a/b", b""))
            upload = self.wait(self.store.begin("a/c"))
            self.wait(upload.commit())
        finally:
            os.umask(before)
        for name, mode in [("a", 0o750), ("a/b", 0o640), ("a/c", 0o640)]:
            self.assertEqual(stat.S_IMODE((self.path / name).stat().st_mode), mode)

    def test_secrets_are_nothing_for_others(self) -> None:
        """Hashes of passwords and tokens, and who did what, whatever the umask."""
        before = os.umask(0)
        try:
            self.wait(self.store.put(".access/tokens/a.json", b""))
            self.wait(self.store.put(".access/tokens/a.json", b"again"))
            self.wait(self.store.put(".audit/2026-03-01/one/a.jsonl", b""))
        finally:
            os.umask(before)
        for top in (".access", ".audit"):
            for path in [self.path / top, *(self.path / top).rglob("*")]:
                self.assertEqual(path.stat().st_mode & 0o007, 0, path)


class TroubleTests(FolderCase):
    """Every failure says what to do, and names the folder and no key."""

    def failing(self, name: str, number: int) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise OSError(number, os.strerror(number))

        self.patch(os, name, fail)

    def test_folder_is_missing(self) -> None:
        shutil.rmtree(self.path)
        for work in (
            self.store.get("a"),
            self.store.head("a"),
            self.store.open("a"),
            self.store.delete("a"),
            self.store.ping(),
            keys(self.store),
            self.store.put("a", b""),
        ):
            message = self.error(StoreError, work)
            self.assertIn(str(self.path), message)
            self.assertIn("see whether its disk is mounted", message)

    def test_folder_is_another(self) -> None:
        """An empty mount point must not look like an empty index (decision D5)."""
        self.wait(self.store.put("a", b""))
        moved = self.path.with_name(self.path.name + "-moved")
        self.path.rename(moved)
        self.addCleanup(shutil.rmtree, moved)
        self.path.mkdir()
        for work in (
            self.store.get("a"),
            self.store.delete("a"),
            keys(self.store),
            self.store.put("a", b"", condition=IfAbsent()),
        ):
            self.assertIn("not the one it was", self.error(StoreError, work))
        self.error(StoreError, self.store.put("a", b""))
        self.assertEqual(os.listdir(self.path), [])

    def test_folder_is_a_file(self) -> None:
        store = self.make_store(self.path / "x" / "y")
        (self.path / "x").write_bytes(b"")
        message = self.error(StoreError, store.prepare())
        self.assertIn("where a folder is needed", message)

    def test_folder_is_made(self) -> None:
        store = self.make_store(self.path / "x" / "y" / "z")
        self.wait(store.prepare())
        self.wait(store.put("a", b"1"))
        self.assertEqual((self.path / "x/y/z/a").read_bytes(), b"1")

    def test_no_room(self) -> None:
        for number in (errno.ENOSPC, errno.EDQUOT):
            self.failing("fsync", number)
            message = self.error(InsufficientStorage, self.store.put("a", b"1"))
            self.assertIn("no room left on the disk", message)
            self.assertIn(str(self.path), message)
            upload = self.wait(self.store.begin("a"))
            self.error(InsufficientStorage, upload.commit())
        self.assertEqual(self.scratch_files(), [])
        self.assertFalse((self.path / "a").exists())

    def test_room_ends_at_the_last_step(self) -> None:
        """Then the answer must not be that nothing was written."""
        real = os.fsync

        def full(fd: int) -> None:
            if self.points[-1:] == ["object:linked"]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(fd)

        self.patch(os, "fsync", full)
        message = self.error(StoreError, self.store.put("a", b"1"))
        self.assertIn("may lose what was written: No space left", message)

    def test_no_room_by_the_hint(self) -> None:
        state = os.statvfs(self.path)
        free = state.f_bavail * state.f_frsize
        begun = self.store.begin("a", size_hint=free + 10**9)
        message = self.error(InsufficientStorage, begun)
        self.assertIn("no room left on the disk", message)
        self.assertEqual(self.scratch_files(), [])

    def test_rights(self) -> None:
        for number, advice in [
            (errno.EACCES, f"(uid {os.geteuid()}) the right"),
            (errno.EROFS, "mount its file system for writing"),
            (errno.EIO, "look after its disk"),
            (errno.EMFILE, "limit of open files"),
        ]:
            self.failing("link", number)
            message = self.error(StoreError, self.store.put("a\nb", b"1"))
            self.assertIn(advice, message)
            self.assertNotIn("\n", message)
            self.assertNotIn("a\nb", message)

    def test_rights_of_a_file(self) -> None:
        self.wait(self.store.put("a", b""))
        real = os.open

        def forbidding(path: Any, *args: Any, **kwargs: Any) -> int:
            if path == b"a":
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, *args, **kwargs)

        self.patch(os, "open", forbidding)
        message = self.error(ObjectUnreadable, self.store.get("a"))
        self.assertIn(f"(uid {os.geteuid()}); give it the right", message)

    def test_rights_of_a_folder(self) -> None:
        """The one that is meant is told: the store's own may be right."""
        self.wait(self.store.put("a/b\nc/d", b""))
        real = os.open

        def forbidding(path: Any, *args: Any, **kwargs: Any) -> int:
            if path == b"b\nc":
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, *args, **kwargs)

        self.patch(os, "open", forbidding)
        message = self.error(StoreError, keys(self.store))
        self.assertIn(r"The folder 'a/b\nc/' in the store's folder", message)

    def forbid(self, *names: bytes) -> None:
        real = os.open

        def forbidding(path: Any, *args: Any, **kwargs: Any) -> int:
            if path in names:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, *args, **kwargs)

        self.patch(os, "open", forbidding)

    def test_what_is_hidden_on_purpose_is_never_entered(self) -> None:
        for key in ("a/b", ".Trash-0/x/a.whl", "a/.snapshot/b", ".index/a.json"):
            self.wait(self.store.put(key, b""))
        self.assertEqual(
            self.wait(looked(self.store)),
            (["a/b"], []),
        )
        # By a name that was asked for it is found; where nobody may read, or else.
        self.forbid(b".Trash-0", b".snapshot")
        self.assertEqual(self.wait(looked(self.store)), (["a/b"], []))
        self.assertEqual(self.wait(keys(self.store)), [".index/a.json", "a/b"])
        self.assertEqual(self.wait(keys(self.store, ".index/")), [".index/a.json"])
        message = self.error(StoreError, keys(self.store, ".Trash-0/"))
        self.assertIn("The folder '.Trash-0/'", message)

    def test_an_unreadable_folder_is_told_of_and_the_rest_is_listed(self) -> None:
        for key in ("a/b", "b/x/c", "b/y", "c/d"):
            self.wait(self.store.put(key, b""))
        self.forbid(b"a", b"x")
        self.assertEqual(
            self.wait(looked(self.store)), (["b/y", "c/d"], ["a/", "b/x/"])
        )

    def test_one_that_is_asked_for_by_name_is_an_error_all_the_same(self) -> None:
        self.wait(self.store.put(".index/a.json", b""))
        self.forbid(b".index")
        told: list[Unlisted] = []

        async def listed() -> list[str]:
            listing = self.store.list(".index/", unlisted=told.append)
            return [info.key async for info in listing]

        self.assertIn("The folder '.index/'", self.error(StoreError, listed()))

    def test_what_nobody_wants_to_know_is_not_entered(self) -> None:
        for key in ("a/b", "a/c/d", "e/c/f"):
            self.wait(self.store.put(key, b""))
        self.forbid(b"c")

        async def listed() -> list[str]:
            listing = self.store.list("", skip={"a/c/", "e/"}.__contains__)
            return [info.key async for info in listing]

        self.assertEqual(self.wait(listed()), ["a/b"])

    def test_names_that_are_no_text_are_told_of(self) -> None:
        self.wait(self.store.put("a/b", b""))
        name = os.fsencode(self.path) + b"/a/acme-1.0-\xff.whl"
        os.close(os.open(name, os.O_CREAT))
        self.assertEqual(
            self.wait(looked(self.store)), (["a/b"], ["a/acme-1.0-\ufffd.whl"])
        )
        self.assertEqual(self.wait(keys(self.store)), ["a/b"])

    def test_an_unreadable_root_is_an_error_all_the_same(self) -> None:
        self.wait(self.store.put("a/b", b""))
        self.forbid(os.fspath(self.path), self.path)  # type: ignore[arg-type]
        self.error(StoreError, looked(self.store))

    def test_ping_wants_to_write(self) -> None:
        self.wait(self.store.ping())
        self.patch(os, "access", lambda *args, **kwargs: False)
        self.assertIn("the right to it", self.error(StoreError, self.store.ping()))

    def test_no_hard_links(self) -> None:
        self.failing("link", errno.EOPNOTSUPP)
        self.wait(self.store.put("a", b"1", condition=IfAbsent()))
        self.error(PreconditionFailed, self.store.put("a", b"2", condition=IfAbsent()))
        self.assertEqual((self.path / "a").read_bytes(), b"1")

    def test_folders_vanish_for_ever(self) -> None:
        self.failing("link", errno.ENOENT)
        message = self.error(StoreError, self.store.put("a", b"1"))
        self.assertIn("vanish as fast as they are made", message)


class OwnerTests(FolderCase):
    """What root's commands make belongs to the user that runs the server."""

    def setUp(self) -> None:
        super().setUp()
        self.given: set[tuple[int, int, int]] = set()

    def as_user(self, uid: int) -> None:
        def fchown(fd: int, owner: int, group: int) -> None:
            self.given.add((os.fstat(fd).st_ino, owner, group))

        self.patch(os, "geteuid", lambda: uid)
        self.patch(os, "fchown", fchown)

    def test_root_gives_what_it_makes(self) -> None:
        self.as_user(0)
        path = self.path / "fresh"
        path.mkdir()
        store = self.make_store(path)
        self.wait(store.prepare())
        self.wait(store.put("a/b/c", b"1"))
        (lock,) = (path / ".locks").iterdir()
        made = [".tmp", ".locks", f".locks/{lock.name}", "a", "a/b", "a/b/c"]
        owner = path.stat()
        self.assertEqual(
            self.given,
            {
                ((path / name).stat().st_ino, owner.st_uid, owner.st_gid)
                for name in made
            },
        )

    def test_root_keeps_what_was_there(self) -> None:
        self.wait(self.store.put("a/b", b"1"))
        self.as_user(0)
        self.wait(self.store.delete("a/b"))
        (self.path / "a").mkdir()
        self.wait(self.store.put("a/b", b"2"))
        self.assertEqual(
            {inode for inode, *_ in self.given}, {(self.path / "a/b").stat().st_ino}
        )

    def test_others_give_nothing(self) -> None:
        self.as_user(1000)
        self.wait(self.store.put("a/b", b"1"))
        self.assertEqual(self.given, set())

    def test_file_systems_without_owners(self) -> None:
        self.as_user(0)

        def refuse(*args: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        self.patch(os, "fchown", refuse)
        self.wait(self.store.put("a/b", b"1"))
        self.assertEqual((self.path / "a/b").read_bytes(), b"1")


class CopyTests(FolderCase):
    """A copy is a second name of the file, where there can be one."""

    def names(self) -> int:
        return (self.path / "a/b").stat().st_nlink

    def test_a_hard_link(self) -> None:
        self.wait(self.store.put("a/b", b"1"))
        info = self.wait(self.store.copy("a/b", "c/d"))
        self.assertEqual(info.etag, self.wait(self.store.head("a/b")).etag)
        self.assertEqual(self.names(), 2)

    def test_where_there_can_be_none(self) -> None:
        link = os.link
        for error in (errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP):
            self.wait(self.store.put("a/b", LARGE))

            def refuse(*args: Any, error: int = error, **kwargs: Any) -> None:
                if "src_dir_fd" in kwargs:
                    raise OSError(error, "It cannot be linked.")
                link(*args, **kwargs)

            self.patch(os, "link", refuse)
            for _ in range(2):
                info = self.wait(self.store.copy("a/b", f"c/{error}"))
                self.assertEqual(info.size, len(LARGE))
            self.assertEqual(self.names(), 1)
            self.assertEqual((self.path / f"c/{error}").read_bytes(), LARGE)


class DownloadTests(FolderCase):
    """What can go wrong on the way out."""

    def setUp(self) -> None:
        super().setUp()
        upload = self.wait(self.store.begin("large"))
        self.wait(upload.write(LARGE))
        self.wait(upload.commit())
        self.wait(self.store.put("small", b"12345"))

    def open_files(self) -> int:
        return len(os.listdir("/proc/self/fd"))

    def test_file_becomes_shorter(self) -> None:
        consumer = Consumer(pausing=True)
        download = self.wait(self.store.open("large"))
        done = Deferred.fromCoroutine(download.deliver(consumer))
        os.truncate(self.path / "large", 300_000)
        while consumer.producer is not None:
            consumer.resume()
        failure = self.failureResultOf(done, StoreError)
        self.assertIn("shorter", str(failure.value))
        self.assertEqual(consumer.registrations, ["registered", "unregistered"])

    def test_small_file_is_read_when_opened(self) -> None:
        download = self.wait(self.store.open("small"))
        (self.path / "small").unlink()
        consumer = Consumer()
        self.wait(download.deliver(consumer))
        self.assertEqual(consumer.data, b"12345")

    def test_replaced_while_delivered(self) -> None:
        """What was opened is delivered whole, whatever happens to its name."""
        consumer = Consumer(pausing=True)
        download = self.wait(self.store.open("large"))
        done = Deferred.fromCoroutine(download.deliver(consumer))
        self.wait(self.store.put("large", b"other"))
        self.wait(self.store.delete("large"))
        while consumer.producer is not None:
            consumer.resume()
        self.successResultOf(done)
        self.assertEqual(consumer.data, LARGE)

    def test_files_are_closed(self) -> None:
        before = self.open_files()
        for end in ("deliver", "abandon", "lose", "cancel"):
            consumer = Consumer(pausing=end in ("lose", "cancel"))
            download = self.wait(self.store.open("large"))
            self.assertEqual(self.open_files(), before + 1)
            if end == "abandon":
                download.abandon()
            else:
                done = Deferred.fromCoroutine(download.deliver(consumer))
                if end == "lose":
                    consumer.lose()
                elif end == "cancel":
                    done.cancel()
                done.addErrback(lambda failure: None)
                self.assertTrue(done.called)
            self.assertEqual(self.open_files(), before, end)

    def test_listing_given_up_closes_its_folders(self) -> None:
        before = self.open_files()

        async def first() -> str:
            async for info in self.store.list(""):
                return info.key
            raise AssertionError("There is something.")

        self.assertEqual(self.wait(first()), "large")
        self.assertEqual(self.open_files(), before)


class TogetherTests(FolderCase):
    """Objects of a new folder that come at once, and writes that share a thread."""

    KEY = "acme/0123456789abcdef0123456789abcdef/acme-1.0.whl"

    def placer(self) -> Placer:
        upload = self.wait(self.store.begin(self.KEY, small=True))
        self.assertTrue(upload.places)
        return upload.placer()

    def test_placed(self) -> None:
        objects = {"acme-1.0.whl": b"1", "acme-1.0.whl.metadata": b"2"}
        notice = Notice(".publishing/acme/x", b"swapping")
        receipt = pickle.loads(pickle.dumps(self.placer())).place(objects, notice)
        self.assertEqual(
            [info.key for info in self.listed()],
            [notice.key, self.KEY, f"{self.KEY}.metadata"],
        )
        self.assertEqual(self.scratch_files(), [])
        place = self.path / "acme"
        self.assertEqual(receipt, place.stat().st_ino)

    def test_again_as_nobody_heard_of_it(self) -> None:
        for _ in range(2):
            self.placer().place({"acme-1.0.whl": b"1"}, None)
        self.assertEqual([info.key for info in self.listed()], [self.KEY])
        self.assertEqual(os.listdir(self.path / ".tmp" / self.scratch), [])

    def test_no_room(self) -> None:
        def full(fd: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        placer = self.placer()
        self.patch(os, "fsync", full)
        with self.assertRaisesRegex(InsufficientStorage, "no room"):
            placer.place({"acme-1.0.whl": b"1"}, None)
        self.assertEqual(os.listdir(self.path / ".tmp" / self.scratch), [])
        self.assertFalse((self.path / "acme").exists())

    def test_more_than_is_small(self) -> None:
        upload = self.wait(self.store.begin(self.KEY, small=True))
        message = self.error(StoreError, upload.write(b"x" * (SMALL + 1)))
        self.assertIn("More bytes came", message)

    def test_one_sync_for_a_folder(self) -> None:
        folder, points = self.store._folder, self.points
        writes = [
            Write("a/1", b"1", IfAbsent()),
            Write("a/2", b"2", IfMatch("none")),
            Write("a/3", b"3"),
            Write("b/4", b"4", durable=False),
        ]
        outcomes = write_all(folder, self.store._draft, writes)
        self.assertIsInstance(outcomes[1], PreconditionFailed)
        keys = [one.key for one in outcomes if isinstance(one, ObjectInfo)]
        self.assertEqual(keys, ["a/1", "a/3", "b/4"])
        self.assertEqual(points.count("folder:synced"), 1)
        self.assertEqual(points.count("object:linked"), 3)
        self.assertEqual(self.scratch_files(), [])

    @property
    def scratch(self) -> str:
        (name,) = (n for n in os.listdir(self.path / ".tmp") if "." not in n)
        return name

    def listed(self) -> list[ObjectInfo]:
        async def read() -> list[ObjectInfo]:
            return [info async for info in self.store.list("")]

        return self.wait(read())
