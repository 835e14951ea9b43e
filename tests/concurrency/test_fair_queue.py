"""A queue in which nobody waits for those who want too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.fair_queue import Asker, FairQueue, QueueFullError

ALICE, BOB = "alice", "bob"


class TurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns = FairQueue(free=1, queue=64)
        self.entered: list[object] = []
        self.enter("first", "elsewhere", "somebody")

    def enter(
        self, what: object, client: str, user: str, *, known: bool = False
    ) -> Deferred[None]:
        """Wait for a turn; *what* is noted when it comes."""
        entered = Deferred.fromCoroutine(self.turns.enter(Asker(client, user, known)))
        entered.addCallback(lambda _: self.entered.append(what))
        return entered.addErrback(lambda failure: failure.trap(QueueFullError) and None)

    def leave(self, times: int) -> list[object]:
        """End so many turns, and tell whose were next."""
        before = len(self.entered)
        for _ in range(times):
            self.turns.leave()
        return self.entered[before:]

    def test_in_order(self) -> None:
        for n in range(3):
            self.enter(n, "here", ALICE)
        self.assertEqual(self.leave(3), [0, 1, 2])
        self.assertEqual(self.leave(1), [])
        self.enter("later", "here", ALICE)
        self.assertEqual(self.entered[-1], "later")

    def test_a_bound_for_each(self) -> None:
        """Nobody has all turns; those that are left are for others who come."""
        self.turns, self.entered = FairQueue(free=2, queue=9, each=1), []
        alice, bob = Asker("here", ALICE), Asker("there", BOB)
        for n in range(3):
            self.enter(n, "here", ALICE)
        self.assertEqual(self.entered, [0])
        self.enter("bob", "there", BOB)
        self.assertEqual(self.entered, [0, "bob"])
        self.turns.leave(bob)
        self.assertEqual(self.entered, [0, "bob"])
        self.enter("again", "there", BOB)
        self.enter("waits", "there", BOB)
        self.assertEqual(self.entered[2:], ["again"])
        self.turns.leave(alice)
        self.turns.leave(bob)
        self.assertEqual(self.entered[3:], [1, "waits"])
        for asker in (bob, alice, alice):
            self.turns.leave(asker)
        self.assertEqual((self.entered[5:], self.turns.free), ([2], 2))

    def test_client_with_many_names(self) -> None:
        for n in range(60):
            self.enter(n, "here", f"user{n}")
        self.leave(1)
        self.enter("honest", "there", BOB)
        self.assertIn("honest", self.leave(2))

    def test_user_from_many_clients(self) -> None:
        for n in range(60):
            self.enter(n, f"10.0.0.{n}", ALICE)
        self.leave(1)
        self.enter("honest", "there", BOB)
        self.assertIn("honest", self.leave(2))

    def test_the_same_user_from_elsewhere(self) -> None:
        for n in range(60):
            self.enter(n, "here", ALICE if n % 2 else f"user{n}")
        self.leave(1)
        self.enter("honest", "there", ALICE)
        self.assertIn("honest", self.leave(3))

    def test_known_before_strangers(self) -> None:
        for n in range(60):
            self.enter(n, f"10.0.0.{n}", f"user{n}")
        self.enter("known", "there", ALICE, known=True)
        self.assertEqual(self.leave(1), ["known"])

    def test_clients_take_turns(self) -> None:
        for n in range(3):
            for client in "abc":
                self.enter(client, client, f"{client}{n}")
        order = "".join(map(str, self.leave(9)))
        for start in (0, 3, 6):
            self.assertEqual(set(order[start : start + 3]), set("abc"))

    def test_full(self) -> None:
        """Whoever has the most gives up the newest place."""
        kept = [self.enter(n, "here", f"user{n}") for n in range(64)]
        bob = self.enter("honest", "there", BOB)
        self.assertNoResult(bob)
        self.assertNoResult(kept[62])
        self.assertIsNone(self.successResultOf(kept[63]))
        self.assertIsNone(self.successResultOf(self.enter(64, "here", "more")))
        self.assertIn("honest", self.leave(2))

    def test_full_of_one_user(self) -> None:
        kept = [self.enter(n, f"10.0.0.{n}", ALICE) for n in range(64)]
        self.assertNoResult(self.enter("honest", "there", BOB))
        self.assertIsNone(self.successResultOf(kept[63]))

    def test_full_keeps_known(self) -> None:
        for n in range(64):
            self.enter(n, "here", f"user{n}", known=n < 60)
        self.assertNoResult(self.enter("stranger", "there", BOB))
        self.assertEqual(self.leave(60), list(range(60)))

    def test_hung_up(self) -> None:
        entered = Deferred.fromCoroutine(self.turns.enter(Asker("a", "b", False)))
        self.enter("next", "here", ALICE)
        entered.cancel()
        self.failureResultOf(entered, CancelledError)
        self.assertEqual(self.leave(1), ["next"])

    @given(
        st.lists(
            st.one_of(
                st.none(),
                st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()),
            ),
            max_size=60,
        )
    )
    def test_never_more_than_may_and_nobody_forgotten(
        self, steps: list[tuple[int, int, bool] | None]
    ) -> None:
        self.turns, self.entered = FairQueue(free=2, queue=5), []
        asked = running = 0
        results: list[Deferred[None]] = []
        for step in steps:
            if step is None:
                if running < len(self.entered):
                    running += 1
                    self.turns.leave()
            else:
                client, user, known = step
                results.append(self.enter(asked, f"{client}", f"{user}", known=known))
                asked += 1
            self.assertLessEqual(len(self.entered) - running, 2)
            self.assertLessEqual(sum(not r.called for r in results), 5)
        while running < len(self.entered):
            running += 1
            self.turns.leave()
        self.assertTrue(all(result.called for result in results))
