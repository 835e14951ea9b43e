"""What the log says of things that are away."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.outages import Outages


class OutageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.events: list[Any] = []
        self.clock = Clock()
        observer: Any = self.events.append
        log = Logger(observer=observer)
        self.outages = Outages("The upstream index at", self.clock.seconds, log)

    def said(self) -> list[str]:
        """Give the lines since the last call."""
        lines = [formatEvent(event) for event in self.events]
        self.events.clear()
        return lines

    def fail_for(self, seconds: int, name: str = "up.example") -> list[str]:
        """Fail each second."""
        for _ in range(seconds):
            self.outages.failed(name, f"{name} cannot be reached.")
            self.clock.advance(1)
        return self.said()

    def test_first_and_each_minute(self) -> None:
        first = "The upstream index at up.example fails: up.example cannot be reached."
        self.assertEqual(self.fail_for(60), [first])
        more = f"{first} (60 failures since it was last told)"
        self.assertEqual(self.fail_for(120), [more, more])

    def test_what_nobody_waits_for(self) -> None:
        self.outages.warn_every = 600.0
        self.assertEqual(len(self.fail_for(1201)), 3)

    def test_levels(self) -> None:
        self.outages.failed("up.example", "Gone.")
        self.outages.succeeded("up.example")
        levels = [event["log_level"] for event in self.events]
        self.assertEqual(levels, [LogLevel.warn, LogLevel.info])

    def test_back(self) -> None:
        self.fail_for(75)
        self.outages.succeeded("up.example")
        self.outages.succeeded("up.example")
        self.assertEqual(
            self.said(), ["The upstream index at up.example is back, after 75 s"]
        )

    def test_nothing_to_say(self) -> None:
        self.outages.succeeded("up.example")
        self.assertEqual(self.said(), [])

    def test_what_comes_and_goes(self) -> None:
        for _ in range(30):
            self.outages.failed("up.example", "Gone.")
            self.outages.succeeded("up.example")
            self.clock.advance(1)
        self.assertEqual(len(self.said()), 2)
        self.clock.advance(30)
        self.outages.failed("up.example", "Gone.")
        (line,) = self.said()
        self.assertIn("(30 failures since it was last told)", line)

    def test_each_by_itself(self) -> None:
        self.assertEqual(len(self.fail_for(2, "a") + self.fail_for(2, "b")), 2)
        self.outages.succeeded("a")
        self.assertEqual(len(self.said()), 1)

    def test_a_clock_set_back(self) -> None:
        self.clock.advance(3600)
        self.fail_for(1)
        self.clock.rightNow = 0.0
        self.assertEqual(len(self.fail_for(1)), 1)

    def test_memory(self) -> None:
        for number in range(1000):
            self.outages.failed(f"host{number}.example", "Gone.")
        self.assertLessEqual(len(self.outages._outages), 256)
