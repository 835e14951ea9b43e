"""A real bandersnatch mirrors an index of 200 projects, and keeps up with it.

It asks for the list of projects with their serials, for ``/pypi/PROJECT/json`` of each,
and at its next run for what has changed since (its ``master.py`` and ``mirror.py``).
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from tests.integration import apart
from tests.integration.clients.environments import environment
from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import (
    CHECKOUT,
    IntegrationTestCase,
    Server,
    script,
    wait_until,
)

BANDERSNATCH = "bandersnatch==6.8.0"
PROJECTS = 200

CONFIG = """\
[mirror]
directory = {directory}
json = true
master = {url}
allow-non-https = true
timeout = 15
workers = 4
hash-index = false
stop-on-error = true
api-method = {method}
"""


class Mirror:
    """A mirror's folder, and how it is brought up to date."""

    def __init__(self, case: MirrorTests, server: Server, method: str) -> None:
        self.case, self.server, self.method = case, server, method
        self.folder = case.folder / f"mirror-{method}"
        self.folder.mkdir()
        self.config = case.folder / f"{method}.conf"
        self.config.write_text(
            CONFIG.format(directory=self.folder, url=server.url, method=method)
        )

    @property
    def web(self) -> Path:
        return self.folder / "web"

    @property
    def serial(self) -> int:
        return int((self.folder / "status").read_text())

    def run(self) -> list[str]:
        """Run it, and tell of which projects it asked."""
        before = len(self.server.log)
        python = environment(BANDERSNATCH)
        command = (python, "-m", "bandersnatch.main", "-c", self.config, "mirror")
        self.case.run_client(*command)
        # The access log is written a little later.
        self.case.settle()
        lines = self.server.log[before:].splitlines()
        asked = [line.partition("GET /pypi/")[2] for line in lines]
        return sorted(rest.partition("/json")[0] for rest in asked if rest)

    def page(self, project: str) -> Any:
        return json.loads((self.web / "simple" / project / "index.v1_json").read_text())


class MirrorTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.dist = self.folder / "dist"
        self.dist.mkdir()
        self.index = self.server()
        self.names = [f"p{number:03}" for number in range(PROJECTS)]
        for name in self.names:
            self.publish(make_wheel(self.dist, name, "1.0"))
        for name in self.names[::20]:
            self.publish(make_sdist(self.dist, name, "1.1"))

    def publish(self, file: Path) -> None:
        answer = self.index.upload(file)
        self.assertEqual(answer.status, 200, answer)

    def settle(self) -> None:
        """Have all that was asked so far written into the access log."""
        path = f"/settled-{len(self.index.log)}"
        self.index.get(path)
        wait_until(lambda: path in self.index.log, lambda: self.index.log)

    def command(self, *arguments: str) -> None:
        name, *rest = arguments
        self.run_client(script("pypicloud"), name, self.index.config, *rest)

    def test_xml_rpc(self) -> None:
        """Its default."""
        self.mirrored(Mirror(self, self.index, "xmlrpc"))

    def test_simple_api(self) -> None:
        mirror = Mirror(self, self.index, "simple")
        self.mirrored(mirror)
        self.imported(mirror)

    def imported(self, mirror: Mirror) -> None:
        """Take the mirror's folder into another store, by what its pages say."""
        there = self.server(start=False)
        there.store.mkdir(exist_ok=True)
        command = (sys.executable, "-m", "pypicloud_tw", "import", mirror.folder)
        into = ("--into", there.config, "--json")
        said = self.run_client(*command, *into, cwd=CHECKOUT)
        report = json.loads(said[said.index("{") :])  # before it, how far it is
        self.assertEqual(report["remarks"], [])
        self.assertIn("bandersnatch", report["source"])
        there.start()
        for name in self.names:
            ours, theirs = self.index.document(name), there.document(name)
            self.assertEqual(
                sorted(map(_told, ours["files"]), key=str),
                sorted(map(_told, theirs["files"]), key=str),
            )
        (yanked,) = there.document("p005")["files"]
        self.assertEqual(yanked["yanked"], "<broken>")

    def mirrored(self, mirror: Mirror) -> None:
        self.assertEqual(mirror.run(), self.names)
        self.compare(mirror)
        self.assertEqual(mirror.run(), [], "Nothing has changed.")
        self.publish(make_wheel(self.dist, "p003", "2.0"))
        self.command("yank", "p005", "1.0", "--reason", "<broken>")
        self.command("remove", "p020", "1.0")
        serial = mirror.serial
        self.assertEqual(mirror.run(), ["p003", "p005", "p020"])
        self.assertGreater(mirror.serial, serial)
        self.compare(mirror)
        self.assertEqual(mirror.page("p003")["versions"], ["1.0", "2.0"])
        self.assertEqual(mirror.page("p020")["versions"], ["1.1"])
        page = (mirror.web / "simple" / "p005" / "index.html").read_text()
        self.assertIn("data-yanked=", page)
        self.after_a_restart(mirror)
        self.after_the_marker_was_lost(mirror)

    def after_a_restart(self, mirror: Mirror) -> None:
        self.index.stop()
        self.publish_and_mirror(mirror, "3.0", ["p007"])

    def after_the_marker_was_lost(self, mirror: Mirror) -> None:
        """It looks at everything again, and is told of what changes from then on."""
        self.index.stop()
        (self.index.store / ".marker").unlink()
        self.publish_and_mirror(mirror, "4.0", self.names)
        self.assertEqual(mirror.run(), [])

    def publish_and_mirror(
        self, mirror: Mirror, version: str, asked: list[str]
    ) -> None:
        self.index.start()
        self.publish(make_wheel(self.dist, "p007", version))
        self.assertEqual(mirror.run(), asked)
        self.compare(mirror)

    def compare(self, mirror: Mirror) -> None:
        """Compare the whole mirror with the index, file by file and page by page."""
        listed = json.loads((mirror.web / "simple" / "index.v1_json").read_text())
        self.assertEqual([one["name"] for one in listed["projects"]], self.names)
        for name in self.names:
            ours = self.index.document(name)
            theirs = mirror.page(name)
            self.assertEqual(
                sorted(map(_told, ours["files"]), key=str),
                sorted(map(_told, theirs["files"]), key=str),
            )
            self.assertEqual(ours["versions"], theirs["versions"])
            html = (mirror.web / "simple" / name / "index.html").read_text()
            for file in theirs["files"]:
                self.assertIn(file["url"], html)
                self.compare_bytes(mirror, name, file)

    def compare_bytes(self, mirror: Mirror, name: str, file: Any) -> None:
        address = urljoin(f"{self.index.url}/simple/{name}/", file["url"])
        path = urlsplit(address).path
        data = (mirror.web / unquote(path).lstrip("/")).read_bytes()
        self.assertEqual(sha256(data).hexdigest(), file["hashes"]["sha256"])
        self.assertEqual(len(data), file["size"])
        self.assertEqual(self.index.get(path).body, data)


def _told(file: Any) -> tuple[object, ...]:
    """Give what both pages tell of a file; a reason is not told by the mirror's."""
    return (
        file["filename"],
        file["hashes"],
        file["size"],
        file["upload-time"],
        file.get("requires-python"),
        bool(file.get("yanked")),
    )


test_suite = apart(__name__)
