"""``pypicloud import`` from a real pypiserver, a real devpi and a server of ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks import corpus, peers, servers
from benchmarks.contestants import Place, Setup
from pypicloud_tw.index.manifest import decode, manifest_key
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import project_name
from tests.integration import apart
from tests.integration.clients.environments import environment
from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import (
    USER,
    IntegrationTestCase,
    Server,
    clean_environment,
    run,
    script,
    wait_until,
)

SIZES: Mapping[str, int] = {f"project-{n:03d}": 2 for n in range(10)}
FIRST = "project-000"


class ImportCase(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.place = Place(self.folder, self.folder, self.make_corpus(), ())
        self.into = self.server()

    def make_corpus(self) -> corpus.Corpus:
        return corpus.make(self.folder / "corpus", SIZES)

    def programs(self, name: str) -> Path:
        return Path(environment(*peers.PACKAGES[name])).parent

    def take(self, *arguments: str | Path, code: int = 0) -> Any:
        """Run it for scripts, into the store beside its server."""
        command = (script("pypicloud"), "import", *arguments, "--json")
        outcome = run(command, home=self.home)
        self.assertEqual(outcome.code, code, outcome.output)
        return json.loads(outcome.output[outcome.output.index("{") :])

    def totals(self, report: Any) -> tuple[int, int]:
        projects = report["projects"]
        taken = sum(one["taken"] for one in projects)
        return taken, sum(one["there"] for one in projects)

    def project(self, name: str = FIRST) -> Project:
        data = (self.into.store / manifest_key(project_name(name))).read_bytes()
        return decode(project_name(name), data)

    def files_of_server(self, name: str) -> dict[str, str]:
        files = self.into.document(name)["files"]
        return {one["filename"]: one["hashes"]["sha256"] for one in files}

    def check_store(self) -> None:
        self.run_client(
            script("pypicloud"), "verify", "--deep", "--config", self.into.config
        )


class PypiserverTests(ImportCase):
    def test_all_that_it_has(self) -> None:
        pypiserver = peers.Pypiserver(self.place, self.programs("pypiserver"))
        with pypiserver.running(Setup.OPEN) as target:
            url = f"http://127.0.0.1:{target.port}/"
            report = self.take(url, "--into", self.into.config)
            self.assertIn("pypiserver at", report["source"])
            self.assertEqual(self.totals(report), (20, 0))
            again = self.take(url, "--into", self.into.config)
            self.assertEqual(self.totals(again), (0, 20))
        for name in SIZES:
            files = {
                path.name: sha256(path.read_bytes()).hexdigest()
                for path in self.place.made.flat.glob(f"{name.replace('-', '_')}-*")
            }
            self.assertEqual(len(files), 2)
            self.assertEqual(self.files_of_server(name), files)
        written = (self.place.made.flat / self.project().files[0].filename).stat()
        uploaded = self.project().files[0].upload_time.timestamp()
        self.assertLess(abs(uploaded - written.st_mtime), 1)
        self.check_store()


class DevpiTests(ImportCase):
    def test_an_index_with_a_log_in_by_a_server(self) -> None:
        administered = self.server(settings={"auth.admins": USER})
        devpi = peers.Devpi(self.place, self.programs("devpi"))
        with devpi.running(Setup.EMPTY) as target:
            peers.fill(target, SIZES, at_once=1)
            url = f"http://127.0.0.1:{target.port}/{servers.USER}/main/+simple/"
            report = self.take(url, "--into", self.into.config)
            self.assertIn(f"main of {servers.USER}", report["source"])
            self.assertEqual(self.totals(report), (20, 0))
            all_of_user = f"http://127.0.0.1:{target.port}/{servers.USER}"
            report = self.take(all_of_user, "--index", administered.url_with_password)
            self.assertEqual(self.totals(report), (20, 0))
        file = self.project().files[0]
        self.assertEqual(file.uploader, servers.USER)
        (entry,) = self.project().history
        self.assertEqual((entry.act, entry.count), ("imported", 2))
        for name in SIZES:
            there = administered.document(name)["files"]
            self.assertEqual(
                {one["filename"]: one["upload-time"] for one in there},
                {
                    one["filename"]: one["upload-time"]
                    for one in self.into.document(name)["files"]
                },
            )
        self.check_store()


class OurselvesTests(ImportCase):
    def setUp(self) -> None:
        super().setUp()
        self.old = self.server()
        for name in SIZES:
            escaped = name.replace("-", "_")
            self.publish(self.old, make_wheel(self.home, escaped, "1.0"))
            self.publish(self.old, make_sdist(self.home, escaped, "1.0"))

    def publish(self, server: Server, file: Path) -> None:
        self.assertEqual(server.upload(file).status, 200, file)

    def command(self, *arguments: str) -> None:
        self.run_client(script("pypicloud"), *arguments, "--config", self.old.config)

    def test_a_weekend(self) -> None:
        """Moved in, used on both sides, and caught up with."""
        first = self.take(self.old.url, "--into", self.into.config)
        self.assertEqual(self.totals(first), (20, 0))
        self.publish(self.old, make_wheel(self.home, "project_000", "2.0"))
        self.publish(self.into, make_wheel(self.home, "project_000", "3.0"))
        self.command("yank", "project-001", "1.0", "--reason", "broken")
        self.command("status", "project-002", "archived")
        report = self.take(self.old.url, "--into", self.into.config)
        self.assertEqual(self.totals(report), (1, 20))
        versions = self.into.document("project-000")["versions"]
        self.assertEqual(versions, ["1.0", "2.0", "3.0"])
        yanked = [file.yanked for file in self.project("project-001").files]
        self.assertEqual(yanked, ["broken", "broken"])
        self.assertEqual(self.project("project-002").status, "archived")
        self.check_store()

    def test_killed_and_begun_again(self) -> None:
        command = [
            *(script("pypicloud"), "import", self.old.url, "--jobs", "1"),
            *("--into", str(self.into.config)),
        ]
        for _ in range(2):
            before = self.manifests()
            process = subprocess.Popen(
                command,
                env=clean_environment(self.home),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            wait_until(partial(self.has_more, before), lambda: self.into.log)
            process.kill()
            process.wait(10)
        for path in (self.into.store / ".index").glob("*.json"):
            for file in decode(project_name(path.stem), path.read_bytes()).files:
                self.assertEqual((self.into.store / file.key).stat().st_size, file.size)
        report = self.take(self.old.url, "--into", self.into.config)
        taken, there = self.totals(report)
        self.assertEqual(taken + there, 20)
        self.assertGreater(there, 0)
        self.check_store()

    def has_more(self, before: int) -> bool:
        return self.manifests() > before

    def manifests(self) -> int:
        return len(list((self.into.store / ".index").glob("*.json")))


test_suite = apart(__name__)
