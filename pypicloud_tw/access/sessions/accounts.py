"""Whose sessions live: users who are still who they were when they logged in."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from attrs import frozen

from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.sessions.records import SessionUser
from pypicloud_tw.access.tokens.owners import ELSEWHERE, Owners, People

#: What a session has for its user's id who is known to the provider of log-ins alone.
PROVIDER = "provider"


@frozen(eq=False)
class Accounts:
    """Tells the users of sessions from others of the same names.

    Who was removed, or made anew, has no session any more, nor has whoever's password
    was changed since. Of a directory's users that is known where it may be asked
    without a password (``auth.ldap.tokens``); those of a provider are known by their
    log-ins alone. The names of both are theirs for as long as no user here has them.

    :ivar owners: knows the users here.
    :ivar password_mark: tells a user's password from every other; None: it is not
        known here.
    :ivar people: knows those of them who are known elsewhere; None: there are none.
    """

    owners: Owners
    password_mark: Callable[[str], str | None]
    people: People | None = None

    def by_password(self, principal: Principal) -> SessionUser:
        """Say who has just logged in by a password.

        Nothing may be awaited between the log-in and this: it is by that password.
        """
        assert principal.name is not None, "who logs in has a name"
        owner_id = self.owners(principal.name)
        here = owner_id not in (None, ELSEWHERE)
        proof = principal.proof
        return SessionUser(
            principal.name,
            owner_id if owner_id is not None else ELSEWHERE,
            self.password_mark(principal.name) if here else None,
            principal.groups,
            principal.administrator,
            MappingProxyType({**proof.details, "by": proof.kind}),
        )

    def is_taken(self, name: str) -> bool:
        """Return whether a user here has a name, so that it is no provider's."""
        return self.owners(name) not in (None, ELSEWHERE)

    def has_password(self, name: str) -> bool:
        """Return whether a user here has a password."""
        return self.password_mark(name) is not None

    def has(self, user: SessionUser) -> bool:
        """Return, at each request, whether it is still the same user."""
        owner_id = self.owners(user.name)
        if user.owner_id in (ELSEWHERE, PROVIDER):
            return owner_id in (None, ELSEWHERE)
        return (
            owner_id == user.owner_id and self.password_mark(user.name) == user.password
        )

    async def find(self, user: SessionUser) -> Principal | None:
        """Find out who a user is now; None: the directory does not know the user.

        :raises Unavailable: that cannot be found out now.
        """
        if self.people is not None and user.owner_id == ELSEWHERE:
            return await self.people.find(user.name)
        return Principal(user.name, user.groups, user.administrator)

    def is_still(self, user: SessionUser, person: Principal) -> bool:
        """Return whether a user was looked up lately, if that is needed."""
        if self.people is None or user.owner_id != ELSEWHERE:
            return True
        return self.people.recall(user.name) is person
