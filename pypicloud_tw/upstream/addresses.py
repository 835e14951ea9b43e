"""Resolving the links of pages and redirects to URLs.

By the rules of the URL standard (https://url.spec.whatwg.org/) that browsers and uv
follow. The standard library's ``urljoin`` keeps to an older one, differently in each
version: it drops empty segments and keeps tabs, backslashes and blanks.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_WEB = ("https://", "http://")
#: What stands as it is in links.
_PLAIN_CHARACTERS = r"!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~|"
#: Most links: absolute, and nothing in them to be changed.
_PLAIN = re.compile(f"https?://[{_PLAIN_CHARACTERS}]+")
_PLAIN_BYTES = bytes(
    code for code in range(128) if re.match(f"[{_PLAIN_CHARACTERS}]", chr(code))
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
#: C0 controls and the space, which the standard strips at both ends.
_STRIPPED = "".join(map(chr, range(33)))
_DROPPED = str.maketrans("", "", "\t\r\n")
_DOT = re.compile(r"\.|%2e", re.IGNORECASE)
#: What is in no host ("forbidden domain code points"); an address of IPv6, in its
#: brackets, is read by whoever takes addresses apart.
_NO_HOST = re.compile(r"[\x00-\x20\"#%/<>?@\\^`{|}\x7f]")
#: What stays as it is, percent signs included: a signature may be in there.
_KEPT = "!#$%&'()*+,-./:;=?@[]_~|\\^"


class Links:
    """Resolves the links of a page; None for what does not lead to the web.

    Most links of a page share an origin, which is judged once.

    :param base: what they are relative to.
    """

    def __init__(self, base: str) -> None:
        self._base = _Base(base)
        self._origins: dict[str, bool] = {}

    def absolute(self, link: object) -> str | None:
        """Resolve one link: no file:, no javascript:."""
        if not isinstance(link, str) or not link:
            return None
        url = link if _PLAIN.fullmatch(link) else self._base.joined(link)
        if url is None or not url.isprintable():
            return None
        return url if self._leads_to_web(_origin(url)) else None

    def are_plain(self, links: list[str]) -> bool:
        """Return whether each of many links is resolved to itself, as nearly all are.

        All at once, for a large page has 40,000.
        """
        joined = "".join(links)
        if not joined.isascii() or joined.encode().translate(None, _PLAIN_BYTES):
            return False
        try:
            origins = {link[: link.index("/", len("https://"))] for link in links}
        except ValueError:
            return False  # one without a path
        return all(
            _PLAIN.fullmatch(origin)
            and origin == _origin(origin)
            and self._leads_to_web(origin)
            for origin in origins
        )

    def _leads_to_web(self, origin: str) -> bool:
        if origin not in self._origins:
            self._origins[origin] = _is_origin(origin)
        return self._origins[origin]


def resolve(base: str, link: str) -> str | None:
    """Return the address that a link at *base* leads to; None: to no web server."""
    return Links(base).absolute(link)


class _Base:
    """An address that links are relative to."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path or "/"
        self._query = f"?{parts.query}" if parts.query else ""
        self._directory = self._path[: self._path.rfind("/") + 1]

    def joined(self, link: str) -> str | None:
        """Resolve a link of any form."""
        link = link.strip(_STRIPPED).translate(_DROPPED)
        at = re.search(r"[?#]|$", link)
        assert at is not None, "everything has an end"
        path, rest = link[: at.start()].replace("\\", "/"), link[at.start() :]
        scheme = _SCHEME.match(path)
        if scheme is not None:
            path = path[scheme.end() :]
            if scheme[1].lower() not in ("http", "https"):
                return None
            if path.startswith("//") or scheme[1].lower() != self._scheme:
                return _absolute(scheme[1].lower(), path, rest)
        if path.startswith("//"):
            return _absolute(self._scheme, path, rest)
        if not path:
            rest = rest if rest.startswith("?") else self._query + rest
            return self._origin + self._path + _encoded(rest)
        if not path.startswith("/"):
            path = self._directory + path
        return self._origin + _encoded(_undotted(path) + rest)


def _absolute(scheme: str, path: str, rest: str) -> str:
    """Put an address together whose host is told, after any number of slashes."""
    host, slash, path = path.lstrip("/").partition("/")
    return f"{scheme}://{host}" + _encoded(_undotted(slash + path) + rest)


def _undotted(path: str) -> str:
    """Leave out ``.`` and ``..`` (the standard's "shorten"), empty segments not."""
    if "/." not in path and "%2e" not in path.lower():
        return path
    kept: list[str] = []
    *segments, last = path.removeprefix("/").split("/")
    for segment in segments:
        _step(kept, _DOT.sub(".", segment), segment)
    _step(kept, _DOT.sub(".", last), last)
    is_folder = _DOT.sub(".", last) in (".", "..")
    return "/" + "/".join([*kept, ""] if is_folder else kept)


def _step(kept: list[str], seen: str, segment: str) -> None:
    if seen == "..":
        del kept[-1:]
    elif seen != ".":
        kept.append(segment)


def _encoded(text: str) -> str:
    """Encode blanks, quotes and what is not ASCII; nothing else, and nothing twice."""
    return quote(text, safe=_KEPT)


def _origin(url: str) -> str:
    end = re.search(r"[/?#]", url[len("https://") :])
    return url if end is None else url[: len("https://") + end.start()]


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        if not host or (":" not in host and _NO_HOST.search(host)):
            return False
        # Reading the port is what checks it.
        return parts.port != 0 and url.startswith(_WEB)
    except ValueError:
        return False
