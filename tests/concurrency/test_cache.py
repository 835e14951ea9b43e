"""A cache forgets by weight, by age and by use, and by nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.cache import Cache


class CapacityTests(SynchronousTestCase):
    def test_least_recently_used_makes_room(self) -> None:
        cache: Cache[str, int] = Cache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        self.assertEqual(cache.get("a"), 1)
        cache.put("c", 3)
        self.assertIsNone(cache.get("b"))
        self.assertEqual((cache.get("a"), cache.get("c")), (1, 3))

    def test_by_weight(self) -> None:
        cache: Cache[str, bytes] = Cache(10, weigh=len)
        cache.put("a", b"12345")
        cache.put("b", b"12345")
        self.assertEqual(cache.weight, 10)
        cache.put("c", b"1")
        self.assertEqual((cache.weight, len(cache)), (6, 2))
        self.assertIsNone(cache.get("a"))

    def test_what_is_too_heavy_is_not_kept(self) -> None:
        cache: Cache[str, bytes] = Cache(3, weigh=len)
        cache.put("a", b"1")
        cache.put("a", b"1234")
        self.assertIsNone(cache.get("a"))
        self.assertEqual(cache.weight, 0)

    def test_clear(self) -> None:
        cache: Cache[str, int] = Cache(3)
        cache.put("a", 1)
        cache.clear()
        self.assertEqual((len(cache), cache.weight, cache.get("a")), (0, 0, None))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["put", "get", "drop"]),
                st.sampled_from("abcde"),
                st.binary(max_size=12),
            )
        )
    )
    def test_weight_is_that_of_what_is_kept(
        self, acts: list[tuple[str, str, bytes]]
    ) -> None:
        cache: Cache[str, bytes] = Cache(20, weigh=len)
        for act, key, value in acts:
            if act == "put":
                cache.put(key, value)
                self.assertEqual(cache.get(key), value)
            elif act == "get":
                cache.get(key)
            else:
                cache.drop(key)
            kept = [found for k in "abcde" if (found := cache.get(k)) is not None]
            self.assertEqual(cache.weight, sum(map(len, kept)))
            self.assertLessEqual(cache.weight, 20)


class AgeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.cache: Cache[str, int] = Cache(
            9, seconds=self.clock.seconds, lifetime=10.0
        )

    def test_forgets_what_is_old(self) -> None:
        self.cache.put("a", 1)
        self.clock.advance(9.9)
        self.assertEqual(self.cache.get("a"), 1)
        self.clock.advance(0.1)
        self.assertIsNone(self.cache.get("a"))
        self.assertEqual(len(self.cache), 0)

    def test_use_makes_nothing_younger(self) -> None:
        self.cache.put("a", 1)
        for _ in range(3):
            self.clock.advance(4)
            found = self.cache.get("a")
        self.assertIsNone(found)

    def test_a_lifetime_of_its_own(self) -> None:
        self.cache.put("a", 1, lifetime=2)
        self.clock.advance(2)
        self.assertIsNone(self.cache.get("a"))

    def test_a_clock_that_is_set_back(self) -> None:
        self.clock.advance(100)
        self.cache.put("a", 1)
        self.clock.rightNow = 50.0
        self.assertIsNone(self.cache.get("a"))

    def test_names_are_bounded(self) -> None:
        """So a cache tells which names an upstream did not have a moment ago."""
        absent: Cache[str, bool] = Cache(2, seconds=self.clock.seconds, lifetime=5.0)
        for name in "abc":
            absent.put(name, True)
        self.assertEqual([name in absent for name in "abc"], [False, True, True])
        self.clock.advance(5.0)
        self.assertNotIn("c", absent)

    def test_get_or_put(self) -> None:
        self.assertEqual(self.cache.get_or_put("a", lambda: 1), 1)
        self.assertEqual(self.cache.get_or_put("a", lambda: 2), 1)
        self.clock.advance(10)
        self.assertEqual(self.cache.get_or_put("a", lambda: 3), 3)
