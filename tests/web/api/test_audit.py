"""Records of changes over the API: who may read them, and page by page."""

from __future__ import annotations

from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.stored import StoredRecords
from pypicloud_tw.access.audit.trail import Trail
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.rights import Action, RightLine
from pypicloud_tw.index.audit import Act, Actor
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.web.api import audit as module
from tests.builders import wheel
from tests.web.doubles import HASH, Response, Web, basic

WHEEL = "acme-1.0-py3-none-any.whl"


class AuditCase(SynchronousTestCase):
    def setUp(self) -> None:
        may = (Action.READ, Action.UPLOAD, Action.MANAGE)
        line = RightLine("acme", "user", "bob", frozenset(may), "a test")
        users = {"ann": HASH, "bob": HASH}
        settings = AccessSettings(
            admins=("ann",), rights=(line,), users=frozenset(users), has_users=True
        )
        self.web = Web(users=users, policy=Policy(settings))
        self.clock = self.web.domain.clock
        stored = StoredRecords(self.clock, "server")
        self.trail = Trail(
            self.clock, Metrics(self.clock), stored=stored, tell=lambda act: None
        )
        self.trail.start(self.web.store)
        self.web.domain.publisher.audit = self.trail

    def act(self, count: int = 1, *, project: str = "acme", who: str = "ann") -> None:
        for _ in range(count):
            self.trail(Act(Actor(who), "published", project))
            self.clock.advance(1)

    def ask(self, query: str = "", headers: dict[str, str] | None = None) -> Response:
        headers = basic() if headers is None else headers
        return self.web.get(f"/api/v1/audit{query}", headers)


class PageTests(AuditCase):
    def test_what_was_done(self) -> None:
        self.web.publish(WHEEL, wheel())
        self.clock.advance(2)
        answer = self.ask()
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer["Content-Type"], "application/json")
        self.assertEqual(answer["Cache-Control"], "no-store")
        [record] = answer.json["records"]
        self.assertEqual(
            (record["act"], record["principal"], record["file"]),
            ("published", "ann", WHEEL),
        )
        self.assertFalse(answer.json["more"])

    def test_page_by_page(self) -> None:
        self.act(7)
        seen, query = [], "?limit=3"
        for more in (True, True, False):
            answer = self.ask(query).json
            seen += answer["records"]
            self.assertEqual(answer["more"], more)
            query = f"?limit=3&cursor={quote(answer['cursor'])}"
        times = [record["time"] for record in seen]
        self.assertEqual((len(times), times), (7, sorted(set(times))))
        self.assertEqual(self.ask(query).json["records"], [])
        self.act()
        self.assertEqual(len(self.ask(query).json["records"]), 1)

    def test_what_matches(self) -> None:
        self.act(2)
        self.act(3, project="zope", who="bob")
        for query, count in (
            ("?project=Zope", 3),
            ("?project=Zope-*", 0),
            ("?user=ann", 2),
            ("?act=published", 5),
            ("?act=removed", 0),
            ("?since=2s&until=0", 2),
        ):
            self.assertEqual(len(self.ask(query).json["records"]), count, query)

    def test_a_long_search_ends_and_goes_on(self) -> None:
        self.patch(module, "LOOKED_AT", 3)
        self.act(5)
        self.act(project="zope")
        first = self.ask("?project=zope").json
        self.assertEqual((first["records"], first["more"]), ([], True))
        query = f"?project=zope&cursor={quote(first['cursor'])}"
        self.assertEqual(len(self.ask(query).json["records"]), 1)

    def test_a_broken_line_is_counted(self) -> None:
        self.act()
        [key] = (key for key in self.web.store.objects if key.startswith(".audit"))
        self.web.store.add(key, self.web.store.objects[key].data + b"{\n")
        answer = self.ask().json
        self.assertEqual((len(answer["records"]), answer["skipped"]), (1, 1))

    def test_what_is_not_understood(self) -> None:
        for query, word in (
            ("?limit=0", "1000"),
            ("?limit=1001", "1000"),
            ("?limit=x", "1000"),
            ("?since=yesterday", "2026-01-31"),
            ("?cursor=x", "cursor"),
            ("?name=acme", "not known"),
            ("?a=1&b=2", "are not known"),
            ("?project=a/b", "name"),
        ):
            answer = self.ask(query)
            self.assertEqual(answer.status, 400, query)
            self.assertIn(word, answer.text)


class RightTests(AuditCase):
    def test_not_without_a_log_in(self) -> None:
        self.act()
        for query in ("", "?project=acme", "?project=none"):
            answer = self.ask(query, {})
            self.assertEqual(answer.status, 401, query)
            self.assertNotIn("published", answer.text)

    def test_one_project_for_who_manages_it(self) -> None:
        self.act()
        self.act(project="zope")
        answer = self.ask("?project=Acme", basic("bob"))
        self.assertEqual([r["project"] for r in answer.json["records"]], ["acme"])

    def test_not_all_for_who_manages_one(self) -> None:
        self.act()
        for query in (
            *("", "?user=bob", "?project=zope", "?project=none"),
            *("?project=acme*", "?project=*", "?project=acme?"),
        ):
            answer = self.ask(query, basic("bob"))
            self.assertIn(answer.status, (403, 404), query)
            self.assertNotIn("published", answer.text)

    def test_a_wrong_password(self) -> None:
        self.assertEqual(self.ask("", basic("ann", "wrong")).status, 401)
