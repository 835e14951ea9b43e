"""``pypicloud healthcheck``, by itself and among the other commands."""

from __future__ import annotations

import subprocess
import sys

from tests.cli.test_commands import CliTestCase


class HealthcheckTests(CliTestCase):
    """Nobody serves: what is asked is seen in the sentence."""

    def setUp(self) -> None:
        super().setUp()
        self.socket = "/nowhere/s"  # a short one: sockets' names are
        self.environ = {"PYPICLOUD_SERVER_LISTEN": f"unix:{self.socket}"}

    def test_by_the_environment(self) -> None:
        self.assertEqual(
            self.fail_with(1, "healthcheck"),
            f"/health of the socket {self.socket}: No such file or directory.\n",
        )

    def test_ready(self) -> None:
        self.assertIn(
            f"/ready of the socket {self.socket}",
            self.fail_with(1, "healthcheck", "--ready"),
        )

    def test_by_the_ini(self) -> None:
        self.ini.write_text("[pypicloud]\nserver.listen = unix:/nowhere/other\n")
        self.environ = {}
        told = "/health of the socket /nowhere/other"
        for args in ([self.ini], ["--config", self.ini]):
            self.assertIn(told, self.fail_with(1, "healthcheck", *args))
        self.environ = {"PYPICLOUD_CONFIG": str(self.ini)}
        self.assertIn(told, self.fail_with(1, "healthcheck"))

    def test_by_the_option(self) -> None:
        said = self.fail_with(1, "healthcheck", "--listen", "unix:/nowhere/third")
        self.assertIn("/health of the socket /nowhere/third", said)

    def test_where_it_is_not_told(self) -> None:
        """With 1, as all that a runtime may take for unhealthy."""
        self.environ = {"PYPICLOUD_SERVER_LISTEN": "systemd:domain=INET:index=0"}
        self.assertIn("does not say where", self.fail_with(1, "healthcheck"))

    def test_bad_configuration(self) -> None:
        self.environ = {"PYPICLOUD_X": "y"}
        self.assertIn("PYPICLOUD_X", self.fail_with(1, "healthcheck"))

    def test_no_time(self) -> None:
        self.assertIn("--timeout", self.fail_with(2, "healthcheck", "--timeout", "0"))

    def test_little_is_loaded(self) -> None:
        """A runtime runs it twice a minute."""
        code = (
            "import sys\n"
            "from pypicloud_tw.cli.entry import main\n"
            "try:\n"
            f"    main(['healthcheck', '--listen', 'unix:{self.socket}'])\n"
            "except SystemExit as e:\n"
            "    print(e.code, *sorted({n.split('.')[0] for n in sys.modules}))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        code_of_exit, *loaded = done.stdout.split()
        self.assertEqual(code_of_exit, "1")
        heavy = {"twisted", "botocore", "jinja2", "klein", "rich", "treq"}
        self.assertEqual(heavy & set(loaded), set())


class EntryTests(CliTestCase):
    def test_other_commands(self) -> None:
        done = subprocess.run(
            [
                *(sys.executable, "-c"),
                "from pypicloud_tw.cli.entry import main; main(['healthchek'])",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 2)
        self.assertIn("Usage: pypicloud ", done.stderr)
        self.assertIn("No such command 'healthchek'", done.stderr)
