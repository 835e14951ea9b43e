"""Texts of others, made fit to be printed and logged.

For pages see :mod:`~pypicloud_tw.projects.described.texts`.
"""

from __future__ import annotations

_CUT = "..."


def shortened(text: str, most: int) -> str:
    """Keep at most so many characters; where it was cut, the last are three dots."""
    return text if len(text) <= most else f"{text[: most - len(_CUT)]}{_CUT}"


def printable_lines(text: str) -> str:
    """Replace what would steer a terminal; ends of lines stay."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
