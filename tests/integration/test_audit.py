"""Who did what, of a real server: in a file that is moved away, and in the store."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    PASSWORD,
    USER,
    IntegrationTestCase,
    Server,
    basic,
    script,
    wait_until,
)


class AuditTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.audit = self.folder / "audit.log"
        self.downloads = self.folder / "downloads.log"
        self.settings = {
            "audit.log": str(self.audit),
            "downloads.log": str(self.downloads),
        }

    def upload(self, server: Server, version: str) -> str:
        file = make_wheel(self.folder, "acme", version)
        self.assertEqual(server.upload(file).status, 200)
        return file.name

    def lines(self, path: Path) -> list[Any]:
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def wait_for(self, path: Path, count: int) -> list[Any]:
        wait_until(
            lambda: len(self.lines(path)) >= count, lambda: str(self.lines(path))
        )
        return self.lines(path)

    def stored(self, server: Server) -> list[Any]:
        objects = sorted(server.store.glob(".audit/*/*/*.jsonl"))
        return [line for path in objects for line in self.lines(path)]

    def command(self, server: Server, *arguments: str) -> list[Any]:
        output = self.run_client(
            script("pypicloud"), "audit", server.config, "--json", *arguments
        )
        return [json.loads(line) for line in output.splitlines() if line[:1] == "{"]

    def test_everywhere(self) -> None:
        server = self.server(settings=self.settings)
        name = self.upload(server, "1.0")
        wrong = make_wheel(self.folder, "acme", "6.6")
        answer = server.upload(wrong, authorization=basic(USER, "not this"))
        self.assertEqual(answer.status, 401)
        [published, refused] = self.wait_for(self.audit, 2)
        self.assertEqual(
            (published["act"], published["principal"], published["file"]),
            ("published", USER, name),
        )
        self.assertEqual(published["address"], "127.0.0.1")
        self.assertEqual((refused["act"], refused["outcome"]), ("log-in", "refused"))
        for text in (self.audit.read_text(), server.log):
            self.assertNotIn("not this", text)
            self.assertNotIn(PASSWORD, text)
        wait_until(lambda: self.stored(server), lambda: server.log)
        self.assertEqual(self.stored(server), [published])

    def test_moved_away_by_logrotate(self) -> None:
        server = self.server(settings=self.settings)
        first = self.upload(server, "1.0")
        moved = self.audit.rename(self.folder / "audit.log.1")
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        wait_until(self.audit.exists, lambda: server.log)
        second = self.upload(server, "2.0")
        [after] = self.wait_for(self.audit, 1)
        [before] = self.lines(moved)
        self.assertEqual([before["file"], after["file"]], [first, second])
        self.assertEqual(self.audit.stat().st_mode & 0o007, 0)

    def test_after_a_kill(self) -> None:
        """What got into the store is there, and servers after it add to it."""
        server = self.server(settings=self.settings)
        names = [self.upload(server, f"{number}.0") for number in range(3)]
        wait_until(lambda: len(self.stored(server)) == 3, lambda: server.log)
        server.kill()
        server.start()
        names.append(self.upload(server, "3.0"))
        server.stop()
        found = self.command(server, "--project", "acme", "--act", "published")
        self.assertEqual([record["file"] for record in found], names)
        servers = {path.parent.name for path in server.store.glob(".audit/*/*/*")}
        self.assertEqual(len(servers), 2)

    def test_a_command_makes_records_too(self) -> None:
        server = self.server(settings=self.settings)
        self.upload(server, "1.0")
        self.run_client(
            script("pypicloud"), "yank", server.config, "acme", "1.0", "--reason", "bad"
        )
        server.stop()
        [published, yanked] = self.command(server)
        self.assertEqual(published["proof"], {"kind": "password"})
        self.assertEqual((yanked["act"], yanked["reason"]), ("yanked", "bad"))
        self.assertEqual(yanked["proof"], {"kind": "command"})

    def test_downloads(self) -> None:
        server = self.server(settings=self.settings)
        name = self.upload(server, "1.0")
        [file] = server.document("acme")["files"]
        path = file["url"].removeprefix("../..")
        size = len(server.get(path).body)
        server.get(path, Range="bytes=0-9")
        [whole, part] = self.wait_for(self.downloads, 2)
        self.assertEqual((whole["file"], whole["sent"]), (name, size))
        self.assertEqual((part["status"], part["sent"]), (206, 10))

    def test_a_file_that_cannot_be_written(self) -> None:
        self.settings["audit.log"] = str(self.folder / "missing" / "audit.log")
        server = self.server(settings=self.settings, start=False)
        server.start(ready=False)
        assert server.process is not None
        self.assertNotEqual(server.process.wait(30), 0)
        self.assertIn("No such file or directory", server.log)
        self.assertNotIn("Traceback", server.log)

    def test_on_standard_output(self) -> None:
        self.settings = {"audit.log": "-"}
        server = self.server(settings=self.settings)
        name = self.upload(server, "1.0")
        server.stop()
        lines = [json.loads(x) for x in server.log.splitlines() if x[:1] == "{"]
        self.assertEqual([line["file"] for line in lines], [name])


test_suite = apart(__name__)
