"""``pypicloud prune`` against real servers, beside them, and killed amid its work."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from pypicloud_tw.index.manifest import INDEX, decode
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import project_name
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    IntegrationTestCase,
    Server,
    clean_environment,
    run,
    script,
    wait_until,
)

VERSIONS = ("1.0", "1.1", "2.0rc1", "2.0")

#: Projects whose prune is killed, and how many are pruned when that is done.
MANY, SOME = 30, 4

RULES = {
    "retention.ci.projects": "acme-*",
    "retention.ci.keep_releases": "1",
    "retention.core.projects": "acme-core",
}


class PruneTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one = self.server(settings=RULES)
        self.two = self.server(settings={"storage.dir": str(self.one.store), **RULES})
        self.there = ("--index", self.one.url_with_password)
        self.plan = self.home / "plan.json"

    def publish(self, *names: str, versions: tuple[str, ...] = VERSIONS) -> None:
        for name in names:
            for version in versions:
                wheel = make_wheel(self.home, name.replace("-", "_"), version)
                self.assertEqual(self.one.upload(wheel).status, 200, wheel)

    def prune(self, *arguments: str | Path, code: int = 0) -> str:
        command = (script("pypicloud"), "prune", *arguments)
        outcome = run(command, home=self.home)
        self.assertEqual(outcome.code, code, outcome.output)
        return outcome.output

    def versions(self, name: str, server: Server | None = None) -> list[str]:
        found: list[str] = (server or self.one).document(name)["versions"]
        return found

    def project(self, name: str) -> Project:
        path = self.one.store / INDEX / f"{name}.json"
        return decode(project_name(name), path.read_bytes())

    def test_plan_save_apply_refuse_restore(self) -> None:
        self.publish("acme-core", "acme-tool", "acme-web")
        shown = self.prune(*self.there, "--plan", self.plan)
        self.assertIn("4 releases of 2 projects", shown)
        self.assertEqual(self.versions("acme-tool"), ["1.0", "1.1", "2.0rc1", "2.0"])
        plan: Any = json.loads(self.plan.read_text())
        self.assertEqual(
            [one["project"] for one in plan["projects"]], ["acme-tool", "acme-web"]
        )
        # What changed since the plan was made stays, whichever server is asked.
        self.publish("acme-web", versions=("3.0",))
        there = ("--index", self.two.url_with_password)
        applied = self.prune("--apply", self.plan, "--yes", *there, code=1)
        self.assertIn("acme-web has changed since the plan was made", applied)
        self.assertIn("Deleted: 2 releases of 1 project (2 files).", applied)
        for server in (self.one, self.two):
            wait_until(
                lambda server=server: (  # type: ignore[misc]  # mypy cannot infer it
                    self.versions("acme-tool", server) == ["2.0rc1", "2.0"]
                ),
                lambda: self.two.log,
            )
        self.assertEqual(len(self.versions("acme-web")), 5)
        again = self.prune("--apply", self.plan, "--yes", *there, code=1)
        self.assertIn("acme-tool: This had been done before.", again)
        command = (script("pypicloud"), "undo", "acme-tool", *self.there)
        self.run_client(*command)
        self.assertEqual(self.versions("acme-tool"), ["1.0", "1.1", "2.0rc1", "2.0"])
        # What an installer was given before the prune is there again.
        (file,) = (
            one
            for one in self.one.document("acme-tool")["files"]
            if "1.0-" in one["filename"]
        )
        answer = self.one.get(file["url"].removeprefix("../.."))
        self.assertEqual((answer.status, len(answer.body)), (200, file["size"]))

    def test_whoever_may_not_delete(self) -> None:
        self.publish("acme-tool", versions=("1.0", "2.0"))
        self.prune(*self.there, "--plan", self.plan)
        refused = self.prune(
            "--apply", self.plan, "--yes", "--index", self.one.url, code=2
        )
        self.assertIn("log", refused.lower())
        self.one.configure(**{"pypi.read_only": "We move until noon."})
        self.one.stop()
        self.one.start()
        refused = self.prune("--apply", self.plan, "--yes", *self.there, code=1)
        self.assertIn("We move until noon.", refused)
        self.assertIn("1 release of 1 project", self.prune(*self.there))
        self.assertEqual(self.versions("acme-tool"), ["1.0", "2.0"])

    def test_killed_amid_its_work_and_begun_again(self) -> None:
        names = [f"acme-{n:02}" for n in range(MANY)]
        self.publish(*names, versions=("1.0", "2.0"))
        here = ("--config", str(self.one.config))
        self.prune("acme-*", "--keep", "1", "--plan", self.plan, *here)
        for _ in range(3):
            before = sum(map(self.is_pruned, names))
            process = subprocess.Popen(
                [script("pypicloud"), "prune", "--apply", self.plan, "--yes", *here],
                cwd=self.home,
                env=clean_environment(self.home),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self.addCleanup(process.kill)
            enough = min(before + SOME, MANY)
            wait_until(
                lambda: sum(map(self.is_pruned, names)) >= enough,  # noqa: B023  at once
                lambda: "no project was pruned",
            )
            process.kill()
            process.wait()
        self.prune("--apply", self.plan, "--yes", *here)
        for name in names:
            project = self.project(name)
            self.assertEqual([file.version for file in project.files], ["2.0"])
            acts = [entry.act for entry in project.history]
            self.assertEqual(acts.count("pruned"), 1, name)
            self.assertEqual(self.versions(name), ["2.0"])
        self.run_client(script("pypicloud"), "verify", self.one.config)
        self.run_client(script("pypicloud"), "undo", names[0], *here)
        self.assertEqual(self.versions(names[0]), ["1.0", "2.0"])

    def is_pruned(self, name: str) -> bool:
        return any(entry.act == "pruned" for entry in self.project(name).history)


test_suite = apart(__name__)
