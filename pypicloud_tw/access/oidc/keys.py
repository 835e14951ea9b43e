"""The keys that an issuer publishes (JSON Web Key Set, RFC 7517).

What a key may verify follows from what it is, never from what a token says: so nobody
has a public key taken for a shared secret, or a signature for none at all (RFC 8725,
sections 3.1 and 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jwt
from attrs import frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from pypicloud_tw.access.oidc.compact import UnverifiedToken
from pypicloud_tw.access.oidc.refusals import InvalidToken
from pypicloud_tw.access.oidc.strict_json import JsonError, read_object

#: Bytes of a key set, and keys in one. Those of GitHub and Google have up to 6, in
#: 10 kB.
LONGEST_SET, MOST_KEYS = 256 * 1024, 64

#: Bits of an RSA key: fewer are too weak (NIST SP 800-131A), more take too long.
_RSA_BITS = range(2048, 8192 + 1)
#: The largest exponent of one: the usual is 65,537.
_RSA_EXPONENT = 2**32

#: What may be verified by a key's type and curve.
_ALGORITHMS: Mapping[tuple[object, object], frozenset[str]] = MappingProxyType(
    {
        ("RSA", None): frozenset(
            {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
        ),
        ("EC", "P-256"): frozenset({"ES256"}),
        ("EC", "P-384"): frozenset({"ES384"}),
        ("EC", "P-521"): frozenset({"ES512"}),
        ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    }
)
#: What a public key is made of. A private part that slipped in stays out.
_PARTS = ("kty", "crv", "n", "e", "x", "y")


class KeysUnusable(ValueError):
    """This is no set of keys; the text is a sentence."""


@frozen
class Key:
    """A public key.

    :ivar id: None: it has no name.
    :ivar algorithms: what it may verify.
    """

    id: str | None
    algorithms: frozenset[str]
    key: Any


@frozen
class KeySet:
    """The keys of one issuer."""

    keys: tuple[Key, ...]

    def has(self, key_id: str | None) -> bool:
        """Return whether there is a key of this id; without one, whether any is."""
        return any(key_id in (None, key.id) for key in self.keys)

    def verify(self, token: UnverifiedToken) -> None:
        """Return if the token was signed with one of the keys.

        :raises InvalidToken: it was not, as far as can be told.
        """
        key = self._find(token)
        try:
            jwt.PyJWS([token.algorithm]).decode(
                token.text, key.key, algorithms=[token.algorithm]
            )
        except jwt.PyJWTError:
            raise InvalidToken("The token's signature is wrong.") from None

    def _find(self, token: UnverifiedToken) -> Key:
        named = [key for key in self.keys if token.key_id in (None, key.id)]
        if not named:
            raise InvalidToken("The token was signed with a key its issuer has not.")
        found = [key for key in named if token.algorithm in key.algorithms]
        if not found:
            raise InvalidToken("The token is not signed in a way that is accepted.")
        if len(found) > 1:
            raise InvalidToken("The token does not say which key it was signed with.")
        return found[0]


def read_keys(data: bytes) -> KeySet:
    """Read a key set; keys that cannot be used here are left out.

    :param data: at most :data:`LONGEST_SET` bytes.
    :raises KeysUnusable: it is none, or nothing in it can be used.
    """
    try:
        entries = read_object(data).get("keys")
    except JsonError as e:
        raise KeysUnusable(f"Its key set {e}.") from None
    if not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise KeysUnusable(f"Its key set is not a list of up to {MOST_KEYS} keys.")
    keys = tuple(key for key in map(_read_key, entries) if key is not None)
    if not keys:
        raise KeysUnusable("Its key set has no key that signatures can be checked by.")
    return KeySet(keys)


def _read_key(entry: object) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    kind, curve, key_id = entry.get("kty"), entry.get("crv"), entry.get("kid")
    if not (isinstance(kind, str) and isinstance(curve, str | None)):
        return None
    if not isinstance(key_id, str | None):
        return None
    algorithms = _ALGORITHMS.get((kind, curve), frozenset())
    if "alg" in entry:
        algorithms = frozenset(one for one in algorithms if one == entry["alg"])
    if not algorithms:
        return None
    public = {name: entry[name] for name in _PARTS if name in entry}
    made = _make_key(public, min(algorithms))
    return None if made is None else Key(key_id, algorithms, made)


def _make_key(public: dict[str, Any], algorithm: str) -> Any:
    try:
        key = jwt.PyJWK(public, algorithm).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and not (
        key.key_size in _RSA_BITS and key.public_numbers().e < _RSA_EXPONENT
    ):
        return None
    return key
