"""A browser that a test looks at pages with: Debian's Chromium, driven by playwright.

It is watched while it looks: whatever it complains of is a fault of the page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import define, field, frozen

from tests.integration.debian import Program, find

if TYPE_CHECKING:
    # Loaded where a browser is started: the unit tests' run, which has no playwright,
    # loads this module, too.
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import ConsoleMessage, Page, Playwright, Request

#: Names the folder in which pictures of the pages are kept; none are, without it.
PICTURES = "PYPICLOUD_PICTURES"

#: Bytes that a page may have, before it is compressed.
MOST_BYTES = 100_000

#: Milliseconds that anything in the browser may take.
PATIENCE = 20_000

#: Pixels of a picture: a page may be longer than can be looked at.
_TALLEST = 6_000

_OPTIONS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)

_FONTS = """\
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
<dir>{root}/usr/share/fonts</dir>
<cachedir>{root}/var/cache/fontconfig</cachedir>
</fontconfig>
"""

# All that is different in the dark; the rest takes as long again.
_ONLY_COLOURS = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}

# Written to the console, where it is heard like all that is wrong.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", event => console.error(
  `Against the policy: ${event.violatedDirective} ${event.blockedURI}`))
"""

# What reaches beyond the right edge of the screen.
_WIDER = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  const beyond = [...document.querySelectorAll("main *, header *, footer *")].filter(
    one => one.getBoundingClientRect().right > wide && !one.closest(".scroll, pre"));
  return ["page", ...beyond.map(one => `${one.tagName}.${one.className}`)];
}"""

_SIZE = "performance.getEntriesByType('navigation')[0].decodedBodySize"

# What has the focus: what it is, and whether somebody would see that it has it.
_FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  (window.reached ??= new Set()).add(one);
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const text = one.labels?.length ? one.labels[0].textContent : one.textContent;
  return {
    what: `${one.tagName.toLowerCase()} ${(one.ariaLabel || text || "").trim()}`,
    seen: box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0
      && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}"""

# What should have had the focus, and has not. Of radio buttons one has it for all.
_MISSED = """() => [...document.querySelectorAll(
  "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"
)].filter(one => !one.disabled && one.tabIndex >= 0 && one.checkVisibility()
  && (one.type !== "radio" || one.checked) && !window.reached?.has(one)
).map(one => one.outerHTML.slice(0, 200))"""

#: Places of a page that the focus may be at: more than any has.
_MOST_PLACES = 2_000


@frozen
class Look:
    """How somebody looks at pages.

    :ivar width: of the screen, in pixels.
    """

    name: str
    width: int = 1280
    height: int = 900
    dark: bool = False
    javascript: bool = True


LIGHT, DARK = Look("light"), Look("dark", dark=True)
#: 320 pixels are what WCAG 2.2 has pages fit into (success criterion 1.4.10).
PHONE = Look("phone", width=320, height=640)
PLAIN = Look("plain", javascript=False)


def chromium() -> Program:
    """Find it.

    :raises SkipTest: it cannot be had.
    """
    return find("chromium", "chromium", "chromium-common", "fonts-dejavu-core")


# Playwright sets attributes on whose methods hear of events.
@define(eq=False, slots=False)
class Window:
    """One person's window, with cookies of its own.

    :ivar url: of the server; nothing else may be asked for.
    :ivar faults: what was wrong with pages since it was opened.
    """

    page: Page
    look: Look
    url: str
    faults: list[str] = field(factory=list)
    _expected: int = 200

    @classmethod
    def open(cls, browser: Chromium, look: Look, url: str) -> Window:
        """Open it."""
        context = browser.new_context(
            viewport={"width": look.width, "height": look.height},
            color_scheme="dark" if look.dark else "light",
            java_script_enabled=look.javascript,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(PATIENCE)
        context.add_init_script(_TELL_VIOLATIONS)
        window = cls(context.new_page(), look, url)
        window.page.on("console", window._heard)
        window.page.on("pageerror", lambda e: window.fault(f"raised {e}"))
        window.page.on("request", window._asked)
        window.page.on("dialog", lambda dialog: dialog.accept())
        return window

    def fault(self, text: str) -> None:
        """Remember that something is wrong with the page that is shown."""
        shown = urlsplit(self.page.url)
        self.faults.append(f"{self.look.name} {shown.path}?{shown.query}: {text}")

    def visit(self, path: str, status: int = 200) -> Page:
        """Go to a page of the server."""
        self._expected = status
        response = self.page.goto(self.url + path)
        assert response is not None, path
        if response.status != status:
            self.fault(f"answered {response.status}, not {status}")
        return self.page

    def turn(self, look: Look) -> None:
        """Look at the same page in another way; its scripts go on as they are."""
        self.page.set_viewport_size({"width": look.width, "height": look.height})
        self.page.emulate_media(color_scheme="dark" if look.dark else "light")
        self.look = look

    def expect(self, status: int) -> None:
        """Say what the server will answer with next; another answer is no fault."""
        self._expected = status

    @property
    def focused(self) -> str | None:
        """What has the focus: the element's name and what it is called."""
        found = self.page.evaluate(_FOCUSED)
        return None if found is None else str(found["what"])

    def inspect(self) -> None:
        """Look for what is wrong with the page that is shown."""
        for wide in self.page.evaluate(_WIDER):
            self.fault(f"is wider than the screen: {wide}")
        size = self.page.evaluate(_SIZE)
        if size > MOST_BYTES:
            self.fault(f"has {size} bytes")
        if self.look.javascript:
            from axe_playwright_python.sync_playwright import DEFAULT_OPTIONS, Axe

            options = _ONLY_COLOURS if self.look.dark else DEFAULT_OPTIONS
            results = Axe().run(self.page, options=options)
            for found in results.response["violations"]:
                places = "; ".join(_shown(node) for node in found["nodes"][:3])
                self.fault(f"axe finds {found['id']}: {found['help']}: {places}")

    def shows(self, texts: Iterable[str]) -> None:
        """See whether the page that is shown has some texts where people see them."""
        text = _evened(self.page.locator("body").inner_text())
        for wanted in texts:
            if _evened(wanted) not in text:
                self.fault(f"does not show {wanted!r}")

    def tab_through(self) -> list[str]:
        """Go through all of the page by the keyboard; tell what had the focus."""
        passed: list[str] = []
        while len(passed) < _MOST_PLACES:
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(_FOCUSED)
            if focused is None:
                break
            if not focused["seen"]:
                self.fault(f"does not show the focus on {focused['what']}")
            passed.append(focused["what"])
        for missed in self.page.evaluate(_MISSED):
            self.fault(f"does not give the focus to {missed}")
        return passed

    def picture(self, name: str) -> None:
        """Keep a picture of the page that is shown, if that is wanted."""
        if PICTURES not in os.environ:
            return
        folder = Path(os.environ[PICTURES]) / self.look.name
        folder.mkdir(parents=True, exist_ok=True)
        tall = min(
            _TALLEST, self.page.evaluate("document.documentElement.scrollHeight")
        )
        self.page.screenshot(
            path=folder / f"{_file_name(name)}.png",
            full_page=True,
            clip={"x": 0, "y": 0, "width": self.look.width, "height": tall},
        )

    def _heard(self, message: ConsoleMessage) -> None:
        expected = f"responded with a status of {self._expected}"
        if message.type in ("error", "warning") and expected not in message.text:
            self.fault(f"says {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:")):
            self.fault(f"asks another host: {request.url}")


def environment(program: Program) -> dict[str, str | float | bool]:
    """Give the browser's variables; one that was unpacked has its own fonts."""
    if program.root == Path("/"):
        return dict(program.environment)
    configuration = program.root / "fonts.conf"
    configuration.write_text(_FONTS.format(root=program.root))
    return {**program.environment, "FONTCONFIG_FILE": str(configuration)}


@define(eq=False)
class Browser:
    """Chromium, with windows that know nothing of one another."""

    _playwright: Playwright
    _chromium: Chromium
    _windows: list[Window] = field(factory=list, init=False)

    @classmethod
    def start(cls) -> Browser:
        """Start it.

        :raises SkipTest: it cannot be had.
        """
        program = chromium()
        from playwright.sync_api import sync_playwright

        playwright = sync_playwright().start()
        try:
            browser = playwright.chromium.launch(
                executable_path=program.path,
                args=_OPTIONS,
                env=environment(program),
                chromium_sandbox=False,
            )
        except BaseException:
            playwright.stop()
            raise
        return cls(playwright, browser)

    def window(self, url: str, look: Look = LIGHT) -> Window:
        """Open a window on a server."""
        window = Window.open(self._chromium, look, url)
        self._windows.append(window)
        return window

    @property
    def faults(self) -> list[str]:
        """What was wrong in any window."""
        return [fault for window in self._windows for fault in window.faults]

    def stop(self) -> None:
        """End it."""
        try:
            self._chromium.close()
        finally:
            # Also its loop: another test may want to run one.
            self._playwright.stop()


def _shown(node: Mapping[str, object]) -> str:
    """Write what axe says of a part of a page."""
    return f"{node['html']} ({node['failureSummary']})".replace("\n", " ")[:400]


def _evened(text: str) -> str:
    return " ".join(text.split())


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") or "home"
