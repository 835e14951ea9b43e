from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.principal import Principal
from pypicloud_tw.web.pages.pages import error_page
from pypicloud_tw.web.pages.setups import setup_for
from pypicloud_tw.web.pages.templating import POLICY
from pypicloud_tw.web.pages.visitor import Visitor
from tests.access.doubles import policy_of
from tests.builders import wheel
from tests.web.doubles import Web, stored_project
from tests.web.pages.doubles import BASE, NOBODY, TEMPLATES, Reader

CLOSED = "pypi.default_read = everyone\npackage.acme.user.bob = r"


def home(base: str = BASE, *, open_to_read: bool = True, **changes: Any) -> Reader:
    visitor = Visitor(base, "/py/", uploads="log-in")
    if not open_to_read:
        visitor = evolve(visitor, reading="log-in")
    visitor = evolve(visitor, **changes)
    facts = {"newest": (), "projects": 0, "fetched": None}
    page = TEMPLATES.render("home", visitor, setup=setup_for(visitor), **facts)
    return Reader(page)


class HomeTests(SynchronousTestCase):
    def test_tells_version_and_addresses(self) -> None:
        page = home()
        for text in (
            "pypicloud-tw 1.2.3",
            f"pip install --index-url {BASE}/simple/ PROJECT",
            f"index-url = {BASE}/simple/",
            f"uv pip install --default-index {BASE}/simple/ PROJECT",
            f"poetry source add --priority=primary private {BASE}/simple/",
            f"twine upload --repository-url {BASE}/legacy/ dist/*",
            f"repository = {BASE}/legacy/\nusername = USER",
            f"uv publish --publish-url {BASE}/legacy/ dist/*",
            f'url = "{BASE}/simple/"\npublish-url = "{BASE}/legacy/"\n',
            "Anyone may read this index; uploading takes a log-in.",
        ):
            self.assertIn(text, page.text)
        links = ["#main", "/py/", "/py/upload", "/py/upload"]
        links += ["/py/account/?for=ci#new", "/py/packages/"]
        links += ["/py/feeds/releases.atom", "/py/simple/"]
        self.assertEqual(page.links, links)

    def test_before_there_is_a_user(self) -> None:
        """Who looks for how to upload is told why that is not there, once."""
        told = "Nobody may upload yet: the server's log says how to add a user."
        self.assertIn(told, home(uploads=None).text)
        self.assertNotIn(told, home().text)
        self.assertNotIn(told, home(uploads=None, read_only="Moving.").text)
        reader = Principal("bob")
        self.assertNotIn(told, home(uploads=None, principal=reader).text)

    def test_closed_to_readers(self) -> None:
        page = home(open_to_read=False)
        url = "https://USER:PASSWORD@index.example/py/simple/"
        self.assertIn(f"index-url = {url}", page.text)
        self.assertIn("are needed to read this index", page.text)
        self.assertIn("poetry config http-basic.private USER PASSWORD", page.text)
        self.assertNotIn("Anyone", page.text)
        self.assertNotIn("PASSWORD", "".join(page.attributes("href")))

    def test_without_tls_pip_must_be_told(self) -> None:
        page = home("http://index.example:8080")
        self.assertIn("--trusted-host index.example PROJECT", page.text)
        self.assertIn("/simple/\ntrusted-host = index.example", page.text)
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
        self.assertEqual(page.count("script"), 1)  # our own
        self.assertIn("<script>alert('1')</script>&amp;", page.text)

    def test_nobody_is_told_how_to_upload_who_cannot(self) -> None:
        for changes in ({"uploads": None}, {"read_only": "It moves."}):
            page = home(**changes)
            for text in ("twine", "uv publish", "Upload"):
                self.assertNotIn(text, page.text)
        self.assertIn("It moves.", home(read_only="It moves.").text)

    def test_the_frame_fits_who_looks(self) -> None:
        self.assertNotIn("Administration", home().text)
        self.assertIn("Administration", home(manages=True).text)
        ann = home(principal=Principal("ann"), can_log_in=True)
        self.assertIn("/py/account/", ann.links)
        self.assertIn("ann", ann.text)
        self.assertNotIn("/py/login", ann.links)
        self.assertIn("/py/login", home(can_log_in=True).links)

    def test_accessible(self) -> None:
        page = home()
        self.assertEqual(page.elements[0], ("html", {"lang": "en"}))
        for tag in ("title", "main", "h1", "footer", "header", "nav"):
            self.assertEqual(page.count(tag), 1, tag)
        labelled = {found["for"] for found in page.named("label")}
        for field in page.named("input"):
            self.assertIn(field["id"], labelled)

    def test_loads_what_this_server_has_and_nothing_else(self) -> None:
        error = Reader(error_page(TEMPLATES, 404, "No.", prefix="/py"))
        for page in (home(), error):
            loaded = [*page.attributes("src")]
            loaded += [found["href"] or "" for found in page.named("link")]
            for address in loaded:
                self.assertTrue(
                    address.startswith(("/py/static/", "/py/feeds/")), address
                )
            for tag in ("img", "iframe", "style"):
                self.assertEqual(page.count(tag), 0, tag)
            for _, attributes in page.elements:
                self.assertFalse({"style", "onclick"} & set(attributes))
        self.assertIn(b"default-src 'none'", POLICY)
        self.assertNotIn(b"unsafe", POLICY)


class ListsTests(SynchronousTestCase):
    """What is new and what is fetched, of what the reader may read."""

    def test_lists(self) -> None:
        web = Web()
        name = "acme-1.0-py3-none-any.whl"
        web.publish(name, wheel())
        web.describe()
        (found,) = stored_project(web.store, "acme").files
        web.get(f"/packages/acme/{found.sha256[:16]}/{name}")
        page = Reader(web.get("/").body)
        for text in (
            "New releases",
            "Fetched most in 30 days",
            "1 project of this index; 1 download in 30 days.",
        ):
            self.assertIn(text, page.text)
        self.assertEqual(page.links.count("/project/acme/"), 2)
        closed = Web(web.domain, policy=policy_of(CLOSED))
        closed.describe()
        page = Reader(closed.get("/").body)
        self.assertNotIn("acme", page.text.replace("USER", ""))


class ErrorTests(SynchronousTestCase):
    def error(self, status: int, message: str, prefix: str = "") -> Reader:
        return Reader(error_page(TEMPLATES, status, message, prefix=prefix))

    def test_shows_the_sentence_escaped(self) -> None:
        page = self.error(404, "No <b>such</b> & 'thing'.")
        self.assertIn("404 Not Found", page.text)
        self.assertIn("No <b>such</b> & 'thing'.", page.text)
        self.assertEqual(page.count("b"), 0)

    def test_does_not_tell_the_version(self) -> None:
        self.assertNotIn("1.2.3", self.error(401, "Log in.").text)

    def test_shows_the_way_home(self) -> None:
        for prefix in ("", "/python", "/a/b"):
            links = self.error(404, "No.", prefix).links
            wanted = ["#main", f"{prefix}/", f"{prefix}/", f"{prefix}/simple/"]
            self.assertEqual(links, wanted)

    def test_status_without_a_name(self) -> None:
        self.assertIn("599 Error", self.error(599, "Odd.").text)


class TemplatesTests(SynchronousTestCase):
    def test_every_template_can_be_compiled(self) -> None:
        TEMPLATES.load()

    def test_what_cannot_be_seen_is_shown(self) -> None:
        text = "a\x00b\u202ec\u2066d\x1b[31m\u200fe"
        page = TEMPLATES.render(
            "error", NOBODY, status=1, phrase=text, message=f"{text}<i>"
        ).decode()
        shown = "a\ufffdb\ufffdc\ufffdd\ufffd[31m\ufffde"
        self.assertIn(f"<h1>1 {shown}</h1>", page)
        self.assertIn(f"<p>{shown}&lt;i&gt;</p>", page)
