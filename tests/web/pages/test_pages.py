from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.model import Document
from pypicloud_tw.web.pages.pages import (
    POLICY,
    Pages,
    Reading,
    Uploads,
    packages_section,
)

BASE = "https://index.example/py"
VOID = {"meta", "br", "link"}


class Reader(HTMLParser):
    """Reads a page, failing where its elements are not closed in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, name: str) -> list[str]:
        return [a[name] or "" for _, a in self.elements if name in a]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def home(
    base: str = BASE, *, open_to_read: bool = True, uploads: Uploads = "log-in"
) -> Reader:
    reading: Reading = "open" if open_to_read else "log-in"
    return Reader(Pages("1.2.3").home(base, reading=reading, uploads=uploads))


class HomeTests(SynchronousTestCase):
    def test_tells_version_and_addresses(self) -> None:
        page = home(f"{BASE}/")
        for text in (
            "pypicloud-tw 1.2.3",
            f"pip install --index-url {BASE}/simple/ PROJECT\n",
            f"index-url = {BASE}/simple/\n",
            f"uv pip install --default-index {BASE}/simple/ PROJECT\n",
            f"twine upload --repository-url {BASE}/legacy/ dist/*\n",
            f"repository = {BASE}/legacy/\nusername = USER\n",
            f"uv publish --publish-url {BASE}/legacy/ dist/*\n",
            f'url = "{BASE}/simple/"\npublish-url = "{BASE}/legacy/"\n',
            "Anyone may read it",
        ):
            self.assertIn(text, page.text)
        feed = f"{BASE}/feeds/releases.atom"
        links = [feed, f"{BASE}/simple/", f"{BASE}/packages/", feed]
        self.assertEqual(page.attributes("href"), links)

    def test_closed_to_readers(self) -> None:
        page = home(open_to_read=False)
        url = "https://USER:PASSWORD@index.example/py/simple/"
        self.assertIn(f"index-url = {url}\n", page.text)
        self.assertIn("are needed to read it", page.text)
        self.assertNotIn("Anyone", page.text)
        self.assertNotIn("PASSWORD", "".join(page.attributes("href")))

    def test_without_tls_pip_must_be_told(self) -> None:
        page = home("http://index.example:8080")
        self.assertIn("--trusted-host index.example PROJECT", page.text)
        self.assertIn("/simple/\ntrusted-host = index.example\n", page.text)
        for base in (
            "http://localhost:6543",
            "http://127.0.0.1:6543",
            "http://[::1]:6543",
            "https://index.example",
            "http://[broken",
        ):
            self.assertNotIn("trusted-host", home(base).text, base)

    def test_hostile_address(self) -> None:
        base = "http://x\"><script>alert('1')</script>&amp;/\ud800"
        page = home(base, open_to_read=False)
        self.assertEqual(page.count("script"), 0)
        self.assertIn("<script>alert('1')</script>&amp;", page.text)

    def test_accessible(self) -> None:
        page = home()
        self.assertEqual(page.elements[0], ("html", {"lang": "en"}))
        for tag in ("title", "main", "h1", "footer"):
            self.assertEqual(page.count(tag), 1, tag)

    def test_loads_nothing(self) -> None:
        for page in (home(), Reader(Pages("1").error(404, "No."))):
            self.assertEqual(page.attributes("src"), [])
            for tag in ("script", "img", "iframe", "form"):
                self.assertEqual(page.count(tag), 0, tag)
            # A feed, which browsers do not load by themselves.
            self.assertLessEqual(set(page.attributes("rel")), {"alternate"})
            self.assertNotIn("url(", page.text)
            self.assertNotIn("@import", page.text)
        self.assertIn(b"default-src 'none'", POLICY)


class ErrorTests(SynchronousTestCase):
    def test_shows_the_sentence_escaped(self) -> None:
        page = Reader(Pages("1.2.3").error(404, "No <b>such</b> & 'thing'."))
        self.assertIn("404 Not Found", page.text)
        self.assertIn("No <b>such</b> & 'thing'.", page.text)
        self.assertEqual(page.count("b"), 0)

    def test_does_not_tell_the_version(self) -> None:
        self.assertNotIn(b"1.2.3", Pages("1.2.3").error(401, "Log in."))

    def test_shows_the_way_home(self) -> None:
        for prefix in ("", "/python", "/a/b"):
            page = Reader(Pages("1").error(404, "No.", prefix=prefix))
            links = [f"{prefix}/", f"{prefix}/simple/"]
            self.assertEqual(page.attributes("href"), links)

    def test_status_without_a_name(self) -> None:
        self.assertIn(b"<h1>599 Error</h1>", Pages("1").error(599, "Odd."))


def a_project(name: str, *files: Document) -> Document:
    return {"name": name, "files": list(files)}


def a_file(**changes: Any) -> Document:
    file: Document = {
        "filename": "a-1.tar.gz",
        "url": "a/0f/a-1.tar.gz",
        "hashes": {"sha256": "0f"},
        "size": 10,
    }
    return file | changes


class PackagesTests(SynchronousTestCase):
    def page(self, *documents: Document) -> Reader:
        frame = Pages("1.2.3").packages()
        sections = b"".join(map(packages_section, documents))
        return Reader(frame.start + sections + frame.end)

    def test_lists_every_file(self) -> None:
        page = self.page(
            a_project("a", a_file(), a_file(url="a/1e/a-2.whl", filename="a-2.whl")),
            a_project("b", a_file(url="b/0f/b-1.whl", hashes={})),
        )
        hrefs = ["../", "../simple/"]
        hrefs += ["a/0f/a-1.tar.gz#sha256=0f", "a/1e/a-2.whl#sha256=0f", "b/0f/b-1.whl"]
        self.assertEqual(page.attributes("href"), hrefs)
        self.assertEqual(page.attributes("id"), ["p-a", "p-b"])
        self.assertEqual(page.attributes("aria-labelledby"), ["p-a", "p-b"])
        self.assertEqual(page.count("li"), 3)

    def test_links_say_all_that_installers_need(self) -> None:
        # pip --find-links reads this page.
        file = a_file(**{"yanked": "bad", "requires-python": ">=3.9"})
        page = self.page(a_project("a", file))
        self.assertEqual(page.attributes("data-yanked"), ["bad"])
        self.assertEqual(page.attributes("data-requires-python"), [">=3.9"])

    def test_yanked(self) -> None:
        """Marked for people, too: by a class and a word behind the link."""
        files = a_file(yanked="bad <b>"), a_file(yanked=True), a_file()
        page = self.page(a_project("a", *files))
        self.assertEqual(page.attributes("class"), ["yanked", "yanked"])
        self.assertIn("a-1.tar.gz yanked: bad <b> 10 B\n", page.text)
        self.assertIn("a-1.tar.gz yanked 10 B\n", page.text)
        self.assertIn("a-1.tar.gz 10 B\n", page.text)

    def test_sizes(self) -> None:
        for size, text in [
            (0, "a-1.tar.gz 0 B\n"),
            (999, "a-1.tar.gz 999 B\n"),
            (1000, "a-1.tar.gz 1.0 kB\n"),
            (999_949, "a-1.tar.gz 999.9 kB\n"),
            (999_999, "a-1.tar.gz 1.0 MB\n"),
            (5 * 10**9, "a-1.tar.gz 5.0 GB\n"),
            (None, "a-1.tar.gz\n"),
            (True, "a-1.tar.gz\n"),
            ("<b>", "a-1.tar.gz\n"),
        ]:
            self.assertIn(text, self.page(a_project("a", a_file(size=size))).text)

    def test_hostile_names(self) -> None:
        nasty = "\"'><script>&amp;\0"
        file = a_file(filename=nasty, url=nasty, yanked=nasty)
        page = self.page(a_project(nasty, file))
        self.assertEqual(page.count("script"), 0)
        self.assertEqual(page.attributes("data-yanked"), [nasty])
        self.assertIn(nasty, page.text)

    def test_empty(self) -> None:
        self.assertIn("All files", self.page().text)
        self.assertEqual(self.page(a_project("a")).count("li"), 0)
