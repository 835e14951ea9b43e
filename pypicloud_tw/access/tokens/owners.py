"""Whose tokens live: users whom this server knows, or can look up.

A directory may be asked who somebody is without a password (``auth.ldap.tokens``). Whom
only a proxy knows has no tokens, because nobody would say when they are gone. Who needs
some all the same is made a user without a password in the access document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

from attrs import define, field

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.passwords import DOCUMENT
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced

#: What a token has for its owner's id who was looked up elsewhere: only the name is
#: known, as of the ini's users.
ELSEWHERE = "directory"

#: People who are remembered, and their groups.
_REMEMBERED = 20_000

#: Tells a user from any other of the same name, before or after; None: there is none.
Owners = Callable[[str], str | None]


@define(eq=False)
class TokenOwners:
    """Tells users from others of the same names.

    A user of the access document who was removed is not the one who is added later. Of
    the ini's users, and htpasswd's, only the names are known: their tokens are revoked
    by hand, or are of use again when a user of that name is.

    :ivar source_of: names the source of users that has a name; None: none has.
    :ivar elsewhere: whom none has may be known elsewhere: see :class:`People`.
    """

    source_of: Callable[[str], str | None]
    elsewhere: bool = False
    _ids: Mapping[str, str] = field(factory=lambda: MappingProxyType({}), init=False)

    def obey(self, document: AccessDocument) -> None:
        """Take over who is in the access document."""
        self._ids = {name: user.id for name, user in document.users.items()}

    def identify(self, name: str) -> str | None:
        """Return what tells this user from any other of the name; None: there is none.

        This is asked at each request that shows a token.
        """
        source = self.source_of(name)
        if source == DOCUMENT:
            return self._ids.get(name)
        if source is None:
            return ELSEWHERE if self.elsewhere else None
        return ""


class Lookup(Protocol):
    """A directory that tells who somebody is without a password."""

    async def look_up(self, user: str) -> Principal | None:
        """Find out who it is; None: there is no such user.

        :raises Unavailable: it cannot be found out now.
        """


@define(eq=False)
class People:
    """Owners of tokens who are known elsewhere, remembered for a while.

    :ivar seconds: the clock.
    :ivar lifetime: seconds for which it is remembered who somebody is.
    """

    directory: Lookup
    seconds: Callable[[], float]
    lifetime: float
    _known: Cache[str, Principal] = field(init=False)
    _asking: Coalesced[Principal | None] = field(factory=Coalesced, init=False)

    @_known.default
    def _make_known(self) -> Cache[str, Principal]:
        return Cache(
            _REMEMBERED,
            weigh=lambda known: 1 + len(known.groups),
            seconds=self.seconds,
            lifetime=self.lifetime,
        )

    def recall(self, user: str) -> Principal | None:
        """Return who somebody was a moment ago; the same object for as long."""
        return self._known.get(user)

    async def find(self, user: str) -> Principal | None:
        """Find out who somebody is; None: there is no such user.

        :raises Unavailable: it cannot be found out now.
        """
        known = self.recall(user)
        return known or await self._asking.ask(user, partial(self._look_up, user))

    async def _look_up(self, user: str) -> Principal | None:
        found = await self.directory.look_up(user)
        if found is not None:
            self._known.put(user, found)
        return found
