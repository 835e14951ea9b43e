"""The commands of projects with a real server: through it, and on its store."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import termios
import time
from pathlib import Path
from select import select
from shutil import which
from typing import Any
from unittest import SkipTest

from tests.integration import apart
from tests.integration.commands import CommandTestCase
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    CLIENT_PATIENCE,
    PASSWORD,
    USER,
    Server,
    basic,
    clean_environment,
    free_port,
    script,
    wait_until,
)

LOG_IN = {"PYPICLOUD_USERNAME": USER, "PYPICLOUD_PASSWORD": PASSWORD}

#: Seconds that somebody takes to read a question.
_READING = 0.3

FILE = "acme-1.0-py3-none-any.whl"


class ProjectCommandTests(CommandTestCase):
    def serve(self, **settings: str) -> Server:
        """Start a server that has two releases of acme and one of tool."""
        server = self.server(
            settings={
                "auth.admins": USER,
                "pypi.allow_delete_groups": "authenticated",
                "index.fresh_for": "100ms",
                **settings,
            }
        )
        for name, version in (("acme", "1.0"), ("acme", "2.0"), ("tool", "0.1")):
            self.assertEqual(
                server.upload(make_wheel(self.dist, name, version)).status, 200
            )
        return server

    def read(self, *command: str) -> Any:
        return json.loads(self.do(*command, "--json", env=LOG_IN))

    def listed(self, server: Server) -> dict[str, object]:
        """Return what installers are told of acme's files, and whether yanked."""
        files = server.document("acme", Authorization=self.login)["files"]
        return {one["filename"]: one.get("yanked", False) for one in files}

    def wait_for(self, server: Server, expected: dict[str, object]) -> None:
        wait_until(
            lambda: self.listed(server) == expected, lambda: str(self.listed(server))
        )

    def setUp(self) -> None:
        super().setUp()
        self.dist = self.folder / "dist"
        self.dist.mkdir()
        self.login = basic()

    def test_every_act_through_the_server(self) -> None:
        server = self.serve()
        self.every_act(server, "--index", server.simple)

    def test_every_act_beside_it(self) -> None:
        server = self.serve()
        self.every_act(server, "--config", str(server.config))

    def every_act(self, server: Server, *where: str) -> None:
        """What one command does, the server and the next command know."""
        two = "acme-2.0-py3-none-any.whl"
        self.assertEqual(self.told("ls", *where), "acme\ntool\n")
        self.assertEqual(self.told("ls", "acme==1.0", *where), f"{FILE}\n")
        self.told("yank", "acme==1.0", "--reason", "broken", *where)
        self.wait_for(server, {FILE: "broken", two: False})
        self.told("unyank", "acme", "--file", FILE, *where)
        self.wait_for(server, {FILE: False, two: False})
        self.assertIn("--yes", self.do("delete", "acme", *where, code=2, env=LOG_IN))
        self.told("delete", "acme==1.0", "--yes", "--reason", "old", *where)
        self.wait_for(server, {two: False})
        found = self.read("show", "acme", *where)
        self.assertEqual([one["version"] for one in found["releases"]], ["2.0"])
        self.assertEqual([one["filename"] for one in found["deleted"]], [FILE])
        self.told("restore", "acme", "1.0", *where)
        self.wait_for(server, {FILE: False, two: False})
        self.told("status", "acme", "quarantined", "--yes", *where)
        self.wait_for(server, {})
        self.told("undo", "acme", *where)
        self.wait_for(server, {FILE: False, two: False})
        self.assertEqual(self.told("status", "acme", *where), "active\n")
        acts = self.read("history", "acme", *where)
        self.assertEqual(len(acts), 8)
        self.assertEqual(acts[0]["undoes"], acts[1]["id"])
        recorded = [json.loads(line) for line in self.audited(*where)]
        self.assertEqual(
            [one["act"] for one in recorded if one.get("project") == "acme"],
            [one["act"] for one in reversed(acts)],
        )
        self.assertEqual(self.read("search", "acm", *where)[0]["name"], "acme")
        self.assertEqual(self.read("status", *where)["store"], "folder")
        for line in (["show", "acme==9"], ["search", "nothing"], ["history", "x"]):
            self.do(*line, *where, code=1, env=LOG_IN)

    def told(self, *command: str) -> str:
        return self.do(*command, env=LOG_IN)

    def audited(self, *where: str) -> list[str]:
        """Return the records, which are in the store a second later."""
        lines: list[str] = []

        def all_there() -> bool:
            lines[:] = self.told("audit", "--json", *where).splitlines()
            return "undone" in lines[-1]

        wait_until(all_there, lambda: "\n".join(lines))
        return lines

    def test_who_may_not_and_who_is_not_there(self) -> None:
        server = self.serve()
        where = ("--index", server.url)
        wrong = {**LOG_IN, "PYPICLOUD_PASSWORD": "sesame"}
        for command in (("yank", "acme", "1.0"), ("history", "acme")):
            said = self.do(*command, *where, code=1, env=wrong)
            self.assertIn("password is wrong", said)
            said = self.do(*command, *where, code=2)
            self.assertIn("Nothing says who logs in", said)
        # Somebody who may read, and nothing else.
        self.do(
            *("user", "add", "bob", "--password-stdin", *where),
            input="a good word",
            env=LOG_IN,
        )
        for user, may in ((USER, "rw"), ("bob", "r")):
            self.do("right", "set", "*", "user", user, may, *where, env=LOG_IN)
        bob = {"PYPICLOUD_USERNAME": "bob", "PYPICLOUD_PASSWORD": "a good word"}
        token = self.do("token", "make", *where, env=bob).strip()
        shown = {"PYPICLOUD_USERNAME": "__token__", "PYPICLOUD_PASSWORD": token}
        for env in (bob, shown):
            self.assertIn("acme", self.do("ls", *where, env=env))
            self.do("yank", "acme", "1.0", *where, code=1, env=env)
            self.do("delete", "acme", "--yes", *where, code=1, env=env)
        url = server.url_with_password.replace(PASSWORD.replace(" ", "%20"), "sesame")
        said = self.do("undo", "acme", "--index", url, code=1)
        self.assertNotIn("sesame", said)
        server.stop()
        said = self.do("ls", *where, code=2, env=LOG_IN)
        self.assertIn("could not be asked", said)
        for text in ("sesame", token, "a good word"):
            self.assertNotIn(text, server.log)

    def test_found_without_an_option(self) -> None:
        server = self.serve()
        env = {**LOG_IN, "PYPICLOUD_INDEX_URL": server.simple}
        self.assertEqual(self.do("ls", env=env), "acme\ntool\n")
        path = Path(self.home, ".pypirc")
        path.write_text(
            f"[pypicloud]\nrepository = {server.url}\nusername = {USER}\n"
            f"password = {PASSWORD}\n"
        )
        self.assertEqual(self.do("ls"), "acme\ntool\n")
        path.unlink()
        self.assertIn("Say which index is meant", self.do("ls", code=2))

    def test_on_a_terminal(self) -> None:
        """A question that is answered there, and a table that is drawn."""
        server = self.serve()
        where = ("--index", server.url)
        said = self.at_terminal(b"n\n", "delete", "acme", "1.0", *where)
        self.assertIn("1 file, which can be restored until", said)
        self.assertIn("Aborted", said)
        # Ctrl-C, while the command has a connection open.
        for place in (where, ("--config", str(server.config))):
            said = self.at_terminal(b"\x03", "delete", "acme", "1.0", *place)
            self.assertIn("Aborted", said)
            self.assertNotIn("Traceback", said)
        self.assertEqual(len(self.listed(server)), 2)
        said = self.at_terminal(b"y\n", "delete", "acme", "1.0", *where)
        self.assertIn("acme 1.0 is deleted: 1 file.", said)
        self.assertIn("\x1b[1m", self.at_terminal(b"", "show", "acme", *where))
        self.wait_for(server, {"acme-2.0-py3-none-any.whl": False})

    def at_terminal(self, typed: bytes, *command: str) -> str:
        """Run a command at a terminal, and return all that is shown there."""
        ours, theirs = pty.openpty()
        environ = clean_environment(self.home, **LOG_IN, TERM="xterm", COLUMNS="100")
        del environ["NO_COLOR"]
        process = subprocess.Popen(
            [script("pypicloud"), *command],
            env=environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
        )
        self.addCleanup(process.kill)
        os.close(theirs)
        shown = bytearray()
        try:
            while select([ours], [], [], CLIENT_PATIENCE)[0]:
                shown += os.read(ours, 65536)
                if typed and b"[y/N]" in shown:
                    time.sleep(_READING)
                    os.write(ours, typed)
                    typed = b""
        except OSError:
            pass  # as Linux says that the other end is closed
        finally:
            os.close(ours)
        process.wait(CLIENT_PATIENCE)
        return shown.decode()

    def test_bash_completes_names(self) -> None:
        if which("bash") is None:
            raise SkipTest("There is no bash.")
        server = self.serve()
        asked = [
            ["yan"],
            ["show", "ac"],
            ["yank", "acme", ""],
            ["ls", "acme", "==", "1"],
        ]
        lines = [". <(pypicloud completion bash)"]
        for words in asked:
            quoted = " ".join(f"'{word}'" for word in ("pypicloud", *words))
            lines += [
                f"COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; COMPREPLY=()",
                "_pypicloud_completion pypicloud; echo ${COMPREPLY[*]}",
            ]
        folder = str(Path(script("pypicloud")).parent)
        env = clean_environment(self.home, PYPICLOUD_INDEX_URL=server.url, **LOG_IN)
        said = subprocess.run(
            ["bash", "-c", "\n".join(lines)],
            env={**env, "PATH": f"{folder}:{env['PATH']}"},
            capture_output=True,
            text=True,
            timeout=CLIENT_PATIENCE,
            check=True,
        )
        self.assertEqual(said.stderr, "")
        self.assertEqual(said.stdout, "yank\nacme\n2.0 1.0\n1.0\n")

    def test_completion_waits_for_nobody(self) -> None:
        env = {
            **LOG_IN,
            "PYPICLOUD_INDEX_URL": f"http://127.0.0.1:{free_port()}",
            "_PYPICLOUD_COMPLETE": "bash_complete",
            "COMP_WORDS": "pypicloud show ac",
            "COMP_CWORD": "2",
        }
        self.assertEqual(self.do(env=env).strip(), "")


test_suite = apart(__name__)
