"""Whose password has which hash, over several sources of users."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import nsmallest
from operator import attrgetter

from twisted.logger import Logger

from pypicloud_tw.access.checks import StoredPassword
from pypicloud_tw.access.remembered import make_sealer
from pypicloud_tw.concurrency.steps import Steps, at_once, batches
from pypicloud_tw.config.hashes import identify

#: Where users come from. A name belongs to the first of these that has it, alone.
INI, HTPASSWD, DOCUMENT = "ini", "htpasswd", "document"
_ORDER = (INI, HTPASSWD, DOCUMENT)

#: Hashes that stand in for what nobody has. All of them are looked at for each log-in,
#: which takes 2 µs each.
_MOST_STAND_INS = 64

#: Hashes that are looked at in a piece: 2 ms.
BATCH = 50

#: One source's users. Those whose hash is None, or malformed, have no password.
Table = Mapping[str, StoredPassword | None]
_Seal = Callable[[bytes], bytes]


class Passwords:
    """Password hashes by user name.

    A user whose hash is None, or malformed, has no password, and still has the name.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._sources: dict[str, Table] = {source: {} for source in _ORDER}
        self._by_name: Table = {}
        self._stand_ins: list[tuple[_Seal, StoredPassword]] = []

    def replace(self, source: str, hashes: Mapping[str, str | None]) -> frozenset[str]:
        """Replace the users of one source.

        :return: every name whose password is another now, or that has come or gone.
        """
        return self.put(source, at_once(self.understanding(source, hashes)))

    def understanding(
        self, source: str, hashes: Mapping[str, str | None]
    ) -> Steps[Table]:
        """Look, in pieces, at those of the hashes that are not the source's already."""
        kept = self._sources[source]
        table: dict[str, StoredPassword | None] = {}
        for batch in batches(hashes.items(), BATCH):
            table.update(
                (name, _kept(kept, name, text) or self._understand(name, text))
                for name, text in batch
            )
            yield
        return table

    def put(self, source: str, table: Table) -> frozenset[str]:
        """Replace the users of one source by what was understood of their hashes.

        :return: as of :meth:`replace`.
        """
        old, kept = self._by_name, self._sources[source]
        if table == kept:
            return frozenset()
        self._sources[source] = table
        self._by_name = new = self._merge()
        self._stand_ins = _choose(stored for stored in new.values() if stored)
        return frozenset(
            name
            for name in kept.keys() | table.keys()
            if old.get(name) is not new.get(name) or (name in old) != (name in new)
        )

    def _understand(self, name: str, text: str | None) -> StoredPassword | None:
        if text is None:
            return None
        scheme = identify(text)
        if scheme is None:
            self._log.error("The hash of user {name!r} is malformed.", name=name)
            return None
        return StoredPassword(scheme, text)

    def _merge(self) -> Table:
        merged: dict[str, StoredPassword | None] = {}
        for source in reversed(_ORDER):
            merged |= self._sources[source]
        return merged

    def __bool__(self) -> bool:
        """Whether anybody has a password."""
        return bool(self._stand_ins)

    def __contains__(self, user: str) -> bool:
        """Whether some source has a user of this name, with a password or without."""
        return user in self._by_name

    def source_of(self, user: str) -> str | None:
        """Name the source that a user is of; None: there is no such user."""
        for source in _ORDER:
            if user in self._sources[source]:
                return source
        return None

    def find(self, user: str) -> StoredPassword | None:
        """Find a user's hash; the same object for as long as it has not changed."""
        return self._by_name.get(user)

    def stand_in(self, user: str) -> StoredPassword:
        """Find what is computed for a name that has no hash; somebody must have one.

        It is some user's, and the answer must be thrown away. So a mix of schemes and
        costs tells nothing either.

        Which user's depends on the name and the hashes alone: it is the same after a
        restart and on every server, and stays so for nearly all names where a user is
        added or changed, as real users' do (rendezvous hashing, its keys being what
        nobody else knows).
        """
        name = user.encode()
        return max(self._stand_ins, key=lambda one: one[0](name))[1]


def _kept(table: Table, name: str, text: str | None) -> StoredPassword | None:
    stored = table.get(name)
    return stored if stored is not None and stored.hash == text else None


def _choose(passwords: Iterable[StoredPassword]) -> list[tuple[_Seal, StoredPassword]]:
    """Choose those that may stand in; another user changes one of them at most."""
    chosen = nsmallest(_MOST_STAND_INS, passwords, key=attrgetter("rank"))
    return [(make_sealer(stored.rank), stored) for stored in chosen]
