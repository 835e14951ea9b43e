"""SHA-crypt: the ``$5$`` and ``$6$`` hashes of crypt(3).

By U. Drepper's "Unix crypt using SHA-256 and SHA-512"; its steps are named where they
are done. Python has had no crypt(3) since 3.13.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

#: A round has another constant by whether it is even, and divides by 3 and by 7.
_PERIOD = 42


def sha512_crypt(password: bytes, salt: bytes, rounds: int) -> str:
    """Compute a checksum of 86 characters.

    :param salt: at most 16 characters.
    """
    final = _digest(hashlib.sha512, password, salt, rounds)
    # Step 22: three bytes at a time; the next group takes them in another turn.
    groups = [(i, i + 21, i + 42) for i in range(21)]
    turned = [g[i % 3 :] + g[: i % 3] for i, g in enumerate(groups)]
    return _encode(final, turned, (63,))


def sha256_crypt(password: bytes, salt: bytes, rounds: int) -> str:
    """Compute a checksum of 43 characters; see :func:`sha512_crypt`."""
    final = _digest(hashlib.sha256, password, salt, rounds)
    groups = [(i, i + 10, i + 20) for i in range(10)]
    turned = [g[-i % 3 :] + g[: -i % 3] for i, g in enumerate(groups)]
    return _encode(final, turned, (31, 30))


def _digest(
    make: Callable[[bytes], Any], password: bytes, salt: bytes, rounds: int
) -> bytes:
    start = _start(make, password, salt)
    # Steps 13 to 20: P and S stand for password and salt from here on.
    p = _stretched(make(password * len(password)).digest(), len(password))
    s = _stretched(make(salt * (16 + start[0])).digest(), len(salt))
    return _rounds(make, start, p, s, rounds)


def _start(make: Callable[[bytes], Any], password: bytes, salt: bytes) -> bytes:
    """Do steps 1 to 12."""
    other = make(password + salt + password).digest()
    digest = make(password + salt + _stretched(other, len(password)))
    length = len(password)
    while length:
        digest.update(other if length & 1 else password)
        length >>= 1
    first: bytes = digest.digest()
    return first


def _rounds(
    make: Callable[[bytes], Any], digest: bytes, p: bytes, s: bytes, rounds: int
) -> bytes:
    """Do step 21; what is put beside the digest is made once for each of 42 rounds."""
    beside = [(s if i % 3 else b"") + (p if i % 7 else b"") for i in range(_PERIOD)]
    pairs = [(beside[i] + p, p + beside[i + 1]) for i in range(0, _PERIOD, 2)]
    whole, left = divmod(rounds, _PERIOD)
    for _ in range(whole):
        for behind, before in pairs:
            digest = make(before + make(digest + behind).digest()).digest()
    for behind, before in pairs[: left // 2]:
        digest = make(before + make(digest + behind).digest()).digest()
    if left % 2:
        digest = make(digest + pairs[left // 2][0]).digest()
    return digest


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _encode(digest: bytes, groups: Sequence[Sequence[int]], last: Sequence[int]) -> str:
    """Write each group of bytes, its first the highest, from the lowest six bits on."""
    written = []
    for group in (*groups, last):
        value = int.from_bytes(bytes(digest[i] for i in group), "big")
        characters = (8 * len(group) + 5) // 6
        written += [_ALPHABET[value >> 6 * i & 63] for i in range(characters)]
    return "".join(written)
