"""Long work in pieces."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import Steps, at_once, batches


class FinishTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pieces = Pieces(self.clock, longest=1.0)
        self.done: list[int] = []

    def count(self, steps: int, seconds: float = 0.0) -> Steps[str]:
        """Take so many steps, of so many seconds each."""
        for number in range(steps):
            self.clock.rightNow += seconds
            self.done.append(number)
            yield
        return "done"

    def finish(self, steps: Steps[str]) -> Deferred[str]:
        return Deferred.fromCoroutine(self.pieces.finish(steps))

    def test_what_is_quick_makes_nobody_wait(self) -> None:
        self.assertEqual(self.successResultOf(self.finish(self.count(1000))), "done")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_slow_lets_others_have_their_turns(self) -> None:
        turns: list[int] = []

        def others() -> None:
            turns.append(len(self.done))
            if not waiting.called:
                self.clock.callLater(0, others)

        waiting = self.finish(self.count(7, seconds=0.5))
        self.assertEqual(self.done, [0, 1])
        self.clock.callLater(0, others)
        self.clock.advance(0)
        self.assertEqual(turns, [4, 6, 7])
        self.assertEqual(self.successResultOf(waiting), "done")
        self.assertEqual(self.done, list(range(7)))

    def test_what_fails_does_so_early_and_late(self) -> None:
        def failing(after: int) -> Steps[str]:
            yield from self.count(after, seconds=0.5)
            raise KeyError("no such piece")

        self.failureResultOf(self.finish(failing(0)), KeyError)
        late = self.finish(failing(5))
        self.assertNoResult(late)
        self.clock.pump([0] * 5)
        self.failureResultOf(late, KeyError)

    def test_at_once(self) -> None:
        self.assertEqual(at_once(self.count(7, seconds=5)), "done")


class BatchesTests(SynchronousTestCase):
    def test_all_are_in_order(self) -> None:
        self.assertEqual(list(batches(range(5), 2)), [[0, 1], [2, 3], [4]])
        self.assertEqual(list(batches((), 2)), [])
