""".github/workflows, by the linters of those who know what goes wrong in them."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.integration import apart
from tests.integration.rig import CHECKOUT, IntegrationTestCase, script

FOLDER = CHECKOUT / ".github"

#: What each must complain about: a job that waits for one that does not exist, and text
#: from strangers that becomes a command.
WRONG = """\
on: [pull_request]
jobs:
  one:
    needs: nobody
    runs-on: ubuntu-24.04
    steps:
      - run: echo ${{ github.event.pull_request.title }}
"""


class WorkflowTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        if not FOLDER.exists():
            raise SkipTest("This is no clone: the workflows are not released.")
        self.workflows = sorted((FOLDER / "workflows").iterdir())
        self.wrong = self.folder / ".github" / "workflows" / "wrong.yml"
        self.wrong.parent.mkdir(parents=True)
        self.wrong.write_text(WRONG)

    def test_actionlint(self) -> None:
        # Of the machine's own linters for shell and Python none has a say.
        actionlint = (script("actionlint"), "-shellcheck=", "-pyflakes=")
        self.run_client(*actionlint, *self.workflows)
        self.assertIn("nobody", self.run_failing(*actionlint, self.wrong))

    def test_zizmor(self) -> None:
        """Least rights, no credentials left behind, nothing that can be replaced."""
        zizmor = (script("zizmor"), "--offline", "--no-progress", "--persona=pedantic")
        self.run_client(*zizmor, FOLDER)
        found = self.run_failing(*zizmor, self.wrong)
        for name in ("template-injection", "excessive-permissions"):
            self.assertIn(name, found)


class ScriptTests(IntegrationTestCase):
    """The one program that they run."""

    def test_release_notes(self) -> None:
        program: Path = FOLDER / "release_notes.py"
        if not program.exists():
            raise SkipTest("This is no clone: the workflows are not released.")
        refused = self.run_failing(script("python"), program, "v0.0.1")
        self.assertIn("The tag v0.0.1 is not v", refused)


test_suite = apart(__name__)
