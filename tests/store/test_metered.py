"""A metered store is its store, and every call of it is counted and timed."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from pypicloud_tw.errors import ObjectNotFound, PypicloudError, StoreError
from pypicloud_tw.store.interfaces import IfAbsent, IObjectStore, IUpload
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.store.metered import MeteredStore
from tests.doubles import InlineOffload
from tests.store_suite import StoreSuite

T = TypeVar("T")


class MeteredStoreTests(StoreSuite, TestCase):
    """It keeps every promise of the store that it wraps."""

    async def make_store(self) -> IObjectStore:
        return MeteredStore(
            MemoryStore(InlineOffload()), lambda *what: None, lambda: 0.0
        )

    async def progress(self) -> None:
        """Everything happens at once."""


class CountingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inner = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.seen: list[tuple[str, str, float]] = []
        self.store = MeteredStore(self.inner, self.observe, self.clock.seconds)
        verifyObject(IObjectStore, self.store)

    def observe(self, operation: str, result: str, seconds: float) -> None:
        self.seen.append((operation, result, seconds))

    def get(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_every_operation_by_its_name(self) -> None:
        store = self.store
        self.get(store.prepare())
        self.get(store.ping())
        self.get(store.put("a", b"1", condition=IfAbsent()))
        self.get(store.get("a"))
        self.get(store.head("a"))
        self.get(store.open("a")).abandon()
        self.get(self.get(store.begin("b")).abort())
        self.get(store.abandon_uploads(datetime(2026, 1, 1, tzinfo=UTC)))
        self.get(store.delete("a"))
        self.assertEqual(
            [operation for operation, _, _ in self.seen],
            [
                "prepare",
                "ping",
                "put",
                "get",
                "head",
                "open",
                "begin",
                "abandon_uploads",
                "delete",
            ],
        )
        self.assertEqual({result for _, result, _ in self.seen}, {"ok"})

    def test_an_upload_counts_when_it_is_durable(self) -> None:
        upload = self.get(self.store.begin("b"))
        verifyObject(IUpload, upload)
        self.get(upload.write(b"1"))
        self.assertEqual(self.get(upload.spool.finish()).sha256[:2], "6b")
        self.seen.clear()
        held: Deferred[None] = Deferred()
        self.inner.before = lambda operation, key: held
        work = Deferred.fromCoroutine(upload.commit())
        self.clock.advance(2)
        held.callback(None)
        self.assertEqual(self.successResultOf(work).size, 1)
        self.assertEqual(self.seen, [("commit", "ok", 2.0)])

    def test_a_commit_that_fails(self) -> None:
        upload = self.get(self.store.begin("b"))
        self.seen.clear()
        self.inner.fail_next("commit", StoreError("away"))
        self.failureResultOf(Deferred.fromCoroutine(upload.commit()), StoreError)
        self.assertEqual(self.seen, [("commit", "store-unavailable", 0.0)])

    def test_failures_by_their_code(self) -> None:
        self.store_fails("get", StoreError("away"), "store-unavailable")
        self.store_fails("get", None, "not-found", ObjectNotFound)
        self.get(self.store.put("a", b""))
        self.seen.clear()
        again = Deferred.fromCoroutine(self.store.put("a", b"", condition=IfAbsent()))
        self.failureResultOf(again, PypicloudError)
        self.assertEqual(self.seen, [("put", "conflict", 0.0)])

    def test_what_nobody_foresaw(self) -> None:
        self.store_fails("get", ZeroDivisionError(), "error", ZeroDivisionError)

    def test_by_the_clock(self) -> None:
        held: Deferred[None] = Deferred()
        self.inner.before = lambda operation, key: held
        work = Deferred.fromCoroutine(self.store.put("a", b""))
        self.clock.advance(3)
        self.assertEqual(self.seen, [])
        held.callback(None)
        self.successResultOf(work)
        self.assertEqual(self.seen, [("put", "ok", 3.0)])

    def test_calls_that_were_given_up(self) -> None:
        self.inner.before = lambda operation, key: Deferred()
        work = Deferred.fromCoroutine(self.store.put("a", b""))
        self.clock.advance(3)
        work.cancel()
        self.failureResultOf(work, CancelledError)
        self.assertEqual(self.seen, [("put", "error", 3.0)])

    def store_fails(
        self,
        operation: str,
        error: Exception | None,
        result: str,
        kind: type[Exception] = StoreError,
    ) -> None:
        self.seen.clear()
        if error is not None:
            self.inner.fail_next(operation, error)
        self.failureResultOf(Deferred.fromCoroutine(self.store.get("a")), kind)
        self.assertEqual(self.seen, [(operation, result, 0.0)])
