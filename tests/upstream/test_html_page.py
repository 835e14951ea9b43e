"""An upstream's HTML, and its links, by the standards."""

from __future__ import annotations

from typing import Any

import tinyhtml5
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import UpstreamError
from pypicloud_tw.upstream.addresses import resolve
from pypicloud_tw.upstream.html_page import HtmlError, read_html
from pypicloud_tw.upstream.parse import parse_page

URL = "https://up.example/simple/acme/"
WHEEL = "acme-1.0-py3-none-any.whl"
AT = f"https://files.example/{WHEEL}"
SHA = "ab" * 32

#: Tags as they may stand in a page, and the address of the one file there.
TAGS = {
    # HTML, 13.2.5.73: in an attribute a name without its semicolon stays, before "=",
    # letters and digits.
    f"<a href='{AT}?a=1&region=eu&center=3'>": f"{AT}?a=1&region=eu&center=3",
    f"<a href='{AT}?a=1&copy=2&not=3&lt=4'>": f"{AT}?a=1&copy=2&not=3&lt=4",
    f"<a href='{AT}?a=1&notit=3&ampx&amp=5'>": f"{AT}?a=1&notit=3&ampx&amp=5",
    f"<a href='{AT}?a=1&amp;region=eu&#38;b=&#x26;c'>": f"{AT}?a=1&region=eu&b=&c",
    f"<a href='{AT}?a=&reg;'>": f"{AT}?a=%C2%AE",
    f"<a href='{AT}?a&reg'>": f"{AT}?a%C2%AE",
    f"<a href='{AT}?a&reg-b'>": f"{AT}?a%C2%AE-b",
    f"<a href='{AT}?a=1&unknown;b'>": f"{AT}?a=1&unknown;b",
    f"<a href={AT}?a=1&region=2 title=x>": f"{AT}?a=1&region=2",
    f"<a href={AT}>": AT,
    f"<A HREF='{AT}' href='https://evil.example/{WHEEL}'>": AT,
    f"<a/href='{AT}'/>": AT,
    f"<a class='x'href='{AT}'>": AT,
    f"<a\nhref\n=\n'{AT}'\n>": AT,
    f"<a title='>' href='{AT}'>": AT,
    f"<a title=\"it's\" href='{AT}'>": AT,
    f"<a = href='{AT}'>": AT,
    f"<a href='  {AT}\t\n'>": AT,
    f"<a href='https://files.\nexample/{WHEEL}'>": AT,
    f"<a href='HTTPS://files.example/{WHEEL}'>": AT,
    f"<a href='//files.example/{WHEEL}'>": AT,
    f"<a href='https:\\\\files.example\\{WHEEL}'>": AT,
    f"<a href='https://files.example/a%2fb/%7E/+/{WHEEL}?s=%2B+&t=%3d#x'>": (
        f"https://files.example/a%2fb/%7E/+/{WHEEL}?s=%2B+&t=%3d"
    ),
    f"<a href='https://files.example/a b/{WHEEL}'>": (
        f"https://files.example/a%20b/{WHEEL}"
    ),
    f"<a href='https://files.example/é/{WHEEL}?ü'>": (
        f"https://files.example/%C3%A9/{WHEEL}?%C3%BC"
    ),
    f"<a href='../../files/{WHEEL}'>": f"https://up.example/files/{WHEEL}",
    f"<a href='./{WHEEL}'>": f"{URL}{WHEEL}",
    f"<a href='{WHEEL}'>": f"{URL}{WHEEL}",
    f"<a href='/a//b/../{WHEEL}'>": f"https://up.example/a//{WHEEL}",
    f"<a href='/a/%2E%2e/%2e/b/{WHEEL}'>": f"https://up.example/b/{WHEEL}",
    f"<base href='https://files.example/'><a href='{WHEEL}'>": AT,
    f"<base><base href='//files.example'><base href='/x/'><a href='{WHEEL}'>": AT,
    f"<base href='javascript:x'><a href='{WHEEL}'>": f"{URL}{WHEEL}",
    f"<base href='mirror//a/b'><a href='{WHEEL}'>": f"{URL}mirror//a/{WHEEL}",
    f"<!-- <a href='{WHEEL}'> --><a href='{AT}'>": AT,
    f"<!--><a href='{AT}'>": AT,
    f"<!--x--!><a href='{AT}'>": AT,
    f"<![CDATA[<a href='{WHEEL}'>]]><a href='{AT}'>": AT,
    f"<?php echo ?><a href='{AT}'>": AT,
    f"<script>'<a href=\"{WHEEL}\">'</script><a href='{AT}'>": AT,
    f"<script></scriptx><a href='{WHEEL}'></script ><a href='{AT}'>": AT,
    f"<textarea><a href='{WHEEL}'></textarea><a href='{AT}'>": AT,
    f"<title><a href='{WHEEL}'></title><a href='{AT}'>": AT,
    f"<a href='{AT}'><plaintext><a href='{WHEEL}'>": AT,
}


def files(tags: str) -> list[Any]:
    page = f"<!DOCTYPE html>{tags}".encode()
    document = parse_page(page, "text/html; charset=UTF-8", URL, "acme")
    return list(document["files"])


def oracle(text: str) -> list[dict[str, str]]:
    """The attributes of the anchors, by another parser of the standard."""
    tree = tinyhtml5.parse(text, namespace_html_elements=False)
    return [dict(anchor.attrib) for anchor in tree.iter("a")]


class TagTests(SynchronousTestCase):
    def test_table(self) -> None:
        for tags, address in TAGS.items():
            self.assertEqual([file["url"] for file in files(tags)], [address], tags)

    def test_by_another_parser(self) -> None:
        for tags, address in TAGS.items():
            hrefs = [anchor.get("href", "") for anchor in oracle(tags)]
            if "<base" not in tags:
                self.assertEqual(
                    [(resolve(URL, href) or "").partition("#")[0] for href in hrefs],
                    [address],
                    tags,
                )

    @given(
        st.lists(
            st.sampled_from(
                ["&", "&amp", "&reg", "&not", ";", "=", "x", "1", "#", "#38", " ", "%2"]
            ),
            max_size=8,
        )
    )
    def test_any_value(self, parts: list[str]) -> None:
        tag = f'<a href="{AT}?{"".join(parts)}">'
        (anchor,) = oracle(tag)
        expected = (resolve(URL, anchor["href"]) or "").partition("#")[0]
        self.assertEqual([file["url"] for file in files(tag)], [expected])

    def test_nul(self) -> None:
        (file,) = files(f"<a href='{AT}?a\0b'>")
        self.assertEqual(file["url"], f"{AT}?a%EF%BF%BDb")

    def test_attributes_without_a_value(self) -> None:
        for spelled in ("data-yanked", "data-yanked=''", 'DATA-YANKED=""'):
            (file,) = files(f"<a href='{AT}' {spelled} data-requires-python>")
            self.assertIs(file["yanked"], True)
            self.assertNotIn("requires-python", file)
        (file,) = files(f"<a href='{AT}' data-yanked='a &lt b' data-yanked=x>")
        self.assertEqual(file["yanked"], "a < b")

    def test_digests_of_any_case(self) -> None:
        for fragment in (
            f"SHA256={SHA.upper()}",
            f"egg=acme&Sha256={SHA}&sha256={'cd' * 32}",
        ):
            (file,) = files(
                f"<a href='{AT}#{fragment}' data-core-metadata='{fragment}'>"
            )
            self.assertEqual(file["hashes"], {"sha256": SHA})
            self.assertEqual(file["core-metadata"]["sha256"], SHA)

    def test_charsets(self) -> None:
        page = f"<!DOCTYPE html>{{}}<a href='{AT}' data-yanked='é€'>"
        meta = page.format("<meta charset='ISO-8859-1'>")
        other = page.format(
            '<META http-equiv=content-type content="text/html; charset=windows-1252">'
        )
        plain = page.format("")
        for data, kind in (
            (plain.encode(), "text/html"),
            (plain.encode(), 'Text/HTML;Charset="UTF-8"'),
            (plain.encode(), "text/html; charset=no-such"),
            (plain.encode(), "text/html; charset=hex"),
            (plain.encode("utf-8-sig"), "text/html; charset=iso-8859-1"),
            (plain.encode("utf-16"), "text/html"),
            (b"\xfe\xff" + plain.encode("utf-16-be"), "text/html; charset=utf-8"),
            (plain.encode("cp1252"), "text/html; charset=latin1"),
            (meta.encode("cp1252"), "text/html"),
            (other.encode("cp1252"), "text/html"),
            (meta.encode(), "text/html; charset=utf-8"),
            (page.format("<meta charset=utf-16>").encode(), "text/html"),
        ):
            (file,) = parse_page(data, kind, URL, "acme")["files"]
            self.assertEqual(file["yanked"], "é€", (data, kind))

    def test_no_page(self) -> None:
        for text in ("", "just words", "<foo>", "<!doctype svg>", "<!-- <a> -->"):
            self.assertRaises(HtmlError, read_html, text, URL)
        for text in ("<!DOCTYPE HTML>", "<a>", "<BODY>", "<html/>"):
            self.assertEqual(read_html(text, URL)["files"], [], text)

    def test_links_that_a_script_swallows(self) -> None:
        """No page of no files is made of XML's <script/>, nor of a part of a page."""
        for tag in ("<script src='x'/>", "<title/>", "<style>", "<textarea>x"):
            error = self.assertRaises(
                UpstreamError, files, f"<html>{tag}<a href='{AT}'>"
            )
            self.assertIn("that is not closed", error.message)
        self.assertEqual(len(files(f"<script src='x'></SCRIPT ><a href='{AT}'>")), 1)

    def test_unfinished_tag(self) -> None:
        self.assertEqual(files(f"<a href='{AT}"), [])

    def test_hostile_pages_take_linear_time(self) -> None:
        for text in ("<!--", "<!", "<a href='", "<a b=1 ", "&not", "<![CDATA[", "</"):
            read_html("<html>" + text * 200_000, URL)


class AddressTests(SynchronousTestCase):
    """Whatever is no web server's address is none."""

    def test_elsewhere(self) -> None:
        for link in (
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ftp://files.example/x",
            "data:,x",
            "mailto:a@b",
            "https://",
            "https://:80/",
            "https://h:0/",
            "https://h:x/",
            "https://h:99999/",
            "https://[::1/",
            "https://a b/",
            "https://a%20b/",
            "https://a|b/",
            "https://a\u202eb/",
        ):
            self.assertIsNone(resolve(URL, link), link)

    def test_all_that_rfc_3986_gives(self) -> None:
        """Section 5.4, with what the URL standard has for it."""
        base = "http://a/b/c/d;p?q"
        for link, expected in {
            "g": "http://a/b/c/g",
            "./g": "http://a/b/c/g",
            "g/": "http://a/b/c/g/",
            "/g": "http://a/g",
            "//g": "http://g",
            "?y": "http://a/b/c/d;p?y",
            "g?y": "http://a/b/c/g?y",
            "#s": "http://a/b/c/d;p?q#s",
            "g#s": "http://a/b/c/g#s",
            "g?y#s": "http://a/b/c/g?y#s",
            ";x": "http://a/b/c/;x",
            "g;x?y#s": "http://a/b/c/g;x?y#s",
            ".": "http://a/b/c/",
            "./": "http://a/b/c/",
            "..": "http://a/b/",
            "../": "http://a/b/",
            "../g": "http://a/b/g",
            "../..": "http://a/",
            "../../g": "http://a/g",
            "../../../../g": "http://a/g",
            "/./g": "http://a/g",
            "/../g": "http://a/g",
            "g.": "http://a/b/c/g.",
            "..g": "http://a/b/c/..g",
            "./../g": "http://a/b/g",
            "./g/.": "http://a/b/c/g/",
            "g/../h": "http://a/b/c/h",
            "g;x=1/../y": "http://a/b/c/y",
            "g?y/../x": "http://a/b/c/g?y/../x",
            "http:g": "http://a/b/c/g",
            "https:g": "https://g",
        }.items():
            self.assertEqual(resolve(base, link), expected, link)
