"""Serials: what mirrors rely on, through whatever happens to the marker."""

from __future__ import annotations

from random import Random

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import ObjectNotFound, PreconditionFailed, StoreError
from pypicloud_tw.index import marker
from pypicloud_tw.index.changelog import EPOCH, FIRST, Changelog, serial_at
from pypicloud_tw.index.marker import (
    GAP,
    REMEMBERED,
    RESERVED,
    RESERVED_KEY,
    Marker,
)
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.memory import MemoryStore
from tests.builders import wheel
from tests.doubles import InlineOffload
from tests.web.doubles import BEGINNING, Domain, started, stored_project

NOW = 200_000_000
ACME = NormalizedName("acme")
BEGIN = NOW


class ChangelogTests(SynchronousTestCase):
    changelog = Changelog.of_entries(
        10, [("old", 9), ("a", 11), ("b", 12), ("a", 13)], known=True
    )

    def test_serial_of_a_project(self) -> None:
        self.assertEqual(self.changelog.of("a"), 13)
        self.assertEqual(self.changelog.of("old"), 10)
        self.assertEqual(self.changelog.latest, [("b", 12), ("a", 13)])

    def test_since(self) -> None:
        self.assertEqual(self.changelog.since(11), [("b", 12), ("a", 13)])
        self.assertEqual(self.changelog.since(13), [])
        self.assertEqual(len(self.changelog.since(10) or ()), 3)
        self.assertIsNone(self.changelog.since(9))
        self.assertIsNone(self.changelog.since(14))
        self.assertEqual(Changelog(10, known=True).since(10), [])

    def test_serials_begin_with_the_time(self) -> None:
        self.assertEqual(serial_at(EPOCH + 5.5), 5)
        self.assertEqual(serial_at(0), FIRST)


class MarkerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore(InlineOffload())
        self.one, self.two = Marker(self.store), Marker(self.store)

    def tell(self, who: Marker, name: str, serial: int = NOW) -> int:
        self.successResultOf(who.tell(name, serial))
        return who.changelog.of(name)

    def ask(self, who: Marker) -> Changelog:
        self.successResultOf(started(who.ask()))
        return who.changelog

    def replace(self, data: bytes) -> None:
        stored = self.store.objects[marker.KEY]
        info = evolve(stored.info, etag=f"another {data!r}")
        self.store.objects[marker.KEY] = evolve(stored, data=data, info=info)


class SerialTests(MarkerCase):
    def test_each_is_larger(self) -> None:
        serials = [self.tell(self.one, "a"), self.tell(self.two, "b")]
        self.ask(self.one)
        serials += [self.tell(self.one, "a"), self.tell(self.two, "c", BEGIN + 100)]
        self.assertEqual(serials, [BEGIN, BEGIN + 1, BEGIN + 2, BEGIN + 100])

    def test_all_see_the_same(self) -> None:
        for name in ("a", "b", "c"):
            self.tell(self.one, name)
        seen = self.ask(self.two)
        self.assertEqual(seen.changes, self.one.changelog.changes)
        self.assertEqual(seen.floor, BEGIN - 1)
        self.assertIs(self.ask(self.two), seen)

    def test_what_is_no_project_is_not_told(self) -> None:
        self.tell(self.one, "a")
        self.tell(self.one, ".access", 0)
        self.tell(self.one, "b")
        self.assertEqual(self.one.changelog.changes, (("a", BEGIN), ("b", BEGIN + 2)))

    def test_what_is_forgotten_raises_the_floor(self) -> None:
        for number in range(REMEMBERED + 2):
            self.tell(self.one, f"p{number}")
        seen = self.ask(self.two)
        self.assertEqual(len(seen.changes), REMEMBERED)
        self.assertEqual(seen.floor, BEGIN + 1)
        self.assertIsNone(seen.since(BEGIN))
        self.assertEqual(len(seen.since(BEGIN + 1) or ()), REMEMBERED)

    def test_a_lost_marker(self) -> None:
        self.tell(self.one, "a")
        before = self.tell(self.one, "b")
        del self.store.objects[marker.KEY]
        # Whoever notices writes down that all may have changed, for all.
        for server in (self.one, self.two, Marker(self.store)):
            after = self.ask(server)
            self.assertGreater(after.of("a"), before)
            self.assertIsNone(after.since(before))

    def test_a_lost_marker_that_cannot_be_written(self) -> None:
        before = self.tell(self.one, "a")
        del self.store.objects[marker.KEY]
        for failing in ("get", "put"):
            if failing == "get":
                self.store.fail_next("get", ObjectNotFound("There is none."))
            self.store.fail_next(failing, StoreError("The store is away."))
            after = self.ask(self.one)
            self.assertIsNone(after.since(before))
            # Not one that others might give to something else.
            self.assertLessEqual(after.of("a"), before)
        self.assertGreater(self.ask(self.one).of("a"), before)

    def test_a_lost_marker_that_nobody_remembers(self) -> None:
        """Every server was restarted; many changes had come in few seconds."""
        before = [self.tell(self.one, "a") for _ in range(500)][-1]
        del self.store.objects[marker.KEY]
        seen = Marker(self.store)
        self.tell(seen, "b", NOW + 5)
        self.assertGreater(seen.changelog.of("a"), before)
        self.assertIsNone(seen.changelog.since(before))

    def test_what_is_reserved_is_written_once(self) -> None:
        for _ in range(5):
            self.tell(self.one, "a")
            self.tell(self.two, "b")
        self.tell(self.one, "c", NOW + RESERVED + 100)
        wrote = [key for what, key in self.store.calls if what == "put"]
        self.assertEqual(wrote.count(RESERVED_KEY), 2)

    def test_what_is_reserved_is_damaged(self) -> None:
        for data in (b"x", b"[]", b'{"reserved": null}'):
            self.setUp()
            self.successResultOf(started(self.store.put(RESERVED_KEY, data)))
            self.assertEqual(self.tell(self.one, "a"), NOW)

    def test_an_overwritten_marker(self) -> None:
        self.tell(self.one, "a")
        kept = self.store.objects[marker.KEY].data
        before = self.tell(self.one, "b")
        self.replace(kept)
        self.assertIsNone(self.ask(self.one).since(before))
        # And it is written down for all.
        self.tell(self.one, "c")
        self.assertIsNone(self.ask(self.two).since(before))

    def test_of_an_older_version_or_damaged(self) -> None:
        before = self.tell(self.one, "a")
        for data in (b'{"_format":1,"recent":[["x","other"]]}', b"{", b"[" * 10_000):
            self.replace(data)
            self.assertIsNone(self.ask(self.one).since(before), data)
            self.assertGreater(self.ask(Marker(self.store)).of("a"), before)

    def test_written_blindly(self) -> None:
        before = self.tell(self.one, "a")

        def refuse(operation: str, key: str) -> None:
            if operation == "put":
                raise PreconditionFailed("Another was first.")

        refused = 0

        def four_times(operation: str, key: str) -> None:
            nonlocal refused
            if operation == "put" and refused < marker.ATTEMPTS:
                refused += 1
                refuse(operation, key)

        self.store.before = four_times
        self.successResultOf(self.one.tell("b", NOW))
        seen = self.ask(self.two)
        self.assertEqual(seen.changes, (("b", before + GAP),))
        self.assertIsNone(seen.since(before + 1))

    def test_what_failed_keeps_its_serial(self) -> None:
        self.tell(self.one, "a")
        self.store.fail_next("put", StoreError("The store is away."))
        self.store.fail_next("get", StoreError("The store is away."))
        self.failureResultOf(self.one.tell("b", NOW + 50), StoreError)
        self.tell(self.one, "c")
        self.assertGreaterEqual(self.one.changelog.of("b"), BEGIN + 50)

    def test_a_mirror_misses_nothing(self) -> None:
        """Whatever happens to the marker, and whichever server it asks."""
        for seed in range(30):
            self.setUp()
            self.run_mirror(Random(seed))

    def run_mirror(self, random: Random) -> None:
        servers = [self.one, self.two]
        states = dict.fromkeys("abcdef", 0)
        mirrored, synced, now = dict(states), 0, NOW
        for _ in range(80):
            now += random.choice((0, 0, 1, 30))
            server, name = random.choice(servers), random.choice("abcdef")
            match random.randrange(12):
                case 0:
                    self.store.objects.pop(marker.KEY, None)
                    for one in servers:
                        self.ask(one)
                case 1:
                    servers[servers.index(server)] = Marker(self.store)
                case 2 | 3:
                    changelog = self.ask(server)
                    changes = changelog.since(synced)
                    asked = states if changes is None else dict(changes)
                    mirrored.update({name: states[name] for name in asked})
                    listed = [changelog.of(name) for name in states]
                    synced = max([synced, *listed])
                    self.assertEqual(mirrored, states)
                case _:
                    states[name] += 1
                    self.tell(server, name, now)


class ManifestSerialTests(SynchronousTestCase):
    def test_each_change_has_a_larger_one(self) -> None:
        domain = Domain()
        serials = []
        for version in ("1.0", "1.1", "1.2"):
            publish = domain.publish(
                f"acme-{version}-py3-none-any.whl", wheel(version=version)
            )
            self.successResultOf(started(publish))
            serials.append(stored_project(domain.store).serial)
        start = serial_at(BEGINNING)
        self.assertEqual(serials, [start, start + 1, start + 2])
        told = domain.catalog.watch.changelog.of("acme")
        self.assertGreaterEqual(told, serials[-1])


class UntoldTests(SynchronousTestCase):
    """A writer that is killed between its swap and the marker."""

    def setUp(self) -> None:
        self.one = Domain()
        self.two = self.one.beside()
        for domain in (self.one, self.two):
            self.publish(domain, "1.0")

    def publish(self, domain: Domain, version: str) -> None:
        name = f"acme-{version}-py3-none-any.whl"
        publish = domain.publish(name, wheel(version=version))
        self.successResultOf(started(publish))

    def test_whoever_finds_it_tells(self) -> None:
        self.successResultOf(started(self.one.catalog.watch.freshen()))
        told = self.one.catalog.watch.changelog.of("acme")
        change = self.one.manifests.change(
            ACME, lambda project: evolve(project, status="archived")
        )
        self.successResultOf(change)
        for seconds, again in ((90, False), (90, True), (90, False)):
            self.one.clock.advance(seconds)
            self.store.calls.clear()
            self.successResultOf(started(self.two.catalog.project(ACME)))
            puts = [key for what, key in self.store.calls if what == "put"]
            self.assertEqual(puts, [marker.KEY] if again else [], seconds)
        self.successResultOf(started(self.one.catalog.watch.freshen()))
        changes = self.one.catalog.watch.changelog.since(told)
        self.assertEqual([name for name, _ in changes or ()], ["acme"])

    @property
    def store(self) -> MemoryStore:
        return self.one.store
