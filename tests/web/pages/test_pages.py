from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.model import Document
from pypicloud_tw.web.pages.pages import packages_frame, packages_section
from tests.web.pages.doubles import NOBODY, TEMPLATES, Reader


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
        frame = packages_frame(TEMPLATES, NOBODY)
        sections = b"".join(map(packages_section, documents))
        return Reader(frame.start + sections + frame.end)

    def test_lists_every_file(self) -> None:
        page = self.page(
            a_project("a", a_file(), a_file(url="a/1e/a-2.whl", filename="a-2.whl")),
            a_project("b", a_file(url="b/0f/b-1.whl", hashes={})),
        )
        hrefs = ["a/0f/a-1.tar.gz#sha256=0f", "a/1e/a-2.whl#sha256=0f", "b/0f/b-1.whl"]
        # Those of the frame are around them.
        self.assertEqual(page.links[2:-1], hrefs)
        self.assertEqual(page.attributes("aria-labelledby"), ["p-a", "p-b"])
        self.assertEqual([f["id"] for f in page.named("h2")], ["p-a", "p-b"])
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
        self.assertEqual(page.attributes("class").count("yanked"), 2)
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
        self.assertEqual(page.count("script"), 1)  # the frame's
        self.assertEqual(page.attributes("data-yanked"), [nasty])
        self.assertIn(nasty, page.text)

    def test_empty(self) -> None:
        self.assertIn("All files", self.page().text)
        self.assertEqual(self.page(a_project("a")).count("li"), 0)
