"""Manifests change by compare-and-swap: nothing is lost, whoever else writes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import (
    AmbiguousWrite,
    Conflict,
    NotFound,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index.manifest import decode, encode, manifest_key
from pypicloud_tw.index.manifests import Change, Manifests, Versioned
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.index.swaps import BATCH, LOST
from pypicloud_tw.store.memory import MemoryStore
from tests.builders import file
from tests.doubles import InlineOffload

ACME = project_name("acme")
KEY = manifest_key(ACME)


def add(filename: str) -> Change:
    """A change that adds a file, or finds it there."""

    def change(project: Project) -> Project:
        if project.file(filename):
            return project
        return evolve(project, files=(*project.files, file(filename)))

    return change


def refuse(project: Project) -> Project:
    raise Conflict("refused")


class ManifestsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.one = Manifests(self.store, self.clock, Random(1))
        self.other = Manifests(self.store, self.clock, Random(2))

    def settle(self, waiting: Deferred[Versioned]) -> Versioned:
        """Let the pauses between tries pass."""
        for _ in range(200):
            if waiting.called:
                break
            self.clock.advance(2)
        return self.successResultOf(waiting)

    def filenames(self) -> set[str]:
        stored = self.store.objects[KEY]
        return {f.filename for f in decode(ACME, stored.data).files}

    def puts(self) -> int:
        return self.store.calls.count(("put", KEY))


class ChangeTests(ManifestsCase):
    def test_begins_a_project_only_if_asked(self) -> None:
        error = self.failureResultOf(self.one.change(ACME, add("a")), NotFound)
        self.assertIn("no project acme", error.value.message)
        self.settle(self.one.change(ACME, add("a"), create=True))
        self.assertEqual(self.filenames(), {"a"})

    def test_what_changes_nothing_writes_nothing(self) -> None:
        self.settle(self.one.change(ACME, add("a"), create=True))
        state = self.settle(self.one.change(ACME, add("a")))
        self.assertEqual(self.puts(), 1)
        self.assertEqual(len(state.project.files), 1)

    def test_a_refusal_is_the_asker_s_alone(self) -> None:
        self.store.before = self.hold("get")
        good = self.one.change(ACME, add("a"), create=True)
        bad = self.one.change(ACME, refuse, create=True)
        also = self.one.change(ACME, add("b"), create=True)
        self.release()
        self.settle(good)
        self.settle(also)
        self.failureResultOf(bad, Conflict)
        self.assertEqual(self.filenames(), {"a", "b"})

    def hold(self, operation: str) -> Callable[[str, str], Deferred[None] | None]:
        self.held: list[Deferred[None]] = []

        def before(op: str, key: str) -> Deferred[None] | None:
            if op != operation:
                return None
            waiting: Deferred[None] = Deferred()
            self.held.append(waiting)
            return waiting

        return before

    def release(self) -> None:
        self.store.before = lambda operation, key: None
        for waiting in self.held:
            waiting.callback(None)

    def test_changes_that_wait_share_a_swap(self) -> None:
        self.store.before = self.hold("put")
        waiting = [
            self.one.change(ACME, add(str(n)), create=True) for n in range(BATCH + 1)
        ]
        self.release()
        for one in waiting:
            self.settle(one)
        # The first was under way alone; the others shared one.
        self.assertEqual(self.puts(), 2)
        self.assertEqual(len(self.filenames()), BATCH + 1)

    def test_a_refusal_waits_for_what_refused_it(self) -> None:
        """Of two in one swap that fails, the second must not hear of the first."""
        self.settle(self.one.change(ACME, add("z"), create=True))
        self.store.before = self.hold("get")
        first = self.one.change(ACME, add("y"))

        def taken(project: Project) -> Project:
            if project.file("x"):
                raise Conflict("File already exists")
            return add("x")(project)

        self.one.change(ACME, taken)
        second = self.one.change(ACME, taken)
        self.store.before = lambda operation, key: None
        held, self.held = self.held, []
        held[0].callback(None)
        self.settle(first)
        self.failureResultOf(second, Conflict)
        self.assertEqual(self.filenames(), {"x", "y", "z"})

    def test_the_loser_of_a_race_tries_again(self) -> None:
        self.settle(self.one.change(ACME, add("a"), create=True))

        def race(operation: str, key: str) -> None:
            if operation == "put":
                self.store.before = lambda operation, key: None
                self.settle(self.other.change(ACME, add("b")))

        self.store.before = race
        self.settle(self.one.change(ACME, add("c")))
        self.assertEqual(self.filenames(), {"a", "b", "c"})
        self.assertEqual((self.one.swaps, self.one.overtaken), (3, 1))

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=20))
    def test_any_interleaving_keeps_everything(
        self, writes: list[tuple[bool, int]]
    ) -> None:
        self.setUp()
        waiting = []
        for mine, number in writes:
            manifests = self.one if mine else self.other
            waiting.append(manifests.change(ACME, add(f"{number}"), create=True))
        for one in waiting:
            self.settle(one)
        if writes:
            self.assertEqual(self.filenames(), {f"{number}" for _, number in writes})


class AmbiguityTests(ManifestsCase):
    """After an answer that was lost the manifest's ids tell, not the ETag."""

    def lose_answer(self, operation: str, key: str) -> None:
        if operation == "put":
            self.store.after = lambda operation, key: None
            raise StoreError("The line was cut.")

    def test_a_write_that_was_done_is_found(self) -> None:
        self.settle(self.one.change(ACME, add("a"), create=True))
        self.store.after = self.lose_answer
        state = self.settle(self.one.change(ACME, add("b")))
        self.assertEqual(self.puts(), 2)
        self.assertIsNotNone(state.project.file("b"))

    def test_also_when_another_wrote_after_it(self) -> None:
        self.settle(self.one.change(ACME, add("a"), create=True))

        def cut_and_overtake(operation: str, key: str) -> None:
            if operation == "put":
                self.store.after = lambda operation, key: None
                self.settle(self.other.change(ACME, add("c")))
                raise StoreError("The line was cut.")

        self.store.after = cut_and_overtake
        calls: list[int] = []

        def counted(project: Project) -> Project:
            calls.append(1)
            return add("b")(project)

        self.settle(self.one.change(ACME, counted))
        self.assertEqual(self.filenames(), {"a", "b", "c"})
        self.assertEqual(len(calls), 1)

    def test_a_write_that_was_not_done_is_done(self) -> None:
        self.settle(self.one.change(ACME, add("a"), create=True))
        self.store.fail_next("put", StoreError("The line was cut."))
        self.settle(self.one.change(ACME, add("b")))
        self.assertEqual(self.filenames(), {"a", "b"})

    def test_a_store_that_is_away_is_said(self) -> None:
        self.store.fail_next("get", StoreError("The store is away."))
        failure = self.failureResultOf(self.one.change(ACME, add("a")), StoreError)
        self.assertIn("away", failure.value.message)
        # And the next one works.
        self.settle(self.one.change(ACME, add("a"), create=True))

    def test_a_store_that_takes_no_writes_is_given_up(self) -> None:
        """Soon: each try has cost the store's own tries and patience."""

        def cut(operation: str, key: str) -> None:
            if operation == "put":
                raise StoreError("The line was cut.")

        self.store.before = cut
        waiting = self.one.change(ACME, add("a"), create=True)
        self.clock.pump([2] * 10)
        failure = self.failureResultOf(waiting, StoreError)
        self.assertIn("cut", failure.value.message)
        # The first is made of what is known, without a look.
        self.assertEqual(self.one.swaps, 1 + LOST + 1)

    def test_lost_races_that_look_like_lost_answers(self) -> None:
        """So they do on Ceph; the store has answered, so it is not away."""
        self.settle(self.one.change(ACME, add("a"), create=True))
        for _ in range(2 * LOST):
            self.store.fail_next("put", AmbiguousWrite("Look whether it was written."))
        waiting = self.one.change(ACME, add("b"))
        self.clock.pump([2] * 30)
        self.successResultOf(waiting)
        self.assertEqual(self.filenames(), {"a", "b"})

    def test_who_gives_up_is_left_alone(self) -> None:
        for _ in range(2):
            self.store.fail_next("put", StoreError("The line was cut."))
        waiting = self.one.change(ACME, add("a"), create=True)
        waiting.cancel()
        self.clock.pump([2] * 5)
        self.failureResultOf(waiting)

    def test_endless_contention_ends(self) -> None:
        self.settle(self.one.change(ACME, add("a"), create=True))

        def always_first(operation: str, key: str) -> None:
            if operation == "put":
                stored = self.store.objects[key]
                self.store.objects[key] = evolve(
                    stored, info=evolve(stored.info, etag=stored.info.etag + "x")
                )

        self.store.before = always_first
        waiting = self.one.change(ACME, add("b"))
        self.clock.pump([2] * 100)
        failure = self.failureResultOf(waiting, Unavailable)
        self.assertIn("Too many writers", failure.value.message)


class FormatTests(ManifestsCase):
    def test_a_newer_format_is_read_and_not_written(self) -> None:
        self.settle(self.one.change(ACME, add("a"), create=True))
        stored = self.store.objects[KEY]
        newer = stored.data.replace(b'"_format":1', b'"_format":3')
        info = evolve(stored.info, etag="newer")
        self.store.objects[KEY] = evolve(stored, data=newer, info=info)
        failure = self.failureResultOf(self.one.change(ACME, add("b")), Unavailable)
        self.assertIn("newer server", failure.value.message)
        self.assertEqual(self.store.objects[KEY].data, newer)


class ReadTests(ManifestsCase):
    def read(self) -> Versioned:
        return self.successResultOf(Deferred.fromCoroutine(self.one.read(ACME)))

    def test_as_it_lies_in_the_store(self) -> None:
        self.settle(self.other.change(ACME, add("a"), create=True))
        self.assertEqual(encode(self.read().project), self.store.objects[KEY].data)

    def test_a_state_that_somebody_has_is_not_decoded_again(self) -> None:
        self.settle(self.other.change(ACME, add("a"), create=True))
        self.assertIs(self.read(), self.read())
        mine = self.settle(self.one.change(ACME, add("b")))
        self.assertIs(self.read(), mine)

    def test_the_store_is_asked_all_the_same(self) -> None:
        mine = self.settle(self.one.change(ACME, add("a"), create=True))
        self.settle(self.other.change(ACME, add("b")))
        state = self.read()
        self.assertIsNot(state, mine)
        self.assertEqual([f.filename for f in state.project.files], ["a", "b"])
