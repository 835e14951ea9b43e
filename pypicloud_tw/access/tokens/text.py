"""What a token looks like: opaque, of a fixed length, and known by scanners and people.

A prefix, then base32 (RFC 4648, lower case, never padded): letters and digits alone,
so that a click takes the whole of it. At the end is a checksum, by which a typing error
is told without a look-up. It is no secret, and proves nothing.

``pypi-`` comes first because the action that publishes to the public index warns of
passwords that begin otherwise.
"""

from __future__ import annotations

import os
import re
from base64 import b32decode, b32encode
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from zlib import crc32

from attrs import field, frozen

from pypicloud_tw.errors import Unauthorized

#: What every token of ours begins with, and what tells the two kinds apart.
PREFIX = "pypi-tw"
USER_PREFIX, MINTED_PREFIX = f"{PREFIX}u_", f"{PREFIX}m_"

#: Recognizes both kinds: for secret scanners, and for us.
PATTERN = r"pypi-tw(?:u_[a-z2-7]{64}|m_[a-z2-7]{96})"

#: Bytes of a secret: 160 random bits are not guessed.
SECRET = 20

#: Bytes of what an owner's tokens are kept under, and of what tells them apart.
_OWNER_KEY, _OWN_ID = 8, 8

#: Bytes that tell the hour in which an identity token ends.
_HOUR = 4

_CHECKSUM = 4

#: Seconds of an hour.
HOUR = 3600

_WHOLE = re.compile(PATTERN)

#: Draws so many random bytes.
Draw = Callable[[int], bytes]

_DAMAGED = (
    "This is not a whole token: one of its characters is wrong, missing or too many. "
    "Copy it again from where it is kept."
)


@frozen
class UserToken:
    """What the text of a user's token says.

    :ivar id: 32 hexadecimal digits: the owner's key, then as many that were drawn.
    """

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def draw(cls, owner: str, draw: Draw = os.urandom) -> UserToken:
        """Make a new one."""
        return cls(owner_key(owner) + draw(_OWN_ID).hex(), draw(SECRET))

    @property
    def text(self) -> str:
        """What its owner is shown, once."""
        return write_secret(USER_PREFIX, bytes.fromhex(self.id) + self.secret)


@frozen
class MintedText:
    """What the text of a minted token says.

    :ivar hour: in which its identity token ends; hours since 1970.
    :ivar id: 64 hexadecimal digits, made from the identity token's issuer and id.
    """

    hour: int
    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def draw(
        cls, issuer: str, jti: str, jwt_end: float, draw: Draw = os.urandom
    ) -> MintedText:
        """Make a new one, in exchange for an identity token.

        :param issuer: as it stands in ``iss``.
        :param jti: what tells this identity token from others of that issuer.
        :param jwt_end: when that ends, in seconds since 1970.
        """
        return cls(int(jwt_end // HOUR), minted_id(issuer, jti), draw(SECRET))

    @property
    def text(self) -> str:
        """What the job is shown, once."""
        hour = self.hour.to_bytes(_HOUR, "big")
        return write_secret(MINTED_PREFIX, hour + bytes.fromhex(self.id) + self.secret)


def owner_key(owner: str) -> str:
    """Return what an owner's tokens are kept under: 16 hexadecimal digits."""
    digest = sha256(b"pypicloud-tw token owner\0" + owner.encode()).digest()
    return digest[:_OWNER_KEY].hex()


def owner_key_of(id: str) -> str:
    """Return the key of a token's owner, by the token's id."""
    return id[: 2 * _OWNER_KEY]


def minted_id(issuer: str, jti: str) -> str:
    """Return what one identity token is kept under: the same on every server."""
    first = issuer.encode()
    return sha256(b"%d\0%s%s" % (len(first), first, jti.encode())).hexdigest()


def seal_secret(secret: bytes) -> bytes:
    """Hash a secret for the store.

    A fast hash is enough: nobody can try 160 random bits.
    """
    return sha256(secret).digest()


def matches(secret: bytes, digest: bytes) -> bool:
    """Whether a secret is the one that was hashed; takes the same time in any case."""
    return compare_digest(seal_secret(secret), digest)


def is_token(text: str) -> bool:
    """Return whether a text is meant to be a token of ours, whole or not."""
    return text.startswith(PREFIX)


def read_token(text: str) -> UserToken | MintedText:
    """Understand a token.

    :raises Unauthorized: it is not a whole one; the message never has it in it.
    """
    if _WHOLE.fullmatch(text) is None:
        raise Unauthorized(_DAMAGED)
    prefix = text[: text.index("_") + 1]
    payload = read_secret(prefix, text)
    if payload is None:
        raise Unauthorized(_DAMAGED)
    ids, secret = payload[:-SECRET], payload[-SECRET:]
    if prefix == USER_PREFIX:
        return UserToken(ids.hex(), secret)
    return MintedText(int.from_bytes(ids[:_HOUR], "big"), ids[_HOUR:].hex(), secret)


def write_secret(prefix: str, payload: bytes) -> str:
    """Write what an opaque text has in it.

    :param payload: with four bytes more its length is a multiple of five, so that
        nothing is padded.
    """
    return prefix + b32encode(payload + _checksum(prefix, payload)).decode().lower()


def read_secret(prefix: str, text: str) -> bytes | None:
    """Return what a text has in it; None where its checksum is wrong.

    :param text: its prefix, and base32 of a whole number of bytes.
    """
    data = b32decode(text[len(prefix) :].upper())
    payload, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    return payload if _checksum(prefix, payload) == checksum else None


def _checksum(prefix: str, payload: bytes) -> bytes:
    """CRC-32, of the prefix too: it tells the kind."""
    return crc32(prefix.encode() + payload).to_bytes(_CHECKSUM, "big")
