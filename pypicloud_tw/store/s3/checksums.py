"""Checksums by which S3 finds out that the bytes it got are those that were sent.

Over TLS it is CRC-32: what the AWS SDKs send by default, and a sixth of the work of
SHA-256; TLS itself vouches for the bytes on their way. Without TLS it is SHA-256, which
the signature needs anyway.
"""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import Literal, Protocol

from attrs import define, field

#: As ``x-amz-checksum-algorithm`` has it.
Algorithm = Literal["SHA256", "CRC32"]


class RunningChecksum(Protocol):
    """What hashlib's objects can do."""

    def update(self, data: memoryview, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """Return the checksum of the bytes so far."""


@define
class Crc32:
    """CRC-32 in the form of hashlib's objects."""

    _value: int = field(default=0, init=False)

    def update(self, data: memoryview) -> None:
        """Take more bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Return four bytes, the highest first, as S3 wants them."""
        return self._value.to_bytes(4, "big")


def running_checksum(algorithm: Algorithm) -> RunningChecksum:
    """Begin one."""
    return sha256() if algorithm == "SHA256" else Crc32()


@define(eq=False)
class PartChecksums:
    """The checksum of each part of what comes: worked out while its bytes are at hand.

    To read a part again for it costs as much as CRC-32 itself.

    :ivar algorithm: of all of them.
    :ivar size: of each part but the last, in bytes.
    """

    algorithm: Algorithm
    size: int
    _whole: list[bytes] = field(factory=list, init=False)
    _left: int = field(init=False)
    _running: RunningChecksum = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._begin()

    def take(self, data: bytes | bytearray) -> None:
        """Take more bytes."""
        rest = memoryview(data)
        while rest:
            piece = rest[: self._left]
            self._running.update(piece)
            rest = rest[len(piece) :]
            self._left -= len(piece)
            if not self._left:
                self._whole.append(self._running.digest())
                self._begin()

    def of(self, number: int) -> bytes:
        """Return that of a part whose bytes have all come; numbers begin at 1."""
        if number <= len(self._whole):
            return self._whole[number - 1]
        assert number == len(self._whole) + 1, "its bytes have come"
        return self._running.digest()

    def _begin(self) -> None:
        self._running = running_checksum(self.algorithm)
        self._left = self.size
