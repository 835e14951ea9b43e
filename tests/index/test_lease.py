"""Two writers on a store without conditions see each other, and stop writing."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError
from pypicloud_tw.index import lease
from pypicloud_tw.index.lease import Lease
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload

T = TypeVar("T")


class LeaseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.one, self.two = (Lease(self.store, self.clock) for _ in range(2))

    def run_now(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_the_first_has_no_rival(self) -> None:
        self.run_now(self.one.start())
        self.clock.pump([lease.RENEW_EVERY] * 20)
        self.assertFalse(self.one.rival)
        self.run_now(self.one.stop())
        self.assertNotIn(lease.KEY, self.store.objects)

    def test_the_second_sees_the_first_and_takes_over_when_it_has_died(self) -> None:
        self.run_now(self.one.start())
        self.run_now(self.two.start())
        self.assertTrue(self.two.rival)
        assert self.one._loop is not None
        self.one._loop.stop()  # kill -9
        self.clock.pump([lease.RENEW_EVERY] * 6)
        self.assertFalse(self.two.rival)

    def test_one_that_lost_its_lease_notices(self) -> None:
        self.run_now(self.one.start())
        self.run_now(self.store.delete(lease.KEY))
        self.run_now(self.two.start())
        self.clock.advance(lease.RENEW_EVERY)
        self.assertTrue(self.one.rival)

    def test_one_that_could_not_renew_does_not_trust_its_lease(self) -> None:
        """Another may have taken it since; who was stopped for long meets this too."""
        self.run_now(self.one.start())
        self.assertTrue(self.one.held)
        assert self.one._loop is not None
        self.one._loop.stop()
        self.clock.advance(lease.ENDS_AFTER)
        self.assertFalse(self.one.held)
        self.assertFalse(self.one.rival)
        self.run_now(self.one.look())
        self.assertTrue(self.one.held)

    def test_a_clock_that_is_set_back_prolongs_no_lease(self) -> None:
        self.run_now(self.one.start())
        self.clock.rightNow -= 3600
        self.assertFalse(self.one.held)
        self.run_now(self.one.look())
        self.assertTrue(self.one.held)

    def test_one_that_could_not_renew_leaves_the_lease_of_another(self) -> None:
        self.run_now(self.one.start())
        assert self.one._loop is not None
        self.one._loop.stop()
        self.clock.advance(lease.ENDS_AFTER)
        self.run_now(self.two.start())
        self.assertTrue(self.two.held)
        self.run_now(self.one.stop())
        self.assertIn(lease.KEY, self.store.objects)

    def test_a_store_that_is_away_is_not_the_end(self) -> None:
        self.run_now(self.one.start())
        self.store.fail_next("get", StoreError("away"))
        self.clock.pump([lease.RENEW_EVERY] * 2)
        assert self.one._loop is not None
        self.assertTrue(self.one._loop.running)
