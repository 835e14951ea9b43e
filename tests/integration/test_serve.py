"""``pypicloud serve`` is to its users what ``twistd -n pypicloud`` is."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pypicloud_tw import __version__
from pypicloud_tw.access.hashes import hash_password
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    IntegrationTestCase,
    Server,
    basic,
    health_by_socket,
    run,
    script,
    wait_until,
)

#: Each way to start the server: the program, and its command.
TWISTD = (script("twistd"), "-n", "--pidfile="), ("pypicloud",)
SERVE = (script("pypicloud"),), ("serve",)
MODULE = (sys.executable, "-m", "pypicloud_tw"), ()


class ServeTestCase(IntegrationTestCase):
    def started_by(
        self, way: tuple[Sequence[str], Sequence[str]], **options: Any
    ) -> Server:
        launcher, command = way
        return self.server(launcher=launcher, command=command, **options)

    def failing_start(self, server: Server) -> str:
        """Start a server that cannot; tell what it says."""
        server.start(ready=False)
        assert server.process is not None
        self.assertEqual(server.process.wait(30), 1, server.log)
        self.assertNotIn("Traceback", server.log)
        return server.log


class ServingTests(ServeTestCase):
    def test_same_log(self) -> None:
        """What is told is what twistd tells, in the same order."""
        told = []
        for way in (TWISTD, SERVE, MODULE):
            server = self.started_by(way)
            self.assertEqual(server.get("/simple/").status, 200)
            server.stop()
            told.append(self.sentences(server))
        self.assertIn("Serving FOLDER/store at tcp:PORT:interface=127.0.0.1.", told[0])
        self.assertIn("Main loop terminated.", told[0])
        self.assertEqual(told[1], told[0])
        self.assertEqual(told[2], told[0])

    def sentences(self, server: Server) -> list[str]:
        """Take from a log what differs between any two servers, and access lines."""
        text = server.log.replace(str(server.folder), "FOLDER")
        text = text.replace(str(server.port), "PORT").replace("/python3 ", "/python ")
        lines = [line for line in text.splitlines() if "GET /" not in line]
        return [re.sub(r"^\S+ \[[^]]*\] ", "", line) for line in lines]

    def test_signals(self) -> None:
        """The process dies of them, as it should, when everything is done."""
        codes: dict[int, list[int]] = {}
        for way in (TWISTD, SERVE):
            server = self.started_by(way)
            for number in (signal.SIGTERM, signal.SIGINT):
                server.stop(number)
                assert server.process is not None
                codes.setdefault(number, []).append(server.process.wait(1))
                server.start()
        for ended_by, (twistd, serve) in codes.items():
            self.assertEqual(serve, twistd, ended_by)

    def test_hangup(self) -> None:
        server = self.started_by(SERVE)
        bob = basic("bob", "bob's own")
        wheel = make_wheel(self.folder, "acme", "1.0")
        self.assertEqual(server.upload(wheel, authorization=bob).status, 401)
        server.configure(**{"user.bob": hash_password("bob's own")})
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "were read again" in server.log, lambda: server.log)
        self.assertEqual(server.upload(wheel, authorization=bob).status, 200)

    def test_listen(self) -> None:
        server = self.started_by(SERVE, start=False)
        path = server.folder / "socket"
        server.options = ["--listen", f"unix:{path}"]
        server.start(ready=False)
        self.assertIn(b" 200 ", health_by_socket(path, lambda: server.log))
        server.stop()
        self.assertFalse(path.exists())

    def test_no_search_for_plugins(self) -> None:
        """A service may not write where it is installed, and nothing is tried."""
        server = self.started_by(SERVE)
        server.stop()
        self.assertNotIn("plugin", server.log)
        self.assertIn("Serving ", server.log.splitlines()[0])

    def test_nothing_is_left(self) -> None:
        """No pid file, no log file: it stays in the foreground."""
        cwd = self.make_folder()
        server = self.started_by(SERVE, cwd=cwd)
        server.stop()
        self.assertEqual(list(cwd.iterdir()), [])


class StartingTests(ServeTestCase):
    """Who cannot start says why, in a sentence, and exits with 1."""

    def test_mistakes(self) -> None:
        for way in (SERVE, MODULE):
            server = self.started_by(way, start=False)
            server.configure(**{"aws.expire_after": "8d", "pypi.max_uplod": "1MiB"})
            lines = self.failing_start(server).splitlines()
            self.assertEqual(len(lines), 2)
            self.assertIn("aws.expire_after", lines[0])
            self.assertIn("the nearest is pypi.max_upload", lines[1])

    def test_no_such_file(self) -> None:
        server = self.started_by(SERVE, start=False)
        server.config.unlink()
        said = self.failing_start(server)
        self.assertEqual(said, f"{server.config}: there is no such file.\n")

    def test_port_in_use(self) -> None:
        server = self.server()
        other = self.started_by(SERVE, port=server.port, start=False)
        (line,) = [
            line
            for line in self.failing_start(other).splitlines()
            if "pypicloud: " in line
        ]
        self.assertIn(str(server.port), line)
        self.assertEqual(server.get("/ready").status, 200)

    def test_endpoint_that_is_none(self) -> None:
        server = self.started_by(SERVE, start=False)
        server.options = ["--listen=nonsense"]
        self.assertIn("is not a Twisted endpoint", self.failing_start(server))


class CommandTests(ServeTestCase):
    def test_version(self) -> None:
        for program in SERVE[0], MODULE[0]:
            said = self.run_client(*program, "--version")
            self.assertIn(__version__, said)

    def test_help(self) -> None:
        self.assertIn("--listen", self.run_client(*SERVE[0], "serve", "--help"))

    def test_other_commands(self) -> None:
        """As a module it has those, too."""
        config = Path(self.folder) / "x.ini"
        config.write_text("[pypicloud]\nstorage.dir = p\n")
        outcome = run([*MODULE[0], "check", config], home=self.home)
        self.assertEqual((outcome.code, outcome.output[:3]), (0, "OK:"))


test_suite = apart(__name__)
