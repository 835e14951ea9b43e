"""Making and checking password hashes, and what checking one costs.

Which hashes are understood: :mod:`pypicloud_tw.config.hashes`.
"""

from __future__ import annotations

from bcrypt import checkpw
from passlib.context import CryptContext

from pypicloud_tw.access.basic import CONTROL
from pypicloud_tw.config.hashes import identify, make_context
from pypicloud_tw.offload.limits import LOG_INS, limited

#: Schemes computed in pure Python, which hold the GIL for as long as they take.
#: Measured beside a busy main thread: half of its speed, and wake-ups 6 ms late; the
#: others (argon2, bcrypt, and pbkdf2 by hashlib) cost it nothing but the processor.
PURE_PYTHON = frozenset({"sha512_crypt", "sha256_crypt"})

#: Longer passwords are wrong, not an error (passlib's own limit, in characters).
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

# What is computed for a password that cannot be right, so that it takes as long.
_STAND_IN = "x" * 16

_NO_NUL = frozenset({"bcrypt", "sha512_crypt", "sha256_crypt"})


class HashingError(Exception):
    """Checking a password failed for a reason that is not the password.

    Its text never has a password or a hash in it, which passlib's own errors do.
    """


def hash_password(password: str) -> str:
    """Hash a new password with argon2id; takes about 50 ms.

    :raises ValueError: it is longer than :data:`MAX_PASSWORD`, has no UTF-8 form, or
        nobody could log in with it.
    """
    if CONTROL.search(password):
        raise ValueError("A password has no control characters: none can be sent.")
    if not can_take("argon2", password):
        raise ValueError(
            f"A password has at most {MAX_PASSWORD} characters, all of them Unicode."
        )
    return str(make_context().hash(password))


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
    scheme = identify(hash)
    if scheme is None:
        raise HashingError("The hash of this user's password is malformed.")
    possible = can_take(scheme, password)
    right = compute(make_context(), scheme, password if possible else _STAND_IN, hash)
    return right and possible


def compute(context: CryptContext, scheme: str, password: str, hash: str) -> bool:
    """Do the work of :func:`verify`, and keep passlib's words to ourselves."""
    try:
        if scheme == "bcrypt":
            # By itself: the former passlib, which ldaptor brings and which may have
            # taken libpass's place, fails with bcrypt 5.
            return checkpw(password.encode(), hash.encode())
        return bool(context.verify(password, hash))
    except Exception as e:
        # passlib puts the hash into its messages, so neither text nor cause is kept.
        raise HashingError(
            f"A {scheme} hash could not be computed ({type(e).__name__})."
        ) from None
