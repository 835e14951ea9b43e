"""What a command loads before it does anything: all of them take long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.cli.loading import LoadedWhenNamed
from pypicloud_tw.cli.main import main

#: What serves, and what draws pages.
_SERVER = {
    *("botocore", "jinja2", "klein", "pypicloud_tw.assembly.server"),
    *("pypicloud_tw.web.app", "pypicloud_tw.web.http.site"),
}


def loaded(code: int, *arguments: str) -> set[str]:
    """Run a command, and return the modules that are there at its end."""
    program = (
        "import sys\n"
        "from pypicloud_tw.cli.entry import main\n"
        "try:\n"
        f"    main({[*arguments]!r})\n"
        "except SystemExit as e:\n"
        "    print(e.code, *sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYPICLOUD_USERNAME": "alice", "PYPICLOUD_PASSWORD": "secret"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    found, *names = done.stdout.splitlines()[-1].split()
    assert found == str(code), done
    return set(names)


class LoadedTests(SynchronousTestCase):
    def assert_none(self, unwanted: set[str], names: set[str]) -> None:
        self.assertEqual(unwanted & names, set())

    def test_nothing_but_the_command(self) -> None:
        """Neither other commands nor what they work on."""
        names = loaded(0, "completion", "bash")
        modules = {n for n in names if n.startswith("pypicloud_tw.cli.")}
        self.assertEqual(
            {n.removeprefix("pypicloud_tw.cli.") for n in modules},
            {"base", "completion", "entry", "errors", "loading", "main", "output"}
            | {"paths"},
        )
        self.assert_none({"twisted", "treq", "rich", *_SERVER}, names)

    def test_through_a_server(self) -> None:
        """Only its client: nothing that works on a store. Nobody serves there."""
        for command in (("ls",), ("user", "list")):
            names = loaded(2, *command, "--index", "http://127.0.0.1:1/")
            self.assertIn("pypicloud_tw.client.api", names)
            store = {"treq", "pypicloud_tw.index.acts", "pypicloud_tw.store"}
            self.assert_none({*_SERVER, *store}, names)

    def test_over_a_store(self) -> None:
        """Nothing of S3 for a folder, and nothing that serves."""
        folder = Path(self.mktemp())
        folder.mkdir()
        ini = folder / "server.ini"
        ini.write_text(f"[pypicloud]\nstorage.dir = {folder.absolute()}\n")
        names = loaded(0, "user", "list", "--config", str(ini.absolute()))
        self.assertIn("pypicloud_tw.store.folder.store", names)
        other = {"pypicloud_tw.store.s3.client", "pypicloud_tw.client.api"}
        self.assert_none({*_SERVER, *other, "pypicloud_tw.maintenance.jobs"}, names)


class LoadedWhenNamedTests(SynchronousTestCase):
    def test_each_command(self) -> None:
        """Each place is right, and the command is called as its place says."""
        for name, command in main.commands.items():
            self.assertIsInstance(command, click.Command)
            self.assertEqual(command.name, "delete" if name == "remove" else name)

    def test_mapping(self) -> None:
        other = click.Command("other")
        commands = LoadedWhenNamed({"main": "pypicloud_tw.cli.main:main"})
        commands["other"] = other
        self.assertEqual(dict(commands), {"main": main, "other": other})
        self.assertEqual(len(commands), 2)
        self.assertIn("main", commands)
        self.assertNotIn("none", commands)
        self.assertIsNone(commands.get("none"))
        with self.assertRaisesRegex(TypeError, "No command is taken away"):
            del commands["main"]
