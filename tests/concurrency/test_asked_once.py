"""An answer that is asked for once."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.asked_once import AskedOnce
from pypicloud_tw.errors import Unavailable


class AskedOnceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[Deferred[int | None]] = []
        self.once = AskedOnce(self.ask)

    async def ask(self) -> int | None:
        self.asked.append(Deferred())
        return await self.asked[-1]

    def answer(self) -> Deferred[int | None]:
        return Deferred.fromCoroutine(self.once.answer())

    def test_shared_and_kept(self) -> None:
        first, second = self.answer(), self.answer()
        self.assertNoResult(first)
        self.asked[0].callback(None)
        self.assertIsNone(self.successResultOf(first))
        self.assertIsNone(self.successResultOf(second))
        self.assertIsNone(self.successResultOf(self.answer()))
        self.assertEqual(len(self.asked), 1)

    def test_failed(self) -> None:
        """It is asked again by who wants it next."""
        first = self.answer()
        self.asked[0].errback(Unavailable("It is away."))
        self.failureResultOf(first, Unavailable)
        second = self.answer()
        self.asked[1].callback(7)
        self.assertEqual(self.successResultOf(second), 7)
