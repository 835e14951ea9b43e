"""Blots out of texts what may be a secret, before they are written down."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from urllib.parse import unquote_to_bytes

# What may carry a secret in an address: signed S3, Google and Azure URLs, tokens, and
# whatever a mistaken client puts there.
_SECRET_NAME = re.compile(
    rb"(?i)^x-(?:amz|goog)-|token|pass|pwd|secret|signature|key|credential|auth|session"
    rb"|policy|cookie|jwt|bearer|assertion|hmac|otp|^(?:sig|code|pw|pin|ticket)$"
)
_SEPARATOR = re.compile(rb"([?&;#])")
_USERINFO = re.compile(rb"//[^/?#]*@")
_USER_AND_COLON = re.compile(rb"//[^/?#:@]*:")

# An address in an address in an address is encoded so often; what is encoded more often
# is not looked into, and not shown.
_LEVELS = 5

# Nor is what has more pieces, longer ones, or more signs of equality in one. Signed
# addresses have ten pieces, of which the long one is secret; 1 ms is the most it takes.
_PIECES, _LONGEST, _SIGNS = 100, 2048, 10

# What is a secret wherever it stands: the value of an Authorization field (RFC 7617,
# RFC 6750), our own tokens and the big index's, also as a project's name would be
# normalized, JWTs (RFC 7519), and hashes of passwords. Each takes time in proportion to
# the text, or nearly so: it is chosen by strangers.
_SECRETS = re.compile(
    r"""(?ix)
      \b basic [\s:=]++ (?P<basic> [\w+/=-]{4,}+ )
    | \b bearer [\s:=]++ [^\s,;"']{8,}+
    | pypi-tw[a-z][-_.]+ [\w-]++
    | pypi-age[\w-]{16,}+
    | (?<![^\W_]) eyj[\w-]{8,2048}+ (?: \. [\w-]*+ ){1,4}+
    | \$ (?: argon2\w* | pbkdf2[\w-]* | bcrypt[\w-]* | scrypt | md5 | sha\d+
         | [156y] | 2[abxy]? | 7 ) \$ [^\s;"']*+
    """
)

#: Our own tokens in an address: somebody took one for its id, or for a project.
_TOKEN_BEGINS = b"pypi-tw"
_TOKEN = re.compile(rb"pypi-tw[a-z][-_.]+[\w-]++")

_SIGNS_OF_SECRETS = ("basic", "bearer", "pypi-", "eyj", "$")

_WORD = re.compile(r"\S+")

_URLSAFE = str.maketrans("+/", "-_")


def redacted(text: str) -> str:
    """Blot out what may be secret in any text, as far as it can be told."""
    lower = text.lower()
    # Most texts have none of these, and are looked through in a twentieth of the time.
    if any(sign in lower for sign in _SIGNS_OF_SECRETS):
        text = _SECRETS.sub(_blotted, text)
    if "@" in text:
        text = _WORD.sub(_without_user, text)
    return without_secrets(text.encode("utf-8", "surrogatepass")).decode(
        "utf-8", "replace"
    )


def _without_user(found: re.Match[str]) -> str:
    """Blot out user and password in an address, whatever they are made of."""
    word = found[0]
    begin, end = word.find("://") + 3, word.rfind("@")
    if 3 <= begin < end and ":" in word[begin:end]:
        return f"{word[:begin]}***{word[end:]}"
    return word


def _blotted(found: re.Match[str]) -> str:
    """Blot out what was found, unless it is the word "basic" before another."""
    word = found["basic"]
    return "***" if word is None or _is_login(word) else found[0]


def _is_login(word: str) -> bool:
    """Return whether it is a user name and a password, or the beginning of that."""
    try:
        decoded = urlsafe_b64decode(word[: len(word) // 4 * 4].translate(_URLSAFE))
    except ValueError:
        return False
    return b":" in decoded


def without_secrets(address: bytes) -> bytes:
    """Blot out what may be secret in an address: parameters' values, users, tokens.

    Likewise in an address that is the value of a parameter, or a part of the path,
    however often it is percent-encoded.
    """
    if _TOKEN_BEGINS in address:
        address = _TOKEN.sub(b"***", address)
    if b"=" not in address and b"@" not in address and b"%" not in address:
        return address
    return _without_secrets(address, _LEVELS)


def _without_secrets(address: bytes, levels: int) -> bytes:
    pieces = _SEPARATOR.split(_without_users(address), maxsplit=_PIECES)
    if len(pieces) > 2 * _PIECES:
        pieces[-1] = b"***"
    shown: list[bytes] = []
    secret = False
    for separator, piece in zip([b"", *pieces[1::2]], pieces[::2], strict=True):
        if secret and separator != b"&":
            continue  # of a value, which only "&" ends for certain
        *names, value = piece.split(b"=", maxsplit=_SIGNS)
        secret = len(names) == _SIGNS or any(map(_is_secret, names))
        if secret or _hides_secret(piece, levels) or (names and _has_user(value)):
            piece = names[0] + b"=***" if names else b"***"
        shown += separator, piece
    return b"".join(shown)


def _without_users(address: bytes) -> bytes:
    address = _USERINFO.sub(b"//***@", address)
    match = _USER_AND_COLON.search(address)
    end = address.rfind(b"@")
    if match is not None and end > match.end():
        # A password that was not encoded has whatever it likes in it.
        return address[: match.start()] + b"//***" + address[end:]
    return address


def _has_user(value: bytes) -> bool:
    """Return whether a value is like ann:password@host."""
    return 0 < value.find(b":") < value.rfind(b"@")


def _is_secret(name: bytes) -> bool:
    name = name.rpartition(b"/")[2]
    for _ in range(_LEVELS):
        name, encoded = unquote_to_bytes(name.replace(b"+", b" ")), name
        if name == encoded:
            break
    return b"%" in name or _SECRET_NAME.search(name) is not None


def _hides_secret(piece: bytes, levels: int) -> bool:
    """Return whether there is a secret under the encoding of a piece."""
    if b"%" not in piece:
        return False
    if levels == 0 or len(piece) > _LONGEST:
        return True
    decoded = unquote_to_bytes(piece)
    if _TOKEN.search(decoded):
        return True
    return decoded != piece and _without_secrets(decoded, levels - 1) != decoded
