"""The access document over a store, and two servers that obey it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.document_format import BEGUN, KEY
from pypicloud_tw.access.documents import AccessDocuments, DocumentChange
from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.errors import (
    AccessUnusable,
    AmbiguousWrite,
    Conflict,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index import marker
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.watch import PATIENCE, MarkerWatch
from pypicloud_tw.store.memory import Hook, MemoryStore
from tests.doubles import InlineOffload

T = TypeVar("T")


def add(name: str) -> DocumentChange:
    """A change that adds a user, or finds it there."""

    def change(document: AccessDocument) -> AccessDocument:
        if name in document.users:
            return document
        return evolve(document, users={**document.users, name: StoredUser()})

    return change


def away(operation: str, key: str) -> None:
    raise StoreError("The store is away.")


def deaf(operation: str, key: str) -> None:
    """Have nobody be told of a change."""
    if (operation, key) == ("put", marker.KEY):
        raise StoreError("The line was cut.")


def hear(
    document: AccessDocument, heard: list[AccessDocument]
) -> Steps[Callable[[], None]]:
    """Note which document is obeyed."""
    yield
    return lambda: heard.append(document)


def present(operation: str, key: str) -> None:
    """Have the store answer."""


class DocumentsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.standing = Standing()
        # There is a marker, so that each change is told by its name.
        self.get(MarkerWatch(Marker(self.store), self.clock).tell("acme"))
        self.one, self.two = self.server(), self.server()

    def server(self) -> AccessDocuments:
        """Another process over the same store."""
        watch = MarkerWatch(Marker(self.store), self.clock)
        return AccessDocuments(self.store, watch, self.standing, self.clock)

    def get(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def fails(
        self, work: Coroutine[Any, Any, Any], error: type[Unavailable]
    ) -> Unavailable:
        failure = self.failureResultOf(Deferred.fromCoroutine(work), error)
        assert isinstance(failure.value, error)
        return failure.value

    def settle(self, waiting: Deferred[T]) -> T:
        """Let the pauses between tries pass."""
        for _ in range(200):
            if waiting.called:
                break
            self.clock.advance(2)
        return self.successResultOf(waiting)

    def change(
        self, server: AccessDocuments, change: DocumentChange
    ) -> Deferred[AccessDocument]:
        return Deferred.fromCoroutine(server.change(change))

    def add(self, server: AccessDocuments, name: str) -> AccessDocument:
        return self.settle(self.change(server, add(name)))

    def users(self, server: AccessDocuments) -> set[str]:
        """What a server goes by at this moment."""
        self.get(server.learn())
        return set(server.current.users)

    def count(self, key: str) -> int:
        return self.store.calls.count(("get", key))

    def damage(self, text: bytes) -> None:
        """Have the object be another, and nobody told."""
        self.store.add(KEY, text)


class LearnTests(DocumentsCase):
    def test_before_it_was_read_nothing_is_known(self) -> None:
        self.assertFalse(self.one.known)
        self.assertFalse(self.one.fresh)
        with self.assertRaisesRegex(Unavailable, "has not been read yet"):
            self.one.current  # noqa: B018  # it is what raises

    def test_where_none_has_ever_been_it_is_empty(self) -> None:
        self.get(self.one.learn())
        self.assertTrue(self.one.known)
        self.assertEqual(self.one.current, AccessDocument())
        self.assertIsNone(self.one.problem)

    def test_a_fresh_one_costs_no_request(self) -> None:
        self.add(self.one, "ann")
        self.get(self.two.learn())
        before = list(self.store.calls)
        for _ in range(3):
            self.assertTrue(self.two.fresh)
            self.get(self.two.learn())
        self.assertEqual(self.store.calls, before)

    def test_afterwards_the_marker_alone_is_asked(self) -> None:
        self.add(self.one, "ann")
        self.get(self.two.learn())
        before = len(self.store.calls)
        self.clock.advance(1)
        self.assertFalse(self.two.fresh)
        self.get(self.two.learn())
        self.assertEqual(self.store.calls[before:], [("get", marker.KEY)])

    def test_others_obey_within_fresh_for(self) -> None:
        self.assertEqual(self.users(self.two), set())
        self.add(self.one, "ann")
        self.assertEqual(self.users(self.one), {"ann"})
        self.clock.advance(1)
        self.assertEqual(self.users(self.two), {"ann"})

    def test_a_change_that_nobody_told_is_found_in_the_end(self) -> None:
        self.add(self.one, "ann")
        self.assertEqual(self.users(self.two), {"ann"})
        stored = self.store.objects[KEY].data
        self.damage(stored.replace(b'"ann"', b'"bob"'))
        self.clock.advance(60)
        self.assertEqual(self.users(self.two), {"bob"})

    def test_who_asks_at_once_shares_the_question(self) -> None:
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held if key == KEY else None
        waiting = [Deferred.fromCoroutine(self.one.learn()) for _ in range(5)]
        self.store.before = present
        held.callback(None)
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual(self.count(KEY), 1)

    def test_a_change_overtakes_a_reading(self) -> None:
        """What is read before must not be believed after."""
        self.add(self.one, "ann")
        self.get(self.one.learn())
        self.clock.advance(60)
        held: Deferred[None] = Deferred()
        self.store.after = lambda operation, key: held if key == KEY else None
        waiting = Deferred.fromCoroutine(self.one.learn())
        self.store.after = present
        self.add(self.one, "bob")
        held.callback(None)
        self.successResultOf(waiting)
        self.assertEqual(set(self.one.current.users), {"ann", "bob"})

    def test_subscribers_hear_what_is_new(self) -> None:
        heard: list[AccessDocument] = []
        self.two.subscribe(lambda document: hear(document, heard))
        self.get(self.two.learn())
        self.add(self.one, "ann")
        for _ in range(3):
            self.clock.advance(60)
            self.get(self.two.learn())
        self.assertEqual([set(one.users) for one in heard], [set(), {"ann"}])


class PiecesTests(DocumentsCase):
    """What takes long to prepare is obeyed at once, by all together."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[AccessDocument] = []
        self.get(self.two.learn())
        self.two.subscribe(lambda document: hear(document, self.heard))
        self.two.subscribe(self.prepare)

    def prepare(self, document: AccessDocument) -> Steps[Callable[[], None]]:
        """Take three seconds."""
        for _ in range(3):
            self.clock.rightNow += 1
            yield
        return lambda: self.heard.append(document)

    def test_nobody_obeys_before_all_are_ready(self) -> None:
        self.add(self.one, "ann")
        self.clock.advance(60)
        waiting = Deferred.fromCoroutine(self.two.learn())
        self.assertNoResult(waiting)
        self.assertEqual((self.heard, set(self.two.current.users)), ([], set()))
        self.clock.advance(0)
        self.successResultOf(waiting)
        self.assertEqual(self.heard, [self.two.current] * 2)
        self.assertEqual(set(self.two.current.users), {"ann"})

    def test_what_was_read_before_our_own_change_is_not_obeyed_after_it(self) -> None:
        self.add(self.one, "ann")
        self.clock.advance(60)
        waiting = Deferred.fromCoroutine(self.two.learn())
        self.assertNoResult(waiting)
        changing = self.change(self.two, add("bob"))
        self.settle(changing)
        self.settle(waiting)
        self.assertEqual(set(self.two.current.users), {"ann", "bob"})
        self.assertEqual(set(self.heard[-1].users), {"ann", "bob"})


class ChangeTests(DocumentsCase):
    def test_two_administrators_at_once_lose_nothing(self) -> None:
        self.add(self.one, "first")
        names = [f"user{n}" for n in range(10)]
        waiting = [
            self.change(server, add(name))
            for name in names
            for server in (self.one, self.two)
        ]
        for one in waiting:
            self.settle(one)
        self.clock.advance(1)
        for server in (self.one, self.two):
            self.assertEqual(self.users(server), {"first", *names})

    def test_also_where_both_begin_it(self) -> None:
        def race(operation: str, key: str) -> None:
            if operation == "put":
                self.store.before = present
                self.add(self.two, "bob")

        self.store.before = race
        self.add(self.one, "ann")
        self.clock.advance(1)
        self.assertEqual(self.users(self.two), {"ann", "bob"})

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=12))
    def test_any_interleaving_keeps_everything(
        self, writes: list[tuple[bool, int]]
    ) -> None:
        self.setUp()
        waiting = [
            self.change(self.one if mine else self.two, add(str(number)))
            for mine, number in writes
        ]
        for one in waiting:
            self.settle(one)
        self.assertEqual(self.users(self.server()), {str(n) for _, n in writes})

    def test_what_is_refused_changes_nothing(self) -> None:
        def refuse(document: AccessDocument) -> AccessDocument:
            raise Conflict("The ini has it.")

        waiting = self.change(self.one, refuse)
        self.failureResultOf(waiting, Conflict)
        self.assertNotIn(KEY, self.store.objects)

    def test_what_is_there_already_is_told_and_not_written(self) -> None:
        self.add(self.one, "ann")
        etag = self.store.objects[KEY].info.etag
        self.add(self.one, "ann")
        self.assertEqual(self.store.objects[KEY].info.etag, etag)
        told = json.loads(self.store.objects[marker.KEY].data)["recent"]
        self.assertEqual(
            [entry for _, entry, _ in told], ["acme", ".access", ".access"]
        )

    def test_what_is_not_understood_is_kept(self) -> None:
        self.add(self.one, "ann")
        found = json.loads(self.store.objects[KEY].data)
        found["later"] = {"a": 1}
        found["users"]["ann"]["mail"] = "ann@example.org"
        self.damage(json.dumps(found).encode())
        self.add(self.two, "bob")
        written = json.loads(self.store.objects[KEY].data)
        self.assertEqual(written["later"], {"a": 1})
        self.assertEqual(written["users"]["ann"]["mail"], "ann@example.org")

    def test_nothing_is_changed_where_nothing_may_be(self) -> None:
        self.standing.wait("It is being got ready.")
        error = self.fails(self.one.change(add("ann")), Unavailable)
        self.assertIn("nothing is changed before", error.message)
        self.assertEqual(self.count(KEY), 0)

    def test_a_record_is_made_of_what_was_changed(self) -> None:
        made: list[str] = []
        for _ in range(2):
            waiting = self.one.change(add("ann"), lambda: made.append("ann"))
            self.settle(Deferred.fromCoroutine(waiting))
        self.assertEqual(made, ["ann"])

    def test_a_record_is_made_though_others_could_not_be_told(self) -> None:
        made: list[str] = []
        self.store.before = deaf
        change = self.one.change(add("ann"), lambda: made.append("ann"))
        self.fails(change, StoreError)
        self.assertEqual(made, ["ann"])

    def test_it_goes_on_though_its_asker_has_gone(self) -> None:
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held if operation == "put" else None
        waiting = self.change(self.one, add("ann"))
        waiting.cancel()
        self.failureResultOf(waiting)
        self.store.before = present
        held.callback(None)
        self.assertEqual(self.users(self.two), {"ann"})
        told = json.loads(self.store.objects[marker.KEY].data)["recent"]
        self.assertEqual(told[-1][1], ".access")

    def test_others_who_could_not_be_told(self) -> None:
        self.get(self.two.learn())
        self.store.before = deaf
        error = self.fails(self.one.change(add("ann")), StoreError)
        self.assertIn("is as you want it", error.message)
        self.assertIn("within 60 s", error.message)
        self.store.before = present
        # It is so already, and the next try tells it.
        self.add(self.one, "ann")
        self.clock.advance(1)
        self.assertEqual(self.users(self.two), {"ann"})


class KillTests(DocumentsCase):
    """A process that ends at any step leaves what the others can go on with."""

    def steps(self, *, done: bool = False) -> list[tuple[str, str]]:
        """The operations of a change.

        :param done: without those that fail, as looking for what is not there.
        """
        server, found = self.informed(), list[tuple[str, str]]()
        self.hook(lambda operation, key: found.append((operation, key)), done=done)
        self.add(server, "ann")
        self.hook(present, done=done)
        return found

    def hook(self, hook: Hook, *, done: bool) -> None:
        if done:
            self.store.after = hook
        else:
            self.store.before = hook

    def informed(self) -> AccessDocuments:
        """Another process, which knows the marker."""
        server = self.server()
        self.get(server.watch.freshen())
        return server

    def test_the_order_of_a_first_change(self) -> None:
        puts = [key for operation, key in self.steps() if operation == "put"]
        self.assertEqual(puts, [KEY, BEGUN, KEY, marker.KEY])

    def end_at(self, number: int, *, done: bool) -> None:
        """Change it on a server that ends at a step: before its effect or after it."""
        left = iter(range(number, -1, -1))

        def end(operation: str, key: str) -> Deferred[None] | None:
            # What never answers is a process that is gone.
            return Deferred() if next(left, 0) == 0 else None

        server = self.informed()
        self.hook(end, done=done)
        waiting = self.change(server, add("ann"))
        self.hook(present, done=done)
        self.assertNoResult(waiting)

    def test_a_first_change(self) -> None:
        for done in (False, True):
            self.setUp()
            for number in range(len(self.steps(done=done))):
                self.setUp()
                self.end_at(number, done=done)
                self.check_unharmed(allowed=[set(), {"ann"}])

    def test_a_later_change(self) -> None:
        for done in (False, True):
            self.setUp()
            self.add(self.one, "first")
            for number in range(len(self.steps(done=done))):
                self.setUp()
                self.add(self.two, "first")
                self.end_at(number, done=done)
                self.check_unharmed(allowed=[{"first"}, {"first", "ann"}])

    def check_unharmed(self, allowed: list[set[str]]) -> None:
        fresh = self.server()
        found = self.users(fresh)
        self.assertIn(found, allowed)
        # Whoever asks again has it, and loses nothing.
        self.add(fresh, "ann")
        self.assertEqual(self.users(self.server()), found | {"ann"})
        # And if it is lost from here on, that is seen.
        del self.store.objects[KEY]
        self.fails(self.server().learn(), Unavailable)

    def test_answers_that_are_lost_at_every_step(self) -> None:
        for number, (operation, _) in enumerate(self.steps(done=True)):
            if operation != "put":
                continue
            for error in (StoreError, AmbiguousWrite):
                self.setUp()
                self.lose_answer(number, error)
                self.assertEqual(self.users(self.server()), {"ann"})
                self.assertEqual(len(self.changes()), 1)

    def lose_answer(self, number: int, error: type[StoreError]) -> None:
        left = iter(range(number, -1, -1))

        def lose(operation: str, key: str) -> None:
            if next(left, None) == 0:
                raise error("The line was cut.")

        server = self.informed()
        self.store.after = lose
        self.add(server, "ann")
        self.store.after = present

    def changes(self) -> list[str]:
        found: list[str] = json.loads(self.store.objects[KEY].data)["_changes"]
        return found


class UnusableTests(DocumentsCase):
    """One that cannot be read: what was known holds, and nothing is changed."""

    def setUp(self) -> None:
        super().setUp()
        self.add(self.one, "ann")
        self.get(self.two.learn())

    def check(self, spoil: Callable[[], object], why: str) -> None:
        document = self.two.current
        spoil()
        self.clock.advance(60)
        self.get(self.two.learn())
        self.assertIs(self.two.current, document)
        self.assertIn(why, str(self.two.problem))
        self.assertIn(
            why, self.fails(self.two.change(add("b")), AccessUnusable).message
        )
        # One that has never known it allows nothing.
        error = self.fails(self.server().learn(), Unavailable)
        self.assertIn(why, error.message)
        self.assertIn("nothing is allowed", error.message)

    def test_damaged(self) -> None:
        self.check(lambda: self.damage(b"{"), "is damaged: restore")

    def test_a_newer_format(self) -> None:
        self.check(
            lambda: self.damage(b'{"_format": 2, "users": []}'),
            "a newer server (format 2, here 1)",
        )

    def test_gone(self) -> None:
        self.check(lambda: self.store.objects.pop(KEY), "is gone")

    def test_gone_with_all_that_tells_of_it(self) -> None:
        """Whoever knew it goes on; whoever starts sees an index without any."""
        del self.store.objects[KEY], self.store.objects[BEGUN]
        self.clock.advance(60)
        self.assertEqual(self.users(self.two), {"ann"})
        self.assertIn("is gone", str(self.two.problem))
        self.assertEqual(self.users(self.server()), set())

    def test_one_that_was_written_by_hand(self) -> None:
        """Without what tells of it: a change makes good for that."""
        del self.store.objects[BEGUN]
        self.add(self.server(), "bob")
        self.assertIn(BEGUN, self.store.objects)

    def test_it_costs_a_question_in_fresh_for(self) -> None:
        self.damage(b"{")
        self.clock.advance(60)
        self.get(self.two.learn())
        asked = self.count(KEY)
        for _ in range(3):
            self.get(self.two.learn())
        # Pages stay fast meanwhile.
        self.assertTrue(self.two.fresh)
        self.assertEqual(self.count(KEY), asked)
        self.clock.advance(1)
        self.assertFalse(self.two.fresh)

    def test_what_was_known_does_not_do_for_changes(self) -> None:
        self.damage(b"{")
        self.clock.advance(60)
        for _ in range(2):
            self.get(self.two.learn())
            error = self.fails(self.two.learn(changing=True), Unavailable)
            self.assertIn("nothing is changed. The access document", error.message)

    def test_one_that_was_repaired_holds_at_once(self) -> None:
        good = self.store.objects[KEY].data
        self.damage(b"{")
        self.clock.advance(60)
        self.get(self.two.learn())
        self.damage(good.replace(b'"ann"', b'"bob"'))
        self.clock.advance(1)
        self.assertEqual(self.users(self.two), {"bob"})
        self.assertIsNone(self.two.problem)

    def test_it_is_told_once(self) -> None:
        self.damage(b"{")
        self.clock.advance(60)
        with capturedLogs() as logs:
            for _ in range(5):
                self.clock.advance(1)
                self.get(self.two.learn())
        warned = [
            formatEvent(event) for event in logs if event["log_level"] is LogLevel.warn
        ]
        self.assertEqual(len(warned), 1)
        self.assertIn("Reading the access document fails", warned[0])


class AwayTests(DocumentsCase):
    def test_at_the_start_nothing_is_allowed(self) -> None:
        self.store.before = away
        error = self.fails(self.one.learn(), Unavailable)
        self.assertIn("The store is away", error.message)
        self.store.before = present
        self.clock.advance(1)
        self.assertEqual(self.users(self.one), set())

    def test_later_what_is_known_holds(self) -> None:
        self.add(self.one, "ann")
        self.get(self.one.learn())
        self.store.before = away
        self.clock.advance(100)
        self.assertEqual(self.users(self.one), {"ann"})
        self.assertFalse(self.one.fresh)
        self.fails(self.one.change(add("bob")), StoreError)

    def test_what_was_known_does_not_do_for_changes(self) -> None:
        self.add(self.one, "ann")
        self.get(self.one.learn(changing=True))
        self.store.before = away
        self.clock.advance(1)
        error = self.fails(self.one.learn(changing=True), Unavailable)
        self.assertIn("nothing is changed. The store is away", error.message)
        # Others who use the marker may find out first that it is back.
        self.store.before = present
        self.clock.advance(1)
        self.get(self.one.watch.freshen())
        self.get(self.one.learn(changing=True))

    def test_nobody_waits_for_what_did_not_answer_a_moment_ago(self) -> None:
        self.get(self.one.learn())
        self.clock.advance(1)
        never: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: never
        waiting = Deferred.fromCoroutine(self.one.learn())
        self.clock.advance(PATIENCE)
        self.successResultOf(waiting)
        self.get(self.one.learn())

    def test_what_was_doubted_is_asked_when_it_is_back(self) -> None:
        self.get(self.two.learn())
        self.add(self.one, "ann")
        self.clock.advance(1)

        def halfway(operation: str, key: str) -> None:
            if key == KEY:
                raise StoreError("The line was cut.")

        self.store.before = halfway
        self.assertEqual(self.users(self.two), set())
        self.store.before = present
        self.clock.advance(1)
        self.assertEqual(self.users(self.two), {"ann"})
