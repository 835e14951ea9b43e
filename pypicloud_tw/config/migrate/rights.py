"""Users, groups and rights of pypicloud 1.x, as lines of ours.

Found by running its version 1.3: a project that has rights of its own is for those
whom they name, and for administrators; any other is for the groups of
``pypi.default_read`` and ``pypi.default_write``. What cannot be written here closes
what it gave, and never opens anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from pypicloud_tw.config import names
from pypicloud_tw.config.grants import group_name_problem, parse_actions
from pypicloud_tw.config.hashes import HOW_TO_HASH, identify
from pypicloud_tw.config.key import show_value
from pypicloud_tw.config.migrate.access import (
    FormerAccess,
    FormerRight,
    access_of_ini,
)
from pypicloud_tw.config.migrate.elsewhere import read_access
from pypicloud_tw.config.migrate.keys import Translation, is_true
from pypicloud_tw.config.rights import (
    AUTHENTICATED,
    EVERYONE,
    READING,
    WRITING,
    show_actions,
)
from pypicloud_tw.config.sources import user_name_problem
from pypicloud_tw.config.values import BadValueError

#: Lists of groups, and what they were where the old file did not say.
_DEFAULTS = {"pypi.default_read": AUTHENTICATED, "pypi.default_write": ""}
_BESIDE = ("pypi.allow_overwrite_groups", "pypi.allow_delete_groups")

#: Backends whose users were elsewhere, while rights were those of the ini.
_LDAP = (
    "ldap",
    "pypicloud.access.LDAPAccessBackend",
    "pypicloud.access.ldap_.LDAPAccessBackend",
)
_CONFIG = ("", "config", "pypicloud.access.ConfigAccessBackend")
_SQL = (
    "sql",
    "pypicloud.access.SQLAccessBackend",
    "pypicloud.access.sql.SQLAccessBackend",
)
_SECRETS = (
    "aws_secrets_manager",
    "pypicloud.access.AWSSecretsManagerAccessBackend",
    "pypicloud.access.aws_secrets_manager.AWSSecretsManagerAccessBackend",
)

_UNWRITABLE = "An ini has no place for a name with '='."

#: More names than these are counted.
_MOST_NAMES = 5


def carry_rights(work: Translation, base: Path, access: Path | None) -> None:
    """Carry over who may log in, and who may do what.

    :param base: the folder of the old file.
    :param access: a file with users and rights that were not in it.
    :raises ConfigError: that file cannot be read.
    """
    kind = work.old.get("pypi.auth", work.old.get("pypi.access_backend", ""))
    if access is None and kind in _SQL:
        access = _sqlite_file(work, base)
    if access is not None:
        _carry(work, read_access(access))
        work.notes.append(f"Users, groups and rights are those of {access}.")
        _tell_unused(work)
    elif kind in (*_CONFIG, *_LDAP):
        _carry(work, access_of_ini(work.old))
    else:
        work.incomplete = True
        _carry_lists(work)
        work.settings |= dict.fromkeys(_DEFAULTS, "")
        _tell_unused(work)
    if kind not in _CONFIG and access is None:
        work.lost.append(_elsewhere(kind))


def _elsewhere(kind: str) -> str:
    """Say how users and rights come here that were kept elsewhere."""
    sentence = (
        f"Look here: pypi.auth = {show_value(kind)} kept users and their rights "
        "elsewhere. "
    )
    if kind in _LDAP:
        return f"{sentence}The users stay there: auth.ldap.* is carried over."
    export = "'ppc-export old.ini -o access.json.gz' of pypicloud 1.x writes"
    if kind in _SECRETS:
        export = (
            "'aws secretsmanager get-secret-value --secret-id ID --query SecretString "
            "--output text > access.json' writes"
        )
    return (
        f"{sentence}{export} them into a file that is read here with --access=FILE, as "
        "is a SQLite database. "
        "Without it nobody but administrators may read or write by the new file."
    )


def _sqlite_file(work: Translation, base: Path) -> Path | None:
    """Find the SQLite database that an old file names, if it is there."""
    url = work.old.get("auth.db.url", work.old.get("db.url", ""))
    scheme, _, path = url.partition(":///")
    if scheme.partition("+")[0] != "sqlite" or not path:
        return None
    file = base / path
    return file if file.is_file() else None


def _tell_unused(work: Translation) -> None:
    own = access_of_ini(work.old)
    if own.users or own.groups or own.rights or own.admins:
        work.notes.append(
            "Users, groups and rights in the old file were not used, and are left out."
        )


def _carry(work: Translation, former: FormerAccess) -> None:
    for name, hashed in former.users.items():
        carry_user(work, name, hashed)
    if former.pending:
        work.lost.append(
            f"{former.pending} users who waited for an administrator's consent are "
            "left out."
        )
    admins = _kept(work, "auth.admins", former.admins, names.member)
    if admins:
        work.settings["auth.admins"] = " ".join(admins)
    for name, members in former.groups.items():
        _carry_group(work, name, members)
    _carry_lists(work)
    _carry_lines(work, former.rights, former.groups.keys())


def carry_user(work: Translation, name: str, hashed: str) -> None:
    """Carry a user over, or tell why not."""
    problem = user_name_problem(name) or ("=" in name and _UNWRITABLE) or None
    if problem is not None:
        work.notes.append(f"user.{name[:80]!a} is left out: {problem}")
    elif identify(hashed) is None:
        work.notes.append(
            f"user.{name} is left out: its password's hash is of a kind that does not "
            f"work here. {HOW_TO_HASH}"
        )
    else:
        work.users[name] = hashed


def _carry_group(work: Translation, name: str, members: Iterable[str]) -> None:
    problem = group_name_problem(name) or ("=" in name and _UNWRITABLE) or None
    if problem is not None:
        work.lost.append(f"group.{name[:80]!a} is left out: {problem}")
        return
    kept = _kept(work, f"group.{name}", members, names.member)
    work.grants[f"group.{name}"] = " ".join(kept)


def _kept(
    work: Translation, key: str, listed: Iterable[str], kind: Callable[[str], str]
) -> list[str]:
    """Return the names of a list that mean here what they meant there."""
    kept: list[str] = []
    for name in listed:
        if _is_kept(name, kind):
            kept.append(name)
        else:
            work.lost.append(
                f"{key}: {show_value(name)} is left out: a list here has no place for "
                "it, or it means something else."
            )
    return kept


def _is_kept(name: str, kind: Callable[[str], str]) -> bool:
    # Lists there had blanks between their items, so that a comma was part of one.
    try:
        return kind(name) == name and re.search(r"[\s,]", name) is None
    except BadValueError:
        return False


def _carry_lists(work: Translation) -> None:
    """Carry over the groups that may read and write by default, and the like."""
    old = work.old
    if is_open_to_all(old):
        work.settings |= {"pypi.default_read": EVERYONE}
        work.settings |= {"pypi.default_write": AUTHENTICATED}
    for key in (*_DEFAULTS, *_BESIDE):
        text = old.get(key, None if key in work.settings else _DEFAULTS.get(key))
        if text is not None:
            kept = _kept(work, key, text.split(), names.group)
            work.settings[key] = " ".join(kept)
    if "pypi.allow_delete" in old and not is_true(old["pypi.allow_delete"]):
        work.settings["pypi.allow_delete_groups"] = ""


def is_open_to_all(old: Mapping[str, str]) -> bool:
    """Whether its zero_security_mode let everyone read, and every user write."""
    return any(
        is_true(old.get(f"{section}.zero_security_mode", ""))
        for section in ("pypi", "auth")
    )


def _carry_lines(
    work: Translation, rights: Iterable[FormerRight], groups: Collection[str]
) -> None:
    """Carry over the rights of single projects; none that is left out opens one.

    :param groups: those that were defined.
    """
    by_project: dict[str, list[FormerRight]] = {}
    for right in rights:
        try:
            by_project.setdefault(names.project(right.package), []).append(right)
        except BadValueError:
            work.lost.append(
                f"package.{right.package[:80]} is left out: no project has that name."
            )
    for project, lines in by_project.items():
        # Those with the project's own name counted; the others only seemed to.
        lines.sort(key=lambda line: line.package == project)
        own = {}
        for line in lines:
            key = f"package.{project}.{line.kind}.{line.name}"
            if _can_be_written(work, line, groups):
                own[key] = line
                _tell_meaning(work, key, line)
        work.grants |= {key: line.letters for key, line in own.items()}
        if not own:
            work.grants[f"package.{project}.group.{AUTHENTICATED}"] = "none"
    _tell_names(work, by_project)


def _can_be_written(
    work: Translation, line: FormerRight, groups: Collection[str]
) -> bool:
    problem: str | None
    if line.kind == "user":
        problem = user_name_problem(line.name)
    elif line.name in (EVERYONE, AUTHENTICATED):
        problem = None
    elif f"group.{line.name}" in work.grants or line.name not in groups:
        is_group = _is_kept(line.name.replace(" ", "-"), names.group)
        problem = None if is_group else "it is no group's name here."
    else:
        problem = "that group is left out."
    problem = problem or ("=" in line.name and _UNWRITABLE) or None
    if problem is not None:
        what = f"package.{line.package}.{line.kind}.{line.name}"
        work.lost.append(f"{what[:80]!a} is left out: {problem}")
    return problem is None


def _tell_meaning(work: Translation, key: str, line: FormerRight) -> None:
    """Tell of a text that would mean more here than it did."""
    if not line.told:
        return
    try:
        meant = parse_actions(line.told)
    except BadValueError:
        meant = None
    given = frozenset(
        (READING if line.reads else frozenset())
        | (WRITING if line.writes else frozenset())
    )
    if meant != given:
        would = "no right" if meant is None else show_actions(meant)
        work.lost.append(
            f"{key[:80]} was {show_value(line.told)}, of which pypicloud 1.x "
            f"understood {line.letters}; so it is here. As it is written it would be "
            f"{would}."
        )


def _tell_names(work: Translation, lines: Mapping[str, list[FormerRight]]) -> None:
    """Tell of lines that had no effect, for they were not for a normalized name."""
    idle = sorted(
        {
            right.package
            for project, rights in lines.items()
            for right in rights
            if right.package != project
        }
    )
    if idle:
        more = len(idle) - _MOST_NAMES
        shown = ", ".join(idle[:_MOST_NAMES]) + (
            f" and {more} more" if more > 0 else ""
        )
        work.notes.append(
            "pypicloud 1.x compared names as they were written and passed over those "
            "with dots, so that the rights of these projects protected nothing: "
            f"{shown}. Here they are in force: only those whom they name may do what "
            "they say."
        )
