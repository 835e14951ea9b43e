"""How much room there is, without waiting for a slow file system."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.disk_space import DiskSpace, Room, look


class SlowThreads:
    """Threads that get to it when they are let."""

    def __init__(self) -> None:
        self.calls: list[tuple[Deferred[Any], Any, Any]] = []

    def in_thread(self, function: Any, *arguments: Any) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.calls.append((result, function, arguments))
        return result

    def go_on(self, problem: OSError | None = None) -> None:
        calls, self.calls = self.calls, []
        for result, function, arguments in calls:
            if problem is not None:
                result.errback(problem)
            else:
                execute(function, *arguments).chainDeferred(result)


class DiskSpaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.threads = SlowThreads()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.space = DiskSpace("storage", self.folder, cast(Any, self.threads))
        self.metrics = Metrics(Clock())
        self.space.register(self.metrics)

    def read(self) -> dict[str, float]:
        return {one.name: one.value for one in self.metrics.readings()}

    def test_as_it_was_at_the_reading_before(self) -> None:
        before = self.read()["pypicloud_storage_free_bytes"]
        self.assertTrue(math.isnan(before))
        self.threads.go_on()
        found = self.read()
        self.assertGreater(found["pypicloud_storage_free_bytes"], 0)
        self.assertGreaterEqual(
            found["pypicloud_storage_size_bytes"],
            found["pypicloud_storage_free_bytes"],
        )

    def test_looked_at_by_one_thread_at_most(self) -> None:
        for _ in range(3):
            self.read()
        self.assertEqual(len(self.threads.calls), 1)
        self.threads.go_on()
        self.read()
        self.assertEqual(len(self.threads.calls), 1)

    def test_gone(self) -> None:
        """What is not known any more is not shown as if it were."""
        self.read()
        self.threads.go_on()
        self.read()
        self.threads.go_on(OSError("The share is gone"))
        value = self.read()["pypicloud_storage_free_bytes"]
        self.assertTrue(math.isnan(value))

    def test_not_made_yet(self) -> None:
        found = look(self.folder / "not" / "made")
        self.assertIsInstance(found, Room)
        self.assertEqual(found.size, look(self.folder).size)
