"""Kill -9 within each act: it was done or it was not, and a quarantine ends.

The seed of the dice is in the failure's text.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random

from attrs import evolve, frozen

from pypicloud_tw.index.manifest import decode, manifest_key
from pypicloud_tw.index.model import Project
from pypicloud_tw.maintenance.sweep import named_keys
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.dying_maintainer import ACME, ACTS
from tests.integration.dying_server import last_words
from tests.integration.nursery import Nursery
from tests.integration.rig import IntegrationTestCase, Server, wait_until

#: Lives that end in each step below.
KILLS = 3

#: Steps that each act of a round passes once.
EACH = ("act:swapped", "act:told")

#: Steps, and how often a round of acts passes each, at the least.
STEPS = {
    "object:written": 12,
    "object:linked": 12,
    "folder:synced": 12,
    "object:unlinked": 4,
    "quarantine:copied": 1,
    "quarantine:swapped": 3,
    "quarantine:told": 3,
    "quarantine:deleted": 1,
}


@frozen
class State:
    """What acts change, as the one who reads a page sees it."""

    there: frozenset[str] = frozenset({"1.0", "2.0"})
    yanked: frozenset[str] = frozenset()
    status: str = "active"

    @classmethod
    def of(cls, project: Project) -> State:
        return cls(
            frozenset(file.version for file in project.files),
            frozenset(f.version for f in project.files if f.yanked is not None),
            project.status,
        )


#: What each act makes of what the one before it has made.
MADE: dict[str, Callable[[State], State]] = {
    "yank": lambda state: evolve(state, yanked=frozenset({"1.0"})),
    "unyank": lambda state: evolve(state, yanked=frozenset()),
    "delete": lambda state: evolve(state, there=frozenset({"1.0"})),
    "restore": lambda state: evolve(state, there=frozenset({"1.0", "2.0"})),
    "prune": lambda state: evolve(state, there=frozenset({"2.0"})),
    "undo": lambda state: evolve(state, there=frozenset({"1.0", "2.0"})),
    "quarantine": lambda state: evolve(state, status="quarantined"),
    "free": lambda state: evolve(state, status="active"),
}


class ActsKillTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.seed = int.from_bytes(os.urandom(4))
        self.random = Random(self.seed)
        self.maintainers = Nursery.shared("dying_maintainer")
        self.servers = Nursery.shared()
        self.first = self.server()
        self.digests = {}
        for version in ("1.0", "2.0"):
            wheel = make_wheel(self.folder, "acme", version)
            self.assertEqual(self.first.upload(wheel).status, 200)
            self.digests[wheel.name] = sha256(wheel.read_bytes()).hexdigest()
        self.first.kill()

    def test_in_each_act(self) -> None:
        for point in EACH:
            for number in range(len(ACTS)):
                self.live_and_die(point, number + 1)

    def test_at_every_step(self) -> None:
        for point, most in STEPS.items():
            for _ in range(KILLS):
                self.live_and_die(point, self.random.randint(1, most))

    def live_and_die(self, point: str, nth: int) -> None:
        server = self.server(start=False)
        shutil.copytree(self.first.store, server.store)
        ledger, log = server.folder / "acknowledged", server.folder / "maintainer.log"
        self.maintainers.fork(
            server,
            log,
            point,
            nth,
            config=str(server.config),
            rounds=1,
            acknowledged=str(ledger),
        ).wait(60)
        where = f"seed {self.seed}, {server.folder}, {point} {nth}"
        self.assertIn(last_words(point, nth), log.read_text(), where)
        done = self.audit(server, ledger, where)
        self.recover(server, done, where)

    def audit(self, server: Server, ledger: Path, where: str) -> str:
        """Compare the folder with what was acknowledged; tell what was begun last."""
        lines = [line.split() for line in ledger.read_text().splitlines()]
        done = [name for word, name in lines if word == "done"]
        begun = [name for word, name in lines if word == "begun"]
        self.assertEqual(begun, [*ACTS][: len(begun)])
        state = State()
        for name in done:
            state = MADE[name](state)
        now = State.of(self.project(server))
        self.assertIn(now, {state, MADE[begun[-1]](state)}, where)
        self.whole(server, where)
        return begun[-1]

    def recover(self, server: Server, begun: str, where: str) -> None:
        """Start a server: it ends what was half done."""
        before = State.of(self.project(server))
        self.servers.start(server)
        wait_until(lambda: self.project(server).moving is None, lambda: server.log)
        listed = {file["version"] for file in self.listed(server)}
        quarantined = before.status == "quarantined"
        self.assertEqual(listed, set() if quarantined else before.there, where)
        server.kill()
        self.assertEqual(State.of(self.project(server)), before, where)
        self.whole(server, where)
        if quarantined:
            # No address from before leads anywhere.
            there = {str(p.relative_to(server.store)) for p in self.objects(server)}
            self.assertEqual(there, named_keys(self.project(server)), where)
            self.assertEqual(there & named_keys(self.project(self.first)), set(), where)

    def listed(self, server: Server) -> list[dict[str, str]]:
        files = server.document("acme")["files"]
        return [{"version": file["filename"].split("-")[1]} for file in files]

    def beside(self, server: Server, folder: str) -> list[Path]:
        return [p for p in (server.store / folder).rglob("*") if p.is_file()]

    def objects(self, server: Server) -> list[Path]:
        return self.beside(server, "acme")

    def whole(self, server: Server, where: str) -> None:
        """Every file that is named, or can be restored, is there."""
        project = self.project(server)
        files = [*project.files, *(t.file for t in project.tombstones if t.file)]
        self.assertEqual(len(files), 2, where)
        for file in files:
            stored = (server.store / file.key).read_bytes()
            digest = sha256(stored).hexdigest()
            self.assertEqual(digest, file.sha256, where)
            self.assertEqual(digest, self.digests[file.filename], where)
            assert file.metadata_key is not None
            metadata = (server.store / file.metadata_key).read_bytes()
            self.assertEqual(file.metadata_sha256, sha256(metadata).hexdigest(), where)

    def project(self, server: Server) -> Project:
        return decode(ACME, (server.store / manifest_key(ACME)).read_bytes())


test_suite = apart(__name__)
