"""Whose tokens live: users whom this server knows by itself.

Whom only another directory or a proxy knows has none, because nobody would say when
they are gone. Who needs some all the same is made a user without a password in the
access document, and a right of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import define, field

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.passwords import DOCUMENT
from pypicloud_tw.concurrency.steps import Steps

#: Tells a user from any other of the same name, before or after; None: there is none.
Owners = Callable[[str], str | None]


@define(eq=False)
class TokenOwners:
    """Tells users from others of the same names.

    A user of the access document who was removed is not the one who is added later. Of
    the ini's users, and htpasswd's, only the names are known: their tokens are revoked
    by hand, or are of use again when a user of that name is.

    :ivar source_of: names the source of users that has a name; None: none has.
    """

    source_of: Callable[[str], str | None]
    _ids: Mapping[str, str] = field(factory=lambda: MappingProxyType({}), init=False)

    def obeying(self, document: AccessDocument) -> Steps[Callable[[], None]]:
        """Prepare to take over who is in the access document; returns what does so."""
        ids = {name: user.id for name, user in document.users.items()}
        yield

        def obey() -> None:
            self._ids = ids

        return obey

    def identify(self, name: str) -> str | None:
        """Return what tells this user from any other of the name; None: there is none.

        This is asked at each request that shows a token.
        """
        source = self.source_of(name)
        if source == DOCUMENT:
            return self._ids.get(name)
        return None if source is None else ""
