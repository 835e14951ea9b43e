"""What is known in memory is as fresh as promised, and costs as little as promised."""

from __future__ import annotations

from collections.abc import Coroutine
from itertools import pairwise
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import AmbiguousWrite, ManifestLost, NotFound, StoreError
from pypicloud_tw.index import catalog as catalog_module
from pypicloud_tw.index import marker
from pypicloud_tw.index.catalog import Catalog, Rendered
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.manifests import Manifests, Versioned
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.index.watch import PATIENCE, MarkerWatch
from pypicloud_tw.store.memory import MemoryStore
from tests.builders import file
from tests.doubles import InlineOffload

ACME, OTHER = project_name("acme"), project_name("other")

T = TypeVar("T")


async def render(state: Versioned, before: str | None = None) -> Rendered[str]:
    return Rendered(",".join(f.filename for f in state.project.files), 1000)


class Server:
    """One process: a catalog and a writer over a shared store."""

    def __init__(self, store: MemoryStore, clock: Clock, fresh_for: float) -> None:
        self.manifests = Manifests(store, clock)
        self.catalog: Catalog[str] = Catalog(
            self.manifests,
            MarkerWatch(Marker(store), clock, fresh_for),
            clock,
            render,
        )

    async def publish(self, name: NormalizedName, filename: str) -> None:
        def change(project: Project) -> Project:
            return evolve(project, files=(*project.files, file(filename)))

        await self.manifests.change(name, change, create=True)
        await self.catalog.changed(name)

    async def page(self, name: NormalizedName) -> str:
        return (await self.catalog.project(name)).page


class SetBackClock(Clock):
    """One that is set back by whoever stands beside the machine."""

    def set_back(self, seconds: float) -> None:
        self.rightNow -= seconds


class CatalogCase(SynchronousTestCase):
    fresh_for = 1.0

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.one = Server(self.store, self.clock, self.fresh_for)
        self.two = Server(self.store, self.clock, self.fresh_for)

    def get(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def count(self, operation: str, key: str) -> int:
        return self.store.calls.count((operation, key))

    def publish(self, server: Server, name: NormalizedName, filename: str) -> None:
        self.get(server.publish(name, filename))


class FreshnessTests(CatalogCase):
    def test_one_s_own_change_is_seen_at_once(self) -> None:
        self.publish(self.one, ACME, "a")
        self.assertEqual(self.get(self.one.page(ACME)), "a")
        self.publish(self.one, ACME, "b")
        self.assertEqual(self.get(self.one.page(ACME)), "a,b")

    def test_another_s_change_is_seen_within_fresh_for(self) -> None:
        self.publish(self.one, ACME, "a")
        self.assertEqual(self.get(self.two.page(ACME)), "a")
        self.publish(self.one, ACME, "b")
        self.clock.advance(1)
        self.assertEqual(self.get(self.two.page(ACME)), "a,b")

    def test_a_warm_page_asks_nobody(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.one.page(ACME))
        before = len(self.store.calls)
        self.clock.advance(0.9)
        for _ in range(100):
            entry = self.one.catalog.fresh(ACME)
            assert entry is not None
            self.assertEqual(entry.page, "a")
        self.assertEqual(len(self.store.calls), before)

    def test_after_fresh_for_the_marker_alone_is_asked(self) -> None:
        self.publish(self.one, ACME, "a")
        self.publish(self.one, OTHER, "o")
        for name in (ACME, OTHER):
            self.get(self.two.page(name))
        before = len(self.store.calls)
        self.clock.advance(1)
        self.assertIsNone(self.two.catalog.fresh(ACME))
        for name in (ACME, OTHER, ACME, OTHER):
            self.get(self.two.page(name))
        self.assertEqual(self.store.calls[before:], [("get", marker.KEY)])

    def test_only_what_changed_is_read_again(self) -> None:
        self.publish(self.one, ACME, "a")
        self.publish(self.one, OTHER, "o")
        for name in (ACME, OTHER):
            self.get(self.two.page(name))
        self.publish(self.one, ACME, "b")
        self.clock.advance(1)
        others = self.count("get", manifest_key(OTHER))
        self.assertEqual(self.get(self.two.page(ACME)), "a,b")
        self.assertEqual(self.get(self.two.page(OTHER)), "o")
        self.assertEqual(self.count("get", manifest_key(OTHER)), others)

    def test_a_clock_that_is_set_back_keeps_nothing_fresh(self) -> None:
        self.publish(self.one, ACME, "a")
        self.assertEqual(self.get(self.two.page(ACME)), "a")
        self.clock.rightNow -= 3600
        self.publish(self.one, ACME, "b")
        self.assertIsNone(self.two.catalog.fresh(ACME))
        self.assertEqual(self.get(self.two.page(ACME)), "a,b")
        self.assertIsNotNone(self.two.catalog.fresh(ACME))

    def test_a_clock_that_is_set_back_proves_no_absence(self) -> None:
        """Or the upstream index would be asked for a project that is here."""
        self.failureResultOf(Deferred.fromCoroutine(self.two.page(ACME)), NotFound)
        self.clock.rightNow -= 3600
        self.publish(self.one, ACME, "a")
        self.assertFalse(self.two.catalog.known_absent(ACME))
        project = self.two.catalog.project(ACME, prove_absence=True)
        self.assertEqual(self.get(project).page, "a")

    def test_a_clock_that_is_set_back_prolongs_no_failure(self) -> None:
        self.publish(self.one, ACME, "a")
        self.store.fail_next("get", StoreError("away"))
        self.failureResultOf(Deferred.fromCoroutine(self.two.page(ACME)), StoreError)
        self.clock.rightNow -= 3600
        self.assertEqual(self.get(self.two.page(ACME)), "a")

    def test_within_a_minute_everything_is_proved_again(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.two.page(ACME))
        # A change that no marker told of, as a restored backup is.
        self.get(self.one.publish(ACME, "b"))
        del self.store.objects[marker.KEY]
        self.two.catalog.watch.marker._etag = None
        self.two.catalog.watch.marker._seen = None
        for _ in range(60):
            self.clock.advance(1)
            page = self.get(self.two.page(ACME))
        self.assertEqual(page, "a,b")

    def test_a_marker_that_is_gone_or_damaged_doubts_everything(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.two.page(ACME))
        self.publish(self.one, ACME, "b")
        stored = self.store.objects[marker.KEY]
        self.store.objects[marker.KEY] = evolve(
            stored, data=b"\xff{", info=evolve(stored.info, etag="new")
        )
        self.clock.advance(1)
        self.assertEqual(self.get(self.two.page(ACME)), "a,b")

    def test_absence_is_remembered_until_it_may_have_ended(self) -> None:
        for _ in range(5):
            self.failureResultOf(Deferred.fromCoroutine(self.two.page(ACME)), NotFound)
        self.assertEqual(self.count("get", manifest_key(ACME)), 1)
        self.publish(self.one, ACME, "a")
        self.clock.advance(1)
        self.assertEqual(self.get(self.two.page(ACME)), "a")

    def absent(self, server: Server) -> None:
        asked = server.catalog.project(ACME, prove_absence=True)
        self.failureResultOf(Deferred.fromCoroutine(asked), NotFound)

    def test_absence_is_proved_for_whoever_is_asked_next(self) -> None:
        """Not even for a moment may another's project be asked for elsewhere."""
        self.absent(self.two)
        self.clock.advance(0.1)
        self.publish(self.one, ACME, "a")
        self.failureResultOf(Deferred.fromCoroutine(self.two.page(ACME)), NotFound)
        asked = self.two.catalog.project(ACME, prove_absence=True)
        self.assertEqual(self.get(asked).page, "a")
        self.assertEqual(self.get(self.two.page(ACME)), "a")

    def test_such_a_proof_holds_for_one_question(self) -> None:
        for _ in range(3):
            self.absent(self.one)
        self.assertEqual(self.count("get", manifest_key(ACME)), 3)

    def test_absent_names_are_bounded(self) -> None:
        self.patch(catalog_module, "ABSENT_REMEMBERED", 10)
        for number in range(30):
            name = project_name(f"x{number}")
            self.failureResultOf(Deferred.fromCoroutine(self.one.page(name)), NotFound)
        self.assertEqual(len(self.one.catalog._absent), 10)


class AlwaysAskTests(CatalogCase):
    fresh_for = 0.0

    def test_every_request_asks(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.two.page(ACME))
        self.publish(self.one, ACME, "b")
        self.assertIsNone(self.two.catalog.fresh(ACME))
        self.assertEqual(self.get(self.two.page(ACME)), "a,b")


class RaceTests(CatalogCase):
    def hold(self, key: str) -> list[Deferred[None]]:
        """Have the answers of the next reads of *key* wait; they were read already."""
        held: list[Deferred[None]] = []

        def after(operation: str, asked: str) -> Deferred[None] | None:
            if operation != "get" or asked != key:
                return None
            waiting: Deferred[None] = Deferred()
            held.append(waiting)
            return waiting

        self.store.after = after
        return held

    def test_a_proof_of_absence_that_began_too_early(self) -> None:
        held = self.hold(manifest_key(ACME))
        early = Deferred.fromCoroutine(self.two.page(ACME))
        self.store.after = lambda operation, key: None
        self.clock.advance(0.1)
        self.publish(self.one, ACME, "a")
        asked = self.two.catalog.project(ACME, prove_absence=True)
        proved = Deferred.fromCoroutine(asked)
        self.let_go(held)
        self.failureResultOf(early, NotFound)
        self.assertEqual(self.successResultOf(proved).page, "a")

    def let_go(self, held: list[Deferred[None]]) -> None:
        self.store.after = lambda operation, key: None
        for waiting in held:
            waiting.callback(None)

    def test_a_read_that_a_change_overtook_is_not_believed(self) -> None:
        self.publish(self.one, ACME, "a")
        held = self.hold(manifest_key(ACME))
        page = Deferred.fromCoroutine(self.one.page(ACME))
        self.assertNoResult(page)
        self.store.after = lambda operation, key: None
        self.publish(self.one, ACME, "b")
        self.let_go(held)
        self.assertEqual(self.successResultOf(page), "a,b")
        self.assertEqual(self.get(self.one.page(ACME)), "a,b")

    def test_what_an_overtaken_read_found_is_not_served_meanwhile(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.two.page(ACME))
        self.clock.advance(60)
        first = self.hold(manifest_key(ACME))
        asking = Deferred.fromCoroutine(self.two.page(ACME))
        self.store.after = lambda operation, key: None
        self.publish(self.one, ACME, "b")
        self.clock.advance(1)
        self.get(self.two.catalog.watch.freshen())
        second = self.hold(manifest_key(ACME))
        first[0].callback(None)
        self.assertIsNone(self.two.catalog.fresh(ACME))
        self.let_go(second)
        self.assertEqual(self.successResultOf(asking), "a,b")
        self.assertIsNotNone(self.two.catalog.fresh(ACME))

    def test_requests_that_wait_share_the_question(self) -> None:
        self.publish(self.one, ACME, "a")
        held = self.hold(manifest_key(ACME))
        pages = [Deferred.fromCoroutine(self.two.page(ACME)) for _ in range(20)]
        pages[0].cancel()
        self.failureResultOf(pages[0])
        self.let_go(held)
        for page in pages[1:]:
            self.assertEqual(self.successResultOf(page), "a")
        # By all the readers; the publish knew that there was none.
        self.assertEqual(self.count("get", manifest_key(ACME)), 1)

    def test_a_listing_that_a_change_overtook_is_made_again(self) -> None:
        self.publish(self.one, ACME, "a")
        waiting: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: (
            waiting if operation == "list" else None
        )
        names = Deferred.fromCoroutine(self.one.catalog.names())
        self.store.before = lambda operation, key: None
        self.publish(self.one, OTHER, "o")
        waiting.callback(None)
        self.assertEqual(self.successResultOf(names), (ACME, OTHER))

    def test_a_name_that_is_told_meanwhile_needs_no_other_listing(self) -> None:
        """Of many projects one takes long, and more are added all the time."""
        self.publish(self.one, ACME, "a")
        self.get(self.one.catalog.names())
        waiting: Deferred[None] = Deferred()
        self.store.after = lambda operation, key: (
            waiting if operation == "list" else None
        )
        self.clock.advance(self.one.catalog.verify_every)
        self.get(self.one.catalog.names())
        self.store.after = lambda operation, key: None
        self.publish(self.one, OTHER, "o")
        waiting.callback(None)
        self.assertEqual(self.get(self.one.catalog.names()), (ACME, OTHER))
        self.assertEqual(self.one.catalog.lost, frozenset())
        self.assertTrue(self.one.catalog.has(OTHER))
        self.assertEqual(self.count("list", ".index/"), 2)

    def test_nor_is_what_it_found_listed_meanwhile(self) -> None:
        """When anything may have changed, also names that nobody has told of."""
        self.publish(self.one, ACME, "a")
        self.get(self.two.catalog.names())
        held: list[Deferred[None]] = []

        def stall(operation: str, key: str) -> Deferred[None] | None:
            if operation != "list":
                return None
            held.append(Deferred())
            return held[-1]

        self.store.after = stall
        self.two.catalog.watch.forget()
        first = Deferred.fromCoroutine(self.two.catalog.names())
        self.one.manifests.change(OTHER, lambda one: one, create=True)
        self.two.catalog.watch.forget()
        held[0].callback(None)
        second = Deferred.fromCoroutine(self.two.catalog.names())
        self.assertNoResult(second)
        held[1].callback(None)
        self.assertEqual(self.successResultOf(first), (ACME, OTHER))
        self.assertEqual(self.successResultOf(second), (ACME, OTHER))


class NamesTests(CatalogCase):
    def test_sorted_and_fresh(self) -> None:
        self.publish(self.one, OTHER, "o")
        self.assertEqual(self.get(self.two.catalog.names()), (OTHER,))
        self.publish(self.one, ACME, "a")
        self.clock.advance(1)
        self.assertEqual(self.get(self.two.catalog.names()), (ACME, OTHER))

    def test_listed_again_only_for_a_new_name(self) -> None:
        self.publish(self.one, ACME, "a")
        first = self.get(self.two.catalog.names())
        self.publish(self.one, ACME, "b")
        self.clock.advance(1)
        self.assertIs(self.get(self.two.catalog.names()), first)
        self.assertEqual(self.count("list", ".index/"), 1)


class OutageTests(CatalogCase):
    def test_the_last_known_page_is_served_and_counted(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.one.page(ACME))
        self.get(self.one.catalog.names())
        self.clock.advance(100)
        for _ in range(2):
            self.store.fail_next("get", StoreError("The store is away."))
        self.assertEqual(self.get(self.one.page(ACME)), "a")
        self.assertEqual(self.get(self.one.catalog.names()), (ACME,))
        self.assertEqual(self.one.catalog.served_stale, 2)

    def test_a_store_that_never_answers_is_not_waited_for(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.one.page(ACME))
        self.clock.advance(100)
        self.store.calls.clear()
        self.store.before = lambda operation, key: Deferred()
        first = [Deferred.fromCoroutine(self.one.page(ACME)) for _ in range(3)]
        unknown = Deferred.fromCoroutine(self.one.page(OTHER))
        self.clock.advance(PATIENCE)
        for page in first:
            self.assertEqual(self.successResultOf(page), "a")
        error = self.failureResultOf(unknown, StoreError).value
        self.assertIn("does not answer within 5 s", error.message)
        # For a moment nobody asks again.
        self.assertEqual(self.get(self.one.page(ACME)), "a")
        self.failureResultOf(Deferred.fromCoroutine(self.one.page(OTHER)), StoreError)
        self.assertEqual(self.count("get", marker.KEY), 1)

    def test_what_it_says_when_it_is_back_counts_again(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.two.page(ACME))
        self.clock.advance(1)
        self.store.fail_next("get", StoreError("The store is away."))
        self.assertEqual(self.get(self.two.page(ACME)), "a")
        self.publish(self.one, ACME, "b")
        self.clock.advance(1)
        self.assertEqual(self.get(self.two.page(ACME)), "a,b")

    def test_one_s_own_change_is_seen_at_once_when_it_is_back(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.one.page(ACME))
        self.clock.advance(1)
        self.store.fail_next("get", StoreError("The store is away."))
        self.assertEqual(self.get(self.one.page(ACME)), "a")
        self.publish(self.one, ACME, "b")
        self.assertEqual(self.get(self.one.page(ACME)), "a,b")

    def test_what_is_not_known_is_not_absent(self) -> None:
        self.store.fail_next("get", StoreError("The store is away."))
        waiting = Deferred.fromCoroutine(self.one.page(ACME))
        self.assertIn("away", self.failureResultOf(waiting, StoreError).value.message)
        # The marker answers, the manifest does not.
        self.clock.advance(1)
        self.store.before = self.only_marker
        waiting = Deferred.fromCoroutine(self.one.page(ACME))
        self.failureResultOf(waiting, StoreError)

    def only_marker(self, operation: str, key: str) -> None:
        if key != marker.KEY:
            raise StoreError("The store is away.")


class LostTests(CatalogCase):
    """A manifest that was there and is gone is no project that never was."""

    def setUp(self) -> None:
        super().setUp()
        self.publish(self.one, ACME, "a")
        self.publish(self.one, OTHER, "o")

    def lose(self) -> None:
        del self.store.objects[manifest_key(ACME)]
        self.clock.advance(60)

    def test_a_page_that_is_known_is_served(self) -> None:
        self.get(self.two.page(ACME))
        self.lose()
        with capturedLogs() as logs:
            self.assertEqual(self.get(self.two.page(ACME)), "a")
        self.assertIn("rebuild acme", formatEvent(logs[-1]))

    def test_one_whose_name_is_known_is_not_absent(self) -> None:
        self.get(self.two.catalog.names())
        self.lose()
        for _ in range(2):
            work = Deferred.fromCoroutine(self.two.page(ACME))
            error = self.failureResultOf(work, ManifestLost).value
            self.assertIn("rebuild acme", error.message)
            self.assertFalse(self.two.catalog.has(ACME))
            self.assertTrue(self.two.catalog.has(OTHER))
            self.assertEqual(self.get(self.two.catalog.names()), (ACME, OTHER))
            self.clock.advance(60)

    def test_it_is_back(self) -> None:
        self.get(self.two.catalog.names())
        manifest = self.store.objects[manifest_key(ACME)]
        self.lose()
        self.failureResultOf(Deferred.fromCoroutine(self.two.page(ACME)), ManifestLost)
        self.store.objects[manifest_key(ACME)] = manifest
        self.assertEqual(self.get(self.two.page(ACME)), "a")
        self.assertTrue(self.two.catalog.has(ACME))

    def test_what_others_change_is_told(self) -> None:
        self.get(self.two.page(ACME))
        self.publish(self.one, ACME, "b")
        self.clock.advance(1)
        with capturedLogs() as logs:
            self.get(self.two.page(ACME))
        self.assertEqual(
            [formatEvent(event) for event in logs],
            ["Changed by another server or a command: acme."],
        )
        self.publish(self.two, ACME, "c")
        self.clock.advance(1)
        with capturedLogs() as logs:
            self.get(self.two.page(ACME))
        self.assertEqual(logs, [])


class MemoryTests(CatalogCase):
    def test_the_least_recently_proved_goes_first(self) -> None:
        self.one.catalog.capacity = 2500
        names = [project_name(f"p{number}") for number in range(4)]
        for name in names:
            self.publish(self.one, name, "f")
            self.get(self.one.page(name))
        self.assertEqual(self.one.catalog.weight, 2000)
        self.assertIsNone(self.one.catalog.fresh(names[0]))
        self.assertIsNotNone(self.one.catalog.fresh(names[3]))


class EndingTests(CatalogCase):
    def test_a_page_whose_addresses_end_is_rendered_again(self) -> None:
        self.publish(self.one, ACME, "a")
        made: list[float] = []

        async def signing(state: Versioned, before: str | None = None) -> Rendered[str]:
            made.append(self.clock.seconds())
            return Rendered("signed", 1, self.clock.seconds() + 30)

        self.one.catalog.render = signing
        for _ in range(100):
            self.clock.advance(1)
            self.get(self.one.page(ACME))
        self.assertEqual([round(b - a) for a, b in pairwise(made)], [30, 30, 30])
        # Made anew from what is known: the manifest had not changed.
        self.assertEqual(len(made), 4)


class MarkerTests(CatalogCase):
    def test_writers_at_once_lose_no_news(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.two.catalog.watch.freshen())
        for number in range(10):
            writer = Server(self.store, self.clock, 1)
            self.publish(writer, project_name(f"p{number}"), "f")
        news = self.get(self.two.catalog.watch.marker.ask())
        self.assertEqual(news, {f"p{n}" for n in range(10)})

    def test_calls_while_it_is_written_share_the_next_write(self) -> None:
        asked: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: asked if operation == "put" else None
        told = [self.one.catalog.watch.marker.tell(ACME) for _ in range(10)]
        self.store.before = lambda operation, key: None
        asked.callback(None)
        for one in told:
            self.successResultOf(one)
        self.assertEqual(self.count("put", marker.KEY), 2)

    def test_a_store_without_conditions_costs_questions_and_no_truth(self) -> None:
        self.publish(self.one, ACME, "a")
        self.get(self.two.page(ACME))
        stored = self.store.objects[marker.KEY]
        blind = b'{"_format":1,"recent":[["x","other"]]}'
        self.store.objects[marker.KEY] = evolve(
            stored, data=blind, info=evolve(stored.info, etag="blind")
        )
        self.assertIsNone(self.get(self.two.catalog.watch.marker.ask()))

    def test_an_answer_that_was_lost_is_no_failure(self) -> None:
        self.publish(self.one, project_name("first"), "f")

        def cut(operation: str, key: str) -> None:
            if (operation, key) == ("put", marker.KEY):
                self.store.after = lambda operation, key: None
                raise AmbiguousWrite("The line was cut.")

        self.get(self.two.catalog.watch.freshen())
        self.store.after = cut
        self.successResultOf(self.one.catalog.watch.marker.tell(ACME))
        self.assertEqual(self.get(self.two.catalog.watch.marker.ask()), {ACME})

    def test_a_failure_is_told_and_made_good_by_the_next(self) -> None:
        self.publish(self.one, project_name("first"), "f")
        self.get(self.two.catalog.watch.freshen())
        self.store.fail_next("put", StoreError("The store is away."))
        self.store.fail_next("get", StoreError("The store is away."))
        self.failureResultOf(self.one.catalog.watch.marker.tell(ACME), StoreError)
        self.successResultOf(self.one.catalog.watch.marker.tell(OTHER))
        news = self.get(self.two.catalog.watch.marker.ask())
        self.assertEqual(news, {ACME, OTHER})


class SetBackTests(SynchronousTestCase):
    def test_while_absence_is_proved(self) -> None:
        clock = SetBackClock()
        clock.advance(1_000_000)
        store = MemoryStore(InlineOffload(), clock=clock.seconds)
        server = Server(store, clock, 1.0)

        def before(operation: str, key: str) -> None:
            if key == manifest_key(ACME):
                clock.set_back(3600)

        store.before = before
        asked = server.catalog.project(ACME, prove_absence=True)
        self.failureResultOf(Deferred.fromCoroutine(asked), NotFound)
        self.assertEqual(store.calls.count(("get", manifest_key(ACME))), 1)
