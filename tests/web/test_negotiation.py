from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import NotAcceptable
from pypicloud_tw.web.media import Encoding, Format, Variant, content_type
from pypicloud_tw.web.negotiation import (
    LONGEST,
    REMEMBERED,
    Negotiator,
    choose_encoding,
    choose_format,
)

JSON, HTML, TEXT = Format.JSON, Format.HTML, Format.TEXT
V1 = b"application/vnd.pypi.simple.v1+"
LATEST = b"application/vnd.pypi.simple.latest+"

PIP = V1 + b"json, " + V1 + b"html; q=0.1, text/html; q=0.01"
UV = V1 + b"json, " + V1 + b"html;q=0.2, text/html;q=0.01"
FIREFOX = (
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    b"image/png,image/svg+xml,*/*;q=0.8"
)


class ChooseFormTests(SynchronousTestCase):
    def test_clients(self) -> None:
        for accept, format in [
            (None, TEXT),
            (b"", TEXT),
            (b"*/*", TEXT),  # curl, requests, poetry's oldest
            (b"text/html", TEXT),  # pip before 22.2
            (PIP, JSON),
            (UV, JSON),
            (FIREFOX, TEXT),
            (V1 + b"html", HTML),
            (LATEST + b"json", JSON),
            (LATEST + b"html", HTML),
            (b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", TEXT),
        ]:
            self.assertIs(choose_format(accept), format, accept)

    def test_wildcards(self) -> None:
        for accept, format in [
            (b"text/*", TEXT),
            (b"application/*", JSON),
            (b"*", TEXT),
            (b"*/*;q=0.1", TEXT),
            (b"text/html;q=0, */*", JSON),
            (b"text/html;q=0.4, */*;q=0.5", JSON),
            (b"*/*, " + V1 + b"json", JSON),
            (b"*/*, " + V1 + b"html", HTML),
            (V1 + b"json;q=0, application/*", HTML),
        ]:
            self.assertIs(choose_format(accept), format, accept)

    def test_equal_qualities(self) -> None:
        # PEP 691, Recommendations: the most expressive, text/html last.
        self.assertIs(choose_format(b"text/html, " + V1 + b"html"), HTML)
        self.assertIs(choose_format(b"text/html, " + V1 + b"json"), JSON)
        self.assertIs(choose_format(V1 + b"html;q=.5," + V1 + b"json;q=.5"), JSON)

    def test_qualities(self) -> None:
        for accept, format in [
            (V1 + b"json;q=0.1, text/html;q=0.9", TEXT),
            (V1 + b"json; Q = 0.1 , text/html ;q= 0.11", TEXT),
            (V1 + b"json;q=7, text/html;q=1", JSON),
            (V1 + b"json;q=0.001, text/html;q=0", JSON),
            (V1 + b"json;level=1;q=0.2, text/html;q=0.3;level=2", TEXT),
            (b"TEXT/HTML;q=0.3, " + V1.upper() + b"JSON;q=0.2", TEXT),
        ]:
            self.assertIs(choose_format(accept), format, accept)

    def test_malformed_parts_are_passed_over(self) -> None:
        for accept, format in [
            (b",,;,text/html", TEXT),
            (b"nonsense", TEXT),
            (b"\xff\x00", TEXT),
            (b"text/html;q=high, " + V1 + b"json;q=0.1", JSON),
            (b"text/html;q=-1, " + V1 + b"json;q=0.1", JSON),
            (b"text/html;q=nan, " + V1 + b"json;q=0.1", JSON),
            (b"text/html;q=" + b"9" * 6000, TEXT),
        ]:
            self.assertIs(choose_format(accept), format, accept[:60])

    def test_not_acceptable(self) -> None:
        for accept in [
            b"application/json",
            b"image/png, text/plain",
            b"text/html;q=0",
            b"*/*;q=0",
            b"application/vnd.pypi.simple.v2+json",
            V1 + b"html;q=0, " + V1 + b"json;q=0, text/*;q=0.0",
        ]:
            e = self.assertRaises(NotAcceptable, choose_format, accept)
            self.assertIn("is served as application/vnd.pypi", e.message)
            self.assertTrue(e.message.isascii() and e.message.isprintable())

    def test_format_parameter(self) -> None:
        for value, format in [
            (V1 + b"json", JSON),
            (V1 + b"html", HTML),
            (LATEST + b"json", JSON),
            (b"text/html", TEXT),
            # As a query arrives whose plus was not quoted.
            (b"application/vnd.pypi.simple.v1 json", JSON),
        ]:
            self.assertIs(choose_format(b"image/png", value), format, value)

    def test_unknown_format_parameter(self) -> None:
        for value in (b"", b"json", b"*/*", V1 + b"json;q=1", b"\xff"):
            e = self.assertRaises(NotAcceptable, choose_format, PIP, value)
            self.assertIn("format parameter", e.message)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=60) | st.text("a*/;q=,. 01\tvjson").map(str.encode))
    def test_any_bytes(self, accept: bytes) -> None:
        with contextlib.suppress(NotAcceptable):
            self.assertIsInstance(choose_format(accept), Format)

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([*Format, "text/*", "application/*", "*/*"]),
                st.integers(0, 1000),
            ),
            min_size=1,
            unique_by=lambda pair: pair[0],
        )
    )
    def test_never_what_was_refused(self, ranges: list[tuple[str, int]]) -> None:
        accept = ", ".join(f"{name};q={q / 1000:.3f}" for name, q in ranges)
        qualities = dict(ranges)

        def quality(format: Format) -> int:
            kind = format.partition("/")[0]
            names = (str(format), f"{kind}/*", "*/*")
            return next((qualities[n] for n in names if n in qualities), 0)

        try:
            format = choose_format(accept.encode())
        except NotAcceptable:
            self.assertEqual(max(map(quality, Format)), 0)
        else:
            self.assertEqual(quality(format), max(map(quality, Format)))
            self.assertGreater(quality(format), 0)


class ContentTypeTests(SynchronousTestCase):
    def test_forms(self) -> None:
        self.assertEqual(JSON.content_type, V1 + b"json")
        self.assertEqual(HTML.content_type, V1 + b"html")
        self.assertEqual(TEXT.content_type, b"text/html; charset=utf-8")

    def test_files(self) -> None:
        for name in ("a-1-py3-none-any.whl", "a-1.tar.gz", "a-1.zip", "a-1.exe"):
            self.assertEqual(content_type(name), b"application/octet-stream")
        self.assertTrue(content_type("a-1.tar.gz.metadata").startswith(b"text/plain"))


class ChooseEncodingTests(SynchronousTestCase):
    def test_clients(self) -> None:
        for header, encoding in [
            (None, Encoding.IDENTITY),
            (b"", Encoding.IDENTITY),
            (b"gzip, deflate", Encoding.GZIP),
            (b"gzip, deflate, br", Encoding.BROTLI),
            (b"gzip, deflate, br, zstd", Encoding.ZSTD),
            (b"identity", Encoding.IDENTITY),
            (b"deflate", Encoding.IDENTITY),
            (b"x-gzip", Encoding.GZIP),
            (b"GZip;Q=1.0", Encoding.GZIP),
        ]:
            self.assertIs(choose_encoding(header), encoding, header)

    def test_qualities(self) -> None:
        for header, encoding in [
            (b"gzip;q=0.9, br;q=0.5", Encoding.GZIP),
            (b"gzip;q=0", Encoding.IDENTITY),
            (b"gzip;q=0, br", Encoding.BROTLI),
            (b"identity;q=1, gzip;q=0.5", Encoding.IDENTITY),
            (b"identity;q=0.5, gzip;q=0.5", Encoding.GZIP),
            (b"*", Encoding.GZIP),
            (b"gzip;q=0, *", Encoding.ZSTD),
            (b"*;q=0, gzip", Encoding.GZIP),
            (b"identity;q=0, gzip;q=0.001", Encoding.GZIP),
            (b"zstd, *;q=0.5", Encoding.ZSTD),
            (b"gzip;q=nonsense", Encoding.IDENTITY),
        ]:
            self.assertIs(choose_encoding(header), encoding, header)

    def test_small_bodies_stay_plain(self) -> None:
        for header, encoding in [
            (b"gzip, br, zstd", Encoding.IDENTITY),
            (b"gzip, identity;q=0", Encoding.GZIP),
            (b"gzip, *;q=0", Encoding.GZIP),
        ]:
            self.assertIs(choose_encoding(header, worthwhile=False), encoding, header)

    def test_everything_refused(self) -> None:
        for header in (b"identity;q=0", b"*;q=0", b"deflate, identity;q=0"):
            e = self.assertRaises(NotAcceptable, choose_encoding, header)
            self.assertIn("Accept-Encoding header refuses every", e.message)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=60) | st.text("gzip*;q=,. 01bridentity").map(str.encode))
    def test_any_bytes(self, header: bytes) -> None:
        try:
            self.assertIsInstance(choose_encoding(header), Encoding)
        except NotAcceptable:
            self.assertRegex(header.lower(), rb"identity|\*")


class NegotiatorTests(SynchronousTestCase):
    def test_chooses_for_large_and_small_pages(self) -> None:
        choice = Negotiator().choose(PIP, b"gzip, deflate, br, zstd")
        self.assertEqual(choice.large, Variant(JSON, Encoding.ZSTD))
        self.assertEqual(choice.small, Variant(JSON, Encoding.IDENTITY))

    def test_remembers(self) -> None:
        negotiator = Negotiator()
        first = negotiator.choose(PIP, b"gzip")
        self.assertIs(negotiator.choose(PIP, b"gzip"), first)
        self.assertIsNot(negotiator.choose(PIP, b"br"), first)

    def test_format_parameter_is_not_confused_with_headers(self) -> None:
        negotiator = Negotiator()
        negotiator.choose(PIP, None, b"text/html")
        self.assertIs(negotiator.choose(PIP, None).large.format, JSON)
        self.assertIs(negotiator.choose(PIP, None, b"text/html").large.format, TEXT)

    def test_refusals_stay_refusals(self) -> None:
        negotiator = Negotiator()
        for _ in range(2):
            e = self.assertRaises(
                NotAcceptable, negotiator.choose, b"image/png", b"gzip"
            )
            self.assertIn("none of these is accepted", e.message)

    def test_memory_is_bounded(self) -> None:
        negotiator = Negotiator()
        for n in range(REMEMBERED + 10):
            negotiator.choose(b"text/html;q=0.5,x/y%d" % n, None)
        self.assertLessEqual(len(negotiator._known), REMEMBERED)

    def test_long_headers_are_not_kept(self) -> None:
        negotiator = Negotiator()
        negotiator.choose(b"text/html," + b"x" * LONGEST, None)
        negotiator.choose(None, b"gzip," + b"x" * LONGEST)
        self.assertEqual(negotiator._known, {})
