from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.projects.administered import WAITING, AdministeredProjects
from tests.web.doubles import Domain, started


class TurnTests(SynchronousTestCase):
    """What looks through everything is done a few at a time."""

    def setUp(self) -> None:
        self.domain = Domain()
        self.administered = AdministeredProjects(self.domain.index)
        self.begun: list[str] = []
        self.ended: list[Any] = []

    def look(self, client: str) -> None:
        """Begin to look for one; its second step takes a while."""

        def steps() -> Steps[str]:
            self.begun.append(client)
            yield
            self.domain.clock.rightNow += 1
            yield
            return client

        looking = started(self.administered.look_through(steps(), client))
        looking.addBoth(self.ended.append)

    def test_one_of_each_client_at_a_time(self) -> None:
        for client in ("a", "a", "b", "c"):
            self.look(client)
        self.assertEqual(self.begun, ["a", "b"])
        self.domain.clock.pump([0.1] * 10)
        self.assertEqual(sorted(self.ended), ["a", "a", "b", "c"])

    def test_who_has_the_most_places_is_refused_one(self) -> None:
        for _ in range(WAITING + 2):
            self.look("a")
        (refused,) = self.ended
        self.assertIsInstance(refused, Failure)
        self.assertIsInstance(refused.value, Unavailable)
        self.look("b")
        self.assertIn("b", self.begun)
