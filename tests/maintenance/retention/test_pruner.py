"""A plan changes nothing; it is carried out where nothing changed, and is undone."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.retention import Keeping, RetentionRule
from pypicloud_tw.errors import BadRequest, Conflict, StoreError, Unavailable
from pypicloud_tw.index.acts import state_of
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.model import FORMAT
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.json_values import to_bytes
from pypicloud_tw.maintenance.retention.judgement import Fetched
from pypicloud_tw.maintenance.retention.plan import (
    Applied,
    Plan,
    PlannedProject,
    PlanPage,
    Totals,
    read_plan,
)
from pypicloud_tw.maintenance.retention.pruner import PLANS_AT_ONCE, check_unchanged
from pypicloud_tw.maintenance.retention.rules import RetentionRules
from tests.maintenance.retention.doubles import DAY, NOW, PrunedIndex
from tests.web.doubles import started, stored_project

T = TypeVar("T")

ANN = Actor("ann")
ACME = project_name("acme")


def rules(**keeps: Keeping) -> RetentionRules:
    """Rules by pattern; ``_`` is for ``*``, as keywords have no stars."""
    return RetentionRules(
        tuple(
            RetentionRule(f"r{n}", (pattern.replace("_", "*"),), keep, "daily")
            for n, (pattern, keep) in enumerate(keeps.items())
        )
    )


class PrunerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.index = PrunedIndex()
        self.domain, self.pruner = self.index.domain, self.index.pruner

    def run_now(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        waiting = Deferred.fromCoroutine(awaited())
        self.domain.settle(waiting)
        return self.successResultOf(waiting)

    def page(self, by: RetentionRules, after: str | None = None) -> PlanPage:
        return self.run_now(self.pruner.page(by.find, after))

    def apply(self, plan: Sequence[PlannedProject]) -> tuple[Applied, ...]:
        return self.run_now(self.pruner.apply(plan, ANN))

    def outcomes(self, plan: Sequence[PlannedProject]) -> list[str]:
        return [one.outcome for one in self.apply(plan)]


class PlanTests(PrunerCase):
    def test_what_would_go_and_why(self) -> None:
        self.index.add("acme", ("1.0", "1.1", "2.0"))
        self.index.add("other", ("1.0", "1.1"))
        page = self.page(rules(acme=Keeping(releases=1, younger=DAY)))
        self.assertEqual((page.looked_at, page.cursor, page.made), (1, None, NOW))
        (planned,) = page.items
        self.assertEqual(planned.project, "acme")
        project = stored_project(self.domain.store)
        self.assertEqual(planned.state, state_of(project))
        self.assertEqual(
            planned.reason, "retention r0: keep_releases = 1, keep_younger = 1d"
        )
        self.assertEqual([one.version for one in planned.releases], ["1.0", "1.1"])
        first = planned.releases[0]
        self.assertEqual(
            first.reason, "not among the newest 1 final releases, older than 1d"
        )
        self.assertEqual(first.uploaded, NOW - timedelta(days=50))
        self.assertEqual(first.files[0].filename, "acme-1.0-py3-none-any.whl")
        self.assertEqual((planned.files, planned.size), (2, 14))
        self.assertEqual(self.index.versions(), ["1.0", "1.1", "2.0"])

    def test_the_most_specific_pattern_decides_alone(self) -> None:
        for name in ("acme", "acme-core", "acme-tool", "else"):
            self.index.add(name, ("1.0", "2.0", "3.0"))
        by = RetentionRules(
            (
                RetentionRule("all", ("*",), Keeping(releases=2)),
                RetentionRule("acme", ("acme-*", "secret-*"), Keeping(releases=1)),
                RetentionRule("core", ("acme-core",), Keeping()),
            )
        )
        page = self.page(by)
        going = {one.project: len(one.releases) for one in page.items}
        self.assertEqual(going, {"acme": 1, "acme-tool": 2, "else": 1})
        self.assertEqual(page.looked_at, 4)
        # Of a rule only the pattern is shown that decided.
        shown = {rule.name: rule.projects for rule in page.rules}
        self.assertEqual(
            shown, {"all": ("*",), "acme": ("acme-*",), "core": ("acme-core",)}
        )

    def test_only_matching_manifests_are_read_and_each_once(self) -> None:
        names = [f"acme-{n}" for n in range(20)]
        for name in (*names, "other"):
            self.index.add(name, ("1.0", "2.0"))
        by = rules(_=Keeping(releases=1))
        self.page(rules(nothing=Keeping(releases=1)))  # lists the names
        self.domain.store.calls.clear()
        only = self.run_now(
            self.pruner.page(lambda name: None if name == "other" else by.find(name))
        )
        self.assertEqual(len(only.items), 20)
        read = [key for what, key in self.domain.store.calls if key.endswith(".json")]
        self.assertEqual(
            sorted(read), sorted(map(manifest_key, map(project_name, names)))
        )

    def test_pages(self) -> None:
        names = [f"p{n:02}" for n in range(7)]
        for name in names:
            self.index.add(name, ("1.0", "1.1", "2.0"))
        by = rules(_=Keeping(releases=1))
        for projects, files in ((3, 100), (100, 4), (7, 100), (1, 1)):
            self.pruner.most_projects, self.pruner.most_files = projects, files
            pages = [self.page(by)]
            while (cursor := pages[-1].cursor) is not None:
                pages.append(self.page(by, cursor))
            plan = Plan.of(pages)
            self.assertEqual([one.project for one in plan.projects], names)
            self.assertEqual(plan.totals, Totals(7, 7, 14, 14, 98))
            self.assertEqual(len(plan.rules), 1)

    def test_without_statistics_nothing_goes_and_the_plan_says_so(self) -> None:
        self.index.add("acme", ("1.0", "1.1", "2.0"))
        by = rules(_=Keeping(releases=1, fetched=DAY))
        page = self.page(by)
        self.assertEqual((page.items, page.looked_at), ((), 1))
        self.assertIn("rule r0 keeps what was fetched lately", page.notices[0])

        async def fetched(project: NormalizedName) -> Fetched:
            return Fetched(NOW - timedelta(days=9), {"1.1": NOW - timedelta(hours=1)})

        self.pruner.fetched = fetched
        page = self.page(by)
        self.assertEqual([one.version for one in page.items[0].releases], ["1.0"])
        self.assertEqual(page.notices, ())

    def test_a_damaged_manifest_is_told_and_the_rest_goes_on(self) -> None:
        for name in ("acme", "bad", "good"):
            self.index.add(name, ("1.0", "2.0"))
        self.domain.store.add(manifest_key(project_name("bad")), b"{")
        page = self.page(rules(_=Keeping(releases=1)))
        self.assertEqual([one.project for one in page.items], ["acme", "good"])
        self.assertIn("bad", page.notices[0])

    def test_what_a_newer_version_wrote_is_left(self) -> None:
        self.index.add("acme", ("1.0", "2.0"))
        newer = evolve(stored_project(self.domain.store), format=FORMAT + 1)
        plan = self.page(rules(_=Keeping(releases=1))).items
        with self.assertRaises(Conflict):
            check_unchanged(newer, plan[0])
        key = manifest_key(ACME)
        text = self.domain.store.objects[key].data
        self.assertIn(b'"_format":1', text)
        newest = text.replace(b'"_format":1', b'"_format":%d' % (FORMAT + 1))
        self.domain.store.add(key, newest)
        page = self.page(rules(_=Keeping(releases=1)))
        self.assertEqual(page.items, ())
        self.assertIn("acme was written by a newer version", page.notices[0])

    def test_a_few_plans_at_a_time(self) -> None:
        self.index.add("acme", ("1.0", "2.0"))
        self.page(rules(_=Keeping()))
        waiting: list[Deferred[None]] = []

        def stall(operation: str, key: str) -> Deferred[None] | None:
            if key != manifest_key(ACME):
                return None
            waiting.append(Deferred())
            return waiting[-1]

        self.domain.store.before = stall
        find = rules(_=Keeping(releases=1)).find
        plans = [started(self.pruner.page(find)) for _ in range(PLANS_AT_ONCE + 1)]
        self.assertEqual(len(waiting), PLANS_AT_ONCE)
        for one in waiting[:]:
            one.callback(None)
        self.assertEqual(len(waiting), PLANS_AT_ONCE + 1)
        waiting[-1].callback(None)
        for plan in plans:
            self.assertEqual(len(self.successResultOf(plan).items), 1)

    def test_while_the_store_is_away_there_is_no_plan(self) -> None:
        self.index.add("acme", ("1.0", "2.0"))
        self.page(rules(nothing=Keeping(releases=1)))
        self.domain.store.fail_next("get", StoreError("away"))
        work = self.pruner.page(rules(_=Keeping(releases=1)).find)
        waiting = started(work)
        self.domain.settle(waiting)
        self.failureResultOf(waiting, StoreError)


class ApplyTests(PrunerCase):
    def setUp(self) -> None:
        super().setUp()
        self.index.add("acme", ("1.0", "1.1", "2.0"))
        self.plan = self.page(rules(_=Keeping(releases=1))).items

    def test_one_act_that_can_be_undone(self) -> None:
        (applied,) = self.apply(self.plan)
        self.assertEqual(self.index.versions(), ["2.0"])
        entry = stored_project(self.domain.store).history[-1]
        self.assertEqual(
            applied, Applied("acme", "pruned", None, entry.id, releases=2, files=2)
        )
        self.assertEqual((entry.act, entry.who, entry.count), ("pruned", "ann", 2))
        self.assertEqual(entry.reason, "retention r0: keep_releases = 1")
        self.run_now(self.domain.index.acts.undo(ACME, applied.act))
        self.assertEqual(self.index.versions(), ["1.0", "1.1", "2.0"])

    def test_it_may_be_repeated(self) -> None:
        self.assertEqual(self.outcomes(self.plan), ["pruned"])
        self.assertEqual(self.outcomes(self.plan), ["done"])
        self.assertEqual(len(stored_project(self.domain.store).history), 1)

    def test_what_changed_since_stays(self) -> None:
        self.index.add("acme", ("3.0",))
        (applied,) = self.apply(self.plan)
        self.assertEqual(applied.outcome, "changed")
        self.assertIn(
            "acme has changed since the plan was made", applied.sentence or ""
        )
        self.assertEqual(self.index.versions(), ["1.0", "1.1", "2.0", "3.0"])

    def test_others_go_on_beside_it(self) -> None:
        for n in range(20):
            self.index.add(f"p{n:02}", ("1.0", "2.0"))
        plan = self.page(rules(_=Keeping(releases=1))).items
        self.index.add("p07", ("3.0",))
        applied = {one.project: one.outcome for one in self.apply(plan)}
        self.assertEqual(len(applied), 21)
        self.assertEqual({k for k, v in applied.items() if v != "pruned"}, {"p07"})

    def test_a_plan_that_was_edited_deletes_no_last_release(self) -> None:
        (planned,) = self.plan
        last = evolve(planned.releases[0], version="2.0.0")
        edited = evolve(planned, releases=(*planned.releases, last))
        (applied,) = self.apply([edited])
        self.assertEqual(applied.outcome, "refused")
        self.assertIn("Nothing of acme would be left", applied.sentence or "")
        self.assertEqual(len(self.index.versions()), 3)

    def test_nor_what_was_never_there(self) -> None:
        (planned,) = self.plan
        never = evolve(planned.releases[0], version="9")
        for plan in (
            evolve(planned, releases=(never,)),
            evolve(planned, releases=(*planned.releases, never)),
            evolve(planned, project="nothing-here"),
            evolve(planned, state=""),
        ):
            (applied,) = self.apply([plan])
            self.assertIn(applied.outcome, ("refused", "changed"))
        self.assertEqual(len(self.index.versions()), 3)

    def test_nor_of_a_project_in_quarantine(self) -> None:
        acts = self.domain.index.acts
        self.run_now(acts.set_status(ACME, "quarantined"))
        state = state_of(stored_project(self.domain.store))
        (applied,) = self.apply([evolve(self.plan[0], state=state)])
        self.assertEqual(applied.outcome, "refused")
        self.assertIn("quarantined", applied.sentence or "")

    def test_after_a_failure_nothing_more_is_begun(self) -> None:
        for n in range(30):
            self.index.add(f"p{n:02}", ("1.0", "2.0"))
        plan = self.page(rules(_=Keeping(releases=1))).items

        def away(operation: str, key: str) -> None:
            if operation == "put":
                raise StoreError("The store is away.")

        self.domain.store.before = away
        applied = self.apply(plan)
        self.assertLess(len(applied), len(plan))
        self.assertEqual({one.outcome for one in applied}, {"failed"})
        self.domain.store.before = lambda operation, key: None
        self.assertEqual({*self.outcomes(plan)}, {"pruned"})

    def test_a_damaged_project_keeps_no_other_from_being_pruned(self) -> None:
        self.index.add("tool", ("1.0", "2.0"))
        plan = self.page(rules(_=Keeping(releases=1))).items
        self.domain.store.add(manifest_key(ACME), b"{")
        self.assertEqual(self.outcomes(plan), ["refused", "pruned"])

    def test_whoever_loses_the_right_meanwhile_prunes_nothing(self) -> None:
        def refuse(name: NormalizedName) -> None:
            raise BadRequest("no more")

        (applied,) = self.run_now(self.pruner.apply(self.plan, ANN, refuse))
        self.assertEqual((applied.outcome, applied.sentence), ("refused", "no more"))

    def test_two_servers_carry_out_the_same_plan(self) -> None:
        """Both do; each project is pruned once."""
        other = self.domain.beside()
        pruner = evolve(self.pruner, index=other.index)
        both = [started(one.apply(self.plan, ANN)) for one in (self.pruner, pruner)]
        outcomes = sorted(self.run_now(work)[0].outcome for work in both)
        self.assertEqual(outcomes, ["done", "pruned"])
        self.assertEqual(len(stored_project(self.domain.store).history), 1)


class DailyTests(PrunerCase):
    def test_only_what_is_daily_page_by_page(self) -> None:
        for n in range(5):
            self.index.add(f"acme-{n}", ("1.0", "2.0"))
            self.index.add(f"else-{n}", ("1.0", "2.0"))
        self.pruner.most_projects = 2
        by = RetentionRules(
            (
                RetentionRule("acme", ("acme-*",), Keeping(releases=1), "daily"),
                RetentionRule("three", ("acme-3",), Keeping(releases=1)),
                RetentionRule("else", ("*",), Keeping(releases=1)),
            )
        )
        self.assertTrue(by.is_daily)
        pruned = self.run_now(self.pruner.prune(by.find_daily, ANN))
        self.assertEqual((pruned.projects, pruned.releases, pruned.files), (4, 4, 4))
        self.assertEqual(self.index.versions("acme-3"), ["1.0", "2.0"])
        self.assertEqual(self.index.versions("else-3"), ["1.0", "2.0"])
        by.obey(())
        self.assertFalse(by.is_daily)

    def test_it_ends_with_the_first_failure(self) -> None:
        for n in range(5):
            self.index.add(f"acme-{n}", ("1.0", "2.0"))
        self.pruner.most_projects = 2

        def away(operation: str, key: str) -> None:
            if operation == "put":
                raise StoreError("The store is away.")

        self.domain.store.before = away
        find = rules(_=Keeping(releases=1)).find_daily
        work = started(self.pruner.prune(find, ANN))
        self.domain.settle(work)
        failure = self.failureResultOf(work, Unavailable)
        self.assertIn("The store is away. Before, 0 releases", str(failure.value))


class DocumentTests(PrunerCase):
    """A plan that was saved; whoever edited it."""

    def setUp(self) -> None:
        super().setUp()
        self.index.add("acme", ("1.0", "1.1", "2.0"))
        self.index.add("b", ("1.0", "2.0"))
        self.plan = Plan.of([self.page(rules(_=Keeping(releases=1)))])

    def refused(self, plan: object, *parts: str) -> None:
        data = plan if isinstance(plan, bytes) else to_bytes(plan)
        with self.assertRaises(BadRequest) as caught:
            read_plan(data)
        for part in parts:
            self.assertIn(part, str(caught.exception))

    def test_what_is_saved_is_read(self) -> None:
        self.assertEqual(read_plan(to_bytes(self.plan)), self.plan)

    def test_what_is_none(self) -> None:
        self.refused(b"", "no plan of a prune")
        self.refused(b"[]", "no plan")
        self.refused(b'{"format": 1}', "'made' is missing")
        self.refused(b'{"format": true}', "'format'")
        self.refused(b"{" * 100_000, "no plan")
        self.refused(evolve(self.plan, format=2), "format 2", "reads 1")
        self.refused(
            to_bytes(self.plan).replace(b'"state"', b'"estate"'), "'projects[0].estate'"
        )

    def test_what_cannot_be(self) -> None:
        first = self.plan.projects[0]
        for projects, part in (
            ((first, evolve(first, project="Acme")), "acme twice"),
            ((evolve(first, releases=()),), "no release of the project acme"),
            ((evolve(first, project="a/b"),), "name"),
            ((evolve(first, reason="x" * 2000),), "too long"),
        ):
            self.refused(evolve(self.plan, projects=projects), part)
