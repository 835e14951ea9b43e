"""What the benchmark of the tail reads of processes, and how it counts."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import asdict
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.open_loop import Asked
from benchmarks.processes import alone_of, ticks_of
from benchmarks.watched import Turn, turns


class TailTests(SynchronousTestCase):
    def test_parts_of_a_thousand(self) -> None:
        asked = Asked([float(n) for n in range(200)])
        parts = [asked.part(n) for n in (0, 500, 990, 1000)]
        self.assertEqual(parts, [0.0, 100.0, 198.0, 199.0])

    def test_turns_of_a_span(self) -> None:
        """What is neither work nor the queue for a processor was waiting."""
        all_turns = [Turn(began, 0.5, 0.25, 0.125) for began in (1.0, 2.0, 3.0)]
        file = Path(self.mktemp())
        file.write_text("".join(json.dumps(asdict(turn)) + "\n" for turn in all_turns))
        found = list(turns(file, 2.0, 3.0))
        self.assertEqual(found, all_turns[1:2])
        self.assertEqual(found[0].waited, 0.125)

    def test_a_process_with_and_without_its_children(self) -> None:
        stat = "7 (a) b) S " + " ".join(str(n) for n in range(20))
        self.assertEqual(ticks_of(stat), 10 + 11 + 12 + 13)
        self.assertEqual(alone_of(stat), 10 + 11)
