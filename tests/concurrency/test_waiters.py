"""Many wait for one answer, and none of them disturbs another."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.waiters import Waiters


class WaitersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.waiters: Waiters[int] = Waiters()

    def test_all_get_the_answer(self) -> None:
        waiting = [self.waiters.wait() for _ in range(3)]
        self.assertEqual(len(self.waiters), 3)
        self.waiters.answer(7)
        self.assertEqual([self.successResultOf(one) for one in waiting], [7, 7, 7])
        self.assertEqual(len(self.waiters), 0)

    def test_a_failure_reaches_all(self) -> None:
        waiting = [self.waiters.wait() for _ in range(2)]
        self.waiters.answer(Failure(ZeroDivisionError("why")))
        for one in waiting:
            error = self.failureResultOf(one, ZeroDivisionError)
            self.assertEqual(str(error.value), "why")

    def test_one_who_leaves_disturbs_nobody(self) -> None:
        gone, stays = self.waiters.wait(), self.waiters.wait()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual(len(self.waiters), 1)
        self.waiters.answer(1)
        self.assertEqual(self.successResultOf(stays), 1)

    def test_unwanted_once_the_last_has_left(self) -> None:
        told: list[int] = []
        waiters: Waiters[int] = Waiters(lambda: told.append(len(told)))
        gone, last = waiters.wait(), waiters.wait()
        gone.addErrback(lambda _: None).cancel()
        self.assertEqual(told, [])
        last.addErrback(lambda _: None).cancel()
        self.assertEqual(told, [0])
        waiters.answer(1)
        self.assertEqual(told, [0])

    def test_who_comes_meanwhile_waits_for_the_next(self) -> None:
        late: list[Deferred[int]] = []
        self.waiters.wait().addCallback(lambda _: late.append(self.waiters.wait()))
        self.waiters.answer(1)
        self.assertNoResult(late[0])
        self.waiters.answer(2)
        self.assertEqual(self.successResultOf(late[0]), 2)

    def test_one_may_cancel_another(self) -> None:
        first = self.waiters.wait()
        second = self.waiters.wait()
        first.addCallback(lambda _: second.cancel())
        self.waiters.answer(1)
        self.failureResultOf(second, CancelledError)

    def test_no_longer_than_that(self) -> None:
        clock = Clock()
        waiting = self.waiters.wait_at_most(3, clock)
        clock.advance(3)
        self.assertIsNone(self.successResultOf(waiting))
        self.assertEqual(len(self.waiters), 0)
        again = self.waiters.wait_at_most(3, clock)
        self.waiters.answer(4)
        self.assertEqual(self.successResultOf(again), 4)
        self.assertEqual(clock.getDelayedCalls(), [])
