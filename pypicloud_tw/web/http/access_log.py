"""One line a request in the combined log format, with who, and how long it took.

    client - user [date] "request line" status length "referrer" "agent" milliseconds

Lines are gathered and written together, about once a second, or before the program's
log says something, which may go to the same place. No line holds a secret or a control
character.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import get_ident
from time import gmtime
from typing import cast
from urllib.parse import unquote_to_bytes

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import ILogObserver, LogEvent, Logger, LogPublisher

_log = Logger()

#: Seconds that a line waits for others, and bytes that do not.
PATIENCE = 1.0
ENOUGH = 64 * 1024

# How many user agents are remembered in their escaped form, and how long each may be;
# pip's has some 600 bytes.
_MAX_AGENTS, _MAX_AGENT = 500, 1024

_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_UNSAFE = re.compile(rb"[^\x20\x21\x23-\x5b\x5d-\x7e]+")
_UNSAFE_WORD = re.compile(rb"[^\x21\x23-\x5a\x5e-\x7e]+")
# Each byte's, ready: a field of 15,000 unsafe bytes costs 0.5 ms so, and 5 one by one.
_ESCAPES = tuple(b"\\x%02x" % byte for byte in range(256))

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


@define(eq=False)
class AccessLog:
    """Gathers lines and hands them on.

    :ivar write: takes whole lines, several at a time; the ``write`` of a binary file
        or of a raw standard output is one.
    """

    write: Callable[[bytes], object]
    clock: IReactorTime
    _lines: list[bytes] = field(factory=list, init=False, repr=False)
    _size: int = field(default=0, init=False)
    _flushing: IDelayedCall | None = field(default=None, init=False)
    _agents: dict[bytes, bytes] = field(factory=dict, init=False, repr=False)
    _failed: bool = field(default=False, init=False)
    _thread: int = field(factory=get_ident, init=False)
    _others: LogPublisher | None = field(default=None, init=False, repr=False)
    _second: int = field(default=-1, init=False)
    _date: bytes = field(default=b"", init=False)

    def record(
        self,
        *,
        client: bytes,
        user: bytes | None,
        method: bytes,
        target: bytes,
        version: bytes,
        status: int,
        length: int,
        referrer: bytes | None,
        agent: bytes | None,
        seconds: float,
    ) -> None:
        """Write a line, soon.

        :param length: bytes of the answer's body that were sent.
        :param seconds: from the end of the head to the end of the answer.
        """
        now = self.clock.seconds()
        if int(now) != self._second:
            self._second = int(now)
            self._date = _date(self._second)
        line = b'%b - %b [%b] "%b %b %b" %d %b "%b" "%b" %.1f\n' % (
            client or b"-",
            _UNSAFE_WORD.sub(_escaped, user) if user else b"-",
            self._date,
            method,
            escape(without_secrets(target)),
            version,
            status,
            b"%d" % length if length else b"-",
            escape(without_secrets(referrer)) if referrer else b"-",
            self._agent(agent) if agent else b"-",
            seconds * 1000,
        )
        self._lines.append(line)
        self._size += len(line)
        if self._size > ENOUGH:
            self.flush()
        elif self._flushing is None:
            self._flushing = self.clock.callLater(PATIENCE, self._flush)

    def _agent(self, agent: bytes) -> bytes:
        """Escape a user agent; pip's has twenty quotation marks, and few differ."""
        escaped = self._agents.get(agent)
        if escaped is None:
            escaped = escape(agent)
            if len(agent) <= _MAX_AGENT and len(self._agents) < _MAX_AGENTS:
                self._agents[agent] = escaped
        return escaped

    def go_before(self, others: LogPublisher) -> None:
        """Write what waits before the events of *others*, until :meth:`close`.

        To be called before they have observers that write: those are asked in order.
        """
        self._others = others
        others.addObserver(cast(ILogObserver, self._before))

    def _before(self, _event: LogEvent) -> None:
        # What other threads say has no order that could be kept.
        if self._lines and get_ident() == self._thread:
            self.flush()

    def close(self) -> None:
        """Write what waits, and observe nothing any more."""
        self.flush()
        if self._others is not None:
            self._others.removeObserver(cast(ILogObserver, self._before))

    def flush(self) -> None:
        """Write what waits."""
        if self._flushing is not None:
            self._flushing.cancel()
        self._flush()

    def _flush(self) -> None:
        self._flushing = None
        lines, self._lines, self._size = self._lines, [], 0
        if not lines:
            return
        try:
            self.write(b"".join(lines))
        except OSError as error:
            # A closed pipe or a full disk must not fail requests, nor fill the log.
            if not self._failed:
                _log.error("The access log cannot be written: {error}", error=error)
            self._failed = True
        else:
            self._failed = False


def escape(value: bytes) -> bytes:
    """Replace what would end a line or a quotation, or steer a terminal."""
    return _UNSAFE.sub(_escaped, value)


def without_secrets(address: bytes) -> bytes:
    """Blot out what may be secret in an address: parameters' values and user names.

    Likewise in an address that is the value of a parameter, or a part of the path,
    however often it is percent-encoded.
    """
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
    return decoded != piece and _without_secrets(decoded, levels - 1) != decoded


def _escaped(unsafe: re.Match[bytes]) -> bytes:
    return b"".join(map(_ESCAPES.__getitem__, unsafe[0]))


def _date(second: int) -> bytes:
    year, month, day, hour, minute, sec, *_ = gmtime(second)
    return b"%02d/%b/%04d:%02d:%02d:%02d +0000" % (
        day,
        _MONTHS[month - 1],
        year,
        hour,
        minute,
        sec,
    )
