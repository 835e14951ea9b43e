"""What people do by pages: publish, yank, delete, make tokens, administer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration import apart
from tests.integration.browser import LIGHT, PHONE, PLAIN, Look, Window
from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import PASSWORD, basic, wait_until
from tests.integration.test_pages import (
    BOSS,
    PUBLISHER,
    READER,
    BrowserTestCase,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page


class FlowTestCase(BrowserTestCase):
    """A test in which a window is looked at after each step."""

    def press(self, window: Window, name: str) -> Page:
        """Press a button, and look at the page that comes of it."""
        page = window.page
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_load_state()
        return self.look(window)

    def follow(self, window: Window, name: str) -> Page:
        """Follow a link of the page's main part, and look at where it leads."""
        page = window.page
        main = page.get_by_role("main")
        main.get_by_role("link", name=name, exact=True).first.click()
        page.wait_for_load_state()
        return self.look(window)

    def look(self, window: Window) -> Page:
        window.inspect()
        return window.page

    def publish(self, name: str, version: str) -> None:
        file = make_wheel(self.folder, name, version)
        answer = self.index.upload(file, authorization=basic(PUBLISHER, PASSWORD))
        self.assertEqual(answer.status, 200, answer.text)

    def versions(self, project: str) -> list[str]:
        versions: list[str] = self.index.document(project)["versions"]
        return versions


class PublisherTests(FlowTestCase):
    """With what they published themselves."""

    def upload(self, look: Look, *files: Path) -> Window:
        window = self.window(look, PUBLISHER)
        window.visit("/")
        page = window.page
        page.get_by_role("navigation").get_by_role("link", name="Upload").click()
        page.get_by_label("Files").set_input_files(files)
        page.get_by_role("button", name="Upload").click()
        page.get_by_role("heading", name="What came of it").wait_for()
        self.look(window)
        return window

    def test_upload(self) -> None:
        wheel = make_wheel(self.folder, "acme", "1.0")
        sdist = make_sdist(self.folder, "acme", "1.0")
        window = self.upload(LIGHT, wheel, sdist)
        window.shows([wheel.name, sdist.name, "published"])
        window.picture("uploaded")
        self.assertEqual(len(self.index.document("acme")["files"]), 2)
        self.follow(window, wheel.name)
        window.shows(["acme 1.0", "acme==1.0", "by publisher"])
        self.upload(PLAIN, wheel).shows(["was here"])
        self.upload(PHONE, make_wheel(self.folder, "acme", "1.1")).shows(["1.1"])
        self.assertEqual(self.versions("acme"), ["1.0", "1.1"])
        self.check()

    def test_refused_upload(self) -> None:
        wrong = self.folder / "acme-1.0-py3-none-any.whl"
        wrong.write_bytes(b"no zip at all")
        for look in (LIGHT, PLAIN):
            window = self.window(look, PUBLISHER)
            page = window.visit("/upload")
            window.expect(400)
            page.get_by_label("Files").set_input_files([wrong])
            page.get_by_role("button", name="Upload").click()
            page.get_by_text("refused", exact=True).wait_for()
            self.look(window)
            window.picture("upload refused")
        self.check()

    def test_yank(self) -> None:
        for number, look in enumerate((LIGHT, PHONE, PLAIN)):
            name = f"acme{number}"
            self.publish(name, "1.0")
            self.publish(name, "1.1")
            window = self.window(look, PUBLISHER)
            window.visit(f"/project/{name}/")
            self.follow(window, "Manage this project")
            page = self.follow(window, "1.1")
            page.get_by_label("Reason").fill("It breaks <iron>.")
            self.press(window, "Yank")
            window.shows(["It is yanked", "It breaks <iron>."])
            window.picture("yanked")
            (old, new) = self.index.document(name)["files"]
            self.assertNotIn("yanked", old)
            self.assertEqual(new["yanked"], "It breaks <iron>.")
            window.visit(f"/project/{name}/")
            window.shows([f"{name} 1.0", "yanked: It breaks <iron>."])
            window.visit(f"/project/{name}/manage/release/1.1/")
            self.press(window, "Yank no more")
            (_, new) = self.index.document(name)["files"]
            self.assertNotIn("yanked", new)
        self.check()

    def test_delete_and_restore(self) -> None:
        self.publish("acme", "1.0")
        self.publish("acme", "1.1")
        window = self.window(LIGHT, PUBLISHER)
        window.visit("/project/acme/manage/release/1.1/")
        page = self.follow(window, "Delete this release…")
        window.picture("delete")
        page.get_by_label("I am sure.").check()
        self.press(window, "Delete")
        window.shows(["It is deleted"])
        self.assertEqual(self.versions("acme"), ["1.0"])
        self.follow(window, "Deleted")
        window.picture("deleted")
        self.press(window, "Restore release 1.1")
        window.shows(["It is restored"])
        self.assertEqual(self.versions("acme"), ["1.0", "1.1"])
        self.check()

    def test_status_and_undo(self) -> None:
        self.publish("acme", "1.0")
        window = self.window(LIGHT, PUBLISHER)
        page = window.visit("/project/acme/manage/")
        page.get_by_label("quarantined:").check()
        page.get_by_label("Reason").fill("A look at it first.")
        self.press(window, "Set the status")
        window.shows(["The status is set.", "A look at it first."])
        self.assertEqual(self.index.document("acme")["files"], [])
        self.follow(window, "History")
        window.picture("history")
        page.get_by_role("button", name="Undo").first.click()
        page.wait_for_load_state()
        self.look(window)
        window.shows(["The act is undone."])
        self.assertEqual(len(self.index.document("acme")["files"]), 1)
        self.check()

    def test_token(self) -> None:
        window = self.window(LIGHT, PUBLISHER)
        page = window.visit("/account/")
        self.follow(window, "for CI that uploads")
        page.get_by_label("Description").fill("the build of acme")
        self.press(window, "Make the token")
        window.shows(["It is shown this once", "TWINE_PASSWORD="])
        token = page.locator("main pre").first.inner_text().strip()
        wheel = make_wheel(self.folder, "acme", "1.0")
        by_token = basic("__token__", token)
        self.assertEqual(self.index.upload(wheel, authorization=by_token).status, 200)
        self.follow(window, "I have it")
        window.shows(["the build of acme"])
        self.assertNotIn(token, page.content())
        window.picture("account with a token")
        self.press(window, "Revoke the build of acme")
        window.shows(["The token is revoked", "revoked"])
        wheel = make_wheel(self.folder, "acme", "1.1")
        self.assertEqual(self.index.upload(wheel, authorization=by_token).status, 401)
        self.check()


class ReaderTests(FlowTestCase):
    def test_what_they_may_not_is_not_offered(self) -> None:
        self.publish("acme", "1.0")
        window = self.window(LIGHT, READER)
        page = window.visit("/project/acme/")
        self.assertEqual(page.get_by_role("link", name="Manage").count(), 0)
        for name in ("Upload", "Administration"):
            self.assertEqual(page.get_by_role("link", name=name).count(), 0, name)
        for path in ("/project/acme/manage/", "/admin/", "/admin/users/", "/upload"):
            window.visit(path, 403)
            window.shows(["403 Forbidden"])
        self.check()


class AdministratorTests(FlowTestCase):
    def test_user_group_and_right(self) -> None:
        self.publish("acme", "1.0")
        window = self.window(LIGHT, BOSS)
        page = window.visit("/admin/")
        self.follow(window, "Users")
        page.get_by_label("Name", exact=True).fill("bob")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        self.press(window, "Add")
        window.shows(["User bob", "The user is added."])
        page = window.visit("/admin/groups/")
        page.get_by_label("Name", exact=True).fill("testers")
        page.get_by_label("Members").fill("bob\nreader")
        self.press(window, "Add")
        page = window.visit("/admin/rights/")
        page.get_by_label("Project, or a pattern").fill("acme")
        page.get_by_label("To a").select_option("group")
        page.get_by_label("Called").fill("testers")
        page.get_by_label("read").check()
        page.get_by_label("manage").check()
        self.press(window, "Give")
        window.picture("right")
        window.visit("/admin/explain?user=bob&project=acme")
        window.shows(["What bob may do with acme", "testers"])
        window.picture("explained")

        bob = self.window(LIGHT, "bob")
        bob.visit("/project/acme/manage/")
        bob.shows(["Manage acme"])

        page = window.visit("/admin/users/bob")
        page.get_by_label("Yes, remove bob").check()
        self.press(window, "Remove the user")
        window.shows(["The user is removed"])
        # A session that somebody has ends with the user.
        wait_until(lambda: self.leads_to_log_in(bob), lambda: self.index.log)
        self.check()

    def leads_to_log_in(self, window: Window) -> bool:
        return "/login" in window.visit("/account/").url

    def test_prune(self) -> None:
        for number in range(4):
            self.publish("acme", f"1.{number}")
        window = self.window(LIGHT, BOSS)
        page = window.visit("/admin/prune")
        page.get_by_label("Projects or patterns").fill("acme")
        page.get_by_text("Keep other releases than the ini says").click()
        page.get_by_label("Final releases that are kept").fill("2")
        self.press(window, "Make a plan")
        window.shows(["Releases that would go", "1.0, 1.1"])
        window.picture("plan")
        page.get_by_label("Yes, delete these releases").check()
        self.press(window, "Delete what is ticked")
        window.picture("pruned")
        self.assertEqual(self.versions("acme"), ["1.2", "1.3"])
        window.visit("/admin/audit?user=boss")
        window.shows(["boss"])
        window.picture("audit of boss")
        self.check()


test_suite = apart(__name__)
