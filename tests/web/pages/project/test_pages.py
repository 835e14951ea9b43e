from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.web.http.proxies import Proxies
from tests.access.doubles import policy_of
from tests.builders import wheel
from tests.upstream.doubles import file
from tests.web.doubles import Web, basic, stored_project
from tests.web.pages.doubles import Reader
from tests.web.test_app_fallback import NAME, Front

CLOSED = "pypi.default_read = everyone\npackage.acme.user.bob = r"
WHEEL = "acme-1.0-py3-none-any.whl"


class PageCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        self.web.publish(WHEEL, wheel())

    def page(self, path: str, **fields: str) -> Reader:
        answer = self.web.get(path, fields)
        self.assertEqual(answer.status, 200, path)
        return Reader(answer.body)


class ProjectTests(PageCase):
    def test_how_to_install_it_and_what_there_is(self) -> None:
        page = self.page("/project/acme/")
        (found,) = stored_project(self.web.store, "acme").files
        for text in (
            "pip install --index-url http://pypi.example:6543/simple/ "
            "--trusted-host pypi.example acme",
            found.sha256,
            "by ann",
            "Files of 1.0",
            "newest",
        ):
            self.assertIn(text, page.text)
        self.assertNotIn("acme==", page.text)
        link = f"/packages/acme/{found.sha256[:16]}/{WHEEL}"
        self.assertIn(link, page.links)
        self.assertEqual(self.web.get(link).body, wheel())

    def test_a_release_is_pinned(self) -> None:
        self.web.publish("acme-2.0-py3-none-any.whl", wheel("acme", "2.0"))
        page = self.page("/project/acme/1.0/")
        self.assertIn(" acme==1.0", page.text)
        self.assertIn("/project/acme/", page.links)  # the newest
        self.assertEqual(self.web.get("/project/acme/3.0/").status, 404)

    def test_what_is_longer_than_any_version(self) -> None:
        digits = "9" * 5000  # more than int() reads
        for path in (f"{digits}/", f"compare/?from=1.0&to={digits}"):
            answer = self.web.get(f"/project/acme/{path}")
            self.assertEqual(answer.status, 404, path[:20])

    def test_the_address_that_clients_print(self) -> None:
        for path in ("acme", "acme/1.0", "ACME/1.0/", "A.cme/"):
            answer = self.web.get(f"/project/{path}")
            self.assertEqual(answer.status, 301, path)

    def test_a_final_slash_that_is_missing(self) -> None:
        for path in ("acme/releases", f"acme/files/{WHEEL}", "acme/explain?version=1"):
            answer = self.web.get(f"/project/{path}")
            self.assertEqual(answer.status, 301, path)
            path, _, query = path.rpartition("/")[2].partition("?")
            wanted = f"{path}/?{query}" if query else f"{path}/"
            self.assertEqual(answer["Location"], wanted)

    def test_under_a_prefix(self) -> None:
        web = Web(self.web.domain, proxies=Proxies((), "https://x.example/python"))
        page = Reader(web.get("/project/acme/").body)
        self.assertIn("--index-url https://x.example/python/simple/ acme", page.text)
        own = [link for link in page.links if not link.startswith("#")]
        self.assertTrue(all(link.startswith("/python/") for link in own), own)

    def test_it_is_not_sent_twice(self) -> None:
        first = self.web.get("/project/acme/")
        self.assertEqual(first["Cache-Control"], "no-cache, private")
        again = self.web.get("/project/acme/", {"If-None-Match": first["ETag"] or ""})
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertEqual(again["ETag"], first["ETag"])

    def test_with_a_log_in_its_options_are_shown(self) -> None:
        web = Web(self.web.domain, default_read="authenticated")
        answer = web.get("/project/acme/", basic("ann", "secret"))
        self.assertIn("USER:PASSWORD@pypi.example", Reader(answer.body).text)
        answer = web.get("/project/acme/")
        self.assertEqual(answer.status, 303)
        self.assertEqual(answer["Location"], "/login?next=/project/acme/")

    def test_all_releases_in_parts(self) -> None:
        for number in range(20):
            version = f"2.{number}"
            name = f"acme-{version}-py3-none-any.whl"
            self.web.publish(name, wheel("acme", version))
        page = self.page("/project/acme/")
        self.assertIn("All 21 releases", page.text)
        self.assertNotIn("/project/acme/2.1/", page.links)
        whole = self.page("/project/acme/releases/")
        self.assertIn("/project/acme/2.1/", whole.links)
        rest = self.page("/project/acme/releases/?after=20")
        self.assertIn("/project/acme/1.0/", rest.links)
        self.assertNotIn("/project/acme/2.1/", rest.links)
        answer = self.web.get("/project/acme/releases/?after=x")
        self.assertEqual(answer.status, 400)

    def test_what_may_be_meant(self) -> None:
        """Of what is like it, as far as the reader may read it."""
        self.web.describe()
        html = {"Accept": "text/html"}
        answer = self.web.get("/project/acm/", html)
        self.assertEqual(answer.status, 404)
        self.assertIn("/project/acme/", Reader(answer.body).links)
        self.assertIn("acm was not found", Reader(answer.body).text)
        self.assertNotIn("<", self.web.get("/project/acm/").text)
        closed = Web(self.web.domain, policy=policy_of(CLOSED))
        closed.describe()
        answer = closed.get("/project/acm/", html)
        self.assertEqual(answer.status, 404)
        self.assertNotIn("acme", answer.text)

    def test_a_release_that_is_missing(self) -> None:
        """The project is there: nothing else is meant."""
        self.web.publish("acme_1-1.0-py3-none-any.whl", wheel("acme_1"))
        self.web.describe()
        answer = self.web.get("/project/acme/7/", {"Accept": "text/html"})
        self.assertEqual(answer.status, 404)
        page = Reader(answer.body)
        self.assertIn("acme 7 was not found", page.text)
        self.assertIn("/project/acme/explain/?version=7", page.links)
        self.assertIn("/project/acme/releases/", page.links)
        self.assertNotIn("/project/acme-1/", page.links)

    def test_who_published_it(self) -> None:
        facts = "".join(self.page("/project/acme/").text.split())
        self.assertIn("2026-03-01ByannSize", facts)

    def test_a_release_is_compared_with_the_one_before(self) -> None:
        page = self.page("/project/acme/compare/")
        self.assertIn("Give two versions", page.text)
        for version in ("2.0rc1", "2.0"):
            name = f"acme-{version}-py3-none-any.whl"
            self.web.publish(name, wheel("acme", version))
        page = self.page("/project/acme/compare/?to=2.0")
        self.assertIn("Nothing changes from 1.0 to 2.0.", page.text)

    def test_the_way_to_manage_it(self) -> None:
        answer = self.web.get("/project/acme/", basic("ann", "secret"))
        self.assertIn("/project/acme/manage/", Reader(answer.body).links)
        self.assertNotIn("/project/acme/manage/", self.page("/project/acme/").links)

    def test_how_often_it_was_fetched(self) -> None:
        (found,) = stored_project(self.web.store, "acme").files
        agent = {"User-Agent": "uv/0.9.1"}
        link = f"/packages/acme/{found.sha256[:16]}/{WHEEL}"
        self.assertEqual(self.web.get(link, agent).status, 200)
        self.assertIn("1 download in 30 days", self.page("/project/acme/").text)
        page = self.page("/project/acme/stats/?days=7")
        self.assertIn("1 download in 7 days", page.text)
        self.assertIn("uv 0.9", page.text)
        self.assertEqual(page.count("svg"), 2)
        self.assertEqual(page.count("rect"), 7 + 1)
        self.assertEqual(self.web.get("/project/acme/stats/?days=0").status, 400)

    def test_what_needs_it(self) -> None:
        text = b"Metadata-Version: 2.1\nName: tool\nVersion: 1.0\nRequires-Dist: acme\n"
        data = wheel("tool", "1.0", core_metadata=text)
        self.web.publish("tool-1.0-py3-none-any.whl", data)
        self.web.describe()
        page = self.page("/project/acme/")
        self.assertIn("Needed here by", page.text)
        self.assertIn("/project/tool/", page.links)
        self.assertIn("/project/acme/", self.page("/project/tool/").links)

    def test_pre_releases_are_folded(self) -> None:
        for version in ("2.0rc1", "2.0rc2"):
            name = f"acme-{version}-py3-none-any.whl"
            self.web.publish(name, wheel("acme", version))
        page = self.page("/project/acme/")
        self.assertIn("2 pre-releases", page.text)
        self.assertIn("/project/acme/2.0rc2/", page.links)
        self.assertNotIn("pre-releases", self.page("/project/acme/releases/").text)

    def test_pre_releases_alone_are_not(self) -> None:
        web = Web()
        web.publish("acme-2.0rc1-py3-none-any.whl", wheel("acme", "2.0rc1"))
        text = Reader(web.get("/project/acme/").body).text
        self.assertNotIn("1 pre-release", text)
        self.assertIn("2.0rc1", text)

    def test_explained(self) -> None:
        page = self.page("/project/acme/explain/")
        self.assertIn("acme is a project of this index", page.text)
        page = self.page("/project/acme/explain/?version=2.0")
        self.assertIn("There is no release 2.0 of acme.", page.text)


def front(mode: str, **options: Any) -> Front:
    made = Front(mode, **options)
    made.have()
    return made


class UpstreamTests(SynchronousTestCase):
    def test_one_of_the_upstream(self) -> None:
        for mode in ("proxy", "relay", "cache"):
            page = Reader(front(mode).web.get("/project/acme/").body)
            self.assertIn("upstream", page.text)
            self.assertIn("acme-9.0", page.text)
            self.assertNotIn("/feeds/project/", "".join(page.links))

    def test_where_clients_are_sent_elsewhere(self) -> None:
        answer = front("redirect").web.get("/project/acme/")
        self.assertEqual(answer.status, 404)
        self.assertIn("installers are sent to", answer.text)

    def test_ours_and_the_upstream_s(self) -> None:
        both = front("relay", merge=frozenset({"acme"}))
        both.web.publish(WHEEL, wheel())
        page = Reader(both.web.get("/project/acme/").body)
        self.assertIn("this index and the upstream", page.text)
        self.assertIn("/project/acme/1.0/", page.links)
        self.assertIn("/project/acme/9.0/", page.links)

    def test_one_that_writes_markup(self) -> None:
        nasty = "<script>alert(1)</script>\u202e\x1b[0m"
        hostile = front("proxy")
        told = {**file(NAME), "yanked": nasty, "requires-python": nasty}
        status = {"status": "archived", "reason": nasty}
        hostile.have(told, **{"project-status": status})
        page = Reader(hostile.web.get("/project/acme/").body)
        self.assertEqual(page.count("script"), 1)
        self.assertIn("<script>alert(1)</script>\ufffd\ufffd[0m", page.text)


MARK = "<script>alert(1)</script>&\"'\u202e\x1b[0m"


def hostile_metadata() -> bytes:
    """Core metadata with markup in every field, and as much of it as is taken."""
    fields = [
        "Metadata-Version: 2.1",
        "Name: acme",
        "Version: 1.0",
        f"Summary: {MARK * 12}",
        f"Author: {MARK * 20}",
        "Description-Content-Type: text/markdown",
        f"Keywords: {','.join(f'{MARK}{number}' for number in range(100))}",
        *(
            f"Requires-Dist: dep-{number}[a,b] (>=1.0,!=1.5); python_version < '3.1'"
            for number in range(200)
        ),
        *(f"Project-URL: {MARK}{n}, https://x.example/{'x' * 1500}" for n in range(60)),
        f"Project-URL: {MARK}, javascript:alert(1)",
        *(f"Classifier: Private :: {MARK * 3} {number}" for number in range(100)),
    ]
    item = f"* {MARK} [link](javascript:alert(1)) ![x](https://x.example/i.png)\n"
    return "\n".join([*fields, "", item * 8000]).encode()


class HostileTests(SynchronousTestCase):
    """A project that writes markup everywhere, as much as is taken."""

    def setUp(self) -> None:
        self.web = Web()
        data = wheel(core_metadata=hostile_metadata())
        self.web.publish(WHEEL, data)
        for number in range(30):
            tags = f"cp3{number}-cp3{number}-manylinux_2_17_x86_64.manylinux2014_x86_64"
            self.web.publish(f"acme-1.0-{tags}.whl", data)
        self.web.describe()

    def test_no_page_runs_or_loads_any_of_it_or_is_large(self) -> None:
        for path in (
            "/",
            "/search?q=acme",
            "/project/acme/",
            "/project/acme/1.0/",
            "/project/acme/releases/",
            "/project/acme/explain/",
            "/project/acme/stats/",
            "/project/acme/compare/?from=1.0&to=1",
            f"/project/acme/files/{WHEEL}/",
            f"/project/acme/files/{WHEEL}/?path=acme-1.0.dist-info/METADATA",
        ):
            answer = self.web.get(path)
            self.assertEqual(answer.status, 200, path)
            self.assertLess(len(answer.body), 100_000, path)
            page = Reader(answer.body)
            self.assertEqual(page.count("script"), 1, path)
            self.assertEqual(page.count("img"), 0, path)
            for link in page.links:
                self.assertFalse(link.lower().startswith("javascript:"), path)
            for unseen in ("\u202e", "\x1b"):
                self.assertNotIn(unseen, answer.text, path)
            for _, attributes in page.elements:
                self.assertFalse({"style", "onclick", "onerror"} & set(attributes))
