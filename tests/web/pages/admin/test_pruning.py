"""Plans of prunes on a page, and what is done of them."""

from __future__ import annotations

import json

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.rights import Action, RightLine
from pypicloud_tw.maintenance.retention.plan import PlannedProject, PlannedRelease
from pypicloud_tw.web.pages.admin.pruning import LONGEST_OF_ONE, MOST, OfferedProject
from tests.builders import wheel
from tests.web.doubles import Web, stored_project
from tests.web.pages.admin.doubles import USERS, AdminCase
from tests.web.pages.doubles import Reader

PLAN = "/admin/prune?plan=1&projects=*&keep_releases=1"


class PrunePageTests(AdminCase):
    def make_web(self) -> Web:
        may = (Action.READ, Action.UPLOAD, Action.MANAGE)
        line = RightLine("acme", "user", "bob", frozenset(may), "a test")
        given = AccessSettings(
            admins=("ann",), rights=(line,), users=frozenset(USERS), has_users=True
        )
        return Web(users=USERS, policy=Policy(given))

    def setUp(self) -> None:
        super().setUp()
        for version in ("1.0", "2.0"):
            for name in ("acme", "other"):
                filename = f"{name}-{version}-py3-none-any.whl"
                self.web.publish(filename, wheel(name, version))

    def versions(self, name: str = "acme") -> list[str]:
        return [one.version for one in stored_project(self.web.store, name).files]

    def orders(self, page: Reader) -> list[str]:
        found = page.named("input")
        return [one["value"] or "" for one in found if one.get("name") == "order"]

    def test_nothing_is_planned_unasked(self) -> None:
        self.assertEqual(self.orders(self.read("/admin/prune")), [])

    def test_planned_and_carried_out(self) -> None:
        page = self.read(PLAN)
        orders = self.orders(page)
        self.assertEqual(
            [json.loads(one)["project"] for one in orders], ["acme", "other"]
        )
        response = self.ann.submit(PLAN, {"order": orders[:1], "sure": "yes"})
        self.assertEqual(response.status, 200, response.text)
        self.assertIn("deleted", Reader(response.body).text)
        self.assertEqual(self.versions(), ["2.0"])
        self.assertEqual(self.versions("other"), ["1.0", "2.0"])

    def test_what_changed_since_stays(self) -> None:
        orders = self.orders(self.read(PLAN))
        self.web.publish("acme-3.0-py3-none-any.whl", wheel("acme", "3.0"))
        response = self.ann.submit(PLAN, {"order": orders, "sure": "yes"})
        self.assertIn("changed since the plan was made", response.text)
        self.assertIn("1.0", self.versions())

    def test_only_when_sure(self) -> None:
        orders = self.orders(self.read(PLAN))
        page = self.refused(400, PLAN, {"order": orders})
        self.assertIn("Tick the box", page.text)
        self.assertEqual(len(self.orders(page)), 2)  # and can be sent again
        page = self.refused(400, PLAN, {"sure": "yes"})
        self.assertIn("Tick the projects", page.text)
        page = self.refused(400, PLAN, {"sure": "yes", "order": "x"})
        self.assertIn("make it anew", page.text)
        self.assertEqual(self.versions(), ["1.0", "2.0"])

    def test_what_cannot_be_asked(self) -> None:
        for query in ("keep_releases=x&projects=*", "keep_releases=1", "projects=a$b"):
            response = self.ann.get(f"/admin/prune?plan=1&{query}")
            self.assertEqual(response.status, 400, query)
            self.assertIn('role="alert"', response.text)

    def test_of_one_s_own_projects(self) -> None:
        bob = self.logged_in("bob")
        orders = self.orders(self.read(PLAN, bob))
        self.assertEqual([json.loads(one)["project"] for one in orders], ["acme"])
        others = self.orders(self.read(PLAN))
        response = bob.submit(PLAN, {"order": others, "sure": "yes"})
        self.assertEqual(response.status, 403)
        self.assertEqual(self.versions("other"), ["1.0", "2.0"])

    def test_as_much_as_a_page_holds(self) -> None:
        many = tuple(PlannedRelease(f"1.{number}") for number in range(MOST + 7))
        offered = OfferedProject.of(PlannedProject("acme", "s", "old", many))
        self.assertEqual(len(json.loads(offered.order)["releases"]), MOST)
        self.assertEqual(offered.left_out, 7)

    def test_the_longest_versions(self) -> None:
        long = tuple(PlannedRelease(f"1+{'x' * 200}{n:03}") for n in range(MOST))
        offered = OfferedProject.of(PlannedProject("acme", "s", "old", long))
        self.assertLess(len(offered.order), LONGEST_OF_ONE * 1.2)
        self.assertEqual(
            offered.left_out, MOST - len(json.loads(offered.order)["releases"])
        )

    def test_page_by_page(self) -> None:
        for number in range(MOST):
            for version in ("1.0", "2.0"):
                name = f"many{number:03}"
                filename = f"{name}-{version}-py3-none-any.whl"
                self.web.publish(filename, wheel(name, version))
        response = self.ann.get(PLAN)
        self.assertLess(len(response.body), 100_000)
        page = Reader(response.body)
        self.assertEqual(len(self.orders(page)), MOST)
        (following,) = (one for one in page.links if "cursor=" in one)
        rest = [json.loads(one)["project"] for one in self.orders(self.read(following))]
        self.assertEqual(rest, [f"many{MOST - 1:03}", "other"])
