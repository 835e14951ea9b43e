"""``pypicloud doctor``: what it looks at, what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw import __version__
from pypicloud_tw.access.basic import Login
from pypicloud_tw.cli import main as cli
from pypicloud_tw.cli.base import Examiner, Surroundings
from pypicloud_tw.cli.examining import ReactorExaminer
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.values import Diagnosis, Looked
from pypicloud_tw.errors import ConfigError
from tests.diagnosis.doubles import FakeMachine

FINE = Looked("ini", "", "ok", "It has no mistake.", "")
WRONG = Looked("disk", "TMPDIR = /t", "fault", "It is full.", "Make room.")
UNSEEN = Looked("ldap", "", "unseen", "No answer.", "")


@define
class FakeExaminer:
    """Tells what a test wants."""

    looked: Sequence[Looked] = (FINE,)
    error: Exception | None = None
    asked: list[tuple[Any, ...]] = field(factory=list)

    def unusable(self, of: str, problems: Sequence[str]) -> Diagnosis:
        self.asked.append((of, tuple(problems)))
        return Diagnosis.made(__version__, of, (WRONG,))

    def settings(
        self, of: str, config: Config, environ: Mapping[str, str], *, deep: bool
    ) -> Diagnosis:
        return self._done(of, config.storage.dir.name, deep)

    def server(
        self,
        address: IndexAddress,
        login: Login | None,
        environ: Mapping[str, str],
        *,
        deep: bool,
    ) -> Diagnosis:
        return self._done(address.base, None if login is None else login.user, deep)

    def _done(self, of: str, *asked: Any) -> Diagnosis:
        self.asked.append((of, *asked))
        if self.error is not None:
            raise self.error
        return Diagnosis.made(__version__, of, self.looked)


class DoctorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.ini = self.folder / "x.ini"
        self.ini.write_text("[pypicloud]\nstorage.dir = p\n")
        self.examiner = FakeExaminer()
        self.environ: dict[str, str] = {}
        self.terminal = False

    def run_command(self, *arguments: str | Path) -> Result:
        examiner: Examiner = self.examiner
        world = Surroundings(
            environ=self.environ,
            is_terminal=lambda: False,
            prints_to_terminal=lambda: self.terminal,
            examiner=lambda: examiner,
            home=lambda: self.folder,
            keyring=lambda: None,
        )
        return CliRunner().invoke(cli.main, ["doctor", *map(str, arguments)], obj=world)

    def test_table(self) -> None:
        self.examiner.looked = (FINE, WRONG, UNSEEN)
        result = self.run_command(self.ini)
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(
            result.stdout.splitlines(),
            [
                "IT IS           LOOKED AT          FOUND -> WHAT TO DO",
                "ok              ini                It has no mistake.",
                "fault           disk: TMPDIR = /t  It is full. -> Make room.",
                "could not look  ldap               No answer.",
                f"{self.ini}: 1 ok, 1 could not look, 1 fault.",
            ],
        )

    def test_on_a_terminal(self) -> None:
        self.terminal = True
        self.environ = {"COLUMNS": "60", "NO_COLOR": "1"}
        self.examiner.looked = (WRONG,)
        text = self.run_command(self.ini).stdout
        self.assertIn("Make room.", text)
        *table, _ = text.splitlines()
        self.assertLessEqual(max(map(len, table)), 60)

    def test_codes(self) -> None:
        for looked, code in (
            ((FINE,), 0),
            ((FINE, UNSEEN), 2),
            ((FINE, UNSEEN, WRONG), 1),
        ):
            self.examiner.looked = looked
            self.assertEqual(self.run_command(self.ini).exit_code, code)

    def test_json(self) -> None:
        """The form that the docs show."""
        self.examiner.looked = (FINE, UNSEEN)
        result = self.run_command(self.ini, "--json")
        self.assertEqual(result.exit_code, 2)
        self.assertEqual(
            json.loads(result.stdout),
            {
                "version": __version__,
                "of": str(self.ini),
                "worst": "unseen",
                "looked": [
                    {
                        "check": "ini",
                        "subject": "",
                        "level": "ok",
                        "found": "It has no mistake.",
                        "advice": "",
                    },
                    {
                        "check": "ldap",
                        "subject": "",
                        "level": "unseen",
                        "found": "No answer.",
                        "advice": "",
                    },
                ],
            },
        )

    def test_which(self) -> None:
        for arguments, asked in (
            ((self.ini,), (str(self.ini), "p", False)),
            (("--config", self.ini, "--deep"), (str(self.ini), "p", True)),
            ((), ("the environment", "packages", False)),
            (
                ("--index", "https://ann:pw@pypi.example/simple/"),
                ("https://pypi.example", "ann", False),
            ),
            (
                ("--index", "https://pypi.example", "--deep"),
                ("https://pypi.example", None, True),
            ),
        ):
            self.assertEqual(self.run_command(*arguments).exit_code, 0)
            self.assertEqual(self.examiner.asked[-1], asked)

    def test_one_or_the_other(self) -> None:
        result = self.run_command(self.ini, "--index", "https://pypi.example")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("--config or --index", result.stderr)
        result = self.run_command("--index", "ftp://pypi.example")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("not the address of an index", result.stderr)

    def test_an_empty_name(self) -> None:
        """As of a variable that is not set; it is not this folder."""
        for arguments in (("",), ("--config", "")):
            result = self.run_command(*arguments)
            self.assertEqual(result.exit_code, 2)
            self.assertIn("it is empty, where a name is needed", result.stderr)

    def test_mistakes(self) -> None:
        """All of them are told, and nothing else of the settings is looked at."""
        self.ini.write_text("[pypicloud]\naws.bukcet = x\npypi.max_upload = lots\n")
        self.assertEqual(self.run_command(self.ini).exit_code, 1)
        ((of, problems),) = self.examiner.asked
        self.assertEqual((of, len(problems)), (str(self.ini), 2))

    def test_not_done(self) -> None:
        self.examiner.error = ConfigError(["https_proxy is not an HTTP proxy."])
        result = self.run_command("--index", "https://pypi.example")
        self.assertNotEqual(result.exit_code, 0)
        self.assertIn("https_proxy is not", result.stderr)

    def test_unusable(self) -> None:
        """What needs no settings is looked at all the same."""
        machine = FakeMachine(required=(), installed={"pypicloud-tw": __version__})
        examiner = ReactorExaminer(machine.machine)
        made = examiner.unusable("x.ini", ["x.ini, line 2: no.", "x.ini, line 3: no."])
        self.assertEqual(
            [line.check for line in made.looked],
            ["ini", "ini", "libraries", "python", "python"],
        )
        self.assertEqual(made.code, 1)
