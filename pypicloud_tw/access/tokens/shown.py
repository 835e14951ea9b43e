"""Where clients put a token in the Authorization field."""

from __future__ import annotations

import binascii
from binascii import a2b_base64

from attrs import field, frozen

from pypicloud_tw.access.basic import parse_basic
from pypicloud_tw.access.tokens.text import PREFIX, is_token
from pypicloud_tw.config.rights import TOKEN_USER
from pypicloud_tw.errors import Unauthorized

_PREFIX, _TOKEN_USER = PREFIX.encode(), TOKEN_USER.encode()

#: How nearly every header with a token begins: base64 of ``__token__:``, as far as it
#: does not depend on what comes behind.
_BASIC = b"Basic "
_USUAL = (b"Basic X190b2tlbl9fO", b"Bearer ")


@frozen
class ShownToken:
    """What a request shows as a token.

    :ivar misplaced: it stands where the user's name belongs.
    """

    text: str = field(repr=False)
    misplaced: bool = False


def shows_token(authorization: bytes) -> bool:
    """Return whether :func:`shown_token` is to be asked; in half a microsecond.

    It may be that what is shown there is malformed.
    """
    if authorization.startswith(_USUAL):
        return True
    if authorization.startswith(_BASIC) and not _has_token(
        authorization[len(_BASIC) :]
    ):
        return False
    return shown_token(authorization) is not None


def shown_token(authorization: bytes) -> ShownToken | None:
    """Find a token in an Authorization field; None: that is about something else.

    It is the password of the user ``__token__``, or of any other user, if it looks like
    a token of ours: netrc, keyrings and old configurations insist on a name. Or it
    follows ``Bearer`` (RFC 6750). One that stands in the place of the user's name is
    found as well, for user names are written to the log.
    """
    scheme, _, rest = authorization.strip().partition(b" ")
    match scheme.lower():
        case b"bearer":
            return ShownToken(rest.strip().decode("latin-1"))
        case b"basic":
            return _in_basic(authorization) if _has_token(rest.strip()) else None
    return None


def is_others(authorization: bytes) -> bool:
    """Return whether a field has what follows ``Bearer`` and is no token of ours."""
    scheme, _, rest = authorization.strip().partition(b" ")
    return scheme.lower() == b"bearer" and not rest.strip().startswith(_PREFIX)


def _has_token(credentials: bytes) -> bool:
    """Look for a token; to take the field apart takes ten times as long."""
    try:
        data = a2b_base64(credentials)
    except binascii.Error:
        return False
    return _PREFIX in data or data.startswith(_TOKEN_USER)


def _in_basic(authorization: bytes) -> ShownToken | None:
    try:
        login = parse_basic(authorization)
    except Unauthorized:
        return None
    if login.user == TOKEN_USER or is_token(login.password):
        return ShownToken(login.password)
    if is_token(login.user):
        return ShownToken(login.user, misplaced=True)
    return None
