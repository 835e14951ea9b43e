"""Successful log-ins, remembered for a while under keyed hashes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from hashlib import blake2b

from attrs import field, frozen

from pypicloud_tw.access.principal import Principal
from pypicloud_tw.concurrency.cache import Cache

#: Right headers that are remembered, and addresses that each came from.
_LIMIT = 4096


def make_sealer(key: bytes | None = None) -> Callable[[bytes], bytes]:
    """Make a function that hashes secrets with a key.

    Keyed BLAKE2b is a message authentication code (RFC 7693, section 2.9) as HMAC is;
    with the key absorbed beforehand it takes 1.6 µs where HMAC-SHA-256 took 7.7.

    :param key: at most 64 bytes; None: random, and known to the function alone.
    """
    keyed = blake2b(key=key or os.urandom(32), digest_size=32)

    def seal(secret: bytes) -> bytes:
        state = keyed.copy()
        state.update(secret)
        return state.digest()

    return seal


@frozen
class RememberedLogin:
    """Who an Authorization header belongs to, and the addresses that sent it.

    :ivar user: the name that it gives, which a directory may write otherwise.
    """

    user: str
    principal: Principal
    clients: Cache[str, bool] = field(factory=lambda: Cache(_LIMIT))

    def came_from(self, client: str) -> None:
        """Add an address; one is forgotten if there are too many."""
        self.clients.put(client, True)


class RememberedLogins:
    """Authorization headers that were right, by their keyed hashes.

    :param seconds: the clock.
    :param lifetime: seconds for which one is remembered.
    """

    def __init__(self, seconds: Callable[[], float], lifetime: float) -> None:
        self._logins: Cache[bytes, RememberedLogin] = Cache(
            _LIMIT, seconds=seconds, lifetime=lifetime
        )
        self.seal = make_sealer()

    def recall(self, authorization: bytes, client: str | None) -> Principal | None:
        """Find who sent a header, if it is remembered, and from *client* if given."""
        login = self.find(self.seal(authorization))
        if login is None or (client is not None and client not in login.clients):
            return None
        return login.principal

    def find_recall(
        self, authorization: bytes, client: str
    ) -> Callable[[], Principal | None] | None:
        """Return what recalls who sent a header, for as long as that is remembered."""
        seal = self.seal(authorization)
        login = self.find(seal)
        if login is None or client not in login.clients:
            return None

        def recall() -> Principal | None:
            return login.principal if self.find(seal) is login else None

        return recall

    def forget_all(self) -> None:
        """Forget every log-in."""
        self._logins.clear()

    def find(self, seal: bytes) -> RememberedLogin | None:
        """Find what is remembered and not too old."""
        return self._logins.get(seal)

    def add(
        self,
        seal: bytes,
        user: str,
        principal: Principal,
        clients: Iterable[str],
        *,
        lifetime: float | None = None,
    ) -> None:
        """Remember that a header is right, and who sent it.

        :param user: the name that the header gives.
        :param lifetime: seconds; None: as long as all others.
        """
        login = RememberedLogin(user, principal)
        for client in clients:
            login.came_from(client)
        self._logins.put(seal, login, lifetime=lifetime)

    def forget(self, users: Collection[str]) -> None:
        """Forget every log-in of these users, and by these names."""
        self._logins.drop_where(
            lambda login: login.user in users or login.principal.name in users
        )
