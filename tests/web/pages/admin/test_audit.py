"""Records on pages: filters, pages and the download."""

from __future__ import annotations

import json

from pypicloud_tw.access.audit.stored import StoredRecords
from pypicloud_tw.access.audit.trail import Trail
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.rights import Action, RightLine
from pypicloud_tw.index.audit import Act, Actor
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.web.pages.admin.audit import MOST
from tests.web.doubles import Web
from tests.web.pages.admin.doubles import USERS, AdminCase
from tests.web.pages.doubles import Reader


class AuditPageTests(AdminCase):
    def make_web(self) -> Web:
        may = (Action.READ, Action.UPLOAD, Action.MANAGE)
        line = RightLine("acme", "user", "bob", frozenset(may), "a test")
        given = AccessSettings(
            admins=("ann",), rights=(line,), users=frozenset(USERS), has_users=True
        )
        return Web(users=USERS, policy=Policy(given))

    def setUp(self) -> None:
        super().setUp()
        clock = self.web.domain.clock
        stored = StoredRecords(clock, "server")
        self.trail = Trail(clock, Metrics(clock), stored=stored, tell=lambda act: None)
        self.trail.start(self.web.store)

    def act(
        self,
        act: str = "published",
        project: str = "acme",
        reason: str | None = None,
        file: str | None = None,
    ) -> None:
        self.trail(Act(Actor("ann"), act, project, reason=reason, file=file))
        self.web.domain.clock.advance(2)

    def test_filters(self) -> None:
        self.act(reason="<b>&\N{RIGHT-TO-LEFT OVERRIDE}")
        self.act("yanked", "other")
        page = self.read("/admin/audit")
        self.assertEqual(page.count("tr"), 3)
        self.assertIn("<b>&\N{REPLACEMENT CHARACTER}", page.text)
        for query, count in (
            ("act=yanked", 1),
            ("project=ACME", 1),
            ("user=bob", 0),
            ("since=1h", 2),
            ("until=2001-01-01", 0),
            ("user=ann&act=published&project=acme", 1),
        ):
            page = self.read(f"/admin/audit?{query}")
            self.assertEqual(page.count("time"), count, query)

    def test_what_cannot_be_asked(self) -> None:
        for query in ("since=soon", "project=a%20b", "cursor=x"):
            response = self.ann.get(f"/admin/audit?{query}")
            self.assertEqual(response.status, 400, query)
            self.assertIn('role="alert"', response.text)

    def test_page_by_page(self) -> None:
        for number in range(MOST + 5):
            self.act(reason=f"number {number}")
        page = self.read("/admin/audit?act=published")
        self.assertEqual(page.count("time"), MOST)
        (following,) = (one for one in page.links if "cursor=" in one)
        self.assertIn("act=published", following)
        page = self.read(following)
        self.assertEqual(page.count("time"), 5)
        self.assertIn(f"number {MOST + 4}", page.text)

    def test_the_longest_are_cut_off(self) -> None:
        for _ in range(MOST):
            self.act("published", reason="&" * 5000, file="f" * 5000)
        page = self.ann.get("/admin/audit")
        self.assertLess(len(page.body), 100_000)

    def test_download(self) -> None:
        self.act()
        self.act("yanked", "other")
        self.assertIn("/admin/audit.jsonl", self.read("/admin/audit").links)
        answer = self.ann.get("/admin/audit.jsonl?project=acme")
        self.assertEqual(answer["Content-Type"], "application/jsonl")
        self.assertIn("attachment", answer["Content-Disposition"] or "")
        (record,) = map(json.loads, answer.text.splitlines())
        self.assertEqual((record["act"], record["project"]), ("published", "acme"))

    def test_who_manages_a_project_sees_its_records(self) -> None:
        self.act()
        self.act(project="other")
        bob = self.logged_in("bob")
        page = self.read("/admin/audit", bob)
        self.assertIn("Name a project that you manage", page.text)
        self.assertEqual(page.count("time"), 0)
        self.assertEqual(self.read("/admin/audit?project=acme", bob).count("time"), 1)
        for path in (
            "/admin/audit?project=other",
            "/admin/audit?project=acm*",
            "/admin/audit.jsonl",
            "/admin/audit.jsonl?project=other",
        ):
            self.assertEqual(bob.get(path).status, 403, path)
        answer = bob.get("/admin/audit.jsonl?project=acme")
        self.assertEqual(len(answer.text.splitlines()), 1)

    def test_damage_is_counted(self) -> None:
        self.act()
        (key,) = (one for one in self.web.store.objects if one.startswith(".audit/"))
        self.web.wait(self.web.store.put(key, b"x\n", content_type="text/plain"))
        page = Reader(self.ann.get("/admin/audit").body)
        self.assertIn("1 place in the store could not be understood", page.text)
