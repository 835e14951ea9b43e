"""Pages as people see them: in a real browser, on a real server."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from attrs import frozen

from pypicloud_tw.access.hashes import hash_password
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
from tests.integration.page_corpus import write_corpus
from tests.integration.rig import PASSWORD, IntegrationTestCase, Server, basic

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


_LONG = "a-project-" + "with-a-name-longer-than-a-phone-is-wide-" * 3 + "at-least"

ROWS = (
    Row("/", ("Find a Python package", "pip install --index-url", "uv pip install")),
    Row("/", ("Upload to here", "twine upload"), PUBLISHER),
    Row("/nothing", ("404 Not Found", "To the home page"), status=404),
    Row("/project/nothing/", ("404 Not Found",), status=404),
    Row("/advisories", ("Advisories",), BOSS),
    Row("/search", ("Search",)),
    Row("/search?q=acme", ("acme",)),
    Row("/search?q=hostile", ("hostile",)),
    Row("/search?q=%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE", ("Search",)),
    Row("/project/acme/", ("acme 1.2", "pip install", "Files", "by publisher")),
    Row("/project/acme/1.1/", ("Yanked", "It breaks iron.", "acme==1.1")),
    Row("/project/acme/2.0rc1/", ("pre-release", "acme==2.0rc1")),
    Row("/project/acme/releases/", ("Releases of acme", "0.9", "2.0rc1")),
    Row("/project/acme/explain/", ("What clients see of acme",)),
    Row("/project/big/", ("big 1.299.0", "All 300 releases")),
    Row("/project/big/releases/", ("Older releases",)),
    Row("/project/big/explain/", ("What clients see of big",)),
    Row("/project/hostile/", ("Deprecated", "hostile 1.0")),
    Row("/project/hostile/0.9/", ("Yanked",)),
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


@cache
def hashed() -> str:
    return hash_password(PASSWORD)


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
        headers = {} if who is None else {"Authorization": basic(who, PASSWORD)}
        return self.browser.window(self.index.url, look, headers)

    def check(self) -> None:
        """Fail if any page that was looked at had a fault."""
        if self.browser.faults:
            self.fail("\n".join(self.browser.faults))


class WalkTests(BrowserTestCase):
    """Every page, by everybody who sees it, in every way to look at it."""

    def make_server(self, **settings: str) -> Server:
        return super().make_server(**{"storage.dir": str(corpus())}, **settings)

    def rows(self, look: Look) -> Iterator[tuple[Row, Window]]:
        """Go to every page, with a window for each person."""
        windows: dict[str | None, Window] = {}
        for row in ROWS:
            if row.who not in windows:
                windows[row.who] = self.window(look, row.who)
            window = windows[row.who]
            window.visit(row.path, row.status)
            yield row, window

    def walk(self, look: Look) -> None:
        for row, window in self.rows(look):
            window.shows(row.shows)
            window.inspect()
            if window.page.title() == "taken":
                window.fault("ran a script of somebody else")
            window.picture(f"{row.path} {row.who or ''}")
        self.check()

    def test_light(self) -> None:
        self.walk(LIGHT)

    def test_dark(self) -> None:
        self.walk(DARK)

    def test_phone(self) -> None:
        self.walk(PHONE)

    def test_without_javascript(self) -> None:
        self.walk(PLAIN)

    def test_keyboard(self) -> None:
        for _, window in self.rows(LIGHT):
            passed = window.tab_through()
            if passed[:1] != ["a Skip to content"]:
                window.fault(f"begins with {passed[:1]}, not with a way to the content")
        self.check()


test_suite = apart(__name__)
