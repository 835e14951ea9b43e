"""The objects of a project in quarantine move, whatever ends half way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import (
    NotFound,
    ObjectUnreadable,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index.acts import Acted
from pypicloud_tw.index.manifest import decode, encode
from pypicloud_tw.index.model import File, Moving, Project, Selection
from pypicloud_tw.index.moves import MOVES
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance.adopt import Adopter
from pypicloud_tw.maintenance.sweep import Sweeper, named_keys
from pypicloud_tw.store.memory import Hook
from tests.builders import sdist, wheel
from tests.web.doubles import (
    ACME,
    Domain,
    damage,
    data_keys,
    started,
    stored_project,
)

WHEEL, SDIST, GONE = (
    "acme-1.0-py3-none-any.whl",
    "acme-1.0.tar.gz",
    "acme-2.0-py3-none-any.whl",
)
ADOPTED = "old/acme-0.9.tar.gz"
DAY = 24 * 3600.0


class Killed(Exception):
    """Stands for the end of the process."""


def without_keys(file: File) -> File:
    """Leave out where a file lies."""
    return evolve(file, key="", metadata_key=None, provenance_key=None)


class MovesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.store = self.domain.store
        self.store.add(ADOPTED, sdist(version="0.9"))
        self.wait(started(Adopter.over(self.domain.index).run()))
        for filename, data in (
            (WHEEL, wheel()),
            (SDIST, sdist()),
            (GONE, wheel(version="2.0")),
        ):
            self.wait(started(self.domain.publish(filename, data)))
        self.wait(started(self.domain.delete("2.0")))
        self.before = self.project
        self.former = self.named()
        self.assertEqual(len(self.former), 6)

    def wait(self, work: Deferred[object]) -> None:
        self.domain.settle(work)
        self.successResultOf(work)

    @property
    def project(self) -> Project:
        return stored_project(self.store)

    def quarantine(self, domain: Domain | None = None) -> Deferred[Acted]:
        acts = (domain or self.domain).index.acts
        work = started(acts.set_status(ACME, "quarantined", "malware"))
        (domain or self.domain).settle(work)
        return work

    def assert_moved(self, project: Project | None = None) -> None:
        """All is where nobody has an address of, and nothing else changed."""
        self.assertEqual(self.project.status, "quarantined")
        self.assertIsNone(self.project.moving)
        now = self.named()
        self.assertEqual(len(now), len(self.former))
        self.assertEqual(now & self.former, set())
        self.assertEqual(self.former & set(self.store.objects), set())
        self.assertEqual(damage(self.store), [])
        self.assertEqual(data_keys(self.store), now)
        self.assertEqual(self.pointers(), [])
        self.assertEqual(
            [without_keys(file) for file in self.project.files],
            [without_keys(file) for file in self.before.files],
        )

    def named(self) -> set[str]:
        return named_keys(self.project)

    def pointers(self) -> list[str]:
        return [key for key in self.store.objects if key.startswith(MOVES)]


class QuarantineTests(MovesCase):
    def test_every_object_moves(self) -> None:
        acted = self.successResultOf(self.quarantine())
        self.assert_moved()
        self.assertEqual(acted.project, self.project)
        self.assertEqual(
            [e.act for e in self.project.history][-2:], ["removed", "status"]
        )
        self.assertIn("quarantine:copied", self.domain.steps)

    def test_what_was_deleted_can_be_restored(self) -> None:
        self.quarantine()
        what = Selection("2.0")
        self.wait(started(self.domain.index.acts.restore(ACME, what)))
        self.wait(started(self.domain.index.acts.set_status(ACME, "active")))
        self.assertEqual(len(self.project.files), 4)
        self.assertEqual(damage(self.store), [])

    def test_back_again(self) -> None:
        for act in (None, None):
            self.quarantine()
            self.former = self.named()
            self.wait(started(self.domain.index.acts.undo(ACME, act)))
            self.assertEqual(self.project.status, "active")
            self.assertEqual(self.named(), self.former)
            self.assertEqual(damage(self.store), [])

    def test_undone_into_quarantine(self) -> None:
        self.quarantine()
        self.wait(started(self.domain.index.acts.set_status(ACME, "active")))
        self.former = self.named()
        self.wait(started(self.domain.index.acts.undo(ACME)))
        self.assert_moved()

    def test_another_reason_moves_nothing(self) -> None:
        self.quarantine()
        self.former = self.named()
        acts = self.domain.index.acts
        self.wait(started(acts.set_status(ACME, "quarantined", "other")))
        self.assertEqual(self.named(), self.former)
        self.assertEqual(self.pointers(), [])

    def test_many_files_in_several_swaps(self) -> None:
        self.domain.index.acts.moves.batch = 1
        self.quarantine()
        self.assert_moved()

    def test_an_object_that_is_lost(self) -> None:
        lost = self.before.files[-1].key
        del self.store.objects[lost]
        self.successResultOf(self.quarantine())
        self.assertIsNone(self.project.moving)
        self.assertEqual(self.former & set(self.store.objects), set())

    def test_an_object_that_nobody_may_read(self) -> None:
        self.store.fail_next("copy", ObjectUnreadable("It is in an archive."))
        self.successResultOf(self.quarantine())
        self.assertIsNone(self.project.moving)
        self.assertEqual(len(self.former & set(self.store.objects)), 1)
        self.assertEqual(len(self.former & self.named()), 1)
        self.assertEqual(damage(self.store), [])

    def test_there_is_no_such_project(self) -> None:
        acts = self.domain.index.acts
        work = started(acts.set_status(project_name("other"), "quarantined"))
        self.failureResultOf(work, NotFound)
        self.assertEqual(self.pointers(), [])


class BrokenOffTests(MovesCase):
    """Whoever comes next ends what was begun."""

    def kill_at(self, step: str) -> None:
        def checkpoint(point: str) -> None:
            if point == step:
                raise Killed

        dying = self.domain.beside()
        dying.publisher.checkpoint = checkpoint
        acts = dying.index.acts
        work = started(acts.set_status(ACME, "quarantined", "malware"))
        self.domain.settle(work)
        self.failureResultOf(work, Killed)
        # A restart has a process of its own, and knows nothing.
        self.domain = Domain(clock=self.domain.clock, store=self.store)

    def steps(self) -> Iterator[str]:
        for step in (
            "act:swapped",
            "act:told",
            "quarantine:copied",
            "quarantine:swapped",
            "quarantine:told",
            "quarantine:deleted",
        ):
            self.setUp()
            self.kill_at(step)
            self.assertEqual(self.project.status, "quarantined")
            self.assertIsNotNone(self.project.moving)
            self.assertEqual(damage(self.store), [])
            yield step

    def test_the_act_is_repeated(self) -> None:
        for _ in self.steps():
            self.assertIsNone(self.successResultOf(self.quarantine()).entry)
            self.assert_moved()

    def test_a_server_starts(self) -> None:
        for _ in self.steps():
            self.wait(started(self.domain.index.acts.moves.finish_begun()))
            self.assert_moved()

    def test_a_sweep_meanwhile_takes_nothing(self) -> None:
        for _ in self.steps():
            self.domain.clock.advance(2 * DAY)
            sweeper = Sweeper(
                self.store, self.domain.manifests, DAY, restore_for=7 * DAY
            )
            work = started(sweeper.run())
            self.domain.settle(work)
            self.assertEqual(self.successResultOf(work).moving, [ACME])
            self.assertEqual(damage(self.store), [])
            self.assertEqual(len(self.pointers()), 1)
            self.wait(started(self.domain.index.acts.moves.finish_each([ACME])))
            self.assert_moved()

    def test_the_project_leaves_quarantine_first(self) -> None:
        for _ in self.steps():
            acts = self.domain.index.acts
            self.wait(started(acts.set_status(ACME, "active")))
            self.assertIsNone(self.project.moving)
            self.assertEqual(damage(self.store), [])
            self.assertEqual(len(self.project.files), 3)

    def test_a_store_that_fails(self) -> None:
        for operation in ("copy", "delete"):
            self.setUp()
            self.store.fail_next(operation, StoreError("It is away."))
            work = self.quarantine()
            error = self.failureResultOf(work, Unavailable).value
            self.assertIn("not every object could be moved yet", error.message)
            self.assertIn("It is away.", error.message)
            self.assertEqual(self.project.status, "quarantined")
            self.assertEqual(damage(self.store), [])
            self.successResultOf(self.quarantine())
            self.assert_moved()

    def test_what_was_announced_and_never_came(self) -> None:
        self.store.fail_next("put", StoreError("It is away."))
        work = self.quarantine()
        self.failureResultOf(work, StoreError)
        self.wait(started(self.domain.index.acts.moves.begin(ACME, "0" * 32)))
        self.assertEqual(len(self.pointers()), 1)
        self.assertEqual(self.project.status, "active")
        self.domain.clock.advance(2 * DAY)
        sweeper = Sweeper(self.store, self.domain.manifests, DAY)
        self.wait(started(sweeper.run()))
        self.assertEqual(self.pointers(), [])


def _hold(held: Deferred[None], number: int) -> Hook:
    """Let one copy or deletion wait, by its number."""
    numbers = count()

    def before(operation: str, key: str) -> Deferred[None] | None:
        moving = operation in ("copy", "delete")
        return held if moving and next(numbers) == number else None

    return before


class TwoServersTests(MovesCase):
    def test_both_at_once(self) -> None:
        other = self.domain.beside()
        works: list[Deferred[Any]] = [
            started(domain.index.acts.set_status(ACME, "quarantined", "malware"))
            for domain in (self.domain, other)
        ]
        works += [
            started(domain.index.acts.moves.finish(ACME))
            for domain in (self.domain, other)
        ]
        for work in works:
            self.domain.settle(work)
            self.successResultOf(work)
        self.assert_moved()

    def test_every_order_of_two_who_move(self) -> None:
        """Each operation of either may come first."""
        for number in range(12):
            self.setUp()
            held: Deferred[None] = Deferred()
            self.store.before = _hold(held, number)
            first = self.quarantine()
            self.store.before = lambda operation, key: None
            self.successResultOf(self.quarantine(self.domain.beside()))
            held.callback(None)
            self.domain.settle(first)
            self.successResultOf(first)
            self.assert_moved()

    def test_adopting_leaves_what_is_on_its_way(self) -> None:
        self.store.fail_next("delete", StoreError("It is away."))
        self.failureResultOf(self.quarantine(), Unavailable)
        self.assertIn(ADOPTED, self.store.objects)
        before = self.project
        work = started(Adopter.over(self.domain.index).run())
        self.domain.settle(work)
        self.assertEqual(self.successResultOf(work).adopted, 0)
        self.assertEqual(self.project, before)
        self.assertEqual(
            self.project.moving and ADOPTED in self.project.moving.left, True
        )

    def test_adopting_adds_nothing(self) -> None:
        for status in ("archived", "quarantined"):
            acts = self.domain.index.acts
            self.wait(started(acts.set_status(ACME, status)))
            self.store.add("old/acme-0.8.tar.gz", sdist(version="0.8"))
            opened = self.store.calls.count(("open", "old/acme-0.8.tar.gz"))
            work = started(Adopter.over(self.domain.index).run())
            self.domain.settle(work)
            [skipped] = self.successResultOf(work).skipped
            self.assertIn(f"acme is {status} and takes no uploads", skipped.reason)
            self.assertEqual(
                self.store.calls.count(("open", "old/acme-0.8.tar.gz")), opened
            )


class ManifestTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        for moving in (None, Moving("ab"), Moving(None, ("a", "b"))):
            project = Project(ACME, "acme", moving=moving)
            self.assertEqual(decode(ACME, encode(project)), project)
