"""What a server that is killed has counted, and who finds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError
from pypicloud_tw.statistics.counts import DayCounts, key_of
from pypicloud_tw.statistics.downloads import FLUSH_BUCKET, CountedDownloads
from pypicloud_tw.statistics.journal import journal_folder, open_journal
from pypicloud_tw.statistics.journaling import Journaling
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload

START = 1_768_046_400.0
DAY = 86_400.0
ONE = "acme-1.0.tar.gz"


class Killed(BaseException):
    """The process ends here."""


@define
class KillableOffload(InlineOffload):
    """Ends the process before, or after, a step that is done in a thread.

    :ivar steps: so many were begun or ended.
    :ivar ends_at: nothing is done any more from then on.
    """

    steps: int = 0
    ends_at: int | None = None

    def in_thread(self, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        for moment in (0, 1):
            if self.steps == self.ends_at:
                raise Killed
            self.steps += 1
            if moment == 0:
                result = super().in_thread(function, *args, **more)
        return result


class HangingStore(MemoryStore):
    """Does not answer for a while.

    :ivar hangs: operations that are not answered.
    """

    hangs: frozenset[str] = frozenset()

    async def check(self, operation: str, key: str) -> None:
        if operation in self.hangs:
            await Deferred()
        await super().check(operation, key)


class JournalCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.offload = KillableOffload()
        self.store = HangingStore(InlineOffload(), kind="bucket")
        parent = Path(self.mktemp()).absolute()
        parent.mkdir()
        self.folder = journal_folder(parent, None, "bucket", "")

    def server(self) -> CountedDownloads:
        journaling = Journaling(self.folder, self.store, self.offload)
        return CountedDownloads(
            self.store, self.offload, self.clock, 90, FLUSH_BUCKET, journaling
        )

    def started(self) -> CountedDownloads:
        server = self.server()
        server.start()
        return server

    def done(self, work: Any) -> Any:
        if not isinstance(work, Deferred):
            work = Deferred.fromCoroutine(work)
        return self.successResultOf(work)

    def kill(self) -> None:
        """End a process, the only one: the kernel lets go of its locks."""
        for call in self.clock.getDelayedCalls():
            call.cancel()
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"/proc/self/fd/{name}").startswith(str(self.folder)):
                    os.close(int(name))

    def minutes(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(60)

    def stored(self) -> int:
        server = CountedDownloads(self.store, InlineOffload(), self.clock)
        self.done(server.read())
        return sum(self.done(server.versions("acme", 30)).values())

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.folder)) for path in self.folder.rglob("*")
        )


class JournalTests(JournalCase):
    def test_a_server_that_is_killed_loses_a_minute(self) -> None:
        server = self.started()
        for _ in range(5):
            server.count("acme", ONE)
            self.minutes(1)
        server.count("acme", ONE)  # within the last minute
        self.assertEqual(self.stored(), 0)
        self.kill()
        self.started()
        self.assertEqual(self.stored(), 5)

    def test_it_is_kept_while_the_bucket_does_not_answer(self) -> None:
        for hangs in ("put", "get", "list"):
            self.setUp()
            before = self.server()
            before.count("acme", ONE)
            self.done(before.stop())
            self.store.hangs = frozenset({hangs})
            server = self.started()
            for _ in range(40):
                server.count("acme", ONE)
                self.minutes(1)
            self.kill()
            self.store.hangs = frozenset()
            self.started()
            self.assertEqual(self.stored(), 41, hangs)

    def test_a_stop_while_the_bucket_does_not_answer(self) -> None:
        server = self.started()
        server.count("acme", ONE)
        self.store.hangs = frozenset({"list", "put"})
        self.minutes(70)
        self.store.hangs = frozenset()
        self.done(server.stop())
        self.assertEqual(self.stored(), 1)
        self.assertEqual(self.files(), [])

    def test_a_day_ends_while_the_bucket_is_read(self) -> None:
        server = self.started()
        server.count("acme", ONE)
        self.minutes(16)
        self.store.hangs = frozenset({"list"})
        self.minutes(60)
        self.clock.advance(DAY)
        server.count("acme", ONE)
        self.minutes(16)
        self.assertEqual(self.done(server.versions("acme", 9)), {"1.0": 2})
        self.done(server.stop())
        self.store.hangs = frozenset()
        self.assertEqual(self.stored(), 2)

    def test_a_journal_that_fell_behind(self) -> None:
        """Its disk was full; the store has more, and is not written over."""
        server = self.started()
        server.count("acme", ONE)
        self.minutes(1)
        [path] = self.folder.glob("*/2026-*")
        data = path.read_bytes()
        server.count("acme", ONE)
        self.minutes(15)
        path.write_bytes(data)
        self.kill()
        last = self.started()
        self.assertEqual(self.stored(), 2)
        self.done(last.stop())
        self.assertEqual(self.files(), [])

    def test_it_is_written_to_the_bucket_a_few_times_an_hour(self) -> None:
        server = self.started()
        for _ in range(60):
            server.count("acme", ONE)
            self.minutes(1)
        self.assertEqual(self.stored(), 60)

    def test_a_stop_leaves_nothing(self) -> None:
        server = self.started()
        server.count("acme", ONE)
        self.minutes(2)
        server.count("acme", ONE)
        self.done(server.stop())
        self.assertEqual(self.stored(), 2)
        self.assertEqual(self.files(), [])

    def test_a_stop_while_the_store_is_away(self) -> None:
        server = self.started()
        server.count("acme", ONE)

        def away(operation: str, key: str) -> None:
            raise StoreError("The store is away.")

        self.store.before = away
        self.done(server.stop())
        self.flushLoggedErrors()
        other = self.started()
        self.minutes(2)
        self.store.before = lambda operation, key: None
        self.minutes(1)
        self.assertEqual(self.stored(), 1)
        self.done(other.stop())
        self.assertEqual(self.files(), [])

    def test_a_server_that_lives_keeps_its_own(self) -> None:
        server, other = self.started(), self.started()
        server.count("acme", ONE)
        self.minutes(1)
        self.done(other.stop())
        self.done(self.started().stop())
        self.assertEqual(self.stored(), 0)
        self.minutes(15)
        self.assertEqual(self.stored(), 1)

    def test_killed_between_any_two_steps(self) -> None:
        """What was in the journal or in the store is never lost, nor counted twice."""
        for step in range(40):
            self.setUp()
            server = self.started()
            server.count("acme", ONE)
            self.minutes(1)
            server.count("acme", ONE)
            self.offload.steps, self.offload.ends_at = 0, step
            alive = self.run_until_killed(lambda: self.minutes(16))
            self.kill()
            self.offload.ends_at = None
            last = self.started()
            self.assertIn(self.stored(), (1, 2), step)
            self.done(last.stop())
            self.assertEqual(self.files(), [], step)
        self.assertTrue(alive, "there are more steps")

    def test_killed_while_it_takes_over(self) -> None:
        for step in range(40):
            self.setUp()
            server = self.started()
            server.count("acme", ONE)
            self.minutes(1)
            self.kill()
            self.offload.steps, self.offload.ends_at = 0, step
            second = self.server()
            alive = self.run_until_killed(second.start)
            self.kill()
            self.offload.ends_at = None
            self.done(self.started().stop())
            self.assertEqual(self.stored(), 1, step)
            self.assertEqual(self.files(), [], step)
        self.assertTrue(alive, "there are more steps")

    def run_until_killed(self, work: Callable[[], object]) -> bool:
        """Return whether it came to its end."""
        work()
        return self.offload.steps != self.offload.ends_at

    def test_damaged(self) -> None:
        server = self.started()
        server.count("acme", ONE)
        self.minutes(1)
        [path] = self.folder.glob("*/2026-*")
        other = path.with_name("2026-01-09.0123456789abcdef")
        other.write_bytes(DayCounts({"acme": {ONE: 4}}).encode())
        path.write_bytes(path.read_bytes()[:-3])
        path.with_name("2026-01-09.0123456789abcdef.new").write_bytes(b"half")
        path.with_name("notes").write_bytes(b"x")
        self.kill()
        last = self.started()
        self.assertEqual(self.stored(), 4)
        self.done(last.stop())
        self.assertEqual(self.files(), [])

    def test_a_day_that_ends_is_forgotten(self) -> None:
        server = self.started()
        server.count("acme", ONE)
        self.minutes(1)
        self.clock.advance(DAY)
        self.minutes(16)
        [path] = self.folder.glob("*/2026-*")
        self.assertTrue(path.name.startswith("2026-01-11."), path)

    def test_only_the_user_may_read_it(self) -> None:
        server = self.started()
        server.count("acme", ONE)
        self.minutes(1)
        for path in [self.folder, *self.folder.rglob("*")]:
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)


class NoJournalTests(JournalCase):
    """Where there is none, the bucket is written all the same."""

    def check(self) -> None:
        server = self.started()
        for _ in range(20):
            server.count("acme", ONE)
            self.minutes(1)
        self.assertGreaterEqual(self.stored(), 15)
        self.done(server.stop())
        self.assertEqual(self.stored(), 20)

    def test_no_folder(self) -> None:
        self.folder = self.folder / "missing" / "one"
        self.check()

    def test_somebody_else_s(self) -> None:
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.check()
        self.assertEqual(self.files(), [])

    def test_a_link(self) -> None:
        target = self.folder.with_name("target")
        target.mkdir(mode=0o700)
        self.folder.symlink_to(target)
        self.check()
        self.assertEqual(os.listdir(target), [])

    def test_it_vanishes(self) -> None:
        server = self.started()
        server.count("acme", ONE)
        self.minutes(1)
        for path in sorted(self.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.folder.rmdir()
        server.count("acme", ONE)
        self.minutes(16)
        self.assertEqual(self.stored(), 2)
        self.done(server.stop())


class FileTests(SynchronousTestCase):
    def test_of_one_store_alone(self) -> None:
        parent = Path("/var/tmp")
        one = journal_folder(parent, None, "a", "bc")
        self.assertEqual(one, journal_folder(parent, None, "a", "bc"))
        for other in ((None, "ab", "c"), ("https://s3", "a", "bc"), (None, "a", "")):
            self.assertNotEqual(one, journal_folder(parent, *other))

    def test_a_write_replaces_what_was_there(self) -> None:
        journal = open_journal(Path(self.mktemp()))
        key = key_of("2026-01-10", "0123456789abcdef")
        journal.write(key, b"one")
        journal.write(key, b"two")
        journal.close(keep=True)
        other = open_journal(journal.folder)
        [dead] = other.left()
        [left] = dead.objects()
        self.assertEqual((left.key, left.data), (key, b"two"))
        self.assertEqual(other.left(), [])
        dead.end()
        other.drop(key)
        other.close(keep=False)
        self.assertEqual(os.listdir(journal.folder), [])
