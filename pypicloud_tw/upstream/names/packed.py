"""An upstream's list of names (PEP 691, 503): read, packed, compared, in a helper.

Packed it is the normalized names, sorted, one a line, deflated: 700,000 take 4 MB.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from attrs import frozen
from packaging.utils import canonicalize_name, is_normalized_name

from pypicloud_tw.errors import UpstreamError
from pypicloud_tw.offload.limits import JobLimits, limited
from pypicloud_tw.upstream.names.near import near

#: The largest list known, 40 MB of 700,000 names, takes 135 MiB and 2.3 s, and to
#: compare it with 1,000 names of ours 151 MiB and 1 s: factors of 4 and of 80.
NAMES = JobLimits(
    "names",
    "The index's list of names",
    memory=640 * 2**20,
    seconds=180.0,
    error=UpstreamError,
)

#: Bytes of a list as it comes, and unpacked; names, and their characters together. The
#: largest known has 40 MB, and 700,000 names of 10 MB.
MAX_LIST, MAX_UNPACKED = 128 * 2**20, 512 * 2**20
MAX_NAMES, MAX_CHARACTERS = 4_000_000, 128 * 2**20

#: Characters of a list before its first project: what stands there is a heading.
MAX_HEADING = 16 * 2**20

#: Bytes of a list that are looked through at once.
PART = 32 * 1024

#: Characters of what the list says of one project.
_MAX_PROJECT = 64 * 1024
#: Names of the upstream's that are told beside one of ours, and pairs in all.
MOST_BESIDE, MOST_PAIRS = 20, 2000

_STEP = 256 * 1024
_BEGIN = re.compile(r'"projects"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")
_LINK = re.compile(r"<a\b([^<>]{0,2000})>([^<>]{1,500})</a\s*>", re.IGNORECASE)
#: A link of a list that leads to no project: to another order of it, to what it is in.
_NO_PROJECT = re.compile(r"""\bhref\s*=\s*["']?\s*(?:[?#]|[./]+(?:["'\s]|$))""", re.I)
#: The address that a link leads to, up to what is no path.
_ADDRESS = re.compile(r"""\bhref\s*=\s*["']?\s*([^?#"'\s]*)""", re.IGNORECASE)
#: What stands for the rest of a long name where a web server lists a folder.
_CUT = "..&gt;"
#: The API's version, as both forms have it (PEP 629, 691).
_JSON_VERSION = re.compile(r'"api-version"\s*:\s*"?([^",}\s]{1,40})["\s,}]')
_HTML_VERSION = re.compile(
    r"""<meta\b(?=[^<>]{0,200}\bpypi:repository-version\b)"""
    r"""[^<>]{0,200}?\bcontent\s*=\s*["']?([^"'<>\s]{1,40})["'\s/>]""",
    re.IGNORECASE,
)


@frozen
class LookAlikes:
    """What of an upstream's names looks like a name of ours.

    :ivar near: names of the upstream's that are one edit from it, sorted.
    :ivar same: the upstream has this very name.
    """

    name: str
    near: tuple[str, ...] = ()
    same: bool = False


@limited(NAMES)
def pack_file(path: str, coding: str) -> bytes:
    """Read a list out of a file, and pack it.

    :param coding: of its bytes; ``gzip``, or empty.
    :raises UpstreamError: it is none, or too long.
    """
    with Path(path).open("rb") as file:
        return pack_list(file, coding)


@limited(NAMES)
def pack_list(file: BinaryIO, coding: str) -> bytes:
    """Do the same with a file that is open; for a thread where it has no name."""
    return pack(names_of(file, coding))


def names_of(file: BinaryIO, coding: str) -> Iterator[str]:
    """Give what a list has in the places of names, as it is spelled there.

    :raises UpstreamError: it is none, or too long.
    """
    file.seek(0)
    texts = _texts(file, coding)
    begins = next(filter(str.strip, texts), "")
    names = _names_of_json if begins.lstrip().startswith("{") else _names_of_html
    return names(chain((begins,), texts))


def pack(names: Iterable[str]) -> bytes:
    """Pack names.

    :raises UpstreamError: there are too many.
    """
    found: set[str] = set()
    characters = 0
    for name in names:
        normal = canonicalize_name(name)
        if normal in found or not is_normalized_name(normal):
            continue
        found.add(normal)
        characters += len(normal)
        if len(found) > MAX_NAMES or characters > MAX_CHARACTERS:
            raise _refused("has too many names")
    return zlib.compress("\n".join(("", *sorted(found), "")).encode(), 6)


@limited(NAMES)
def has_name(packed: bytes, name: str) -> bool:
    """Return whether a name is in a list; mostly without the GIL, for a thread.

    :raises zlib.error: it is damaged.
    """
    return f"\n{name}\n".encode() in _unpacked(packed)


@limited(NAMES)
def look_alikes(packed: bytes, ours: Collection[str]) -> tuple[LookAlikes, ...]:
    """Compare names of ours with a list.

    :return: those of ours that it has, or that others of it are near to; sorted.
    :raises zlib.error: it is damaged.
    """
    names = frozenset(_unpacked(packed).decode().split())
    found: list[LookAlikes] = []
    for name in sorted(ours):
        one = LookAlikes(name, near(name, names)[:MOST_BESIDE], name in names)
        if one.near or one.same:
            found.append(one)
        if len(found) == MOST_PAIRS:
            break
    return tuple(found)


@limited(NAMES)
def parts(packed: bytes) -> tuple[bytes, ...]:
    """Unpack a list for who looks through it, part by part.

    :return: parts of some :data:`PART` bytes; each begins and ends with the end of a
        line, so that every name stands between two.
    :raises zlib.error: it is damaged.
    """
    names = _unpacked(packed)
    found, at = [], 0
    while at < len(names) - 1:
        end = names.find(b"\n", at + PART)
        end = len(names) - 1 if end < 0 else end
        found.append(names[at : end + 1])
        at = end
    return tuple(found)


def _unpacked(packed: bytes) -> bytes:
    return zlib.decompressobj().decompress(packed, 2 * MAX_CHARACTERS)


def _texts(file: BinaryIO, coding: str) -> Iterator[str]:
    """Give a list's text, piece by piece; a damaged character is none of a name."""
    inflate = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS) if coding else None
    size = 0
    while data := file.read(_STEP):
        while data:
            if inflate is None:
                piece, data = data, b""
            else:
                try:
                    piece = inflate.decompress(data, _STEP)
                except zlib.error:
                    raise _refused("is damaged") from None
                data = inflate.unconsumed_tail
            size += len(piece)
            if size > MAX_UNPACKED:
                raise _refused("is too long")
            # Whatever is outside of ASCII is in no normalized name.
            yield piece.decode("ascii", "replace")
            if inflate is not None and inflate.eof:
                return
    if inflate is not None:
        raise _refused("ended before its end")


def _names_of_html(texts: Iterator[str]) -> Iterator[str]:
    """Give the names of a list in HTML: the texts of its links, in whatever markup.

    Web servers that list folders have a slash behind a name, cut long ones (nginx those
    of more than 50 characters), and have links besides, whose texts are words, or which
    lead to the list itself or above it.
    """
    text, some, before = "", False, 0
    for piece in texts:
        text += piece
        end = 0
        _check_version(_HTML_VERSION, text)
        for found in _LINK.finditer(text):
            some, end = True, found.end()
            name = _shown_name(found[1], found[2].strip())
            if len(name.split()) == 1 and not _NO_PROJECT.search(found[1]):
                yield name
        before += len(piece)
        if not some and before > MAX_HEADING:
            raise _refused("is too long: there is no project at its beginning")
        text = text[max(end, len(text) - _MAX_PROJECT) :]
    if not some:
        raise _refused("is neither JSON nor HTML of the simple repository API")


def _shown_name(attributes: str, text: str) -> str:
    """Return the name that a link shows, whole."""
    address = _ADDRESS.search(attributes) if text.endswith(_CUT) else None
    if address is not None:
        text = unquote(address[1]).removesuffix("/").rpartition("/")[2]
    return text.removesuffix("/")


def _names_of_json(texts: Iterator[str]) -> Iterator[str]:
    """Give the names of a list in JSON, project by project."""
    decoder = JSONDecoder()
    text = _beginning(texts)
    at = 0
    while True:
        at = _end_of_blank(text, at)
        if text.startswith("]", at):
            # Its version may be told behind its projects.
            _check_version(_JSON_VERSION, text[at:] + next(texts, ""))
            return
        try:
            project, at = decoder.raw_decode(text, at)
        except (JSONDecodeError, RecursionError):
            more = next(texts, None)
            if more is None or len(text) - at > _MAX_PROJECT + _STEP:
                raise _refused("ended before its end, or is no JSON") from None
            text, at = text[at:] + more, 0
            continue
        yield _name(project)


def _beginning(texts: Iterator[str]) -> str:
    """Read up to the first project; return what follows."""
    text = ""
    for piece in texts:
        text += piece
        found = _BEGIN.search(text)
        if found is not None:
            _check_version(_JSON_VERSION, text[: found.start()])
            return text[found.end() :]
        if len(text) > _MAX_PROJECT + _STEP:
            break
    _check_version(_JSON_VERSION, text)
    raise _refused("is not JSON of the simple repository API (PEP 691)")


def _end_of_blank(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    assert found is not None, "it matches nothing, too"
    return found.end()


def _name(project: Any) -> str:
    """Return a project's name; empty where it tells none."""
    name = project.get("name") if isinstance(project, dict) else None
    return name if isinstance(name, str) else ""


def _check_version(pattern: re.Pattern[str], text: str) -> None:
    """Return unless a newer major is told, which must not be guessed at (PEP 629)."""
    found = pattern.search(text)
    if found is not None and found[1].partition(".")[0].strip() != "1":
        raise _refused("is of a version of the simple API that is not known here")


def _refused(why: str) -> UpstreamError:
    return UpstreamError(f"The index's list of names {why}.")
