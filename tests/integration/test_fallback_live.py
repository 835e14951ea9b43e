"""A real pip and a real uv, through servers of ours, against the live public index.

Passed over where it does not answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shutil import rmtree
from urllib.parse import urljoin
from urllib.request import Request, urlopen

from packaging.utils import canonicalize_name

from tests.integration import apart
from tests.integration.clients.environments import PIPS, environment
from tests.integration.live_index import LiveIndex, live_index
from tests.integration.rig import (
    IntegrationTestCase,
    Server,
    free_port,
    script,
    wait_until,
)

#: Needs about twenty other projects, all small.
TOOL = "cookiecutter"

JSON = "application/vnd.pypi.simple.v1+json"


class LiveTests(IntegrationTestCase):
    """A tool with two dozen dependencies."""

    index: LiveIndex

    def setUp(self) -> None:
        self.index = live_index()
        super().setUp()
        self.target = self.folder / "target"

    def front(self, mode: str, **settings: str) -> Server:
        server = self.server(
            start=False,
            settings={**self.index.settings, "pypi.fallback": mode, **settings},
        )
        server.environment = self.index.trust
        server.start()
        return server

    def pip(self, server: Server, *what: str) -> None:
        rmtree(self.target, ignore_errors=True)
        self.run_client(
            *(environment(PIPS[0]), "-m", "pip", "install", "--no-cache-dir"),
            *("--target", str(self.target), "-i", server.simple, *what),
            **self.index.trust,
        )
        self.runs()

    def uv(self, server: Server, *what: str) -> None:
        rmtree(self.target, ignore_errors=True)
        self.run_client(
            *(script("uv"), "pip", "install", "--no-cache", "--target", self.target),
            *("--python", sys.executable, "--index-url", server.simple, *what),
            **self.index.trust,
        )
        self.runs()

    def runs(self) -> None:
        """Assert that the tool was installed whole."""
        python = environment(PIPS[0])
        command = (python, "-m", TOOL, "--version")
        output = self.run_client(*command, PYTHONPATH=str(self.target))
        self.assertIn("cookiecutter", output.lower())

    def lock(self, server: Server) -> Path:
        wanted, lock = self.folder / "wanted.in", self.folder / "lock.txt"
        wanted.write_text(f"{TOOL}\n")
        self.run_client(
            *(script("uv"), "pip", "compile", "--generate-hashes", "--no-cache"),
            *("--python", sys.executable, "--index-url", server.simple),
            *("-o", lock, wanted),
            **self.index.trust,
        )
        self.assertGreater(lock.read_text().count("=="), 12)
        return lock

    def test_proxy(self) -> None:
        server = self.front("proxy")
        self.uv(server, TOOL)
        self.pip(server, TOOL)

    def test_redirect(self) -> None:
        self.uv(self.front("redirect"), TOOL)

    def test_says_what_it_says(self) -> None:
        """What the index's JSON says ours says, but for what describes its form."""
        server = self.front("proxy")
        ours = server.document(TOOL)
        address = f"{self.index.url.rstrip('/')}/{TOOL}/"
        request = Request(address, headers={"Accept": JSON})
        with urlopen(request, timeout=30) as answer:
            theirs = json.load(answer)
        for document in (ours, theirs):
            # null and false say what leaving a key out does (PEP 691).
            document["files"] = [
                {k: v for k, v in file.items() if v not in (None, False)}
                for file in document["files"]
            ]
        for file in theirs["files"]:
            file["url"] = urljoin(address, file["url"])
        self.assertEqual(ours.pop("meta")["api-version"][0], "1")
        theirs.pop("meta")
        # PEP 752: they are not ours to tell, so ours says null.
        self.assertIsNone(ours.pop("namespaces"))
        theirs.pop("namespaces", None)
        self.assertEqual(ours, theirs)

    def test_lock_and_index_cut_off(self) -> None:
        """The index is a server of ours in front of the live one, which is stopped."""
        back = self.front("proxy", **{"pypi.fallback_files": "relay"})
        server = self.front("cache", **{"pypi.fallback_url": back.simple})
        lock = self.lock(server)
        self.uv(server, "--require-hashes", "-r", str(lock))
        self.kept(server, self.target)
        server.stop()
        back.stop()
        server.start()
        self.uv(server, "--require-hashes", "-r", str(lock))
        self.pip(server, "--require-hashes", "-r", str(lock))
        # Without the lock, too.
        self.uv(server, TOOL)

    def test_lock_and_nowhere_to_ask(self) -> None:
        """uv's own lock names the files: nothing but what is kept is needed."""
        server = self.front("cache")
        project = self.folder / "project"
        project.mkdir()
        (project / "pyproject.toml").write_text(
            '[project]\nname = "user-project"\nversion = "1"\n'
            f'requires-python = ">=3.11"\ndependencies = ["{TOOL}"]\n'
            f'[[tool.uv.index]]\nname = "ours"\nurl = "{server.simple}"\n'
            "default = true\n"
        )
        options = ("--no-cache", "--python", sys.executable)
        self.run_client(script("uv"), "lock", *options, cwd=project)
        self.run_client(script("uv"), "sync", "--frozen", *options, cwd=project)
        (site,) = project.glob(".venv/lib/*/site-packages")
        self.kept(server, site)
        server.stop()
        nowhere = f"http://127.0.0.1:{free_port()}/simple/"
        server.configure(**{"pypi.fallback_url": nowhere})
        server.start()
        rmtree(project / ".venv")
        self.run_client(script("uv"), "sync", "--frozen", *options, cwd=project)
        self.assertTrue((project / ".venv" / "bin" / TOOL).exists())

    def kept(self, server: Server, site: Path) -> None:
        """Wait until what is installed there, and every page of it, is in the store.

        More than that may be: uv reads what other platforms would need, too.
        """
        cache = server.store / ".cache"
        names = {
            canonicalize_name(info.name.split("-")[0])
            for info in site.glob("*.dist-info")
        }
        self.assertGreater(len(names), 12)

        def missing() -> list[str]:
            return sorted(
                name
                for name in names
                if not list((cache / name).glob("*/*.whl"))
                or not (cache / ".pages" / name).exists()
            )

        wait_until(lambda: not missing(), lambda: f"not kept: {missing()}")


test_suite = apart(__name__)
