"""Which password hashes are understood: by their scheme, form and cost.

The formats are those of the ``passlib`` API, from the maintained ``libpass``
distribution. Old ini files bring sha256_crypt and pbkdf2_sha512; new hashes are
argon2id with the parameters of OWASP's password storage cheat sheet (19 MiB, two
passes, one lane).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from passlib.context import CryptContext

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
