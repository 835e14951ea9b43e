"""Objects that tell of one secret each, in several processes of one server."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.objects import SecretObjects
from pypicloud_tw.store.interfaces import StoredBytes
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload, Siblings

T = TypeVar("T")

KEY, CLIENT = ".access/sessions/20260301T09/x", "192.0.2.1"


def decode(stored: StoredBytes) -> bytes:
    return stored.data


class SiblingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.siblings = Siblings()
        self.one, self.two = self.objects(), self.objects()
        self.get(self.store.put(KEY, b"lives"))

    def objects(self) -> SecretObjects[bytes]:
        throttle = Throttle(self.clock.seconds)
        return SecretObjects(
            self.store, self.clock, throttle, decode, 60, self.siblings
        )

    def get(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def found(self, objects: SecretObjects[bytes]) -> bytes | None:
        known, stale = self.get(objects.find(KEY, CLIENT))
        self.assertFalse(stale)
        return None if known is None else known.record

    def test_what_one_has_changed_all_ask_for_anew(self) -> None:
        """As a log-out: the browser's next request may come to any of them."""
        self.assertEqual(self.found(self.two), b"lives")
        self.get(self.store.put(KEY, b"ended"))
        self.assertEqual(self.found(self.two), b"lives")  # it is fresh
        self.get(self.one.tell(KEY))
        self.assertEqual(self.found(self.two), b"ended")

    def test_a_read_that_it_overtakes_proves_nothing(self) -> None:
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held
        finding = Deferred.fromCoroutine(self.two.find(KEY, CLIENT))
        self.get(self.one.tell(KEY))
        self.store.before = lambda operation, key: None
        held.callback(None)
        self.successResultOf(finding)
        self.get(self.store.put(KEY, b"ended"))
        self.clock.advance(1)
        self.assertEqual(self.found(self.two), b"ended")
