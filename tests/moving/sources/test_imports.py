"""A whole import of each kind into an index in memory, twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import md5, sha256
from pathlib import Path

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.index.audit import Actor, Proof
from pypicloud_tw.index.model import File
from pypicloud_tw.moving.destination import StoreDestination
from pypicloud_tw.moving.importer import Importer
from pypicloud_tw.moving.report import Report
from pypicloud_tw.moving.sources.find import find
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.stored import StoredProjects
from tests.builders import wheel
from tests.moving.sources import (
    test_artifactory,
    test_bandersnatch,
    test_gitlab,
    test_nexus,
    test_pulp,
    test_pypicloud1,
)
from tests.moving.sources.doubles import MD5, SourceTestCase, write
from tests.upstream.doubles import page
from tests.web.doubles import Domain, stored_project

WHEEL = "acme-1.0-py3-none-any.whl"
DATA = wheel("acme", "1.0")
DIGEST = sha256(DATA).hexdigest()
CAME = datetime(2024, 5, 1, 8, tzinfo=UTC)
HALF = CAME.replace(microsecond=500_000)
COMMAND = Actor("root (command)", Proof("command"))


def real(document: object) -> object:
    """Speak of a true wheel instead of the word."""
    text = json.dumps(document).replace(sha256(b"wheel").hexdigest(), DIGEST)
    text = text.replace(MD5, md5(DATA).hexdigest())
    for size in ('"fileSize": 5', '"size": 5', '"size": "5"'):
        name, _, told = size.partition(": ")
        text = text.replace(size, f"{name}: {told.replace('5', str(len(DATA)))}")
    return json.loads(text)


class ImportTests(SourceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        # What is told of uploads is past.
        self.workshop.clock.advance(3 * 365 * 86400)
        self.domain = Domain(clock=self.workshop.clock)
        self.domain.index.unserved.find({})

    def run_import(self, place: str) -> Report:
        async def run() -> Report:
            source = await find(place, None, self.workshop.tools)
            index = self.domain.index
            projects = StoredProjects(AdministeredProjects(index), COMMAND, Operator())
            destination = StoreDestination(
                "a store",
                projects,
                self.domain.publisher,
                COMMAND,
                lambda *_: None,
                2**20,
            )
            return await Importer(source, destination, self.workshop.clock).run()

        waiting = self.workshop.wait(run())
        self.domain.settle(waiting)
        return self.successResultOf(waiting)

    def imported(self, place: str) -> File:
        """Import a place's only file; a second time there is nothing to do."""
        report = self.run_import(place)
        self.assertEqual(report.remarks, [])
        self.assertIsNone(report.stopped)
        self.assertEqual((report.total("taken"), report.exit_code), (1, 0), report)
        again = self.run_import(place)
        self.assertEqual((again.total("taken"), again.total("there")), (0, 1))
        (file,) = stored_project(self.domain.store).files
        self.assertEqual((file.filename, file.sha256), (WHEEL, DIGEST))
        return file

    def serve(self, url: str) -> None:
        self.web.on(url, page(DATA, "application/octet-stream"))

    def told(self, url: str, document: object) -> None:
        self.on_json(url, real(document))

    def test_pypicloud1(self) -> None:
        old = test_pypicloud1
        self.on_json(old.LISTED, {"packages": ["acme"]})
        self.told(old.ACME, {"packages": [old.PACKAGE], "write": False})
        self.web.on(f"{old.BASE}simple/", page(old.PAGE, "text/html"))
        self.serve(f"{old.BASE}api/package/acme/{WHEEL}")
        file = self.imported(old.BASE)
        self.assertEqual((file.upload_time, file.uploader), (CAME, "bob"))

    def test_nexus(self) -> None:
        nexus = test_nexus
        self.web.on(nexus.STATUS, page(b"", "application/json"))
        self.told(nexus.LIST, nexus.listing(nexus.component("acme", nexus.asset())))
        self.serve(f"{nexus.ROOT}repository/pypi-hosted/packages/acme/1.0/{WHEEL}")
        file = self.imported(f"{nexus.ROOT}repository/pypi-hosted/")
        self.assertEqual(file.upload_time, CAME.replace(microsecond=123_000))
        self.assertEqual(file.uploader, "bob")

    def test_gitlab(self) -> None:
        lab = test_gitlab
        self.told(f"{lab.LIST}1", [lab.release()])
        self.told(lab.files_of(31), [lab.package_file()])
        self.serve(lab.FILE.replace(lab.DIGEST, DIGEST))
        file = self.imported(f"{lab.OWNER}packages/pypi/simple")
        self.assertEqual((file.upload_time, file.uploader), (HALF, "bob"))

    def test_artifactory(self) -> None:
        art = test_artifactory
        self.web.on(f"{art.REPO}simple/", page(art.LIST, "text/html"))
        html = art.simple_page().replace(art.DIGEST.encode(), DIGEST.encode())
        self.web.on(f"{art.REPO}simple/acme/", page(html, "text/html"))
        self.told(art.INFO, art.info())
        self.serve(art.FILE)
        file = self.imported(f"{art.REPO}simple")
        self.assertEqual((file.upload_time, file.uploader), (HALF, "bob"))

    def test_pulp(self) -> None:
        pulp = test_pulp
        self.on_json(f"{pulp.API}status/", {"versions": [pulp.PYTHON]})
        names = b"<html><body><a href='acme/'>acme</a></body></html>"
        self.web.on(pulp.SIMPLE, page(names, "text/html"))
        link = f"{pulp.ROOT}pulp/content/tools/{WHEEL}"
        html = f'<html><body><a href="{link}#sha256={DIGEST}">{WHEEL}</a></body></html>'
        self.web.on(f"{pulp.SIMPLE}acme/", page(html.encode(), "text/html"))
        self.serve(link)
        self.on_json(pulp.DISTRIBUTIONS, pulp.listing(pulp.distribution()))
        self.on_json(
            f"{pulp.ROOT}{pulp.REPOSITORY[1:]}", {"latest_version_href": pulp.VERSION}
        )
        self.told(pulp.packages(), pulp.listing(pulp.package()))
        self.assertEqual(self.imported(pulp.SIMPLE).upload_time, HALF)

    def test_bandersnatch(self) -> None:
        mirror = test_bandersnatch

        def say(make: Callable[[], bytes]) -> bytes:
            return json.dumps(real(json.loads(make()))).encode()

        write(
            self.folder / "web",
            **{
                "simple/index.html": b"<html></html>",
                "simple/acme/index.v1_json": say(mirror.page),
                "json/acme": say(mirror.releases),
                mirror.PATH.replace(mirror.DIGEST, DIGEST): DATA,
            },
        )
        file = self.imported(str(self.folder))
        self.assertEqual((file.upload_time, file.yanked), (HALF, "broken <build>"))

    def test_folder(self) -> None:
        meta = json.dumps({"hash_sha256": DIGEST, "uploader": "bob"}).encode()
        write(self.folder, **{f"acme/1.0/{WHEEL}": DATA})
        write(self.folder, **{f"acme/1.0/{WHEEL}.meta": meta})
        os.utime(self.folder / f"acme/1.0/{WHEEL}", (0, CAME.timestamp()))
        file = self.imported(str(self.folder))
        self.assertEqual((file.upload_time, file.uploader), (CAME, "bob"))

    def test_damaged_folder(self) -> None:
        """What is not taken is refused, one by one, and the rest is taken."""
        write(self.folder, **{WHEEL: DATA})
        tool = wheel("tool", "1.0")
        write(self.folder, **{"tool-1.0-py3-none-any.whl": tool})
        write(self.folder, **{"tool-1.0-py3-none-any.whl.sha256": b"0" * 64})
        write(self.folder, **{"bad-1.0-py3-none-any.whl": b"no zip"})
        write(self.folder, **{"gone-1.0-py3-none-any.whl.sha256": b"0" * 64})
        (self.folder / "out-1.0.tar.gz").symlink_to("/etc/passwd")
        report = self.run_import(str(self.folder))
        self.assertEqual((report.total("taken"), report.total("refused")), (1, 3))
        self.assertEqual(report.exit_code, 1)
        self.assertEqual(
            sorted((one.project, one.trouble) for one in report.remarks),
            [("bad", "refused"), ("out", "refused"), ("tool", "refused")],
        )
