"""A log's file, or standard output: opened again when it was moved away (SIGHUP)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.gathered_lines import GatheredLines
from pypicloud_tw.errors import ConfigError

#: Whoever else may read the file is for its folder to say.
_MODE = 0o640

#: A pipe that nobody empties must not stop us.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK

#: By its number: twistd puts a log of its own in the place of sys.stdout.
_STANDARD_OUTPUT = 1


@define(eq=False)
class LogFile:
    """Whole lines, appended; several processes may append to the same file.

    :ivar key: what names it in the ini, for what is said of it.
    :ivar place: a path, or ``-`` for standard output.
    :ivar most: bytes that are written at a time, as far as whole lines allow that.
    """

    key: str
    place: Path | Literal["-"]
    clock: IReactorTime
    most: int | None = None
    _lines: GatheredLines = field(init=False)
    _descriptor: int | None = field(default=None, init=False)
    _log = Logger()

    @_lines.default
    def _make_lines(self) -> GatheredLines:
        name = f"{self.key}: {self.place}"
        return GatheredLines(self._write, self.clock, name, self.most)

    @property
    def lost(self) -> int:
        """How many lines could not be written."""
        return self._lines.lost

    def add(self, line: bytes) -> None:
        """Write a line, soon; never fails."""
        self._lines.add(line)

    def open(self) -> None:
        """Open it, for the first time.

        :raises ConfigError: it cannot be.
        """
        try:
            self._open()
        except OSError as e:
            raise ConfigError([f"{self.key} = {self.place}: {e.strerror}."]) from None

    def reopen(self) -> None:
        """Open it again; where that fails, go on with what is open."""
        self._lines.flush()
        try:
            self._open()
        except OSError as e:
            self._log.error(
                "{key} = {place} cannot be opened again, and the file that is open is "
                "used: {error}.",
                key=self.key,
                place=str(self.place),
                error=e.strerror,
            )

    def flush(self) -> None:
        """Write what waits."""
        self._lines.flush()

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self._lines.flush()
        self._replace(None)

    def _write(self, lines: bytes) -> None:
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None, "just opened"
        # One call, so that lines of several processes are not mixed.
        written = os.write(self._descriptor, lines)
        while written < len(lines):
            written += os.write(self._descriptor, lines[written:])

    def _open(self) -> None:
        if self.place == "-":
            self._descriptor = _STANDARD_OUTPUT
        else:
            self._replace(os.open(self.place, _FLAGS, _MODE))

    def _replace(self, descriptor: int | None) -> None:
        old, self._descriptor = self._descriptor, descriptor
        if old is not None and old != _STANDARD_OUTPUT:
            os.close(old)
