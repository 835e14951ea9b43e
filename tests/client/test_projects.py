"""Projects through a server: what is asked, and how answers are understood.

What the server does with it, the tests of the commands show.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.administration.values import Required
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.api import ApiClient, Unanswered
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.client.projects import RemoteProjects
from pypicloud_tw.errors import BadRequest, ConditionFailed
from pypicloud_tw.index.model import Selection
from pypicloud_tw.projects.values import Done, StatusChange, Undo, Yank
from tests.web.api.doubles import Canned, WebAgent

T = TypeVar("T")

DONE = {"changed": True, "state": "ab12"}
RELEASE, FILE = Selection("1.0+x"), Selection(file="acme-1.0.tar.gz")


class RemoteProjectsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.canned = Canned()
        self.agent = WebAgent(self.canned)
        address = IndexAddress.parse("https://pypi.example/", "--index")
        client = ApiClient(
            address, Credentials(Login("ann", "secret")), self.agent, Clock()
        )
        self.projects = RemoteProjects(client)

    def begin(self, work: Awaitable[T]) -> Deferred[T]:
        async def done() -> T:
            return await work

        return Deferred.fromCoroutine(done())

    def asked(self, work: Awaitable[Done]) -> tuple[str, str, object]:
        """Return how an act is asked for: method, path and document."""
        self.canned.answer(200, json.dumps(DONE).encode())
        self.assertEqual(self.successResultOf(self.begin(work)), Done(True, "ab12"))
        method, path, _, body = self.agent.asked.pop()
        document = json.loads(body) if body else None
        return method, path.removeprefix("/api/v1/projects/acme"), document

    def test_acts(self) -> None:
        act = self.projects
        for work, expected in (
            (
                act.yank("acme", RELEASE, Yank("why")),
                ("PUT", "/releases/1.0%2Bx/yanked", {"reason": "why"}),
            ),
            (
                act.unyank("acme", FILE),
                ("DELETE", "/files/acme-1.0.tar.gz/yanked", None),
            ),
            (
                act.delete("acme", Selection(), reason="a b"),
                ("DELETE", "?reason=a+b", None),
            ),
            (act.delete("acme", RELEASE), ("DELETE", "/releases/1.0%2Bx", None)),
            (
                act.restore("acme", FILE),
                ("POST", "/restore", {"version": None, "file": "acme-1.0.tar.gz"}),
            ),
            (
                act.set_status("acme", StatusChange("archived")),
                ("PUT", "/status", {"status": "archived", "reason": None}),
            ),
            (act.undo("acme", Undo("ab")), ("POST", "/undo", {"act": "ab"})),
        ):
            self.assertEqual(self.asked(work), expected)

    def test_what_is_required(self) -> None:
        self.canned.answer(412, b'{"detail": "It has changed."}')
        required = Required(states=frozenset({"ab", "cd"}))
        asking = self.begin(self.projects.delete("acme", RELEASE, required))
        self.failureResultOf(asking, ConditionFailed)
        ((_, _, fields, _),) = self.agent.asked
        self.assertEqual(fields["If-Match"], '"ab", "cd"')

    def test_what_is_refused_before_anybody_is_asked(self) -> None:
        for work in (
            self.projects.yank("acme", Selection(), Yank()),
            self.projects.delete("acme", Selection("..")),
            self.projects.delete("", Selection()),
            self.projects.delete("a\udcff", Selection()),
        ):
            self.failureResultOf(self.begin(work), BadRequest)
        self.assertEqual(self.agent.asked, [])

    def test_an_answer_of_another_form(self) -> None:
        for body in (b"[]", b'{"changed": "yes", "state": ""}', b"<html>"):
            self.canned.answer(200, body)
            asking = self.begin(self.projects.unyank("acme", FILE))
            self.failureResultOf(asking, Unanswered)
