"""Every change is told once, with who made it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from attrs import evolve
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.audit import SERVER, Act, Actor
from pypicloud_tw.index.audit_log import log_act
from pypicloud_tw.index.names import project_name
from tests.builders import sdist, wheel
from tests.web.doubles import FORM_TYPE, Domain, Web, basic, form_bytes, started

ACME, WHEEL = project_name("acme"), "acme-1.0-py3-none-any.whl"
ANN, BOB, CAROL = Actor("ann"), Actor("bob"), Actor("carol")
DIGEST = sha256(wheel()).hexdigest()


class SentenceTests(SynchronousTestCase):
    def test_sentences(self) -> None:
        for act, sentence in (
            (
                Act(ANN, "published", "acme", "1.0", WHEEL, "ab12"),
                f"ann published {WHEEL} (sha256 ab12)",
            ),
            (Act(ANN, "removed", "acme", "1.0"), "ann removed acme 1.0"),
            (
                Act(ANN, "yanked", "acme", "1.0", reason="it\n[broke]"),
                "ann yanked acme 1.0: it\\x0a[broke]",
            ),
            (Act(SERVER, "swept", reason="3 objects"), "The server swept: 3 objects"),
            (
                Act(ANN, "upload", "acme", reason="not allowed", outcome="refused"),
                "ann was refused: upload acme: not allowed",
            ),
            (
                Act(Actor(None), "log-in", outcome="refused"),
                "Somebody was refused: log-in",
            ),
        ):
            self.assertEqual(act.sentence, sentence)

    def test_the_log_has_the_parts_too(self) -> None:
        act = Act(Actor("a{n}n"), "yanked", "acme", "1.0", reason="{oh}")
        with capturedLogs() as logs:
            log_act(act)
        [event] = logs
        self.assertEqual(formatEvent(event), "a{n}n yanked acme 1.0: {oh}")
        self.assertEqual((event["who"], event["project"]), ("a{n}n", "acme"))


class AuditTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.acts: list[Act] = []
        self.domain.publisher.audit = self.acts.append

    def do(self, work: Any) -> None:
        waiting = started(work)
        self.domain.settle(waiting)
        self.successResultOf(waiting)

    def test_each_change_once(self) -> None:
        for _ in range(2):
            self.do(self.domain.publish(WHEEL, wheel()))
        for _ in range(2):
            self.do(self.domain.yank("1.0", "broken", BOB))
        self.do(self.domain.yank("1.0", None, BOB))
        for _ in range(2):
            self.do(self.domain.delete("1.0", CAROL))
        self.failureResultOf(started(self.domain.delete("2.0")), NotFound)
        self.assertEqual(
            self.acts,
            [
                Act(ANN, "published", "acme", "1.0", WHEEL, DIGEST),
                Act(BOB, "yanked", "acme", "1.0", reason="broken"),
                Act(BOB, "un-yanked", "acme", "1.0"),
                Act(CAROL, "removed", "acme", "1.0"),
            ],
        )

    def test_what_was_not_published_is_not_told(self) -> None:
        self.do(self.domain.publish(WHEEL, wheel()))
        self.acts.clear()
        other = started(self.domain.publish(WHEEL, wheel(extra=[("x.py", b"")])))
        self.failureResultOf(other)
        self.assertEqual(self.acts, [])

    def test_the_same_upload_twice_at_once(self) -> None:
        works = [
            started(domain.publish("acme-1.0.tar.gz", sdist()))
            for domain in (self.domain, self.domain)
        ]
        for work in works:
            self.domain.settle(work)
            self.successResultOf(work)
        self.assertEqual(len(self.acts), 1)

    def test_a_release_that_a_form_removes(self) -> None:
        web = Web(self.domain)
        web.publish(WHEEL, wheel())
        self.acts.clear()
        form = form_bytes(
            [(":action", "remove_pkg"), ("name", "acme"), ("version", "1.0")]
        )
        answer = web.request(
            "POST", "/", {**FORM_TYPE, **basic(), "User-Agent": "twine/7"}, form
        )
        self.assertEqual(answer.status, 200)
        [act] = self.acts
        self.assertEqual(act.actor.name, "ann")
        self.assertEqual(act.actor.user_agent, "twine/7")
        self.assertEqual(evolve(act, actor=ANN), Act(ANN, "removed", "acme", "1.0"))
