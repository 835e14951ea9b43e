"""Whether pages and files come whole through what is in front."""

from __future__ import annotations

import json

from pypicloud_tw.client.api import Unanswered
from pypicloud_tw.diagnosis.outside.asking import HTML_PAGE, JSON_PAGE
from pypicloud_tw.diagnosis.values import Finding
from tests.builders import wheel
from tests.diagnosis.doubles import levels, the
from tests.diagnosis.outside.doubles import BASE, OutsideCase
from tests.web.doubles import Response, started

WHEEL = "acme-1.0-py3-none-any.whl"


class PagesCase(OutsideCase):
    def setUp(self) -> None:
        super().setUp()
        publishing = started(self.web.domain.publish(WHEEL, wheel()))
        self.web.domain.settle(publishing)
        self.successResultOf(publishing)

    def look_at_pages(self) -> list[Finding]:
        return self.look(self.pages().pages())

    def look_at_files(self) -> list[Finding]:
        return self.look(self.pages().files())

    def url_of_file(self) -> str:
        page = self.web.request("GET", "/simple/acme/", {"Accept": JSON_PAGE}).json
        return str(self.visitor().joined("/simple/acme/", page["files"][0]["url"]))


class PageTests(PagesCase):
    def test_whole(self) -> None:
        found = self.look_at_pages()
        self.assertEqual(levels(found), ["ok"] * 3)
        self.assertIn("/simple/acme/ comes in JSON", found[0].found)

    def test_no_project(self) -> None:
        self.instead("/simple/", 200, b'{"projects": []}', content_type=JSON_PAGE)
        self.assertEqual(levels(self.look_at_pages()), ["ok"])
        self.assertEqual(levels(self.look_at_files()), ["note"])

    def test_accept_is_lost(self) -> None:
        self.between.sends = {"Accept": HTML_PAGE}
        found = the("fault", self.look_at_pages())
        self.assertIn("does not answer in the JSON form", found.found)

    def test_one_form_for_the_other(self) -> None:
        """A cache that does not mind Vary."""
        answer = self.web.request("GET", "/simple/acme/", {"Accept": JSON_PAGE})
        self.between.answers[f"{BASE}/simple/acme/"] = answer
        found = the("fault", self.look_at_pages())
        self.assertIn(f"Asked for HTML, it comes as {JSON_PAGE}", found.found)

    def test_etag_is_lost(self) -> None:
        self.between.loses = {"etag"}
        self.assertIn("Its ETag is lost", the("warning", self.look_at_pages()).found)

    def test_conditions_are_lost(self) -> None:
        self.between.sends = {"If-None-Match": ""}
        found = the("warning", self.look_at_pages())
        self.assertIn("answered 200, and not 304", found.found)

    def test_head(self) -> None:
        self.between.refuses = {"HEAD"}
        found = the("warning", self.look_at_pages())
        self.assertIn("HEAD is answered 405, and GET 200", found.found)

    def test_not_allowed(self) -> None:
        for status in (401, 403):
            self.instead("/simple/", status, b"no")
            self.assertEqual(levels(self.look_at_pages()), ["note"])
        self.instead("/simple/", 502, b"no")
        self.assertIn("502", the("fault", self.look_at_pages()).found)


class FileTests(PagesCase):
    def test_an_address_that_is_none(self) -> None:
        """It is told as it is, and a name of a project stays in its place."""
        self.instead("/simple/", 200, b'{"projects": [{"name": "a b/../\\ud800"}]}')
        file = {"filename": "x", "size": 1, "url": "http://[::1"}
        page = json.dumps({"files": [file]}).encode()
        self.instead("/simple/a%20b%2F..%2F%3F/", 200, page, content_type=JSON_PAGE)
        self.between.away.add("http://[")
        looking = started(self.pages().files())
        error = self.failureResultOf(looking, Unanswered).value
        self.assertIn("What it names could not be asked", error.message)

    def test_whole(self) -> None:
        found = self.look_at_files()
        self.assertEqual(levels(found), ["ok", "ok"])
        self.assertIn(f"A piece of {WHEEL} comes", found[0].found)
        self.deep = True
        self.assertEqual(levels(self.look_at_files()), ["ok"] * 3)

    def test_range_is_lost(self) -> None:
        self.between.sends = {"Range": ""}
        found = the("warning", self.look_at_files())
        self.assertIn("Range is lost", found.found)

    def test_not_handed_out(self) -> None:
        url = self.url_of_file()
        for status, level in ((403, "note"), (502, "fault"), (404, "fault")):
            self.instead(url, status, b"no")
            self.assertEqual(self.look_at_files()[0].level, level, status)

    def test_core_metadata(self) -> None:
        url = f"{self.url_of_file()}.metadata"
        for status, words in ((404, "answered 404"), (200, "another digest")):
            self.instead(url, status, b"other")
            self.assertIn(words, the("fault", self.look_at_files()).found)

    def test_other_bytes(self) -> None:
        self.deep = True
        self.instead(self.url_of_file(), 206, b"ot")
        found = the("fault", self.look_at_files())
        self.assertIn("has another digest", found.found)

    def test_in_a_bucket(self) -> None:
        """Clients are sent there, and must reach it; nobody logs in there."""
        there = "http://s3.example/acme?X-Amz-Signature=hunter2"
        self.instead(self.url_of_file(), 302, location=there)
        self.between.answers[there] = Response(206, "", {}, b"PK")
        found = self.look_at_files()
        self.assertEqual(levels(found), ["ok", "ok", "ok"])
        self.assertIn("Files are at s3.example", found[0].found)
        self.deep = True
        self.between.answers[there] = Response(200, "", {}, wheel())
        self.assertEqual(levels(self.look_at_files()), ["ok", "warning", "ok", "ok"])
        self.between.away.add("http://s3.example")
        found = self.look_at_files()
        wrong = the("fault", found)
        self.assertIn("Clients are sent to s3.example for files", wrong.found)
        self.assertIn("aws.link = stream", wrong.advice)
        self.assertNotIn("hunter2", json.dumps([one.found for one in found]))
