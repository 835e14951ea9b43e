"""Which password hashes are understood: by their scheme, form and cost.

The forms are those of crypt(3), of Argon2's reference implementation, and for pbkdf2
those of passlib. Old ini files bring sha256_crypt and pbkdf2_sha512. passlib itself is
not used: two distributions write its files, and ldaptor requires the one that is not
maintained.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

from attrs import field, frozen

#: What can be verified here, the one for new hashes first.
SCHEMES = (
    "argon2",
    "bcrypt",
    "sha512_crypt",
    "sha256_crypt",
    "pbkdf2_sha512",
    "pbkdf2_sha256",
)

#: What to tell whoever gave a hash of another kind.
HOW_TO_HASH = (
    f"Hashes of {', '.join(SCHEMES[:-1])} and {SCHEMES[-1]} do. Make one with "
    "pypicloud-gen-password, or with 'htpasswd -nB NAME': without -B it makes an MD5 "
    "hash, which does not work."
)

#: Hashes that would take minutes are slips of the keyboard, and would keep others from
#: logging in. For bcrypt it is the logarithm.
MAX_ROUNDS = {
    "argon2": 100,
    "bcrypt": 17,
    "sha512_crypt": 10_000_000,
    "sha256_crypt": 10_000_000,
    "pbkdf2_sha512": 20_000_000,
    "pbkdf2_sha256": 20_000_000,
}

#: So are those that take more memory than this, in KiB.
MAX_ARGON2_KIB = 4 * 2**20


#: Of sha512_crypt and sha256_crypt: fewer are none of theirs, and how many it is where
#: the hash does not say.
_LEAST_CRYPT_ROUNDS, _USUAL_CRYPT_ROUNDS = 1000, 5000

#: Salts of pbkdf2 are no longer, in characters of base64.
_LONGEST_SALT = 1400

_NUMBER = r"(?P<{}>[1-9][0-9]{{0,9}})"
_CRYPT = (
    rf"(?:rounds={_NUMBER.format('rounds')}\$)?"
    r"(?P<salt>[./0-9A-Za-z]{0,16})\$(?P<checksum>[./0-9A-Za-z]"
)
_PBKDF2 = (
    rf"{_NUMBER.format('rounds')}\$(?P<salt>[+./0-9A-Za-z]{{0,{_LONGEST_SALT}}})"
    r"\$(?P<checksum>[+./0-9A-Za-z]"
)

_FORMS = {
    "argon2": (
        r"\$argon2(?:id|i|d)\$(?:v=(?:16|19)\$)?"
        rf"m={_NUMBER.format('memory')},t={_NUMBER.format('rounds')},"
        rf"p={_NUMBER.format('lanes')}"
        r"\$(?P<salt>[+/0-9A-Za-z]+)\$(?P<checksum>[+/0-9A-Za-z]+)"
    ),
    # "$2$" (1999) and the broken "$2x$" are not what bcrypt computes.
    "bcrypt": (
        r"\$2[aby]\$(?P<rounds>0[4-9]|[1-3][0-9])\$"
        r"(?P<salt>[./0-9A-Za-z]{22})(?P<checksum>[./0-9A-Za-z]{31})"
    ),
    "sha512_crypt": rf"\$6\${_CRYPT}{{86}})",
    "sha256_crypt": rf"\$5\${_CRYPT}{{43}})",
    "pbkdf2_sha512": rf"\$pbkdf2-sha512\${_PBKDF2}{{86}})",
    "pbkdf2_sha256": rf"\$pbkdf2-sha256\${_PBKDF2}{{43}})",
}
_COMPILED = {scheme: re.compile(form) for scheme, form in _FORMS.items()}


@frozen
class PasswordHash:
    """A hash that can be verified here, taken apart.

    :ivar scheme: one of :data:`SCHEMES`.
    :ivar text: all of it.
    :ivar rounds: for bcrypt the logarithm.
    :ivar salt: as it is written.
    :ivar checksum: as it is written.
    """

    scheme: str
    text: str = field(repr=False)
    rounds: int
    salt: str = field(repr=False)
    checksum: str = field(repr=False)


def parse_hash(text: str) -> PasswordHash | None:
    """Take a hash apart.

    :return: None for another scheme, what is malformed, or of a cost that cannot be
        meant.
    """
    for scheme, form in _COMPILED.items():
        match = form.fullmatch(text)
        if match is not None:
            parts = match.groupdict()
            rounds = int(parts["rounds"] or _USUAL_CRYPT_ROUNDS)
            parsed = PasswordHash(
                scheme, text, rounds, parts["salt"], parts["checksum"]
            )
            return parsed if _computable(parsed, parts) else None
    return None


def identify(hash: str) -> str | None:
    """Name the scheme of a hash that can be verified here.

    :return: one of :data:`SCHEMES`, or None as of :func:`parse_hash`.
    """
    parsed = parse_hash(hash)
    return None if parsed is None else parsed.scheme


def from_base64(text: str) -> bytes:
    """Read base64 without padding.

    :raises binascii.Error: it is none.
    """
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def _computable(parsed: PasswordHash, parts: dict[str, str]) -> bool:
    """Refuse what looks right but cannot be computed, or not in a minute."""
    if parsed.rounds > MAX_ROUNDS[parsed.scheme]:
        return False
    match parsed.scheme:
        case "argon2":
            # RFC 9106, section 3.1: 8 KiB a lane, a salt of 8 bytes, a tag of 4.
            lanes, memory = int(parts["lanes"]), int(parts["memory"])
            return (
                8 * lanes <= memory <= MAX_ARGON2_KIB
                and _is_canonical(parsed.salt, 8)
                and _is_canonical(parsed.checksum, 4)
            )
        case "sha512_crypt" | "sha256_crypt":
            return parsed.rounds >= _LEAST_CRYPT_ROUNDS
        case "bcrypt":
            return True
        case _:
            return len(parsed.salt) % 4 != 1


def _is_canonical(text: str, least: int) -> bool:
    """Return whether it is base64 of so many bytes whose last bits are zero."""
    try:
        data = from_base64(text)
    except binascii.Error:
        return False
    return len(data) >= least and b64encode(data).decode().rstrip("=") == text
