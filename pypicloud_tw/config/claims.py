r"""What a claim of an identity token must be: names with patterns.

A pattern is matched against the whole value, capitals and all. ``*`` stands for any
number of characters but ``/``, none included; ``**`` for any number of any characters;
``\*`` for a star and ``\\`` for a backslash. So ``refs/tags/*`` fits ``refs/tags/1.0``
and not ``refs/tags/old/1.0``. It is as in the filters of GitHub Actions. That a ``*``
ends at a slash matters: a branch may be called ``x@refs/heads/main``, and would turn
``acme/tool/.github/workflows/*@refs/heads/main`` into its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pypicloud_tw.config.values import BadValueError

#: Claims that one publisher may name, and characters of a value or of a pattern.
MOST_CLAIMS, LONGEST = 32, 1024

#: Stars in a pattern, so that none takes long.
_MOST_STARS = 8

#: Pairs of a claim's name and a pattern.
Claims = tuple[tuple[str, str], ...]

_NAME = re.compile(r"[!#-+\--9;-~]{1,128}")
_TOKEN = re.compile(r"\*\*+|\*|\\[*\\]|[^*\\]+")
_WELL_FORMED = re.compile(r"(?:[^\\]|\\[*\\])*")
#: One ``name:pattern``: what is in quotes is taken as it is, commas included.
_ITEM = re.compile(r'\s*(?:"([^"\n]*)"|([^,\n"]*?))\s*(?:[,\n]|$)')
#: Of numbers, what Python and JSON write alike.
_EXACT = 2**53


def parse_claims(text: str) -> Claims:
    """Read ``repository:acme/tool, ref:refs/tags/*``: apart by commas or new lines.

    What has a comma stands in double quotes: ``"sub:a,b"``. A name ends at the first
    colon.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        item = _ITEM.match(text, at)
        if item is None:
            raise BadValueError(
                'has a double quote amid an item; put the whole of it in: "sub:a,b"'
            )
        at = item.end()
        pair = item[1] if item[1] is not None else item[2]
        if not pair:
            continue
        name, pattern = _pair(pair)
        if name in found:
            raise BadValueError(
                f"names the claim {name} twice, and it has one value; for either of "
                "two values make two publishers."
            )
        found[name] = pattern
    return check_claims(tuple(found.items()))


def check_claims(claims: Claims) -> Claims:
    """Return claims that can be matched.

    :raises BadValueError: they cannot; or there are too many.
    """
    if len(claims) > MOST_CLAIMS:
        raise BadValueError(f"names more than {MOST_CLAIMS} claims.")
    for name, pattern in claims:
        if not _NAME.fullmatch(name):
            raise BadValueError("has something that is not the name of a claim.")
        if not pattern or len(pattern) > LONGEST or not pattern.isprintable():
            raise BadValueError(
                f"has no value for {name} that a claim can have: printable text of at "
                f"most {LONGEST} characters."
            )
        if not _WELL_FORMED.fullmatch(pattern):
            raise BadValueError(
                rf"has a backslash in {name} that stands before neither * nor \; "
                r"write \\ for one."
            )
        if pattern.count("*") > _MOST_STARS:
            raise BadValueError(f"has more than {_MOST_STARS} stars for {name}.")
    return claims


def _pair(text: str) -> tuple[str, str]:
    name, colon, pattern = text.partition(":")
    if not colon:
        raise BadValueError(
            "has something that is not name:value; write it as "
            "repository:acme/tool, ref:refs/tags/*"
        )
    return name.strip(), pattern.strip()


def as_text(value: object) -> str | None:
    """Write a claim's value as patterns are matched against it.

    Numbers and booleans as JSON has them. None for what has no one text: lists,
    objects, fractions, null.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) < _EXACT:
        return str(value)
    return None


def literal_start(pattern: str) -> str:
    """Return what everything that fits a pattern begins with."""
    start = []
    for part in _TOKEN.findall(pattern):
        if part[0] == "*":
            break
        start.append(part[1] if part[0] == "\\" else part)
    return "".join(start)


def has_star(pattern: str) -> bool:
    """Return whether a pattern fits more than one value."""
    return any(part[0] == "*" for part in _TOKEN.findall(pattern))


def fits(pattern: str, value: str) -> bool:
    """Return whether a value fits a pattern."""
    start, star, end = pattern.partition("*")
    if "\\" in pattern or end:
        return _fits(_TOKEN.findall(pattern), value)
    # Nearly all are like these, and are asked at each use of a token.
    if not star:
        return pattern == value
    return value.startswith(start) and "/" not in value[len(start) :]


def _fits(parts: list[str], value: str) -> bool:
    """Match by the set of places that can be reached: no pattern takes long.

    Where a place is reachable by several ways is one place; a regular expression would
    try every way (``*a*a*a*b``).
    """
    reached = {0}
    for part in parts:
        if part[0] == "*":
            reached = _after_star(reached, value, len(part) > 1)
        else:
            literal = part[1] if part[0] == "\\" else part
            ends = (
                at + len(literal) for at in reached if value.startswith(literal, at)
            )
            reached = set(ends)
        if not reached:
            return False
    return len(value) in reached


def _after_star(reached: set[int], value: str, beyond_slash: bool) -> set[int]:
    after: set[int] = set()
    for at in sorted(reached):
        if at in after:
            continue  # an earlier one goes as far
        slash = -1 if beyond_slash else value.find("/", at)
        after.update(range(at, (len(value) if slash < 0 else slash) + 1))
    return after


def fit_all(claims: Claims, shown: Mapping[str, str]) -> bool:
    """Return whether every claim is there and fits; parameters as of the next."""
    for name, pattern in claims:
        if name not in shown or not fits(pattern, shown[name]):
            return False
    return True


def mismatches(claims: Claims, shown: Mapping[str, str]) -> list[str]:
    """Name the claims that are absent or do not fit.

    :param shown: the claims of a token, as texts.
    """
    return [
        name
        for name, pattern in claims
        if name not in shown or not fits(pattern, shown[name])
    ]
