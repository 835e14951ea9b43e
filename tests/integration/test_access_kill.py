"""Kill -9 amid changes of the access document, while another changes it, too.

What was acknowledged is there, what was half done is whole or not at all, and a server
that lives on obeys. The seed of the dice is in the failure's text.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.document_format import BEGUN, KEY, decode
from tests.integration import apart
from tests.integration.dying_administrator import GROUP, SECRET
from tests.integration.dying_server import last_words
from tests.integration.nursery import Life, Nursery
from tests.integration.rig import IntegrationTestCase, Server, basic, wait_until

#: Lives that end in each step, in one folder.
KILLS = 6

#: Changes of the one beside it, who lives.
BESIDE = 6

#: Steps of every change; and one that only the first has.
STEPS = ("object:written", "object:synced", "object:linked", "folder:synced")
FIRST = "folder:made"


class AccessKillTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.seed = int.from_bytes(os.urandom(4))
        self.random = Random(self.seed)
        self.nursery = Nursery.shared("dying_administrator")
        self.lives = 0

    def administer(
        self, server: Server, users: int, point: str = "", nth: int = 1
    ) -> Life:
        """Start an administrator."""
        self.lives += 1
        return self.nursery.fork(
            server,
            self.log(server),
            point,
            nth,
            config=str(server.config),
            name=f"user{self.lives}",
            users=users,
            acknowledged=str(self.ledger(server)),
        )

    def log(self, server: Server) -> Path:
        return server.folder / f"administrator-{self.lives}.log"

    def ledger(self, server: Server) -> Path:
        return server.folder / "acknowledged"

    def acknowledged(self, server: Server) -> tuple[set[str], set[str], set[str]]:
        """Tell who was made, whose removal was begun, and who was removed."""
        lines = [line.split() for line in self.ledger(server).read_text().splitlines()]

        def those(what: str) -> set[str]:
            return {name for word, name in lines if word == what}

        return those("made"), those("removing"), those("removed")

    def document(self, server: Server) -> AccessDocument:
        return decode((server.store / KEY).read_bytes()).document

    def audit(self, server: Server) -> set[str]:
        """Compare the document with what was acknowledged; tell who is in it."""
        where = f"seed {self.seed}, {server.folder}"
        document = self.document(server)
        made, removing, removed = self.acknowledged(server)
        there = set(document.users)
        self.assertLessEqual(made - removing, there, where)
        self.assertEqual(removed & there, set(), where)
        # A change is whole.
        self.assertEqual(document.groups[GROUP], there, where)
        self.assertTrue((server.store / BEGUN).exists(), where)
        return there

    def test_at_every_step_beside_another(self) -> None:
        server = self.server(settings={"pypi.default_read": "authenticated"})
        for point in STEPS:
            for _ in range(KILLS):
                nth = self.random.randint(1, 8)
                beside = self.administer(server, BESIDE)
                beside_log = self.log(server)
                dying = self.administer(server, 1000, point, nth)
                dying_log = self.log(server)
                dying.wait(60)
                beside.wait(60)
                self.assertIn(last_words(point, nth), dying_log.read_text())
                self.assertEqual(beside_log.read_text(), "")
                self.audit(server)
        self.check_obeys(server)

    def check_obeys(self, server: Server) -> None:
        """Have a server that lived through it all let in whom it should."""
        there = self.audit(server)
        _, _, removed = self.acknowledged(server)
        # Within index.fresh_for, and what was killed before it told within a minute.
        for name in sorted(there)[:5]:
            wait_until(
                lambda name=name: self.status(server, name) == 200,  # type: ignore[misc]  # the loop's
                lambda: server.log,
            )
        for name in sorted(removed)[:5]:
            self.assertEqual(self.status(server, name), 401)

    def status(self, server: Server, name: str) -> int:
        return server.get("/simple/", Authorization=basic(name, SECRET)).status

    def test_the_very_first_change(self) -> None:
        """In a new folder: whatever is left, nobody takes it for a lost document."""
        for point in (*STEPS, FIRST):
            for nth in range(1, 6):
                server = self.server(start=False)
                self.administer(server, 1, point, nth).wait(60)
                self.administer(server, 2).wait(60)
                self.assertEqual(self.log(server).read_text(), "")
                self.audit(server)


test_suite = apart(__name__)
