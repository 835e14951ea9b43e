"""Retention: which releases are kept (``retention.NAME.keep_releases`` and the like).

The same settings come from the ini, from the options of a command, and from requests,
and are judged by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, cast

import attrs
from attrs import frozen

from pypicloud_tw.config.key import show_value
from pypicloud_tw.config.names import parse_project
from pypicloud_tw.config.sources import Given, Problem
from pypicloud_tw.config.values import (
    BadValueError,
    one_of,
    show_age,
    whole,
    whole_seconds,
    words,
)

#: How many releases may be kept, and for how long: more is a slip of the pen.
_MOST, _LONGEST = 1_000_000, 100 * 366 * 86400

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")

#: Whether the servers do it by themselves, once a day.
Apply = Literal["daily", "never"]


@frozen
class Keeping:
    """What is kept of a project's releases.

    A release is kept by its number or by its age. Of a kind of releases of which
    neither is said, all are kept for ever.

    :ivar releases: how many final releases are kept, the newest by version.
    :ivar younger: seconds for which a final release is kept after its newest file.
    :ivar prereleases: as *releases*, of alphas, betas and candidates.
    :ivar prereleases_younger: as *younger*, of these.
    :ivar dev: as *releases*, of development releases.
    :ivar dev_younger: as *younger*, of these.
    :ivar fetched: seconds for which a release is kept after somebody fetched it.
    """

    releases: int | None = None
    younger: int | None = None
    prereleases: int | None = None
    prereleases_younger: int | None = None
    dev: int | None = None
    dev_younger: int | None = None
    fetched: int | None = None

    @property
    def keeps_all(self) -> bool:
        """Whether there is nothing that it lets go."""
        limits = attrs.astuple(attrs.evolve(self, fetched=None))
        return all(limit is None for limit in limits)

    @property
    def text(self) -> str:
        """Return it in a line, as it would stand in an ini."""
        parts = []
        for part in _KINDS:
            value = getattr(self, part)
            if value is not None:
                shown = show_age(value) if part in _AGES else str(value)
                parts.append(f"keep_{part} = {shown}")
        return ", ".join(parts) or "everything is kept"


@frozen
class RetentionRule:
    """What is kept of some projects.

    :ivar projects: normalized names or patterns.
    """

    name: str
    projects: tuple[str, ...]
    keep: Keeping = Keeping()
    apply: Apply = "never"


_AGE = whole_seconds(1, _LONGEST)

#: How each part of a :class:`Keeping` is written.
_KINDS: Mapping[str, Callable[[str], int]] = MappingProxyType(
    {
        # Never the last one: none at all cannot be wished for.
        "releases": whole(1, _MOST),
        "younger": _AGE,
        "prereleases": whole(0, _MOST),
        "prereleases_younger": _AGE,
        "dev": whole(0, _MOST),
        "dev_younger": _AGE,
        "fetched": _AGE,
    }
)

_AGES = frozenset(part for part, kind in _KINDS.items() if kind is _AGE)

_PROJECTS, _APPLY = "projects", "apply"
#: Every setting of a rule, by what stands behind the last point.
SETTINGS = (_PROJECTS, *(f"keep_{part}" for part in _KINDS), _APPLY)


def check_keeping(keep: Keeping) -> None:
    """Return if what came as numbers could stand in an ini.

    :raises BadValueError: it could not; the message names the part.
    """
    for part, kind in _KINDS.items():
        value = getattr(keep, part)
        if value is not None:
            try:
                kind(str(value))
            except BadValueError as e:
                raise BadValueError(f"{part} = {value} {e}") from None


def parse_keeping(texts: Mapping[str, str | None]) -> Keeping:
    """Read what the options of a command say.

    :param texts: by the parts of a :class:`Keeping`; None: nothing is said.
    :raises BadValueError: with the part of the first mistake in front.
    """
    values: dict[str, int] = {}
    for part, text in texts.items():
        if text is not None:
            try:
                values[part] = _KINDS[part](text)
            except BadValueError as e:
                raise BadValueError(f"{part} = {show_value(text)} {e}") from None
    return Keeping(**values)


@frozen
class Retentions:
    """The rules of the ini.

    :ivar notices: what the operator should know, a sentence each.
    """

    rules: tuple[RetentionRule, ...]
    notices: tuple[str, ...]


def read_retentions(
    texts: Mapping[str, Given], complain: Callable[[Problem], object]
) -> Retentions:
    """Read the ini's ``retention.NAME.SETTING`` keys.

    :param texts: by what stands behind ``retention.``.
    :param complain: takes what is wrong with them.
    """
    by_name: dict[str, dict[str, Given]] = {}
    for key, given in texts.items():
        # A name may have dots, a setting has none.
        name, dot, setting = key.rpartition(".")
        if dot and setting in SETTINGS:
            by_name.setdefault(name, {})[setting] = given
        else:
            wanted = ", ".join(SETTINGS)
            complain(
                given.problem(
                    f"retention.{key[:80]} is no setting; write retention.NAME. and "
                    f"one of {wanted}."
                )
            )
    rules = [_read_rule(name, given, complain) for name, given in by_name.items()]
    found = tuple(rule for rule in rules if rule is not None)
    _refuse_twice(found, by_name, complain)
    return Retentions(found, tuple(_notices(found)))


def _read_rule(
    name: str, given: Mapping[str, Given], complain: Callable[[Problem], object]
) -> RetentionRule | None:
    values: dict[str, object] = {}
    first = next(iter(given.values()))
    whose = f"retention.{name[:80]}"
    problems: list[Problem] = []
    if not _NAME.fullmatch(name):
        what = "is called by letters, digits, '.', '-' and '_', at most 100."
        problems.append(first.problem(f"{whose} {what}"))
    for setting, one in given.items():
        try:
            values[setting] = _parse(setting, one.text)
        except BadValueError as e:
            text = show_value(one.text)
            problems.append(one.problem(f"{whose}.{setting} = {text} {e}"))
    if _PROJECTS not in given:
        problems.append(first.problem(f"{whose}.{_PROJECTS} {_NO_PROJECTS}"))
    for problem in problems:
        complain(problem)
    if problems:
        return None
    keep = {part: values.get(f"keep_{part}") for part in _KINDS}
    return RetentionRule(
        name,
        cast("tuple[str, ...]", values[_PROJECTS]),
        Keeping(**cast("dict[str, int | None]", keep)),
        cast("Apply", values.get(_APPLY, "never")),
    )


_NO_PROJECTS = "is missing: the projects that it is for, as in acme-tool, acme-*"


def _parse(setting: str, text: str) -> object:
    if setting == _APPLY:
        return one_of("daily", "never")(text)
    if setting != _PROJECTS:
        return _KINDS[setting.removeprefix("keep_")](text)
    projects = words(parse_project)(text)
    if not projects:
        raise BadValueError("names no project; write names or patterns such as acme-*.")
    return projects


def _refuse_twice(
    rules: tuple[RetentionRule, ...],
    given: Mapping[str, Mapping[str, Given]],
    complain: Callable[[Problem], object],
) -> None:
    """Complain of what two rules are for: neither is the more specific one."""
    first: dict[str, str] = {}
    for rule in rules:
        for project in rule.projects:
            other = first.setdefault(project, rule.name)
            if other != rule.name:
                complain(
                    given[rule.name][_PROJECTS].problem(
                        f"retention.{rule.name}.{_PROJECTS} has {project}, and so has "
                        f"retention.{other}.{_PROJECTS}: one rule decides of a project."
                    )
                )


def _notices(rules: tuple[RetentionRule, ...]) -> Iterator[str]:
    for rule in rules:
        if rule.keep.keeps_all:
            yield (
                f"retention.{rule.name} lets nothing go: every release of its projects "
                "is kept."
            )
