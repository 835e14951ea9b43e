"""What can be asked and changed, by whom it is done and wherever it is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

from pypicloud_tw.access.administration.values import (
    WHATEVER,
    Changed,
    Exempted,
    Grant,
    Group,
    Identity,
    MadeToken,
    Members,
    NewExemption,
    NewToken,
    NewUser,
    Publisher,
    PublisherTerms,
    Required,
    Right,
    RightsOf,
    Token,
    User,
    UserChange,
)
from pypicloud_tw.config.rights import Kind


class AccessAdministration(Protocol):
    """Who may do what, shown and changed.

    Every method may raise what says that it cannot be done now
    (:class:`~pypicloud_tw.errors.Unavailable`); whatever names something that is not
    there raises :class:`~pypicloud_tw.errors.NotFound`. Every change raises

    - :class:`~pypicloud_tw.errors.BadRequest`: a name, a pattern or a value cannot be;
    - :class:`~pypicloud_tw.errors.Conflict`: the ini has it, and only the ini changes
      it;
    - :class:`~pypicloud_tw.errors.ConditionFailed`: it is not as is required.
    """

    async def users(self) -> Sequence[User]:
        """Return all users, by name."""

    async def user(self, name: str) -> User:
        """Return one."""

    async def put_user(
        self, name: str, user: NewUser, required: Required = WHATEVER
    ) -> Changed:
        """Make a user, or replace one whole."""

    async def change_user(
        self, name: str, change: UserChange, required: Required = WHATEVER
    ) -> Changed:
        """Change a part of what a user is."""

    async def remove_user(self, name: str, required: Required = WHATEVER) -> Changed:
        """Remove a user."""

    async def groups(self) -> Sequence[Group]:
        """Return all groups, by name."""

    async def group(self, name: str) -> Group:
        """Return one."""

    async def put_group(
        self, name: str, members: Members, required: Required = WHATEVER
    ) -> Changed:
        """Make a group, or replace who is in it."""

    async def remove_group(self, name: str, required: Required = WHATEVER) -> Changed:
        """Remove a group."""

    async def add_member(
        self, group: str, user: str, required: Required = WHATEVER
    ) -> Changed:
        """Have somebody in a group."""

    async def remove_member(
        self, group: str, user: str, required: Required = WHATEVER
    ) -> Changed:
        """Have somebody in a group no more."""

    async def rights(self) -> Sequence[Right]:
        """Return every line, those of the ini first."""

    async def put_right(
        self,
        project: str,
        kind: Kind,
        name: str,
        grant: Grant,
        required: Required = WHATEVER,
    ) -> Changed:
        """Set what somebody may do with a project or with what matches a pattern."""

    async def remove_right(
        self, project: str, kind: Kind, name: str, required: Required = WHATEVER
    ) -> Changed:
        """Remove a line."""

    async def publishers(self) -> Sequence[Publisher]:
        """Return all trusted publishers, by name."""

    async def publisher(self, name: str) -> Publisher:
        """Return one."""

    async def put_publisher(
        self, name: str, terms: PublisherTerms, required: Required = WHATEVER
    ) -> Changed:
        """Trust somebody, or under other terms."""

    async def remove_publisher(
        self, name: str, required: Required = WHATEVER
    ) -> Changed:
        """Trust somebody no more."""

    async def exemptions(self) -> Sequence[Exempted]:
        """Return every exemption from a rule for what comes from upstream.

        Those of the ini come first.
        """

    async def exemption(self, id: str) -> Exempted:
        """Return one that was added."""

    async def add_exemption(
        self, new: NewExemption, required: Required = WHATEVER
    ) -> Exempted:
        """Exempt something, or until another day or for another reason.

        It holds on every server within ``index.fresh_for``.
        """

    async def remove_exemption(self, id: str, required: Required = WHATEVER) -> Changed:
        """Exempt something no more."""

    async def tokens(
        self, owner: str | None = None, *, everybody: bool = False
    ) -> Sequence[Token]:
        """Return somebody's tokens.

        :param owner: None: those of whoever asks.
        :param everybody: those of all owners.
        """

    async def make_token(self, token: NewToken) -> MadeToken:
        """Make a token."""

    async def revoke_token(self, id: str) -> Changed:
        """Have a token be worth nothing any more."""

    async def rights_of(
        self, user: str | None = None, project: str | None = None
    ) -> RightsOf:
        """Explain what somebody may do.

        :param user: a name, or a token's id; None: whoever asks.
        :param project: None: what belongs to no project.
        """

    async def whoami(self) -> Identity:
        """Return who asks."""


T = TypeVar("T")

#: What is to be shown or changed, wherever it is done.
Work: TypeAlias = Callable[[AccessAdministration], Awaitable[T]]
