"""A rendered description made part of a page of ours.

readme-renderer has sanitised it (nh3) for a page that is all its own. Here it is
written anew out of what is known to be harmless within ours: nothing is copied that is
not in the tables below.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser

from pypicloud_tw.projects.described.project_links import is_link
from pypicloud_tw.projects.described.texts import clean_line, clean_text, first_of

#: Bytes of HTML that are shown: a page has at most 100 kB, and other things in it.
MOST = 44_000

#: Begins each id, so that none is one of the page's.
ID_PREFIX = "readme-"
#: What readme-renderer begins most of them with.
_THEIR_PREFIX = "user-content-"

#: The page's title is its only h1, and what describes has a heading of its own.
_TOP_HEADING, _LOWEST_HEADING = 3, 6

#: Characters that are read at once.
_PIECE = 64 * 1024

#: Elements below each other; what is deeper is its text alone.
_DEEPEST = 64

#: What stands for what: an element that would be a landmark of the page is none here.
_ELEMENTS = {
    **{
        name: name
        for name in (
            *("abbr", "b", "blockquote", "caption", "cite", "code", "dd", "del", "div"),
            *("dl", "dt", "em", "figcaption", "figure", "i", "kbd", "li", "ol", "p"),
            *("pre", "span", "strong", "sub", "sup", "table", "tbody", "td", "th"),
            *("thead", "tr", "ul", "var", "details", "summary"),
        )
    },
    "acronym": "abbr",
    "aside": "div",
    "nav": "div",
    "section": "div",
    "tt": "code",
}
_VOID = {"br", "hr"}

_NUMBER = re.compile(r"[0-9]{1,4}")
_SIDES = {"left", "center", "right"}

#: Attributes, and what their values may be.
_ATTRIBUTES: dict[tuple[str, str], Callable[[str], bool]] = {
    ("abbr", "title"): lambda value: True,
    ("td", "align"): _SIDES.__contains__,
    ("th", "align"): _SIDES.__contains__,
    ("td", "colspan"): lambda value: _NUMBER.fullmatch(value) is not None,
    ("td", "rowspan"): lambda value: _NUMBER.fullmatch(value) is not None,
    ("ol", "start"): lambda value: _NUMBER.fullmatch(value) is not None,
}

_HEADING = re.compile(r"h([1-6])")
_HEADINGS = re.compile(r"<h([1-6])[ >]")

#: Of links that lead elsewhere.
_REL = "nofollow noopener noreferrer"

Attributes = dict[str, str]


def embed(html: str, classes: frozenset[str], most: int = MOST) -> tuple[str, bool]:
    """Make a part of a page of what readme-renderer has made.

    :param classes: those that a highlighted piece of code may have.
    :param most: bytes of what is made.
    :return: it, and whether something was left out for its length.
    """
    writer = _Writer(classes, most, _top_heading(html))
    # A piece at a time: what comes behind the end is not even read.
    for begin in range(0, len(html), _PIECE):
        writer.feed(html[begin : begin + _PIECE])
        if writer.full:
            break
    else:
        writer.close()
    return writer.finish(), writer.full


def embed_text(text: str, most: int = MOST) -> tuple[str, bool]:
    """Make a part of a page of plain text."""
    begin, end = '<pre class="plain">', "</pre>"
    # Of two megabytes no more is looked at than can be shown.
    some = clean_text(text[: 4 * most])
    kept = first_of(some, most - len(begin) - len(end))
    return f"{begin}{escape(kept)}{end}", len(kept) < len(some) or len(text) > 4 * most


def _top_heading(html: str) -> int:
    return min((int(level) for level in _HEADINGS.findall(html)), default=1)


class _Writer(HTMLParser):
    """Writes elements that are known, closed in their order, up to a length.

    :ivar full: there was no room for something.
    """

    def __init__(self, classes: frozenset[str], most: int, top: int) -> None:
        super().__init__(convert_charrefs=True)
        self.full = False
        self._classes, self._room, self._top = classes, most, top
        self._heading = _TOP_HEADING - 1
        self._out: list[str] = []
        # The name that opened each element, and what closes it.
        self._open: list[tuple[str, str]] = []
        self._ids: set[str] = set()
        # A link that has been opened and has nothing in it yet.
        self._link: Attributes | None = None

    def finish(self) -> str:
        """Return what was written, every element closed."""
        while self._open:
            self._close()
        return "".join(self._out)

    # -- what HTMLParser calls ---------------------------------------------------------

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write the beginning of an element."""
        given = {name: value or "" for name, value in reversed(attrs)}
        if self.full:
            return
        if tag == "a":
            self._begin_link(given)
        elif tag == "img":
            self._image(given)
        elif tag == "input":
            self._begin_text("\u2611" if "checked" in given else "\u2610")
        elif tag in _VOID:
            self._write_link()
            self._write(f"<{tag}>")
        elif found := _HEADING.fullmatch(tag):
            self._begin(tag, self._heading_for(int(found[1])), given)
        elif tag in _ELEMENTS:
            self._begin(tag, _ELEMENTS[tag], given)

    def handle_endtag(self, tag: str) -> None:
        """Close an element, and those that were opened in it."""
        if self.full:
            return
        if self._link is not None:
            # Nothing is in it, as in the links of headings to themselves.
            self._leave_anchor(self._link)
            if tag == "a":
                return
        if any(name == tag for name, _ in self._open):
            while self._open and self._close() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Write text."""
        if data and not self.full:
            self._begin_text(data)

    # -- what is written ---------------------------------------------------------------

    def _begin(self, tag: str, name: str, given: Attributes) -> None:
        self._write_link()
        if len(self._open) < _DEEPEST:
            attributes = "".join(self._attributes(name, given))
            self._push(tag, f"<{name}{attributes}>", f"</{name}>")

    def _attributes(self, name: str, given: Attributes) -> list[str]:
        found = [
            f' {key}="{escape(clean_line(value, 200))}"'
            for key, value in given.items()
            if (is_fit := _ATTRIBUTES.get((name, key))) and is_fit(value)
        ]
        if name == "span":
            known = self._classes.intersection(given.get("class", "").split())
            if known:
                found.append(f' class="{escape(" ".join(sorted(known)))}"')
        return [*self._id(given), *found]

    def _id(self, given: Attributes) -> list[str]:
        """Return an id of ours, the first time that it is given."""
        found = _own_id(given.get("id", ""))
        if not found or found in self._ids:
            return []
        self._ids.add(found)
        return [f' id="{escape(found)}"']

    def _heading_for(self, level: int) -> str:
        """Keep headings in order below the page's, none of them left out."""
        wanted = _TOP_HEADING + level - self._top
        self._heading = min(wanted, self._heading + 1, _LOWEST_HEADING)
        return f"h{self._heading}"

    def _begin_link(self, given: Attributes) -> None:
        if any(name == "a" for name, _ in self._open) or self._link is not None:
            self.handle_endtag("a")  # a link has no other in it
        self._link = given

    def _write_link(self) -> None:
        """Open the link that has something in it, now that it has."""
        if self._link is None:
            return
        given, self._link = self._link, None
        address = _address(given.get("href", ""))
        identity = "".join(self._id(given))
        if len(self._open) >= _DEEPEST:
            return
        if not address:
            self._push("a", f"<span{identity}>", "</span>")
        else:
            rel = (
                "" if address.startswith("#") else ' rel="nofollow noopener noreferrer"'
            )
            begin = f'<a href="{escape(address)}"{rel}{identity}>'
            self._push("a", begin, "</a>")

    def _leave_anchor(self, given: Attributes) -> None:
        """Leave of an empty link the place that others lead to."""
        self._link = None
        if identity := "".join(self._id(given)):
            self._write(f"<span{identity}></span>")

    def _image(self, given: Attributes) -> None:
        """Write what an image is called: none of another host is loaded."""
        alt = clean_line(given.get("alt", ""), 200)
        source = given.get("src", "")
        linked = self._link is not None or any(name == "a" for name, _ in self._open)
        if linked or not is_link(source):
            self._begin_text(alt or "image")
            return
        self._begin_link({"href": source})
        self._begin_text(f"image: {alt}" if alt else "image")
        self.handle_endtag("a")

    def _begin_text(self, text: str) -> None:
        self._write_link()
        written = escape(clean_text(text))
        if len(written.encode()) > self._room:
            written = escape(first_of(clean_text(text), max(0, self._room)))
            self.full = True
        self._out.append(written)
        self._room -= len(written.encode())

    def _push(self, tag: str, begin: str, end: str) -> None:
        if self._write(begin, reserve=len(end)):
            self._open.append((tag, end))

    def _close(self) -> str:
        tag, end = self._open.pop()
        self._out.append(end)  # its room was kept when it was opened
        return tag

    def _write(self, markup: str, reserve: int = 0) -> bool:
        needed = len(markup.encode()) + reserve
        if self.full or needed > self._room:
            self.full = True
            return False
        self._out.append(markup)
        self._room -= needed
        return True


def _own_id(given: str) -> str:
    plain = clean_line(given, 200).removeprefix(_THEIR_PREFIX)
    return f"{ID_PREFIX}{re.sub(r'[ ]', '-', plain)}" if plain else ""


def _address(href: str) -> str:
    """Return where a link leads; empty of what leads nowhere from a page of ours."""
    if href.startswith("#"):
        target = _own_id(href[1:])
        return f"#{target}" if target else ""
    return href if is_link(href) else ""
