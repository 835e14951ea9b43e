"""Pages of the simple API in HTML (PEP 503), as they come from an upstream.

Read by turbohtml's tokenizer, which keeps to the HTML standard, in the same way under
every version of Python, in a time that is linear in the page. The standard library's
parser reads ``&region=`` in an attribute as ``(R)ion=``, and what it takes for a
comment or a script depends on its version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import define, field
from turbohtml import Token, TokenType, tokenize

from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import LEGACY_SUFFIXES
from pypicloud_tw.upstream.addresses import Links, resolve
from pypicloud_tw.upstream.dropped import MAX_NAME, NO_ADDRESS, NO_WEB, Dropped

_SUFFIXES = (".whl", ".tar.gz", *LEGACY_SUFFIXES)
#: One of these is in every page, however it was made.
_TAGS = frozenset({"a", "body", "head", "html"})
#: What stands in them is text, up to their end tag (HTML, 13.2.6.4.4 and 13.2.6.4.7).
_TEXT = frozenset(
    {"iframe", "noembed", "noframes", "noscript", "script", "style", "textarea"}
    | {"title", "xmp"}
)
#: What else may stand in a link's fragment.
_NO_DIGESTS = frozenset({"egg", "subdirectory"})


class HtmlError(ValueError):
    """This is no page of an index; the message is the rest of a sentence."""


def read_html(text: str, url: str, dropped: list[Dropped] | None = None) -> Document:
    """Turn a page into the form of a JSON one, unchecked.

    :param url: where it was found, which its links are relative to.
    :param dropped: gets the links to files that no file can be made of.
    :raises HtmlError: it is no HTML, or links may be missing.
    """
    page = _Page(keeps_texts=dropped is not None)
    for token in tokenize(text):
        page.take(token)
    # A project without files is an answer, which is not to be had by mistake.
    if not page.is_html:
        raise HtmlError("is not HTML, although it says so")
    if page.within is not None:
        raise HtmlError(f"ended amid a <{page.within}> that is not closed")
    links = Links(_base(url, page.base))
    read = [_anchor(attributes, links) for attributes in page.anchors]
    files = [file for file in read if file is not None]
    if dropped is not None:
        others = (i for i, file in enumerate(read) if file is None)
        known = {file["filename"] for file in files}
        dropped.extend(
            one
            for one in dict.fromkeys(_useless(page, others, links))
            if one.filename not in known  # another link leads there
        )
    document: Document = {
        "meta": {
            # Without sizes it is no 1.1 (PEP 700), whatever the page says of itself;
            # a version that is not known here must still be noticed.
            "api-version": _version(page.only("repository-version"))
        },
        "files": files,
    }
    status, reason = page.only("project-status"), page.only("project-status-reason")
    if status is not None:
        document["project-status"] = {"status": status}
        if reason:
            document["project-status"]["reason"] = reason
    return document


@define
class _Page:
    """What the tags of a page tell.

    :ivar keeps_texts: what anchors show is wanted, which takes time.
    :ivar anchors: their attributes, and *texts* what they show.
    :ivar within: the element whose text is being read.
    """

    keeps_texts: bool
    base: str | None = None
    anchors: list[dict[str, str]] = field(factory=list)
    texts: list[str] = field(factory=list)
    metas: dict[str, list[str]] = field(factory=dict)
    is_html: bool = False
    within: str | None = None
    _shows: bool = False

    def take(self, token: Token) -> None:
        """Keep anchors, the first ``<base href>`` (HTML, 4.2.3), and named metas."""
        if token.type is TokenType.DOCTYPE:
            self.is_html |= token.name == "html"
        if token.type is TokenType.TEXT and self._shows:
            self.texts[-1] = (self.texts[-1] + (token.data or ""))[:MAX_NAME]
        if token.type is TokenType.END_TAG:
            if token.tag == self.within:
                self.within = None
            elif token.tag == "a":
                self._shows = False
        if token.type is not TokenType.START_TAG:
            return
        tag = token.tag
        if tag in _TEXT:
            self.within = tag
        self.is_html |= tag in _TAGS
        if tag == "a":
            self.anchors.append(_attributes(token))
            self.texts.append("")
            self._shows = self.keeps_texts
        elif tag == "base" and self.base is None:
            self.base = _attributes(token).get("href")
        elif tag == "meta":
            values = _attributes(token)
            contents = self.metas.setdefault(values.get("name", ""), [])
            contents.append(values.get("content", ""))

    def only(self, name: str) -> str | None:
        """Return what is given once; of several the last."""
        return self.metas.get(f"pypi:{name}", [None])[-1]


def _attributes(token: Token) -> dict[str, str]:
    # Of two that are called alike the tokenizer gives the first, as the standard says.
    return dict(token.attrs or ())


def _base(url: str, given: str | None) -> str:
    """Return what links are relative to; a ``<base>`` that is no address is none."""
    return (resolve(url, given) if given else None) or url


def _version(told: str | None) -> str:
    return told if told and told.partition(".")[0] != "1" else "1.0"


def _anchor(attributes: dict[str, str], links: Links) -> Document | None:
    """Turn a link into a file; None for links to anything but distributions."""
    url = links.absolute(attributes.get("href"))
    if url is None:
        return None
    address, _, fragment = url.partition("#")
    filename = unquote(urlsplit(address).path.rpartition("/")[2])
    if not filename.endswith(_SUFFIXES):
        return None
    file: dict[str, Any] = {
        "filename": filename,
        "url": address,
        "hashes": _digests(fragment),
    }
    for key in ("requires-python", "provenance"):
        if attributes.get(f"data-{key}"):
            file[key] = attributes[f"data-{key}"]
    if "data-yanked" in attributes:
        # PEP 592: the attribute's presence counts; an empty reason is no reason.
        file["yanked"] = attributes["data-yanked"] or True
    for key in ("core-metadata", "dist-info-metadata"):
        if f"data-{key}" in attributes:
            file[key] = _metadata(attributes[f"data-{key}"])
    if attributes.get("data-gpg-sig") in ("true", "false"):
        file["gpg-sig"] = attributes["data-gpg-sig"] == "true"
    return file


def _useless(page: _Page, which: Iterable[int], links: Links) -> Iterator[Dropped]:
    """Find, among links that no file is made of, those that shall lead to one.

    An index's page has others: back to its list, to a signature, to a project's home.
    """
    for i in which:
        href = page.anchors[i].get("href", "").strip()
        filename = _named(href) or _suffixed(page.texts[i].strip())
        if filename is None:
            continue
        if not href:
            yield Dropped(filename, why=NO_ADDRESS)
        elif links.absolute(href) is None:
            yield Dropped(filename, why=NO_WEB)
        else:
            yield Dropped(filename, why="Its address does not end with its name.")


def _named(href: str) -> str | None:
    """Return the file that an address names, be it of a web server or not."""
    path = href.partition("#")[0].partition("?")[0].replace("\\", "/")
    return _suffixed(unquote(path.rpartition("/")[2]))


def _suffixed(text: str) -> str | None:
    return text if text.endswith(_SUFFIXES) else None


def _digests(fragment: str) -> dict[str, str]:
    """Read ``sha256=...``, which may stand anywhere among what pip reads there."""
    pairs = (part.partition("=") for part in fragment.split("&"))
    return {name: digest for name, _, digest in pairs if name not in _NO_DIGESTS}


def _metadata(value: str) -> bool | dict[str, str]:
    return _digests(value) if "=" in value else value != "false"
