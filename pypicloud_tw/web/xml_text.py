"""Texts from anywhere, made fit for XML."""

from __future__ import annotations

import re

#: What XML 1.0 has no place for, however it is written (section 2.2).
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def fit_text(text: str) -> str:
    """Put a question mark for each character that XML cannot hold."""
    return _NO_CHARACTER.sub("?", text)
