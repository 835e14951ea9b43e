"""A body waits for its reader, its sender with it, and its reader not for ever."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.body_reader import BodyReader


class BodyReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[str] = []
        self.body = BodyReader(
            self.clock,
            10,
            lambda: self.body.fail(TimeoutError("silent")),
            lambda: self.told.append("pause"),
            lambda: self.told.append("resume"),
            high_water=4,
        )

    def read(self) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self.body.read())

    def test_to_the_end(self) -> None:
        self.body.feed(b"ab")
        self.body.feed(b"c")
        self.assertEqual(self.successResultOf(self.read()), b"abc")
        reading = self.read()
        self.assertNoResult(reading)
        self.body.feed(b"d")
        self.assertEqual(self.successResultOf(reading), b"d")
        self.body.end()
        self.body.feed(b"late")
        self.assertEqual(self.successResultOf(self.read()), b"")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pauses_what_nobody_reads(self) -> None:
        self.body.feed(b"abcd")
        self.assertEqual(self.told, [])
        self.body.feed(b"e")
        self.body.feed(b"f")
        self.assertEqual(self.told, ["pause"])
        self.assertEqual(self.successResultOf(self.read()), b"abcdef")
        self.assertEqual(self.told, ["pause", "resume"])

    def test_who_waits_pauses_nothing(self) -> None:
        reading = self.read()
        self.body.feed(b"abcdef")
        self.assertEqual(self.successResultOf(reading), b"abcdef")
        self.assertEqual(self.told, [])

    def test_nothing_is_not_the_end(self) -> None:
        reading = self.read()
        self.body.feed(b"")
        self.assertNoResult(reading)
        self.body.feed(b"x")
        self.assertEqual(self.successResultOf(reading), b"x")

    def test_pieces_count(self) -> None:
        body = BodyReader(
            self.clock, 10, self.fail, lambda: self.told.append("pause"), piece=2**18
        )
        body.feed(b"x")
        self.assertEqual(self.told, ["pause"])

    def test_silence_counts_while_somebody_waits(self) -> None:
        self.clock.advance(100)
        reading = self.read()
        self.clock.advance(9)
        self.body.feed(b"x")
        self.assertEqual(self.successResultOf(reading), b"x")
        self.clock.advance(100)
        reading = self.read()
        self.clock.advance(10)
        self.failureResultOf(reading, TimeoutError)
        self.failureResultOf(self.read(), TimeoutError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_came_before_a_failure_is_read_first(self) -> None:
        self.body.feed(b"x")
        self.body.fail(ValueError("first"))
        self.body.fail(KeyError("second"))
        self.assertEqual(self.successResultOf(self.read()), b"x")
        self.failureResultOf(self.read(), ValueError)

    def test_or_dropped(self) -> None:
        self.body.feed(b"x")
        self.body.fail(ValueError("why"), drop=True)
        self.failureResultOf(self.read(), ValueError)

    def test_one_reader_at_a_time(self) -> None:
        first = self.read()
        self.failureResultOf(self.read(), RuntimeError)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.body.feed(b"x")
        self.assertEqual(self.successResultOf(self.read()), b"x")
