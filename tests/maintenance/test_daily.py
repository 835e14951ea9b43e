"""Once a day, by one of all servers, whatever becomes of that one."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import AmbiguousWrite, StoreError
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.maintenance.daily import (
    ENDS_AFTER,
    FOLDER,
    KEPT,
    LOOK_EVERY,
    RENEW_EVERY,
    Daily,
    DailyJob,
    sweep_claims,
)
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload
from tests.web.doubles import new_clock, started

DAY = 86_400.0
#: No pause between two looks is longer.
LONGEST = 1.5 * LOOK_EVERY


@define
class Server:
    """One process; what its job does is decided by the test."""

    clock: Clock
    store: MemoryStore
    seed: int
    work: Callable[[], Deferred[str]] | None = None
    due: bool = True
    done: int = 0
    standing: Standing = field(factory=Standing)
    daily: Daily = field(init=False)
    running: Deferred[None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        job = DailyJob("prune", lambda: self.due, self._do)
        random = Random(self.seed)
        self.daily = Daily(self.store, self.standing, self.clock, [job], random)
        self.running = started(self.daily.run())
        self.running.addErrback(lambda failure: failure.trap(CancelledError) and None)

    async def _do(self) -> str:
        self.done += 1
        return "all is well" if self.work is None else await self.work()

    def stop(self) -> None:
        self.running.cancel()

    def kill(self) -> None:
        """End it without its hearing of that: nothing of it reaches the store."""
        self.store = MemoryStore(InlineOffload())
        self.daily.store = self.store
        self.running.cancel()


class DailyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = new_clock()
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)

    def server(self, seed: int = 1) -> Server:
        server = Server(self.clock, self.store, seed)
        self.addCleanup(server.stop)
        return server

    def pass_time(self, seconds: float, step: float = 60) -> None:
        self.clock.pump([step] * int(seconds / step))

    def states(self) -> list[str]:
        found = sorted(key for key in self.store.objects if key.startswith(FOLDER))
        return [json.loads(self.store.objects[key].data)["state"] for key in found]

    def test_one_of_three_does_it_each_day(self) -> None:
        servers = [self.server(seed) for seed in range(3)]
        for days in range(1, 4):
            self.pass_time(LONGEST if days == 1 else DAY)
            self.assertEqual(sum(one.done for one in servers), days)
        self.assertEqual(self.states(), ["done"] * 3)

    def test_it_is_claimed_and_looked_at_no_more_than_needed(self) -> None:
        self.server()
        self.pass_time(DAY / 2)
        self.assertEqual([call for call, _ in self.store.calls], ["get", "put", "put"])

    def test_what_is_not_due_costs_no_request(self) -> None:
        server = self.server()
        server.due = False
        self.pass_time(DAY)
        self.assertEqual(self.store.calls, [])

    def test_a_long_one_is_renewed_and_nobody_else_begins(self) -> None:
        one = self.server(1)
        one.work = Deferred
        self.pass_time(LONGEST)
        two = self.server(2)
        self.pass_time(4 * ENDS_AFTER)
        self.assertEqual((one.done, two.done), (1, 0))
        self.assertEqual(self.states(), ["running"])

    def test_another_takes_over_from_one_that_was_killed(self) -> None:
        one = self.server(1)
        one.work = Deferred
        self.pass_time(LONGEST)
        one.kill()
        two = self.server(2)
        self.pass_time(ENDS_AFTER - 2 * RENEW_EVERY)
        self.assertEqual(two.done, 0)
        self.pass_time(2 * RENEW_EVERY + LONGEST)
        self.assertEqual(two.done, 1)
        self.assertEqual(self.states(), ["done"])

    def test_another_goes_on_at_once_where_one_was_stopped(self) -> None:
        one = self.server(1)
        one.work = Deferred
        self.pass_time(LONGEST)
        one.stop()
        self.assertEqual(self.states(), ["left"])
        two = self.server(2)
        self.pass_time(LONGEST)
        self.assertEqual(two.done, 1)

    def test_one_that_was_taken_over_stops(self) -> None:
        """It was frozen, or the store was away from it, for long."""
        ended: list[str] = []
        one = self.server(1)
        one.work = lambda: Deferred(lambda work: ended.append("cancelled"))
        self.pass_time(LONGEST)
        (key,) = (key for key in self.store.objects if key.startswith(FOLDER))
        other = json.dumps({"_format": 1, "server": "other", "state": "running"})
        self.successResultOf(started(self.store.put(key, other.encode())))
        self.pass_time(RENEW_EVERY)
        self.assertEqual(ended, ["cancelled"])
        self.assertEqual(self.states(), ["running"])
        self.assertIn(b"other", self.store.objects[key].data)

    def test_a_failure_is_logged_once_and_tried_again_tomorrow(self) -> None:
        def fail() -> Deferred[str]:
            raise StoreError("The store is away.")

        one, two = self.server(1), self.server(2)
        one.work = two.work = fail
        self.pass_time(3 * LONGEST)
        self.assertEqual(one.done + two.done, 1)
        self.assertEqual(self.states(), ["failed"])
        one.work = two.work = None
        self.pass_time(DAY)
        self.assertEqual(one.done + two.done, 2)
        self.assertEqual(self.states(), ["failed", "done"])

    def test_a_mistake_of_ours_does_not_end_it(self) -> None:
        server = self.server()
        server.work = lambda: 1 // 0  # type: ignore[assignment]  # a bug
        self.pass_time(LONGEST)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        server.work = None
        self.pass_time(DAY)
        self.assertEqual(self.states(), ["failed", "done"])
        self.assertEqual(server.daily.failures, 1)

    def test_while_the_store_is_away_it_waits(self) -> None:
        server = self.server()
        self.store.fail_next("get", StoreError("away"))
        self.pass_time(LONGEST)
        self.pass_time(LONGEST)
        self.assertEqual(server.done, 1)

    def test_a_claim_whose_answer_was_lost_is_its_own(self) -> None:
        server = self.server()
        lost: list[str] = []

        def lose(operation: str, key: str) -> None:
            if operation == "put" and not lost:
                lost.append(key)
                raise AmbiguousWrite("lost")

        self.store.after = lose
        self.pass_time(LONGEST)
        self.assertEqual((server.done, self.states()), (0, ["running"]))
        self.pass_time(LONGEST)
        self.assertEqual((server.done, self.states()), (1, ["done"]))

    def test_a_renewal_whose_answer_was_lost_keeps_the_claim(self) -> None:
        server = self.server()
        work: Deferred[str] = Deferred()
        server.work = lambda: work
        self.pass_time(LONGEST)
        lost: list[str] = []

        def lose(operation: str, key: str) -> None:
            if operation == "put" and not lost:
                lost.append(key)
                raise StoreError("lost")

        self.store.after = lose
        self.pass_time(2 * RENEW_EVERY)
        self.assertEqual(len(lost), 1)
        work.callback("done")
        self.assertEqual(self.states(), ["done"])

    def test_who_may_not_change_anything_does_not_look(self) -> None:
        server = self.server()
        server.standing.wait("not ready")
        self.pass_time(2 * LONGEST)
        self.assertEqual((server.done, self.store.calls), (0, []))
        server.standing.open(None)
        self.pass_time(LONGEST)
        self.assertEqual(server.done, 1)

    def test_what_is_damaged_is_taken_over(self) -> None:
        server = self.server()
        today = "2026-03-01"
        work = self.store.put(f"{FOLDER}prune/{today}", b"[]")
        self.successResultOf(started(work))
        self.pass_time(ENDS_AFTER + LONGEST)
        self.assertEqual((server.done, self.states()), (1, ["done"]))

    def test_old_ones_are_swept(self) -> None:
        self.server()
        self.pass_time((KEPT + 3) * DAY, step=900)
        self.assertEqual(len(self.states()), KEPT + 4)
        now = self.store.objects[f"{FOLDER}prune/2026-03-11"].info.modified
        sweep = started(sweep_claims(self.store, now, dry_run=True))
        old = self.successResultOf(sweep)
        self.assertEqual(len(old), 3)
        self.assertEqual(len(self.states()), KEPT + 4)
        self.successResultOf(started(sweep_claims(self.store, now)))
        self.assertEqual(len(self.states()), KEPT + 1)

    def test_metrics(self) -> None:
        server = self.server()
        metrics = Metrics(self.clock)
        server.daily.register(metrics)
        self.assertIn(b"daily_prune_timestamp_seconds 0.0", metrics.render())
        self.pass_time(LONGEST)
        shown = metrics.render()
        self.assertNotIn(b"daily_prune_timestamp_seconds 0.0", shown)
        self.assertIn(b"pypicloud_daily_failures_total 0.0", shown)
