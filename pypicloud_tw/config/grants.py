"""Groups and rights: ``group.NAME`` and ``package.PROJECT.user.NAME`` in the ini."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import cast

from attrs import frozen

from pypicloud_tw.config import names
from pypicloud_tw.config.key import show_value
from pypicloud_tw.config.rights import (
    READING,
    RESERVED,
    WRITING,
    Action,
    Kind,
    RightLine,
)
from pypicloud_tw.config.sections.access import AuthSection
from pypicloud_tw.config.sections.index import PypiSection
from pypicloud_tw.config.sources import Given, Problem, user_name_problem
from pypicloud_tw.config.values import BadValueError, words

#: What stands behind ``package.``: split at the first ``.user.`` or ``.group.``, for a
#: project's name may have dots: ``zope.interface.user.bob``.
_RIGHT = re.compile(r"(?P<project>.+?)\.(?P<kind>user|group)\.(?P<name>.+)")

_WORDS: Mapping[str, frozenset[Action]] = MappingProxyType(
    {
        "r": READING,
        "read": READING,
        "w": WRITING,
        "write": WRITING,
        "rw": READING | WRITING,
        "wr": READING | WRITING,
        "upload": frozenset({Action.UPLOAD}),
        "manage": frozenset({Action.MANAGE}),
        "administer": frozenset({Action.ADMINISTER}),
    }
)

_MOST_NAMES = 5


@frozen
class Grants:
    """What an ini says of groups and rights.

    :ivar groups: members by the group's name.
    """

    groups: Mapping[str, frozenset[str]]
    rights: tuple[RightLine, ...]


def read_grants(
    groups: Mapping[str, Given],
    rights: Mapping[str, Given],
    report: Callable[[Problem], None],
) -> Grants:
    """Understand what stands behind ``group.`` and ``package.``.

    :param report: takes each mistake.
    """
    members = {name: _read_group(name, given, report) for name, given in groups.items()}
    lines: dict[tuple[str, str, str], RightLine] = {}
    for short, given in rights.items():
        try:
            line = _read_right(short, given)
        except BadValueError as e:
            report(given.problem(f"package.{short[:80]} {e}"))
            continue
        first = lines.setdefault((line.project, line.kind, line.name), line)
        if first is not line:
            report(
                given.problem(
                    f"package.{short[:80]} is given twice, for names are normalised; "
                    f"the first is in {first.source}."
                )
            )
    return Grants(MappingProxyType(members), tuple(lines.values()))


def _read_group(
    name: str, given: Given, report: Callable[[Problem], None]
) -> frozenset[str]:
    problem = group_name_problem(name)
    if problem is not None:
        report(given.problem(f"group.{name[:80]!a}: {problem}"))
    try:
        return frozenset(words(names.member)(given.text))
    except BadValueError as e:
        report(given.problem(f"group.{name[:80]} = {show_value(given.text)} {e}"))
        return frozenset()


def group_name_problem(name: str) -> str | None:
    """Return what is wrong with the name of a group to be made, if anything is."""
    if name.lower() in RESERVED:
        return "This name means a group that is there already; choose another."
    if not name or not name.isprintable() or ":" in name or name != name.strip():
        return "A group's name is printable text without ':'."
    return None


def _read_right(short: str, given: Given) -> RightLine:
    match = _RIGHT.fullmatch(short)
    if match is None:
        raise BadValueError(
            "gives nobody a right; write package.PROJECT.user.NAME = rw, or "
            "package.PROJECT.group.NAME = rw."
        )
    kind = cast("Kind", match["kind"])
    name = match["name"].strip()
    if kind == "group":
        name = names.group(name)
    elif (problem := user_name_problem(name)) is not None:
        raise BadValueError(f"names no user: {problem}")
    return RightLine(
        names.parse_project(match["project"]),
        kind,
        name,
        parse_actions(given.text),
        given.origin,
    )


def parse_actions(text: str) -> frozenset[Action]:
    """Parse what a right allows: ``r``, ``rw``, ``read, upload``, ``none``.

    Words are apart by commas or blanks. ``w`` and ``write`` are upload and manage.

    :raises BadValueError: it has another word.
    """
    words = [word for word in re.split(r"[\s,]+", text.lower()) if word]
    if words == ["none"]:
        return frozenset()
    unknown = [word for word in words if word not in _WORDS]
    if unknown:
        raise BadValueError(
            f"= {show_value(text)} has {show_value(unknown[0])}, which is no right; "
            "write r or rw, or some of read, upload, manage and administer, or none "
            "alone: nothing."
        )
    return frozenset[Action]().union(*(_WORDS[word] for word in words))


def undefined(
    pypi: PypiSection, auth: AuthSection, grants: Grants, users: Collection[str]
) -> Iterator[str]:
    """Tell of groups and users that rights name and no line defines; a sentence each.

    :param users: of the ini. Where it has none, all come from elsewhere.
    """
    groups = _named_groups(pypi, grants)
    unknown = groups.keys() - grants.groups.keys() - RESERVED
    if unknown:
        yield (
            f"No line group.NAME says who is in {_listed(groups, unknown)}: nobody, "
            "unless the access document or another directory says so."
        )
    members = _named_users(auth, grants)
    unknown = members.keys() - users
    if users and unknown:
        yield (
            f"No line user.NAME is for {_listed(members, unknown)}: nobody, unless the "
            "access document or another directory has them."
        )


def _named_groups(pypi: PypiSection, grants: Grants) -> dict[str, str]:
    """Return the groups that are named, and where."""
    named: dict[str, str] = {}
    for key in _GROUP_KEYS:
        for group in getattr(pypi, key) or ():
            named.setdefault(group, f"pypi.{key}")
    for line in grants.rights:
        if line.kind == "group":
            named.setdefault(line.name, f"package.{line.project}.group.{line.name}")
    return named


def _named_users(auth: AuthSection, grants: Grants) -> dict[str, str]:
    """Return the users who are named, and where."""
    named = dict.fromkeys(auth.admins or (), "auth.admins")
    for group, members in grants.groups.items():
        for member in members:
            named.setdefault(member, f"group.{group}")
    for line in grants.rights:
        if line.kind == "user":
            named.setdefault(line.name, f"package.{line.project}.user.{line.name}")
    return named


_GROUP_KEYS = (
    "default_read",
    "default_write",
    "allow_overwrite_groups",
    "allow_delete_groups",
)


def _listed(named: Mapping[str, str], unknown: Collection[str]) -> str:
    shown = [f"{name} ({named[name]})" for name in sorted(unknown)[:_MOST_NAMES]]
    more = len(unknown) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
