"""Users, groups, rights, publishers, tokens and exemptions, changed by forms."""

from __future__ import annotations

from urllib.parse import urlencode

from attrs import evolve

from pypicloud_tw.access.administration.slices import Window
from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.principal import Scope
from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.config.rights import Action
from tests.web.doubles import basic, request_bytes
from tests.web.pages.admin.doubles import AdminCase
from tests.web.pages.browser import FORM_TYPE, OWN_SITE
from tests.web.pages.doubles import Reader
from tests.web.test_rights import make_token

PASSWORD = {"password": "a good word", "again": "a good word"}


class UserTests(AdminCase):
    def test_add_one(self) -> None:
        page = self.done("/admin/users/", {"name": "dave", **PASSWORD})
        self.assertIn("The user is added.", page.text)
        self.assertIn("/admin/users/dave", self.read("/admin/users/").links)
        login = basic("dave", "a good word")
        self.assertEqual(self.web.get("/simple/", login).status, 200)
        (act,) = (one for one in self.web.records if one.act == "set a user")
        self.assertEqual((act.actor.name, act.actor.proof.kind), ("ann", "session"))

    def test_one_that_is_there_is_not_replaced(self) -> None:
        self.done("/admin/users/", {"name": "dave", **PASSWORD})
        page = self.refused(412, "/admin/users/", {"name": "dave", **PASSWORD})
        self.assertIn("dave is there already.", page.text)
        self.assertEqual(page.attributes("role").count("alert"), 1)

    def test_of_the_ini(self) -> None:
        page = self.refused(409, "/admin/users/", {"name": "ann", **PASSWORD})
        self.assertIn("ini", page.text)
        page = self.read("/admin/users/ann")
        self.assertIn("only the ini changes it", page.text)
        self.assertEqual(page.count("button"), 1)  # of the search

    def test_what_was_typed_is_kept_but_no_password(self) -> None:
        page = self.refused(
            400,
            "/admin/users/",
            {
                "name": "dave",
                "password": "x-secret",
                "again": "y",
                "administrator": "yes",
            },
        )
        self.assertIn("not the same", page.text)
        fields = {one["name"]: one for one in page.named("input") if "name" in one}
        self.assertEqual(fields["name"]["value"], "dave")
        self.assertIn("checked", fields["administrator"])
        self.assertNotIn("value", fields["password"])

    def test_a_service_account(self) -> None:
        self.refused(400, "/admin/users/", {"name": "ci"})
        self.refused(400, "/admin/users/", {"name": "ci", "service": "yes", **PASSWORD})
        page = self.done("/admin/users/", {"name": "ci", "service": "yes"})
        self.assertIn("a service account", page.text)
        page = self.done("/admin/users/ci", {"act": "password", **PASSWORD})
        self.assertIn("by a password", page.text)
        page = self.done("/admin/users/ci", {"act": "password", "service": "yes"})
        self.assertIn("a service account", page.text)

    def test_an_administrator(self) -> None:
        self.done("/admin/users/", {"name": "dave", **PASSWORD})
        form = {"act": "administrator", "administrator": "yes"}
        page = self.done("/admin/users/dave", form)
        self.assertIn("That is set.", page.text)
        self.assertTrue(self.document.users["dave"].administrator)
        self.done("/admin/users/dave", {"act": "administrator"})
        self.assertFalse(self.document.users["dave"].administrator)

    def test_a_password_leaves_the_administrator(self) -> None:
        self.done("/admin/users/", {"name": "dave", "administrator": "yes", **PASSWORD})
        self.done("/admin/users/dave", {"act": "password", "service": "yes"})
        self.assertTrue(self.document.users["dave"].administrator)

    def test_removed_in_a_second_step(self) -> None:
        self.done("/admin/users/", {"name": "dave", **PASSWORD})
        page = self.refused(400, "/admin/users/dave", {"act": "remove"})
        self.assertIn("Tick the box", page.text)
        page = self.done("/admin/users/dave", {"act": "remove", "sure": "yes"})
        self.assertIn("The user is removed", page.text)
        self.assertEqual(self.ann.get("/admin/users/dave").status, 404)

    def test_a_form_that_says_nothing(self) -> None:
        self.done("/admin/users/", {"name": "dave", **PASSWORD})
        page = self.refused(400, "/admin/users/dave", {"act": "praise"})
        self.assertIn("does not say what to do", page.text)

    def test_another_form_s_token(self) -> None:
        fields = {"name": "dave", **PASSWORD}
        response = self.ann.submit("/admin/users/", fields, "x")
        self.assertEqual(response.status, 403)
        self.assertNotIn("dave", self.read("/admin/users/").text)

    def test_of_a_session_that_ends_meanwhile(self) -> None:
        token = self.ann.token("/admin/users/")
        body = urlencode({"name": "dave", **PASSWORD, "token": token}).encode()
        cookies = "; ".join(f"{k}={v}" for k, v in self.ann.cookies.items())
        headers = {"Content-Type": FORM_TYPE, **OWN_SITE, "Cookie": cookies}
        whole = request_bytes("POST", "/admin/users/", headers, body)
        connection = self.web.connect()
        connection.send(whole[:-5])
        self.ann.post("/logout", token=token)
        self.web.domain.clock.advance(5)
        connection.send(whole[-5:])
        answer = connection.response()
        assert answer is not None
        self.assertEqual(answer.status, 403)
        self.ann.log_in()
        self.assertNotIn("dave", self.read("/admin/users/").text)

    def test_names_that_have_to_be_escaped(self) -> None:
        name = "d'ave <b>&@x.example"
        page = self.done("/admin/users/", {"name": name, **PASSWORD})
        self.assertIn(name, page.text)
        page = self.done(
            "/admin/users/d%27ave%20%3Cb%3E%26@x.example", {"act": "administrator"}
        )
        self.assertIn(name, page.text)

    def test_a_filter_and_pages(self) -> None:
        self.web.wait(self.web.documents.change(with_users))
        page = self.read("/admin/users/?q=USER")
        self.assertIn("60 users, page 1 of 2", page.text)
        (following,) = (one for one in page.links if "page=2" in one)
        page = self.read(following)
        self.assertIn("user-59", page.text)
        self.assertNotIn("user-00", page.text)
        self.assertIn("/admin/users/?q=USER&page=1", page.links)
        self.assertEqual(self.ann.get("/admin/users/?page=x").status, 400)


def with_users(document: AccessDocument) -> AccessDocument:
    """Have sixty more."""
    more = {f"user-{number:02}": StoredUser(None) for number in range(60)}
    return evolve(document, users={**document.users, **more})


class GroupTests(AdminCase):
    def test_add_and_change_one(self) -> None:
        page = self.done("/admin/groups/", {"name": "dev", "members": "bob\n carol \n"})
        self.assertIn("2 members", page.text)
        page = self.done("/admin/groups/dev", {"act": "join", "members": "x\ny"})
        self.assertIn("4 members", page.text)
        page = self.done("/admin/groups/dev", {"act": "leave", "leaves": ["bob", "x"]})
        self.assertEqual(self.document.groups["dev"], frozenset({"carol", "y"}))
        self.assertIn("They are in the group no more.", page.text)
        acts = [one for one in self.web.records if one.act == "set a group"]
        self.assertEqual(len(acts), 3)  # one each, whoever many they are

    def test_a_filter_of_members(self) -> None:
        self.done("/admin/groups/", {"name": "dev", "members": "bob\ncarol"})
        page = self.read("/admin/groups/dev?q=bo")
        self.assertIn("bob", page.attributes("value"))
        self.assertNotIn("carol", page.attributes("value"))

    def test_nobody_leaves(self) -> None:
        """Nothing is changed then."""
        self.done("/admin/groups/", {"name": "dev", "members": "bob"})
        self.done("/admin/groups/dev", {"act": "leave"})
        self.assertEqual(self.document.groups["dev"], frozenset({"bob"}))

    def test_removed_in_a_second_step(self) -> None:
        self.done("/admin/groups/", {"name": "dev"})
        self.refused(400, "/admin/groups/dev", {"act": "remove"})
        self.done("/admin/groups/dev", {"act": "remove", "sure": "yes"})
        self.assertNotIn("dev", self.document.groups)
        token = self.ann.token("/admin/groups/")
        self.refused(404, "/admin/groups/dev", {"act": "join"}, token=token)

    def test_of_the_ini(self) -> None:
        page = self.read("/admin/groups/fixed")
        self.assertIn("only the ini changes it", page.text)
        self.assertEqual(page.count("textarea"), 0)


LINE = {"project": "acme", "kind": "user", "name": "bob"}
AT = f"/admin/rights/line?{urlencode(LINE)}"


class RightTests(AdminCase):
    def test_what_follows_is_told(self) -> None:
        """Where a redirect would lose it."""
        fields = {**LINE, "actions": ["read", "upload"]}
        response = self.ann.submit("/admin/rights/", fields)
        self.assertEqual(response.status, 200)
        self.assertIn("is closed to everybody whom no line", response.text)
        page = self.read(AT)
        ticked = {one["value"] for one in page.named("input") if "checked" in one}
        self.assertEqual(ticked, {"read", "upload"})

    def test_set_and_remove_one(self) -> None:
        self.ann.submit("/admin/rights/", {**LINE, "actions": "read"})
        self.refused(412, "/admin/rights/", {**LINE, "actions": "read"})
        page = self.done(AT, {"act": "set", "actions": ["read", "manage"]})
        self.assertIn("The right is set.", page.text)
        (line,) = self.document.rights
        self.assertEqual(line.actions, {Action.READ, Action.MANAGE})
        self.refused(400, AT, {"act": "remove"})
        response = self.ann.submit(AT, {"act": "remove", "sure": "yes"})
        self.assertEqual(response.status, 200)  # with a notice
        self.assertEqual(self.document.rights, ())
        self.assertEqual(self.ann.get(AT).status, 404)

    def test_what_cannot_be(self) -> None:
        for wrong in ({"kind": "role"}, {"actions": "delete"}, {"project": "a b"}):
            page = self.refused(400, "/admin/rights/", {**LINE, **wrong})
            self.assertEqual(page.attributes("role").count("alert"), 1, wrong)

    def test_of_the_ini(self) -> None:
        page = self.read("/admin/rights/")
        self.assertIn("stands in the ini", page.text)
        page = self.read("/admin/rights/line?project=fixed&kind=user&name=ann")
        self.assertIn("only the ini changes it", page.text)

    def test_explained(self) -> None:
        self.ann.submit("/admin/rights/", {**LINE, "actions": "read"})
        page = self.read("/admin/explain?user=bob&project=acme")
        self.assertIn("The lines of acme decide", page.text)
        self.assertIn("acme.user.bob", page.text)
        page = Reader(self.ann.get("/admin/explain?project=a%20b").body)
        self.assertEqual(page.attributes("role").count("alert"), 1)

    def test_others_are_explained_to_administrators_alone(self) -> None:
        bob = self.logged_in("bob")
        self.assertEqual(bob.get("/admin/explain?user=ann&project=x").status, 403)
        page = self.read("/admin/explain?project=x", bob)
        self.assertIn("What bob may do with x", page.text)
        self.assertNotIn("user", [one.get("name") for one in page.named("input")])


TERMS = {
    "name": "ci",
    "issuer": "https://ci.example",
    "claims": "repository: acme/tool\nref: refs/tags/*",
    "projects": "acme-tool, acme-*",
    "actions": "upload",
}


class PublisherTests(AdminCase):
    def test_add_change_and_remove_one(self) -> None:
        response = self.ann.submit("/admin/publishers/", TERMS)
        self.assertIn("after a rename or a removal", response.text)
        page = self.read("/admin/publishers/ci")
        self.assertIn("repository: acme/tool", page.text)
        publisher = self.document.publishers["ci"]
        self.assertEqual(publisher.projects, ("acme-tool", "acme-*"))
        changed = {**TERMS, "act": "set", "claims": "repository_id: 123"}
        page = self.done("/admin/publishers/ci", changed)
        self.assertIn("repository_id: 123", page.text)
        self.refused(400, "/admin/publishers/ci", {"act": "remove"})
        self.done("/admin/publishers/ci", {"act": "remove", "sure": "yes"})
        self.assertEqual(self.document.publishers, {})

    def test_what_is_refused_is_kept(self) -> None:
        for claims in ("repository", ": x", "a: b\na: c"):
            page = self.refused(400, "/admin/publishers/", {**TERMS, "claims": claims})
            self.assertIn("repository: acme/tool.", page.text)
            self.assertIn(claims, page.text.replace("\r", ""))
            self.assertIn("acme-tool, acme-*", page.attributes("value"))


class TokenTests(AdminCase):
    def test_shown_and_revoked(self) -> None:
        text = make_token(self.web, "bob", Scope(frozenset({Action.READ}), ("acme",)))
        page = self.read("/admin/tokens/")
        self.assertIn("bob", page.text)
        (place,) = (one for one in page.links if len(one) > len("/admin/tokens/") + 30)
        self.assertIn(place, self.read("/admin/tokens/?owner=bob").links)
        page = self.read(place)
        self.assertIn("acme", page.text)
        self.assertNotIn(text, page.text)
        self.refused(400, place, {})
        page = self.done(place, {"sure": "yes"})
        self.assertIn("The token is revoked", page.text)
        response = self.web.get("/simple/", basic("__token__", text))
        self.assertEqual(response.status, 401)

    def test_owner_by_owner(self) -> None:
        for owner in ("bob", "carol"):
            for _ in range(30):
                make_token(self.web, owner, Scope())
        first = self.read("/admin/tokens/")
        self.assertEqual(first.count("table"), 2)
        self.assertIn("10 more tokens of bob", " ".join(first.text.split()))
        self.assertIn("30 tokens", self.read("/admin/tokens/?owner=bob").text)

    def test_pages_of_owners(self) -> None:
        for owner in ("ann", "bob", "carol"):
            for _ in range(50):
                make_token(self.web, owner, Scope())
        path, seen = "/admin/tokens/", []
        for _ in range(3):
            page = self.read(path)
            seen += [one for one in ("ann", "bob", "carol") if f"of {one}" in page.text]
            path = next((one for one in page.links if "cursor=" in one), "")
        self.assertEqual((sorted(seen), path), (["ann", "bob", "carol"], ""))


EXEMPTION = {
    "project": "acme",
    "versions": "==2.5.1",
    "until": "2027-02-01",
    "reason": "a fix",
    "rule": "min-age",
}


class ExemptionTests(AdminCase):
    def test_add_and_remove_one(self) -> None:
        page = self.done("/admin/exemptions/", EXEMPTION)
        self.assertIn("It is exempted.", page.text)
        self.assertIn("2027-02-02 00:00 UTC", page.text)
        (id,) = self.document.exemptions
        place = f"/admin/exemptions/{id}"
        self.refused(400, place, {})
        self.done(place, {"sure": "yes"})
        self.assertEqual(self.ann.get(place).status, 404)

    def test_what_is_refused_is_kept(self) -> None:
        for wrong in ({"until": "soon"}, {"reason": ""}, {"rule": "deny"}):
            page = self.refused(400, "/admin/exemptions/", {**EXEMPTION, **wrong})
            self.assertEqual(page.attributes("role").count("alert"), 1, wrong)
            self.assertIn("==2.5.1", page.attributes("value"))

    def test_of_the_ini(self) -> None:
        self.assertIn("stands in the ini", self.read("/admin/exemptions/").text)


class PinTests(AdminCase):
    def test_set_and_remove_one(self) -> None:
        form = {"project": "Six", "publisher": "github:acme/tool:release.yml"}
        page = self.done("/admin/pins/", form)
        self.assertIn("The publisher is pinned.", page.text)
        self.assertIn("/admin/pins/six", self.read("/admin/pins/").links)
        other = {"act": "set", "publisher": "github:acme/other:release.yml"}
        self.assertIn("acme/other", self.done("/admin/pins/six", other).text)
        self.refused(400, "/admin/pins/six", {"act": "remove"})
        page = self.done("/admin/pins/six", {"act": "remove", "sure": "yes"})
        self.assertIn("0 pins", page.text)

    def test_what_cannot_be(self) -> None:
        form = {"project": "six", "publisher": "me"}
        page = self.refused(400, "/admin/pins/", form)
        self.assertIn("six", page.attributes("value"))
        self.assertEqual(self.ann.get("/admin/pins/other").status, 404)


class WindowTests(AdminCase):
    def test_a_part_of_a_list(self) -> None:
        window = Window("a", begin=1, size=2)
        found = at_once(window.cut("abacada", lambda one: one == "a", str.upper))
        self.assertEqual((found.items, found.total), (("A", "A"), 4))
