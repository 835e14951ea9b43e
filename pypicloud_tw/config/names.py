"""Kinds of settings that name projects, users or groups.

They are as those of :mod:`pypicloud_tw.config.values`.
"""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name

from pypicloud_tw.config.rights import AUTHENTICATED, EVERYONE
from pypicloud_tw.config.values import BadValueError, unique, words

#: What somebody writes who means nobody.
_NO_GROUP = frozenset({"nobody", "none", "no", "false"})
#: Characters; no project's name has more, as its files' names begin with it.
_LONGEST = 246
#: Stars and question marks of a pattern; with more, a match takes its time.
_MOST_WILDCARDS = 10
_PATTERN = re.compile(r"[a-z0-9*?]+(?:-[a-z0-9*?]+)*-?")
_OPERATOR = re.compile(r"\s*(===|==|~=|!=|<=|>=|<|>)\s*")


def project(text: str) -> str:
    """Parse a project's name; normalized (PEP 503)."""
    _check_length(text)
    try:
        return canonicalize_name(text, validate=True)
    except InvalidName:
        raise BadValueError("has something that is not a project's name.") from None


def pattern(text: str) -> str:
    """Parse ``corp`` or ``acme-*``; normalized, with ``*`` and ``?`` kept."""
    _check_length(text)
    # Normalizing keeps what it does not know, the wildcards among it.
    normal = canonicalize_name(text)
    if _PATTERN.fullmatch(normal) is None:
        raise BadValueError(
            "has something that is neither a name nor a pattern such as acme-*."
        )
    if sum(map(normal.count, "*?")) > _MOST_WILDCARDS:
        raise BadValueError(
            f"has something with more than {_MOST_WILDCARDS} stars and question marks."
        )
    return normal


def parse_project(text: str) -> str:
    """Parse whom a right is for: a project's name, or a pattern; normalized.

    :raises BadValueError: it is neither.
    """
    normal = pattern(text.strip())
    if normal.endswith("-"):
        raise BadValueError("has a name that ends with a dash; no project has one.")
    return normal


def _check_length(text: str) -> None:
    if len(text) > _LONGEST:
        raise BadValueError(
            f"has something that is longer than any project's name: {_LONGEST} "
            "characters."
        )


def rules(text: str) -> tuple[str, ...]:
    """Parse a list of names, patterns and version specifiers (PEP 440).

    ``requests, acme-*, django>=4,<5``: a comma before an operator belongs to the
    specifier that it continues.
    """
    items: list[str] = []
    for item in re.split(r"[\s,]+", _OPERATOR.sub(r"\1", text)):
        if items and item.startswith(("=", "<", ">", "!", "~")):
            items[-1] += f",{item}"
        elif item:
            items.append(item)
    return unique(_rule(item) for item in items)


def _rule(item: str) -> str:
    name = re.split(r"[=<>!~]", item, maxsplit=1)[0]
    try:
        versions = SpecifierSet(item[len(name) :])
    except InvalidSpecifier:
        raise BadValueError(
            "has something that is not a version specifier as in django>=4,<5."
        ) from None
    return f"{pattern(name)}{versions}"


def member(text: str) -> str:
    """Parse a user's name in a list of some."""
    if text.lower() in (EVERYONE, AUTHENTICATED):
        raise BadValueError(f"has {text}, which is a group; name users here.")
    return _name(text)


def group(text: str) -> str:
    """Parse a group's name, ``everyone`` and ``authenticated`` among them."""
    if text.lower() in (EVERYONE, AUTHENTICATED):
        return text.lower()
    if text.lower() in _NO_GROUP:
        raise BadValueError(
            f"names no group; write {EVERYONE}, {AUTHENTICATED} or groups, or nothing "
            "at all for nobody."
        )
    return _name(text)


def _name(text: str) -> str:
    # RFC 7617, section 2: the colon ends a user's name.
    if not text.isprintable() or ":" in text:
        raise BadValueError(
            "has something that is no name: printable text without ':'."
        )
    return text


def groups(text: str) -> tuple[str, ...]:
    """Parse a list of groups."""
    return words(group)(text)
