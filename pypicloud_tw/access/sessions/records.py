"""What is kept of a session: everything but its secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from pypicloud_tw.access.tokens.records import check_format
from pypicloud_tw.errors import StoreError
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.store.interfaces import StoredBytes

FORMAT = 1
FOLDER = ".access/sessions/"


@frozen
class SessionUser:
    """Whose session it is, as was found out at the log-in.

    :ivar owner_id: tells the user from a later one of the same name.
    :ivar password: tells the password from a later one; None: it is not known here.
    :ivar groups: as another directory, or the provider, has them.
    :ivar administrator: that directory says that the user may do everything.
    :ivar proof: how the log-in was proved; no secret.
    """

    name: str
    owner_id: str
    password: str | None = None
    groups: frozenset[str] = frozenset()
    administrator: bool = False
    proof: Mapping[str, str] = field(factory=lambda: MappingProxyType({}))


@frozen
class SessionRecord:
    """One secret of a session. Times are in seconds since 1970.

    :ivar digest: SHA-256 of the secret.
    :ivar logged_in: when the user did.
    :ivar created: when this secret was drawn.
    :ivar ends: from then on the user has to log in again.
    :ivar ended: from then on this secret is of no use: there is a newer one, or the
        user has logged out. None: neither.
    :ivar successor: the id of the newer one.
    :ivar predecessor: the id of the one before, which may be of use for a moment more.
    """

    digest: bytes = field(repr=False)
    user: SessionUser
    logged_in: int
    created: int
    ends: int
    ended: int | None = None
    successor: str | None = None
    predecessor: str | None = None

    @property
    def until(self) -> int:
        """From then on it is of no use."""
        return self.ends if self.ended is None else min(self.ends, self.ended)


def encode(record: SessionRecord) -> bytes:
    """Write it as it is kept."""
    user = record.user
    document = {
        "_format": FORMAT,
        "sha256": record.digest.hex(),
        "user": user.name,
        "owner_id": user.owner_id,
        "password": user.password,
        "groups": sorted(user.groups),
        "administrator": user.administrator,
        "proof": dict(user.proof),
        "logged_in": record.logged_in,
        "created": record.created,
        "ends": record.ends,
        "ended": record.ended,
        "successor": record.successor,
        "predecessor": record.predecessor,
    }
    return compact(document)


def decode(stored: StoredBytes) -> SessionRecord:
    """Read it.

    :raises StoreError: it is damaged, or newer than is understood here.
    """
    try:
        document = json.loads(stored.data)
        check_format(document, stored.info.key)
        return SessionRecord(
            bytes.fromhex(document["sha256"]),
            _user(document),
            int(document["logged_in"]),
            int(document["created"]),
            int(document["ends"]),
            _or_none(int, document["ended"]),
            _or_none(str, document["successor"]),
            # Of sessions that began before this was kept, none is told.
            _or_none(str, document.get("predecessor")),
        )
    except DAMAGED as e:
        raise StoreError(
            f"The session in {stored.info.key} is damaged ({type(e).__name__}): log in "
            "again."
        ) from None


def _user(document: Mapping[str, object]) -> SessionUser:
    groups, proof = document["groups"], document["proof"]
    if not isinstance(groups, list) or not isinstance(proof, dict):
        raise TypeError("groups and proof")
    return SessionUser(
        str(document["user"]),
        str(document["owner_id"]),
        _or_none(str, document["password"]),
        frozenset(map(str, groups)),
        document["administrator"] is True,
        MappingProxyType({str(name): str(text) for name, text in proof.items()}),
    )


def _or_none(kind: type, value: object) -> Any:
    return None if value is None else kind(value)
