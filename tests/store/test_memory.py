"""The store in memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload
from tests.store_suite import StoreProperties, StoreSuite


class MemoryStoreTests(StoreSuite, TestCase):
    async def make_store(self) -> IObjectStore:
        return MemoryStore(InlineOffload())

    async def progress(self) -> None:
        """Everything happens at once."""


class MemoryStorePropertiesTests(StoreProperties, SynchronousTestCase):
    def make_store_now(self) -> IObjectStore:
        return MemoryStore(InlineOffload())


class OnDemandTests(SynchronousTestCase):
    """What a test can have the store do."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)

    def test_modified_by_the_clock(self) -> None:
        self.clock.advance(1_700_000_000)
        info = self.successResultOf(Deferred.fromCoroutine(self.store.put("a", b"")))
        self.assertEqual(info.modified.timestamp(), 1_700_000_000)

    def test_calls(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.store.put("a", b"")))
        self.successResultOf(Deferred.fromCoroutine(self.store.get("a")))
        self.assertEqual(self.store.calls, [("put", "a"), ("get", "a")])

    def test_fail_next(self) -> None:
        self.store.fail_next("put", StoreError("away"))
        failed = Deferred.fromCoroutine(self.store.put("a", b""))
        failure = self.failureResultOf(failed, StoreError)
        self.assertEqual(failure.value.message, "away")
        self.assertEqual(self.store.objects, {})
        self.successResultOf(Deferred.fromCoroutine(self.store.put("a", b"")))

    def test_answer_lost(self) -> None:
        def lose(operation: str, key: str) -> None:
            raise StoreError(f"{operation} {key} was not heard")

        self.store.after = lose
        failed = Deferred.fromCoroutine(self.store.put("a", b"1"))
        failure = self.failureResultOf(failed, StoreError)
        self.assertEqual(failure.value.message, "put a was not heard")
        self.assertEqual(self.store.objects["a"].data, b"1")

    def test_stall(self) -> None:
        stalled: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: stalled
        done = Deferred.fromCoroutine(self.store.put("a", b"1"))
        self.assertNoResult(done)
        self.assertEqual(self.store.objects, {})
        stalled.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.store.objects["a"].data, b"1")

    def test_metadata_names_are_lower_case(self) -> None:
        info = self.successResultOf(
            Deferred.fromCoroutine(
                self.store.put("a", b"", metadata={"Hash-SHA256": "x"})
            )
        )
        self.assertEqual(info.metadata, {"hash-sha256": "x"})
