"""Password hashes: which are understood, how they are made, what checking one costs.

The formats are those of the ``passlib`` API, from the maintained ``libpass``
distribution. Old ini files bring sha256_crypt and pbkdf2_sha512; new hashes are
argon2id with the parameters of OWASP's password storage cheat sheet (19 MiB, two
passes, one lane).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from passlib.context import CryptContext

from pypicloud_tw.offload.limits import LOG_INS, limited

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

_NO_NUL = frozenset({"bcrypt", "sha512_crypt", "sha256_crypt"})


class HashingError(Exception):
    """Checking a password failed for a reason that is not the password.

    Its text never has a password or a hash in it, which passlib's own errors do.
    """


@cache
def make_context() -> CryptContext:
    """Make passlib's context: what is accepted, and how new hashes are made."""
    return CryptContext(
        schemes=list(SCHEMES),
        default="argon2",
        argon2__type="ID",
        argon2__memory_cost=19456,  # KiB
        argon2__time_cost=2,
        argon2__parallelism=1,
    )


def hash_password(password: str) -> str:
    """Hash a new password with argon2id; takes about 50 ms.

    :raises ValueError: it is longer than :data:`MAX_PASSWORD` or has no UTF-8 form.
    """
    if not can_take("argon2", password):
        raise ValueError(
            f"A password has at most {MAX_PASSWORD} characters, all of them Unicode."
        )
    return str(make_context().hash(password))


def identify(hash: str) -> str | None:
    """Name the scheme of a hash that can be verified here.

    :return: one of :data:`SCHEMES`, or None: another scheme, malformed, or of a cost
        that cannot be meant.
    """
    scheme = make_context().identify(hash)
    if scheme is None:
        return None
    try:
        parsed = make_context().handler(scheme).from_string(hash)
    except (ValueError, TypeError, NotImplementedError):
        return None
    if not parsed.checksum or not _computable(scheme, parsed, hash):
        return None
    return str(scheme)


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
        return bool(context.verify(password, hash))
    except Exception as e:
        # passlib puts the hash into its messages, so neither text nor cause is kept.
        raise HashingError(
            f"A {scheme} hash could not be computed ({type(e).__name__})."
        ) from None


def _computable(scheme: str, parsed: Any, hash: str) -> bool:
    """Refuse what parses but cannot be computed, by the backends or in a minute."""
    if parsed.rounds > MAX_ROUNDS[scheme]:
        return False
    match scheme:
        case "argon2":
            # RFC 9106, section 3.1: at least 8 KiB a lane, and a tag of 4 bytes. The
            # optional "data" field is not supported by argon2-cffi, nor is base64
            # whose last bits are not zero, which the round trip finds.
            return (
                8 * parsed.parallelism <= parsed.memory_cost <= MAX_ARGON2_KIB
                and len(parsed.checksum) >= 4
                and parsed.data is None
                and parsed.to_string() == hash
            )
        case "bcrypt":
            # "$2$" (1999) and the broken "$2x$" are not what bcrypt computes.
            return parsed.ident in {"$2a$", "$2b$", "$2y$"}
        case _:
            return True
