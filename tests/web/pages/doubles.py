"""Reads pages as a strict browser does, and makes visitors."""

from __future__ import annotations

from html.parser import HTMLParser

from pypicloud_tw.access.principal import Principal
from pypicloud_tw.web.pages.templating import Templates
from pypicloud_tw.web.pages.visitor import Visitor

BASE = "https://index.example/py"
VOID = {"meta", "br", "link", "input", "img", "hr"}

TEMPLATES = Templates("1.2.3")

NOBODY = Visitor(BASE, "/py/")
ANN = Visitor(BASE, "/py/", Principal("ann"), uploads="log-in")


class Reader(HTMLParser):
    """Reads a page, failing where its elements are not closed in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, name: str) -> list[str]:
        return [a[name] or "" for _, a in self.elements if name in a]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return [found["href"] or "" for found in self.named("a") if "href" in found]
