"""Long collections are made short, and nothing is left for good."""

from __future__ import annotations

import gc
from weakref import ref

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.garbage import EVERYTHING_EVERY, LONGEST, ShortCollections


class Ring:
    """An object that only a collection ends."""

    def __init__(self) -> None:
        self.itself = self


class ShortCollectionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        #: What the thread will have taken, each time that it is asked.
        self.work = 0.0
        self.worked = 0.0
        collections = ShortCollections(lambda: self.now, self.take)
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        collections.start()
        self.addCleanup(gc.unfreeze)
        self.addCleanup(collections.stop)

    def take(self) -> float:
        self.worked += self.work
        return self.worked

    def test_what_was_there_is_put_aside(self) -> None:
        self.assertGreater(gc.get_freeze_count(), 0)

    def test_what_a_long_collection_left_is_looked_at_no_more(self) -> None:
        before = gc.get_freeze_count()
        ring = Ring()
        self.work = LONGEST * 2
        gc.collect()
        self.assertGreater(gc.get_freeze_count(), before)
        left = ref(ring)
        del ring
        gc.collect()
        self.assertIsNotNone(left())

    def test_a_short_one_changes_nothing(self) -> None:
        gc.collect()
        ring = Ring()
        self.work = LONGEST / 2
        gc.collect()
        left = ref(ring)
        del ring
        gc.collect()
        self.assertIsNone(left())

    def test_younger_generations_are_left_alone(self) -> None:
        before = gc.get_freeze_count()
        kept = [Ring() for _ in range(1000)]
        self.work = LONGEST * 2
        gc.collect(1)
        self.assertLessEqual(gc.get_freeze_count(), before)
        self.assertEqual(len(kept), 1000)

    def test_once_a_day_everything_is_looked_at(self) -> None:
        ring = Ring()
        self.work = LONGEST * 2
        gc.collect()
        left = ref(ring)
        del ring
        self.now += EVERYTHING_EVERY - 1
        gc.collect()
        self.assertIsNotNone(left())
        self.now += 1
        gc.collect()
        self.assertIsNone(left())
        before = gc.get_freeze_count()
        self.assertGreater(before, 0)
