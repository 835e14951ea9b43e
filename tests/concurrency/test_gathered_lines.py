"""Lines are written together, and what is lost is counted.

How the access log and the records use them is tested there.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.gathered_lines import ENOUGH, PATIENCE, GatheredLines


class GatheredLinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.written: list[bytes] = []
        self.fails = False
        self.lines = GatheredLines(self.write, self.clock, "The log")

    def write(self, lines: bytes) -> None:
        if self.fails:
            raise OSError("The disk is full.")
        self.written.append(lines)

    def test_after_a_moment(self) -> None:
        for line in (b"1\n", b"2\n"):
            self.lines.add(line)
        self.assertTrue(self.lines.waiting)
        self.clock.advance(PATIENCE)
        self.assertEqual(self.written, [b"1\n2\n"])
        self.assertFalse(self.lines.waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_do_not_wait(self) -> None:
        self.lines.add(b"x" * ENOUGH + b"\n")
        self.assertEqual(len(self.written), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_more_at_a_time_than_is_whole(self) -> None:
        """A pipe that others write to, too, takes so much without mixing it."""
        lines = GatheredLines(self.write, self.clock, "The log", 10)
        for line in (b"123\n", b"456\n", b"7\n", b"8" * 20 + b"\n", b"9\n"):
            lines.add(line)
        lines.flush()
        self.assertEqual(self.written, [b"123\n456\n7\n", b"8" * 20 + b"\n", b"9\n"])

    def test_lost(self) -> None:
        self.fails = True
        with capturedLogs() as logs:
            for _ in range(3):
                self.lines.add(b"1\n")
                self.lines.add(b"2\n")
                self.lines.flush()
        self.assertEqual(self.lines.lost, 6)
        [event] = logs
        self.assertEqual(
            formatEvent(event), "The log cannot be written: The disk is full."
        )
