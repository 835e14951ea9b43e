"""Feeds of new releases, and the addresses that lead to pages and files."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.marker import KEY
from pypicloud_tw.web.feeds import MOST, Release, feed
from tests.access.doubles import policy_of
from tests.builders import metadata, sdist, wheel
from tests.web.doubles import USERS, Response, Web, basic, started

ATOM = {"a": "http://www.w3.org/2005/Atom"}
ALL = "/feeds/releases.atom"


class FeedCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        for version in ("1.0", "1.1"):
            self.publish("acme", version)
        self.publish("beta", "2.0")

    def publish(self, name: str, version: str) -> None:
        self.web.domain.clock.advance(10)
        filename = f"{name}-{version}-py3-none-any.whl"
        self.web.publish(filename, wheel(name, version))

    def read(self, path: str = ALL, **headers: str) -> ET.Element:
        response = self.web.get(path, headers)
        self.assertEqual(response.status, 200, response.text)
        self.assertEqual(
            response["Content-Type"], "application/atom+xml; charset=utf-8"
        )
        return ET.fromstring(response.body)

    def titles(self, path: str = ALL) -> list[str]:
        found = self.read(path).findall("a:entry/a:title", ATOM)
        return [title.text or "" for title in found]


class FeedTests(FeedCase):
    def test_all(self) -> None:
        self.assertEqual(self.titles(), ["beta 2.0", "acme 1.1", "acme 1.0"])

    def test_one_project(self) -> None:
        path = "/feeds/project/acme.atom"
        self.assertEqual(self.titles(path), ["acme 1.1", "acme 1.0"])
        self.assertEqual(self.web.get("/feeds/project/gamma.atom").status, 404)

    def test_what_rfc_4287_wants(self) -> None:
        root = self.read()
        self.assertEqual(
            root.findtext("a:id", None, ATOM), f"http://pypi.example:6543{ALL}"
        )
        self.assertEqual(root.findtext("a:author/a:name", None, ATOM), "pypicloud")
        for entry in root.findall("a:entry", ATOM):
            for name in ("id", "title", "updated", "published", "summary"):
                self.assertTrue(entry.findtext(f"a:{name}", None, ATOM), name)
        first = root.find("a:entry", ATOM)
        assert first is not None
        updated = first.findtext("a:updated", None, ATOM)
        self.assertEqual(root.findtext("a:updated", None, ATOM), updated)
        link = first.find("a:link", ATOM)
        assert link is not None
        self.assertTrue(link.get("href", "").endswith("/simple/beta/"))

    def test_ids_stay(self) -> None:
        before = [e.text for e in self.read().findall("a:entry/a:id", ATOM)]
        self.web.publish("acme-1.0.tar.gz", sdist())
        self.web.domain.clock.advance(10)
        after = [e.text for e in self.read().findall("a:entry/a:id", ATOM)]
        self.assertEqual(set(before), set(after))
        self.assertEqual(len(set(after)), 3)

    def test_yanked_releases_are_left_out(self) -> None:
        self.successResultOf(started(self.web.domain.yank("1.0", "broken")))
        self.assertEqual(self.titles(), ["beta 2.0", "acme 1.1"])

    def test_conditions(self) -> None:
        answer = self.web.get(ALL)
        etag, modified = answer["ETag"], answer["Last-Modified"]
        assert etag and modified
        for headers in ({"If-None-Match": etag}, {"If-Modified-Since": modified}):
            self.assertEqual(self.web.get(ALL, headers).status, 304)
        self.publish("beta", "2.1")
        self.assertEqual(self.web.get(ALL, {"If-None-Match": etag}).status, 200)

    def test_after_a_restart(self) -> None:
        before = self.titles()
        self.web = Web(self.web.domain.beside())
        self.assertEqual(self.titles(), before)

    def test_after_the_marker_was_lost(self) -> None:
        del self.web.store.objects[KEY]
        self.web = Web(self.web.domain.beside())
        self.assertEqual(self.titles(), [])
        self.publish("beta", "3.0")
        self.assertEqual(self.titles(), ["beta 3.0", "beta 2.0"])

    def test_as_the_reader_may_read(self) -> None:
        policy = policy_of("pypi.default_read = everyone\npackage.beta.user.ann = r")
        self.web = Web(self.web.domain.beside(), users=USERS, policy=policy)
        self.assertEqual(self.titles(), ["acme 1.1", "acme 1.0"])
        found = self.read(**basic()).findall("a:entry", ATOM)
        self.assertEqual(len(found), 3)

    def test_on_the_front_page(self) -> None:
        page = self.web.get("/").text
        self.assertIn('<link rel="alternate" type="application/atom+xml"', page)


class WritingTests(SynchronousTestCase):
    def release(self, number: int, summary: str = "") -> Release:
        moment = datetime.fromisoformat("2026-03-01T00:00:00Z")
        moment += timedelta(seconds=number)
        return Release("x", "<X>", str(number), summary, moment, moment)

    def test_nothing_escapes_its_place(self) -> None:
        nasty = "</summary><script>&\"'\0\x1b\ud800]]>"
        text = feed('http://x"><a>', b"/<a>", nasty, "p'\"<", [self.release(1, nasty)])
        root = ET.fromstring(text)
        self.assertEqual(len(root.findall(".//*")), 14)
        self.assertIn("<script>", root.findtext("a:entry/a:summary", "", ATOM))

    def test_without_releases(self) -> None:
        root = ET.fromstring(feed("http://x", b"/f", "t", "p", []))
        self.assertEqual(root.findall("a:entry", ATOM), [])


class BoundTests(FeedCase):
    def test_so_many_at_the_most(self) -> None:
        for number in range(MOST):
            self.publish("beta", f"3.{number}")
        self.assertEqual(len(self.titles()), MOST)
        self.assertEqual(self.titles()[0], f"beta 3.{MOST - 1}")


class OtherAddressTests(SynchronousTestCase):
    NAME = "acme-1.0-py3-none-any.whl"

    def setUp(self) -> None:
        self.web = Web()
        self.web.publish(self.NAME, wheel())

    def follow(self, path: str) -> Response:
        answer = self.web.get(path)
        self.assertEqual(answer.status, 302, path)
        return self.web.get(urljoin(path, answer["Location"] or ""))

    def test_a_file_by_its_name(self) -> None:
        for kind in ("source/a", "py3/a", "3.11/x"):
            path = f"/packages/{kind}/acme/{self.NAME}"
            self.assertEqual(self.follow(path).body, wheel())
        text = self.follow(f"/packages/py3/a/Acme/{self.NAME}.metadata").text
        self.assertEqual(text.encode(), metadata("acme", "1.0"))

    def test_what_is_not_here(self) -> None:
        for name in ("acme-2.0.tar.gz", f"{self.NAME}.metadata.metadata", ".metadata"):
            answer = self.web.get(f"/packages/source/a/acme/{name}")
            self.assertEqual(answer.status, 404, name)
