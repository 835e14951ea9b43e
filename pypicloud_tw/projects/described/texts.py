"""Texts that anybody may have written, made fit to be shown.

Templates escape them; here goes what would deceive a reader all the same.
"""

from __future__ import annotations

import re
from html import escape

#: Shows where something was cut off.
CUT = "…"

#: What turns letters around, so that a line reads as what it is not (Unicode's report
#: 36, "bidirectional text spoofing", and CVE-2021-42574); and what is not seen at all.
#: The joiners U+200C and U+200D stay: scripts and emoji are written with them.
_DECEIVING = (
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
)

#: Controls but for the tab and the line feed, halves of surrogate pairs, which cannot
#: be sent, and code points that are no characters.
_UNFIT = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"

_DROPPED = re.compile(f"[{_UNFIT}{_DECEIVING}]")
_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_BLANKS = re.compile(r"\s+")


def clean_text(text: str) -> str:
    """Drop what is no text; every end of a line becomes a line feed."""
    return _DROPPED.sub("", _ENDS.sub("\n", text))


def clean_line(text: str, most: int) -> str:
    """Make one line of a text, of at most *most* characters."""
    # What is far too long is not even looked through.
    line = _BLANKS.sub(" ", clean_text(text[: 4 * most + 64])).strip()
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}{CUT}"


def marked_text(text: str) -> str:
    """Put a mark where :func:`clean_text` drops something, for who looks at sources."""
    return _DROPPED.sub("\ufffd", _ENDS.sub("\n", text))


def marked_path(path: str) -> str:
    """Show a path out of an archive, in one line and with marks likewise."""
    return re.sub("[\t\n]", "\ufffd", marked_text(path))


def first_of(text: str, most: int) -> str:
    """Return as much of a text as has *most* bytes when it is escaped for HTML."""
    kept = text[:most]
    while (size := len(escape(kept).encode())) > most:
        # In proportion, so that two or three steps are enough.
        kept = kept[: min(len(kept) - 1, len(kept) * most // size)]
    return kept
