"""Reading an upstream's page."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import UpstreamError
from pypicloud_tw.index.model import Document
from pypicloud_tw.upstream.links import find, relinked, segment, table
from pypicloud_tw.upstream.parse import file_version, parse_page

URL = "https://up.example/simple/acme/"
SHA = "ab" * 32


def read(page: object, **options: Any) -> Document:
    data = page if isinstance(page, bytes) else json.dumps(page).encode()
    kind = options.pop("kind", "application/vnd.pypi.simple.v1+json")
    return parse_page(data, kind, options.pop("url", URL), "acme", **options)


def html(body: str, head: str = "", **options: Any) -> Document:
    page = f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>"
    options.setdefault("kind", "text/html; charset=utf-8")
    return read(page.encode(), **options)


def page(*files: Document, **more: Any) -> Document:
    return {"meta": {"api-version": "1.0"}, "name": "acme", "files": files, **more}


WHEEL: dict[str, Any] = {
    "filename": "acme-1.0-py3-none-any.whl",
    "url": "https://files.example/acme-1.0-py3-none-any.whl",
    "hashes": {"sha256": SHA},
}


class JsonTests(SynchronousTestCase):
    def test_everything_survives(self) -> None:
        file = {
            **WHEEL,
            "requires-python": ">=3.8",
            "yanked": "broken",
            "size": 3,
            "upload-time": "2024-01-01T00:00:00.000000Z",
            "core-metadata": {"sha256": SHA},
            "gpg-sig": True,
            "provenance": "https://up.example/p",
            "future-key": {"a": [1]},
        }
        told = page(
            file,
            versions=["1.0", "2.0"],
            **{
                "project-status": {"status": "archived", "reason": "old"},
                "future-key": {"a": 1},
            },
        )
        told["meta"] = {"api-version": "1.4", "_last-serial": 7}
        self.assertEqual(read(told), told | {"files": [file]})

    def test_what_holds_at_another_index_alone_is_dropped(self) -> None:
        """PEP 752, and PEP 708, which was rejected."""
        told = page(
            WHEEL,
            namespaces=[{"name": "acme", "owned": True}],
            **{"alternate-locations": ["https://other.example/simple/acme/"]},
        )
        told["meta"] = {"api-version": "1.4", "tracks": ["https://a.example/"]}
        document = read(told)
        self.assertNotIn("namespaces", document)
        self.assertNotIn("alternate-locations", document)
        self.assertEqual(document["meta"], {"api-version": "1.4"})

    def test_relative_links(self) -> None:
        file = {**WHEEL, "url": "../../files/a.whl"}
        (read_file,) = read(page(file))["files"]
        self.assertEqual(read_file["url"], "https://up.example/files/a.whl")

    def test_a_relative_provenance(self) -> None:
        """PEP 740 has whole addresses; on our page another would lead to us."""
        for told, address in (
            ("../../provenance/1", "https://up.example/provenance/1"),
            ("/provenance/1", "https://up.example/provenance/1"),
            ("//files.example/1", "https://files.example/1"),
        ):
            (file,) = read(page({**WHEEL, "provenance": told}))["files"]
            self.assertEqual(file["provenance"], address)
            (file,) = html(f'<a href="acme-1.0.tar.gz" data-provenance="{told}">x</a>')[
                "files"
            ]
            self.assertEqual(file["provenance"], address)

    def test_a_provenance_that_leads_nowhere(self) -> None:
        for told in ("javascript:alert(1)", "", None):
            (file,) = read(page({**WHEEL, "provenance": told}))["files"]
            self.assertNotIn("provenance", file)

    def test_private_keys_are_dropped(self) -> None:
        document = read(page({**WHEEL, "_key": "x"}, _format=1))
        self.assertNotIn("_format", document)
        self.assertNotIn("_key", document["files"][0])

    def test_older_spelling_of_core_metadata(self) -> None:
        (file,) = read(page({**WHEEL, "dist-info-metadata": {"sha256": SHA}}))["files"]
        self.assertEqual(file["core-metadata"], {"sha256": SHA})
        self.assertNotIn("dist-info-metadata", file)

    def test_newer_spelling_wins(self) -> None:
        (file,) = read(
            page({**WHEEL, "core-metadata": False, "dist-info-metadata": True})
        )["files"]
        self.assertIs(file["core-metadata"], False)

    def test_a_status_of_the_future(self) -> None:
        told = {"status": "frozen", "reason": "winter"}
        self.assertEqual(read(page(**{"project-status": told}))["project-status"], told)
        for nonsense in ("archived", {"status": 1}, {"reason": "x"}, None):
            document = read(page(**{"project-status": nonsense}))
            self.assertNotIn("project-status", document)

    def test_wrong_types_are_dropped(self) -> None:
        wrong = {
            "requires-python": 3,
            "yanked": 1,
            "size": "big",
            "upload-time": 0,
            "provenance": {},
            "gpg-sig": "yes",
            "core-metadata": "true",
        }
        (file,) = read(page({**WHEEL, **wrong}))["files"]
        self.assertEqual(file, WHEEL)

    def test_size_of_true_is_no_size(self) -> None:
        (file,) = read(page({**WHEEL, "size": True}))["files"]
        self.assertNotIn("size", file)

    def test_unusable_files_are_left_out(self) -> None:
        bad: list[Any] = [
            7,
            {},
            {**WHEEL, "url": "javascript:alert(1)"},
            {**WHEEL, "url": "file:///etc/passwd"},
            {**WHEEL, "url": "https://"},
            {**WHEEL, "url": "https://[broken/a.whl"},
            {**WHEEL, "url": "https://host:99999/a.whl"},
            {**WHEEL, "url": "https://host:port/a.whl"},
            {**WHEEL, "filename": "../a.whl"},
            {**WHEEL, "filename": "a\\b.whl"},
            {**WHEEL, "filename": ""},
            {**WHEEL, "filename": "a\nb.whl"},
            {**WHEEL, "filename": 3},
        ]
        self.assertEqual(read(page(*bad, WHEEL))["files"], [WHEEL])

    def test_another_projects_page(self) -> None:
        error = self.assertRaises(UpstreamError, read, page(WHEEL) | {"name": "evil"})
        self.assertIn("is another project's", error.message)

    def test_no_key_is_shown(self) -> None:
        """Some indexes have their clients' tokens in the path."""
        signed = "https://u:p@cdn.example:8443/s3cret/acme/?token=s3cret#x"
        error = self.assertRaises(UpstreamError, read, b"{", url=signed)
        self.assertIn("at https://cdn.example:8443 is damaged", error.message)

    def test_a_newer_major_version(self) -> None:
        told = page(WHEEL) | {"meta": {"api-version": "2.0"}}
        error = self.assertRaises(UpstreamError, read, told)
        self.assertIn("version of the simple API", error.message)

    def test_damaged(self) -> None:
        for data in (
            b'{"files": [',
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"files": [], "x": NaN}',
            b'{"files": [], "x": 1e999}',
            b'{"files": [], "x": "\\ud800"}',
            b'{"files": [], "x": "\\uD800"}',
        ):
            error = self.assertRaises(UpstreamError, read, data)
            self.assertIn("is damaged JSON", error.message)

    def test_json_of_something_else(self) -> None:
        for data in (b"[]", b"null", b'{"files": {}}', b'{"message": "sorry"}'):
            error = self.assertRaises(UpstreamError, read, data)
            self.assertIn("not of the simple repository API", error.message)

    def test_another_media_type(self) -> None:
        error = self.assertRaises(UpstreamError, read, b"...", kind="image/png")
        self.assertIn("is not a page", error.message)

    def test_no_media_type(self) -> None:
        self.assertEqual(read(page(WHEEL), kind=None)["files"], [WHEEL])
        link = b'<a href="a-1.tar.gz">a</a>'
        self.assertEqual(len(read(link, kind=None)["files"]), 1)

    @given(st.binary(max_size=200), st.booleans())
    def test_any_bytes_make_a_document_or_one_error(
        self, data: bytes, as_json: bool
    ) -> None:
        kind = "application/json" if as_json else "text/html"
        try:
            document = read(data, kind=kind)
        except UpstreamError:
            return
        json.dumps(document, ensure_ascii=False).encode()

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from([*WHEEL, "yanked", "core-metadata", "size", "x"]),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=15,
        )
    )
    def test_any_file_is_clean_or_left_out(self, item: Any) -> None:
        for file in read(page(item))["files"]:
            self.assertTrue(file["url"].startswith(("https://", "http://")))
            self.assertNotIn("/", file["filename"])
            self.assertIsInstance(file["hashes"], dict)
            self.assertIsInstance(file.get("size", 0), int)


class HtmlTests(SynchronousTestCase):
    def test_attributes(self) -> None:
        (file,) = html(
            f'<a href="../../f/acme-1.0.tar.gz#sha256={SHA.upper()}" '
            'data-requires-python="&gt;=3.8" data-yanked="a &amp; b" '
            f'data-core-metadata="sha256={SHA}" data-dist-info-metadata="true" '
            'data-gpg-sig="true" data-provenance="https://up.example/p">x</a>'
        )["files"]
        self.assertEqual(
            file,
            {
                "filename": "acme-1.0.tar.gz",
                "url": "https://up.example/f/acme-1.0.tar.gz",
                "hashes": {"sha256": SHA},
                "requires-python": ">=3.8",
                "yanked": "a & b",
                "core-metadata": {"sha256": SHA},
                "gpg-sig": True,
                "provenance": "https://up.example/p",
            },
        )

    def test_yanked_without_reason(self) -> None:
        for attribute in ("data-yanked", 'data-yanked=""'):
            (file,) = html(f'<a href="acme-1.0.tar.gz" {attribute}>x</a>')["files"]
            self.assertIs(file["yanked"], True)

    def test_core_metadata_without_digest(self) -> None:
        (file,) = html('<a href="a-1.tar.gz" data-dist-info-metadata="true">x</a>')[
            "files"
        ]
        self.assertIs(file["core-metadata"], True)

    def test_base(self) -> None:
        head = (
            '<base href="https://cdn.example/root/"><base href="https://no.example/">'
        )
        (file,) = html('<a href="acme-1.0.tar.gz">x</a>', head)["files"]
        self.assertEqual(file["url"], "https://cdn.example/root/acme-1.0.tar.gz")

    def test_relative_base(self) -> None:
        (file,) = html('<a href="a-1.tar.gz">x</a>', '<base href="/f/">')["files"]
        self.assertEqual(file["url"], "https://up.example/f/a-1.tar.gz")

    def test_a_base_that_is_no_address(self) -> None:
        for base in ("http://[", "https://[::1", "http://x]y/"):
            (file,) = html('<a href="a-1.tar.gz">x</a>', f'<base href="{base}">')[
                "files"
            ]
            self.assertEqual(file["url"], f"{URL}a-1.tar.gz")

    def test_quoted_filename(self) -> None:
        (file,) = html('<a href="/f/acme-1.0%2Blocal.tar.gz">x</a>')["files"]
        self.assertEqual(file["filename"], "acme-1.0+local.tar.gz")
        self.assertEqual(file["url"], "https://up.example/f/acme-1.0%2Blocal.tar.gz")

    def test_other_links_are_no_files(self) -> None:
        document = html(
            '<a href="../">up</a><a href="https://home.example/">home</a><a>none</a>'
            '<a href="%2e%2e%2fa.whl">trick</a>'
        )
        self.assertEqual(document["files"], [])

    def test_status(self) -> None:
        document = html(
            "",
            '<meta name="pypi:project-status" content="deprecated">'
            '<meta name="pypi:project-status-reason" content="see &quot;x&quot;">',
        )
        self.assertEqual(
            document["project-status"], {"status": "deprecated", "reason": 'see "x"'}
        )

    def test_a_digest_among_other_things(self) -> None:
        for fragment in (
            f"sha256={SHA}&subdirectory=deadbeef",
            f"egg=acme-1.0&sha256={SHA}",
            f"egg=deadbeef&subdirectory=a&sha256={SHA}",
        ):
            (file,) = html(f'<a href="a-1.tar.gz#{fragment}">x</a>')["files"]
            self.assertEqual(file["hashes"], {"sha256": SHA}, fragment)

    def test_metas_of_the_rejected_pep_708_are_dropped(self) -> None:
        document = html(
            "",
            '<meta name="pypi:tracks" content="https://a.example/acme/">'
            '<meta name="pypi:tracks" content="https://b.example/acme/">'
            '<meta name="pypi:alternate-locations" content="https://c.example/acme/">',
        )
        self.assertEqual(document["meta"], {"api-version": "1.0"})
        self.assertNotIn("alternate-locations", document)

    def test_version(self) -> None:
        meta = '<meta name="pypi:repository-version" content="{}">'
        self.assertEqual(html("", meta.format("1.4"))["meta"], {"api-version": "1.0"})
        error = self.assertRaises(UpstreamError, html, "", meta.format("2.0"))
        self.assertIn("version of the simple API", error.message)

    def test_versions_are_those_of_the_files(self) -> None:
        document = html(
            '<a href="acme-1.0.tar.gz">x</a><a href="acme-1.0-py3-none-any.whl">x</a>'
            '<a href="acme-2.0.zip">x</a>'
        )
        self.assertEqual(document["versions"], ["1.0", "2.0"])

    def test_an_unframed_page_must_show_its_end(self) -> None:
        self.assertEqual(html("", whole=False)["files"], [])
        error = self.assertRaises(
            UpstreamError, read, b"<html><a", kind="text/html", whole=False
        )
        self.assertIn("ended before its end", error.message)

    def test_what_is_no_html(self) -> None:
        """It must not be taken for a project without files."""
        for body in (b"", b"\n", b"Bad gateway", b"\xff\x00<>", b"<error/>"):
            error = self.assertRaises(UpstreamError, read, body, kind="text/html")
            self.assertIn("is not HTML", error.message)
        for body in (b"<!doctype HTML>", b"<body></body>", b'<a href="x">x</a>'):
            self.assertEqual(read(body, kind="text/html")["files"], [])

    def test_unknown_charset(self) -> None:
        more = 'a href="b-1.tar.gz">'
        page = f'<a href="a-1.tar.gz">\u00e9</a>+ADw-{more} \\u003c{more}'
        escaping = ("utf-7", "unicode_escape", "raw_unicode_escape")
        for charset in ("nope", "idna", "punycode", "undefined", '"\0"', *escaping):
            document = html(page, kind=f"text/html; charset={charset}")
            self.assertEqual(len(document["files"]), 1, charset)


class VersionTests(SynchronousTestCase):
    def test_versions(self) -> None:
        for filename, version in (
            ("acme-1.0-py3-none-any.whl", "1.0"),
            ("acme-1.0.tar.gz", "1.0"),
            ("Acme-1.0.zip", "1.0"),
            ("acme-1.0-py2.7.egg", "1.0"),
            ("acme-1.0-1.tar.gz", None),
            ("acme-1.0-1.zip", None),
            ("acme-1.0-beta-2.tgz", None),
            ("acme-1.0-1-py3-none-any.whl", "1.0"),
            ("acme-1.0-2-py2.7.egg", "1.0"),
            ("other-1.0.tar.gz", None),
            ("acme.txt", None),
        ):
            self.assertEqual(file_version(filename, "acme"), version, filename)


class LinkTests(SynchronousTestCase):
    def test_a_file_is_found_by_its_address(self) -> None:
        no_hash = {**WHEEL, "filename": "acme-2.0.tar.gz", "hashes": {}}
        document = read(page({**WHEEL, "size": 5, "core-metadata": True}, no_hash))
        packed = table(document)
        for file in document["files"]:
            address = segment(file["hashes"].get("sha256"), file["url"])
            link = find(packed, "acme", address, file["filename"])
            assert link is not None
            self.assertEqual(link.url, file["url"])
            self.assertEqual(link.size, file.get("size"))
            self.assertEqual(link.metadata, "" if "size" in file else None)
        self.assertIsNone(find(packed, "acme", "0" * 16, WHEEL["filename"]))
        self.assertIsNone(find(packed, "acme", SHA[:16], "none.whl"))

    def test_names_that_look_like_the_table(self) -> None:
        packed = table(read(page(WHEEL)))
        for name in ("acme-1.0-py3-none-any.whl\t", "\n", "", "\ud800"):
            self.assertIsNone(find(packed, "acme", SHA[:16], name))

    def test_links_to_this_server(self) -> None:
        document = read(page({**WHEEL, "gpg-sig": True, "core-metadata": True}))
        (file,) = relinked(document)["files"]
        self.assertEqual(
            file["url"], f"../../packages/acme/{SHA[:16]}/acme-1.0-py3-none-any.whl"
        )
        self.assertNotIn("gpg-sig", file)
        self.assertIs(file["core-metadata"], True)

    def test_no_address_without_digest_begins_a_digest(self) -> None:
        self.assertEqual(segment(None, "https://x/")[0], "u")
        self.assertEqual(len(segment(None, "https://x/")), 16)
