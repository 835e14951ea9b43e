"""Every record goes where it should, and never in anybody's way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.log_file import LogFile
from pypicloud_tw.access.audit.stored import StoredRecords
from pypicloud_tw.access.audit.trail import Trail
from pypicloud_tw.index.audit import Act, Actor
from pypicloud_tw.metrics import Metrics
from tests.web.doubles import Domain, started

ANN = Actor("ann", address="192.0.2.7")
DONE = Act(ANN, "removed", "acme", "1.0")
REFUSED = Act(ANN, "upload", "acme", outcome="refused")


class TrailTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.clock: Clock = self.domain.clock
        self.path = Path(self.mktemp())
        self.metrics = Metrics(self.clock)
        self.told: list[Act] = []
        self.trail = Trail(
            self.clock,
            self.metrics,
            LogFile("audit.log", self.path, self.clock),
            StoredRecords(self.clock, "server"),
            self.told.append,
        )
        self.trail.register()
        self.trail.start(self.domain.store)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def stored(self) -> bytes:
        return b"".join(one.data for one in self.domain.store.objects.values())

    def test_what_was_done(self) -> None:
        self.trail(DONE)
        self.clock.advance(1)
        self.assertEqual(self.told, [DONE])
        self.assertEqual([line["act"] for line in self.lines()], ["removed"])
        self.assertEqual(self.stored(), self.path.read_bytes())

    def test_what_was_refused(self) -> None:
        """It changed nothing, so the store need not keep it."""
        self.trail(REFUSED)
        self.clock.advance(1)
        self.assertEqual([line["outcome"] for line in self.lines()], ["refused"])
        self.assertEqual((self.told, self.stored()), ([], b""))

    def test_a_flood(self) -> None:
        for _ in range(1000):
            self.trail(REFUSED)
        self.clock.advance(61)
        self.clock.advance(1)
        self.assertEqual(len(self.lines()), 6)
        text = self.metrics.render().decode()
        self.assertIn(
            'pypicloud_acts_total{act="upload",outcome="refused"} 1e+03',
            text.replace("1000.0", "1e+03"),
        )

    def test_the_end(self) -> None:
        for _ in range(7):
            self.trail(REFUSED)
        self.trail(DONE)
        self.successResultOf(started(self.trail.close()))
        self.assertEqual(len(self.lines()), 7)
        self.assertIn(b"removed", self.stored())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_fault_of_ours_fails_nobody(self) -> None:
        broken: Any = object()
        with capturedLogs() as logs:
            self.trail(Act(broken, "removed"))
        [event] = logs
        self.assertEqual(event["log_format"], "A record of {act} failed")
        self.flushLoggedErrors(AttributeError)

    def test_what_is_lost_is_counted(self) -> None:
        self.path.mkdir()
        with capturedLogs() as logs:
            for _ in range(3):
                self.trail(DONE)
                self.clock.advance(1)
        self.assertIn(
            "pypicloud_audit_dropped_total 3.0", self.metrics.render().decode()
        )
        self.assertEqual(len(logs), 1)
