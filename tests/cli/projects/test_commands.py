"""The commands of projects, on the store and through a server."""

from __future__ import annotations

import json

import click
from attrs import evolve
from twisted.internet.defer import Deferred

from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import project_name
from tests.builders import wheel
from tests.cli.administration import (
    Offline,
    Online,
    SuiteCase,
)
from tests.web.api.doubles import Canned
from tests.web.doubles import started, stored_project


class ProjectSuite(SuiteCase):
    """What is true of either target."""

    def setUp(self) -> None:
        super().setUp()
        self.domain = self.runner.web.domain
        self.wait(self.domain.index.secure())

    def wait(self, work: object) -> None:
        waiting: Deferred[object] = started(work)  # type: ignore[arg-type]  # any
        self.domain.settle(waiting)
        self.successResultOf(waiting)

    def publish(self, *names: str) -> None:
        for name in names or ("acme-1.0-py3-none-any.whl", "acme-2.0-py3-none-any.whl"):
            project, version = name.split("-")[:2]
            self.wait(self.domain.publish(name, wheel(project, version)))

    def yanked(self) -> dict[str, str | None]:
        files = stored_project(self.domain.store).files
        return {file.version: file.yanked for file in files}

    # -- what there is

    def test_ls(self) -> None:
        self.publish()
        self.publish("tool-1.0-py3-none-any.whl")
        self.assertEqual(self.do("ls"), "acme\ntool\n")
        self.assertEqual(self.do("ls --limit 1"), "acme\n")
        self.assertEqual(self.do("ls Acme"), "1.0\n2.0\n")
        self.assertEqual(self.do("ls acme --limit 1"), "1.0\n")
        self.assertEqual(self.do("ls acme==1.0"), "acme-1.0-py3-none-any.whl\n")
        self.assertEqual(self.read("ls"), [{"name": "acme"}, {"name": "tool"}])
        self.assertEqual(self.read("ls acme")[1]["version"], "2.0")
        self.assertEqual(self.read("ls acme==2")[0]["version"], "2.0")

    def test_ls_of_nothing(self) -> None:
        self.assertEqual(self.do("ls"), "")
        self.assertEqual(self.read("ls"), [])
        self.assertIn("acme", self.fail_with(1, "ls acme"))
        self.publish()
        self.fail_with(1, "ls acme==3")

    def test_show(self) -> None:
        self.publish()
        self.do("yank acme==1.0 --reason broken")
        self.do("delete acme 2.0 --yes")
        lines = self.do("show acme").splitlines()
        self.assertEqual(lines[:2], ["project  acme", "status   active"])
        self.assertRegex(lines[3], r"^RELEASE +UPLOADED +FILES +SIZE +PYTHON +YANKED$")
        self.assertRegex(lines[4], r"^1\.0 +2026-03-01 09:30 +1 +\d+ B .*yes: broken$")
        self.assertEqual(lines[6], "Deleted, and can be restored:")
        self.assertRegex(
            lines[8],
            r"^acme-2\.0-py3-none-any\.whl +2026-03-01 \S+ +2026-03-08 \S+ +\w{16}$",
        )
        found = self.read("show acme")
        self.assertEqual(found["releases"][0]["reason"], "broken")
        self.assertEqual(found["deleted"][0]["version"], "2.0")

    def test_show_a_release_and_a_file(self) -> None:
        self.publish()
        for words in ("acme==1.0", "acme 1.0"):
            text = self.do(f"show {words}")
            self.assertIn("release  1.0", text)
            self.assertRegex(text, r"acme-1\.0-py3-none-any\.whl +2026.* ann")
        text = self.do("show acme --file acme-1.0-py3-none-any.whl")
        self.assertRegex(text, r"sha256 +[0-9a-f]{64}")
        file = self.read("show acme --file acme-1.0-py3-none-any.whl")
        self.assertEqual(file["uploader"], "ann")
        self.fail_with(1, "show acme --file acme-3.0-py3-none-any.whl")

    def test_search(self) -> None:
        self.publish()
        self.assertRegex(self.do("search acm"), r"PROJECT +VERSION.*\nacme")
        self.runner.web.describe()  # as a server does in its own time
        self.assertEqual(self.read("search acme")[0]["version"], "2.0")
        self.assertRegex(self.do("search acme --may manage"), "acme +2.0 +ours +A tool")
        for origin in ("kept", "upstream"):
            self.fail_with(1, f"search acme --origin {origin}")
        said = self.fail_with(1, "search nothing like it")
        self.assertIn("Nothing was found.\n", said)

    # -- acts

    def test_yank(self) -> None:
        self.publish()
        said = self.do("yank acme==1.0 --reason broken")
        self.assertEqual(said, "acme 1.0 is yanked.\n")
        self.assertEqual(self.yanked(), {"1.0": "broken", "2.0": None})
        self.do("yank acme 2.0")
        self.assertEqual(self.yanked(), {"1.0": "broken", "2.0": ""})
        again = self.invoke("yank", "acme==2.0", *self.target())
        self.assertEqual(again.exit_code, 0)
        self.assertIn("nothing is changed", again.stderr)
        self.assertEqual(self.do("unyank acme 1.0"), "acme 1.0 is not yanked.\n")
        self.do("yank acme 2.0 --undo")
        self.assertEqual(self.yanked(), {"1.0": None, "2.0": None})
        done = self.read("yank acme --file acme-1.0-py3-none-any.whl")
        self.assertTrue(done["changed"])
        self.assertEqual(done["act"]["act"], "yanked")
        self.assertIn("no such release", self.fail_with(1, "yank acme 3.0").lower())

    def test_what_is_not_named(self) -> None:
        for command in (
            "yank acme",
            "yank acme==",
            "yank ==1.0",
            "yank acme==1.0 2.0",
            "yank acme 1.0 --file acme-1.0.tar.gz",
            "yank acme 1.0 --undo --reason x",
            "unyank acme",
            "delete",
            "status acme active --limit",
            "status acme --reason x",
            "history",
            "search",
        ):
            self.assertIn("Usage", self.fail_with(2, command))
        self.assertEqual(self.runner.asked, [])

    def test_delete_and_restore(self) -> None:
        self.publish()
        self.assertIn("--yes", self.fail_with(2, "delete acme==1.0"))
        self.terminal = True
        said = self.fail_with(1, "delete acme==1.0", input="n\n")
        self.assertIn(
            "Delete acme 1.0? That is 1 file, which can be restored until "
            "2026-03-08 09:30 UTC.",
            said,
        )
        self.assertEqual(len(self.yanked()), 2)
        self.do("delete acme==1.0", input="y\n")
        self.terminal = False
        self.assertEqual(self.yanked(), {"2.0": None})
        said = self.do("delete acme --yes")
        self.assertEqual(said, "acme is deleted: 1 file.\n")
        self.assertEqual(self.yanked(), {})
        said = self.do("restore acme 1.0")
        self.assertEqual(said, "acme 1.0 is restored: 1 file.\n")
        self.assertEqual(self.read("restore acme")["act"]["count"], 1)
        self.assertEqual(self.yanked(), {"1.0": None, "2.0": None})

    def test_delete_a_whole_project_asks_for_all_of_it(self) -> None:
        self.publish()
        self.terminal = True
        said = self.fail_with(1, "delete acme", input="n\n")
        self.assertIn("Delete all of the project acme? That is 2 files,", said)

    def test_whether_it_could_be_restored(self) -> None:
        self.publish()
        self.terminal = True
        acts = self.domain.index.acts
        for seconds, said in (
            (0.0, "which cannot be restored."),
            (1e12, "which can be restored."),
            (86400.0, "restored until 2026-03-02 09:30 UTC."),
        ):
            acts.restore_for = seconds
            self.assertIn(said, self.fail_with(1, "delete acme 1.0", input="n\n"))

    def test_what_is_not_there_is_not_asked_about(self) -> None:
        self.publish()
        self.terminal = True
        for command in (
            "delete acme 3.0",
            "delete tool",
            "delete acme --file acme-3.0-py3-none-any.whl",
        ):
            self.assertNotIn("Delete", self.fail_with(1, command))

    def test_what_was_agreed_to_is_what_is_done(self) -> None:
        self.publish()
        self.terminal = True

        def meanwhile(question: str, **options: object) -> bool:
            self.publish("acme-2.0-1-py3-none-any.whl")
            return True

        self.patch(click, "confirm", meanwhile)
        self.fail_with(1, "delete acme 2.0")
        self.assertEqual(len(self.yanked()), 2)

    def test_undo_and_history(self) -> None:
        self.publish()
        self.do("yank acme 1.0 --reason broken")
        self.do("delete acme 2.0 --yes")
        act, yank = [one["id"] for one in self.read("history acme --limit 2")]
        self.do(f"undo acme {yank}")
        self.do(f"undo acme {act}")
        self.assertEqual(self.yanked(), {"1.0": None, "2.0": None})
        lines = self.do("history acme").splitlines()
        self.assertRegex(lines[0], r"^WHEN +ID +WHO +DID +WHAT +WHY +UNDO$")
        self.assertRegex(lines[1], rf"of {act}$")
        self.assertRegex(lines[4], rf"{yank} .* yanked +\S.* broken")
        self.assertEqual(self.do(f"undo acme {act}"), f"acme: act {act} is undone.\n")
        self.fail_with(1, "undo acme 0000000000000000")
        self.fail_with(1, "history tool")

    def test_undo_the_last(self) -> None:
        self.publish()
        self.do("yank acme 1.0")
        self.assertRegex(
            self.do("undo acme"), r"\Aacme: act \w{16} is undone: 1 file\.\n\Z"
        )
        self.assertEqual(self.yanked(), {"1.0": None, "2.0": None})

    def test_a_long_history_comes_in_parts(self) -> None:
        self.publish()
        for number in range(4):
            self.do(f"yank acme 1.0 --reason {number}")
        result = self.invoke("history", "acme", "--limit", "3", *self.target())
        self.assertEqual(len(result.stdout.splitlines()), 4)
        self.assertIn("--limit shows more", result.stderr)

    def test_status(self) -> None:
        self.publish()
        self.assertEqual(self.do("status acme"), "active\n")
        self.do("status acme deprecated --reason old")
        self.assertEqual(self.do("status acme"), "deprecated: old\n")
        self.assertEqual(
            self.read("status acme"), {"status": "deprecated", "reason": "old"}
        )
        self.assertIn("--yes", self.fail_with(2, "status acme quarantined"))
        self.terminal = True
        said = self.fail_with(1, "status acme quarantined", input="n\n")
        self.assertIn("any of its 2 files", said)
        self.do("status acme quarantined", input="y\n")
        self.terminal = False
        self.do("status acme active")
        self.assertTrue(self.read("status acme quarantined --yes")["changed"])
        self.fail_with(2, "status acme gone")
        self.fail_with(1, "status tool")

    def test_the_server(self) -> None:
        self.assertRegex(self.do("status"), r"store +\w+\nready|store +\w+")
        self.assertIn("version", self.read("status"))

    def test_audit(self) -> None:
        self.assertEqual(self.do("audit"), "")
        self.assertIn("That is no time", self.fail_with(1, "audit --since soon"))

    # -- what goes wrong

    def test_a_project_that_is_not_served(self) -> None:
        """They say what its page says."""
        self.publish()
        del self.domain.store.objects[manifest_key(project_name("acme"))]
        for command in ("yank acme 1.0", "delete acme 1.0 --yes"):
            self.assertIn("rebuild acme", self.fail_with(2, command))

    def test_nobody_could_be_asked(self) -> None:
        self.runner.error = StoreError("The store is away.")
        for command in (
            "ls",
            "show acme",
            "search acme",
            "yank acme 1",
            "unyank acme 1",
            "delete acme --yes",
            "restore acme",
            "status acme",
            "status acme archived",
            "history acme",
            "undo acme",
            "audit",
        ):
            self.assertEqual(self.fail_with(2, command), "The store is away.\n")

    def test_what_comes_from_outside_steers_nothing(self) -> None:
        self.publish()
        # No act takes such a reason; what others wrote into the store may have one.
        name, reason = project_name("acme"), "[red]gone[/red] \u202e"

        def hostile(project: Project) -> Project:
            files = tuple(evolve(file, yanked=reason) for file in project.files)
            return evolve(project, files=files)

        self.wait(self.domain.index.publisher.change(name, hostile))
        for self.terminal in (False, True):
            text = self.do("show acme")
            self.assertIn("[red]gone[/red] ?", text)

    def test_what_is_very_long(self) -> None:
        """No act takes it; what others wrote into the store may have it."""
        self.publish()
        name, reason = project_name("acme"), "x" * 100_000

        def lengthened(project: Project) -> Project:
            files = tuple(
                evolve(file, yanked=reason, requires_python=f">={reason}")
                for file in project.files
            )
            return evolve(project, files=files, status_reason=reason)

        self.wait(self.domain.index.publisher.change(name, lengthened))
        for self.terminal in (False, True):
            for what in ("acme", "acme==1.0", "acme --file acme-1.0-py3-none-any.whl"):
                text = self.do(f"show {what}")
                self.assertIn("...", text)
                self.assertLess(len(text), 10_000)
        self.assertEqual(self.read("show acme")["releases"][0]["reason"], reason)


class OfflineTests(ProjectSuite, Offline):
    def test_only_what_changes_needs_the_store_to_itself(self) -> None:
        self.publish()
        for command, changes in {
            "ls": False,
            "show acme": False,
            "yank acme 1.0": True,
            "unyank acme 1.0": True,
            "history acme": False,
            "status acme": False,
            "status acme archived": True,
            "undo acme": True,
            "delete acme 1.0 --yes": True,
            "restore acme": True,
            "audit": False,
        }.items():
            self.do(command)
            self.assertEqual(self.runner.asked.pop(), changes, command)

    def test_as_they_were_once_given(self) -> None:
        """With the ini in front; and without a question, where there was none."""
        self.publish()
        for words, said in (
            ("yank INI Acme 1.0 --reason broken", "Acme 1.0 is yanked.\n"),
            ("yank INI Acme 1.0 --undo", "Acme 1.0 is not yanked.\n"),
            ("remove INI acme 1.0", "acme 1.0 is deleted: 1 file.\n"),
        ):
            result = self.invoke(*words.replace("INI", str(self.ini)).split())
            self.assertEqual((result.exit_code, result.stdout), (0, said))
        self.assertEqual(self.runner.asked, [True] * 3)
        self.terminal = True
        result = self.invoke("remove", str(self.ini), "acme", "2.0", input="n\n")
        self.assertEqual(result.exit_code, 1)
        result = self.invoke("yank", str(self.ini), "acme", "2.0", "-c", "y.ini")
        self.assertEqual(result.exit_code, 2)
        result = self.invoke("audit", str(self.ini))
        self.assertEqual(result.exit_code, 0)


class OnlineTests(ProjectSuite, Online):
    def test_refused(self) -> None:
        self.environ["PYPICLOUD_PASSWORD"] = "wrong"
        said = self.fail_with(1, "ls")
        self.assertEqual(said, "The user name or the password is wrong.\n")

    def test_names_that_stand_in_no_address(self) -> None:
        for command in ("show a/b", "yank acme ../x", "show acme --file ."):
            self.assertIn("no name in an address", self.fail_with(1, command))

    def test_the_password_of_an_address_is_not_told(self) -> None:
        url = "http://ann:sesame@pypi.example/x"
        result = self.invoke("ls", "--index", url)
        self.assertNotIn("sesame", result.output)
        self.assertEqual(
            self.runner.asked, [(url.replace("ann:sesame@", ""), "ann", "sesame")]
        )

    def test_a_part_that_is_refused(self) -> None:
        answer = {"changed": True, "state": "ab", "notices": ["a.whl is\x1b swept."]}
        self.runner.canned = Canned()
        self.runner.canned.answer(200, json.dumps(answer).encode())
        for command in ("restore acme", "restore acme --json"):
            result = self.invoke(*command.split(), *self.target())
            self.assertEqual(result.exit_code, 1)
            self.assertEqual(result.stderr, "a.whl is? swept.\n")
            self.assertTrue(result.stdout)
