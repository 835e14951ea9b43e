"""Who a job is, as its issuer says: a token whose signature is right -> an identity."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from attrs import field, frozen

from pypicloud_tw.access.oidc.compact import UnverifiedToken
from pypicloud_tw.access.oidc.refusals import InvalidToken
from pypicloud_tw.config.claims import LONGEST, as_text

#: Seconds by which clocks may differ.
SKEW = 60.0

#: Seconds that a token may be valid for. Those of GitHub are for 5 minutes, of Google
#: for an hour, of GitLab for as long as a job may take.
LONGEST_LIFE = 86_400.0

#: Claims that a token may have; bytes that those of them may take that are kept. A
#: token of GitHub has 35, in 1,500 bytes.
MOST_CLAIMS, MOST_BYTES = 200, 16 * 1024

#: What is of the token, and not of the job.
_OF_THE_TOKEN = frozenset({"exp", "iat", "nbf", "jti", "at_hash", "c_hash", "nonce"})

#: The last second of 9999, which no date is behind.
_LATEST = 253_402_300_799


@frozen
class Identity:
    """A job.

    :ivar claims: the texts of its claims, ``iss`` and ``aud`` among them; what has no
        one text, or a long one, is left out, and nothing matches it.
    :ivar once: what tells its token from every other of its issuer.
    :ivar end: when its token ends, in seconds since 1970.
    """

    claims: Mapping[str, str]
    once: str = field(repr=False)
    end: float

    @property
    def issuer(self) -> str:
        """Return its issuer."""
        return self.claims["iss"]


def identify(token: UnverifiedToken, now: float) -> Identity:
    """Say who a token is of, if it is of this time.

    :param token: one whose signature is right.
    :raises InvalidToken: it is over, of the future, or incomplete.
    """
    if len(token.claims) > MOST_CLAIMS:
        raise InvalidToken(f"The token has more than {MOST_CLAIMS} claims.")
    end = _check_times(token.claims, now)
    claims = dict(_shown(token.claims))
    claims |= {"iss": token.issuer, "aud": _audience(token.claims)}
    if sum(len(f"{name}{text}".encode()) for name, text in claims.items()) > MOST_BYTES:
        raise InvalidToken(f"The token's claims are more than {MOST_BYTES} bytes.")
    return Identity(claims, _once(token), end)


def _check_times(claims: Mapping[str, object], now: float) -> float:
    """Return when it ends (RFC 7519, sections 4.1.4 to 4.1.6)."""
    end, issued = _moment(claims, "exp"), _moment(claims, "iat")
    if end is None or issued is None:
        raise InvalidToken("The token does not say when it was issued and ends.")
    begin = _moment(claims, "nbf")
    if now >= end + SKEW:
        raise InvalidToken("The token is over; ask its issuer for a new one.")
    if max(issued, begin or 0.0) > now + SKEW:
        raise InvalidToken(
            "The token is not valid yet; the clocks of its issuer and of this server "
            "differ."
        )
    if not 0 < end - issued <= LONGEST_LIFE:
        hours = LONGEST_LIFE / 3600
        raise InvalidToken(f"The token is valid for more than {hours:g} hours.")
    return end


def _moment(claims: Mapping[str, object], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # bool is an int to Python and none to JSON.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken(f"The token has something else than a time for {name}.")
    if not 0 <= value <= _LATEST:
        raise InvalidToken(f"The token has no time of this world for {name}.")
    return float(value)


def _audience(claims: Mapping[str, object]) -> str:
    """Return the one audience; a token for several could be used at any of them."""
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str):
        raise InvalidToken("The token is not for exactly one audience.")
    if not _is_plain(audience):
        raise InvalidToken("The token's audience is no printable text, or a long one.")
    return audience


def _shown(claims: Mapping[str, object]) -> list[tuple[str, str]]:
    texts = [(n, as_text(v)) for n, v in claims.items() if n not in _OF_THE_TOKEN]
    return [
        (name, text)
        for name, text in texts
        if text is not None and _is_plain(text) and _is_plain(name)
    ]


def _is_plain(text: str) -> bool:
    # It will stand in logs and in the manifest.
    return len(text) <= LONGEST and text.isprintable()


def _once(token: UnverifiedToken) -> str:
    """Tell it from others by its id, or by what was signed.

    Never by the whole of it: whoever has a signature of ECDSA can write it in a second
    way, which is as right.
    """
    identifier = token.claims.get("jti")
    if isinstance(identifier, str) and 0 < len(identifier) <= LONGEST:
        return identifier
    return f"sha256:{sha256(token.signed.encode()).hexdigest()}"
