"""Many short works that come at once."""

from __future__ import annotations

from functools import partial

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.pieces import SLICE
from pypicloud_tw.concurrency.slices import Place, Slices


class SlicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.slices = Slices(self.clock)
        self.done: list[int] = []

    def work(self, number: int, seconds: float) -> None:
        began = self.clock.seconds()
        self.done.append(number)
        self.clock.rightNow += seconds
        self.slices.spend(began)

    def come(self, number: int, seconds: float) -> Place | None:
        """Do something, now or later."""
        if self.slices.over:
            return self.slices.wait(partial(self.work, number, seconds))
        self.work(number, seconds)
        return None

    def test_few_do_not_wait(self) -> None:
        for number in range(10):
            self.come(number, SLICE / 2)
            self.clock.rightNow += SLICE
        self.assertEqual(self.done, list(range(10)))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def turns(self, others: float = 0.0) -> list[int]:
        """Tell how much is done after each turn, others having so many seconds."""
        turns: list[int] = []

        def next_turn() -> None:
            turns.append(len(self.done))
            self.clock.rightNow += others
            if self.slices.over:
                self.clock.callLater(0, next_turn)

        self.clock.callLater(0, next_turn)
        self.clock.advance(0)
        return turns

    def test_many_wait_for_others(self) -> None:
        for number in range(10):
            self.come(number, SLICE * 0.4)
        self.assertEqual(self.done, [0, 1, 2])
        self.assertEqual(self.turns(), [6, 9, 10])
        self.assertEqual(self.done, list(range(10)))

    def test_who_comes_later_waits_behind_who_waits(self) -> None:
        self.come(0, SLICE * 2)
        self.slices.wait(lambda: self.assertIsNotNone(self.come(2, 0)))
        self.come(1, 0)
        self.clock.advance(0)
        self.assertEqual(self.done, [0, 1, 2])

    def test_longer_where_others_take_long(self) -> None:
        for number in range(20):
            self.come(number, SLICE * 0.45)
        self.assertEqual(self.turns(others=1.0), [6, 11, 16, 20])

    def test_do(self) -> None:
        def work(number: int) -> None:
            self.done.append(number)
            self.clock.rightNow += SLICE * 0.6

        for number in range(5):
            self.slices.do(partial(work, number))
        self.assertEqual(self.done, [0, 1])
        self.assertEqual(self.turns(), [4, 5])
        with self.assertRaises(self.failureException):
            self.slices.do(self.fail)
        self.assertFalse(self.slices.over)

    def test_given_up(self) -> None:
        self.come(0, SLICE * 2)
        place = self.come(1, 0)
        self.come(2, 0)
        assert place is not None
        place.cancel()
        self.clock.advance(0)
        self.assertEqual(self.done, [0, 2])

    def test_what_fails_keeps_nobody_waiting(self) -> None:
        self.come(0, SLICE * 2)
        self.slices.wait(partial(self.fail, "as it is meant to"))
        self.come(2, 0)
        self.clock.advance(0)
        self.assertEqual(self.done, [0, 2])
        self.assertEqual(len(self.flushLoggedErrors(self.failureException)), 1)

    def test_a_clock_that_is_set_back(self) -> None:
        self.come(0, SLICE * 2)
        self.come(1, 0)
        self.clock.rightNow -= 1000
        self.come(2, 0)
        self.clock.advance(0)
        self.assertEqual(self.done, [0, 1, 2])
