"""``pypicloud audit``: what it is asked, and what it prints."""

from __future__ import annotations

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import click
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.question import Question
from pypicloud_tw.access.audit.stored import StoredRecords
from pypicloud_tw.access.audit.trail import Trail
from pypicloud_tw.cli.base import Surroundings
from pypicloud_tw.cli.records import print_records
from pypicloud_tw.cli.stored_index import RecordsInStore
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.audit import SERVER, Act, Actor, Proof
from pypicloud_tw.metrics import Metrics
from tests.web.doubles import Domain, started

ANN = Actor("ann", Proof("password"), "192.0.2.7", "twine/7")


class PrintTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        clock = self.domain.clock
        stored = StoredRecords(clock, "server")
        self.trail = Trail(clock, Metrics(clock), stored=stored, tell=lambda act: None)
        self.trail.start(self.domain.store)
        self.out, self.err = StringIO(), StringIO()

    def record(self, *acts: Act) -> None:
        for act in acts:
            self.trail(act)
            self.domain.clock.advance(1)

    def asking(self, question: Question, *, as_json: bool = False) -> Deferred[bool]:
        records = RecordsInStore(self.domain.index)
        work = print_records(records, question, as_json=as_json)
        return started(work)

    def show(self, question: Question | None = None, *, as_json: bool = False) -> bool:
        with (
            click.Context(click.Command("audit"), obj=Surroundings()),
            redirect_stdout(self.out),
            redirect_stderr(self.err),
        ):
            asking = self.asking(question or Question(), as_json=as_json)
            return self.successResultOf(asking)

    def test_sentences(self) -> None:
        self.record(
            Act(ANN, "published", "acme", "1.0", "acme-1.0.tar.gz", "ab12"),
            Act(ANN, "yanked", "acme", "1.0", reason="it\n\u202ebroke"),
            Act(SERVER, "adopted", reason="3 files"),
        )
        self.assertTrue(self.show())
        whence = "[kind=password, 192.0.2.7, twine/7]"
        self.assertEqual(
            self.out.getvalue().splitlines(),
            [
                "2026-03-01 09:30:00 ann published acme-1.0.tar.gz (sha256 ab12) "
                f"{whence}",
                f"2026-03-01 09:30:01 ann yanked acme 1.0: it\\x0a\\x202ebroke "
                f"{whence}",
                "2026-03-01 09:30:02 The server adopted: 3 files [kind=none]",
            ],
        )

    def test_what_an_installer_tells_of_its_machine_is_left_out(self) -> None:
        uv = 'uv/0.13 {"installer":{"name":"uv"}}'
        proof = Proof("token", {"id": "k7f3", "description": ""})
        self.record(Act(Actor("ann", proof, "192.0.2.7", uv), "removed", "acme"))
        self.show()
        whence = self.out.getvalue().partition("[")[2]
        self.assertNotIn("description", whence)
        self.assertTrue(whence.endswith(", 192.0.2.7, uv/0.13]\n"), whence)

    def test_nothing_is_found(self) -> None:
        self.record(Act(ANN, "published", "acme", "1.0"))
        self.assertTrue(self.show(Question(act="uploaded")))
        self.assertEqual(self.out.getvalue(), "")
        self.assertIn("no such record since 7d", self.err.getvalue())

    def test_lines_of_json(self) -> None:
        self.record(Act(ANN, "removed", "acme", "1.0"), Act(ANN, "swept"))
        self.show(Question(project="Acme"), as_json=True)
        [line] = self.out.getvalue().splitlines()
        self.assertEqual(json.loads(line)["act"], "removed")

    def test_who_gave_a_right_to_a_pattern(self) -> None:
        given = Act(ANN, "set a right", "acme-*", reason="user bob: rw; before: r")
        self.record(given, Act(ANN, "set a right", "acme-x", reason="user al: r"))
        self.show(Question(project="Acme-*"))
        [line] = self.out.getvalue().splitlines()
        self.assertIn("ann set a right acme-*: user bob: rw; before: r", line)

    def test_a_broken_line(self) -> None:
        self.record(Act(ANN, "removed", "acme", "1.0"))
        store = self.domain.store
        [key] = store.objects
        store.add(key, b"{\n" + store.objects[key].data)
        self.assertFalse(self.show())
        self.assertIn(f"{key}, line 1 is not understood", self.err.getvalue())
        self.assertIn("ann removed acme 1.0", self.out.getvalue())

    def test_a_question_that_is_not_understood(self) -> None:
        for question in (Question(since="soon"), Question(project="/")):
            self.failureResultOf(self.asking(question), BadRequest)
