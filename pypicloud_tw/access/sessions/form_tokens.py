"""What a form has in it that no page of another site can know (CSRF tokens).

Each is a MAC of who may send the form, by a key that is derived from a secret that only
the browser has, in a cookie that no script and no other site can read. So every server
can check it, and nobody keeps anything.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from hmac import compare_digest, digest

from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.tokens.text import Draw

_SIZE = 32

#: Characters of one.
LENGTH = 88


def make_form_token(
    secret: bytes, principal: Principal, draw: Draw = os.urandom
) -> str:
    """Make the token of a form.

    Each time it is written otherwise: who can make a page repeat a text of theirs, and
    see how long that is compressed, must not guess it letter by letter (BREACH).

    :param secret: of the browser.
    :param principal: who may send it.
    """
    pad = draw(_SIZE)
    return urlsafe_b64encode(pad + _mixed(pad, _mac(secret, principal))).decode()


def fits_form(token: str, secret: bytes, principal: Principal) -> bool:
    """Return whether it is the token of a form for this browser and principal."""
    if len(token) != LENGTH or not token.isascii():
        return False
    try:
        data = urlsafe_b64decode(token)
    except ValueError:
        return False
    mac = _mixed(data[:_SIZE], data[_SIZE:])
    return compare_digest(mac, _mac(secret, principal))


def _mac(secret: bytes, principal: Principal) -> bytes:
    key = digest(secret, b"pypicloud-tw form", sha256)
    who = (principal.label or "").encode("utf-8", "surrogatepass")
    return digest(key, who, sha256)


def _mixed(pad: bytes, data: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(pad, data, strict=False))
