"""Prunes are the same in the index itself and through its server; rights decide."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.basic import Login
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.client.pruning import RemotePruning
from pypicloud_tw.config.load import load_settings
from pypicloud_tw.config.retention import Keeping, RetentionRule
from pypicloud_tw.errors import BadRequest, Forbidden, PypicloudError, Unauthorized
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance.retention.plan import Plan, PlannedRelease
from pypicloud_tw.projects.pruning import (
    MOST_PATTERNS,
    MOST_PROJECTS,
    SENT,
    PlanQuestion,
    PruneOrder,
    PruningAdministration,
    apply_plan,
    make_plan,
)
from pypicloud_tw.projects.stored_pruning import AdministeredPruning, StoredPruning
from tests.maintenance.retention.doubles import PrunedIndex
from tests.web.api.doubles import WebAgent
from tests.web.doubles import HASH, Web, basic, stored_project

T = TypeVar("T")

RULES = (
    RetentionRule("acme", ("acme-*", "secret-*"), Keeping(releases=1)),
    RetentionRule("core", ("acme-core",), Keeping()),
)
INI = {
    "auth.admins": "root",
    "pypi.allow_delete_groups": "authenticated",
    "package.acme-*.user.ann": "rw",
    "package.secret-*.user.ann": "r",
}
ONE = Keeping(releases=1)


class PruningCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.index = PrunedIndex()
        self.domain = self.index.domain
        for name in ("acme-core", "acme-tool", "acme-web", "else", "secret-x"):
            self.index.add(name, ("1.0", "1.1", "2.0"))
        self.pruning = self.make()

    def make(self) -> PruningAdministration:
        raise NotImplementedError

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        waiting = Deferred.fromCoroutine(work)
        self.domain.settle(waiting)
        return self.successResultOf(waiting)

    def refused(
        self, kind: type[PypicloudError], work: Coroutine[Any, Any, Any]
    ) -> str:
        waiting = Deferred.fromCoroutine(work)
        self.domain.settle(waiting)
        failure = self.failureResultOf(waiting, PypicloudError)
        self.assertIsInstance(failure.value, kind)
        return str(failure.value)

    def plan(self, *patterns: str, keep: Keeping | None = None) -> Plan:
        question = PlanQuestion(patterns, keep)
        return self.wait(make_plan(self.pruning, question, lambda looked_at: None))


class PruningSuite(PruningCase):
    """What is true wherever it is done; whoever does it may delete of acme-*."""

    def test_by_the_rules_of_the_ini(self) -> None:
        plan = self.plan("acme-*")
        self.assertEqual(
            [one.project for one in plan.projects], ["acme-tool", "acme-web"]
        )
        self.assertEqual([rule.name for rule in plan.rules], ["core", "acme"])
        self.assertEqual(plan.totals.looked_at, 3)
        self.assertEqual((plan.totals.releases, plan.totals.size), (4, 28))
        self.assertEqual(self.plan("acme-tool", "acme-not").projects, plan.projects[:1])

    def test_by_numbers(self) -> None:
        plan = self.plan("Acme_Core", keep=Keeping(releases=2))
        (project,) = plan.projects
        self.assertEqual(project.reason, "retention as asked: keep_releases = 2")
        self.assertEqual([one.version for one in project.releases], ["1.0"])

    def test_what_cannot_be_asked(self) -> None:
        for question, part in (
            (PlanQuestion(keep=ONE), "'*' stands for all"),
            (PlanQuestion(("acme-*",), Keeping()), "nothing would ever go"),
            (PlanQuestion(("acme-*",), Keeping(0)), "keep.releases = 0"),
            (PlanQuestion(("a/b",)), "neither a name nor a pattern"),
            (PlanQuestion(("acme-*",) * (MOST_PATTERNS + 1)), "at most"),
        ):
            sentence = self.refused(BadRequest, self.pruning.plan(question))
            self.assertIn(part, sentence)

    def test_carried_out_and_undone(self) -> None:
        plan = self.plan("acme-*", keep=ONE)
        self.index.add("acme-web", ("3.0",))
        applied = self.wait(apply_plan(self.pruning, plan.projects, lambda done: None))
        outcomes = {one.project: one.outcome for one in applied}
        self.assertEqual(
            outcomes,
            {"acme-core": "pruned", "acme-tool": "pruned", "acme-web": "changed"},
        )
        self.assertEqual(self.index.versions("acme-tool"), ["2.0"])
        self.assertEqual(len(self.index.versions("acme-web")), 4)
        entry = stored_project(self.domain.store, "acme-tool").history[-1]
        self.assertEqual((entry.act, entry.who), ("pruned", "ann"))
        undo = self.domain.index.acts.undo
        for one in applied:
            if one.act is not None:
                self.wait(undo(project_name(one.project), one.act))
        self.assertEqual(self.index.versions("acme-tool"), ["1.0", "1.1", "2.0"])

    def test_orders_that_are_none(self) -> None:
        plan = self.plan("acme-tool", keep=ONE).projects
        many = tuple(
            evolve(plan[0], project=f"acme-{n}") for n in range(MOST_PROJECTS + 1)
        )
        for projects, part in (
            ((), "1 to"),
            (plan * 2, "twice"),
            (many, "1 to"),
            ((evolve(plan[0], releases=()),), "no release"),
        ):
            sentence = self.refused(
                BadRequest, self.pruning.apply(PruneOrder(projects))
            )
            self.assertIn(part, sentence)

    def test_a_large_plan_is_sent_in_parts(self) -> None:
        names = [f"acme-{n:03}" for n in range(SENT + 5)]
        for name in names:
            self.index.add(name, ("1.0", "2.0"))
        plan = self.plan("acme-0*", keep=ONE)
        reports: list[int] = []
        applied = self.wait(apply_plan(self.pruning, plan.projects, reports.append))
        self.assertEqual([one.project for one in applied], names)
        self.assertEqual({one.outcome for one in applied}, {"pruned"})
        self.assertEqual(reports, [SENT, SENT + 5])


class StoredTests(PruningSuite):
    def make(self) -> PruningAdministration:
        administered = AdministeredPruning.of(self.domain.index, RULES)
        return StoredPruning(administered, Actor("ann"), Operator())

    def test_who_runs_a_command_may_everything(self) -> None:
        projects = [one.project for one in self.plan().projects]
        self.assertEqual(projects, ["acme-tool", "acme-web", "secret-x"])


class RemoteTests(PruningSuite):
    def make(self) -> PruningAdministration:
        config = load_settings(INI, {"ann": HASH, "bob": HASH}, Path("/"))
        self.web = Web(
            self.domain,
            users={"ann": HASH, "bob": HASH},
            policy=Policy(AccessSettings.of(config)),
        )
        self.web.application.pruning.rules.obey(RULES)
        self.agent = WebAgent(self.web)
        return self.remote("ann")

    def remote(self, user: str) -> RemotePruning:
        address = IndexAddress.parse("http://pypi.example:6543/simple/", "--index")
        login = Login(user, "secret")
        return RemotePruning(
            ApiClient(address, Credentials(login), self.agent, self.domain.clock)
        )

    def test_only_what_one_may_delete_from_is_looked_at(self) -> None:
        self.assertEqual(self.plan("*").totals.looked_at, 3)
        self.domain.store.calls.clear()
        plan = self.plan()
        self.assertEqual(plan.totals.looked_at, 3)
        self.assertNotIn("secret", str(plan))
        self.assertNotIn("secret", str(self.domain.store.calls))

    def test_what_one_may_not_is_refused_before_anything_is_looked_up(self) -> None:
        self.plan()
        planned = self.plan("acme-tool", keep=ONE).projects[0]
        secret = evolve(planned, project="secret-x")
        self.domain.store.calls.clear()
        for work in (
            self.pruning.plan(PlanQuestion(("acme-*", "Secret.X"), ONE)),
            self.pruning.apply(PruneOrder((planned, secret))),
            self.pruning.apply(PruneOrder((secret,))),
            self.remote("bob").plan(PlanQuestion(("*",), ONE)),
            self.remote("bob").apply(PruneOrder((planned,))),
        ):
            self.refused(Forbidden, work)
        self.refused(Unauthorized, self.remote("nobody").plan(PlanQuestion()))
        self.assertEqual(
            [key for _, key in self.domain.store.calls if key.startswith(".index/")], []
        )
        self.assertEqual(len(self.index.versions("acme-tool")), 3)

    def test_what_the_forms_refuse(self) -> None:
        for path, body in (
            ("plan", {"pattern": "*"}),
            ("plan", {"keep": {"releases": "3"}}),
            ("apply", {}),
            ("apply", {"projects": [{"project": "acme-tool"}]}),
        ):
            answer = self.web.request(
                "POST",
                f"/api/v1/prune/{path}",
                {**basic(), "Content-Type": "application/json"},
                json.dumps(body).encode(),
            )
            self.assertEqual(answer.status, 400, body)
            self.assertIn("field", answer.json["detail"])

    def test_versions_alone_are_enough_of_a_plan(self) -> None:
        planned = self.plan("acme-tool", keep=ONE).projects[0]
        self.wait(apply_plan(self.pruning, [planned], lambda done: None))
        sent = json.loads(self.agent.asked[-1][-1])["projects"][0]["releases"]
        self.assertEqual([one["files"] for one in sent], [[], []])
        self.assertEqual(len(self.index.versions("acme-tool")), 1)
        self.assertEqual(PlannedRelease("1").files, ())


del PruningCase, PruningSuite
