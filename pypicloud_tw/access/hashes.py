"""Making and checking password hashes, and what checking one costs.

Which hashes are understood: :mod:`pypicloud_tw.config.hashes`.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import pbkdf2_hmac
from hmac import compare_digest

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import Type
from bcrypt import checkpw

from pypicloud_tw.access.sha_crypt import sha256_crypt, sha512_crypt
from pypicloud_tw.config.hashes import PasswordHash, from_base64, parse_hash
from pypicloud_tw.offload.limits import LOG_INS, limited

#: Schemes computed in pure Python, which hold the GIL for as long as they take.
#: Measured beside a busy main thread: half of its speed, and wake-ups 6 ms late; the
#: others (argon2, bcrypt, and pbkdf2 by hashlib) cost it nothing but the processor.
PURE_PYTHON = frozenset({"sha512_crypt", "sha256_crypt"})

#: Longer passwords are wrong, not an error; characters.
MAX_PASSWORD = 4096

#: bcrypt reads no further, and bcrypt 5 raises instead of reading less.
MAX_BCRYPT_BYTES = 72

#: Nor does crypt(3) take more for these, each round of which reads the password again:
#: 4096 characters take 9 s and more where 500 take 1.
MAX_CRYPT_BYTES = 511

# Longest passwords by scheme, in bytes of UTF-8.
_MAX_BYTES = {
    "bcrypt": MAX_BCRYPT_BYTES,
    "sha512_crypt": MAX_CRYPT_BYTES,
    "sha256_crypt": MAX_CRYPT_BYTES,
}

# For new hashes: OWASP's password storage cheat sheet (19 MiB, two passes, one lane).
_NEW = PasswordHasher(
    type=Type.ID,
    memory_cost=19456,
    time_cost=2,
    parallelism=1,
    salt_len=16,
    hash_len=32,
)

# What is computed for a password that cannot be right, so that it takes as long.
_STAND_IN = "x" * 16

_NO_NUL = frozenset({"bcrypt", "sha512_crypt", "sha256_crypt"})


class HashingError(Exception):
    """Checking a password failed for a reason that is not the password.

    Its text never has a password or a hash in it, which libraries' own errors may.
    """


def hash_password(password: str) -> str:
    """Hash a new password with argon2id; takes about 50 ms.

    :raises ValueError: it is longer than :data:`MAX_PASSWORD` or has no UTF-8 form.
    """
    if not can_take("argon2", password):
        raise ValueError(
            f"A password has at most {MAX_PASSWORD} characters, all of them Unicode."
        )
    return _NEW.hash(password)


def can_take(scheme: str, password: str) -> bool:
    """Whether a scheme can have hashed this password; if not, it is simply wrong."""
    try:
        data = password.encode()
    except UnicodeEncodeError:
        return False
    if len(password) > MAX_PASSWORD:
        return False
    if scheme in _NO_NUL and b"\0" in data:
        return False
    return len(data) <= _MAX_BYTES.get(scheme, len(data))


@limited(LOG_INS)
def verify(password: str, hash: str) -> bool:
    """Whether the password is the one that was hashed; takes 20 to 2,000 ms.

    :raises HashingError: the hash is not one that :func:`identify` names, or there
        was no memory to compute it.
    """
    parsed = parse_hash(hash)
    if parsed is None:
        raise HashingError("The hash of this user's password is malformed.")
    possible = can_take(parsed.scheme, password)
    data = (password if possible else _STAND_IN).encode()
    right = guarded(parsed.scheme, lambda: _compute(parsed, data))
    return right and possible


def guarded(scheme: str, compute: Callable[[], bool]) -> bool:
    """Do the work of :func:`verify`, and keep a library's words to ourselves."""
    try:
        return compute()
    except Exception as e:
        # They may have the hash in them, so neither text nor cause is kept.
        raise HashingError(
            f"A {scheme} hash could not be computed ({type(e).__name__})."
        ) from None


def _compute(parsed: PasswordHash, password: bytes) -> bool:
    match parsed.scheme:
        case "argon2":
            try:
                return _NEW.verify(parsed.text, password)
            except VerifyMismatchError:
                return False
        case "bcrypt":
            return checkpw(password, parsed.text.encode())
        case "sha512_crypt" | "sha256_crypt":
            crypt = sha512_crypt if parsed.scheme == "sha512_crypt" else sha256_crypt
            computed = crypt(password, parsed.salt.encode(), parsed.rounds)
            return compare_digest(computed, parsed.checksum)
        case _:
            return _pbkdf2(parsed, password)


def _pbkdf2(parsed: PasswordHash, password: bytes) -> bool:
    salt, checksum = (
        # passlib's base64 has a dot where others have a plus.
        from_base64(text.replace(".", "+"))
        for text in (parsed.salt, parsed.checksum)
    )
    digest = parsed.scheme.removeprefix("pbkdf2_")
    computed = pbkdf2_hmac(digest, password, salt, parsed.rounds)
    return compare_digest(computed, checksum)
