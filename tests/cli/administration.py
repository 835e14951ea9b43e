"""Commands that administer an index, run in this process on one in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.cli import main as cli
from pypicloud_tw.cli.base import Surroundings
from tests.cli.doubles import FakeRunner

URL = "http://pypi.example:6543/"


class AdministrationCase(SynchronousTestCase):
    """A world of the test's own.

    :ivar terminal: whether somebody can be asked, and reads what is printed.
    """

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.ini = self.home / "x.ini"
        self.ini.write_text("[pypicloud]\n")
        self.runner = FakeRunner()
        self.environ = {
            "PYPICLOUD_USERNAME": "ann",
            "PYPICLOUD_PASSWORD": "secret",
        }
        self.terminal = False

    def invoke(
        self, *args: str, input: str = "", env: dict[str, str] | None = None
    ) -> Result:
        world = Surroundings(
            environ=self.environ,
            is_terminal=lambda: self.terminal,
            prints_to_terminal=lambda: self.terminal,
            now=self.runner.web.domain.clock.seconds,
            runner=lambda: self.runner,
            home=lambda: self.home,
            folder=lambda: self.home,
            keyring=lambda: None,
        )
        result = CliRunner(env=env).invoke(
            cli.main, list(args), input=input, obj=world, prog_name="pypicloud"
        )
        if result.exception is not None:
            self.assertIsInstance(result.exception, SystemExit, repr(result.exception))
        return result

    def target(self) -> tuple[str, ...]:
        """Return the options that choose what is worked on."""
        raise NotImplementedError

    def do(self, command: str, input: str = "") -> str:
        """Run a command that must succeed, and return its standard output."""
        result = self.invoke(*command.split(), *self.target(), input=input)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def fail_with(self, code: int, command: str, input: str = "") -> str:
        """Run a command that must fail, and return what it says of that."""
        result = self.invoke(*command.split(), *self.target(), input=input)
        self.assertEqual(result.exit_code, code, result.output)
        self.assertEqual(result.stdout, "")
        self.assertNotIn("Traceback", result.stderr)
        return result.stderr

    def read(self, command: str) -> Any:
        """Return what a command prints for scripts."""
        return json.loads(self.do(f"{command} --json"))


class Offline(AdministrationCase):
    """On the store of an ini."""

    def target(self) -> tuple[str, ...]:
        return ("--config", str(self.ini))


class Online(AdministrationCase):
    """Through a server."""

    def target(self) -> tuple[str, ...]:
        return ("--index", f"{URL}simple/")


if TYPE_CHECKING:
    SuiteCase = AdministrationCase
else:
    SuiteCase = object
