"""What rights speak of, and the lines that give them.

The same values come from the ini and from the access document in the store.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from attrs import frozen


class Action(Enum):
    """What somebody wants to do."""

    READ = "read"
    #: Publish files whose names are new.
    UPLOAD = "upload"
    #: Yank, delete, set the status.
    MANAGE = "manage"
    #: Change who may do what.
    ADMINISTER = "administer"
    #: Replace a published file: needs UPLOAD, and ``pypi.allow_overwrite_groups``.
    OVERWRITE = "overwrite"
    #: Remove what was published: needs MANAGE, and ``pypi.allow_delete_groups``.
    DELETE = "delete"

    # Enum's own is a function in Python, and each request looks into a few sets.
    __hash__ = object.__hash__


#: What a line can give.
GRANTABLE = (Action.READ, Action.UPLOAD, Action.MANAGE, Action.ADMINISTER)

#: What ``r`` gives, and what ``w`` does.
READING = frozenset({Action.READ})
WRITING = frozenset({Action.UPLOAD, Action.MANAGE})

#: Names that mean whole groups wherever rights are given.
EVERYONE, AUTHENTICATED = "everyone", "authenticated"

#: The group of the administrators, which nobody else can be put into.
ADMIN = "admin"

#: Groups that nobody can be put into, by any source.
RESERVED = frozenset({EVERYONE, AUTHENTICATED, ADMIN})

#: Whose a right is: a user's or a group's.
Kind = Literal["user", "group"]


@frozen
class RightLine:
    """One line of rights: ``package.PROJECT.user.NAME = rw``.

    :ivar project: a normalized name or a pattern.
    :ivar kind: whether *name* is a user's or a group's.
    :ivar actions: of :data:`GRANTABLE`; none closes the project to whom it names.
    :ivar source: where it stands, for a person.
    """

    project: str
    kind: Kind
    name: str
    actions: frozenset[Action]
    source: str

    @property
    def text(self) -> str:
        """Return it as it would stand in an ini."""
        actions = show_actions(self.actions)
        return f"package.{self.project}.{self.kind}.{self.name} = {actions}"


def show_actions(actions: frozenset[Action]) -> str:
    """Write what a line gives: ``rw``, ``r``, ``w``, ``read, upload``, ``none``."""
    letters = {
        frozenset(): "none",
        READING: "r",
        WRITING: "w",
        READING | WRITING: "rw",
    }
    words = ", ".join(action.value for action in GRANTABLE if action in actions)
    return letters.get(actions, words)


@frozen
class TrustedPublisher:
    """Whose identity token may be exchanged for rights (trusted publishing).

    :ivar issuer: the OIDC issuer's URL, exactly as its tokens have it in ``iss``.
    :ivar audience: what their ``aud`` must be.
    :ivar claims: pairs of a claim's name and the pattern that its value must match.
    :ivar projects: normalized names or patterns.
    :ivar source: where it stands, for a person.
    """

    name: str
    issuer: str
    audience: str
    claims: tuple[tuple[str, str], ...]
    projects: tuple[str, ...]
    actions: frozenset[Action]
    source: str
