"""Where clients put a token in the Authorization field."""

from __future__ import annotations

from attrs import field, frozen

from pypicloud_tw.access.basic import parse_basic
from pypicloud_tw.access.tokens.text import is_token
from pypicloud_tw.errors import Unauthorized

#: The user that upload clients are told to give for a token, as on the public index.
TOKEN_USER = "__token__"  # noqa: S105  a name, and no secret


@frozen
class ShownToken:
    """What a request shows as a token.

    :ivar misplaced: it stands where the user's name belongs.
    """

    text: str = field(repr=False)
    misplaced: bool = False


def shown_token(authorization: bytes | None) -> ShownToken | None:
    """Find a token in an Authorization field; None: that is about something else.

    It is the password of the user ``__token__``, or of any other user, if it looks like
    a token of ours: netrc, keyrings and old configurations insist on a name. Or it
    follows ``Bearer`` (RFC 6750). One that stands in the place of the user's name is
    found as well, for user names are written to the log.
    """
    if authorization is None:
        return None
    scheme, _, rest = authorization.strip().partition(b" ")
    match scheme.lower():
        case b"bearer":
            return ShownToken(rest.strip().decode("latin-1"))
        case b"basic":
            return _in_basic(authorization)
    return None


def _in_basic(authorization: bytes) -> ShownToken | None:
    try:
        login = parse_basic(authorization)
    except Unauthorized:
        return None  # the authenticator of passwords says what is wrong
    if login.user == TOKEN_USER or is_token(login.password):
        return ShownToken(login.password)
    if is_token(login.user):
        return ShownToken(login.user, misplaced=True)
    return None
