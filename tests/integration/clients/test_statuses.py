"""What clients make of a project's status (PEP 792), and of what was undone."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.integration import apart
from tests.integration.clients.environments import environment
from tests.integration.dists import make_wheel
from tests.integration.rig import PASSWORD, USER, IntegrationTestCase, script

PROJECT = """\
[project]
name = "consumer"
version = "1"
requires-python = ">=3.9"
dependencies = ["acme"]
[[tool.uv.index]]
name = "acme"
url = "{url}"
default = true
"""


class NoAdvisories(BaseHTTPRequestHandler):
    """A service of advisories (OSV) that knows none."""

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        queries = json.loads(self.rfile.read(length))["queries"]
        body = json.dumps({"results": [{} for _ in queries]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class StatusTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.index = self.server()
        self.dist = self.folder / "dist"
        self.dist.mkdir()
        self.publish("1.0")
        self.publish("1.1")

    def publish(self, version: str) -> int:
        return self.index.upload(make_wheel(self.dist, "acme", version)).status

    def act(self, *arguments: str) -> None:
        """Do something as a maintainer, from another machine."""
        login = {"PYPICLOUD_USERNAME": USER, "PYPICLOUD_PASSWORD": PASSWORD}
        command = (script("pypicloud"), *arguments, "--index", self.index.url)
        self.run_client(*command, **login)

    def pip(self, *arguments: str | Path) -> tuple[str | Path, ...]:
        command = (environment("pip"), "-m", "pip", "download", "--no-cache-dir")
        where = ("-d", self.folder / "downloads", "-i", self.index.simple)
        return (*command, *where, *arguments)

    def uv(self, *arguments: str | Path) -> tuple[str | Path, ...]:
        where = ("--index-url", self.index.simple, "--no-cache")
        target = ("--target", self.folder / "target", "--python", sys.executable)
        return (script("uv"), "pip", "install", *where, *target, *arguments)

    def project(self) -> Path:
        project = self.folder / "project"
        project.mkdir()
        text = PROJECT.format(url=self.index.simple)
        (project / "pyproject.toml").write_text(text)
        return project

    def audit(self, project: Path) -> str:
        """Have uv tell what is wrong with a project's dependencies."""
        service = ThreadingHTTPServer(("127.0.0.1", 0), NoAdvisories)
        thread = Thread(target=service.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(service.server_close)
        self.addCleanup(service.shutdown)
        url = f"http://127.0.0.1:{service.server_port}"
        command = (script("uv"), "audit", "--preview", "--service-url", url)
        output = self.run_client(*command, "--python-version", "3.11", cwd=project)
        return " ".join(output.split())

    def test_quarantined_offers_nothing(self) -> None:
        self.act("status", "acme", "quarantined", "--reason", "malware", "--yes")
        for command in (self.pip("acme"), self.uv("acme")):
            self.run_failing(*command)
        self.assertEqual(self.publish("1.2"), 403)
        self.act("status", "acme", "active")
        self.run_client(*self.pip("acme==1.1"))
        self.run_client(*self.uv("acme==1.1"))

    def test_a_locked_address_of_what_is_quarantined(self) -> None:
        project = self.project()
        command = (script("uv"), "lock", "--python", sys.executable)
        self.run_client(*command, cwd=project)
        self.act("status", "acme", "quarantined", "--yes")
        sync = (script("uv"), "sync", "--frozen", "--no-cache")
        output = self.run_failing(*sync, "--python", sys.executable, cwd=project)
        self.assertIn("quarantine", output)

    def test_archived_and_deprecated_are_told(self) -> None:
        project = self.project()
        command = (script("uv"), "lock", "--python", sys.executable)
        self.run_client(*command, cwd=project)
        for status, told in (
            ("archived", "archived"),
            ("deprecated", "deprecated"),
        ):
            self.act("status", "acme", status, "--reason", "use acme2")
            output = self.audit(project)
            self.assertIn(told, output)
            self.assertIn("use acme2", output)
        self.run_client(*self.pip("acme"))
        self.run_client(*self.uv("acme"))

    def test_deleted_and_restored(self) -> None:
        """What is undone is as it was, by the address that a lock file has."""
        project = self.project()
        python = ("--python", sys.executable)
        self.run_client(script("uv"), "lock", *python, cwd=project)
        sync = (script("uv"), "sync", "--frozen", "--no-cache", *python)
        self.act("delete", "acme==1.1", "--yes")
        self.run_failing(*sync, cwd=project)
        self.run_failing(*self.pip("acme==1.1"))
        self.act("undo", "acme")
        self.run_client(*sync, cwd=project)
        self.run_client(*self.pip("acme==1.1"))

    def test_yanked_and_undone(self) -> None:
        self.act("yank", "acme==1.1", "--reason", "broken")
        output = self.run_client(*self.uv("acme"))
        self.assertIn("acme==1.0", output)
        self.act("unyank", "acme==1.1")
        output = self.run_client(*self.uv("--upgrade", "acme"))
        self.assertIn("acme==1.1", output)


test_suite = apart(__name__)
