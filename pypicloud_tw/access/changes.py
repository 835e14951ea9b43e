"""What administrators can change at run time: changes of the access document's value.

Each takes what the document says and what the ini says, and returns what the document
shall say: the same object where it says so already. None touches what the ini has.

Removing a user removes the name from every group and every line, so that nobody who is
given the name later finds rights in it; and each user has an id of its own, by which
tokens know theirs. Groups likewise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random, SystemRandom
from typing import TypeVar

from attrs import evolve

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.document_format import TITLE, publisher_source
from pypicloud_tw.access.patterns import covers
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.grants import group_name_problem
from pypicloud_tw.config.hashes import identify
from pypicloud_tw.config.names import group, pattern
from pypicloud_tw.config.publishers import PublisherError, check_publisher
from pypicloud_tw.config.rights import (
    GRANTABLE,
    Action,
    Kind,
    RightLine,
    TrustedPublisher,
)
from pypicloud_tw.config.sources import user_name_problem
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest, Conflict, NotFound

#: Longer names of users cannot log in.
MAX_NAME = 256

_SYSTEM = SystemRandom()

T = TypeVar("T")


def put_user(
    document: AccessDocument,
    ini: AccessSettings,
    name: str,
    hash: str | None,
    *,
    administrator: bool = False,
    random: Random = _SYSTEM,
) -> AccessDocument:
    """Make a user, or have the one of that name be so.

    One that is there stays the same user: its tokens hold.

    :param hash: of the password; None: the user has none, and only ever shows tokens.
    :param random: for the id of one that is new.
    :raises BadRequest: the name or the hash cannot be.
    :raises Conflict: the ini has a user of that name.
    """
    _check_user_name(name)
    _refuse_fixed(name in ini.users, f"the user {name}", f"user.{name}")
    if hash is not None and identify(hash) is None:
        raise BadRequest(
            "This is no hash of a password; pypicloud-gen-password makes one."
        )
    before = document.users.get(name)
    id = random.randbytes(8).hex() if before is None else before.id
    user = StoredUser(hash, administrator, id)
    return document if user == before else _with_user(document, name, user)


def set_password(
    document: AccessDocument, ini: AccessSettings, name: str, hash: str | None
) -> AccessDocument:
    """Give a user another password, or take it away.

    :raises NotFound: there is no such user; other errors as of :func:`put_user`.
    """
    before = _user(document, ini, name)
    return put_user(document, ini, name, hash, administrator=before.administrator)


def set_administrator(
    document: AccessDocument, ini: AccessSettings, name: str, administrator: bool
) -> AccessDocument:
    """Have a user be an administrator, or not; errors as of :func:`set_password`."""
    before = _user(document, ini, name)
    return put_user(document, ini, name, before.hash, administrator=administrator)


def remove_user(
    document: AccessDocument, ini: AccessSettings, name: str
) -> AccessDocument:
    """Remove a user, from every group and line, too; no project is opened by that.

    :raises NotFound: there is none; of what only the ini has, Conflict.
    """
    _user(document, ini, name)
    groups = {
        group: members - {name} if name in members else members
        for group, members in document.groups.items()
    }
    return evolve(
        document,
        users=_without(document.users, name),
        groups=groups,
        rights=_lines_without(document.rights, "user", name),
    )


def put_group(
    document: AccessDocument, ini: AccessSettings, name: str, members: Iterable[str]
) -> AccessDocument:
    """Make a group, or have the one of that name be of these users.

    They need not be known here: another directory may know them.

    :raises BadRequest: a name cannot be.
    :raises Conflict: the ini has a group of that name.
    """
    problem = group_name_problem(name)
    if problem is None and len(name) > MAX_NAME:
        problem = f"A group's name has at most {MAX_NAME} characters."
    if problem is not None:
        raise BadRequest(problem)
    _refuse_fixed(name in ini.groups, f"the group {name}", f"group.{name}")
    wanted = frozenset(members)
    for member in wanted:
        _check_user_name(member)
    if document.groups.get(name) == wanted:
        return document
    return evolve(document, groups={**document.groups, name: wanted})


def remove_group(
    document: AccessDocument, ini: AccessSettings, name: str
) -> AccessDocument:
    """Remove a group, from every line, too; no project is opened by that.

    :raises NotFound: there is none; of what only the ini has, Conflict.
    """
    _members(document, ini, name)
    return evolve(
        document,
        groups=_without(document.groups, name),
        rights=_lines_without(document.rights, "group", name),
    )


def add_member(
    document: AccessDocument, ini: AccessSettings, name: str, user: str
) -> AccessDocument:
    """Have a user in a group.

    :raises BadRequest: the user's name cannot be.
    :raises NotFound: there is no such group; of what only the ini has, Conflict.
    """
    return put_group(document, ini, name, _members(document, ini, name) | {user})


def remove_member(
    document: AccessDocument, ini: AccessSettings, name: str, user: str
) -> AccessDocument:
    """Have a user in a group no more.

    :raises NotFound: it is not in it, or there is no such group; of what only the ini
        has, Conflict.
    """
    members = _members(document, ini, name)
    if user not in members:
        raise NotFound(f"{user} is not in the group {name}.")
    return put_group(document, ini, name, members - {user})


def set_right(
    document: AccessDocument,
    ini: AccessSettings,
    project: str,
    kind: Kind,
    name: str,
    actions: frozenset[Action],
) -> AccessDocument:
    """Set what a user or a group may do with a project, or with what matches a pattern.

    :param actions: none closes the project to whom it names.
    :raises BadRequest: a name, the pattern or an action cannot be.
    :raises Conflict: the ini decides for this project.
    """
    project, name = _project(project), holder(kind, name)
    if not actions.issubset(GRANTABLE):
        raise BadRequest("A right is of read, upload, manage and administer.")
    fixed = next((r for r in ini.rights if covers(r.project, project)), None)
    if fixed is not None:
        raise Conflict(
            f"Only the ini says who may do what with {project}: it has a line for "
            f"{fixed.project} ({fixed.source})."
        )
    line = RightLine(project, kind, name, actions, TITLE)
    others = _other_lines(document, project, kind, name)
    if line in document.rights:
        return document
    return evolve(document, rights=(*others, line))


def remove_right(
    document: AccessDocument,
    ini: AccessSettings,
    project: str,
    kind: Kind,
    name: str,
) -> AccessDocument:
    """Remove a line, also one that the ini keeps from counting.

    :raises NotFound: there is none; of what only the ini has, Conflict.
    """
    project, name = _project(project), holder(kind, name)
    others = _other_lines(document, project, kind, name)
    if len(others) == len(document.rights):
        line = f"package.{project}.{kind}.{name}"
        fixed = any(_is_line(r, project, kind, name) for r in ini.rights)
        _refuse_fixed(fixed, f"the right of {kind} {name} to {project}", line)
        raise NotFound(f"There is no right of {kind} {name} to {project}.")
    return evolve(document, rights=others)


def put_publisher(
    document: AccessDocument, ini: AccessSettings, publisher: TrustedPublisher
) -> AccessDocument:
    """Trust a publisher, or under other terms.

    It is held to the rules that one of the ini is held to.

    :raises BadRequest: it is not told from others, or for no project.
    :raises Conflict: the ini has one of that name.
    """
    name = publisher.name
    _refuse_fixed(
        name in ini.publishers, f"the publisher {name}", f"publisher.{name}.issuer"
    )
    try:
        check_publisher(publisher)
    except PublisherError as e:
        raise BadRequest(f"The publisher {name}: {e}") from None
    wanted = evolve(
        publisher,
        projects=tuple(map(_project, publisher.projects)),
        source=publisher_source(name),
    )
    if document.publishers.get(name) == wanted:
        return document
    return evolve(document, publishers={**document.publishers, name: wanted})


def remove_publisher(
    document: AccessDocument, ini: AccessSettings, name: str
) -> AccessDocument:
    """Trust a publisher no more.

    :raises NotFound: there is none; of what only the ini has, Conflict.
    """
    if name not in document.publishers:
        what = f"the publisher {name}"
        _refuse_fixed(name in ini.publishers, what, f"publisher.{name}.issuer")
        raise NotFound(f"There is no publisher {name}.")
    return evolve(document, publishers=_without(document.publishers, name))


def _user(document: AccessDocument, ini: AccessSettings, name: str) -> StoredUser:
    user = document.users.get(name)
    if user is None:
        _refuse_fixed(name in ini.users, f"the user {name}", f"user.{name}")
        raise NotFound(f"There is no user {name}.")
    return user


def _members(
    document: AccessDocument, ini: AccessSettings, name: str
) -> frozenset[str]:
    members = document.groups.get(name)
    if members is None:
        _refuse_fixed(name in ini.groups, f"the group {name}", f"group.{name}")
        raise NotFound(f"There is no group {name}.")
    return members


def _refuse_fixed(fixed: bool, what: str, key: str) -> None:
    if fixed:
        raise Conflict(
            f"The ini has {what}, so that it can be changed only there: {key}."
        )


def _check_user_name(name: str) -> None:
    problem = user_name_problem(name)
    if problem is None and len(name) > MAX_NAME:
        problem = f"A user's name has at most {MAX_NAME} characters."
    if problem is not None:
        raise BadRequest(problem)


def holder(kind: Kind, name: str) -> str:
    """Return whose a right is, as it is written.

    :raises BadRequest: that can be nobody's name.
    """
    if kind == "user":
        _check_user_name(name)
        return name
    try:
        return group(name)
    except BadValueError as e:
        raise BadRequest(f"This group's name {e}") from None


def _project(text: str) -> str:
    try:
        return pattern(text)
    except BadValueError as e:
        raise BadRequest(f"This project {e}") from None


def _is_line(line: RightLine, project: str, kind: Kind, name: str) -> bool:
    return (line.project, line.kind, line.name) == (project, kind, name)


def _other_lines(
    document: AccessDocument, project: str, kind: Kind, name: str
) -> tuple[RightLine, ...]:
    return tuple(
        line for line in document.rights if not _is_line(line, project, kind, name)
    )


def _lines_without(
    lines: tuple[RightLine, ...], kind: Kind, name: str
) -> tuple[RightLine, ...]:
    """Return the lines of others, and what keeps closed a project that has none."""
    others = tuple(line for line in lines if (line.kind, line.name) != (kind, name))
    closed = {line.project for line in others}
    bare = (
        evolve(line, actions=frozenset())
        for line in lines
        if line.project not in closed
    )
    return (*others, *bare)


def _without(values: Mapping[str, T], name: str) -> dict[str, T]:
    return {key: value for key, value in values.items() if key != name}


def _with_user(document: AccessDocument, name: str, user: StoredUser) -> AccessDocument:
    return evolve(document, users={**document.users, name: user})
