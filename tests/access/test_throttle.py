"""Failures are slowed, and nobody locks another out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.throttle import Buckets, Throttle, network
from pypicloud_tw.errors import TooManyRequests
from tests.doubles import Siblings


class NetworkTests(SynchronousTestCase):
    def test_what_counts_as_one_client(self) -> None:
        for client, counts_as in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("unix", "unix"),
            ("", ""),
            ("x" * 1000, "x" * 64),
        ]:
            self.assertEqual(network(client), counts_as)


class BucketsTests(SynchronousTestCase):
    def test_burst_then_rate(self) -> None:
        buckets = Buckets(burst=3, every=10)
        for _ in range(3):
            self.assertEqual(buckets.until_room("k", 100), 0)
            buckets.charge("k", 100)
        self.assertEqual(buckets.until_room("k", 100), 10)
        self.assertEqual(buckets.until_room("k", 104), 6)
        self.assertEqual(buckets.until_room("k", 110), 0)
        self.assertEqual(buckets.until_empty("k", 110), 20)
        self.assertEqual(buckets.until_empty("other", 110), 0)

    def test_refund(self) -> None:
        buckets = Buckets(burst=1, every=10)
        buckets.charge("k", 0)
        buckets.refund("k", 1)
        self.assertEqual(buckets.until_empty("k", 1), 0)
        buckets.refund("k", 1)
        self.assertEqual(buckets.until_empty("k", 1), 0)

    def test_bounded_and_oldest_charge_goes_first(self) -> None:
        buckets = Buckets(burst=1, every=10, limit=2)
        for key in ("a", "b", "a", "c"):
            buckets.charge(key, 0)
        self.assertGreater(buckets.until_room("a", 0), 0)
        self.assertEqual(buckets.until_room("b", 0), 0)
        self.assertGreater(buckets.until_room("c", 0), 0)

    def test_clock_set_back(self) -> None:
        buckets = Buckets(burst=2, every=10)
        buckets.charge("k", 1_000_000)
        self.assertLessEqual(buckets.until_room("k", 0), 20)

    @given(
        st.lists(st.floats(0, 50), max_size=60),
        st.integers(1, 5),
        st.floats(0.5, 20),
    )
    def test_never_more_than_burst_and_rate(
        self, pauses: list[float], burst: int, every: float
    ) -> None:
        buckets, now, allowed = Buckets(burst, every), 0.0, 0
        for pause in pauses:
            now += pause
            if buckets.until_room("k", now) == 0:
                buckets.charge("k", now)
                allowed += 1
        self.assertLessEqual(allowed, burst + now / every + 1e-6)


class ThrottleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.throttle = Throttle(self.clock.seconds, failures=3, every=30)

    def fail_log_ins(self, times: int, user: str, client: str) -> None:
        for _ in range(times):
            self.throttle.admit(user, client).end(False)

    def refused(self, user: str, client: str) -> TooManyRequests:
        with self.assertRaises(TooManyRequests) as caught:
            self.throttle.admit(user, client)
        error: TooManyRequests = caught.exception
        return error

    def test_one_user_from_one_client(self) -> None:
        self.fail_log_ins(3, "ann", "192.0.2.1")
        error = self.refused("ann", "192.0.2.1")
        self.assertEqual(error.status, 429)
        self.assertEqual(error.headers, {"Retry-After": "30"})
        self.assertIn("try again in 30 seconds", error.message)
        self.clock.advance(30)
        self.fail_log_ins(1, "ann", "192.0.2.1")
        self.refused("ann", "192.0.2.1")

    def test_what_is_under_way_counts(self) -> None:
        attempts = [self.throttle.admit("ann", "192.0.2.1") for _ in range(3)]
        self.refused("ann", "192.0.2.1")
        attempts[0].end(None)
        attempts[1].end(True)
        self.throttle.admit("ann", "192.0.2.1")

    def test_right_passwords_cost_nothing(self) -> None:
        for n in range(1000):
            self.throttle.admit(f"user{n % 7}", "192.0.2.1").end(True)

    def test_others_are_not_slowed(self) -> None:
        self.fail_log_ins(3, "ann", "192.0.2.1")
        self.throttle.admit("bob", "192.0.2.1")
        self.throttle.admit("ann", "192.0.2.2")

    def test_one_client_and_many_users(self) -> None:
        for n in range(30):
            self.fail_log_ins(1, f"user{n}", "192.0.2.1")
        error = self.refused("another", "192.0.2.1")
        self.assertEqual(error.retry_after, 3)
        self.throttle.admit("another", "192.0.2.2")

    def test_one_customer_of_ipv6_is_one_client(self) -> None:
        for n in range(3):
            self.fail_log_ins(1, "ann", f"2001:db8::{n}")
        self.refused("ann", "2001:db8::ffff")
        self.throttle.admit("ann", "2001:db8:0:1::1")

    def test_neighbours_of_a_guesser_who_logged_in_before(self) -> None:
        self.throttle.admit("ann", "192.0.2.1").end(True)
        for n in range(30):
            self.fail_log_ins(1, f"user{n}", "192.0.2.1")
        self.refused("bob", "192.0.2.1")
        self.throttle.admit("ann", "192.0.2.1").end(True)

    def test_guesses_from_many_addresses(self) -> None:
        self.throttle.admit("ann", "192.0.2.1").end(True)
        for n in range(30):
            self.fail_log_ins(1, "ann", f"198.51.100.{n}")
        # An address that has failed once is done ...
        error = self.refused("ann", "198.51.100.0")
        self.assertEqual(error.retry_after, 30)
        # ... a new one has its attempt, and where ann is known she has all of hers.
        self.fail_log_ins(1, "ann", "203.0.113.1")
        self.refused("ann", "203.0.113.1")
        self.fail_log_ins(2, "ann", "192.0.2.1")
        self.throttle.admit("ann", "192.0.2.1").end(True)
        # Others are not concerned.
        self.fail_log_ins(2, "bob", "198.51.100.0")

    def test_known_address_is_still_slowed_for_its_own_failures(self) -> None:
        self.throttle.admit("ann", "192.0.2.1").end(True)
        self.fail_log_ins(3, "ann", "192.0.2.1")
        self.refused("ann", "192.0.2.1")

    def test_adjusted_rules_hold_at_once(self) -> None:
        self.fail_log_ins(3, "ann", "192.0.2.1")
        self.throttle.adjust(failures=5, every=60)
        self.fail_log_ins(3, "ann", "192.0.2.1")
        self.refused("ann", "192.0.2.1")
        self.throttle.adjust(failures=1, every=10)
        self.assertLessEqual(self.refused("ann", "192.0.2.1").retry_after, 10)


class SiblingsTests(SynchronousTestCase):
    def test_what_fails_at_one_process_counts_at_all(self) -> None:
        """Else several would let through as many times as much."""
        siblings, clock = Siblings(), Clock()
        one, two = (
            Throttle(clock.seconds, failures=4, siblings=siblings) for _ in range(2)
        )
        one.admit("ann", "192.0.2.1").end(right=False)
        self.assertEqual(siblings.posted, [("failed attempts", ("ann", "192.0.2.1"))])
        for _ in range(3):
            two.admit("ann", "192.0.2.1")
        self.assertRaises(TooManyRequests, two.admit, "ann", "192.0.2.1")

    def test_what_is_right_is_told_to_nobody(self) -> None:
        siblings = Siblings()
        throttle = Throttle(Clock().seconds, siblings=siblings)
        throttle.admit("ann", "192.0.2.1").end(right=True)
        throttle.admit("ann", "192.0.2.1").end(right=None)
        self.assertEqual(siblings.posted, [])
