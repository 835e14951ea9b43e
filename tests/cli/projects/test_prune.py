"""``pypicloud prune``, on the store and through a server."""

from __future__ import annotations

import json

from pypicloud_tw.config.retention import Keeping, RetentionRule
from pypicloud_tw.errors import StoreError
from tests.cli.administration import Offline, Online, SuiteCase
from tests.maintenance.retention.doubles import PrunedIndex
from tests.web.doubles import stored_project


class PruneSuite(SuiteCase):
    """What is true of either target."""

    def setUp(self) -> None:
        super().setUp()
        domain = self.runner.web.domain
        # Before anything is asked of the store, so that the clock can be set.
        self.index = PrunedIndex(domain)
        self.store = domain.store
        for name in ("acme-tool", "acme-web", "else"):
            self.index.add(name, ("1.0", "1.1", "2.0"))
        self.plan_file = self.home / "plan.json"

    def versions(self, name: str = "acme-tool") -> list[str]:
        return self.index.versions(name)

    def obey(self, *projects: str) -> None:
        rule = RetentionRule("old", projects, Keeping(releases=2))
        self.runner.web.application.pruning.rules.obey((rule,))

    def save(self) -> str:
        return self.do(f"prune acme-* --keep 1 --plan {self.plan_file}")

    def test_the_plan_is_shown_and_changes_nothing(self) -> None:
        lines = self.do("prune acme-* --keep 1 --younger 1d").splitlines()
        self.assertRegex(lines[0], r"^PROJECT +RELEASE +UPLOADED +FILES +SIZE +WHY$")
        self.assertRegex(
            lines[1],
            r"^acme-tool +1\.0 +2026-04-20 09:30 +1 +7 B +not among the newest 1 final "
            r"releases, older than 1d$",
        )
        self.assertEqual(
            lines[-1],
            "4 releases of 2 projects (4 files, 28 B) would be deleted.",
        )
        self.assertEqual(self.versions(), ["1.0", "1.1", "2.0"])

    def test_by_the_rules_of_the_ini(self) -> None:
        self.obey("acme-*")
        self.assertIn("2 releases of 2 projects", self.do("prune"))
        self.assertIn("1 release of 1 project ", self.do("prune acme-web else"))
        result = self.invoke("prune", "else", *self.target())
        self.assertIn("0 releases of 0 projects", result.stdout)
        self.assertIn("No rule of the ini", result.stderr)
        result = self.invoke("prune", "nothing", "--keep=1", *self.target())
        self.assertIn("There is no such project", result.stderr)

    def test_json(self) -> None:
        plan = self.read("prune acme-tool --keep-releases 1")
        self.assertEqual(plan["format"], 1)
        self.assertEqual(plan["rules"][0]["keep"]["releases"], 1)
        self.assertEqual(plan["projects"][0]["releases"][0]["version"], "1.0")
        self.assertEqual(plan["totals"]["files"], 2)

    def test_saved_and_applied(self) -> None:
        self.save()
        saved = json.loads(self.plan_file.read_text())
        self.assertEqual(len(saved["projects"]), 2)
        said = self.do(f"prune --apply {self.plan_file} --yes")
        self.assertEqual(said, "Deleted: 4 releases of 2 projects (4 files).\n")
        self.assertEqual(self.versions(), ["2.0"])
        entry = stored_project(self.store, "acme-web").history[-1]
        self.assertEqual(entry.reason, "retention as asked: keep_releases = 1")
        self.do("undo acme-tool")
        self.assertEqual(self.versions(), ["1.0", "1.1", "2.0"])

    def test_what_changed_since_is_told(self) -> None:
        self.save()
        self.index.add("acme-web", ("3.0",))
        result = self.invoke(
            "prune", "--apply", str(self.plan_file), "--yes", *self.target()
        )
        self.assertEqual(result.exit_code, 1)
        self.assertIn("acme-web: acme-web has changed since", result.stderr)
        self.assertIn("Deleted: 2 releases of 1 project", result.stdout)
        self.assertEqual(len(self.versions("acme-web")), 4)
        again = self.do("undo acme-tool")
        self.assertIn("undone", again)

    def test_it_may_be_repeated(self) -> None:
        self.save()
        self.do(f"prune --apply {self.plan_file} --yes")
        applied = self.read(f"prune --apply {self.plan_file} --yes")
        self.assertEqual([one["outcome"] for one in applied], ["done", "done"])

    def test_at_once(self) -> None:
        said = self.do(
            f"prune acme-tool --keep 2 --plan {self.plan_file} --yes --apply"
        )
        self.assertIn("1 release of 1 project (1 file, 7 B) would be deleted.", said)
        self.assertIn("Deleted: 1 release of 1 project (1 file).", said)
        self.assertEqual(self.versions(), ["1.1", "2.0"])
        self.assertTrue(self.plan_file.exists())
        said = self.do("prune acme-tool --keep 2 --yes --apply")
        self.assertIn("0 releases", said)

    def test_it_asks(self) -> None:
        said = self.invoke("prune", "acme-tool", "--keep=1", *self.target(), "--apply")
        self.assertEqual(said.exit_code, 2)
        self.assertIn("Say --yes", said.stderr)
        self.terminal = True
        no = self.invoke(
            "prune", "acme-tool", "--keep=1", *self.target(), "--apply", input="n\n"
        )
        self.assertEqual(no.exit_code, 1)
        self.assertIn("Delete 2 releases of 1 project", no.stderr)
        self.assertEqual(len(self.versions()), 3)
        yes = self.invoke(
            "prune", "acme-tool", "--keep=1", *self.target(), "--apply", input="y\n"
        )
        self.assertEqual(yes.exit_code, 0, yes.output)
        self.assertEqual(self.versions(), ["2.0"])

    def test_what_is_not_understood(self) -> None:
        for command, part in (
            ("prune x --keep none", "--keep = 'none' is not a whole number"),
            ("prune x --keep-dev-younger 3x", "--keep-dev-younger = '3x' is not a"),
            ("prune x --apply plan", "--apply PLAN alone"),
            ("prune --apply /nowhere/plan", "/nowhere/plan: No such file"),
        ):
            self.assertIn(part, self.fail_with(2, command))
        self.assertIn("'*' stands for all", self.fail_with(2, "prune --keep 3"))
        self.assertIn("pattern", self.fail_with(1, "prune a/b --keep 3"))
        self.plan_file.write_text("{}")
        said = self.fail_with(1, f"prune --apply {self.plan_file} --yes")
        self.assertIn("plan.json: This is no plan of a prune.", said)

    def test_while_the_store_is_away(self) -> None:
        self.save()

        def away(operation: str, key: str) -> None:
            if operation == "put":
                raise StoreError("The store is away.")

        self.store.before = away
        result = self.invoke(
            "prune", "--apply", str(self.plan_file), "--yes", *self.target()
        )
        self.assertEqual(result.exit_code, 2)
        self.assertIn("acme-tool: The store is away.", result.stderr)
        self.store.before = lambda operation, key: None
        self.do(f"prune --apply {self.plan_file} --yes")
        self.assertEqual(self.versions(), ["2.0"])


class OfflineTests(PruneSuite, Offline):
    pass


class OnlineTests(PruneSuite, Online):
    pass
