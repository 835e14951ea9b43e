"""Texts of any length, made short enough for a line.

For what is printed and logged; :func:`~.described.texts.clean_line` makes a line of a
text for a page.
"""

from __future__ import annotations

_CUT = "..."


def shortened(text: str, most: int) -> str:
    """Keep at most so many characters; where it was cut, the last are three dots."""
    return text if len(text) <= most else f"{text[: most - len(_CUT)]}{_CUT}"
