"""Who sees which part of the administration, and what it costs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from attrs import evolve

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.load import load_settings
from pypicloud_tw.config.rights import Action, RightLine
from tests.access.administration.doubles import settings
from tests.measures import least_cost
from tests.web.api.doubles import AccessWeb
from tests.web.doubles import HASH, Web
from tests.web.pages.admin.doubles import USERS, AdminCase
from tests.web.pages.doubles import Reader

PARTS = {
    "/admin/users/",
    "/admin/groups/",
    "/admin/rights/",
    "/admin/explain",
    "/admin/publishers/",
    "/admin/tokens/",
    "/admin/exemptions/",
    "/admin/pins/",
    "/advisories",
    "/admin/audit",
    "/admin/prune",
    "/admin/server",
}

#: bob may write to acme, carol may administer it as well.
INI = {
    "auth.admins": "ann",
    "pypi.default_read": "authenticated",
    "pypi.default_write": "",
    "package.acme.user.bob": "rw",
    "package.acme.user.carol": "read, manage, administer",
}


class PartsTests(AdminCase):
    def make_web(self) -> Web:
        given = AccessSettings.of(load_settings(INI, USERS, Path("/")))
        return AccessWeb(users=USERS, policy=Policy(given))

    def parts(self, user: str) -> set[str]:
        """Return the parts that somebody is shown, each of which they can open."""
        browser = self.logged_in(user)
        page = self.read("/admin/", browser)
        shown = {one for one in page.links if one in PARTS}
        for path in PARTS:
            status = 200 if path in shown else 403
            self.assertEqual(browser.get(path).status, status, (user, path))
        self.assertEqual(page.count("h2"), len(shown))
        return shown

    def test_of_an_administrator(self) -> None:
        self.assertEqual(self.parts("ann"), PARTS)

    def test_of_who_manages_a_project(self) -> None:
        wanted = {"/admin/explain", "/advisories", "/admin/audit", "/admin/prune"}
        self.assertEqual(self.parts("bob"), wanted)

    def test_of_who_administers_a_project(self) -> None:
        some = {"/admin/rights/", "/admin/publishers/", "/admin/exemptions/"}
        manages = {"/admin/explain", "/advisories", "/admin/audit", "/admin/prune"}
        self.assertEqual(self.parts("carol"), some | manages)

    def test_tabs_tell_where_one_is(self) -> None:
        for path in PARTS:
            page = Reader(self.ann.get(path).body)
            current = [a["href"] for a in page.named("a") if "aria-current" in a]
            self.assertEqual(current, [path])
            self.assertEqual(page.count("h1"), 1)

    def test_one_s_own_project_alone_is_changed(self) -> None:
        carol = self.logged_in("carol")
        line = {"project": "acme", "kind": "user", "name": "dave", "actions": "read"}
        self.refused(403, "/admin/rights/", {**line, "project": "other"}, carol)
        # The ini decides for acme, and what is set does not count.
        response = carol.submit("/admin/rights/", line)
        self.assertEqual(response.status, 409, response.text)
        page = self.read("/admin/rights/", carol)
        self.assertIn("carol", page.text)

    def test_exemptions_of_one_s_own_project(self) -> None:
        carol = self.logged_in("carol")
        new = {"project": "acme", "until": "2027-02-01", "reason": "a fix"}
        self.assertIn(
            "It is exempted", self.done("/admin/exemptions/", new, carol).text
        )
        self.refused(403, "/admin/exemptions/", {**new, "project": "other"}, carol)

    def test_a_refusal_is_written_down(self) -> None:
        bob = self.logged_in("bob")
        before = len(self.web.records)
        self.refused(403, "/admin/users/", {"name": "dave"}, bob, token="x")
        acts = self.web.records[before:]
        self.assertEqual([one.outcome for one in acts], ["refused"])

    def test_nobody_in_particular(self) -> None:
        for path in {*PARTS, "/admin/"}:
            answer = self.web.get(path)
            self.assertEqual(answer.status, 303, path)
            self.assertEqual(answer["Location"], f"/login?next={path}")


class ReadOnlyTests(AdminCase):
    def make_web(self) -> Web:
        policy = Policy(evolve(settings(), read_only="We move until noon."))
        return AccessWeb(users=USERS, policy=policy)

    def test_no_form_is_offered(self) -> None:
        for path in (*PARTS, "/admin/groups/fixed", "/admin/users/ann"):
            page = Reader(self.ann.get(path).body)
            self.assertIn("We move until noon.", page.text, path)
            methods = [one.get("method") for one in page.named("form")]
            self.assertNotIn("post", methods, path)


def large() -> AccessDocument:
    """As much as an index of a large company has."""
    read = frozenset({Action.READ})
    return AccessDocument(
        users={f"user-{n:05}": StoredUser(HASH) for n in range(10_000)},
        groups={
            f"group-{n:04}": frozenset(
                f"user-{(n * 7 + i) % 10_000:05}" for i in range(20)
            )
            for n in range(1_000)
        },
        rights=tuple(
            RightLine(f"project-{n}", "group", f"group-{n % 1000:04}", read, "here")
            for n in range(10_000)
        ),
    )


class LargeTests(AdminCase):
    def make_web(self) -> Web:
        web = AccessWeb(users=USERS)
        web.wait(web.documents.change(lambda _: large()))
        return web

    def test_every_page_is_small_and_quick(self) -> None:
        for path in (
            "users/",
            "users/?page=200",
            "users/?q=99",
            "users/user-00001",
            "groups/",
            "groups/group-0001",
            "rights/",
            "rights/?q=project-99",
            "explain?user=user-00001&project=project-7",
            "rights/line?project=project-9999&kind=group&name=group-0999",
        ):
            page = self.ann.get(f"/admin/{path}")
            took = least_cost(partial(self.ann.get, f"/admin/{path}"))
            self.assertEqual(page.status, 200, page.text)
            self.assertLess(len(page.body), 100_000, path)
            # Four times what is promised: others work on this machine, too.
            self.assertLess(took, 0.12, path)
