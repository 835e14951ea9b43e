"""What a browser shows for a session: the value of a cookie, opaque."""

from __future__ import annotations

import os
import re

from attrs import evolve, field, frozen

from pypicloud_tw.access.tokens.text import (
    HOUR,
    PREFIX,
    SECRET,
    Draw,
    read_secret,
    write_secret,
)

_PREFIX = f"{PREFIX}s_"
_WHOLE = re.compile(rf"{_PREFIX}[a-z2-7]{{96}}".encode())

#: Bytes: of the hour, of the id, and of what forms are bound to.
_HOUR, _ID, _SEED = 4, 16, 16


@frozen
class SessionText:
    """What a session's cookie says.

    :ivar hour: in which the session ends at the latest; hours since 1970.
    :ivar id: 32 hexadecimal digits.
    :ivar secret: another one each time that the session is renewed.
    :ivar seed: what forms are bound to; the same for as long as the session lasts.
    """

    hour: int
    id: str
    secret: bytes = field(repr=False)
    seed: bytes = field(repr=False)

    @classmethod
    def draw(cls, ends: float, draw: Draw = os.urandom) -> SessionText:
        """Make a new one.

        :param ends: when the session does, in seconds since 1970.
        """
        return cls(int(ends // HOUR), draw(_ID).hex(), draw(SECRET), draw(_SEED))

    def renewed(self, draw: Draw = os.urandom) -> SessionText:
        """Make another of the same log-in."""
        return evolve(self, id=draw(_ID).hex(), secret=draw(SECRET))

    @property
    def proof(self) -> bytes:
        """All of it that nobody else knows; its hash is kept."""
        return self.secret + self.seed

    @property
    def text(self) -> str:
        """What the browser is given."""
        hour = self.hour.to_bytes(_HOUR, "big")
        return write_secret(_PREFIX, hour + bytes.fromhex(self.id) + self.proof)


def read_session(value: bytes) -> SessionText | None:
    """Understand what a browser shows; None: it is damaged, or something else."""
    if _WHOLE.fullmatch(value) is None:
        return None
    payload = read_secret(_PREFIX, value.decode())
    if payload is None:
        return None
    ids, proof = payload[: -SECRET - _SEED], payload[-SECRET - _SEED :]
    hour = int.from_bytes(ids[:_HOUR], "big")
    return SessionText(hour, ids[_HOUR:].hex(), proof[:SECRET], proof[SECRET:])
