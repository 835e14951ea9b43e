"""What of a page is not kept, for whoever must leave nothing out unsaid.

The fallback serves what it understands of a page. Who takes packages from an index for
good has to say what it did not take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from pypicloud_tw.index.model import Document

#: What a file's digests are under.
HASHES = "hashes"

#: Why a link is of no use.
NO_ADDRESS = "It has no address."
NO_WEB = "Its address is none of a web server."

#: Characters of a filename: the longest name that file systems have, and twice the
#: longest real one.
MAX_NAME = 255

#: Keys of a file whose values an installer goes by.
_KEYS = ("size", "yanked", "upload-time")


@frozen
class Dropped:
    """A file of a page, or something that is said of one, that is not kept.

    :ivar filename: as the page has it; None: it tells none.
    :ivar key: under which it stood, of a digest ``hashes`` or ``hashes.md5``; None: it
        is the file itself.
    :ivar why: a sentence, of a file.
    """

    filename: str | None
    key: str | None = None
    why: str = ""


def missing(item: object, kept: Document | None) -> Iterator[Dropped]:
    """Compare what a page says of a file with what is kept of that.

    :param kept: None: nothing.
    """
    if not isinstance(item, dict):
        yield Dropped(None, why="What stands in its place in the list is no file.")
        return
    told = item.get("filename")
    filename = told if isinstance(told, str) and told else None
    if kept is None:
        yield Dropped(filename, why=_why_none(filename, item.get("url")))
        return
    for key in _KEYS:
        if item.get(key) is not None and key not in kept:
            yield Dropped(filename, key)
    yield from _missing_digests(filename, item.get(HASHES), kept[HASHES])


def _missing_digests(
    filename: str | None, told: object, kept: Mapping[str, str]
) -> Iterator[Dropped]:
    if not isinstance(told, dict):
        if told is not None:
            yield Dropped(filename, HASHES)
        return
    for algorithm, digest in told.items():
        # Who has none writes so in several ways.
        if digest in (None, ""):
            continue
        same = isinstance(digest, str) and digest.lower() == kept.get(algorithm.lower())
        if not same:
            yield Dropped(filename, f"{HASHES}.{algorithm.lower()}")


def _why_none(filename: str | None, url: object) -> str:
    if filename is None:
        return "It has no name."
    if not isinstance(url, str) or not url:
        return NO_ADDRESS
    return NO_WEB if is_usable(filename) else "Its name can be none of a file."


def is_usable(filename: object) -> bool:
    """Return whether this can be the name of a file."""
    return (
        isinstance(filename, str)
        and 0 < len(filename) <= MAX_NAME
        and filename.isprintable()
        and not filename.startswith(".")
        and "/" not in filename
        and "\\" not in filename
    )
