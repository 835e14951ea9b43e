"""Whom a proxy in front has signed in (``auth.remote_user_header``).

That the proxy may be believed was found out before: :class:`.principal.Credentials` has
nothing of what anybody else says.
"""

from __future__ import annotations

import re

from attrs import field, frozen

from pypicloud_tw.access.foreign import groups_of, user_of
from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.errors import Unauthorized
from pypicloud_tw.index.audit import Proof

#: What was proved, and to whom.
PROXY = Proof("proxy")

#: What stands between two groups: Authelia and oauth2-proxy write commas, others bars.
_BETWEEN = re.compile(r"[,|]")

#: Users who are not read out of header fields again. One weighs its groups.
_REMEMBERED = 20_000

_Fields = tuple[bytes, bytes | None]


@frozen
class ProxyLogin:
    """The authenticator of whom a proxy names."""

    _known: Cache[_Fields, Principal] = field(
        factory=lambda: Cache(_REMEMBERED, weigh=lambda known: 1 + len(known.groups))
    )

    def takes(self, credentials: Credentials) -> bool:
        """Return whether a proxy names somebody."""
        return credentials.forwarded_user is not None

    def recall(self, credentials: Credentials) -> Principal | None:
        """Return who it is.

        :raises Unauthorized: nobody can be called so here.
        """
        user, groups = credentials.forwarded_user, credentials.forwarded_groups
        if user is None:
            return None
        return self._known.get_or_put((user, groups), lambda: _read(user, groups))

    def find_recall(self, credentials: Credentials) -> None:
        """Find nothing: there is nothing that could be left out."""

    async def authenticate(self, credentials: Credentials) -> Principal:
        """Return who it is; see :meth:`recall`."""
        principal = self.recall(credentials)
        assert principal is not None, "it takes only whom a proxy names"
        return principal


def _read(user: bytes, groups: bytes | None) -> Principal:
    name = user_of(_text(user), "The proxy in front")
    if name is None:
        raise Unauthorized(
            "The proxy in front names a user who cannot be one here; the server's log "
            "says why."
        )
    named = _BETWEEN.split(_text(groups or b""))
    return Principal(name, groups_of(named), proof=PROXY)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
