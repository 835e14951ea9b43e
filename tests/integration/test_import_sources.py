"""Packages are taken from a real pypicloud 1.3.12, the last of its kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from attrs import define, field
from passlib.hash import sha512_crypt

from tests.integration import apart
from tests.integration.clients.environments import environment
from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import (
    CHECKOUT,
    PATIENCE,
    IntegrationTestCase,
    clean_environment,
    free_port,
    run,
    wait_until,
)

#: It needs an older SQLAlchemy and setuptools than there are now, and no bucket.
FORMER = ("pypicloud==1.3.12", "sqlalchemy<2", "waitress", "setuptools<70")

#: What Python 3.11 has no more, and pyramid_duh still asks for.
START = """\
import collections, inspect, sys
Spec = collections.namedtuple("Spec", "args varargs keywords defaults")
inspect.getargspec = lambda f: Spec(*inspect.getfullargspec(f)[:4])
from pyramid.scripts.pserve import main
main(["pserve", sys.argv[1]])
"""

CONFIG = """\
[app:main]
use = egg:pypicloud
pypi.default_read = authenticated
pypi.storage = file
storage.dir = {folder}/packages
db.url = sqlite:///{folder}/cache.sqlite
pypi.fallback = none
user.carol = {password}
session.encrypt_key = YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=
session.validate_key = YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
"""

COMMAND = (sys.executable, "-m", "pypicloud_tw", "import")

#: Uploads of its packages: their files' times.
CAME = 1_714_550_400
WHEN = "2024-05-01T08:00:00.000000Z"
PROJECTS = 20


@define
class Former:
    """A server of pypicloud 1.x on a folder."""

    folder: Path
    port: int = field(factory=free_port)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> Path:
        return self.folder / "former.log"

    def start(self) -> None:
        password = sha512_crypt.using(rounds=1000).hash("secret")
        config = self.folder / "server.ini"
        config.write_text(
            CONFIG.format(folder=self.folder, password=password, port=self.port)
        )
        python = environment(*FORMER)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [python, "-c", START, str(config)],
                env=clean_environment(self.folder),
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, self.log.read_text)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}health", timeout=PATIENCE) as answer:
                return bool(answer.status == 200)
        except URLError:
            return False


class FormerTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.former = Former(self.make_folder())
        self.packages = self.former.folder / "packages"
        for number in range(PROJECTS):
            self.put(f"p{number:02}", "1.0")
        self.former.start()
        self.addCleanup(self.former.stop)
        self.index = self.server(start=False)
        self.index.store.mkdir(exist_ok=True)

    def put(self, name: str, version: str) -> None:
        """Lay files where it keeps them, with what it knows of them."""
        place = self.packages / name / version
        place.mkdir(parents=True)
        for file in (
            make_wheel(place, name, version),
            make_sdist(place, name, version),
        ):
            told = {
                "hash_sha256": sha256(file.read_bytes()).hexdigest(),
                "uploader": "bob",
                "summary": f"The tool {name}",
            }
            file.with_name(f"{file.name}.meta").write_text(json.dumps(told))
            os.utime(file, (CAME, CAME))

    def moved(self, *more: str, password: str = "secret") -> Any:
        source = f"{self.former.url}simple/"
        done = run(
            (*COMMAND, source, "--into", self.index.config, "--json", *more),
            home=self.home,
            cwd=CHECKOUT,
            PYPICLOUD_SOURCE_USERNAME="carol",
            PYPICLOUD_SOURCE_PASSWORD=password,
        )
        if done.code != 0:
            return done.output
        # Warnings and how far it is come first.
        return json.loads(done.output[done.output.index("{") :])

    def test_moving_in(self) -> None:
        self.assertIn("wrong password", self.moved(password="wrong"))
        report = self.moved()
        self.assertIn("pypicloud 1.x at", report["source"])
        self.assertEqual(report["remarks"], [])
        taken = sum(project["taken"] for project in report["projects"])
        self.assertEqual((len(report["projects"]), taken), (PROJECTS, 2 * PROJECTS))
        self.index.start()
        for file in self.index.document("p07")["files"]:
            kept = self.packages / "p07" / "1.0" / file["filename"]
            digest = sha256(kept.read_bytes()).hexdigest()
            self.assertEqual(file["hashes"], {"sha256": digest})
            self.assertEqual(file["upload-time"], WHEN)
            self.assertEqual(self.index.get(self.address(file)).status, 200)
        again = self.moved("--project", "p0*")
        self.assertEqual(
            {(project["taken"], project["there"]) for project in again["projects"]},
            {(0, 2)},
        )

    def address(self, file: Any) -> str:
        return f"/{file['url'].removeprefix('../../')}"


test_suite = apart(__name__)
