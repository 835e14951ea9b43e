"""An upstream's project page, JSON or HTML, as one document (PEP 691, 503, 592, 658,
700, 714, 740, 792).

Pure, and trusts nothing: large pages are read in a helper process. Everything that the
upstream tells survives, keys that this version does not know included; what has not
the type that its PEP gives it is dropped, so that later code need not look again.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import msgspec

from pypicloud_tw.errors import BadRequest, UpstreamError
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import Filename, project_name, without_variant
from pypicloud_tw.outbound.origins import shown
from pypicloud_tw.upstream.addresses import Links
from pypicloud_tw.upstream.columns import read_files
from pypicloud_tw.upstream.dropped import Dropped, is_usable, missing

#: What we ask for, the best first.
ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)

_JSON_TYPES = frozenset(
    {
        "application/vnd.pypi.simple.v1+json",
        "application/vnd.pypi.simple.latest+json",
        "application/json",
    }
)
_HTML_TYPES = frozenset(
    {
        "application/vnd.pypi.simple.v1+html",
        "application/vnd.pypi.simple.latest+html",
        "application/xhtml+xml",
        "text/html",
    }
)
#: From CRC32 to SHA-512 and BLAKE2b, the longest that hashlib has by default.
_HEX = re.compile(r"[0-9a-fA-F]{8,128}")
#: Codecs of Python that a page cannot be in: they make other markup out of it.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
_WINDOWS_1252 = {"iso8859-1": "cp1252", "ascii": "cp1252"}
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_META_CHARSET = re.compile(
    rb"""<meta[^>]*[\s"';/]charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE | re.ASCII
)
#: In the order of PEP 714; the last one is what the big index writes besides.
METADATA_KEYS = ("core-metadata", "dist-info-metadata", "data-dist-info-metadata")

#: PEP 752: namespaces are of one index, and ours has others. PEP 708 was rejected: by
#: its keys nobody may say that a name is the same here and elsewhere.
_DROPPED = frozenset({"namespaces", "alternate-locations"})

#: What a file's known keys must be; anything else under them is dropped.
_FILE_TYPES: dict[str, Callable[[Any], bool]] = {
    "requires-python": lambda v: isinstance(v, str),
    # A tuple: to make the union each time takes longer than all else here.
    "yanked": lambda v: isinstance(v, (bool, str)),
    "size": lambda v: type(v) is int and 0 <= v < 2**63,
    "upload-time": lambda v: isinstance(v, str),
    "gpg-sig": lambda v: isinstance(v, bool),
    # Reading an address removes the ends of lines, which no address has.
    "provenance": lambda v: isinstance(v, str) and v.isprintable(),
}


def parse_page(
    data: bytes,
    content_type: str | None,
    url: str,
    name: str,
    *,
    whole: bool = True,
    dropped: list[Dropped] | None = None,
) -> Document:
    """Read a project's page.

    :param content_type: the answer's header field, if it had one.
    :param url: where the page was finally found; its relative links begin there.
    :param name: the project that was asked for, normalised.
    :param whole: the length of the answer was told and kept; if not, the page itself
        must show that it is complete.
    :param dropped: gets what is not kept of its files, if somebody wants to know.
    :return: a PEP 691 document whose file addresses are absolute.
    :raises UpstreamError: it is no project page, or another project's.
    """
    kind, charset = _media_type(content_type)
    if kind is None:
        kind = "application/json" if data.lstrip()[:1] == b"{" else "text/html"
    if kind in _JSON_TYPES:
        return _document(_load(data, url), url, name, dropped)
    if kind not in _HTML_TYPES:
        _refuse(url, "is not a page of the simple repository API")
    text = _decode(data, charset)
    if not whole and not text.rstrip().lower().endswith("</html>"):
        _refuse(url, "ended before its end")
    return _document(_read_html(text, url, dropped), url, name, dropped)


def _read_html(text: str, url: str, dropped: list[Dropped] | None) -> Document:
    # Where a parser of HTML is not needed, a helper starts in a tenth less time.
    from pypicloud_tw.upstream.html_page import HtmlError, read_html

    try:
        return read_html(text, url, dropped)
    except HtmlError as e:
        _refuse(url, str(e))


def is_json(content_type: str | None) -> bool:
    """Return whether :func:`parse_page` reads such an answer as JSON."""
    return _media_type(content_type)[0] in _JSON_TYPES


def file_version(filename: str, name: str) -> str | None:
    """Return the version that a filename carries, or None where it does not.

    None also for a name that can be read as another project's or version's: rules about
    versions must not be dodged by an ambiguous name.
    """
    text = without_variant(filename) or filename
    try:
        parsed = Filename.parse(text, legacy=True)
        if parsed.project != name or parsed.version is None:
            return None
        if text.count("-") > 1 and not text.endswith(".whl"):
            # Who knows the project takes acme-1.0-1.zip for 1.0.post1, as pip does.
            known = Filename.parse(text, legacy=True, project=name)
            if known.version != parsed.version:
                return None
    except BadRequest:
        return None
    return str(parsed.version)


def _media_type(content_type: str | None) -> tuple[str | None, str | None]:
    if not content_type:
        return None, None
    if content_type in _JSON_TYPES:
        return content_type, None
    # It is slow to import, and to use.
    from email.message import Message

    message = Message()
    message["Content-Type"] = content_type
    return message.get_content_type(), message.get_content_charset()


def _decode(data: bytes, told: str | None) -> str:
    """Decode HTML (HTML, 13.2.3.2): a byte order mark, the header, the page, UTF-8."""
    for mark, charset in _MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(charset, "replace")
    return data.decode(
        _codec(told) or _codec(_charset_within(data)) or "utf-8", "replace"
    )


def _charset_within(data: bytes) -> str | None:
    found = _META_CHARSET.search(data[:1024])
    name = None if found is None else found[1].decode("ascii")
    # Who could read as much of a page that were in UTF-16?
    return None if name is None or name.lower().startswith("utf-16") else name


def _codec(charset: str | None) -> str | None:
    """Find the codec of a charset; None if there is none that a page can be in."""
    try:
        found = codecs.lookup(charset or "")
        "".encode(found.name)  # else it is no codec of text
    except (LookupError, ValueError):
        return None
    # As the Encoding standard has it, and whoever wrote the page meant.
    name = _WINDOWS_1252.get(found.name, found.name)
    return None if name in _NO_CHARSETS else name


def load_json(data: bytes) -> Any:
    """Read JSON that can be written again as UTF-8: no NaN, no lone surrogates.

    :raises ValueError: it is not.
    """
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        # It is stricter: the standard library's decides, and knows UTF-16, too.
        return _load_any_json(data)


def _load_any_json(data: bytes) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    def real(text: str) -> float:
        value = float(text)
        return value if abs(value) != float("inf") else refuse(text)

    try:
        loaded = json.loads(data, parse_constant=refuse, parse_float=real)
        if b"\\ud" in data or b"\\uD" in data:
            json.dumps(loaded, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return loaded


def _load(data: bytes, url: str) -> Document:
    try:
        loaded = load_json(data)
    except ValueError:
        _refuse(url, "is damaged JSON")
    if not isinstance(loaded, dict) or not isinstance(loaded.get("files"), list):
        _refuse(url, "is JSON, but not of the simple repository API")
    return loaded


def _document(
    page: Document, url: str, name: str, dropped: list[Dropped] | None
) -> Document:
    """Check a page of either form; *url* is what its links are relative to."""
    # PEP 691: keys that begin with an underscore are private to whoever wrote them.
    document = {
        k: v for k, v in page.items() if not k.startswith("_") and k not in _DROPPED
    }
    document["meta"] = _meta(page.get("meta"), url)
    document["name"] = _name(page.get("name", name), url, name)
    document["files"] = _files(page["files"], Links(url), dropped)
    document["versions"] = _versions(page.get("versions"), document["files"], name)
    status = _status(page.get("project-status"))
    document.pop("project-status", None)
    if status is not None:
        document["project-status"] = status
    return document


def _meta(meta: object, url: str) -> Document:
    """Check the API's version (PEP 629: a newer major must not be guessed at)."""
    kept = dict(meta) if isinstance(meta, dict) else {}
    version = str(kept.get("api-version", "1.0"))
    if version.partition(".")[0] != "1":
        _refuse(url, "is of a version of the simple API that is not known here")
    kept.pop("tracks", None)  # PEP 708, too
    return {**kept, "api-version": version}


def _name(given: object, url: str, name: str) -> str:
    try:
        same = isinstance(given, str) and project_name(given) == name
    except BadRequest:
        same = False
    return name if same else _refuse(url, "is another project's")


def _versions(given: object, files: Iterable[Document], name: str) -> list[str]:
    if isinstance(given, list):
        return [version for version in given if isinstance(version, str)]
    versions = (file_version(file["filename"], name) for file in files)
    return list(dict.fromkeys(version for version in versions if version is not None))


def _status(given: object) -> Document | None:
    # Not only those of PEP 792: what is new is for who reads us to understand.
    if not isinstance(given, dict) or not isinstance(given.get("status"), str):
        return None
    if isinstance(given.get("reason"), str):
        return given
    return {key: value for key, value in given.items() if key != "reason"}


def _files(
    items: list[Any], links: Links, dropped: list[Dropped] | None
) -> list[Document]:
    quickly = read_files(items, links)
    if quickly is not None:
        return quickly
    files = [_file(item, links) for item in items]
    if dropped is not None:
        for item, file in zip(items, files, strict=True):
            dropped.extend(missing(item, file))
    return [file for file in files if file is not None]


def _file(item: object, links: Links) -> Document | None:
    """Check one file; None if it has no usable name or address."""
    if not isinstance(item, dict):
        return None
    filename, url = item.get("filename"), links.absolute(item.get("url"))
    if url is None or not is_usable(filename):
        return None
    file: Document = {
        key: value
        for key, value in item.items()
        if not key.startswith("_")
        and (key not in _FILE_TYPES or _FILE_TYPES[key](value))
    }
    file["url"] = url
    if "provenance" in file:
        # PEP 740 has whole addresses; a relative one would lead to ours on our page.
        file["provenance"] = links.absolute(file["provenance"])
        if file["provenance"] is None:
            del file["provenance"]
    file["hashes"] = _hashes(item.get("hashes"))
    spelled = [file.pop(key, None) for key in METADATA_KEYS]
    for given in spelled:
        metadata = None if given is None else _core_metadata(given)
        if metadata is not None:
            file["core-metadata"] = metadata
            break
    return file


def _hashes(given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        return {}
    # An algorithm's name is any text; the digest must be one. Of two spellings of one
    # name the first counts, as it does for pip.
    hashes: dict[str, str] = {}
    for algorithm, digest in given.items():
        if isinstance(digest, str) and _HEX.fullmatch(digest):
            hashes.setdefault(algorithm.lower(), digest.lower())
    return hashes


def _core_metadata(value: object) -> bool | dict[str, str] | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return _hashes(value) or True
    return None


def _refuse(url: str, why: str) -> NoReturn:
    raise UpstreamError(f"The page at {shown(url)} {why}.")
