"""An identity token as it is sent: three parts, read and not believed yet.

JSON Web Signature, compact serialization (RFC 7515, section 7.1).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from pypicloud_tw.access.oidc.refusals import InvalidToken
from pypicloud_tw.access.oidc.strict_json import JsonError, read_object

#: Characters of a token. Those of GitHub have 1,700; of GitLab, 2,500, and more where
#: they name groups: a factor of 10.
LONGEST_TOKEN = 32 * 1024

_PART = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_ID = 256


@frozen
class UnverifiedToken:
    """What a token says of itself; anybody can have written it.

    :ivar text: all of it.
    :ivar algorithm: what it says that it was signed by.
    :ivar key_id: the key that it says that it was signed with.
    """

    text: str = field(repr=False)
    algorithm: str
    key_id: str | None
    claims: Mapping[str, Any] = field(repr=False)

    @property
    def signed(self) -> str:
        """Return what was signed: all but the signature."""
        return self.text.rpartition(".")[0]

    @property
    def issuer(self) -> str:
        """Return who is said to have issued it; empty if that is no text."""
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else ""


def read_token(text: str) -> UnverifiedToken:
    """Take a token apart.

    :raises InvalidToken: it is none.
    """
    if len(text) > LONGEST_TOKEN:
        raise InvalidToken(f"The token is longer than {LONGEST_TOKEN} characters.")
    parts = text.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)):
        raise InvalidToken("The token is not a JWT: three parts of base64url.")
    header = _read("header", parts[0])
    if "crit" in header or "b64" in header:
        # RFC 7515, section 4.1.11: what is not understood must not be accepted.
        raise InvalidToken("The token's header asks for what is not understood here.")
    return UnverifiedToken(
        text,
        _word(header, "alg") or "none",
        _word(header, "kid"),
        _read("payload", parts[1]),
    )


def _read(what: str, part: str) -> dict[str, Any]:
    try:
        return read_object(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except JsonError as e:
        raise InvalidToken(f"The token's {what} {e}.") from None
    except ValueError:
        raise InvalidToken(f"The token's {what} is not base64url.") from None


def _word(header: Mapping[str, Any], name: str) -> str | None:
    value = header.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_ID:
        raise InvalidToken(f"The token's header has something else for {name}.")
    return value
