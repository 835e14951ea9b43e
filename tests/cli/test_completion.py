"""``pypicloud completion``, and what a shell that has its script asks for."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which
from unittest import SkipTest

from pypicloud_tw.errors import StoreError
from tests.builders import wheel
from tests.cli.administration import URL, AdministrationCase
from tests.web.api.doubles import Canned
from tests.web.doubles import started


class CompletionCase(AdministrationCase):
    def setUp(self) -> None:
        super().setUp()
        self.environ["PYPICLOUD_INDEX_URL"] = URL
        domain = self.runner.web.domain
        for name, version in (("acme", "1.0"), ("acme", "2.0"), ("tool", "0.1")):
            filename = f"{name}-{version}-py3-none-any.whl"
            publishing = started(domain.publish(filename, wheel(name, version)))
            domain.settle(publishing)
            self.successResultOf(publishing)

    def completed(self, *words: str) -> list[str]:
        """Return what bash is told for the last of some words."""
        env = {
            "_PYPICLOUD_COMPLETE": "bash_complete",
            "COMP_WORDS": "\n".join(("pypicloud", *words)),
            "COMP_CWORD": str(len(words)),
        }
        result = self.invoke(env=env)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        lines = filter(None, result.stdout.splitlines())
        return [line.partition(",")[2] for line in lines]


class WordTests(CompletionCase):
    def test_commands_and_options(self) -> None:
        self.assertEqual(self.completed("ya"), ["yank"])
        self.assertEqual(self.completed("yank", "--re"), ["--reason"])
        self.assertEqual(self.completed("status", "acme", "ar"), ["archived"])
        self.assertEqual(self.runner.asked, [])

    def test_projects(self) -> None:
        for command in ("show", "yank", "ls", "history", "undo", "status"):
            self.assertEqual(self.completed(command, "ac"), ["acme"], command)
        self.assertEqual(self.completed("show", ""), ["acme", "tool"])

    def test_versions(self) -> None:
        self.assertEqual(self.completed("yank", "acme", ""), ["2.0", "1.0"])
        self.assertEqual(self.completed("ls", "acme==1"), ["acme==1.0"])
        # As bash splits it.
        for words in (("==", "1"), ("==", "1.")):
            self.assertEqual(self.completed("show", "acme", *words), ["1.0"])
        self.assertEqual(self.completed("show", "acme", "=="), ["2.0", "1.0"])
        self.assertEqual(self.completed("show", "other", ""), [])

    def test_another_index(self) -> None:
        words = ("show", "--index", "http://other.example/simple/", "ac")
        self.assertEqual(self.completed(*words), ["acme"])
        self.assertEqual(self.runner.asked, [("http://other.example", "ann", "secret")])

    def test_a_store_is_not_asked(self) -> None:
        self.assertEqual(self.completed("show", "--config", str(self.ini), "ac"), [])
        self.assertEqual(self.runner.asked, [])

    def test_silent_where_nobody_can_be_asked(self) -> None:
        self.terminal = True
        self.runner.error = StoreError("It is away.")
        self.assertEqual(self.completed("show", "ac"), [])
        self.runner.error = None
        self.environ["PYPICLOUD_PASSWORD"] = "wrong"
        self.assertEqual(self.completed("show", "ac"), [])
        del self.environ["PYPICLOUD_PASSWORD"]
        self.assertEqual(self.completed("show", "ac"), [])
        del self.environ["PYPICLOUD_INDEX_URL"]
        self.assertEqual(self.completed("show", "ac"), [])

    def test_what_is_no_name_is_not_put_into_a_command_line(self) -> None:
        """Whatever a server says: a shell would run it at the next key."""
        page = b'{"items": [{"name": "x;reboot"}, {"name": "xy"}, {"name": "x\\ny"}]}'
        self.runner.canned = Canned()
        self.runner.canned.answer(200, page)
        self.assertEqual(self.completed("show", "x"), ["xy"])


class ScriptTests(AdministrationCase):
    def script(self, shell: str) -> Path:
        result = self.invoke("completion", shell)
        self.assertEqual(result.exit_code, 0, result.output)
        path = self.home / f"completion.{shell}"
        path.write_text(result.stdout)
        return path

    def test_every_shell_takes_its_script(self) -> None:
        for shell in ("bash", "zsh", "fish"):
            path = self.script(shell)
            self.assertIn("_PYPICLOUD_COMPLETE", path.read_text())
            if which(shell) is not None:
                subprocess.run([shell, "-n", str(path)], check=True, timeout=60)

    def test_another_shell(self) -> None:
        self.assertEqual(self.invoke("completion", "tcsh").exit_code, 2)

    def test_in_bash(self) -> None:
        """What is asked, by a program in place of ours, and what comes of it."""
        if which("bash") is None:
            raise SkipTest("There is no bash.")
        program = self.home / "pypicloud"
        program.write_text(
            "#!/bin/sh\n"
            '[ "$_PYPICLOUD_COMPLETE" = bash_complete ] && echo "plain,$COMP_CWORD"\n'
        )
        program.chmod(0o755)
        line = (
            f". {self.script('bash')}; COMP_WORDS=(pypicloud una); COMP_CWORD=1; "
            f"_pypicloud_completion {program}; echo ${{COMPREPLY[*]}}; complete -p"
        )
        said = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True
        )
        self.assertEqual(said.stdout.splitlines()[0], "1")
        self.assertIn("_pypicloud_completion pypicloud", said.stdout)
