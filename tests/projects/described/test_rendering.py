"""Descriptions as HTML: of what was meant, and of what was meant to do harm."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import TypeVar, TypeVarTuple

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest, Unavailable
from pypicloud_tw.projects.described.descriptions import AGAIN, SOON, Descriptions
from pypicloud_tw.projects.described.limits import DESCRIPTIONS
from pypicloud_tw.projects.described.markup import MOST, embed
from pypicloud_tw.projects.described.rendering import (
    BROKEN,
    BUSY,
    TOO_MUCH,
    UNKNOWN_TYPE,
    ContentType,
    render,
)
from pypicloud_tw.projects.described.values import (
    ReleaseMetadata,
    RenderedDescription,
)
from tests.doubles import InlineOffload

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CODE = frozenset({"k", "kn", "s2"})
VOID = {"br", "hr"}
HARMLESS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "cite", "code", "dd", "del",
    "details", "div", "dl", "dt", "em", "figcaption", "figure", "h3", "h4", "h5", "h6",
    "hr", "i", "kbd", "li", "ol", "p", "pre", "span", "strong", "sub", "summary", "sup",
    "table", "tbody", "td", "th", "thead", "tr", "ul", "var",
}  # fmt: skip
ATTRIBUTES = {
    "href", "rel", "id", "class", "title", "align", "colspan", "rowspan", "start"
}  # fmt: skip

#: What markup is made of, to be put together in any order.
PARTS = (
    "<a href='https://x.example'>", "</a>", "<div>", "</div>", "<img alt=i>", "t",
    "<img src='https://x.example/i'>", "<h2>", "</h2>", "<h5 id=a>", "</h5>", "<br>",
    "<span class='k x'>", "</span>", "<p>", "</p>",
)  # fmt: skip


class Elements(HTMLParser):
    """Reads what was made; fails a test on what is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def markdown(text: str, variant: str = "GFM") -> str:
    made = render(text, f"text/markdown; charset=UTF-8; variant={variant}")
    assert made.how == "rendered", made
    return made.html


def rst(text: str) -> str:
    made = render(text, "text/x-rst")
    assert made.how == "rendered", made
    return made.html


class RenderedCase(SynchronousTestCase):
    def assert_harmless(self, html: str) -> Elements:
        elements = Elements(html)
        self.assertEqual((elements.open, elements.wrong), ([], []))
        self.assertLessEqual(len(html.encode()), MOST)
        ids = [told["id"] for _, told in elements.found if "id" in told]
        self.assertEqual(len(ids), len(set(ids)))
        for tag, told in elements.found:
            self.assertIn(tag, HARMLESS)
            self.assertLessEqual(set(told), ATTRIBUTES)
            self.assertRegex(told.get("id") or "readme-", r"\Areadme-")
            self.assertRegex(told.get("href") or "#readme-", r"\A(https?://|#readme-)")
            if not (told.get("href") or "#").startswith("#"):
                self.assertEqual(told["rel"], "nofollow noopener noreferrer")
            if "class" in told:
                self.assertEqual(tag, "pre" if told["class"] == "plain" else "span")
        return elements


class MarkdownTests(RenderedCase):
    def test_headings_go_below_the_page_s(self) -> None:
        html = markdown("# A\n\n### B\n\n## C\n\n# A\n")
        headings = re.findall(r"<(h\d)[^>]*>(\w)", html)
        self.assertEqual(headings, [("h3", "A"), ("h4", "B"), ("h4", "C"), ("h3", "A")])
        self.assertIn(">B</h3>", markdown("## B\n"))
        self.assert_harmless(html)

    def test_anchors_within(self) -> None:
        html = markdown("# One\n\n[there](#one) note[^1]\n\n[^1]: foot\n")
        self.assertIn('<a href="#readme-one">there</a>', html)
        self.assertIn('id="readme-one"', html)
        self.assertIn('href="#readme-fn-1"', html)
        self.assertIn('id="readme-fn-1"', html)
        self.assert_harmless(html)

    def test_links(self) -> None:
        html = markdown("[a](https://x.example/?a&b) [b](docs/b.md) <c@x.example>")
        self.assertIn(
            '<a href="https://x.example/?a&amp;b" rel="nofollow noopener noreferrer">a',
            html,
        )
        self.assertIn("<span>b</span>", html)
        self.assertNotIn("mailto", html)
        self.assert_harmless(html)

    def test_images_of_other_hosts(self) -> None:
        html = markdown(
            "![Logo](https://x.example/l.png) "
            "[![Build](https://x.example/b.svg)](https://ci.example) ![r](r.png) "
            "![](https://x.example/n.png) ![d](data:image/png;base64,AAAA)"
        )
        self.assertNotIn("<img", html)
        self.assertIn(">image: Logo</a>", html)
        self.assertIn('<a href="https://ci.example"', html)
        self.assertIn(">Build</a>", html)
        self.assertIn(">image</a>", html)
        self.assertNotIn("data:", html)
        self.assert_harmless(html)

    def test_code_tables_and_tasks(self) -> None:
        html = markdown(
            "```python\nimport x\n```\n\n|a|b|\n|:-|-:|\n|1|2|\n\n- [ ] c\n- [x] d\n"
        )
        self.assertIn('<span class="kn">import</span>', html)
        self.assertIn('<td align="right">2</td>', html)
        self.assertIn("<li>\u2610 c", html.replace("  ", " "))
        self.assertIn("\u2611", html)
        self.assert_harmless(html)

    def test_a_variant(self) -> None:
        self.assertNotIn("<table", markdown("|a|\n|-|\n|b|\n", "CommonMark"))

    def test_hostile(self) -> None:
        for text in (
            "<script>alert(1)</script>",
            "<ScRiPt src=//x.example/x.js></sCrIpT>",
            "<img src=x onerror=alert(1)>",
            "<img src='https://x.example/t.gif' style='position:fixed'>",
            "<a href='javascript:alert(1)'>x</a>",
            "<a href=' java\nscript:alert(1)'>x</a>",
            "[x](javascript:alert(1))",
            "[x](JAVASCRIPT:alert(1) 'y')",
            "[x](data:text/html;base64,PHNjcmlwdD4=)",
            "[x](//evil.example)",
            "[x](https://a.example\\@evil.example)",
            "<iframe src=https://x.example></iframe>",
            "<svg onload=alert(1)><animate/></svg>",
            "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
            "<form action=/login><input name=password><button>go</button></form>",
            "<h1 id=title class=hero style=color:red onclick=alert(1)>x</h1>",
            "<div id=main><div id=main></div></div>",
            "<b id='user-content-user-content-x' class='button'>x</b>",
            "<base href=https://evil.example><meta http-equiv=refresh content=0>",
            "<style>*{display:none}</style>",
            "<details open ontoggle=alert(1)><summary>x</summary></details>",
            "<a href='https://x.example' target=_top rel=opener><a href='#q'>y</a>",
            "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
            "<!--><script>alert(1)</script>-->",
            "</div></main></body></html><p>x",
            "<abbr title='\"><script>alert(1)</script>'>x</abbr>",
            '```python"onclick=alert(1)\nx\n```',
            "a\u202egnp.exe \x1b[31m \x00",
            "<table><tr><td colspan=99999999999 rowspan='1 onclick=x'>x</table>",
            "<picture><source srcset=https://x.example/x><img src=x></picture>",
        ):
            html = render(text, "text/markdown").html
            self.assert_harmless(html)
            for character in "\u202e\x1b\0":
                self.assertNotIn(character, html)


class RestructuredTests(RenderedCase):
    def test_rendered(self) -> None:
        html = rst(
            "Acme\n====\n\nSee `it <https://x.example>`_ and Sub_.\n\n"
            ".. code:: python\n\n   import x\n\n.. image:: https://x.example/a.png\n"
            "   :alt: A\n\nSub\n---\n\n.. note:: well\n\n:Field: value\n"
        )
        self.assertIn("<h3>Acme", html)
        self.assertIn("<h4>Sub", html)
        self.assertIn('<span class="kn">import</span>', html)
        self.assertIn(">image: A</a>", html)
        self.assertIn('href="#readme-sub"', html)
        self.assert_harmless(html)

    def test_what_reads_files_or_is_raw_is_off(self) -> None:
        for text in (
            ".. include:: /etc/hostname\n",
            ".. literalinclude:: /etc/hostname\n",
            ".. raw:: html\n\n   <script>alert(1)</script>\n",
            ".. raw:: html\n   :file: /etc/hostname\n",
            ".. raw:: html\n   :url: https://x.example\n",
            ".. csv-table:: x\n   :file: /etc/hostname\n",
            ".. csv-table:: x\n   :url: https://x.example\n",
            ".. role:: raw-html(raw)\n   :format: html\n\n:raw-html:`<b>x</b>`\n",
        ):
            made = render(text, "text/x-rst")
            self.assertEqual(made.how, "failed", text)
            self.assertEqual(made.note, BROKEN.format(kind="reStructuredText"))
            self.assert_harmless(made.html)

    def test_hostile(self) -> None:
        for text in (
            "`x <javascript:alert(1)>`_\n",
            ".. image:: javascript:alert(1)\n   :target: javascript:alert(1)\n",
            ".. image:: https://x.example/a.svg\n   :class: hero\n   :name: main\n",
            ".. figure:: data:image/svg+xml,x\n\n   <script>\n",
            ".. _main:\n\nText <script>alert(1)</script>\n",
            ".. class:: hero\n\nText\n",
            ".. container:: main\n\n   x\n",
            ".. meta::\n   :refresh: 0\n",
            ".. math:: \\href{javascript:alert(1)}{x}\n",
            ".. contents::\n\nA\n=\n\nB\n=\n",
        ):
            self.assert_harmless(render(text, "text/x-rst").html)

    def test_without_a_type(self) -> None:
        """It is reStructuredText if it can be, else text, which is no mistake."""
        self.assertEqual(render("A\n=\n\nb\n", "").how, "rendered")
        made = render("`a <b`_ |c|_\n\n===\nx\n", "UNKNOWN")
        self.assertEqual((made.how, made.note), ("plain", ""))


class OtherTests(RenderedCase):
    def test_plain_text(self) -> None:
        made = render("<b>&\n  x\u202e\x00", "text/plain; charset=UTF-8")
        self.assertEqual(made.html, '<pre class="plain">&lt;b&gt;&amp;\n  x</pre>')
        self.assertEqual((made.how, made.partial, made.note), ("plain", False, ""))

    def test_an_unknown_type(self) -> None:
        for kind in ("text/html", "text/asciidoc", "application/x", ";;"):
            made = render("<b>x</b>", kind)
            expected = ("plain", "") if kind == ";;" else ("failed", UNKNOWN_TYPE)
            self.assertEqual((made.how, made.note), expected)
            self.assertNotIn("<b>", made.html)

    def test_content_types(self) -> None:
        for text, kind, variant in (
            ("text/markdown", "text/markdown", "GFM"),
            ("Text/Markdown; variant=commonmark", "text/markdown", "CommonMark"),
            ('text/markdown; variant=x; charset="utf-8"', "text/markdown", "GFM"),
            ("text/markdown; variant*=utf-8''x", "text/markdown", "GFM"),
            ("", "text/x-rst", "GFM"),
            ("text/x-rst\r\n;X: y", "text/x-rst", "GFM"),
            ("x" * 100_000, "text/plain", "GFM"),
        ):
            found = ContentType.parse(text)
            self.assertEqual((found.kind, found.variant), (kind, variant), text[:50])

    def test_a_library_s_mistake(self) -> None:
        """pygments, docutils and the rest are large; any text may find a bug."""
        long = "a" * 20_000  # docutils takes no line that long
        made = render(f"{long}\n", "text/x-rst")
        self.assertEqual(made.how, "failed")
        self.assertIn(long, made.html)


class LengthTests(RenderedCase):
    def test_cut_at_an_element(self) -> None:
        made = render("* a <b>bold</b> &lt; text\n" * 40_000, "text/markdown")
        self.assertEqual((made.how, made.partial), ("rendered", True))
        self.assertGreater(len(made.html), MOST - 500)
        self.assert_harmless(made.html)

    def test_one_long_text(self) -> None:
        made = render("x" * 10**6, "text/markdown")
        self.assertTrue(made.partial)
        self.assertGreater(len(made.html), MOST - 500)
        self.assert_harmless(made.html)

    def test_a_megabyte_of_what_is_escaped(self) -> None:
        for kind in ("text/plain", "text/markdown", "text/x-rst"):
            made = render("<&\"'>" * 200_000, kind)
            self.assertTrue(made.partial)
            self.assert_harmless(made.html)

    def test_nothing_is_cut_that_fits(self) -> None:
        self.assertFalse(render("# a\n\nb\n", "text/markdown").partial)
        self.assertFalse(render("a", "text/plain").partial)

    def test_deep(self) -> None:
        html, full = embed("<div>" * 500 + "x" + "</div>" * 500, CODE)
        self.assertEqual(html.count("<div>"), 64)
        self.assertIn("x", html)
        self.assertFalse(full)
        self.assert_harmless(html)

    @given(st.text(alphabet="<>/abdivph123 =\"'#!-&;\n"), st.integers(0, 60))
    def test_whatever_comes(self, html: str, most: int) -> None:
        made, _ = embed(html, CODE, most)
        elements = Elements(made)
        self.assertEqual((elements.open, elements.wrong), ([], []))
        self.assertLessEqual(len(made.encode()), most)

    @given(st.lists(st.sampled_from(PARTS), max_size=40))
    def test_any_order(self, parts: list[str]) -> None:
        made, _ = embed("".join(parts), CODE)
        self.assert_harmless(made)
        self.assertIsNone(re.search(r"<a [^>]*></a>", made))


@define
class Failing(InlineOffload):
    """Answers what is sent to a helper with errors, then as usual."""

    errors: list[Exception] = field(factory=list)

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        done = super().in_process(function, *args)
        return fail(self.errors.pop(0)) if self.errors else done


def described(text: str, kind: str = "text/markdown") -> ReleaseMetadata:
    return ReleaseMetadata("acme", "1.0", description=text, description_type=kind)


class RememberedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.offload = Failing()
        self.descriptions = Descriptions(self.offload, self.clock.seconds)

    def ask(self, metadata: ReleaseMetadata) -> RenderedDescription:
        asked = Deferred.fromCoroutine(self.descriptions.rendered(metadata))
        made: RenderedDescription = self.successResultOf(asked)
        return made

    def test_rendered_once(self) -> None:
        first = self.ask(described("# a"))
        self.assertIs(self.ask(described("# a")), first)
        self.assertEqual(self.offload.processed, ["render"])
        self.ask(described("# a", "text/x-rst"))
        self.assertEqual(len(self.offload.processed), 2)

    def test_none_and_plain_need_no_helper(self) -> None:
        self.assertEqual(self.ask(described(" \n")).how, "none")
        self.assertEqual(self.ask(described("a", "text/plain")).how, "plain")
        self.assertEqual(self.offload.processed, [])

    def test_too_much(self) -> None:
        self.offload.errors = [DESCRIPTIONS.too_slow()]
        self.assertIsInstance(self.offload.errors[0], BadRequest)
        for _ in range(2):
            made = self.ask(described("# <b>a"))
            self.assertEqual((made.how, made.note), ("failed", TOO_MUCH))
            self.assertEqual(made.html, '<pre class="plain"># &lt;b&gt;a</pre>')
        self.assertEqual(len(self.offload.processed), 1)
        self.clock.advance(AGAIN)
        self.assertEqual(self.ask(described("# <b>a")).how, "rendered")

    def test_no_helper(self) -> None:
        self.offload.errors = [Unavailable("A helper process died over this.")]
        self.assertEqual(self.ask(described("# a")).note, BUSY)
        self.clock.advance(SOON)
        self.assertEqual(self.ask(described("# a")).how, "rendered")

    def test_little_is_sent_of_much(self) -> None:
        made = self.ask(described("word " * 400_000))
        self.assertTrue(made.partial)
        self.assertEqual(made.how, "rendered")
