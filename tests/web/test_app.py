"""What clients read: pages in their form, from the request's bytes to the answer's."""

from __future__ import annotations

import gzip
import re
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote, urljoin
from xmlrpc.client import Fault, dumps, loads

import brotli
import zstandard
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import Forbidden, StoreError
from pypicloud_tw.index.changelog import serial_at
from pypicloud_tw.index.manifest import encode, manifest_key
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.web.http.proxies import Proxies
from tests.builders import file, metadata, sdist, wheel
from tests.web.doubles import (
    BEGINNING,
    Domain,
    Response,
    Web,
    basic,
    request_bytes,
    started,
    stored_project,
)

ACME = project_name("acme")
WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html; charset=utf-8"
AWAY = "The store is away."


class AppCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = self.make()

    def make(self) -> Web:
        return Web()

    def get(self, path: str, **headers: str) -> Response:
        """GET; underscores in the names of header fields are hyphens."""
        return self.web.get(path, named_fields(headers))

    def hold(self, waiting: Deferred[None]) -> None:
        """Have the store wait for that."""
        self.web.store.before = lambda operation, key: waiting

    def fill(self, number: int) -> None:
        """Have a project of so many files, of which there are no bytes."""
        files = tuple(
            file(f"acme-1.{n}.tar.gz", version=f"1.{n}") for n in range(number)
        )
        self.web.store.add(manifest_key(ACME), encode(Project(ACME, "acme", files)))
        self.web.domain.index.watch.forget()

    def break_store(self) -> None:
        def before(operation: str, key: str) -> None:
            raise StoreError(AWAY)

        self.web.store.before = before


def named_fields(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class PageTests(AppCase):
    def setUp(self) -> None:
        super().setUp()
        self.web.publish(SDIST, sdist())
        self.web.publish(WHEEL, wheel())
        self.web.publish("acme-0.9.tar.gz", sdist(version="0.9"))

    def test_json(self) -> None:
        self.yank("0.9", "<b>broken</b>")
        page = self.get("/simple/acme/", Accept=JSON).json
        meta = {"api-version": "1.5", "_last-serial": serial_at(BEGINNING) + 3}
        self.assertEqual(page["meta"], meta)
        self.assertIsNone(page["namespaces"])
        self.assertEqual(page["name"], "acme")
        self.assertEqual(page["versions"], ["0.9", "1.0"])
        self.assertEqual(page["project-status"], {"status": "active"})
        self.assertEqual(
            [one["filename"] for one in page["files"]],
            ["acme-0.9.tar.gz", WHEEL, SDIST],
        )
        first, second, _ = page["files"]
        self.assertEqual(first["yanked"], "<b>broken</b>")
        self.assertNotIn("yanked", second)
        stored = stored_project(self.web.store).file(WHEEL)
        assert stored is not None
        self.assertEqual(
            second,
            {
                "filename": WHEEL,
                "hashes": {"sha256": stored.sha256},
                "size": stored.size,
                "upload-time": "2026-03-01T09:30:00.000000Z",
                "requires-python": ">=3.8",
                "core-metadata": {"sha256": stored.metadata_sha256},
                "url": f"../../packages/acme/{stored.sha256[:16]}/{WHEEL}",
            },
        )

    def test_html(self) -> None:
        self.yank("0.9", '"<b>broken</b>&"')
        page = self.get("/simple/acme/", Accept=HTML).text
        self.assertIn('data-requires-python="&gt;=3.8"', page)
        self.assertIn(
            'data-yanked="&quot;&lt;b&gt;broken&lt;/b&gt;&amp;&quot;"',
            page.replace("&#34;", "&quot;"),
        )
        self.assertNotIn("<b>", page)
        stored = stored_project(self.web.store).file(WHEEL)
        assert stored is not None
        for attribute in ("data-core-metadata", "data-dist-info-metadata"):
            self.assertIn(f'{attribute}="sha256={stored.metadata_sha256}"', page)
        self.assertIn(f"{WHEEL}#sha256={stored.sha256}", page)
        self.assertLess(page.index("acme-0.9"), page.index(WHEEL))

    def test_every_link_leads_to_its_bytes(self) -> None:
        page = self.get("/simple/acme/", Accept=JSON).json
        for one in page["files"]:
            address = urljoin("/simple/acme/", one["url"])
            self.assertEqual(len(self.get(address).body), one["size"])
        html = self.get("/simple/acme/").text
        for link in re.findall('href="([^"#]+)#', html):
            self.assertEqual(self.get(urljoin("/simple/acme/", link)).status, 200)

    def test_the_list_of_projects(self) -> None:
        self.web.publish("other-1.0.tar.gz", sdist("other"))
        page = self.get("/simple/", Accept=JSON).json
        serials = [project.pop("_last-serial") for project in page["projects"]]
        self.assertEqual(page["projects"], [{"name": "acme"}, {"name": "other"}])
        self.assertEqual(page["meta"]["_last-serial"], max(serials))
        self.assertIn('<a href="other/">other</a>', self.get("/simple/").text)

    def test_a_change_is_shown_at_once(self) -> None:
        for _ in range(2):  # known by now
            self.assertEqual(
                len(self.get("/simple/acme/", Accept=JSON).json["files"]), 3
            )
        self.web.publish("acme-2.0.tar.gz", sdist(version="2.0"))
        self.assertEqual(len(self.get("/simple/acme/", Accept=JSON).json["files"]), 4)
        self.web.publish("new-2.0.tar.gz", sdist("new", "2.0"))
        self.assertIn("new", self.get("/simple/").text)

    def yank(self, version: str, reason: str) -> None:
        work = self.web.domain.yank(version, reason)
        self.successResultOf(started(work))


class NegotiationTests(AppCase):
    CHOICES = (
        (None, TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        (JSON, JSON),
        (HTML, HTML),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.latest+html", HTML),
        # pip
        (f"{JSON}, {HTML};q=0.1, text/html;q=0.01", JSON),
        # uv
        (f"{JSON}, {HTML};q=0.2, text/html;q=0.01", JSON),
        # a browser
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
        (f"{JSON};q=0.1, text/html", TEXT),
        (f"{JSON};q=0, */*", TEXT),
        (f"{JSON.upper()}", JSON),
    )
    REFUSED = ("application/json", "image/png", f"{JSON};q=0", "text/plain", "*/*;q=0")

    def setUp(self) -> None:
        super().setUp()
        self.web.publish(WHEEL, wheel())

    def test_by_accept_cold_and_warm(self) -> None:
        for path in ("/simple/acme/", "/simple/"):
            for accept, expected in self.CHOICES:
                fields = {} if accept is None else {"Accept": accept}
                cold = self.web.get(path, fields)
                self.assertEqual(cold.status, 200, accept)
                self.assertEqual(cold["Content-Type"], expected, accept)
                # What is known is sent another way, and must be the same.
                self.assertEqual(self.web.get(path, fields), cold)

    def test_nothing_that_is_accepted(self) -> None:
        for path in ("/simple/acme/", "/simple/"):
            for accept in self.REFUSED:
                for _ in range(2):
                    response = self.get(path, Accept=accept)
                    self.assertEqual(response.status, 406, accept)
                    self.assertIn(JSON, response.text)

    def test_by_the_query_before_accept(self) -> None:
        for written in (quote(JSON), JSON):
            response = self.get(f"/simple/acme/?format={written}", Accept="text/html")
            self.assertEqual(response["Content-Type"], JSON)
        response = self.get("/simple/acme/?format=text/html", Accept=JSON)
        self.assertEqual(response["Content-Type"], TEXT)
        self.assertEqual(self.get("/simple/acme/?format=xml").status, 406)
        self.assertEqual(self.get("/simple/acme/?other=1").status, 200)

    def test_several_fields_are_one_list(self) -> None:
        connection = self.web.connect()
        connection.send(
            f"GET /simple/acme/ HTTP/1.1\r\nHost: x\r\nAccept: text/html;q=0.1\r\n"
            f"Accept: {JSON}\r\n\r\n".encode()
        )
        response = connection.response()
        assert response is not None
        self.assertEqual(response["Content-Type"], JSON)

    def test_codings(self) -> None:
        self.fill(20)
        plain = self.get("/simple/acme/")
        self.assertIsNone(plain["Content-Encoding"])
        unpack: dict[str, Any] = {
            "gzip": gzip.decompress,
            "br": brotli.decompress,
            "zstd": lambda data: zstandard.ZstdDecompressor().decompress(data),
        }
        tags = {plain["ETag"]}
        for coding, decompress in unpack.items():
            packed = self.get("/simple/acme/", Accept_Encoding=coding)
            self.assertEqual(packed["Content-Encoding"], coding)
            self.assertEqual(decompress(packed.body), plain.body)
            self.assertLess(len(packed.body), len(plain.body) / 2)
            tags.add(packed["ETag"])
        self.assertEqual(len(tags), 4)
        refused = self.get("/simple/acme/", Accept_Encoding="identity;q=0, lzma")
        self.assertEqual(refused.status, 406)

    def test_large_pages_are_compressed_once_and_elsewhere(self) -> None:
        self.fill(200)
        threaded = self.web.domain.offload.threaded
        threaded.clear()
        for _ in range(5):
            self.get("/simple/acme/", Accept_Encoding="gzip")
        self.assertEqual(threaded, ["Page.make"])

    def test_small_pages_are_not_compressed(self) -> None:
        response = self.get("/simple/", Accept_Encoding="gzip")
        self.assertIsNone(response["Content-Encoding"])


class GuardTests(AppCase):
    """What keeps browsers from doing more with an answer than showing it."""

    def setUp(self) -> None:
        super().setUp()
        self.web.publish(WHEEL, wheel())

    def test_every_answer(self) -> None:
        file = stored_project(self.web.store).files[0]
        for path, status in (
            ("/health", 200),
            ("/ready", 200),
            ("/metrics", 200),
            ("/", 200),
            ("/simple/", 200),
            ("/simple/acme/", 200),
            ("/simple/acme", 301),
            ("/packages/", 200),
            (f"/packages/acme/{file.sha256[:16]}/{WHEEL}", 200),
            ("/pypi/acme/json", 200),
            ("/legacy/", 405),
            ("/nothing", 404),
            ("no path", 400),
        ):
            with self.subTest(path=path):
                response = self.get(path)
                self.assertEqual(response.status, status)
                self.assertEqual(response["X-Content-Type-Options"], "nosniff")
                self.assertEqual(response["Referrer-Policy"], "same-origin")

    def test_every_page(self) -> None:
        for path in ("/", "/simple/", "/simple/acme/", "/packages/", "/nothing"):
            for accept in ("text/html", HTML):
                response = self.get(path, Accept=accept)
                policy = (response["Content-Security-Policy"] or "").split("; ")
                for directive in (
                    "default-src",
                    "base-uri",
                    "form-action",
                    "frame-ancestors",
                ):
                    # Pages for people have forms, which lead here.
                    forms = directive == "form-action" and "/simple/" not in path
                    where = "'self'" if forms else "'none'"
                    self.assertIn(f"{directive} {where}", policy, path)


class ConditionalTests(AppCase):
    REPEATED = ("ETag", "Cache-Control", "Vary")

    def setUp(self) -> None:
        super().setUp()
        self.web.publish(WHEEL, wheel())

    def test_what_is_known_already_is_not_sent_again(self) -> None:
        for path in ("/simple/acme/", "/simple/"):
            for accept in (JSON, HTML, "text/html"):
                first = self.get(path, Accept=accept)
                etag = first["ETag"]
                assert etag is not None
                for tags in (etag, f"W/{etag}", f'"other", {etag}', "*"):
                    for method in ("GET", "HEAD"):
                        fields = {"Accept": accept, "If-None-Match": tags}
                        again = self.web.request(method, path, fields)
                        self.assertEqual((again.status, again.body), (304, b""))
                        for name in self.REPEATED:
                            self.assertIsNotNone(again[name], name)
                            self.assertEqual(again[name], first[name], name)

    def test_representations_do_not_share_tags(self) -> None:
        tags = {
            self.get("/simple/acme/", Accept=a)["ETag"] for a in (JSON, HTML, "*/*")
        }
        self.assertEqual(len(tags), 3)
        json_tag = self.get("/simple/acme/", Accept=JSON)["ETag"]
        assert json_tag is not None
        other = self.get("/simple/acme/", Accept=HTML, If_None_Match=json_tag)
        self.assertEqual(other.status, 200)

    def test_a_change_changes_the_tag(self) -> None:
        for path, filename in (
            ("/simple/acme/", "acme-2.0.tar.gz"),
            ("/simple/", "other-2.0.tar.gz"),
        ):
            etag = self.get(path)["ETag"]
            assert etag is not None
            data = sdist(filename.partition("-")[0], "2.0")
            self.web.publish(filename, data)
            self.assertEqual(self.get(path, If_None_Match=etag).status, 200)

    def test_the_same_state_has_the_same_tag_on_every_server(self) -> None:
        other = Web(domain=self.web.domain.beside())
        for path in ("/simple/acme/", "/simple/"):
            self.assertEqual(other.get(path)["ETag"], self.get(path)["ETag"])

    def test_two_dates_are_none(self) -> None:
        """RFC 9110, section 13.1.3; nor is what only begins with a date one."""
        date = "Sun, 01 Mar 2026 09:30:00 GMT"
        for value, status in (
            (date, 304),
            ("Sunday, 01-Mar-26 09:30:00 GMT", 304),
            ("Sun Mar  1 09:30:00 2026", 304),
            (f"{date}\r\nIf-Modified-Since: {date}", 200),
            ("Sun\r\nIf-Modified-Since: 01 Mar 2026 09:30:00 GMT", 200),
            (f"{date}, {date}", 200),
            (f"{date}; length=3", 200),
            ("Sun, 01 Mar 2026 09:30:00 +0000", 200),
            ("01 Mar 2026 09:30:00 GMT", 200),
        ):
            with self.subTest(value=value):
                for method in ("GET", "HEAD"):
                    fields = {"If-Modified-Since": value}
                    response = self.web.request(method, "/simple/acme/", fields)
                    self.assertEqual(response.status, status)

    def test_required(self) -> None:
        first = self.get("/simple/acme/")
        date, tag = first["Last-Modified"], first["ETag"]
        for status, fields in (
            (200, {"If-Match": f"{tag}"}),
            (200, {"If-Match": f'"x", {tag}'}),
            (200, {"If-Match": "*"}),
            (412, {"If-Match": '"x"'}),
            (412, {"If-Match": f"W/{tag}"}),
            (412, {"If-Match": '"x"', "If-None-Match": f"{tag}"}),
            (304, {"If-Match": f"{tag}", "If-None-Match": f"{tag}"}),
            (200, {"If-Unmodified-Since": f"{date}"}),
            (200, {"If-Unmodified-Since": "yesterday"}),
            (412, {"If-Unmodified-Since": "Sun, 01 Mar 2026 09:29:59 GMT"}),
        ):
            for method in ("GET", "HEAD"):
                with self.subTest(fields=fields, method=method):
                    response = self.web.request(method, "/simple/acme/", fields)
                    self.assertEqual(response.status, status)
        # What is not there is not there.
        self.assertEqual(self.get("/simple/no/", If_Match='"x"').status, 404)

    def test_tags_on_several_lines(self) -> None:
        tag = self.get("/simple/acme/")["ETag"]
        for value in (f'{tag}\r\nIf-None-Match: "x"', f'"x"\r\nIf-None-Match: {tag}'):
            response = self.get("/simple/acme/", If_None_Match=value)
            self.assertEqual(response.status, 304)

    def test_by_date(self) -> None:
        first = self.get("/simple/acme/")
        date = first["Last-Modified"]
        self.assertEqual(date, "Sun, 01 Mar 2026 09:30:00 GMT")
        assert date is not None
        for _ in range(2):
            again = self.get("/simple/acme/", If_Modified_Since=date)
            self.assertEqual(again.status, 304)
        before = "Sun, 01 Mar 2026 09:29:59 GMT"
        self.assertEqual(
            self.get("/simple/acme/", If_Modified_Since=before).status, 200
        )
        # The tag counts where there are both (RFC 9110, section 13.2.2).
        both = self.get("/simple/acme/", If_Modified_Since=date, If_None_Match='"x"')
        self.assertEqual(both.status, 200)

    def test_caching(self) -> None:
        for path in ("/simple/acme/", "/simple/"):
            response = self.get(path)
            self.assertEqual(response["Cache-Control"], "no-cache, public")
            self.assertEqual(response["Vary"], "Accept, Accept-Encoding")

    def test_head_is_get_without_the_body(self) -> None:
        for path in ("/simple/acme/", "/simple/", "/", "/health", "/nowhere"):
            for _ in range(2):
                got, headed = self.web.get(path), self.web.head(path)
                self.assertEqual(headed.fields, got.fields, path)
                self.assertEqual((headed.status, headed.body), (got.status, b""))


class RedirectTests(AppCase):
    def assert_leads(self, path: str, target: str) -> None:
        for method in ("GET", "HEAD"):
            response = self.web.request(method, path)
            self.assertEqual(response.status, 301, path)
            location = response["Location"]
            assert location is not None
            # Relative: right under every host name and path prefix.
            self.assertNotRegex(location, "^(/|[a-z]+:)")
            self.assertEqual(urljoin(path, location), target)
            prefixed = urljoin(f"/a/prefix{path}", location)
            self.assertEqual(prefixed, f"/a/prefix{target}")

    def test_to_the_normalized_name_and_the_final_slash(self) -> None:
        self.assert_leads("/simple", "/simple/")
        self.assert_leads("/packages", "/packages/")
        self.assert_leads("/simple/acme", "/simple/acme/")
        for path in ("/simple/Acme_Tool", "/simple/acme.tool", "/simple/ACME--tool"):
            self.assert_leads(path, "/simple/acme-tool/")
            self.assert_leads(f"{path}/", "/simple/acme-tool/")

    def test_the_form_that_is_asked_for_is_not_lost(self) -> None:
        self.assert_leads(
            f"/simple/Acme/?format={JSON}", f"/simple/acme/?format={JSON}"
        )
        self.assert_leads("/simple?format=x%26y", "/simple/?format=x%26y")

    def test_what_is_no_name_leads_nowhere(self) -> None:
        for name in ("-acme", "a b", "%C3%A4", "a%0d%0aX-Evil: 1", "..", "%2e%2e"):
            for end in ("", "/"):
                response = self.web.get(f"/simple/{quote(name, safe='%')}{end}")
                self.assertIn(response.status, (400, 404), name)
                self.assertIsNone(response["Location"])
                self.assertIsNone(response["X-Evil"])


class AbsentTests(AppCase):
    def test_a_sentence(self) -> None:
        for _ in range(2):
            response = self.get("/simple/nothing/")
            self.assertEqual(response.status, 404)
            self.assertEqual(response.text, "There is no project nothing here.\n")
            self.assertEqual(response.reason, "There is no project nothing here.")

    def test_absence_must_be_proved(self) -> None:
        self.break_store()
        for path in ("/simple/acme/", "/simple/", "/packages/", "/pypi/acme/json"):
            response = self.get(path)
            self.assertEqual(response.status, 503, path)
            self.assertEqual(response["Retry-After"], "5")
            self.assertIn(AWAY, response.text)

    def test_the_last_known_page_is_served(self) -> None:
        self.web.publish(WHEEL, wheel())
        known = {path: self.get(path) for path in ("/simple/acme/", "/simple/")}
        self.break_store()
        self.web.domain.clock.advance(100)
        with capturedLogs():
            for path, before in known.items():
                now = self.get(path)
                self.assertEqual((now.status, now.body), (200, before.body))
            self.assertEqual(self.get("/simple/other/").status, 503)

    def test_a_damaged_manifest_is_no_absence(self) -> None:
        self.web.store.add(manifest_key(ACME), b"{")
        self.assertEqual(self.get("/simple/acme/").status, 503)

    def test_a_project_without_files_is_there(self) -> None:
        self.web.publish(WHEEL, wheel())
        self.successResultOf(started(self.web.domain.delete("1.0")))
        response = self.get("/simple/acme/", Accept=JSON)
        self.assertEqual((response.status, response.json["files"]), (200, []))

    def test_other_addresses(self) -> None:
        for path in (
            "/nothing",
            "/simple//",
            "/simple/acme/x",
            "/packages/acme",
            "/pypi/",
            "/simple/%ff/",
            "/%ff",
            "/packages/acme/%ff/x",
        ):
            response = self.get(path)
            self.assertEqual(response.status, 404 if path != "/pypi/" else 405, path)
            self.assertNotIn("Traceback", response.text)

    def test_other_spellings_of_an_address(self) -> None:
        """A proxy's rule for the one would not hold for the other."""
        self.web.publish(WHEEL, wheel())
        for path in (
            "//health",
            "//simple/acme/",
            "/%2Fhealth",
            "/./health",
            "/simple/../health",
            "/simple/%2e%2e/health",
            "/simple//acme/",
            "/simple%2Facme/",
            "/simple/acme//",
            "/simple/%61cme/",
            "/%68ealth",
            "/\\health",
            "http://h//health",
        ):
            with self.subTest(path=path):
                self.assertEqual(self.get(path).status, 404)
        for method in ("POST", "HEAD"):
            self.assertEqual(self.web.request(method, "//").status, 404)

    def test_a_host_that_can_be_no_host_s_name(self) -> None:
        for host in ("a..b", f"{'x' * 64}.example", "."):
            response = self.get("/health", Host=host)
            self.assertEqual(response.status, 400, host)
            self.assertIn("Host is not one valid name", response.text)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_methods(self) -> None:
        for method, path, allowed in (
            ("DELETE", "/simple/acme/", {"GET", "HEAD"}),
            ("PUT", "/simple/", {"GET", "HEAD", "POST"}),
            ("POST", "/packages/", {"GET", "HEAD"}),
            ("GET", "/legacy/", {"POST"}),
            ("PATCH", "/", {"GET", "HEAD", "POST"}),
            ("BREW", "/health", {"GET", "HEAD"}),
        ):
            response = self.web.request(method, path)
            self.assertEqual(response.status, 405, path)
            self.assertIn("does not take that method", response.text)
            told = set((response["Allow"] or "").split(", "))
            self.assertEqual(told - {"OPTIONS"}, allowed, path)

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=20), st.text(st.characters(codec="ascii"), max_size=20))
    def test_no_address_is_an_error_of_ours(self, escaped: bytes, text: str) -> None:
        path = quote(escaped) + re.sub("[\\x00-\\x20\\x7f]", "", text)
        for prefix in ("/", "/simple/", "/packages/acme/0/", "/pypi/"):
            connection = self.web.connect()
            connection.send(request_bytes("GET", prefix + path))
            response = connection.response()
            assert response is not None
            self.assertLess(response.status, 500)


class ErrorFormTests(AppCase):
    def test_text_html_or_json(self) -> None:
        for accept, content_type in (
            (None, "text/plain; charset=utf-8"),
            ("*/*", "text/plain; charset=utf-8"),
            ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
            # uv's, when it uploads
            (
                "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7",
                "application/json; charset=utf-8",
            ),
            ("image/png", "text/plain; charset=utf-8"),
            ("application/json;q=0", "text/plain; charset=utf-8"),
            ("text/html, */*", "text/html; charset=utf-8"),
            ("this is ; not = a header,,;q=", "text/plain; charset=utf-8"),
        ):
            fields = {} if accept is None else {"Accept": accept}
            response = self.web.get("/nothing", fields)
            self.assertEqual(response.status, 404)
            self.assertEqual(response["Content-Type"], content_type, accept)
            self.assertIn("the packages are at /simple/", response.text)
            self.assertEqual(response["Cache-Control"], "no-store")
            self.assertEqual(response["X-Content-Type-Options"], "nosniff")

    def test_names_what_was_meant(self) -> None:
        """Uploads go elsewhere than pages come from; under a prefix both are there."""
        behind = Web(proxies=Proxies((), "https://x.example/python"))
        for web, prefix in ((self.web, ""), (behind, "/python")):
            for path in ("/nothing", "/legacy/acme/", "/uploads", "/python/legacy/"):
                response = web.request("POST", path)
                self.assertEqual(response.status, 404)
                self.assertIn(f"uploads go to {prefix}/legacy/.", response.text)
            response = web.request("POST", "/packages/")
            self.assertEqual(response.status, 405)
            self.assertIn(f"uploads go to {prefix}/legacy/.", response.text)
            response = web.get("/nothing", {"Accept": "text/html"})
            self.assertIn(f"the packages are at {prefix}/simple/.", response.text)
            links = re.findall('<a href="([^"]*)"', response.text)
            self.assertEqual(links, [f"{prefix}/", f"{prefix}/simple/"])

    def test_json_has_code_and_message(self) -> None:
        response = self.get("/simple/nothing/", Accept="application/json")
        self.assertEqual(
            response.json,
            {"code": "not-found", "message": "There is no project nothing here."},
        )

    def test_html_is_escaped(self) -> None:
        response = self.get("/simple/%3Cscript%3E/", Accept="text/html")
        self.assertEqual(response.status, 404)
        self.assertNotIn("<script>", response.text)
        self.assertIn("default-src 'none'", response["Content-Security-Policy"] or "")

    def test_nothing_is_left_of_the_answer_that_did_not_come(self) -> None:
        self.web.publish(WHEEL, wheel())
        one = stored_project(self.web.store).files[0]
        self.web.store.objects.pop(one.key)
        with capturedLogs():
            response = self.get(f"/packages/acme/{one.sha256[:16]}/{WHEEL}")
        self.assertEqual(response.status, 503)
        for name in ("ETag", "Last-Modified", "Accept-Ranges"):
            self.assertIsNone(response[name], name)
        self.assertEqual(response["Cache-Control"], "no-store")

    def test_what_nobody_foresaw_is_logged_and_told_without_details(self) -> None:
        def before(operation: str, key: str) -> None:
            raise ZeroDivisionError("a secret detail")

        self.web.store.before = before
        response = self.get("/simple/acme/")
        self.assertEqual(response.status, 500)
        self.assertIn("see its log", response.text)
        self.assertNotIn("secret", response.text + response.reason)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class XmlRpcTests(AppCase):
    """Which requests are calls; what they get is of ``tests.web.api.test_xml_rpc``."""

    CALL = dumps(({"name": ["acme"], "summary": ["acme"]}, "or"), "search").encode()

    def test_wherever_clients_call(self) -> None:
        self.web.publish(WHEEL, wheel())
        for path in ("/pypi", "/pypi/", "/", "/simple", "/simple/", "/legacy/"):
            for media_type in ("text/xml", "application/xml; charset=utf-8"):
                response = self.web.request(
                    "POST", path, {"Content-Type": media_type}, self.CALL
                )
                self.assertEqual(response.status, 200, path)
                self.assertEqual(response["Content-Type"], "text/xml; charset=utf-8")
                self.assertIn("<string>acme</string>", response.text)
                self.assertEqual(loads(response.body)[1], None)

    def test_who_may_not_read_is_asked_to_log_in(self) -> None:
        web = Web(default_read="authenticated")
        response = web.request("POST", "/pypi", {"Content-Type": "text/xml"}, self.CALL)
        self.assertEqual(response.status, 401)

    def test_under_a_prefix(self) -> None:
        web = Web(proxies=Proxies((), "https://x.example/python"))
        unknown = dumps((), "user_packages").encode()
        response = web.request("POST", "/pypi", {"Content-Type": "text/xml"}, unknown)
        fault = self.assertRaises(Fault, loads, response.body)
        self.assertEqual(fault.faultCode, -32601)
        self.assertIn("/python/simple/", fault.faultString)

    def test_uploads_are_none(self) -> None:
        for media_type in ("multipart/form-data; boundary=text/xml", "text/xmlish", ""):
            fields = {"Content-Type": media_type} if media_type else {}
            response = self.web.request("POST", "/pypi", fields, b"x")
            self.assertEqual(response.status, 401, media_type)


class PrivateTests(AppCase):
    PATHS = (
        "/",
        "/simple/",
        "/simple/acme/",
        "/packages/",
        f"/packages/acme/0123456789abcdef/{WHEEL}",
        "/pypi/acme/json",
        "/pypi/acme/1.0/json",
        "/simple/nothing/",
    )

    def make(self) -> Web:
        return Web(default_read="authenticated")

    def setUp(self) -> None:
        super().setUp()
        self.web.publish(WHEEL, wheel())

    def test_nothing_is_told_to_strangers(self) -> None:
        for warm in (False, True):
            for path in self.PATHS:
                for headers in (
                    {},
                    basic(password="wrong"),
                    basic(user="bob"),
                    {"Authorization": "Basic !"},
                    {"Authorization": "Bearer x"},
                    {"Authorization": "Basic"},
                    {"Authorization": "\xff"},
                ):
                    response = self.web.get(path, headers)
                    self.assertNotIn("sha256", response.text)
                    if path == "/" and not headers:
                        self.assertEqual(response["Location"], "/login?next=/")
                        continue
                    self.assertEqual(response.status, 401, (path, headers))
                    challenge = response["WWW-Authenticate"] or ""
                    self.assertTrue(challenge.startswith("Basic realm="), challenge)
            if not warm:
                self.web.get("/simple/acme/", basic())
            # Failures are slowed, and what was charged leaks away.
            self.web.domain.clock.advance(10_000)

    def test_who_logs_in_reads(self) -> None:
        for path in ("/", "/simple/", "/simple/acme/", "/packages/", "/pypi/acme/json"):
            cold = self.web.get(path, basic())
            self.assertEqual(cold.status, 200, path)
            self.assertEqual(self.web.get(path, basic()), cold)
        self.assertEqual(self.web.get("/simple/nothing/", basic()).status, 404)

    def test_shared_caches_keep_nothing(self) -> None:
        one = stored_project(self.web.store).files[0]
        for path in (
            "/",
            "/simple/",
            "/simple/acme/",
            "/packages/",
            f"/packages/acme/{one.sha256[:16]}/{WHEEL}",
            "/pypi/acme/json",
        ):
            for _ in range(2):
                response = self.web.get(path, basic())
                self.assertIn("private", response["Cache-Control"] or "", path)
                self.assertNotIn("public", response["Cache-Control"] or "", path)
        etag = self.web.get("/simple/acme/", basic())["ETag"]
        again = self.web.get("/simple/acme/", {**basic(), "If-None-Match": etag or ""})
        self.assertEqual(again.status, 304)
        self.assertEqual(again["Cache-Control"], "no-cache, private")

    def test_permission_is_asked_before_the_store(self) -> None:
        self.successResultOf(started(self.web.documents.learn()))
        self.web.store.calls.clear()
        for path in self.PATHS:
            self.web.get(path)
        self.assertEqual(self.web.store.calls, [])

    def test_redirects_and_health_tell_nothing_and_are_for_all(self) -> None:
        self.assertEqual(self.web.get("/simple/Acme").status, 301)
        self.assertEqual(self.web.get("/health").status, 200)
        self.assertEqual(self.web.get("/ready").status, 200)


@frozen(eq=False)
class SparingPolicy(Policy):
    """Nobody may read one project."""

    def check(
        self, principal: Principal, action: Action, project: NormalizedName | None
    ) -> None:
        super().check(principal, action, project)
        if project == "acme":
            raise Forbidden("Not this one.")


class OneRuleTests(AppCase):
    """The policy is asked for warm pages, too."""

    def make(self) -> Web:
        return Web(default_read="authenticated")

    def test_a_warm_page(self) -> None:
        self.web.publish(WHEEL, wheel())
        for _ in range(2):
            self.assertEqual(self.web.get("/simple/acme/", basic()).status, 200)
        self.web.application.access.policy = SparingPolicy(
            AccessSettings(default_read=("authenticated",), has_users=True)
        )
        response = self.web.get("/simple/acme/", basic())
        self.assertEqual(response.status, 403)
        self.assertIn("Not this one.", response.text)
        self.assertEqual(self.web.get("/simple/acme/").status, 401)


class NobodyTests(AppCase):
    def make(self) -> Web:
        return Web(default_read="authenticated", users={})

    def test_who_could_never_log_in_is_not_asked_to(self) -> None:
        response = self.web.get("/simple/", basic())
        self.assertEqual(response.status, 403)
        self.assertIn("Nobody may read yet", response.text)
        self.assertIsNone(response["WWW-Authenticate"])


class StalePasswordTests(AppCase):
    def test_what_everyone_may_read_is_not_refused(self) -> None:
        self.web.publish(WHEEL, wheel())
        for path in ("/simple/", "/simple/acme/", "/packages/", "/"):
            self.assertEqual(self.web.get(path, basic(password="old")).status, 200)


class PeopleTests(AppCase):
    def test_home_has_the_addresses_of_this_very_server(self) -> None:
        page = self.get("/")
        self.assertEqual(page["Content-Type"], TEXT)
        self.assertIn("http://pypi.example:6543/simple/", page.text)
        self.assertIn("1.0.0", page.text)
        self.assertIn("twine", page.text)
        self.assertEqual(page["Cache-Control"], "no-cache, private")

    def test_behind_a_proxy_and_under_a_prefix(self) -> None:
        trusted = Proxies([ip_network("192.0.2.0/24")])
        domain = Domain()
        web = Web(domain=domain, proxies=trusted)
        web.publish(WHEEL, wheel())
        forwarded = {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "pypi.acme.example",
            "X-Forwarded-Prefix": "/index",
        }
        base = "https://pypi.acme.example/index"
        self.assertIn(f"{base}/simple/", web.get("/", forwarded).text)
        urls = web.get("/pypi/acme/json", forwarded).json["urls"]
        self.assertTrue(urls[0]["url"].startswith(f"{base}/packages/acme/"))
        # A stranger is not believed.
        self.web.publish(WHEEL, wheel())
        self.assertNotIn("acme.example", self.web.get("/", forwarded).text)
        public = Web(domain=domain, proxies=Proxies((), "https://x.example/p/"))
        self.assertIn("https://x.example/p/simple/", public.get("/").text)

    def test_packages_lists_every_file(self) -> None:
        self.web.publish(WHEEL, wheel())
        self.web.publish("other-1.0.tar.gz", sdist("other"))
        page = self.get("/packages/")
        self.assertEqual(page.status, 200)
        self.assertEqual(page["Content-Type"], TEXT)
        links = re.findall(r'href="([^"#]+)#sha256=', page.text)
        self.assertEqual(len(links), 2)
        for link in links:
            self.assertEqual(self.get(urljoin("/packages/", link)).status, 200)
        self.assertEqual(self.web.head("/packages/").body, b"")

    def test_packages_when_a_project_goes_away_meanwhile(self) -> None:
        self.web.publish(WHEEL, wheel())
        self.web.publish("other-1.0.tar.gz", sdist("other"))
        self.successResultOf(started(self.web.domain.catalog.names()))
        del self.web.store.objects[manifest_key(ACME)]
        self.web.domain.catalog._doubt({"acme"})
        page = self.get("/packages/").text
        self.assertIn("other-1.0.tar.gz", page)
        self.assertNotIn(WHEEL, page)

    def test_packages_is_cut_off_when_the_store_goes_away_meanwhile(self) -> None:
        self.web.publish(WHEEL, wheel())
        self.successResultOf(started(self.web.domain.catalog.names()))
        self.successResultOf(started(self.web.documents.learn()))
        waiting: Deferred[None] = Deferred()
        self.hold(waiting)
        connection = self.web.connect()
        connection.send(request_bytes("GET", "/packages/"))
        self.assertIn(b"200 OK", connection.unread)
        waiting.errback(StoreError(AWAY))
        self.assertTrue(connection.wire.aborted)
        # The end of the chunks does not come: the client knows.
        self.assertFalse(connection.unread.endswith(b"0\r\n\r\n"))


class LegacyJsonTests(AppCase):
    def setUp(self) -> None:
        super().setUp()
        self.web.publish("acme-0.9.tar.gz", sdist(version="0.9"))
        self.web.publish(WHEEL, wheel())

    def test_the_newest_release(self) -> None:
        response = self.get("/pypi/acme/json")
        self.assertEqual(response["Content-Type"], "application/json")
        document = response.json
        self.assertEqual(document["info"]["name"], "acme")
        self.assertEqual(document["info"]["version"], "1.0")
        self.assertEqual(document["info"]["summary"], "A tool of Acme's")
        self.assertEqual(set(document["releases"]), {"0.9", "1.0"})
        (one,) = document["urls"]
        self.assertEqual(one["filename"], WHEEL)
        address = one["url"].removeprefix("http://pypi.example:6543")
        self.assertEqual(len(self.get(address).body), one["size"])

    def test_one_release(self) -> None:
        document = self.get("/pypi/acme/0.9/json").json
        self.assertEqual(document["info"]["version"], "0.9")
        self.assertNotIn("releases", document)
        self.assertEqual(self.get("/pypi/acme/0.9.0/json").status, 200)

    def test_names_need_not_be_normalized(self) -> None:
        self.assertEqual(self.get("/pypi/ACME/json").status, 200)

    def test_what_is_not_there(self) -> None:
        for path, sentence in (
            ("/pypi/other/json", "There is no project other here."),
            ("/pypi/acme/3.0/json", "no release of that version"),
            ("/pypi/acme/nonsense/json", "no release of that version"),
        ):
            response = self.get(path)
            self.assertEqual(response.status, 404, path)
            self.assertIn(sentence, response.text)

    def test_without_the_metadata_less_is_told(self) -> None:
        one = stored_project(self.web.store).file(WHEEL)
        assert one is not None
        assert one.metadata_key is not None
        del self.web.store.objects[one.metadata_key]
        with capturedLogs() as logs:
            response = self.get("/pypi/acme/json")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.json["info"]["version"], "1.0")
        self.assertIn("is lost", logs[0]["log_format"])

    def test_the_store_is_away(self) -> None:
        self.get("/pypi/acme/json")
        self.break_store()
        self.assertEqual(self.get("/pypi/acme/json").status, 503)

    def test_rich_metadata(self) -> None:
        text = metadata(version="2.0") + (
            b"Requires-Dist: other>=1\r\nProject-URL: Home, https://x.example\r\n"
            b"Classifier: Topic :: Software Development\r\n\r\nLong."
        )
        data = wheel(version="2.0", core_metadata=text)
        self.web.publish("acme-2.0-py3-none-any.whl", data)
        info = self.get("/pypi/acme/json").json["info"]
        self.assertEqual(info["requires_dist"], ["other>=1"])
        self.assertEqual(info["project_urls"], {"Home": "https://x.example"})
        self.assertEqual(info["classifiers"], ["Topic :: Software Development"])
        self.assertNotIn("render", self.web.domain.offload.processed)

    def test_what_takes_long_is_made_elsewhere(self) -> None:
        text = metadata(version="2.0") + b"Classifier: a\n" * 1_000
        data = wheel(version="2.0", core_metadata=text)
        self.web.publish("acme-2.0-py3-none-any.whl", data)
        for path in ("/pypi/acme/json", "/pypi/acme/2.0/json"):
            document = self.get(path).json
            self.assertEqual(document["info"]["classifiers"], ["a"] * 1_000)
            (one,) = document["urls"]
            self.assertIn("/packages/acme/", one["url"])
        self.assertEqual(self.web.domain.offload.processed.count("render"), 2)


class OperatorTests(AppCase):
    def test_health_and_ready(self) -> None:
        self.assertEqual(self.get("/health").text, "ok\n")
        self.assertEqual(self.get("/ready").text, "ready\n")
        self.break_store()
        self.assertEqual(self.get("/health").status, 200)
        response = self.get("/ready")
        self.assertEqual(response.status, 503)
        self.assertEqual(response["Retry-After"], "5")

    def test_not_ready_says_why(self) -> None:
        self.web.domain.index.standing.stop()
        response = self.get("/ready")
        self.assertEqual(
            (response.status, response.text), (503, "This server is stopping.\n")
        )

    def test_metrics_for_those_who_may(self) -> None:
        response = self.get("/metrics")
        self.assertEqual(response.status, 200)
        self.assertIn("text/plain", response["Content-Type"] or "")
        self.assertIn(b"# TYPE pypicloud_requests", response.body)
        asked: list[tuple[str | None, str]] = []

        def judge(principal: Any, client: str) -> bool:
            asked.append((principal.name, client))
            return False

        self.web.application.metrics_read = judge
        response = self.get("/metrics", **basic())
        self.assertEqual(response.status, 403)
        self.assertIn("metrics.read", response.text)
        self.assertEqual(asked, [("ann", "192.0.2.7")])
        self.assertEqual(self.web.get("/metrics", basic(password="x")).status, 401)


class ConnectionTests(AppCase):
    def test_many_requests_on_one_connection(self) -> None:
        self.web.publish(WHEEL, wheel())
        connection = self.web.connect()
        paths = ["/simple/acme/", "/simple/", "/nothing", "/simple/Acme", "/health"]
        connection.send(b"".join(request_bytes("GET", path) for path in paths))
        statuses = []
        for _ in paths:
            response = connection.response()
            assert response is not None
            statuses.append(response.status)
        self.assertEqual(statuses, [200, 200, 404, 301, 200])
        self.assertFalse(connection.wire.disconnecting)

    def test_a_client_that_leaves_while_the_store_thinks(self) -> None:
        for path in ("/simple/acme/", "/simple/", "/packages/", "/pypi/acme/json"):
            waiting: Deferred[None] = Deferred()
            self.hold(waiting)
            connection = self.web.connect()
            connection.send(request_bytes("GET", path))
            written = connection.unread
            connection.leave()
            self.web.store.before = lambda operation, key: None
            if not waiting.called:
                waiting.callback(None)
            self.assertEqual(connection.unread, written)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.get("/simple/").status, 200)
