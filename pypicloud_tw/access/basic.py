"""The Basic scheme of HTTP authentication (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import re

from attrs import field, frozen

from pypicloud_tw.errors import Unauthorized

#: Longer headers are refused unread; a password has at most 4096 characters.
_MAX_HEADER = 8 * 1024

#: Longer user names are nobody's, and would cost memory wherever they are counted.
_MAX_USER = 256

#: What neither a user name nor a password may contain (RFC 7617, section 2).
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@frozen
class Login:
    """A user name and password, as sent."""

    user: str
    password: str = field(repr=False)

    @property
    def authorization(self) -> str:
        """The value of the header field.

        :raises UnicodeEncodeError: it is no text.
        """
        text = f"{self.user}:{self.password}"
        return f"Basic {base64.b64encode(text.encode()).decode()}"


def is_basic(authorization: bytes) -> bool:
    """Return whether an Authorization header is of this scheme."""
    return authorization.strip().partition(b" ")[0].lower() == b"basic"


def parse_basic(authorization: bytes) -> Login:
    """Understand an Authorization header.

    :raises Unauthorized: it is another scheme, or malformed; the message says which.
    """
    if len(authorization) > _MAX_HEADER:
        raise Unauthorized("This Authorization header is too long.")
    if not is_basic(authorization):
        raise Unauthorized(
            "Log in with a user name and a password (HTTP Basic authentication); "
            "no other scheme is understood here."
        )
    return _split(_text(authorization.strip().partition(b" ")[2].strip()))


def _text(credentials: bytes) -> str:
    try:
        data = base64.b64decode(credentials, validate=True)
    except binascii.Error:
        raise Unauthorized(
            "The Authorization header is malformed: it is not base64."
        ) from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        # What clients sent before RFC 7617 gave them a charset parameter to read.
        return data.decode("latin-1")


def _split(text: str) -> Login:
    user, colon, password = text.partition(":")
    if not colon:
        raise Unauthorized(
            "The Authorization header is malformed: "
            "there is no colon between user name and password."
        )
    if CONTROL.search(text):
        raise Unauthorized("The user name or the password contains control characters.")
    if not user or len(user) > _MAX_USER:
        raise Unauthorized("The user name is empty or too long.")
    return Login(user, password)
