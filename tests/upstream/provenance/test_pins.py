"""Who publishes a project of an upstream."""

from __future__ import annotations

import json
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.upstream.provenance.pins import FOLDER, FRESH_FOR, Pin, Pins
from tests.doubles import InlineOffload
from tests.upstream.doubles import clock, started

ACME = NormalizedName("acme")
ONE = Signer.parse("github:acme/tool:release.yml")
TWO = Signer.parse("gitlab:acme/tool:.gitlab-ci.yml")
SHA = "5" * 64


class PinTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock: Clock = clock()
        self.store = MemoryStore(InlineOffload())
        self.pins = self.server()

    def server(self) -> Pins:
        return Pins(self.store, self.clock, Standing(), random=Random(1))

    def publisher(self, pins: Pins) -> Signer | None:
        return self.successResultOf(started(pins.publisher(ACME)))

    def first(self, pins: Pins, signer: Signer, file: str) -> tuple[Signer, bool]:
        return self.successResultOf(started(pins.pin_first(ACME, signer, file, SHA)))

    def listed(self) -> list[Pin]:
        async def collect() -> list[Pin]:
            return [pin async for pin in self.server().all()]

        return self.successResultOf(started(collect()))

    def test_of_two_servers_one_wins(self) -> None:
        other = self.server()
        self.assertIsNone(self.publisher(self.pins))
        self.assertIsNone(self.publisher(other))
        self.assertEqual(self.first(self.pins, ONE, "a"), (ONE, True))
        self.assertEqual(self.first(other, TWO, "b"), (ONE, False))
        self.assertEqual(self.publisher(other), ONE)

    def test_another_server_hears_of_a_change(self) -> None:
        other = self.server()
        self.first(self.pins, ONE, "a")
        self.assertEqual(self.publisher(other), ONE)
        self.successResultOf(started(self.pins.set(ACME, TWO, "root")))
        self.assertEqual(self.publisher(self.pins), TWO)
        self.clock.advance(FRESH_FOR)
        self.assertEqual(self.publisher(other), TWO)

    def test_removed_and_pinned_anew(self) -> None:
        self.first(self.pins, ONE, "a")
        self.successResultOf(started(self.pins.remove(ACME, "root")))
        self.assertIsNone(self.publisher(self.pins))
        self.assertEqual(self.listed(), [])
        self.assertEqual(self.first(self.pins, TWO, "b"), (TWO, True))
        (pin,) = self.listed()
        self.assertEqual((pin.publisher, pin.file, pin.by), (TWO.line, "b", None))

    def test_refused_is_told_once(self) -> None:
        self.first(self.pins, ONE, "a")
        for file, news in (("b", True), ("c", False)):
            self.clock.advance(1)
            note = self.pins.note_refused(ACME, TWO, file)
            self.assertIs(self.successResultOf(started(note)), news)
        (pin,) = self.listed()
        assert pin.refused is not None
        self.assertEqual((pin.refused.publisher, pin.refused.file), (TWO.line, "b"))

    def test_refused_beside_a_pin_of_the_ini(self) -> None:
        self.pins.obey({"acme": ONE})
        self.successResultOf(started(self.pins.note_refused(ACME, TWO, "b")))
        (pin,) = self.listed()
        self.assertIsNone(pin.publisher)
        self.assertIsNotNone(pin.refused)

    def test_nothing_is_pinned_while_nothing_may_be_changed(self) -> None:
        self.pins.standing.wait()
        failure = self.failureResultOf(
            started(self.pins.pin_first(ACME, ONE, "a", SHA)), Unavailable
        )
        self.assertIn("nothing is changed before", failure.value.message)
        self.assertEqual(self.store.objects, {})

    def test_a_format_of_the_future_with_more_in_it(self) -> None:
        self.first(self.pins, ONE, "a")
        document = json.loads(self.store.objects[f"{FOLDER}acme"].data)
        document["more"] = 1
        key = f"{FOLDER}acme"
        self.successResultOf(
            started(self.store.put(key, json.dumps(document).encode()))
        )
        self.assertEqual(self.publisher(self.server()), ONE)
