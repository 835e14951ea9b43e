"""The runs find nothing wrong, and find every mistake that is put back.

``PYPICLOUD_SIMULATION=123`` replays a seed, and ``PYPICLOUD_SIMULATION=1-5000`` runs
many; ``PYPICLOUD_SIMULATION=rgw:1-5000`` on one kind of store.
"""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.mistakes import MISTAKES
from tests.simulation.run import asked_for, run, search
from tests.unsteady import PROFILES

#: Seeds that run always: some of each kind of store.
ALWAYS = "1-10"

#: Seeds that are tried to find a mistake; the first ten or so do.
TRIED = range(1, 120)


class SimulationCase(SynchronousTestCase):
    def tearDown(self) -> None:
        # What a killed server had begun is closed when it is collected, in any order,
        # and one that is closed already may be woken then.
        gc.collect()
        self.flushLoggedErrors(RuntimeError)


class SimulationTests(SimulationCase):
    def test_from_seeds(self) -> None:
        seeds, plan = asked_for(ALWAYS)
        for found in search(seeds, plan):
            self.fail(f"{found.how_to_replay}: {found.trouble[0]}")

    def test_every_kind_of_store_has_seeds(self) -> None:
        seeds, _ = asked_for(ALWAYS)
        self.assertGreaterEqual(len(seeds), len(PROFILES))

    def test_a_seed_replays_exactly(self) -> None:
        traces: list[list[str]] = [[], []]
        for trace in traces:
            run(4, tell=trace.append)
        self.assertGreater(len(traces[0]), 100)
        self.assertEqual(*traces)


class MistakesTests(SimulationCase):
    """Each is found, and for what it is."""

    def _find(self, name: str) -> None:
        mistake = MISTAKES[name]
        for found in search(TRIED, mistake.plan):
            if mistake.is_told_of(found.trouble):
                return
        self.fail(f"{len(TRIED)} seeds do not find that {name}.")


def _test_of(name: str) -> object:
    def test(self: MistakesTests) -> None:
        self._find(name)

    return test


for _name in MISTAKES:
    setattr(MistakesTests, f"test_{_name.replace(' ', '_')}", _test_of(_name))
