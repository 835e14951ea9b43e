"""A flood of refusals is told, and does not fill a disk."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.refusals import CLIENTS, OF_ALL, OF_ONE, Refusals
from pypicloud_tw.index.audit import Act, Actor


def refused(address: str = "192.0.2.1", name: str | None = None) -> Act:
    return Act(Actor(name, address=address), "log-in", outcome="refused")


class RefusalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[Act] = []
        self.refusals = Refusals(self.told.append, self.clock)

    def test_a_few_of_a_client_one_by_one(self) -> None:
        for _ in range(1000):
            self.refusals(refused())
        self.assertEqual(self.told, [refused()] * OF_ONE)
        self.clock.advance(60)
        [last] = self.told[OF_ONE:]
        self.assertEqual(last.reason, "995 more within 60 s")
        self.assertEqual(last.actor.address, "192.0.2.1")
        self.refusals(refused())
        self.assertEqual(self.told[-1], refused())

    def test_nothing_more_is_nothing_told(self) -> None:
        self.refusals(refused())
        self.clock.advance(60)
        self.assertEqual(self.told, [refused()])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_client_does_not_hide_another(self) -> None:
        for _ in range(100):
            self.refusals(refused())
        for other in (refused("192.0.2.2"), refused(name="ann")):
            self.refusals(other)
            self.assertIs(self.told[-1], other)

    def test_many_clients(self) -> None:
        count = 5000
        for number in range(count):
            self.refusals(refused(f"2001:db8:0:{number:x}::1"))
        self.assertEqual(len(self.told), OF_ALL)
        self.clock.advance(60)
        self.assertEqual(len(self.told), OF_ALL + CLIENTS + 1)
        self.assertEqual(
            self.told[-1].reason, f"{count - OF_ALL - CLIENTS} more within 60 s"
        )

    def test_one_customer_is_one_client(self) -> None:
        for number in range(100):
            self.refusals(refused(f"2001:db8::{number:x}"))
        self.assertEqual(len(self.told), OF_ONE)

    def test_no_more_than_is_said(self) -> None:
        for number in range(3000):
            for _ in range(1 + number % 9):
                self.refusals(refused(f"198.51.{number >> 8}.{number & 255}"))
        self.clock.advance(60)
        self.assertLessEqual(len(self.told), 701)

    def test_the_end(self) -> None:
        for _ in range(7):
            self.refusals(refused())
        self.refusals.close()
        self.assertEqual(self.told[-1].reason, "2 more within 60 s")
        self.assertEqual(self.clock.getDelayedCalls(), [])
