"""Pages as people see them: in a real browser, on a real server."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from attrs import frozen

from tests.integration import apart
from tests.integration.browser import (
    DARK,
    LIGHT,
    PHONE,
    PLAIN,
    Browser,
    Look,
    Window,
    chromium,
)
from tests.integration.dists import make_wheel
from tests.integration.page_corpus import write_corpus
from tests.integration.rig import PASSWORD, IntegrationTestCase, Server, basic, hashed

READER, PUBLISHER, BOSS = "reader", "publisher", "boss"

SETTINGS = {
    "auth.admins": BOSS,
    "group.publishers": PUBLISHER,
    "pypi.default_read": "everyone",
    "pypi.default_write": "publishers",
}


@frozen
class Row:
    """A page that is looked at.

    :ivar path: where it is.
    :ivar shows: texts that somebody sees there.
    :ivar who: logs in to see it; None: nobody has to.
    """

    path: str
    shows: tuple[str, ...]
    who: str | None = None
    status: int = 200


_WHEEL = "acme-1.2-py3-none-any.whl"
_LONG = "a-project-" + "with-a-name-longer-than-a-phone-is-wide-" * 3 + "at-least"

ROWS = (
    Row("/", ("Find a Python package", "pip install --index-url", "uv pip install")),
    Row("/", ("Upload to here", "twine upload"), PUBLISHER),
    Row("/nothing", ("404 Not Found", "To the home page"), status=404),
    Row("/project/nothing/", ("nothing was not found", "Search for"), status=404),
    Row("/project/acmee/", ("Is one of these meant?", "acme"), status=404),
    Row("/project/acme/9.9/", ("was not found", "is missing"), status=404),
    Row("/project/acme/stats/", ("Downloads of acme", "Day by day")),
    Row("/project/hostile/stats/", ("Downloads of hostile",)),
    Row("/login", ("Log in", "User name", "Password")),
    Row("/logout", ("You are not logged in.",)),
    Row("/logout", ("You are logged in as reader.",), READER),
    Row("/advisories", ("Advisories",), BOSS),
    Row("/upload", ("Upload", "Files"), PUBLISHER),
    Row("/account/", ("What you may do", "Make a token"), PUBLISHER),
    Row("/account/?for=ci", ("Make a token",), PUBLISHER),
    Row("/project/acme/manage/", ("Manage acme", "1.1"), PUBLISHER),
    Row("/project/acme/manage/release/1.1/", ("Yank no more",), PUBLISHER),
    Row(f"/project/acme/manage/file/{_WHEEL}/", ("Yank",), PUBLISHER),
    Row("/project/acme/manage/deleted", ("nothing that could",), PUBLISHER),
    Row("/project/acme/manage/history", ("It breaks iron.",), PUBLISHER),
    Row("/project/acme/manage/delete?version=1.0", ("Delete acme 1.0?",), PUBLISHER),
    Row("/project/big/manage/", ("Manage big", "1.299.0"), PUBLISHER),
    Row("/project/big/manage/delete", ("Delete big?",), PUBLISHER),
    Row("/project/hostile/manage/", ("Manage hostile",), BOSS),
    Row("/project/hostile/manage/release/0.9/", ("Yank no more",), BOSS),
    Row("/project/hostile/manage/history", ("History of hostile",), BOSS),
    Row("/project/nothing/manage/", ("404 Not Found",), BOSS, 404),
    Row("/admin/", ("Administration",), BOSS),
    Row("/admin/users/", ("Users", READER), BOSS),
    Row(f"/admin/users/{READER}", (f"User {READER}",), BOSS),
    Row("/admin/groups/", ("Groups", "publishers"), BOSS),
    Row("/admin/groups/publishers", (PUBLISHER,), BOSS),
    Row("/admin/rights/", ("Rights",), BOSS),
    Row("/admin/explain", ("Who may do what, and why",), BOSS),
    Row(f"/admin/explain?user={READER}&project=acme", ("Allowed",), BOSS),
    Row("/admin/publishers/", ("publishers",), BOSS),
    Row("/admin/tokens/", ("Tokens of all users",), BOSS),
    Row("/admin/exemptions/", ("Exemptions",), BOSS),
    Row("/admin/pins/", ("Pins",), BOSS),
    Row("/admin/audit", ("Audit",), BOSS),
    Row("/admin/prune", ("Retention",), BOSS),
    Row("/admin/prune?plan=1&projects=big&keep_releases=10", ("The plan",), BOSS),
    Row("/admin/server", ("This server", "Store"), BOSS),
    Row("/admin/", ("403 Forbidden",), READER, 403),
    Row("/search", ("Search",)),
    Row("/search?q=acme", ("acme",)),
    Row("/search?q=hostile", ("hostile",)),
    Row("/search?q=%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE", ("Search",)),
    Row("/project/acme/", ("acme 1.2", "pip install", "Files", "by publisher")),
    Row("/project/acme/1.1/", ("Yanked", "It breaks iron.", "acme==1.1")),
    Row("/project/acme/2.0rc1/", ("pre-release", "acme==2.0rc1")),
    Row("/project/acme/releases/", ("Releases of acme", "0.9", "2.0rc1")),
    Row("/project/acme/explain/", ("What clients see of acme",)),
    Row(f"/project/acme/files/{_WHEEL}/", ("acme/__init__.py",)),
    Row("/project/acme/compare/?from=1.0&to=1.2", ("acme",)),
    Row("/project/big/", ("big 1.299.0", "All 300 releases")),
    Row("/project/big/releases/", ("Older releases",)),
    Row("/project/big/explain/", ("What clients see of big",)),
    Row("/project/hostile/", ("Deprecated", "hostile 1.0")),
    Row("/project/hostile/0.9/", ("Yanked",)),
    Row("/project/hostile/files/hostile-1.0-py3-none-any.whl/", ("unbroken",)),
    Row("/project/hostile/compare/?from=0.9&to=1.0", ("hostile",)),
    Row("/project/hostile/releases/", ("Releases of hostile",)),
    Row("/project/hostile/explain/", ("What clients see of hostile",)),
    Row(f"/project/{_LONG}/", (_LONG,)),
)


@cache
def corpus() -> Path:
    """Write the projects once for all tests that only look at them."""
    store = Path(mkdtemp(prefix="pypicloud-pages."))
    atexit.register(rmtree, store, ignore_errors=True)
    write_corpus(store)
    return store


class BrowserTestCase(IntegrationTestCase):
    """A test with a browser, which has nothing to complain of."""

    def setUp(self) -> None:
        super().setUp()
        chromium()  # before anything is started
        self.index = self.make_server()
        self.browser = Browser.start()
        self.addCleanup(self.browser.stop)

    def make_server(self, **settings: str) -> Server:
        """Start a server with a reader, a publisher and an administrator."""
        users = {f"user.{name}": hashed() for name in (READER, PUBLISHER, BOSS)}
        return self.server(settings={**SETTINGS, **users, **settings})

    def window(self, look: Look = LIGHT, who: str | None = None) -> Window:
        """Open a window; somebody logs in there."""
        window = self.browser.window(self.index.url, look)
        if who is not None:
            window.visit("/login")
            self.log_in(window, who)
        return window

    def log_in(self, window: Window, who: str, password: str = PASSWORD) -> None:
        """Fill in the form of the log-in that is shown, and send it."""
        window.page.get_by_label("User name").fill(who)
        window.page.get_by_label("Password").fill(password)
        window.page.get_by_role("button", name="Log in").click()

    def check(self) -> None:
        """Fail if any page that was looked at had a fault."""
        if self.browser.faults:
            self.fail("\n".join(self.browser.faults))


class WalkTests(BrowserTestCase):
    """Every page, by everybody who sees it, in every way to look at it."""

    def make_server(self, **settings: str) -> Server:
        server = super().make_server(**{"storage.dir": str(corpus())}, **settings)
        for file in server.document("acme")["files"]:
            path = "/" + file["url"].removeprefix("../../")
            answer = server.get(path, **{"User-Agent": "pip/25.0 {}"})
            self.assertEqual(answer.status, 200, path)
        return server

    def rows(self, *looks: Look) -> Iterator[Window]:
        """Look at every page in some ways, with a window for each person."""
        windows: dict[str | None, Window] = {}
        for row in ROWS:
            if row.who not in windows:
                windows[row.who] = self.window(looks[0], row.who)
            window = windows[row.who]
            window.visit(row.path, row.status)
            for look in looks:
                window.turn(look)
                window.shows(row.shows)
                window.inspect()
                window.picture(f"{row.path} {row.who or ''}")
            if window.page.title() == "taken":
                window.fault("ran a script of somebody else")
            yield window

    def test_each_look_and_by_keyboard(self) -> None:
        for window in self.rows(PHONE, DARK, LIGHT):
            passed = window.tab_through()
            if passed[:1] != ["a Skip to content"]:
                window.fault(f"begins with {passed[:1]}, not with a way to the content")
        self.check()

    def test_without_javascript(self) -> None:
        for _ in self.rows(PLAIN):
            pass
        self.check()


class LogInTests(BrowserTestCase):
    """Of an index that is closed to all who are not logged in."""

    def make_server(self, **settings: str) -> Server:
        server = super().make_server(
            **{"pypi.default_read": "authenticated"}, **settings
        )
        self.assertEqual(
            server.upload(
                make_wheel(self.folder, "acme", "1.0"),
                authorization=basic(PUBLISHER, PASSWORD),
            ).status,
            200,
        )
        return server

    def test_in_and_out(self) -> None:
        for look in (LIGHT, PHONE, PLAIN):
            window = self.window(look)
            page = window.visit("/project/acme/")
            self.assertEqual(page.url, f"{self.index.url}/login?next=/project/acme/")
            window.shows(["Log in"])
            window.inspect()
            self.log_in(window, READER)
            self.assertEqual(page.url, f"{self.index.url}/project/acme/")
            window.shows(["acme 1.0", "pip install", READER])
            window.visit("/logout")
            page.get_by_role("button", name="Log out").click()
            window.visit("/project/acme/")
            window.shows(["Log in"])
        self.check()

    def test_wrong_password(self) -> None:
        window = self.window()
        window.visit("/login?next=/project/acme/")
        window.expect(403)
        self.log_in(window, READER, "not this")
        alert = window.page.get_by_role("alert")
        self.assertIn("password", alert.inner_text())
        window.inspect()
        window.picture("login refused")
        name = window.page.get_by_label("User name")
        self.assertEqual(name.input_value(), READER)
        self.assertEqual(window.page.get_by_label("Password").input_value(), "")
        window.expect(200)
        self.log_in(window, READER)
        self.assertEqual(window.page.url, f"{self.index.url}/project/acme/")
        self.check()

    def test_by_keyboard(self) -> None:
        """From the log-in to a project, without a mouse."""
        window = self.window()
        page = window.visit("/login")
        self.focus(window, "User name")
        page.keyboard.type(READER)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{self.index.url}/")
        page.keyboard.press("/")
        page.keyboard.type("acme")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?q=acme")
        self.focus(window, "acme")
        page.keyboard.press("Enter")
        page.wait_for_url("**/project/acme/")
        self.check()

    def focus(self, window: Window, name: str) -> None:
        """Press the tab key until something has the focus."""
        for _ in range(50):
            window.page.keyboard.press("Tab")
            if name in (window.focused or "").split(" ", 1)[-1]:
                return
        window.fault(f"gives no focus to {name}")


class FaultTests(BrowserTestCase):
    """What is wrong with a page is seen: none of the other tests passes for nothing."""

    def test_each(self) -> None:
        window = self.window(PHONE)
        for wrong, fault in (
            ("append(Object.assign(new Image(), {src: '//evil.example/'}))", "policy"),
            ("append(Object.assign(new Image(), {src: '/nothing'}))", "404"),
            ("insertAdjacentHTML('beforeend', '<p style=\"color: red\">')", "policy"),
            ("append(document.createElement('select'))", "axe finds select-name"),
            (
                "append('x'.repeat(999)), document.body.style.whiteSpace = 'pre'",
                "wider",
            ),
        ):
            page = window.visit("/")
            page.evaluate(f"document.querySelector('main').{wrong}")
            page.wait_for_load_state("networkidle")
            window.inspect()
            heard = "\n".join(window.faults)
            self.assertIn(fault, heard, wrong)
            window.faults.clear()
        window.visit("/")
        window.shows(["what is not there"])
        self.assertEqual(len(window.faults), 1)
        window.visit("/nothing")
        self.assertIn("answered 404, not 200", "\n".join(window.faults))

    def test_focus(self) -> None:
        window = self.window()
        page = window.visit("/login")
        page.evaluate("document.querySelector('#user').style.outline = 'none'")
        window.tab_through()
        (unseen,) = window.faults
        self.assertIn("does not show the focus on input User name", unseen)


class ScriptTests(BrowserTestCase):
    """What scripts add, where they run."""

    def make_server(self, **settings: str) -> Server:
        return super().make_server(**{"storage.dir": str(corpus())}, **settings)

    def test_copy(self) -> None:
        window = self.window()
        page = window.visit("/project/acme/1.0/")
        page.get_by_role("button", name="Copy the line for pip").click()
        page.get_by_text("Copied", exact=True).wait_for()
        line = page.evaluate("navigator.clipboard.readText()")
        address = f"{self.index.url}/simple/"
        self.assertEqual(line, f"pip install --index-url {address} acme==1.0")
        self.check()

    def test_search_as_typed(self) -> None:
        window = self.window()
        page = window.visit("/")
        page.get_by_role("searchbox").press_sequentially("acm")
        page.get_by_role("link", name="acme").click()
        page.wait_for_url("**/project/acme/")
        window.shows(["acme 1.2"])
        self.check()


test_suite = apart(__name__)
