"""Two servers of two versions share a store, as they do while one upgrades.

The other version is the newest release before this one, by the tags of this repository.
While there is none it is this checkout with a higher number: that shows that servers of
two numbers share a store, and the way to the test; what they write is the same code's.
tests/test_two_versions.py plays what a newer one may write.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tomllib
from functools import cache
from io import BytesIO
from itertools import cycle
from pathlib import Path
from threading import Event, Thread

from packaging.version import InvalidVersion, Version

from tests.integration import apart
from tests.integration.clients.environments import once
from tests.integration.dists import make_wheel
from tests.integration.release import archives, build, copy_checkout, installed
from tests.integration.rig import (
    CHECKOUT,
    IntegrationTestCase,
    Server,
    basic,
    script,
    wait_until,
)


def this_version() -> str:
    """Read the version of this checkout."""
    text = (CHECKOUT / "pyproject.toml").read_text("utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def former_tag() -> str | None:
    """Find the tag of the newest release before this version, if there is one."""
    if shutil.which("git") is None:
        return None
    git = ("git", "-C", str(CHECKOUT), "tag", "--list", "v*")
    done = subprocess.run(git, capture_output=True, text=True, timeout=30, check=False)
    found = {}
    for tag in done.stdout.split():
        try:
            found[Version(tag)] = tag
        except InvalidVersion:
            continue
    former = [version for version in found if version < Version(this_version())]
    return found[max(former)] if former else None


@cache
def other_wheel() -> Path:
    """Build the other version."""
    tag = former_tag()

    def make(path: Path) -> None:
        source = path / "source"
        source.mkdir()
        if tag is None:
            _copy_with_higher_number(source)
        else:
            _unpack(tag, source)
        build(source, path / "dist")

    name = tag or f"after-{archives().wheel.parents[1].name}"
    [wheel] = (once(f"other-{name}", make) / "dist").glob("*.whl")
    return wheel


def _copy_with_higher_number(source: Path) -> None:
    copy_checkout(source)
    project = source / "pyproject.toml"
    text, version = project.read_text("utf-8"), this_version()
    major = Version(version).major
    higher = text.replace(f'version = "{version}"', f'version = "{major}.999.0"', 1)
    project.write_text(higher, "utf-8")


def _unpack(tag: str, source: Path) -> None:
    git = ("git", "-C", str(CHECKOUT), "archive", tag)
    done = subprocess.run(git, capture_output=True, timeout=60, check=True)
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(source, filter="data")


class TwoVersionsTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.make_folder() / "store"
        self.dist = self.make_folder()
        self.pythons = installed(), installed(other_wheel())
        self.servers = tuple(map(self.serve, self.pythons))

    def serve(self, python: str) -> Server:
        settings = {"storage.dir": str(self.store), "index.fresh_for": "0.2"}
        launcher = (script("pypicloud", python),)
        return self.server(launcher=launcher, command=("serve",), settings=settings)

    def names(self, server: Server) -> set[str]:
        return {file["filename"] for file in server.document("acme")["files"]}

    def wait_for(self, names: set[str]) -> None:
        """Wait until every server shows at least these files of acme."""

        def missing() -> str:
            return str([names - self.names(server) for server in self.servers])

        wait_until(lambda: all(names <= self.names(s) for s in self.servers), missing)

    def act(self, server: Server, method: str, path: str, value: object = None) -> None:
        headers = {"Authorization": basic(), "Content-Type": "application/json"}
        body = None if value is None else json.dumps(value).encode()
        path = f"/api/v1/projects/acme/{path}"
        answer = server.request(method, path, body, headers)
        self.assertEqual(answer.status, 200, answer.text)

    def check_versions(self) -> None:
        """See that wherever a version is shown it is that of the server."""
        versions = []
        wheels = archives().wheel, other_wheel()
        for server, wheel in zip(self.servers, wheels, strict=True):
            version = wheel.name.split("-")[1]
            said = server.get("/health").headers["server"]
            self.assertEqual(said, f"pypicloud-tw/{version}")
            shown = server.get("/metrics", Authorization=basic()).text
            self.assertIn(f'pypicloud_build_info{{version="{version}"}} 1.0', shown)
            about = server.get("/api/v1/openapi.json", Authorization=basic()).json()
            self.assertEqual(about["info"]["version"], version)
            versions.append(version)
        for python, version in zip(self.pythons, versions, strict=True):
            output = self.run_client(script("pypicloud", python), "--version")
            self.assertEqual(output.strip(), f"pypicloud, version {version}")
        self.assertEqual(len(set(versions)), 2)

    def test_changes(self) -> None:
        """Each sees what the other did, and goes on with it."""
        self.check_versions()
        names = set()
        for number, server in zip(range(6), cycle(self.servers), strict=False):
            wheel = make_wheel(self.dist, "acme", f"1.{number}")
            self.assertEqual(server.upload(wheel).status, 200)
            names.add(wheel.name)
            self.wait_for(names)
        one, other = self.servers
        self.act(one, "PUT", "releases/1.0/yanked", {"reason": "broken"})
        self.act(other, "PUT", "releases/1.1/yanked", {"reason": "broken"})
        self.act(one, "DELETE", "releases/1.1/yanked")
        self.act(other, "DELETE", "releases/1.2")
        self.assertEqual(len(self.names(other)), 5)
        self.act(one, "POST", "restore", {})
        self.wait_for(names)
        files = other.document("acme")["files"]
        yanked = [file["filename"] for file in files if file.get("yanked")]
        self.assertEqual(yanked, ["acme-1.0-py3-none-any.whl"])

    def test_one_after_the_other(self) -> None:
        """Upgrade both while clients upload: all that was acknowledged is there."""
        stop, done = Event(), set[str]()

        def go_on(server: Server, number: int) -> None:
            count = 0
            while not stop.is_set():
                count += 1
                wheel = make_wheel(self.dist, "acme", f"{number}.{count}")
                try:
                    if server.upload(wheel).status == 200:
                        done.add(wheel.name)
                except OSError:
                    stop.wait(0.05)  # it is being upgraded

        writers = [
            Thread(target=go_on, args=(server, number))
            for number, server in enumerate(self.servers)
        ]
        for writer in writers:
            writer.start()
        try:
            others = reversed(self.pythons)
            for server, python in zip(self.servers, others, strict=True):
                self.wait_for_more(done)
                server.stop()
                server.launcher = (script("pypicloud", python),)
                server.start()
            self.wait_for_more(done)
        finally:
            stop.set()
            for writer in writers:
                writer.join(30)
        self.wait_for(done)

    def wait_for_more(self, done: set[str]) -> None:
        """Wait until something more is uploaded."""
        before = len(done)
        wait_until(lambda: len(done) > before + 1, lambda: f"still {before}")


test_suite = apart(__name__)
