"""The source of advisories at an address of the web."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.reading import Reading
from pypicloud_tw.errors import PypicloudError, Unavailable
from pypicloud_tw.upstream.advisory_source import FetchedSource
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.source import ClientLimits, sources
from tests.advisories.osv import record
from tests.doubles import InlineOffload
from tests.upstream.doubles import (
    HOST,
    Behaviour,
    FakeUpstream,
    clock,
    page,
    redirect,
    status,
    truncated,
    unframed,
)

URL = f"https://{HOST}/all.json"
KIND = "application/json"
RECORD = json.dumps(record("MAL-1")).encode()


class FetchedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.upstream = FakeUpstream()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        [source] = sources([URL])
        limits = ClientLimits(retries=0)
        client = Client(self.upstream, clock(), limits, "tests", lambda: 0.5)
        self.source = FetchedSource(client, source, URL, InlineOffload(), self.folder)

    def ask(self, known: str = "", *answers: Behaviour) -> Deferred[Reading | None]:
        if answers:
            self.upstream.on(URL, *answers)
        asked = Deferred.fromCoroutine(self.source.read(known))
        for _ in range(5):
            self.upstream.flush()
        return asked

    def read(self, known: str = "", *answers: Behaviour) -> Reading | None:
        reading = self.successResultOf(self.ask(known, *answers))
        self.assertEqual(list(self.folder.iterdir()), [])
        return reading

    def fails(self, *answers: Behaviour) -> str:
        failure = self.failureResultOf(self.ask("", *answers), PypicloudError)
        if self.folder.exists():
            self.assertEqual(list(self.folder.iterdir()), [])
        return str(failure.value.message)

    def test_again_if_it_has_changed(self) -> None:
        first = self.read("", page(RECORD, KIND, etag='"1"'))
        assert first is not None
        self.assertIsNone(self.read(first.state))
        self.assertEqual(self.upstream.asked[1].header("if-none-match"), '"1"')
        other = json.dumps(record("MAL-2")).encode()
        second = self.read(first.state, page(other, KIND, etag='"2"'))
        assert second is not None
        self.assertNotEqual(second.state, first.state)

    def test_a_server_that_knows_no_conditions(self) -> None:
        first = self.read("", page(RECORD, KIND))
        assert first is not None
        self.assertIsNone(self.read(first.state))

    def test_a_state_of_another_making(self) -> None:
        for known in ("12 34 56", "[]", "{}", '"x"'):
            self.assertIsNotNone(self.read(known, page(RECORD, KIND, etag='"1"')))

    def test_elsewhere(self) -> None:
        moved = f"https://{HOST}/moved"
        self.upstream.on(moved, page(RECORD, KIND))
        self.assertIsNotNone(self.read("", redirect(moved)))

    def test_what_is_none(self) -> None:
        for answer in (
            truncated(RECORD),
            unframed(RECORD[:-5], KIND),
            page(b"<html>", "text/html"),
            page(b"", KIND),
            status(304),
            status(500),
            redirect(URL),
        ):
            self.assertTrue(self.fails(answer))

    def test_no_place_for_it(self) -> None:
        self.folder.rmdir()
        self.assertIn("no place", self.fails(page(RECORD, KIND)))
        failure = self.failureResultOf(self.ask(), Unavailable)
        self.assertIn("No such file", failure.value.message)
