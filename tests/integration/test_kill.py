"""Kill -9 at every step of a publish: what was acknowledged is there, and whole.

Every named step is passed by many lives of a server on one folder, each of which ends
there, at the file, the core metadata, the manifest or the marker as it falls out. The
seed of the dice is in the failure's text.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from http.client import HTTPException
from itertools import count
from pathlib import Path
from random import Random
from threading import Lock

from attrs import define, field

from pypicloud_tw.index.manifest import encode, in_order, manifest_key, project_of
from pypicloud_tw.index.manifest_parts import PARTS, WHOLE_AT_MOST
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import project_name
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.dying_server import last_words
from tests.integration.nursery import Nursery
from tests.integration.rig import (
    IntegrationTestCase,
    Server,
    basic,
    form,
    wait_until,
)
from tests.manifests import whole_project

#: Lives that end in each step, and folders that they are spread over to save time.
KILLS, FOLDERS = 20, 4

#: Rounds of work until a server must have met its end.
ROUNDS = 60


@define
class Ledger:
    """What was sent and what was acknowledged, whichever thread did it.

    :ivar sent: every content that was sent under a filename.
    :ivar kept: acknowledged, by filename; removals take out of it.
    :ivar doubtful: filenames of uploads whose answer was lost.
    :ivar removing: filenames of releases whose removal was not answered.
    """

    folder: Path
    sent: dict[str, set[bytes]] = field(factory=dict)
    kept: dict[str, bytes] = field(factory=dict)
    removed: set[str] = field(factory=set)
    doubtful: set[str] = field(factory=set)
    removing: set[str] = field(factory=set)
    _numbers: count[int] = field(factory=lambda: count(1))
    _lock: Lock = field(factory=Lock)

    def number(self) -> int:
        with self._lock:
            return next(self._numbers)

    def wheel(self, project: str, version: str, folder: str = ".") -> Path:
        """Make a wheel that is like no other."""
        where = self.folder / folder
        where.mkdir(parents=True, exist_ok=True)
        data = {f"{project}/data": os.urandom(20_000)}
        return make_wheel(where, project, version, files=data)

    def upload(self, server: Server, wheel: Path) -> int | None:
        """Upload, and note what came of it; None if no answer came."""
        content = wheel.read_bytes()
        with self._lock:
            self.sent.setdefault(wheel.name, set()).add(content)
            self.doubtful.add(wheel.name)
        try:
            answer = server.upload(wheel)
        except (OSError, HTTPException):
            return None
        with self._lock:
            self.doubtful.discard(wheel.name)
            if answer.status == 200:
                self.kept[wheel.name] = content
        return answer.status

    def remove(self, server: Server, filename: str) -> int | None:
        """Remove the release of a file, and note what came of it."""
        project, version = filename.split("-")[:2]
        fields = {":action": "remove_pkg", "name": project, "version": version}
        body, content_type = form(fields)
        headers = {"Authorization": basic(), "Content-Type": content_type}
        with self._lock:
            self.removing.add(filename)
        try:
            answer = server.request("POST", "/", body, headers)
        except (OSError, HTTPException):
            return None
        with self._lock:
            self.removing.discard(filename)
            if answer.status == 200:
                del self.kept[filename]
                self.removed.add(filename)
        return answer.status


class KillTestCase(IntegrationTestCase):
    """Servers that die, and an audit of what they leave."""

    def setUp(self) -> None:
        super().setUp()
        self.seed = int.from_bytes(os.urandom(4))
        self.random = Random(self.seed)
        self.nursery = Nursery.shared()

    def audit(self, server: Server, ledger: Ledger) -> None:
        """Compare the folder, while no server runs, with what was acknowledged."""
        projects = read_projects(server.store)
        files = {f.filename: f for p in projects.values() for f in p.files}
        where = f"seed {self.seed}, {server.folder}\n{server.log[-3000:]}"
        for filename, content in ledger.kept.items():
            if filename in ledger.removing:
                continue
            self.assertIn(filename, files, where)
            self.assertEqual(files[filename].sha256, digest(content), where)
        for filename in ledger.removed:
            self.assertNotIn(filename, files, where)
        for filename, file in files.items():
            stored = (server.store / file.key).read_bytes()
            self.assertIn(stored, ledger.sent[filename], where)
            self.assertEqual(file.size, len(stored), where)
            self.assertEqual(file.sha256, digest(stored), where)
            assert file.metadata_key is not None, where
            metadata = (server.store / file.metadata_key).read_bytes()
            self.assertEqual(file.metadata_sha256, digest(metadata), where)
        self.audit_orphans(server.store, ledger, where)

    def audit_orphans(self, store: Path, ledger: Ledger, where: str) -> None:
        """What has a real name is whole, whether or not a manifest names it."""
        for path in store.glob("*/*/*.whl"):
            if not path.parts[-3].startswith("."):
                self.assertIn(path.read_bytes(), ledger.sent[path.name], where)

    def recover(self, server: Server, ledger: Ledger) -> None:
        """Start a server that lives, and repeat what was not answered."""
        scratch = server.store / ".tmp"
        # It may have begun files of its own by the time that it is looked at.
        of_the_dead = [p for p in scratch.glob("*/*") if p.is_file()]
        self.nursery.start(server)
        wait_until(lambda: len(list(scratch.glob("*.lock"))) == 1, lambda: server.log)
        self.assertEqual([p for p in of_the_dead if p.exists()], [])
        for filename in sorted(ledger.doubtful):
            wheel = ledger.folder / filename
            # A removal that was not answered, or two that raced, may leave a name
            # that other bytes cannot take.
            self.assertIn(ledger.upload(server, wheel), (200, 409), filename)
        for filename in sorted(ledger.removing):
            # Whether it was done already or not, it is now.
            self.assertIn(ledger.remove(server, filename), (200, 404), filename)
            ledger.kept.pop(filename, None)
        for filename, content in ledger.kept.items():
            project = filename.split("-")[0].replace("_", "-")
            listed = {f["filename"]: f for f in server.document(project)["files"]}
            address = listed[filename]["url"].removeprefix("../..")
            self.assertEqual(server.get(address).body, content, filename)
        server.kill()
        self.audit(server, ledger)


class StepTests(KillTestCase):
    """Every step that has a name."""

    def test_object_written(self) -> None:
        self.die_at("object:written", 8)

    def test_object_synced(self) -> None:
        self.die_at("object:synced", 8)

    def test_folder_made(self) -> None:
        self.die_at("folder:made", 6)

    def test_object_linked(self) -> None:
        self.die_at("object:linked", 8)

    def test_folder_synced(self) -> None:
        self.die_at("folder:synced", 8)

    def test_object_unlinked(self) -> None:
        self.die_at("object:unlinked", 2)

    def test_publish_file(self) -> None:
        self.die_at("publish:file", 3)

    def test_publish_metadata(self) -> None:
        self.die_at("publish:metadata", 3)

    def test_publish_swapped(self) -> None:
        self.die_at("publish:swapped", 3)

    def test_publish_told(self) -> None:
        self.die_at("publish:told", 3)

    def die_at(self, point: str, most: int) -> None:
        """Let servers die there.

        :param most: how often, at the most, a life passes the step before.
        """
        ends = [
            [self.random.randint(1, most) for _ in range(KILLS // FOLDERS)]
            for _ in range(FOLDERS)
        ]
        servers = [self.server(start=False) for _ in ends]
        with ThreadPoolExecutor(FOLDERS) as pool:
            work = [
                pool.submit(self.die_often, server, point, nths)
                for server, nths in zip(servers, ends, strict=True)
            ]
            for one in work:
                one.result()

    def die_often(self, server: Server, point: str, nths: Iterable[int]) -> None:
        ledger = Ledger(server.folder / "sent")
        for nth in nths:
            self.nursery.start(server, point, nth)
            work_until_dead(server, ledger)
            self.assertIn(last_words(point, nth), server.log[-200:], server.log)
            assert server.process is not None
            server.process.wait(30)
            self.audit(server, ledger)
        self.recover(server, ledger)


class RandomTests(KillTestCase):
    """Any moment of many concurrent uploads."""

    def test_many_uploads(self) -> None:
        server = self.server(start=False)
        ledger = Ledger(server.folder / "sent")
        for _ in range(KILLS):
            self.nursery.start(server)
            with ThreadPoolExecutor(8) as pool:
                work = [pool.submit(upload_until_dead, server, ledger) for _ in "8" * 8]
                self.kill_after_first(server, ledger)
                for one in work:
                    one.result()
            self.audit(server, ledger)
        self.recover(server, ledger)

    def kill_after_first(self, server: Server, ledger: Ledger) -> None:
        """Kill it some time after its first answer to an upload."""
        before = len(ledger.kept)
        try:
            wait_until(lambda: len(ledger.kept) > before, lambda: server.log)
            time.sleep(self.random.uniform(0, 0.5))
        finally:
            server.kill()


class LargeTests(KillTestCase):
    """A project whose manifest has parts, and a server that dies between them."""

    def test_part_and_root(self) -> None:
        server = self.server(start=False)
        ledger = Ledger(server.folder / "sent")
        names = seed(server, ledger, WHOLE_AT_MOST + 64)
        for _ in range(KILLS):
            nth = self.random.randint(1, 12)
            self.nursery.start(server, "object:linked", nth)
            change_until_dead(server, ledger, names)
            assert server.process is not None
            server.process.wait(30)
            self.audit(server, ledger)
        self.recover(server, ledger)
        self.assertGreater(len(list((server.store / PARTS).glob("acme/*.json"))), 2)


def seed(server: Server, ledger: Ledger, count: int) -> list[str]:
    """Have a project in the folder of a server that does not run; give its files."""
    files = []
    for number in range(count):
        wheel = ledger.wheel("acme", f"0.{number}")
        content = wheel.read_bytes()
        key = f"acme/{number:032x}/{wheel.name}"
        (server.store / key).parent.mkdir(parents=True)
        (server.store / key).write_bytes(content)
        (server.store / f"{key}.metadata").write_bytes(b"Metadata-Version: 2.1")
        ledger.sent[wheel.name] = {content}
        ledger.kept[wheel.name] = content
        files.append(
            File(
                filename=wheel.name,
                version=f"0.{number}",
                key=key,
                size=len(content),
                sha256=digest(content),
                upload_time=datetime(2026, 3, 1, tzinfo=UTC),
                metadata_key=f"{key}.metadata",
                metadata_sha256=digest(b"Metadata-Version: 2.1"),
            )
        )
    name = project_name("acme")
    manifest = server.store / manifest_key(name)
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(encode(Project(name, "acme", in_order(files))))
    return [file.filename for file in files]


def change_until_dead(server: Server, ledger: Ledger, names: list[str]) -> None:
    """Remove old files, which lie in parts, and upload new ones."""
    while names:
        if ledger.remove(server, names.pop()) is None:
            return
        wheel = ledger.wheel("acme", f"1.{ledger.number()}")
        if ledger.upload(server, wheel) is None:
            return


def work_until_dead(server: Server, ledger: Ledger) -> None:
    """Do everything that changes a project, again and again, until none answers."""
    for _ in range(ROUNDS):
        number = ledger.number()
        first = ledger.wheel("acme", f"1.{number}")
        if ledger.upload(server, first) is None:
            return
        fresh = ledger.wheel(f"acme_{number}", "1.0")
        if ledger.upload(server, fresh) is None:
            return
        if number % 3 == 0 and ledger.remove(server, first.name) is None:
            return
        if None in race(server, ledger, f"2.{number}"):
            return


def race(server: Server, ledger: Ledger, version: str) -> list[int | None]:
    """Upload two different files of one name at once: one is to be discarded."""
    wheels = [ledger.wheel("acme", version, folder) for folder in (".", "other")]
    with ThreadPoolExecutor(2) as pool:
        work = [pool.submit(ledger.upload, server, wheel) for wheel in wheels]
        return [one.result() for one in work]


def upload_until_dead(server: Server, ledger: Ledger) -> None:
    while True:
        number = ledger.number()
        wheel = ledger.wheel(f"acme_{number % 5}", f"1.{number}")
        if ledger.upload(server, wheel) is None:
            return


def read_projects(store: Path) -> dict[str, Project]:
    """Read every manifest there is; a damaged one is an error."""
    projects: dict[str, Project] = {}
    for path in store.glob(".index/*"):
        name = project_of(f".index/{path.name}")
        assert name is not None, f"{path} is not a manifest's name"
        assert path == store / manifest_key(name)
        projects[name] = whole_project(name, lambda key: (store / key).read_bytes())
    return projects


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


test_suite = apart(__name__)
