"""One line a request in the combined log format, with who, and how long it took.

    client - user [date] "request line" status length "referrer" "agent" milliseconds

Lines are written about once a second, or before the program's log says something, which
may go to the same place. No line holds a secret or a control character.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import get_ident
from time import gmtime
from typing import cast

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import ILogObserver, LogEvent, LogPublisher

from pypicloud_tw.concurrency.gathered_lines import GatheredLines
from pypicloud_tw.redaction import without_secrets

# How many user agents are remembered in their escaped form, and how long each may be;
# pip's has some 600 bytes.
_MAX_AGENTS, _MAX_AGENT = 500, 1024

_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_UNSAFE = re.compile(rb"[^\x20\x21\x23-\x5b\x5d-\x7e]+")
_UNSAFE_WORD = re.compile(rb"[^\x21\x23-\x5a\x5e-\x7e]+")
# Each byte's, ready: a field of 15,000 unsafe bytes costs 0.5 ms so, and 5 one by one.
_ESCAPES = tuple(b"\\x%02x" % byte for byte in range(256))


@define(eq=False)
class AccessLog:
    """Makes the lines and hands them on.

    :ivar write: takes whole lines, several at a time; the ``write`` of a binary file
        or of a raw standard output is one.
    :ivar most: bytes that it is given at a time, as far as whole lines allow that.
    """

    write: Callable[[bytes], object]
    clock: IReactorTime
    most: int | None = None
    _lines: GatheredLines = field(init=False, repr=False)
    _agents: dict[bytes, bytes] = field(factory=dict, init=False, repr=False)
    _thread: int = field(factory=get_ident, init=False)
    _others: LogPublisher | None = field(default=None, init=False, repr=False)
    _second: int = field(default=-1, init=False)
    _date: bytes = field(default=b"", init=False)

    @_lines.default
    def _make_lines(self) -> GatheredLines:
        return GatheredLines(self.write, self.clock, "The access log", self.most)

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
        self.add(
            client=client,
            user=logged_word(user) if user else None,
            request_line=b"%b %b %b"
            % (method, escape(without_secrets(target)), version),
            status=status,
            length=length,
            last=_last(referrer, self._agent(agent) if agent else None),
            seconds=seconds,
        )

    def add(
        self,
        *,
        client: bytes,
        user: bytes | None,
        request_line: bytes,
        status: int,
        length: int,
        last: bytes,
        seconds: float,
    ) -> None:
        """Write a line of parts that need no escaping; parameters as of :meth:`record`.

        :param user: as :func:`logged_word` made it.
        :param request_line: method, target and version.
        :param last: what :func:`logged_fields` made.
        """
        now = self.clock.seconds()
        if int(now) != self._second:
            self._second = int(now)
            self._date = _date(self._second)
        line = b'%b - %b [%b] "%b" %d %b %b %.1f\n' % (
            client or b"-",
            user or b"-",
            self._date,
            request_line,
            status,
            b"%d" % length if length else b"-",
            last,
            seconds * 1000,
        )
        self._lines.add(line)

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
        if self._lines.waiting and get_ident() == self._thread:
            self.flush()

    def close(self) -> None:
        """Write what waits, and observe nothing any more."""
        self.flush()
        if self._others is not None:
            self._others.removeObserver(cast(ILogObserver, self._before))

    def flush(self) -> None:
        """Write what waits."""
        self._lines.flush()


def logged_fields(referrer: bytes | None, agent: bytes | None) -> bytes:
    """Return how a line ends that has these fields' values, the duration apart."""
    return _last(referrer, escape(agent) if agent else None)


def _last(referrer: bytes | None, escaped_agent: bytes | None) -> bytes:
    return b'"%b" "%b"' % (
        escape(without_secrets(referrer)) if referrer else b"-",
        escaped_agent or b"-",
    )


def logged_word(word: bytes) -> bytes:
    """Replace what would also end a word of a line."""
    return _UNSAFE_WORD.sub(_escaped, word)


def escape(value: bytes) -> bytes:
    """Replace what would end a line or a quotation, or steer a terminal."""
    return _UNSAFE.sub(_escaped, value)


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
