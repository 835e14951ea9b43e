"""The three kinds of links to files in a bucket, as clients use them."""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import Any

from tests.integration import apart
from tests.integration.clients.environments import PIPS, environment
from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import Answer, Server, script
from tests.integration.s3_rig import S3TestCase
from tests.integration.seaweedfs import shared

LIB = "acme_lib-1.1-py3-none-any.whl"

POETRY_PROJECT = """\
[project]
name = "user"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["acme-app"]
[tool.poetry]
package-mode = false
[[tool.poetry.source]]
name = "acme"
url = "{url}"
priority = "primary"
"""


class LinkTests(S3TestCase):
    """One bucket, and a server on it with each kind of links."""

    def setUp(self) -> None:
        super().setUp()
        self.wheel = make_wheel(self.dist, "acme_lib", "1.1")
        self.files_sent = [
            make_wheel(self.dist, "acme_app", "1.0", requires=["acme-lib>=1.1"]),
            self.wheel,
            make_sdist(self.dist, "acme_lib", "1.2"),
        ]

    def serving(self, link: str) -> Server:
        """Start a server with such links, and publish."""
        server = self.s3_server({"aws.link": link})
        for file in self.files_sent:
            self.assertEqual(server.upload(file).status, 200)
        return server

    def install(self, server: Server) -> None:
        """Install with pip and with uv, what is needed and built included."""
        clients = (
            (environment(PIPS[0]), "-m", "pip", "install", "--no-cache-dir"),
            (script("uv"), "pip", "install", "--no-cache", "--python", sys.executable),
        )
        for number, client in enumerate(clients):
            target = self.folder / f"target-{number}"
            where = ("--target", target, "--index-url", server.simple)
            self.run_client(*client, *where, "acme-app")
            for name, version in (("acme_app", "1.0"), ("acme_lib", "1.2")):
                text = (target / name / "__init__.py").read_text()
                self.assertEqual(text, f"version = {version!r}\n")

    def path(self, server: Server) -> str:
        url: str = self.files(server, "acme-lib")[LIB]["url"]
        return url.removeprefix("../..")

    def own_answers(self, server: Server) -> None:
        """HEAD and core metadata are answered by the server itself."""
        path, data = self.path(server), self.wheel.read_bytes()
        head = server.request("HEAD", path)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], str(len(data)))
        self.assertEqual(head.headers["accept-ranges"], "bytes")
        metadata = server.get(f"{path}.metadata")
        self.assertEqual(metadata.status, 200)
        self.assertIn("Name: acme_lib", metadata.text)
        told = self.files(server, "acme-lib")[LIB]["core-metadata"]["sha256"]
        self.assertEqual(sha256(metadata.body).hexdigest(), told)

    def lazily(self, server: Server) -> None:
        """Install with a pip that knows no core metadata, and reads a wheel's end."""
        target = self.folder / "lazy"
        said = self.run_client(
            *(environment(PIPS[2]), "-m", "pip", "install", "--no-cache-dir", "-v"),
            *("--use-feature=fast-deps", "--only-binary=:all:", "--target", target),
            *("--index-url", server.simple, "acme-app"),
        )
        self.assertTrue((target / "acme_lib" / "__init__.py").exists())
        self.assertIn("Obtaining dependency information from acme-lib 1.1", said)
        self.assertNotIn("does not support range requests", said)

    def poetry(self, server: Server) -> None:
        """Lock and install."""
        project = self.folder / "project"
        project.mkdir()
        text = POETRY_PROJECT.format(url=server.simple)
        (project / "pyproject.toml").write_text(text)
        self.run_client(
            *(environment("poetry"), "-m", "poetry", "install", "--no-interaction"),
            cwd=project,
            POETRY_VIRTUALENVS_IN_PROJECT="true",
        )
        lock = (project / "poetry.lock").read_text()
        for wheel in (self.files_sent[0], self.files_sent[2]):
            self.assertIn(sha256(wheel.read_bytes()).hexdigest(), lock)
        [installed] = project.glob(".venv/lib/*/site-packages/acme_lib/__init__.py")
        self.assertIn("1.2", installed.read_text())

    def ranged(self, answer: Answer) -> None:
        data = self.wheel.read_bytes()
        self.assertEqual((answer.status, answer.body), (206, data[10:20]))
        whole = f"bytes 10-19/{len(data)}"
        self.assertEqual(answer.headers["content-range"], whole)

    def test_redirect(self) -> None:
        server = self.serving("redirect")
        self.install(server)
        self.lazily(server)
        self.poetry(server)
        self.own_answers(server)
        answer = server.get(self.path(server), Range="bytes=10-19")
        self.assertEqual(answer.status, 302)
        self.assertTrue(answer.headers["location"].startswith(shared().url))
        self.assertIn("private", answer.headers["cache-control"])
        self.ranged(self.follow(answer, Range="bytes=10-19"))
        whole = self.follow(answer)
        self.assertEqual(whole.body, self.wheel.read_bytes())
        self.assertTrue(answer.headers["location"].partition("?")[0].endswith(LIB))

    def test_stream(self) -> None:
        server = self.serving("stream")
        self.install(server)
        self.lazily(server)
        self.poetry(server)
        self.own_answers(server)
        path = self.path(server)
        self.ranged(server.get(path, Range="bytes=10-19"))
        self.assertEqual(server.get(path).body, self.wheel.read_bytes())
        beyond = server.get(path, Range="bytes=99999999-")
        self.assertEqual(beyond.status, 416)

    def test_signed(self) -> None:
        """Pages name S3's addresses, and no metadata that would be looked for there."""
        server = self.serving("signed")
        self.install(server)
        files: dict[str, Any] = self.files(server, "acme-lib")
        for file in files.values():
            self.assertNotIn("core-metadata", file)
            self.assertNotIn("dist-info-metadata", file)
            self.assertTrue(file["url"].startswith(shared().url))
            answer = self.ask_s3(file["url"])
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(sha256(answer.body).hexdigest(), file["hashes"]["sha256"])
        page = server.get("/simple/acme-lib/", Accept="text/html").text
        self.assertIn("X-Amz-Signature", page)
        self.assertNotIn("metadata=", page)
        # Addresses of our own, in lock files, work as well.
        digest = sha256(self.wheel.read_bytes()).hexdigest()[:16]
        own = server.get(f"/packages/acme-lib/{digest}/{LIB}")
        self.assertEqual(self.follow(own).body, self.wheel.read_bytes())


test_suite = apart(__name__)
