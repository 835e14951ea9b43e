"""Lines of a log, written together about once a second: a system call costs 5 µs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from select import PIPE_BUF

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: Seconds that a line waits for others, and bytes that do not.
PATIENCE = 1.0
ENOUGH = 64 * 1024

#: Bytes that a pipe takes without mixing them with those of other processes (pipe(7)).
UNMIXED = PIPE_BUF


@define(eq=False)
class GatheredLines:
    """Gathers lines and hands them on.

    :ivar write: takes whole lines, several at a time; the ``write`` of a binary file
        or of a raw standard output is one. What it fails to write is lost.
    :ivar most: bytes that are handed on at a time, as far as whole lines allow that.
    :ivar name: what a failure is told of: ``The access log``.
    :ivar lost: how many lines were.
    """

    write: Callable[[bytes], object]
    clock: IReactorTime
    name: str
    most: int | None = None
    lost: int = field(default=0, init=False)
    _lines: list[bytes] = field(factory=list, init=False, repr=False)
    _size: int = field(default=0, init=False)
    _flushing: IDelayedCall | None = field(default=None, init=False)
    _failed: bool = field(default=False, init=False)
    _log = Logger()

    @property
    def waiting(self) -> bool:
        """Whether there are lines that were not written yet."""
        return bool(self._lines)

    def add(self, line: bytes) -> None:
        """Write a line, soon.

        :param line: ends with the end of a line.
        """
        self._lines.append(line)
        self._size += len(line)
        if self._size > ENOUGH:
            self.flush()
        elif self._flushing is None:
            self._flushing = self.clock.callLater(PATIENCE, self._flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._flushing is not None:
            self._flushing.cancel()
        self._flush()

    def _flush(self) -> None:
        self._flushing = None
        lines, self._lines, self._size = self._lines, [], 0
        for some in self._portions(lines):
            self._write_some(some)

    def _portions(self, lines: list[bytes]) -> Iterator[list[bytes]]:
        if self.most is None:
            if lines:
                yield lines
            return
        some: list[bytes] = []
        size = 0
        for line in lines:
            if some and size + len(line) > self.most:
                yield some
                some, size = [], 0
            some.append(line)
            size += len(line)
        if some:
            yield some

    def _write_some(self, lines: list[bytes]) -> None:
        try:
            self.write(b"".join(lines))
        except OSError as error:
            # A closed pipe or a full disk must not fail requests, nor fill the log.
            self.lost += len(lines)
            if not self._failed:
                self._log.error(
                    "{name} cannot be written: {error}", name=self.name, error=error
                )
            self._failed = True
        else:
            self._failed = False
