"""What servers do by themselves once a day, each on the store that they share."""

from __future__ import annotations

from random import Random

from attrs import evolve
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.assembly.daily import make_daily
from pypicloud_tw.config.retention import Keeping, RetentionRule
from pypicloud_tw.errors import StoreError, Unavailable
from pypicloud_tw.index.audit import SERVER, Act
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance.daily import LOOK_EVERY, Daily
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.projects.stored_pruning import AdministeredPruning
from tests.maintenance.retention.doubles import PrunedIndex
from tests.web.doubles import Domain, started, stored_project

DAY = 86_400.0
RULES = (
    RetentionRule("ci", ("acme-*",), Keeping(releases=1), "daily"),
    RetentionRule("else", ("*",), Keeping(releases=1)),
)


class DailyJobsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.index = PrunedIndex()
        self.domain = self.index.domain
        self.records: list[Act] = []
        self.access = Access(Policy(AccessSettings()), ())
        for name in ("acme-tool", "acme-web", "else"):
            self.index.add(name, ("1.0", "2.0"))

    def serve(self, domain: Domain, seed: int = 1) -> Daily:
        """Have a server that runs until the test ends."""
        domain.publisher.audit = self.records.append
        pruning = AdministeredPruning.of(domain.index, RULES)
        metrics = Metrics(domain.clock)
        daily = make_daily(domain.index, self.access, pruning, metrics)
        daily.random = Random(seed)
        running = started(daily.run())
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self.addCleanup(running.cancel)
        return daily

    def pass_time(self, seconds: float) -> None:
        self.domain.clock.pump([30.0] * int(seconds / 30))

    def acts(self, name: str) -> list[str]:
        return [entry.act for entry in stored_project(self.domain.store, name).history]

    def test_one_of_two_servers_prunes_by_the_rules_that_are_daily(self) -> None:
        one, two = self.serve(self.domain), self.serve(self.domain.beside(), 2)
        self.pass_time(2 * LOOK_EVERY)
        self.assertEqual(self.index.versions("acme-tool"), ["2.0"])
        self.assertEqual(self.index.versions("else"), ["1.0", "2.0"])
        self.assertEqual([*one.runs, *two.runs].count("prune"), 1)
        self.assertEqual(
            [(one.actor, one.act, one.project) for one in self.records],
            [(SERVER, "pruned", "acme-tool"), (SERVER, "pruned", "acme-web")],
        )
        self.index.add("acme-tool", ("3.0",), days=0)
        self.pass_time(DAY)
        self.assertEqual(self.index.versions("acme-tool"), ["3.0"])
        self.assertEqual(self.acts("acme-tool"), ["pruned", "pruned"])

    def test_it_can_be_undone(self) -> None:
        self.serve(self.domain)
        self.pass_time(2 * LOOK_EVERY)
        work = started(self.domain.index.acts.undo(project_name("acme-tool")))
        self.domain.settle(work)
        self.successResultOf(work)
        self.assertEqual(self.index.versions("acme-tool"), ["1.0", "2.0"])

    def test_nothing_is_pruned_while_nothing_may_be_changed(self) -> None:
        settings = self.access.policy.settings
        self.access.obey(evolve(settings, read_only="We move."))
        self.serve(self.domain)
        self.pass_time(2 * LOOK_EVERY)
        self.assertEqual(self.records, [])
        self.access.obey(settings)
        self.pass_time(2 * LOOK_EVERY)
        self.assertEqual(self.index.versions("acme-tool"), ["2.0"])

    def test_what_a_quarantine_left_is_moved(self) -> None:
        """Its server was killed behind the swap."""
        acts = self.domain.index.acts

        def killed(step: str) -> None:
            if step == "quarantine:copied":
                raise StoreError("killed")

        self.domain.publisher.checkpoint = killed
        work = started(acts.set_status(project_name("acme-tool"), "quarantined"))
        self.domain.settle(work)
        self.failureResultOf(work, Unavailable)
        tool = stored_project(self.domain.store, "acme-tool")
        self.assertIsNotNone(tool.moving)
        self.domain.publisher.checkpoint = lambda step: None
        self.serve(self.domain)
        self.pass_time(2 * LOOK_EVERY)
        tool = stored_project(self.domain.store, "acme-tool")
        self.assertIsNone(tool.moving)
