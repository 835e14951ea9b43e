"""Acts, uploads and sweeps of two processes in any order, on a store that fails.

Each run is made from a seed, which a failure names: ``PYPICLOUD_RACES=1-5000`` runs
others.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine, Iterator
from random import Random
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import PypicloudError, StoreError
from pypicloud_tw.index.model import Selection
from pypicloud_tw.maintenance.sweep import Sweeper
from tests.builders import wheel
from tests.web.doubles import ACME, Domain, damage, started, stored_project

DAY = 86_400.0
VERSIONS = ("1.0", "2.0", "3.0")
WHEELS = {version: wheel(version=version) for version in VERSIONS}

#: What is begun in a run, and turns in which all of it must have ended.
WORKS, TURNS = 14, 6000


def seeds() -> Iterator[int]:
    """Give the seeds of all runs."""
    first, _, last = os.environ.get("PYPICLOUD_RACES", "1-40").partition("-")
    return iter(range(int(first), int(last or first) + 1))


@define(eq=False)
class Races:
    """One run.

    :ivar held: calls of the store that have not been let through yet.
    :ivar faults: what raised something that no client should see.
    """

    dice: Random
    one: Domain = field(factory=Domain)
    two: Domain = field(init=False)
    held: list[Deferred[None]] = field(factory=list)
    works: list[Deferred[Any]] = field(factory=list)
    faults: list[Failure] = field(factory=list)

    @two.default
    def _beside(self) -> Domain:
        return self.one.beside()

    def run(self) -> None:
        for version in VERSIONS:
            self.one.settle(started(self.publish(self.one, version)))
        self.one.store.before, self.one.store.after = self.hold, self.lose
        for _ in range(TURNS):
            if len(self.works) == WORKS and all(work.called for work in self.works):
                break
            self.turn()
        else:
            raise AssertionError("It does not come to an end.")
        self.one.store.before = self.one.store.after = lambda operation, key: None

    def hold(self, operation: str, key: str) -> Deferred[None]:
        if self.dice.random() < 0.03:
            raise StoreError("The store is away.")
        self.held.append(Deferred())
        return self.held[-1]

    def lose(self, operation: str, key: str) -> None:
        if self.dice.random() < 0.02:
            raise StoreError("The answer was lost.")

    def turn(self) -> None:
        """Begin something, let a call through, or let time pass."""
        if len(self.works) < WORKS and self.dice.random() < 0.1:
            if self.dice.random() < 0.3:
                self.one.clock.advance(self.dice.choice((1.0, 1.5 * DAY)))
            work = started(self.something(self.dice.choice((self.one, self.two))))
            self.works.append(work.addErrback(self.judge))
        elif self.held and self.dice.random() < 0.8:
            self.held.pop(self.dice.randrange(len(self.held))).callback(None)
        else:
            self.one.clock.advance(0.5)

    def judge(self, failure: Failure) -> None:
        if failure.check(PypicloudError) is None:
            self.faults.append(failure)

    def publish(self, domain: Domain, version: str) -> Coroutine[Any, Any, Any]:
        return domain.publish(f"acme-{version}-py3-none-any.whl", WHEELS[version])

    def something(self, domain: Domain) -> Coroutine[Any, Any, Any]:
        acts, version = domain.index.acts, self.dice.choice(VERSIONS)
        acts.moves.batch = self.dice.choice((1, 2, 200))
        what = self.dice.choice((Selection(), Selection(version)))
        keep = self.dice.choice((0.0, 7 * DAY))
        sweeper = Sweeper(domain.store, domain.manifests, DAY, restore_for=keep)
        every = (
            lambda: acts.yank(ACME, Selection(version), "broken"),
            lambda: acts.delete(ACME, what),
            lambda: acts.restore(ACME, what),
            lambda: acts.undo(ACME),
            lambda: acts.set_status(ACME, "quarantined"),
            lambda: acts.set_status(ACME, "active"),
            lambda: self.publish(domain, version),
            sweeper.run,
        )
        return self.dice.choice(every)()


class RacesTests(SynchronousTestCase):
    def test_nothing_that_is_named_is_gone(self) -> None:
        for seed in seeds():
            races = Races(Random(seed))
            races.run()
            where = f"PYPICLOUD_RACES={seed}"
            self.assertEqual(races.faults, [], where)
            self.assertEqual(self.missing(races.one), [], where)
            work = started(races.one.index.acts.moves.finish(ACME))
            races.one.settle(work)
            self.assertIsNone(self.successResultOf(work).moving, where)
            self.assertEqual(self.missing(races.one), [], where)

    def missing(self, domain: Domain) -> list[str]:
        """Tell what is named, or can be restored, and is not there."""
        buried = stored_project(domain.store).tombstones
        keys = {key for tombstone in buried if tombstone.file for key in tombstone.keys}
        return [*damage(domain.store), *sorted(keys - domain.store.objects.keys())]
