from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from html import escape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import brotli
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.web.media import Encoding, Format, Variant
from pypicloud_tw.web.negotiation import Negotiator
from pypicloud_tw.web.representation import Page, compress
from pypicloud_tw.web.simple import (
    html_entries,
    index_html,
    index_json,
    json_entries,
    project_html,
    render_project,
    render_upstream,
)

MODIFIED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
PAGE_URL = "https://index.example/prefix/simple/acme-tool/"
NASTY = "\"><script>alert('1')</script>&amp;<b>\0"


def a_file(**changes: Any) -> Document:
    file: Document = {
        "filename": "acme_tool-1.0-py3-none-any.whl",
        "url": "../../packages/acme-tool/aa/acme_tool-1.0-py3-none-any.whl",
        "hashes": {"sha256": "a" * 64},
        "size": 10,
        "upload-time": "2024-05-06T07:08:09.000000Z",
    }
    return file | changes


def a_document(*files: Document, **changes: Any) -> Document:
    document: Document = {
        "meta": {"api-version": "1.4"},
        "name": "acme-tool",
        "versions": ["1.0"],
        "files": list(files),
    }
    return document | changes


class Reader(HTMLParser):
    """Reads a page of the simple API as clients with the standard library do."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.anchors: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self.metas: list[tuple[str | None, str | None]] = []
        self.tags: set[str] = set()
        self._in_anchor = False
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        if tag == "a":
            self.anchors.append(found)
            self.texts.append("")
            self._in_anchor = True
        if tag == "meta" and "name" in found:
            self.metas.append((found["name"], found["content"]))

    def handle_endtag(self, tag: str) -> None:
        self._in_anchor = self._in_anchor and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._in_anchor:
            self.texts[-1] += data


def html_of(document: Document) -> Reader:
    page = render_project(document)
    return Reader(page.make(Variant(Format.HTML, Encoding.IDENTITY)).body)


def json_of(document: Document) -> Document:
    page = render_project(document)
    body = page.make(Variant(Format.JSON, Encoding.IDENTITY)).body
    loaded: Document = json.loads(body)
    return loaded


class HtmlTests(SynchronousTestCase):
    def anchor(self, **changes: Any) -> dict[str, str | None]:
        [anchor] = html_of(a_document(a_file(**changes))).anchors
        return anchor

    def test_link_with_digest(self) -> None:
        page = html_of(a_document(a_file()))
        href = "../../packages/acme-tool/aa/acme_tool-1.0-py3-none-any.whl"
        self.assertEqual(page.anchors, [{"href": f"{href}#sha256={'a' * 64}"}])
        self.assertEqual(page.texts, ["acme_tool-1.0-py3-none-any.whl"])

    def test_best_digest(self) -> None:
        for hashes, fragment in [
            ({"md5": "1", "sha256": "2"}, "#sha256=2"),
            ({"md5": "1", "sha512": "2"}, "#sha512=2"),
            ({"blake2b": "1"}, "#blake2b=1"),
            ({"sha256": "", "md5": "1"}, "#md5=1"),
            ({"sha256": 5}, ""),
            ({"sha256": "a&md5=b"}, "#sha256=a%26md5%3Db"),
            ({}, ""),
            (None, ""),
            ("sha256", ""),
        ]:
            href = self.anchor(url="u", hashes=hashes)["href"]
            self.assertEqual(href, f"u{fragment}", hashes)

    def test_digest_replaces_a_fragment(self) -> None:
        self.assertEqual(
            self.anchor(url="u?q#md5=0", hashes={"sha256": "1"})["href"],
            "u?q#sha256=1",
        )
        self.assertEqual(self.anchor(url="u#md5=0", hashes={})["href"], "u#md5=0")

    def test_requires_python(self) -> None:
        page = render_project(a_document(a_file(**{"requires-python": ">=3.9,<4"})))
        body = page.make(Variant(Format.HTML, Encoding.IDENTITY)).body
        # PEP 503: "< and > have to be HTML encoded".
        self.assertIn(b'data-requires-python="&gt;=3.9,&lt;4"', body)
        for nothing in ("", None, 3):
            anchor = self.anchor(**{"requires-python": nothing})
            self.assertNotIn("data-requires-python", anchor)

    def test_yanked(self) -> None:
        for value, expected in [(True, ""), ("broken & bad", "broken & bad")]:
            self.assertEqual(self.anchor(yanked=value)["data-yanked"], expected)
        for value in (False, None, ""):
            self.assertNotIn("data-yanked", self.anchor(yanked=value))

    def test_yanked_is_marked_for_people(self) -> None:
        """Behind the link, whose text is the filename."""
        for value, word in [(True, "yanked"), ("a <b> & c", "yanked: a <b> & c")]:
            page = render_project(a_document(a_file(yanked=value), a_file()))
            body = page.make(Variant(Format.HTML, Encoding.IDENTITY)).body.decode()
            mark = f'</a> <span class="yanked">{escape(word)}</span><br>'
            self.assertEqual(body.count(mark), 1)
            self.assertEqual(body.count("yanked</") + body.count("yanked:"), 1)
            self.assertEqual(
                Reader(body.encode()).texts, ["acme_tool-1.0-py3-none-any.whl"] * 2
            )

    def test_core_metadata_has_both_names(self) -> None:
        for value, expected in [
            ({"sha256": "ab"}, "sha256=ab"),
            ({"other": "ab"}, "other=ab"),
            (True, "true"),
        ]:
            anchor = self.anchor(**{"core-metadata": value})
            self.assertEqual(anchor["data-core-metadata"], expected)
            self.assertEqual(anchor["data-dist-info-metadata"], expected)
        for value in (False, None, {}):
            self.assertEqual(list(self.anchor(**{"core-metadata": value})), ["href"])

    def test_signature_and_provenance(self) -> None:
        self.assertEqual(self.anchor(**{"gpg-sig": True})["data-gpg-sig"], "true")
        self.assertEqual(self.anchor(**{"gpg-sig": False})["data-gpg-sig"], "false")
        url = "https://upstream.example/provenance?a&b"
        self.assertEqual(self.anchor(provenance=url)["data-provenance"], url)
        self.assertEqual(list(self.anchor(provenance=None)), ["href"])

    def test_version_is_frozen(self) -> None:
        for version in ("1.0", "1.4", "1.9"):
            page = html_of(a_document(meta={"api-version": version}))
            self.assertEqual(page.metas, [("pypi:repository-version", "1.4")])

    def test_project_status(self) -> None:
        status = {"status": "archived", "reason": 'we "moved"'}
        page = html_of(a_document(a_file(), **{"project-status": status}))
        self.assertEqual(
            page.metas[1:],
            [
                ("pypi:project-status", "archived"),
                ("pypi:project-status-reason", 'we "moved"'),
            ],
        )
        self.assertEqual(len(page.anchors), 1)
        page = html_of(a_document(**{"project-status": {"status": "active"}}))
        self.assertEqual(len(page.metas), 1)

    def test_quarantine_offers_nothing(self) -> None:
        status = {"status": "quarantined"}
        document = a_document(a_file(), **{"project-status": status})
        self.assertEqual(html_of(document).anchors, [])
        served = json_of(document)
        self.assertEqual(served["files"], [])
        self.assertEqual(served["versions"], ["1.0"])
        self.assertEqual(served["project-status"], status)

    def test_metas_of_the_rejected_pep_708_are_gone(self) -> None:
        document = a_document(
            meta={"api-version": "1.2", "tracks": ["https://a.example/"]},
            **{"alternate-locations": ["https://b.example/"]},
        )
        self.assertEqual(html_of(document).metas[1:], [])

    def test_an_upstreams_project_is_in_no_namespace(self) -> None:
        page, weight = render_upstream(a_document(namespaces=[{"name": "a"}]))
        self.assertIsNone(json.loads(page.json)["namespaces"])
        self.assertEqual(weight, page.weight)

    def test_order_is_kept(self) -> None:
        names = ["b", "a", "c", "a"]
        page = html_of(a_document(*(a_file(filename=n) for n in names)))
        self.assertEqual(page.texts, names)

    def test_nothing_escapes_its_place(self) -> None:
        file = a_file(
            filename=NASTY,
            url=NASTY,
            hashes={NASTY: NASTY},
            provenance=NASTY,
            yanked=NASTY,
            **{"core-metadata": {NASTY: NASTY}, "requires-python": NASTY},
        )
        document = a_document(
            file,
            name=NASTY,
            **{"project-status": {"status": NASTY, "reason": NASTY}},
        )
        page = html_of(document)
        tags = {"html", "head", "meta", "title", "body", "h1", "a", "span", "br"}
        self.assertEqual(page.tags, tags)
        self.assertEqual(page.texts, [NASTY])
        self.assertEqual(page.anchors[0]["data-yanked"], NASTY)
        self.assertEqual([content for _, content in page.metas[1:]], [NASTY] * 2)

    def test_half_a_surrogate_pair(self) -> None:
        document = a_document(a_file(yanked="\ud800", url="\udcff", hashes={}))
        self.assertEqual(html_of(document).anchors, [{"href": "?", "data-yanked": "?"}])
        self.assertEqual(json_of(document)["files"][0]["yanked"], "?")


class JsonTests(SynchronousTestCase):
    def test_known_and_unknown_keys_survive(self) -> None:
        file = a_file(
            **{
                "yanked": "why",
                "core-metadata": {"sha256": "ab"},
                "provenance": None,
                "x-new": [1, {"a": None}],
                "data-dist-info-metadata": {"sha256": "ab"},
            }
        )
        document = a_document(
            file,
            meta={"api-version": "1.7", "_last-serial": 5, "tracks": []},
            **{"alternate-locations": [], "x-new": 1.5},
        )
        self.assertEqual(json_of(document), document)

    def test_old_name_of_core_metadata(self) -> None:
        # PEP 714: pip 22.3 fails on the old one.
        document = a_document(a_file(**{"dist-info-metadata": {"sha256": "ab"}}))
        before = deepcopy(document)
        [file] = json_of(document)["files"]
        self.assertEqual(file, a_file(**{"core-metadata": {"sha256": "ab"}}))
        [anchor] = html_of(document).anchors
        self.assertEqual(anchor["data-core-metadata"], "sha256=ab")
        self.assertEqual(document, before)

    def test_new_name_wins(self) -> None:
        file = a_file(**{"dist-info-metadata": True, "core-metadata": False})
        [served] = json_of(a_document(file))["files"]
        self.assertEqual(served, a_file(**{"core-metadata": False}))

    def test_mandatory_keys(self) -> None:
        file = a_file()
        del file["hashes"]
        served = json_of({"name": "a", "files": [file]})
        self.assertEqual(served["meta"], {"api-version": "1.0"})
        self.assertEqual(served["files"][0]["hashes"], {})

    def test_what_is_no_file_is_left_out(self) -> None:
        malformed: list[Any] = [
            [None, 5, "a", [], {}, {"url": "a"}, {"filename": "a"}],
            [a_file(url=5), a_file(filename=None)],
            None,
            {},
            "files",
        ]
        for files in malformed:
            document = a_document(files=files)
            self.assertEqual(json_of(document)["files"], [])
            self.assertEqual(html_of(document).anchors, [])

    def test_malformed_parts_do_not_fail(self) -> None:
        for changes in (
            {"meta": 5},
            {"name": None},
            {"project-status": "archived"},
            {"project-status": {"status": None, "reason": 5}},
        ):
            document = a_document(a_file(), **changes)
            self.assertEqual(len(html_of(document).anchors), 1, changes)
            self.assertEqual(len(json_of(document)["files"]), 1, changes)

    def test_numbers_that_json_has_not(self) -> None:
        for number in (float("nan"), float("inf")):
            e = self.assertRaises(
                ValueError, render_project, a_document(a_file(size=number))
            )
            self.assertIn("not JSON compliant", str(e))


NAMES = [NormalizedName("acme-tool"), NormalizedName("b"), NormalizedName("c0")]


class IndexTests(SynchronousTestCase):
    def test_html(self) -> None:
        reader = Reader(
            b"".join(index_html(map(html_entries, [NAMES[:1], [], NAMES[1:]])))
        )
        hrefs = ["acme-tool/", "b/", "c0/"]
        self.assertEqual([a["href"] for a in reader.anchors], hrefs)
        self.assertEqual(reader.texts, NAMES)
        self.assertEqual(reader.metas, [("pypi:repository-version", "1.4")])

    def test_json(self) -> None:
        parts: list[list[NormalizedName]] = [[], NAMES[:1], [], NAMES[1:]]
        batches = [json_entries(part, NAMES) for part in parts]
        self.assertEqual(
            json.loads(b"".join(index_json(batches, last_serial=7))),
            {
                "meta": {"api-version": "1.5", "_last-serial": 7},
                "projects": [{"name": name} for name in NAMES],
            },
        )

    def test_empty(self) -> None:
        reader = Reader(b"".join(index_html([])))
        self.assertEqual(reader.anchors, [])
        self.assertEqual(json.loads(b"".join(index_json([b""])))["projects"], [])


DECODERS: dict[Encoding, Callable[[bytes], bytes]] = {
    Encoding.IDENTITY: bytes,
    Encoding.GZIP: gzip.decompress,
    Encoding.BROTLI: brotli.decompress,
    Encoding.ZSTD: lambda data: zstandard.ZstdDecompressor().decompress(data),
}


def large_page() -> Page:
    files = [a_file(filename=f"a-{n}.whl", url=f"a-{n}.whl") for n in range(400)]
    return render_project(a_document(*files), MODIFIED)


def large_upstream_page() -> Page:
    files = [a_file(filename=f"a-{n}.whl", url=f"a-{n}.whl") for n in range(400)]
    page, _ = render_upstream(a_document(*files))
    return page


def fields(block: bytes) -> dict[str, str]:
    """Read a block of header fields, failing where a line or a name is doubled."""
    assert block.endswith(b"\r\n")
    lines = block.removesuffix(b"\r\n").decode().split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(map(tuple, pairs))  # type: ignore[arg-type]  # split gives two


class RepresentationTests(SynchronousTestCase):
    def test_every_variant(self) -> None:
        page = large_page()
        plain = {
            form: page.make(Variant(form, Encoding.IDENTITY)).body for form in Format
        }
        self.assertEqual(plain[Format.HTML], plain[Format.TEXT])
        etags = set()
        for form in Format:
            for encoding in Encoding:
                made = page.make(Variant(form, encoding))
                self.assertEqual(DECODERS[encoding](made.body), plain[form])
                etags.add(made.etag)
                header = fields(made.header_block(private=False))
                self.assertEqual(header["Content-Type"], form.content_type.decode())
                self.assertEqual(header["Content-Length"], str(len(made.body)))
                coding = None if encoding is Encoding.IDENTITY else encoding
                self.assertEqual(header.get("Content-Encoding"), coding)
        self.assertEqual(len(etags), len(Format) * len(Encoding))
        for etag in etags:
            self.assertRegex(etag, rb'\A"[0-9a-f]{32}"\Z')

    def test_header_block(self) -> None:
        made = large_page().make(Variant(Format.JSON, Encoding.IDENTITY))
        self.assertEqual(
            fields(made.header_block(private=True)),
            {
                "Content-Type": "application/vnd.pypi.simple.v1+json",
                "Content-Length": str(len(made.body)),
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "same-origin",
                "Content-Security-Policy": "default-src 'none'; base-uri 'none'; "
                "form-action 'none'; frame-ancestors 'none'",
                "ETag": made.etag.decode(),
                # Not Authorization: pip's cache would write the password to disk.
                "Vary": "Accept, Accept-Encoding",
                "Last-Modified": "Mon, 06 May 2024 07:08:09 GMT",
                "Cache-Control": "no-cache, private",
            },
        )
        public = fields(made.header_block(private=False))
        self.assertEqual(public["Cache-Control"], "no-cache, public")

    def test_not_modified_repeats_what_the_whole_had(self) -> None:
        made = large_page().make(Variant(Format.TEXT, Encoding.GZIP))
        for private in (True, False):
            whole = fields(made.header_block(private))
            names = ("ETag", "Cache-Control", "Vary", "Last-Modified")
            self.assertEqual(
                fields(made.not_modified_block(private)),
                {name: whole[name] for name in names},
            )

    def test_without_a_date(self) -> None:
        made = render_project(a_document()).make(Variant(Format.JSON, Encoding.GZIP))
        self.assertNotIn("Last-Modified", fields(made.header_block(False)))

    def test_equal_pages_are_equal_bytes(self) -> None:
        for encoding in Encoding:
            variant = Variant(Format.JSON, encoding)
            first, second = large_page().make(variant), large_page().make(variant)
            self.assertEqual(first, second)

    def test_repr_does_not_show_the_body(self) -> None:
        page = large_page()
        made = page.make(Variant(Format.JSON, Encoding.IDENTITY))
        self.assertLess(len(repr(made)) + len(repr(page)), 500)


class PageTests(SynchronousTestCase):
    def test_found_once_made(self) -> None:
        page = large_page()
        variant = Variant(Format.JSON, Encoding.ZSTD)
        self.assertIsNone(page.find(variant))
        made = page.make(variant)
        self.assertIs(page.find(variant), made)
        self.assertIs(page.make(variant), made)

    def test_small_pages_go_out_plain(self) -> None:
        choice = Negotiator().choose(None, b"gzip")
        small, large = render_project(a_document()), large_page()
        self.assertTrue(small.small)
        self.assertIs(small.variant(choice).encoding, Encoding.IDENTITY)
        self.assertIs(large.variant(choice).encoding, Encoding.GZIP)

    def test_quick(self) -> None:
        variant = Variant(Format.JSON, Encoding.GZIP)
        page = large_page()
        self.assertFalse(page.quick(variant))
        page.make(variant)
        self.assertTrue(page.quick(variant))
        self.assertTrue(render_project(a_document(a_file())).quick(variant))

    def test_aliases_share_their_bytes(self) -> None:
        page = large_page()
        text = page.make(Variant(Format.TEXT, Encoding.GZIP))
        html = page.make(Variant(Format.HTML, Encoding.GZIP))
        self.assertIs(html.body, text.body)

    def test_weight_covers_every_variant(self) -> None:
        for page in (large_page(), render_project(a_document(a_file()))):
            variants = [
                Variant(form, encoding) for form in Format for encoding in Encoding
            ]
            bodies = {id(page.make(v).body): len(page.make(v).body) for v in variants}
            self.assertGreater(page.weight, sum(bodies.values()))

    def test_survives_the_way_from_a_helper_process(self) -> None:
        page = large_page()
        variant = Variant(Format.JSON, Encoding.BROTLI)
        made = page.make(variant)
        there = pickle.loads(pickle.dumps(page))
        self.assertEqual(there.find(variant), made)
        html = Variant(Format.HTML, Encoding.IDENTITY)
        self.assertEqual(there.make(html), page.make(html))

    def test_an_upstreams_page_is_ready_as_zstd(self) -> None:
        """So it crosses the pipe as it goes out, and is small on both ways."""
        page = large_upstream_page()
        for there in (page, pickle.loads(pickle.dumps(page))):
            made = there.find(Variant(Format.JSON, Encoding.ZSTD))
            assert made is not None
            self.assertEqual(
                json.loads(DECODERS[Encoding.ZSTD](made.body)), json.loads(there.json)
            )
        self.assertLess(len(pickle.dumps(page)), page.size / 2)

    def test_an_upstreams_page_in_every_variant(self) -> None:
        page = large_upstream_page()
        plain = Page.of(page.json, project_html)
        self.assertEqual(page.size, plain.size)
        variants = [Variant(form, encoding) for form in Format for encoding in Encoding]
        for variant in variants:
            self.assertEqual(page.make(variant), plain.make(variant))
        self.assertGreater(
            page.weight,
            sum(
                len(page.make(v).body) for v in variants if v.format is not Format.TEXT
            ),
        )

    def test_what_must_be_unpacked_is_not_quick(self) -> None:
        page, plain = large_upstream_page(), Variant(Format.JSON, Encoding.IDENTITY)
        self.assertFalse(page.quick(plain))
        self.assertTrue(page.quick(Variant(Format.JSON, Encoding.ZSTD)))
        small, _ = render_upstream(a_document())
        self.assertTrue(small.small)
        self.assertTrue(small.quick(plain))

    def test_what_an_upstreams_page_may_have(self) -> None:
        document = a_document(a_file(yanked="\ud800"), more=2**70)
        page, _ = render_upstream(document)
        read = json.loads(page.json)
        self.assertEqual((read["files"][0]["yanked"], read["more"]), ("?", 2**70))

    def test_compress_leaves_identity_alone(self) -> None:
        self.assertEqual(compress(b"abc", Encoding.IDENTITY), b"abc")


TEXTS = st.text(max_size=12) | st.sampled_from([NASTY, "", "\r\n", "&#39;", "]]>"])


def digests(at_least: int) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(
        st.sampled_from(["sha256", "sha512", "md5"]),
        st.text("0123456789abcdef", min_size=1, max_size=8),
        min_size=at_least,
        max_size=2,
    )


FILES = st.fixed_dictionaries(
    {
        "filename": TEXTS,
        "url": st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=3).map(
            lambda parts: "../" + "/".join(quote(part, safe="") for part in parts)
        ),
        "hashes": digests(0),
    },
    optional={
        "size": st.integers(0, 2**60),
        "upload-time": st.datetimes(min_value=datetime(1970, 1, 1)).map(
            lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ),
        "requires-python": TEXTS,
        "yanked": st.booleans() | TEXTS,
        "core-metadata": st.booleans() | digests(1),
        "provenance": st.none() | TEXTS,
        "gpg-sig": st.booleans(),
        "x-unknown": st.none() | st.integers() | TEXTS,
    },
)
DOCUMENTS = st.lists(FILES, max_size=4).map(lambda files: a_document(*files))


def expected_anchor(file: Document) -> dict[str, str]:
    """Say again, in other words than the code, what HTML shows of a file."""

    def best(hashes: dict[str, str]) -> str:
        name = min(hashes, key=["sha256", "sha512", "md5"].index)
        return f"{name}={hashes[name]}"

    href = file["url"] + (f"#{best(file['hashes'])}" if file["hashes"] else "")
    anchor = {"href": href}
    if file.get("requires-python"):
        anchor["data-requires-python"] = file["requires-python"]
    if file.get("yanked"):
        anchor["data-yanked"] = "" if file["yanked"] is True else file["yanked"]
    if metadata := file.get("core-metadata"):
        value = "true" if metadata is True else best(metadata)
        anchor["data-core-metadata"] = anchor["data-dist-info-metadata"] = value
    if "gpg-sig" in file:
        anchor["data-gpg-sig"] = str(file["gpg-sig"]).lower()
    if file.get("provenance"):
        anchor["data-provenance"] = file["provenance"]
    return anchor


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=40, deadline=None)
    @given(DOCUMENTS)
    def test_json_round_trips(self, document: Document) -> None:
        before = deepcopy(document)
        self.assertEqual(json_of(document), document)
        self.assertEqual(document, before)

    @settings(max_examples=50, deadline=None)
    @given(DOCUMENTS)
    def test_html_gives_back_what_went_in(self, document: Document) -> None:
        page = html_of(document)
        files = document["files"]
        self.assertEqual(page.anchors, [expected_anchor(file) for file in files])
        self.assertEqual(page.texts, [file["filename"] for file in files])

    @settings(max_examples=50, deadline=None)
    @given(DOCUMENTS)
    def test_pip_reads_the_same_in_both_forms(self, document: Document) -> None:
        try:
            from pip._internal.index.collector import IndexContent, parse_links
        except ImportError:
            raise SkipTest("pip is not installed here") from None
        page = render_project(document)

        def links(form: Format) -> list[tuple[Any, ...]]:
            made = page.make(Variant(form, Encoding.IDENTITY))
            content = IndexContent(
                made.body,
                form.content_type.decode(),
                encoding="utf-8",
                url=PAGE_URL,
                cache_link_parsing=False,
            )
            return [
                (
                    link.url.partition("#")[0],
                    link.requires_python,
                    link.yanked_reason,
                    link.metadata_file_data is not None,
                    bool(link._hashes),
                )
                for link in parse_links(content)
            ]

        expected = links(Format.JSON)
        self.assertEqual(len(expected), len(document["files"]))
        self.assertEqual(links(Format.HTML), expected)
        self.assertEqual(links(Format.TEXT), expected)
