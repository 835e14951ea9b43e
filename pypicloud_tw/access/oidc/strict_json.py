"""JSON from strangers: an object without doubt about what is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

#: Levels of lists and objects; claims have three. How many Python can read differs from
#: one version to another.
DEEPEST = 32

#: How surrogates are escaped, alone or in pairs.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """It is no JSON object that can be trusted; the text ends a sentence."""


def read_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object, in UTF-8, each of whose keys stands there once.

    Readers differ in which of two equal keys they take (RFC 8259, section 4), so that
    one could be checked and another be used.

    :param data: of bounded length.
    :raises JsonError: it is anything else.
    """
    try:
        text = data.decode()
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except JsonError:
        raise
    except (ValueError, RecursionError):
        # Numbers of thousands of digits are ValueErrors, too.
        raise JsonError("is not JSON") from None
    if not isinstance(found, dict):
        raise JsonError("is not a JSON object")
    _check_depth(found)
    if _HALF.search(text):
        _check_whole(found)
    return found


def _check_depth(found: dict[str, Any]) -> None:
    """Return if it has few levels: whoever uses it may go into each."""
    level: list[Any] = [found]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _within(one)]
        if not level:
            return
    raise JsonError("is nested too deep")


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_whole(found: dict[str, Any]) -> None:
    """Return if all its texts are whole; no UTF-8 has half a pair of surrogates."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # RFC 7493, section 2.1; whatever wrote such a text down would fail.
        raise JsonError("has half a character in it") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonError("has a key twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise JsonError("has a number that JSON has not")
