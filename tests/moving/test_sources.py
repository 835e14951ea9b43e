"""What each kind of source tells, and how it is recognized."""

from __future__ import annotations

import contextlib
import gzip
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import (
    BadRequest,
    NotFound,
    PypicloudError,
    UpstreamError,
)
from pypicloud_tw.moving.source import SourceFile, SourceProject
from pypicloud_tw.moving.sources.devpi import DevpiKind, DevpiPlace, DevpiSource
from pypicloud_tw.moving.sources.find import find
from pypicloud_tw.moving.sources.pypiserver import PypiserverKind
from pypicloud_tw.moving.sources.simple import SimpleKind, SimpleSource
from tests import builders
from tests.moving.doubles import Bench, Site, listed, whl
from tests.upstream.doubles import (
    BASE,
    HOST,
    file,
    page,
    project,
    redirect,
    status,
)

ROOT = f"https://{HOST}/"
HTML = "text/html"
SHA256 = "0" * 64


class SourceTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.site = Site()
        self.upstream = self.site.upstream
        self.bench = Bench(self.site)


class SimpleTests(SourceTestCase):
    def project(self, name: str = "acme") -> SourceProject:
        return self.bench.finish(self.site.source().project(name))

    def names(self) -> list[str]:
        return list(self.bench.finish(self.site.source().names()))

    def test_json(self) -> None:
        told = file(
            whl("1.0"),
            b"",
            "2022-05-01T12:00:00.5Z",
            yanked="why",
            provenance="https://x.example/p",
        )
        status = {"status": "deprecated", "reason": "old"}
        document = project("acme", told, **{"project-status": status})
        self.upstream.on(f"{BASE}acme/", page(document))
        self.assertEqual(
            self.project("ACME"),
            SourceProject(
                "ACME",
                (
                    SourceFile(
                        whl("1.0"),
                        told["url"],
                        told["hashes"],
                        0,
                        datetime(2022, 5, 1, 12, 0, 0, 500000, UTC),
                        "why",
                        provenance="https://x.example/p",
                    ),
                ),
                "deprecated",
                "old",
            ),
        )

    def test_html(self) -> None:
        self.upstream.on(
            f"{BASE}acme/",
            page(
                b'<html><head><base href="https://x.example/a/"></head><body>'
                b'<a href="../f/acme-1.0.tar.gz#sha256=' + SHA256.encode() + b'" '
                b'data-yanked="" data-gpg-sig="true">acme-1.0.tar.gz</a>'
                b'<a href="acme-2.0.tar.gz">acme-2.0.tar.gz</a></body></html>',
                HTML,
            ),
        )
        one, two = self.project().files
        self.assertEqual(one.location, "https://x.example/f/acme-1.0.tar.gz")
        self.assertEqual((one.digests, one.yanked), ({"sha256": SHA256}, ""))
        self.assertEqual(one.signature, "https://x.example/f/acme-1.0.tar.gz.asc")
        self.assertEqual(two.location, "https://x.example/a/acme-2.0.tar.gz")
        self.assertEqual((two.digests, two.yanked, two.size), ({}, None, None))
        self.assertIsNone(self.project().status)

    def test_a_redirect(self) -> None:
        there = "https://x.example/i/acme/"
        self.upstream.on(f"{BASE}acme/", redirect(there))
        self.upstream.on(
            there, page(b'<html><a href="a-1.zip">a-1.zip</a></html>', HTML)
        )
        (one,) = self.project().files
        self.assertEqual(one.location, f"{there}a-1.zip")

    def test_names(self) -> None:
        self.upstream.on(BASE, listed("acme", "Acme.Tool"))
        self.assertEqual(self.names(), ["acme", "acme-tool"])
        self.upstream.on(
            BASE, page(b'<html><a href="b/">b</a> <a href="a/">A</a></html>', HTML)
        )
        self.assertEqual(self.names(), ["a", "b"])

    def test_a_hundred_thousand_names(self) -> None:
        names = [f"project-{n:06d}" for n in range(100_000)]
        self.upstream.on(BASE, listed(*names))
        self.assertEqual(self.names(), names)
        self.assertIn("read_names", self.site.offload.processed)

    def test_what_is_no_list(self) -> None:
        for body in (b"{", b'{"projects": 1}', b"\x00"):
            self.upstream.on(BASE, page(body, "application/json"))
            with contextlib.suppress(PypicloudError):
                self.assertEqual(self.names(), [])

    def test_what_of_a_list_is_no_name(self) -> None:
        projects = [{"name": "acme"}, {"name": "../x"}, {"name": "-b"}, {"name": 7}]
        document = {"meta": {"api-version": "1.1"}, "projects": projects}
        self.upstream.on(BASE, page(document))
        self.assertEqual(self.names(), ["acme", "", "-b", "../x"])

    def test_links_of_a_list_that_lead_to_no_project(self) -> None:
        body = (
            '<html><a href="../">../</a> <a href="/">Back to the index</a>'
            '<a href="?C=N;O=D">Name</a> <a href="/pypi/">Parent Directory</a>'
            '<a href="acme/">acme/</a> <a href="../x/">../x</a></html>'
        )
        self.upstream.on(BASE, page(body.encode(), HTML))
        self.assertEqual(self.names(), ["acme", "../x"])

    def test_a_version_of_the_api_that_is_not_known(self) -> None:
        told = b'{"meta": {"api-version": "9.0"}, "projects": []}'
        late = b'{"projects": [{"name": "acme"}], "meta": {"api-version": "2.0"}}'
        other = b'{"meta": {"api-version": "9.0"}, "items": []}'
        page_of_9 = (
            b'<html><meta name="pypi:repository-version" content="9.0">'
            b'<a href="a/">a</a></html>'
        )
        turned = (
            b"<html><meta content='9.0' name='pypi:repository-version'/>"
            b'<a href="a/">a</a></html>'
        )
        for body, kind in (
            (told, "application/json"),
            (late, "application/json"),
            (other, "application/json"),
            (page_of_9, HTML),
            (turned, HTML),
        ):
            self.upstream.on(BASE, page(body, kind))
            with self.assertRaisesRegex(UpstreamError, "version of the simple API"):
                self.names()
        fine = page_of_9.replace(b"9.0", b"1.9")
        self.upstream.on(BASE, page(fine, HTML))
        self.assertEqual(self.names(), ["a"])

    def test_a_list_that_does_not_begin(self) -> None:
        packed = gzip.compress(b" x" * 9 * 2**20)
        self.upstream.on(BASE, page(packed, HTML, headers={"content-encoding": "gzip"}))
        with self.assertRaisesRegex(UpstreamError, "list of names is too long"):
            self.names()

    def test_where_the_list_is(self) -> None:
        self.upstream.on(f"{ROOT}simple/", listed("acme"))
        for place, base in (
            (ROOT, f"{ROOT}simple/"),
            (f"{ROOT}simple", f"{ROOT}simple/"),
            (f"https://ann:secret@{HOST}/?a#b", f"{ROOT}simple/"),
            (f"{ROOT}api/pypi/all", f"{ROOT}api/pypi/all/"),
        ):
            source = self.bench.finish(SimpleKind().make(place, self.site.tools()))
            assert isinstance(source, SimpleSource)
            self.assertEqual(source.base, base)

    def html(self, *links: str) -> SourceProject:
        body = f"<html><body>{''.join(links)}</body></html>"
        self.upstream.on(f"{BASE}acme/", page(body.encode(), HTML))
        return self.project()

    def lost(self, found: SourceProject) -> dict[str | None, str]:
        """What is not taken, which is no file of it either."""
        lost = {one.filename: one.why for one in found.notes if one.lost}
        self.assertTrue(lost.keys().isdisjoint(one.filename for one in found.files))
        return lost

    def test_links_to_files_that_cannot_be_had(self) -> None:
        for link, why in (
            ("<a>acme-1.0.zip</a>", "no address"),
            ('<a href="">acme-1.0.zip</a>', "no address"),
            ('<a href="file:///srv/acme-1.0.zip">it</a>', "no web server"),
            ('<a href="file:///C:\\srv\\acme-1.0.zip">it</a>', "no web server"),
            ('<a href="javascript:get(1)">acme-<b>1.0</b>.zip</a>', "no web server"),
            ('<a href="http://x.example:99999/acme-1.0.zip">it</a>', "no web server"),
            ('<a href="http://exa mple/acme-1.0.zip">it</a>', "no web server"),
            ('<a href="/get?id=5">acme-1.0.zip</a>', "does not end with its name"),
        ):
            found = self.html(link, '<a href="acme-2.0.zip">acme-2.0.zip</a>')
            lost = self.lost(found)
            self.assertEqual(list(lost), ["acme-1.0.zip"], link)
            self.assertIn(why.removeprefix("no "), lost["acme-1.0.zip"])
            self.assertEqual([f.filename for f in found.files], ["acme-2.0.zip"])

    def test_links_that_every_page_has(self) -> None:
        found = self.html(
            '<a href="..">back to the index</a>',
            '<a href="#top">Links for acme</a>',
            '<a href="mailto:ann@x.example">ann</a>',
            '<a href="javascript:history.back()">Back</a>',
            '<a href="https://x.example/acme" rel="homepage">acme</a>',
            '<a href="acme-1.0.zip#sha256=' + SHA256 + '">acme-1.0.zip</a>',
            '<a href="acme-1.0.zip.asc">acme-1.0.zip.asc</a>',
            '<a href="acme-1.0.zip.sha256">acme-1.0.zip.sha256</a>',
            '<a href="acme-1.0-py3-none-any.whl.metadata">metadata</a>',
            # Another way to a file that the page links to.
            '<a href="/browse/acme/1.0">acme-1.0.zip</a>',
        )
        self.assertEqual([one.filename for one in found.files], ["acme-1.0.zip"])
        self.assertEqual(found.notes, ())

    def test_names_of_files_that_are_none(self) -> None:
        found = self.html('<a href="..%2facme-1.0.zip">acme-1.0.zip</a>')
        self.assertEqual(
            self.lost(found), {"../acme-1.0.zip": "Its name can be none of a file."}
        )

    def json(self, **more: Any) -> SourceProject:
        told = {**file("acme-1.0.zip"), **more}
        self.upstream.on(f"{BASE}acme/", page(project("acme", told, file("b-1.zip"))))
        found = self.project()
        self.assertIn("b-1.zip", [one.filename for one in found.files])
        return found

    def test_files_that_cannot_be_had(self) -> None:
        for url in (None, "", 7, "file:///acme-1.0.zip", "http://x:0/a", "http://x y/"):
            self.assertIn("address", self.lost(self.json(url=url))["acme-1.0.zip"])
        for name in ("../a.zip", "a\0.zip", "a\n.zip", "a\\b.zip", ".a.zip", "a" * 256):
            self.assertIn("name", self.lost(self.json(filename=name))[name])
        for nothing in (None, "", 7):
            self.assertIn("no name", self.lost(self.json(filename=nothing))[None])

    def test_what_is_in_the_place_of_a_file(self) -> None:
        self.upstream.on(f"{BASE}acme/", page(project("acme", 7)))  # type: ignore[arg-type]
        self.assertIn("no file", self.lost(self.project())[None])

    def test_digests_and_sizes_that_are_none(self) -> None:
        for hashes in ({"sha256": "zz"}, {"sha256": 5}, {"md5": [], "sha256": SHA256}):
            lost = self.lost(self.json(hashes=hashes))
            self.assertIn("digest is none", lost["acme-1.0.zip"])
        both = {"SHA256": "1" * 64, "sha256": SHA256}
        self.assertIn("sha256", self.lost(self.json(hashes=both))["acme-1.0.zip"])
        lost = self.lost(self.json(hashes=f"sha256={SHA256}"))
        self.assertIn("digests", lost["acme-1.0.zip"])
        for size in (-1, "12", 10**30, True, 1.5):
            self.assertIn("size", self.lost(self.json(size=size))["acme-1.0.zip"])
        lost = self.lost(self.html('<a href="acme-1.0.zip#sha256=zz">acme</a>'))
        self.assertIn("sha256 digest is none", lost["acme-1.0.zip"])

    def test_digests_that_are_not_told(self) -> None:
        for hashes in (None, {}, {"sha256": None}, {"sha256": ""}, {"crc": "zz"}):
            self.assertEqual(self.json(hashes=hashes).notes, ())
        for fragment in ("sha256=", "top", "egg=acme&subdirectory=a"):
            found = self.html(f'<a href="acme-1.0.zip#{fragment}">acme</a>')
            self.assertEqual((len(found.files), found.notes), (1, ()))

    def test_what_else_is_not_understood_is_noted(self) -> None:
        for more in ({"yanked": 1}, {"upload-time": 5}):
            (note,) = self.json(**more).notes
            self.assertEqual((note.filename, note.lost), ("acme-1.0.zip", False))
        document = project("acme", **{"project-status": {"status": "frozen"}})
        self.upstream.on(f"{BASE}acme/", page(document))
        (note,) = self.project().notes
        self.assertEqual((note.filename, note.lost), (None, False))

    def test_provenance(self) -> None:
        one = SourceFile("a", "b", provenance="https://x.example/p")
        self.upstream.on("https://x.example/p", page(b"{}"))
        source = self.site.source()
        self.assertEqual(self.bench.finish(source.provenance(one)), b"{}")
        self.assertIsNone(self.bench.finish(source.provenance(SourceFile("a", "b"))))
        self.upstream.on("https://x.example/p", page(b"x" * (2**20 + 1)))
        with self.assertRaisesRegex(UpstreamError, "too long"):
            self.bench.finish(source.provenance(one))


def stage(*projects: str, kind: str = "stage", bases: tuple[str, ...] = ()) -> Any:
    result = {"type": kind, "bases": list(bases), "projects": list(projects)}
    return page({"type": "indexconfig", "result": result})


def versions(*links: dict[str, Any]) -> Any:
    result = {"1.0": {"name": "acme", "version": "1.0", "+links": list(links)}}
    return page({"type": "projectconfig", "result": result})


def link(index: str = "dev", filename: str = "acme-1.0.tar.gz", **more: Any) -> Any:
    return {
        "rel": "releasefile",
        "href": f"http://inside:3141/alice/{index}/+f/154/abc/{filename}",
        "hashes": {"sha256": SHA256},
        "log": [
            {"what": "push", "who": "root", "when": [2024, 1, 1, 0, 0, 0]},
            {"what": "upload", "who": "alice", "when": [2022, 5, 1, 12, 0, 1]},
        ],
        **more,
    }


class DevpiTests(SourceTestCase):
    def setUp(self) -> None:
        super().setUp()
        api = page(
            {"type": "apiconfig", "result": {"login": "http://inside:3141/+login"}}
        )
        for path in ("", "alice/", "alice/dev/"):
            self.upstream.on(f"{ROOT}{path}+api", api)
        self.on("alice/dev", stage("acme", "other", bases=("alice/base", "root/pypi")))
        self.on("alice/base", stage("common", "acme"))
        self.on("root/pypi", stage("requests", kind="mirror"))

    def on(self, path: str, answer: Any) -> None:
        self.upstream.on(f"{ROOT}{path}", answer)
        self.upstream.on(f"{ROOT}{path}?no_projects=", answer)

    def files(self, path: str, answer: Any) -> None:
        self.upstream.on(f"{ROOT}{path}?ignore_bases=", answer)

    def source(self, path: str = "alice/dev", **options: Any) -> DevpiSource:
        made = DevpiKind().make(f"{ROOT}{path}", self.site.tools(**options))
        source = self.bench.finish(made)
        assert isinstance(source, DevpiSource)
        return source

    def test_an_index(self) -> None:
        source = self.source("alice/dev/+simple/")
        self.assertEqual(source.description, f"devpi at {ROOT}, dev of alice")
        self.assertEqual(self.bench.finish(source.names()), ["acme", "other"])
        self.files("alice/dev/acme", versions(link()))
        found = self.bench.finish(source.project("Acme"))
        self.assertEqual(
            found.files,
            (
                SourceFile(
                    "acme-1.0.tar.gz",
                    f"{ROOT}alice/dev/+f/154/abc/acme-1.0.tar.gz",
                    {"sha256": SHA256},
                    uploaded=datetime(2022, 5, 1, 12, 0, 1, tzinfo=UTC),
                    uploader="alice",
                ),
            ),
        )

    def test_what_bases_have_is_left(self) -> None:
        # An older devpi tells of it whatever it is asked.
        self.files("alice/dev/acme", versions(link(), link("base", "acme-0.9.tar.gz")))
        found = self.bench.finish(self.source().project("acme"))
        self.assertEqual([one.filename for one in found.files], ["acme-1.0.tar.gz"])

    def test_unless_it_is_asked_for_and_mirrors_never(self) -> None:
        source = self.source(bases=True)
        names = self.bench.finish(source.names())
        self.assertEqual(names, ["acme", "common", "other"])
        other = link("base", hashes={"sha256": "1" * 64})
        self.files("alice/dev/acme", versions(link()))
        self.files("alice/base/acme", versions(other, link("base", "acme-0.9.zip")))
        found = self.bench.finish(source.project("acme"))
        self.assertEqual(
            [(one.filename, one.digests["sha256"][0]) for one in found.files],
            [("acme-1.0.tar.gz", "0"), ("acme-0.9.zip", "0")],
        )
        self.assertEqual(found.notes[0].filename, "acme-1.0.tar.gz")

    def test_all_indexes_of_a_user(self) -> None:
        indexes: dict[str, object] = {"dev": {}, "base": {}}
        self.upstream.on(
            f"{ROOT}alice",
            page({"type": "userconfig", "result": {"indexes": indexes}}),
        )
        source = self.source("alice")
        self.assertIn("all indexes of alice", source.description)
        self.assertEqual(self.bench.finish(source.names()), ["acme", "common", "other"])

    def test_a_mirror_alone(self) -> None:
        self.upstream.on(
            f"{ROOT}root/pypi/+api",
            page({"result": {"login": f"{ROOT}+login"}}),
        )
        with self.assertRaisesRegex(NotFound, "Mirrors are not taken"):
            self.bench.finish(self.source("root/pypi").names())

    def test_an_older_one_has_one_digest(self) -> None:
        old = link(hashes=None, hash_spec="md5=ABC")
        self.files("alice/dev/acme", versions(old, link(rel="doczip")))
        (one,) = self.bench.finish(self.source().project("acme")).files
        self.assertEqual(one.digests, {"md5": "abc"})

    def test_places(self) -> None:
        for place, login, expected in (
            ("https://h/a/b", "https://h/+login", ("https://h/", "a", "b")),
            ("https://h/a/", "https://h/+login", ("https://h/", "a", None)),
            (
                "https://h/x/a/b/+simple/",
                "http://i/x/+login",
                ("https://h/x/", "a", "b"),
            ),
            ("https://h/a/b", "http://i/inside/+login", ("https://h/", "a", "b")),
        ):
            self.assertEqual(DevpiPlace.of(place, login), DevpiPlace(*expected))
        with self.assertRaisesRegex(BadRequest, "USER/INDEX"):
            DevpiPlace.of("https://h/", "https://h/+login")

    def test_what_is_not_understood(self) -> None:
        for answer in (
            page(b"[]", "application/json"),
            page({"type": "projectconfig", "result": []}),
            page({"type": "projectconfig", "result": {"1.0": []}}),
            versions({"rel": "releasefile"}),
            versions(link(log=[{"what": "upload", "when": "now"}])),
        ):
            self.files("alice/dev/acme", answer)
            with self.assertRaisesRegex(UpstreamError, "does not answer as devpi"):
                self.bench.finish(self.source().project("acme"))


class PypiserverTests(SourceTestCase):
    def test_another_index_is_not_taken_from(self) -> None:
        made = PypiserverKind().make(ROOT, self.site.tools())
        source = self.bench.finish(made)
        self.assertEqual(source.description, f"pypiserver at {BASE}")
        elsewhere = "https://pypi.example/simple/acme/"
        self.upstream.on(f"{BASE}acme/", redirect(elsewhere, 302))
        self.upstream.on(elsewhere, page(project("acme", file("acme-1.0.tar.gz"))))
        with self.assertRaisesRegex(NotFound, "sends to https://pypi.example"):
            self.bench.finish(source.project("acme"))


class FindTests(SourceTestCase):
    def found(self, place: str = ROOT, kind: str | None = None) -> str:
        source = self.bench.finish(find(place, kind, self.site.tools()))
        return source.description

    def test_by_what_it_answers(self) -> None:
        self.upstream.on(BASE, listed("acme"))
        self.assertEqual(self.found(), f"a simple index at {BASE}")
        self.upstream.on(ROOT, page(b"<h1>Welcome to pypiserver!</h1>", HTML))
        self.assertEqual(self.found(), f"pypiserver at {BASE}")
        login = {"result": {"login": f"{ROOT}+login"}}
        self.upstream.on(f"{ROOT}ann/+api", page(login))
        self.assertEqual(
            self.found(f"{ROOT}ann"), f"devpi at {ROOT}, all indexes of ann"
        )
        self.upstream.on(
            f"{ROOT}api/v1/openapi.json", page({"info": {"title": "pypicloud"}})
        )
        self.assertEqual(self.found(), f"pypicloud-tw at {ROOT}")

    def test_by_what_it_is_called(self) -> None:
        self.upstream.on(ROOT, page(b"<h1>Welcome to pypiserver!</h1>", HTML))
        self.assertEqual(self.found(kind="simple"), f"a simple index at {ROOT}")
        with self.assertRaisesRegex(BadRequest, "there are .*devpi"):
            self.found(kind="cheese shop")

    def test_nothing_of_the_kind(self) -> None:
        with self.assertRaisesRegex(BadRequest, "no devpi at"):
            self.found(kind="devpi")
        with self.assertRaisesRegex(BadRequest, "no address of an index"):
            self.found("ftp://nowhere.example/")

    def test_a_server_that_is_away(self) -> None:
        self.upstream.refuses.add(HOST)
        with self.assertRaisesRegex(UpstreamError, "cannot be reached"):
            self.found()


#: Anything that a page may say.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=9), of),
    max_leaves=8,
)
KEYS = ("filename", "url", "hashes", "size", "upload-time", "yanked", "provenance")
FILES = st.lists(
    st.dictionaries(st.sampled_from(KEYS), ANYTHING | st.just(whl("1.0"))), max_size=3
)


class HostileTests(SynchronousTestCase):
    """Whatever a page says, it ends with a report, and nothing wrong is taken."""

    @settings(max_examples=60, deadline=None)
    @given(FILES, ANYTHING)
    def test_any_page(self, files: list[dict[str, Any]], status: object) -> None:
        site = Site()
        document = project("acme", *files, **{"project-status": status})
        site.upstream.on(f"{BASE}acme/", page(json.dumps(document).encode(), None))
        bench = Bench(site)
        report = bench.take("acme")
        self.assertEqual(report.total("taken"), 0)
        self.assertIn(report.exit_code, (0, 1, 2))

    @settings(max_examples=40, deadline=None)
    @given(st.text(min_size=1, max_size=30), st.booleans())
    def test_any_filename(self, filename: str, suffixed: bool) -> None:
        site = Site()
        filename = f"{filename}-1.0-py3-none-any.whl" if suffixed else filename
        told = file("acme-1.0.tar.gz", builders.wheel()) | {"filename": filename}
        site.upstream.on(told["url"], page(builders.wheel()))
        site.upstream.on(f"{BASE}acme/", page(project("acme", told)))
        report = Bench(site).take("acme")
        if filename.lower() != whl("1.0"):
            self.assertEqual(report.total("taken"), 0)

    def test_statuses_of_nobody(self) -> None:
        site = Site()
        site.upstream.on(f"{BASE}acme/", status(404))
        self.assertEqual(Bench(site).take("acme").exit_code, 1)
