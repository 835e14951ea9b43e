"""The commands of access against a real server, on a real store and over TLS."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

from tests.certificates import make_certificates
from tests.integration import apart
from tests.integration.commands import CommandTestCase
from tests.integration.rig import (
    CLIENT_PATIENCE,
    PASSWORD,
    USER,
    Server,
    clean_environment,
    script,
)

#: Commands that each of two administrators runs at once.
AT_ONCE = 4


class AccessCommandTests(CommandTestCase):
    def serve(self, **options: Any) -> Server:
        """Start a server whose administrator is the user of the rig."""
        return self.server(settings={"auth.admins": USER}, **options)

    def test_no_traceback_whatever_becomes_of_the_streams(self) -> None:
        server = self.serve()
        here = shlex.join(["--config", str(server.config)])
        self.do("group", "add", "dev", *shlex.split(here))
        command = script("pypicloud")
        for line, code, said in (
            (f"user add bob --password-stdin {here} <&-", 1, "There is no password"),
            (f"user add bob {here} <&-", 2, "--password-stdin"),
            (f"audit {here} >/dev/full", 1, "No space left on device"),
            (f"user list {here} >/dev/full", 1, "No space left on device"),
            (f"audit {here} | true", 0, ""),
            (f"user list --json {here} | true", 0, ""),
        ):
            ended = subprocess.run(
                ["/bin/sh", "-c", f"{command} {line}"],
                cwd=self.home,
                env=clean_environment(self.home),
                capture_output=True,
                text=True,
                timeout=CLIENT_PATIENCE,
                check=False,
            )
            self.assertEqual(ended.returncode, code, f"{line}: {ended.stderr}")
            self.assertIn(said, ended.stderr)
            self.assertNotIn("Traceback", ended.stderr)
            self.assertNotIn("Exception ignored", ended.stderr)

    def test_through_the_server_and_beside_it(self) -> None:
        server = self.serve()
        there = ("--index", server.url_with_password)
        here = ("--config", str(server.config))
        password = "a good word"
        self.do("user", "add", "bob", "--password-stdin", *there, input=password)
        self.do("right", "set", "acme-*", "user", "bob", "rw", *here)
        bob = {"PYPICLOUD_USERNAME": "bob", "PYPICLOUD_PASSWORD": password}
        token = self.do("token", "make", "--index", server.simple, env=bob).strip()
        shown = {"PYPICLOUD_USERNAME": "__token__", "PYPICLOUD_PASSWORD": token}
        rights = ("rights", "--json", "--index", server.url)
        found = json.loads(self.do(*rights, env=shown))
        self.assertEqual(found["user"], "bob")
        self.assertIn("acme-*", {one["project"] for one in found["decisions"]})
        refused = self.do("user", "list", "--index", server.url, code=1, env=bob)
        self.assertIn("You may not administer", refused)
        self.do("user", "remove", "bob", "--yes", *here)
        users = json.loads(self.do("user", "list", "--json", *there))
        self.assertEqual([one["name"] for one in users], [USER])
        self.do(*rights, code=1, env=shown)
        server.stop()
        self.do("user", "list", "--index", server.url, code=2, env=bob)
        self.assertNotIn(password, server.log)
        self.assertNotIn(token, server.log)

    def test_two_administrators_at_once_lose_nothing(self) -> None:
        server = self.serve()
        targets = (
            ("--index", server.url_with_password),
            ("--config", str(server.config)),
        )
        running = [
            self.begin("user", "add", f"user{target}{number}", "--service", *options)
            for number in range(AT_ONCE)
            for target, options in enumerate(targets)
        ]
        for process in running:
            self.end(process)
        for options in targets:
            users = json.loads(self.do("user", "list", "--json", *options))
            self.assertEqual(len(users), 1 + len(running))

    def test_tls(self) -> None:
        authority, certificate, key = make_certificates(self.folder)
        server = self.serve(scheme="https", start=False)
        server.options = (
            f"--listen=ssl:{server.port}:interface=127.0.0.1"
            f":certKey={certificate}:privateKey={key}",
        )
        server.start()
        log_in = {"PYPICLOUD_USERNAME": USER, "PYPICLOUD_PASSWORD": PASSWORD}
        users = ("user", "list", "--index", server.url)
        said = self.do(*users, code=2, env=log_in)
        self.assertIn("its certificate is not trusted", said)
        self.assertIn(
            USER, self.do(*users, env={**log_in, "SSL_CERT_FILE": str(authority)})
        )

    def test_netrc_and_pypirc(self) -> None:
        server = self.serve()
        self.write(".pypirc", f"[pypicloud]\nrepository = {server.url}/legacy/\n")
        self.write(
            ".netrc", f"machine 127.0.0.1 login {USER} password {json.dumps(PASSWORD)}"
        )
        self.assertIn(USER, self.do("user", "list"))

    def write(self, name: str, text: str) -> None:
        path = Path(self.home, name)
        path.write_text(text)
        path.chmod(0o600)


test_suite = apart(__name__)
