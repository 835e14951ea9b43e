"""Lines of a log: appended, opened again, and never in the way."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.log_file import LogFile
from pypicloud_tw.errors import ConfigError


class LogFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "audit.log"
        self.clock = Clock()
        self.log = LogFile("audit.log", self.path, self.clock)
        self.addCleanup(self.log.close)

    def test_appended_soon(self) -> None:
        self.path.write_bytes(b"before\n")
        self.log.open()
        self.log.add(b"one\n")
        self.log.add(b"two\n")
        self.assertEqual(self.path.read_bytes(), b"before\n")
        self.clock.advance(1)
        self.assertEqual(self.path.read_bytes(), b"before\none\ntwo\n")

    def test_not_for_everybody(self) -> None:
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.log.open()
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)

    def test_moved_away_and_opened_again(self) -> None:
        self.log.open()
        self.log.add(b"old\n")
        moved = self.path.rename(self.folder / "audit.log.1")
        self.log.reopen()
        self.log.add(b"new\n")
        self.log.close()
        self.assertEqual(moved.read_bytes(), b"old\n")
        self.assertEqual(self.path.read_bytes(), b"new\n")

    def test_cannot_be_opened(self) -> None:
        log = LogFile("audit.log", self.folder / "no" / "audit.log", self.clock)
        error = self.assertRaises(ConfigError, log.open)
        self.assertIn("No such file or directory", error.message)
        self.assertIn("audit.log = ", error.message)

    def test_cannot_be_opened_again(self) -> None:
        self.log.open()
        self.path.unlink()
        self.path.mkdir()
        with capturedLogs() as logs:
            self.log.reopen()
            self.log.add(b"still\n")
            self.log.flush()
        [event] = logs
        self.assertIn("cannot be opened again", formatEvent(event))
        self.assertEqual(self.log.lost, 0)

    def test_a_pipe_that_nobody_reads(self) -> None:
        os.mkfifo(self.path)
        error = self.assertRaises(ConfigError, self.log.open)
        self.assertIn("No such device or address", error.message)

    def test_a_pipe_that_is_full(self) -> None:
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.log.open()
        with capturedLogs() as logs:
            for _ in range(40):
                self.log.add(b"x" * 9999 + b"\n")
                self.clock.advance(1)
        self.assertGreater(self.log.lost, 0)
        self.assertEqual(len(logs), 1)
