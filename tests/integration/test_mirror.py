"""From a lock file to installations on machines without a way out."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

from tests.integration import apart
from tests.integration.commands import CommandTestCase
from tests.integration.dists import make_wheel
from tests.integration.fake_upstream import FakeUpstream
from tests.integration.rig import Server, script

PROJECT = """\
[project]
name = "machine-room"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["acme-tool"]
"""


class MirrorTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.dist = self.make_folder()
        self.target = self.folder / "target"
        self.project = self.make_folder()
        (self.project / "pyproject.toml").write_text(PROJECT)
        self.upstream = FakeUpstream()
        self.upstream.start()
        self.addCleanup(lambda: self.upstream.stop())
        tool = make_wheel(self.dist, "acme_tool", "1.0", requires=["acme-dep"])
        self.upstream.publish(tool, make_wheel(self.dist, "acme_dep", "1.0"))
        self.index = self.server(settings=self.settings("cache"))
        self.lock()

    def settings(self, mode: str) -> dict[str, str]:
        return {
            "pypi.use_fallback": "true",
            "pypi.fallback": mode,
            "pypi.fallback_url": self.upstream.simple,
        }

    def lock(self) -> None:
        """Lock the project, and have a newer release appear after that."""
        self.uv("lock")
        self.requirements = self.project / "requirements.txt"
        self.uv("export", "--no-emit-project", "-o", str(self.requirements))
        self.upstream.publish(make_wheel(self.dist, "acme_dep", "2.0"))

    def uv(self, *command: str) -> str:
        return self.run_client(
            *(script("uv"), *command, "--project", str(self.project), "--no-cache"),
            UV_DEFAULT_INDEX=self.index.simple,
            UV_PYTHON=sys.executable,
            UV_HTTP_RETRIES="0",
        )

    def mirror(self, *options: str | Path, code: int = 0) -> str:
        chosen = ("mirror", "--config", str(self.index.config), *map(str, options))
        return self.do(*chosen, code=code)

    def pip_installs(self, *what: str | Path) -> None:
        pip = (sys.executable, "-m", "pip", "install", "--no-cache-dir", "--retries=0")
        self.installs(*pip, *what)

    def uv_installs(self, *what: str | Path) -> None:
        uv = (script("uv"), "pip", "install", "--no-cache", "--python", sys.executable)
        self.installs(*uv, *what)

    def installs(self, *command: str | Path) -> None:
        """Assert that the tool is installed as it was locked."""
        rmtree(self.target, ignore_errors=True)
        self.run_client(*command, "--target", self.target)
        installed = self.target / "acme_dep" / "__init__.py"
        self.assertEqual(installed.read_text(), "version = '1.0'\n", command)

    def cut_off(self, server: Server) -> None:
        """Start a server anew that has no way out."""
        self.upstream.stop()
        self.upstream.asked.clear()
        server.stop()
        server.configure(**{"pypi.fallback": "kept"})
        server.start()

    def test_cache(self) -> None:
        lock = self.project / "uv.lock"
        self.assertIn("Fetched: 2 files", self.mirror("--lock", lock))
        self.assertIn("There already: 2 files", self.mirror("--lock", lock))
        self.cut_off(self.index)
        page = self.index.document("acme-dep")
        names = [file["filename"] for file in page["files"]]
        self.assertEqual(names, ["acme_dep-1.0-py3-none-any.whl"])
        self.uv("sync", "--frozen", "--no-install-project")
        self.assertTrue(list(self.project.glob(".venv/lib/*/site-packages/acme_dep")))
        self.pip_installs("--require-hashes", "-r", self.requirements, *self.simple)
        self.uv_installs("acme-tool", *self.simple)
        self.assertEqual(self.upstream.asked, [])

    def test_bundle(self) -> None:
        """What the cache keeps, and a project of ours, carried to another store."""
        self.mirror("--lock", self.project / "uv.lock")
        wheel = make_wheel(self.dist, "corp_lib", "1.0", requires=["acme-tool"])
        self.assertEqual(self.index.upload(wheel).status, 200)
        tar = self.folder / "first.tar"
        self.bundle(tar)
        room = self.server(settings=self.settings("kept"))
        self.take(tar, room)
        self.upstream.stop()
        self.upstream.asked.clear()
        self.pip_installs("corp-lib", "--index-url", room.simple)
        self.assertEqual(self.upstream.asked, [])
        second = self.folder / "second.tar"
        self.index.upload(make_wheel(self.dist, "corp_lib", "2.0"))
        self.bundle(second, "--since-bundle", f"{tar}.json")
        self.assertLess(second.stat().st_size, tar.stat().st_size)
        self.assertIn("Took 1 file of 1 project", self.take(second, room))
        older = self.begin("import", str(tar), "--into", str(room.config))
        told, _ = self.end(older, 1)
        self.assertIn("A bundle with a later state of it was taken here", told)

    def bundle(self, tar: Path, *options: str) -> None:
        self.do("bundle", str(tar), "--config", str(self.index.config), *options)

    def take(self, tar: Path, room: Server) -> str:
        digest = sha256(tar.read_bytes()).hexdigest()
        where = ("--into", str(room.config))
        return self.do("import", str(tar), "--sha256", digest, *where)

    def test_folder(self) -> None:
        house = self.folder / "wheelhouse"
        told = self.mirror("--lock", self.requirements, "--to", house)
        self.assertIn("Fetched: 2 files", told)
        self.upstream.stop()
        self.index.stop()
        self.uv_installs("acme-tool", "--no-index", "--find-links", house)
        self.pip_installs("acme-tool", "--index-url", f"file://{house}/simple/")
        self.assertFalse(list(house.glob(".tmp/*")))

    @property
    def simple(self) -> tuple[str, str]:
        return ("--index-url", self.index.simple)


test_suite = apart(__name__)
