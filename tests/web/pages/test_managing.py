"""Changing a project by its pages."""

from __future__ import annotations

from urllib.parse import urlsplit

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.model import Project
from tests.access.doubles import policy_of
from tests.builders import wheel
from tests.web.doubles import ACME, Response, Web, basic, stored_project
from tests.web.pages.browser import Browser, hidden_fields
from tests.web.pages.doubles import Reader
from tests.web.test_app_fallback import Front

BASE = "/project/acme/manage/"
RELEASE = f"{BASE}release/1.0/"
ONE, TWO = "acme-1.0-py3-none-any.whl", "acme-2.0-py3-none-any.whl"


class ManageCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web(policy=policy_of("auth.admins = ann"))
        self.web.publish(ONE, wheel())
        self.web.publish(TWO, wheel(version="2.0"))
        self.browser = Browser(self.web)
        self.browser.log_in()

    def do(self, page: str, act: str, /, **typed: str) -> Response:
        """Fill in the form of a page, and send it."""
        fields = self.browser.fields(page, BASE + act)
        return self.browser.fill(BASE + act, {**fields, **typed})

    def done(self, answer: Response) -> Response:
        """Follow to the page that tells what came of it."""
        self.assertEqual(answer.status, 303, answer.text)
        page = self.browser.get(answer["Location"] or "")
        self.assertEqual(page.status, 200)
        self.assertIn('role="status"', page.text)
        return page

    def refused(self, answer: Response, status: int, sentence: str) -> None:
        """It is the page of the form again, with what is wrong."""
        self.assertEqual(answer.status, status)
        self.assertIn('role="alert"', answer.text)
        self.assertIn(sentence, answer.text)
        self.assertEqual(answer["Cache-Control"], "no-store, private")
        self.assertIn("<form", answer.text)

    @property
    def project(self) -> Project:
        return stored_project(self.web.store)

    @property
    def yanked(self) -> dict[str, str | None]:
        return {file.version: file.yanked for file in self.project.files}


class ActTests(ManageCase):
    def test_yank_and_take_it_back(self) -> None:
        page = self.done(self.do(RELEASE, "yank", reason="broken <on> Windows"))
        self.assertEqual(self.yanked, {"1.0": "broken <on> Windows", "2.0": None})
        self.assertIn("It is yanked now.", page.text)
        self.assertIn("broken &lt;on&gt; Windows", page.text)
        self.done(self.do(RELEASE, "unyank"))
        self.assertEqual(self.yanked, {"1.0": None, "2.0": None})
        self.assertEqual(self.project.history[-1].who, "ann")

    def test_yank_one_file(self) -> None:
        place = f"{BASE}file/{ONE}/"
        self.done(self.do(place, "yank"))
        self.assertEqual(self.yanked["1.0"], "")
        page = self.done(self.do(place, "yank"))
        self.assertIn("It was so already", page.text)

    def test_delete_and_restore_a_release(self) -> None:
        place = f"{BASE}delete?version=1.0"
        self.refused(self.do(place, "delete", reason="why"), 400, "Tick the box")
        self.assertEqual(len(self.project.files), 2)
        self.done(self.do(place, "delete", sure="yes", reason="a secret in it"))
        self.assertEqual([file.filename for file in self.project.files], [TWO])
        self.assertEqual(self.project.history[-1].reason, "a secret in it")
        self.assertIn(ONE, self.browser.get(f"{BASE}deleted").text)
        self.done(self.do(f"{BASE}deleted", "restore", version="1.0"))
        self.assertEqual(len(self.project.files), 2)

    def test_what_was_typed_is_kept(self) -> None:
        place = f"{BASE}delete?version=1.0"
        answer = self.do(place, "delete", reason="kept words")
        self.assertIn('value="kept words"', answer.text)
        self.assertEqual(hidden_fields(answer, f"{BASE}delete")["version"], "1.0")

    def test_delete_a_file(self) -> None:
        self.done(self.do(f"{BASE}delete?file={ONE}", "delete", sure="yes"))
        self.assertEqual([file.filename for file in self.project.files], [TWO])

    def test_delete_the_project_by_its_name(self) -> None:
        place = f"{BASE}delete"
        answer = self.do(place, "delete", name="acm", sure="yes")
        self.refused(answer, 400, "Type the project&#39;s name")
        self.done(self.do(place, "delete", name="acme"))
        self.assertEqual(self.project.files, ())
        self.done(self.do(f"{BASE}deleted", "restore"))
        self.assertEqual(len(self.project.files), 2)

    def test_set_the_status(self) -> None:
        self.done(self.do(BASE, "status", status="deprecated", reason="use rocket"))
        self.assertEqual(self.project.status, "deprecated")
        self.assertEqual(self.project.status_reason, "use rocket")
        page = Reader(self.browser.get(BASE).body)
        (checked,) = (one for one in page.named("input") if "checked" in one)
        self.assertEqual(checked["value"], "deprecated")
        self.refused(self.do(BASE, "status", status="gone"), 400, "status")

    def test_undo(self) -> None:
        self.done(self.do(RELEASE, "yank", reason="an error"))
        place = f"{BASE}history"
        act = self.project.history[-1].id
        self.refused(self.do(place, "undo", act="0" * 16), 404, "no such act")
        self.refused(self.do(place, "undo"), 400, "which act")
        self.done(self.do(place, "undo", act=act))
        self.assertEqual(self.yanked["1.0"], None)

    def test_a_change_meanwhile(self) -> None:
        before = self.browser.fields(RELEASE, f"{BASE}yank")
        self.web.wait(self.web.domain.yank("2.0", "meanwhile"))
        answer = self.browser.fill(f"{BASE}yank", {**before, "reason": "mine"})
        self.refused(answer, 412, "was changed since")
        self.assertEqual(self.yanked, {"1.0": None, "2.0": "meanwhile"})
        self.assertIn('value="mine"', answer.text)
        # The page is of the project as it is now.
        again = hidden_fields(answer, f"{BASE}yank")
        self.done(self.browser.fill(f"{BASE}yank", {**again, "reason": "mine"}))

    def test_what_is_gone_meanwhile(self) -> None:
        before = self.browser.fields(RELEASE, f"{BASE}yank")
        self.web.wait(self.web.domain.delete("1.0"))
        answer = self.browser.fill(f"{BASE}yank", before)
        self.refused(answer, 412, "was changed since")
        self.assertIn("Set the status", answer.text)

    def test_forms_that_no_page_of_ours_made(self) -> None:
        fields = self.browser.fields(RELEASE, f"{BASE}yank")
        for wrong in ({"token": "x"}, {"token": ""}):
            answer = self.browser.fill(f"{BASE}yank", {**fields, **wrong})
            self.assertEqual(answer.status, 403)
            self.assertIn("not made for you", answer.text)
        foreign = {"Origin": "https://evil.example"}
        answer = self.browser.fill(f"{BASE}yank", fields, foreign)
        self.assertEqual(answer.status, 403)
        self.assertIn("another site", answer.text)
        for wrong in ({"state": ""}, {"version": ""}, {"file": ONE}):
            answer = self.browser.fill(f"{BASE}yank", {**fields, **wrong})
            self.refused(answer, 400, "form")
        self.assertEqual(self.yanked, {"1.0": None, "2.0": None})

    def test_a_reason_is_one_short_line(self) -> None:
        for wrong in ("two\nlines", "x" * 1001):
            self.refused(self.do(RELEASE, "yank", reason=wrong), 400, "reason")


class PageTests(ManageCase):
    def test_pages_are_whole_and_nobodys_to_keep(self) -> None:
        self.web.wait(self.web.domain.delete("1.0"))
        release = f"{BASE}release/2.0/"
        for place in (
            BASE,
            release,
            f"{BASE}file/{TWO}/",
            f"{BASE}delete",
            f"{BASE}delete?version=2.0",
            f"{BASE}deleted",
            f"{BASE}history",
            f"{BASE}upstream/",
        ):
            answer = self.browser.get(place)
            self.assertEqual(answer.status, 200, place)
            self.assertEqual(answer["Cache-Control"], "no-store, private")
            page = Reader(answer.body)
            self.assertEqual(page.count("h1"), 1)
            labels = {one["for"] for one in page.named("label") if "for" in one}
            for one in page.named("input"):
                if one.get("type") not in ("hidden", "radio", "checkbox"):
                    self.assertIn(one["id"], labels, place)
            for link in page.links:
                if link.startswith(BASE):
                    self.assertEqual(self.browser.get(link).status, 200, link)

    def test_the_way_without_a_slash(self) -> None:
        answer = self.browser.get("/project/acme/manage")
        self.assertEqual((answer.status, answer["Location"]), (301, "manage/"))

    def test_the_name_in_another_spelling(self) -> None:
        answer = self.browser.get("/project/ACME/manage/")
        self.assertEqual(answer.status, 200)
        self.assertIn(f'action="{BASE}status"', answer.text)

    def test_what_is_not_there(self) -> None:
        for place in (
            "/project/other/manage/",
            "/project/-/manage/",
            f"{BASE}release/3.0/",
            f"{BASE}file/x.whl/",
            f"{BASE}nothing",
        ):
            self.assertEqual(self.browser.get(place).status, 404, place)
        self.assertEqual(self.browser.get(f"{BASE}yank").status, 405)

    def test_long_lists_have_pages(self) -> None:
        for number in range(3, 57):
            name = f"acme-{number}.0-py3-none-any.whl"
            self.web.publish(name, wheel(version=f"{number}.0"))
        first = Reader(self.browser.get(BASE).body)
        self.assertIn(f"{BASE}release/56.0/", first.links)
        self.assertNotIn(f"{BASE}release/1.0/", first.links)
        self.assertIn("?page=2", first.links)
        second = Reader(self.browser.get(f"{BASE}?page=2").body)
        self.assertIn(f"{BASE}release/1.0/", second.links)
        self.assertIn("?page=1", second.links)
        self.assertNotIn("?page=3", second.links)
        page = Reader(self.browser.get(f"{BASE}history").body)
        (older,) = (link for link in page.links if "cursor=" in link)
        query = urlsplit(older).query
        self.assertEqual(self.browser.get(f"{BASE}history?{query}").status, 200)

    def test_only_what_somebody_may_is_shown(self) -> None:
        rights = "pypi.allow_delete_groups = admin"
        policy = policy_of(f"pypi.default_write = authenticated\n{rights}")
        web = Web(self.web.domain, policy=policy)
        browser = Browser(web)
        browser.log_in()
        for place in (BASE, f"{BASE}release/2.0/"):
            page = browser.get(place)
            self.assertEqual(page.status, 200)
            self.assertNotIn(f"{BASE}delete?", page.text)
            self.assertNotIn("…</a>", page.text)
            self.assertNotIn(f"{BASE}upstream/", page.text)
        self.assertEqual(browser.get(f"{BASE}delete").status, 403)
        self.assertEqual(browser.get(f"{BASE}upstream/").status, 403)

    def test_markup_of_others_stays_text(self) -> None:
        reason = "<script>alert(1)</script>"
        self.done(self.do(RELEASE, "yank", reason=reason))
        for place in (BASE, RELEASE, f"{BASE}history", f"{BASE}release/%3Cb%3E/"):
            self.assertNotIn("<script>alert", self.browser.get(place).text)


class UpstreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.front = Front("cache")
        policy = policy_of("auth.admins = ann")
        self.front.web = self.web = Web(self.front.domain, policy=policy)
        self.web.application.projects.fallback = self.front.fallback
        self.browser = Browser(self.web)
        self.browser.log_in()

    def do(self, act: str, /, **typed: str) -> Response:
        fields = self.browser.fields(f"{BASE}upstream/", f"{BASE}upstream/{act}")
        return self.browser.fill(f"{BASE}upstream/{act}", {**fields, **typed})

    def page(self, answer: Response) -> str:
        self.assertEqual(answer.status, 303, answer.text)
        return self.browser.get(answer["Location"] or "").text

    def test_a_project_that_is_not_ours(self) -> None:
        answer = self.browser.get(BASE)
        self.assertEqual((answer.status, answer["Location"]), (302, "upstream/"))

    def test_exempt_a_version(self) -> None:
        typed = {"versions": "==2.5.1", "rule": "malware", "reason": "looked at it"}
        answer = self.do("exempt", until="soon", **typed)
        self.assertEqual(answer.status, 400)
        self.assertIn("Say until when", answer.text)
        self.assertIn('value="looked at it"', answer.text)
        page = self.page(self.do("exempt", until="2026-12-24", **typed))
        self.assertIn("looked at it", page)
        (one,) = self.web.application.access.policy.document.exemptions.values()
        self.assertEqual((one.project, one.versions), (ACME, "==2.5.1"))
        self.page(self.do("end", id=one.id))
        self.assertEqual(self.web.application.access.policy.document.exemptions, {})

    def test_pin_a_publisher(self) -> None:
        line = "github:acme/tool:release.yml"
        self.assertEqual(self.do("pin", publisher="nobody").status, 400)
        self.assertIn(line, self.page(self.do("pin", publisher=line)))
        self.assertIn("Nobody is pinned", self.page(self.do("unpin")))


class ReadOnlyTests(ManageCase):
    def test_nothing_changes(self) -> None:
        fields = self.browser.fields(RELEASE, f"{BASE}yank")
        access = self.web.application.access
        settings = evolve(access.policy.settings, read_only="We move until noon.")
        access.policy = access.policy.with_settings(settings)
        answer = self.browser.fill(f"{BASE}yank", fields)
        self.assertEqual(answer.status, 403)
        self.assertIn("We move until noon.", answer.text)
        self.assertEqual(self.yanked["1.0"], None)

    def test_by_a_password_with_each_request(self) -> None:
        """Browsers that were asked for one by an installer's address."""
        browser = Browser(self.web, headers=basic())
        fields = browser.fields(RELEASE, f"{BASE}yank")
        self.assertEqual(browser.fill(f"{BASE}yank", fields).status, 303)
        fields = browser.fields(RELEASE, f"{BASE}yank")
        browser.cookies.clear()
        self.assertEqual(browser.fill(f"{BASE}yank", fields).status, 403)
