"""What is kept of a user's tokens: everything but their secrets.

All tokens of one owner are one document, so that an owner costs a server one request,
and another only when one of that owner's tokens has changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen

from pypicloud_tw.access.principal import Scope
from pypicloud_tw.access.tokens.text import matches, owner_key
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import Conflict, StoreError
from pypicloud_tw.json_documents import DAMAGED, compact

T = TypeVar("T")

FORMAT = 1
FOLDER = ".access/tokens/"

#: Tokens of one owner; a document of so many has 400 kB.
MOST = 1000

#: Seconds for which a token is still listed after its end.
LISTED = 30 * 86400

#: Bytes of a document at most, far above what :data:`MOST` tokens need.
MAX_DOCUMENT = 16 * 2**20


class TokensDamaged(StoreError):
    """What is kept of tokens cannot be understood here; the message says where."""


@frozen
class TokenRecord:
    """One token of a user. Times are in seconds since 1970.

    :ivar id: 32 hexadecimal digits, the first half being the owner's key.
    :ivar digest: SHA-256 of its secret.
    :ivar scope: what it narrows its owner to.
    :ivar ends: from then on it is refused.
    :ivar created_by: who made it: its owner, or an administrator.
    :ivar owner_id: tells its owner from a later user of the same name.
    """

    id: str
    digest: bytes = field(repr=False)
    description: str
    scope: Scope
    created: int
    ends: int
    created_by: str
    owner_id: str = ""
    revoked: int | None = None
    revoked_by: str | None = None

    def lives(self, now: float) -> bool:
        """Whether it is neither revoked nor at its end."""
        return self.revoked is None and now < self.ends

    def fits(self, secret: bytes) -> bool:
        """Whether this is its secret; takes the same time in any case."""
        return matches(secret, self.digest)


@frozen
class OwnerTokens:
    """All tokens of one owner.

    :ivar tokens: by id, in the order in which they were made.
    :ivar changes: ids of the most recent changes, newest last.
    """

    owner: str
    tokens: Mapping[str, TokenRecord] = field(factory=lambda: MappingProxyType({}))
    changes: tuple[str, ...] = ()

    def added(self, record: TokenRecord, now: float) -> OwnerTokens:
        """Return it with one more, and without what ended long ago.

        :raises Conflict: there are too many.
        """
        kept = {
            token.id: token
            for token in self.tokens.values()
            if now < token.ends + LISTED
        }
        dead = [token.id for token in kept.values() if not token.lives(now)]
        while len(kept) >= MOST and dead:
            del kept[dead.pop(0)]
        if len(kept) >= MOST:
            raise Conflict(
                f"{self.owner} has {MOST} tokens, which is the most that one user may "
                "have: revoke what is not used any more."
            )
        return evolve(self, tokens=MappingProxyType({**kept, record.id: record}))

    def replaced(self, *records: TokenRecord) -> OwnerTokens:
        """Return it with these in the place of those of the same ids."""
        changed = {record.id: record for record in records}
        return evolve(self, tokens=MappingProxyType({**self.tokens, **changed}))


def document_key(key: str) -> str:
    """Return where an owner's document is, by :func:`.text.owner_key`."""
    return f"{FOLDER}{key}.json"


def marker_entry(key: str) -> str:
    """Return what the marker says when an owner's tokens have changed."""
    return f"{FOLDER}{key}"


def key_of_document(key: str) -> str | None:
    """Return whose document an object is, if it is one."""
    name = key.removeprefix(FOLDER)
    return name[:-5] if name != key and name.endswith(".json") else None


def encode(document: OwnerTokens) -> bytes:
    """Write an owner's document."""
    return compact(
        {
            "_format": FORMAT,
            "owner": document.owner,
            "tokens": [_encode_token(token) for token in document.tokens.values()],
            "_changes": list(document.changes),
        }
    )


def decode(key: str, data: bytes) -> OwnerTokens:
    """Read an owner's document, trusting nothing in it.

    :param key: of the owner, who must be the one whom the document names.
    :raises TokensDamaged: it is damaged, or of a format newer than this version knows,
        which may narrow tokens as this one does not.
    """
    try:
        document = json.loads(data)
        check_format(document, document_key(key))
        owner = _text(document["owner"])
        if owner_key(owner) != key:
            raise ValueError("it is another owner's")
        read = _TokenReader()
        tokens = [read.token(item) for item in document["tokens"]]
        return OwnerTokens(
            owner,
            MappingProxyType({token.id: token for token in tokens}),
            tuple(_text(change) for change in document["_changes"]),
        )
    except DAMAGED as e:
        # Only the kind of error: its text could hold what is in the document.
        raise TokensDamaged(
            f"The tokens in {document_key(key)} are damaged ({type(e).__name__}): "
            "restore it from a backup, or delete it and make new tokens."
        ) from None


def check_format(document: Mapping[str, Any], key: str) -> None:
    """Return if a document is of a format that this version knows.

    :raises TokensDamaged: it is newer.
    """
    if _number(document["_format"]) > FORMAT:
        raise TokensDamaged(
            f"{key} was written by a newer server (format {document['_format']}, here "
            f"{FORMAT}): upgrade this one."
        )


def _encode_token(token: TokenRecord) -> dict[str, Any]:
    document = {
        "id": token.id,
        "sha256": token.digest.hex(),
        "description": token.description,
        "actions": _encode_actions(token.scope.actions),
        "projects": token.scope.projects and list(token.scope.projects),
        "created": token.created,
        "ends": token.ends,
        "created_by": token.created_by,
        "owner_id": token.owner_id,
        "revoked": token.revoked,
        "revoked_by": token.revoked_by,
    }
    return {key: value for key, value in document.items() if value is not None}


def _encode_actions(actions: frozenset[Action] | None) -> list[str] | None:
    return None if actions is None else sorted(action.value for action in actions)


@define
class _TokenReader:
    """Reads the tokens of one document; what is equal in several is kept once.

    That halves their memory: an owner's tokens mostly have the same scope and maker.
    """

    _same: dict[Any, Any] = field(factory=dict)

    def token(self, item: Mapping[str, Any]) -> TokenRecord:
        """Read one."""
        digest = bytes.fromhex(item["sha256"])
        if len(digest) != 32:
            raise ValueError("a digest is not one")
        revoked = item.get("revoked")
        return TokenRecord(
            id=_text(item["id"]),
            digest=digest,
            description=self._once(_text(item["description"])),
            scope=self._once(_decode_scope(item)),
            created=_number(item["created"]),
            ends=_number(item["ends"]),
            created_by=self._once(_text(item["created_by"])),
            owner_id=self._once(_text(item.get("owner_id", ""))),
            revoked=None if revoked is None else _number(revoked),
            revoked_by=None if revoked is None else _text(item.get("revoked_by", "")),
        )

    def _once(self, value: T) -> T:
        same: T = self._same.setdefault(value, value)
        return same


def _decode_scope(item: Mapping[str, Any]) -> Scope:
    actions, projects = item.get("actions"), item.get("projects")
    return Scope(
        None if actions is None else _decode_actions(tuple(actions)),
        None if projects is None else tuple(_text(project) for project in projects),
    )


@lru_cache(maxsize=64)
def _decode_actions(words: tuple[str, ...]) -> frozenset[Action]:
    """Read a set of actions; the few that there are share their memory."""
    return frozenset(Action(word) for word in words)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is not one")
    return value


def _number(value: object) -> int:
    # bool is an int to Python and none to JSON.
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a number is not one")
    return value
