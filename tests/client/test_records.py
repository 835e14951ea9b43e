"""Records of changes through a server, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.question import Question
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.api import ApiClient, Unanswered
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.client.records import RemoteRecords
from tests.web.api.doubles import Canned, WebAgent
from tests.web.doubles import Response


@define
class Pages(Canned):
    """Answers with one page after the other."""

    pages: list[object] = field(factory=list)

    def request(self, *asked: object) -> Response:
        """Answer."""
        return Response(200, "", {}, json.dumps(self.pages.pop(0)).encode())


class RemoteRecordsTests(SynchronousTestCase):
    def read(
        self, *pages: object
    ) -> tuple[Deferred[list[Mapping[str, object]]], WebAgent, list[str]]:
        agent = WebAgent(Pages([*pages]))
        address = IndexAddress.parse("https://pypi.example/", "--index")
        client = ApiClient(address, Credentials(Login("ann", "secret")), agent, Clock())
        broken: list[str] = []

        async def read() -> list[Mapping[str, object]]:
            question = Question(user="ann", since="2d")
            records = RemoteRecords(client).read(question, broken.append)
            return [one async for one in records]

        return Deferred.fromCoroutine(read()), agent, broken

    def test_every_page(self) -> None:
        reading, agent, broken = self.read(
            {"records": [{"act": "a"}], "cursor": "c 1", "more": True, "skipped": 0},
            {"records": [], "cursor": "c 2", "more": True, "skipped": 2},
            {"records": [{"act": "b"}], "cursor": "c 3", "more": False},
        )
        found = self.successResultOf(reading)
        self.assertEqual(found, [{"act": "a"}, {"act": "b"}])
        self.assertEqual(broken, ["2 records are not understood, and left out."])
        self.assertEqual(
            [path.partition("?")[2] for _, path, _, _ in agent.asked],
            [
                "user=ann&since=2d&limit=1000",
                "user=ann&since=2d&cursor=c+1&limit=1000",
                "user=ann&since=2d&cursor=c+2&limit=1000",
            ],
        )

    def test_a_cursor_that_goes_nowhere_ends_it(self) -> None:
        page = {"records": [{"act": "a"}], "cursor": "c", "more": True}
        reading, agent, _ = self.read(page, page, page)
        self.assertEqual(len(self.successResultOf(reading)), 2)
        self.assertEqual(len(agent.asked), 2)

    def test_an_answer_of_something_else(self) -> None:
        pages: list[object] = [[], {"items": []}, {"records": {}}]
        for page in pages:
            self.failureResultOf(self.read(page)[0], Unanswered)
