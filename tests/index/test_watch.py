"""Who hears what the marker says, and for how long it holds."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError
from pypicloud_tw.index import marker
from pypicloud_tw.index.catalog import Catalog, Rendered
from pypicloud_tw.index.manifests import Manifests, Versioned
from pypicloud_tw.index.marker import TOGETHER, Marker
from pypicloud_tw.index.watch import AHEAD, MarkerWatch, concerns
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload, Siblings

T = TypeVar("T")


async def render(state: Versioned, before: str | None = None) -> Rendered[str]:
    return Rendered("", 1)


def away(operation: str, key: str) -> None:
    raise StoreError("The store is away.")


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.one, self.two = self.watch(), self.watch()
        self.heard: list[set[str] | None] = []
        # Where there is no marker at all, anything may have changed.
        self.get(self.watch().tell("first"))
        self.store.calls.clear()

    def watch(self) -> MarkerWatch:
        return MarkerWatch(Marker(self.store), self.clock)

    def get(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_siblings_hear_before_it_is_acknowledged(self) -> None:
        """They do not ask the marker for it, and do not take it for another's."""
        siblings = Siblings()
        one = MarkerWatch(Marker(self.store), self.clock, siblings=siblings)
        two = MarkerWatch(Marker(self.store), self.clock, siblings=siblings)
        two.subscribe(self.heard.append)
        self.get(two.freshen())
        self.heard.clear()
        siblings.heard = Deferred()
        told = Deferred.fromCoroutine(one.tell("acme"))
        self.assertEqual(self.heard, [{"acme"}])
        self.assertNoResult(told)
        siblings.heard.callback(None)
        self.successResultOf(told)
        self.clock.advance(1)
        with capturedLogs() as logs:
            self.get(two.freshen())
        self.assertEqual(list(logs), [])
        self.get(self.one.tell("acme"))
        self.clock.advance(1)
        with capturedLogs() as logs:
            self.get(two.freshen())
        self.assertIn("Changed by another server", formatEvent(logs[0]))

    def asked(self) -> int:
        return self.store.calls.count(("get", marker.KEY))

    def test_asked_once_while_it_is_fresh(self) -> None:
        self.assertFalse(self.one.fresh)
        self.get(self.one.freshen())
        self.assertTrue(self.one.fresh)
        self.get(self.one.freshen())
        self.assertEqual(self.asked(), 1)
        self.clock.advance(1)
        self.assertFalse(self.one.fresh)

    def test_asked_ahead_where_it_is_relied_on_still(self) -> None:
        self.get(self.one.freshen())
        self.clock.advance(AHEAD)
        self.assertEqual(self.asked(), 1)
        self.assertTrue(self.one.fresh)
        self.assertTrue(self.one.fresh)
        self.clock.advance(0)
        self.assertEqual(self.asked(), 2)
        self.clock.advance(AHEAD / 2)
        self.assertTrue(self.one.fresh)
        self.clock.advance(1)
        self.assertFalse(self.one.fresh)
        self.assertEqual(self.asked(), 2)

    def test_what_is_asked_ahead_may_fail(self) -> None:
        self.get(self.one.freshen())
        self.store.before = away
        self.clock.advance(AHEAD)
        self.assertTrue(self.one.fresh)
        self.clock.advance(0)
        self.assertTrue(self.one.fresh)
        self.clock.advance(1 - AHEAD)
        asked = Deferred.fromCoroutine(self.one.freshen())
        self.failureResultOf(asked, StoreError)
        self.assertEqual(self.asked(), 2)

    def test_a_clock_that_was_set_back_tells_nothing(self) -> None:
        self.get(self.one.freshen())
        self.clock.rightNow -= 100
        self.assertFalse(self.one.fresh)

    def test_others_hear_of_a_change_when_they_ask(self) -> None:
        self.get(self.two.freshen())
        self.two.subscribe(self.heard.append)
        self.get(self.one.tell(".access"))
        self.assertEqual(self.heard, [])
        self.clock.advance(1)
        self.get(self.two.freshen())
        self.assertEqual(self.heard, [{".access"}])

    def test_whoever_tells_hears_it_before_the_others(self) -> None:
        self.store.before = away
        self.one.subscribe(self.heard.append)
        told = Deferred.fromCoroutine(self.one.tell(".access"))
        self.failureResultOf(told, StoreError)
        self.assertEqual(self.heard, [{".access"}])

    def test_a_failure_holds_for_a_moment(self) -> None:
        self.store.before = away
        for _ in range(2):
            asked = Deferred.fromCoroutine(self.one.freshen())
            self.failureResultOf(asked, StoreError)
        self.assertEqual(self.asked(), 1)
        self.store.before = lambda operation, key: None
        self.clock.advance(1)
        self.get(self.one.freshen())
        self.assertTrue(self.one.fresh)

    def test_everything_may_have_changed(self) -> None:
        self.get(self.one.freshen())
        self.one.subscribe(self.heard.append)
        self.one.forget()
        self.assertEqual(self.heard, [None])
        self.assertFalse(self.one.fresh)

    def test_nobody_relies_on_a_question_that_began_too_long_ago(self) -> None:
        self.get(self.one.freshen())
        self.clock.advance(1)
        slow: Deferred[None] = Deferred()
        self.store.after = lambda operation, key: slow
        early = Deferred.fromCoroutine(self.one.freshen())
        self.store.after = lambda operation, key: None
        self.one.subscribe(self.heard.append)
        self.get(self.two.tell("acme"))
        self.clock.advance(0.5)
        soon = Deferred.fromCoroutine(self.one.freshen())
        self.clock.advance(0.5)
        late = Deferred.fromCoroutine(self.one.freshen())
        asked = self.asked()
        slow.callback(None)
        for done in (early, soon, late):
            self.successResultOf(done)
        self.assertEqual(self.heard, [set(), {"acme"}])
        self.assertEqual(self.asked(), asked + 1)

    def test_a_marker_that_is_lost_again_is_another(self) -> None:
        """Between two looks others may have told of changes in one that is gone."""
        for harm in (
            lambda: self.store.objects.pop(marker.KEY),
            lambda: self.store.add(marker.KEY, b"damaged"),
        ):
            self.get(self.two.tell("acme"))
            self.get(self.one.freshen())
            self.one.subscribe(self.heard.append)
            for _ in range(2):
                self.get(self.two.tell("acme"))
                harm()
                self.clock.advance(1)
                self.get(self.one.freshen())
            self.assertEqual(self.heard.count(None), len(self.heard))

    def test_keys_are_no_projects(self) -> None:
        manifests = Manifests(self.store, self.clock)
        catalog = Catalog(manifests, self.two, self.clock, render)
        self.assertEqual(self.get(catalog.names()), ())
        self.get(self.one.tell(".access"))
        self.get(self.one.tell("acme"))
        self.clock.advance(1)
        self.assertEqual(self.get(catalog.names()), ("acme",))

    def test_many_keys_of_one_folder_are_told_as_one(self) -> None:
        self.get(self.two.freshen())
        self.two.subscribe(self.heard.append)
        owners = [f".access/tokens/{n}" for n in range(TOGETHER + 2)]
        asked: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: asked
        told = [self.one.marker.tell(e) for e in ["acme", ".access", *owners]]
        self.store.before = lambda operation, key: None
        asked.callback(None)
        for one in told:
            self.successResultOf(one)
        self.clock.advance(1)
        self.get(self.two.freshen())
        (news,) = self.heard
        self.assertTrue(all(concerns(news, owner) for owner in owners))
        self.assertEqual(news, {"acme", ".access", ".access/tokens/"})


class ConcernsTests(SynchronousTestCase):
    def test_a_key_is_named_or_its_folder_is(self) -> None:
        key = ".access/tokens/ann"
        self.assertTrue(concerns(None, key))
        self.assertTrue(concerns({key}, key))
        self.assertTrue(concerns({".access/tokens/"}, key))
        self.assertFalse(concerns({".access", ".access/", "acme"}, key))
        self.assertFalse(concerns(set(), key))
