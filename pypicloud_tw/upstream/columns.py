"""The files of a page, checked by columns: quick, and for ordinary pages alone.

An index writes all files of a page alike. So what holds for each of them is found out
of all their names together, all their addresses, and so on, which takes a fifth of the
time that one file after the other does. Whatever is not ordinary is left to
:mod:`~pypicloud_tw.upstream.parse`, which says what is to be made of it; a test holds
that the two agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pypicloud_tw.index.model import Document
from pypicloud_tw.upstream.addresses import Links
from pypicloud_tw.upstream.dropped import MAX_NAME

#: A column: the values of one key, of all files that have it.
Column = list[Any]

_STR, _BOOL, _INT, _DICT = {str}, {bool}, {int}, {dict}
_DIGITS = b"0123456789abcdef"
#: Keys that files may have between them, and digests: each costs a look at every file.
#: Real pages have ten, and three.
_MOST_KEYS, _MOST_DIGESTS = 32, 8
#: In the order of PEP 714, as :mod:`~pypicloud_tw.upstream.parse` reads them.
_METADATA_KEYS = ("core-metadata", "dist-info-metadata", "data-dist-info-metadata")


def read_files(items: list[Any], links: Links) -> list[Document] | None:
    """Check the files of a page that was just loaded, which may be changed for it.

    :return: what is made of one after the other; None: that is to be found out so, and
        nothing was changed.
    """
    if not items:
        return []
    if set(map(type, items)) != _DICT:
        return None
    shapes = set(map(tuple, items))
    keys = {key for shape in shapes for key in shape}
    if not _are_ordinary_keys(keys, shapes):
        return None
    nulls = []
    for key in keys:
        column = _column(items, key)
        if key in _NULLABLE and None in column:
            nulls.append(key)
            column = [value for value in column if value is not None]
        if not _is_ordinary(key, column, links):
            return None
    for key in nulls:
        _leave_out_nulls(items, key)
    _spell_metadata(items, [key for key in _METADATA_KEYS if key in keys])
    return items


def _are_ordinary_keys(keys: set[str], shapes: set[tuple[str, ...]]) -> bool:
    return (
        len(keys) <= _MOST_KEYS
        and not any(key.startswith("_") for key in keys)
        and all(_NEEDED.issubset(shape) for shape in shapes)
    )


def _column(items: list[Document], key: str) -> Column:
    if key in _NEEDED:
        return [file[key] for file in items]
    return [file[key] for file in items if key in file]


def _leave_out_nulls(items: list[Document], key: str) -> None:
    for file in items:
        if key in file and file[key] is None:
            del file[key]


def _spell_metadata(items: list[Document], spelled: list[str]) -> None:
    """Leave one spelling of core metadata: the first that a file has."""
    if spelled in ([], ["core-metadata"]):
        return
    for file in items:
        values = [file.pop(key) for key in spelled if key in file]
        if values:
            file["core-metadata"] = values[0]


def _is_ordinary(key: str, column: Column, links: Links) -> bool:
    if not column:
        return True
    if key in ("url", "provenance"):
        return _types(column) == _STR and links.are_plain(column)
    check = _CHECKS.get(key)
    return check is None or check(column)


def _types(column: Column) -> set[type]:
    return set(map(type, column))


def _are_texts(column: Column) -> bool:
    return _types(column) == _STR


def _are_filenames(column: Column) -> bool:
    if _types(column) != _STR or max(map(len, column)) > MAX_NAME:
        return False
    joined = "/" + "/".join(column)
    return (
        joined.count("/") == len(column)
        and "\\" not in joined
        and "/." not in joined
        and "" not in column
        and joined.isprintable()
    )


def _are_sizes(column: Column) -> bool:
    return _types(column) == _INT and min(column) >= 0 and max(column) < 2**63


def _are_hashes(column: Column) -> bool:
    """Return whether these are digests by their names, all in lower case."""
    if _types(column) != _DICT:
        return False
    names = {name for names in set(map(tuple, column)) for name in names}
    return (
        len(names) <= _MOST_DIGESTS
        and all(name == name.lower() for name in names)
        and all(
            _are_digests([hashes[name] for hashes in column if name in hashes])
            for name in names
        )
    )


def _are_digests(column: Column) -> bool:
    if _types(column) != _STR:
        return False
    lengths = set(map(len, column))
    joined = "".join(column)
    return (
        min(lengths) >= 8
        and max(lengths) <= 128
        and joined.isascii()
        and not joined.encode().translate(None, _DIGITS)
    )


def _are_metadata(column: Column) -> bool:
    kinds = _types(column)
    if not kinds <= _BOOL | _DICT:
        return False
    told = [value for value in column if type(value) is dict]
    return all(told) and (not told or _are_hashes(told))


_NEEDED = frozenset({"filename", "url", "hashes"})

#: Keys whose null means what their absence does.
_NULLABLE = frozenset(
    {"requires-python", "upload-time", "size", "yanked", "gpg-sig", "provenance"}
)

_CHECKS: dict[str, Callable[[Column], bool]] = {
    "filename": _are_filenames,
    "hashes": _are_hashes,
    "requires-python": _are_texts,
    "upload-time": _are_texts,
    "size": _are_sizes,
    "yanked": lambda column: _types(column) <= _BOOL | _STR,
    "gpg-sig": lambda column: _types(column) == _BOOL,
    **dict.fromkeys(_METADATA_KEYS, _are_metadata),
}
