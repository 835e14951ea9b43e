"""Whatever lies in the store under a project's name makes the name ours."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from packaging.utils import canonicalize_name
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError, Unavailable
from pypicloud_tw.index.first_uploads import PUBLISHING
from pypicloud_tw.index.layout import claimed_names, is_foreign
from pypicloud_tw.index.manifest import INDEX, manifest_key
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.index.survey import (
    COPIED,
    IN_DOUBT,
    PUBLISHED,
    UNFINISHED,
    WAITING,
    Survey,
    survey,
)
from pypicloud_tw.index.unserved import KEY, PATIENCE, Unserved
from pypicloud_tw.maintenance.adopt import Adopter
from pypicloud_tw.store.interfaces import Unlistable, Unlisted
from pypicloud_tw.store.memory import Hook, MemoryStore
from tests.builders import sdist, wheel
from tests.web.doubles import Domain, damage, started, stored_project

ACME, BETA = project_name("acme"), project_name("beta")
WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
ID = "0" * 32
AWAY = "The store is away."


class ClaimedNamesTests(SynchronousTestCase):
    def test_names(self) -> None:
        for key, names in (
            (WHEEL, "acme"),
            ("acme-1.0-py3-none-any.whl.bad", "acme"),
            ("acme-1.0.tar.gz.asc", "acme"),
            (f"sub/folder/{WHEEL}.metadata", "acme"),
            ("foo-bar-1.0.tar.gz", "foo-bar"),
            ("Foo_Bar-v1.0.zip", "foo-bar"),
            ("foo_bar-1.0-py2.7.egg", "foo-bar"),
            ("acme_core_1.0.zip", "acme-core"),
            # What could be read as several names is all of them.
            ("acme-1.0-2.tar.gz", "acme acme-1-0"),
            ("foo-bar-1.0-1.noarch.rpm", "foo-bar foo-bar-1-0"),
            ("foo-bar-1.0-py3-none-any.whl", "foo foo-bar"),
            # What tells no version is all name.
            ("acme.whl", "acme"),
            ("django-acme-latest.tar.gz", "django-acme-latest"),
            ("acme-1.0 (1).whl", "acme"),
            ("acme-1.0-\u00e9.whl", "acme"),
            # Of what is no distribution the folder tells, as pypicloud 1.x wrote it.
            ("beta/notes.txt", "beta"),
            ("0a1b/beta/notes.txt", "beta"),
            ("beta/1.0/notes.txt", "beta"),
            (f"beta/{ID}/", "beta"),
            ("Beta.Tool/", "beta-tool"),
            # A link that leads nowhere, and an archive that was unpacked.
            (f"{SDIST}/", "acme acme-1-0-tar-gz"),
            ("acme-1.0/setup.py", "acme acme-1-0"),
            (f"{WHEEL}/x.whl", f"acme x {canonicalize_name(WHEEL)}"),
            # What tells of no version may be of the folder's project.
            ("beta/notes-2.txt", "beta notes"),
            ("beta/latest.whl", "beta latest"),
            ("beta/acme_1.0.zip", "acme"),
            ("notes.txt", ""),
            ("1.0/notes.txt", ""),
            ("-/.-", ""),
        ):
            self.assertEqual(claimed_names(key), set(names.split()), key)

    def test_what_pypicloud_1_wrote_beside_a_file_is_none(self) -> None:
        self.assertFalse(is_foreign("acme/1.0/metadata.json"))
        self.assertTrue(is_foreign("acme/docs/metadata.json"))
        self.assertEqual(claimed_names("acme/1.0/metadata.json"), {"acme"})


class SurveyCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.store = self.domain.store

    def publishing_at(self, wanted: str) -> Hook:
        """Have the project published at a listing."""

        def hook(operation: str, key: str) -> None:
            if (operation, key) == ("list", wanted):
                self.store.after = self.store.before = lambda operation, key: None
                self.publish()

        return hook

    def publish(self, filename: str = WHEEL, data: bytes | None = None) -> None:
        work = started(self.domain.publish(filename, data or wheel()))
        self.domain.settle(work)
        self.successResultOf(work)

    def survey(self) -> Survey:
        return self.successResultOf(started(survey(self.store, self.domain.manifests)))

    def reasons(self) -> Mapping[NormalizedName, str]:
        return self.survey().reasons()


class SurveyTests(SurveyCase):
    def test_nothing_is_amiss(self) -> None:
        self.assertEqual(self.reasons(), {})
        self.publish()
        self.store.add("README", b"")
        self.assertEqual(self.reasons(), {})

    def test_no_object_is_read(self) -> None:
        self.publish()
        self.store.add(f"old/{SDIST}", b"")
        self.store.calls.clear()
        self.survey()
        self.assertEqual({operation for operation, _ in self.store.calls}, {"list"})

    def test_a_manifest_that_was_lost(self) -> None:
        self.publish()
        del self.store.objects[manifest_key(ACME)]
        self.assertEqual(self.survey().lost, {ACME})
        self.assertIn("run: pypicloud rebuild acme", self.reasons()[ACME])

    def test_what_lies_in_a_manifests_place(self) -> None:
        self.found = Unlisted(f"{manifest_key(ACME)}/", Unlistable.LINK)
        listed = MemoryStore.list

        def listing(store: MemoryStore, prefix: str, **options: Any) -> Any:
            if prefix == INDEX and options.get("unlisted"):
                options["unlisted"](self.found)
            return listed(store, prefix, **options)

        self.patch(MemoryStore, "list", listing)
        self.assertEqual(self.survey().lost, {ACME})
        self.assertIn("rebuild acme", self.reasons()[ACME])

    def test_what_was_copied_to_a_key_that_nobody_can_open(self) -> None:
        self.store.add(f"./{WHEEL}", wheel())
        self.store.add("x/../beta-1.0.tar.gz", sdist("beta"))
        self.assertEqual(set(self.reasons()), {"acme", "beta"})
        self.assertEqual(self.survey().foreign, [])

    def test_an_upload_that_was_broken_off(self) -> None:
        self.store.add(f"acme/{ID}/{WHEEL}", wheel())
        self.store.add(f"{PUBLISHING}acme/{ID}", b"")
        self.assertEqual(self.survey().lost, set())
        self.assertEqual(self.reasons(), {ACME: UNFINISHED})
        self.store.add(f"{PUBLISHING}acme/{ID}", b"swapping")
        self.assertEqual(self.survey().lost, set())
        self.assertEqual(self.reasons(), {ACME: IN_DOUBT})

    def test_it_covers_its_own_objects_and_no_others(self) -> None:
        for stage in (b"", b"swapping"):
            self.store.add(f"{PUBLISHING}acme/{ID}", stage)
            self.store.add(f"acme/{ID}/{WHEEL}", wheel())
            self.store.add(f"acme/{'1' * 32}/{WHEEL}", wheel())
            self.assertEqual(self.survey().lost, {ACME})

    def test_whatever_we_placed_and_nothing_tells_of_is_a_loss(self) -> None:
        for ending in ("", ".metadata"):
            self.store.objects.clear()
            self.store.add(f"acme/{ID}/{WHEEL}{ending}", b"")
            self.assertEqual(self.survey().lost, {ACME})

    def test_a_first_upload_at_any_moment(self) -> None:
        """It is never taken for a loss, whatever another server sees of it."""
        moments: list[set[NormalizedName]] = []

        def look(operation: str, key: str) -> None:
            self.store.before = self.store.after = lambda operation, key: None
            moments.append(self.survey().lost)
            self.store.before = self.store.after = look

        self.store.before = self.store.after = look
        self.publish()
        self.assertGreater(len(moments), 10)
        self.assertEqual(set().union(*moments), set())

    def test_two_first_uploads_at_once(self) -> None:
        """Whenever the other one comes in between, both are published."""
        moments = 0
        while True:
            self.setUp()
            self.store.before = self.other_upload(moments)
            self.publish()
            if len(stored_project(self.store).files) < 2:
                break  # the other one would have come after this one's end
            self.assertEqual(damage(self.store), [])
            self.assertEqual([k for k in self.store.objects if PUBLISHING in k], [])
            self.assertEqual(self.reasons(), {})
            moments += 1
        self.assertGreater(moments, 8)

    def other_upload(self, moment: int) -> Hook:
        operations = count()

        def before(operation: str, key: str) -> None:
            if next(operations) == moment:
                self.store.before = lambda operation, key: None
                other = started(self.domain.beside().publish(SDIST, sdist()))
                self.successResultOf(other)

        return before

    def test_one_that_ends_while_it_is_looked_at(self) -> None:
        for wanted in ("", PUBLISHING, ".index/"):
            self.setUp()
            self.store.after = self.publishing_at(wanted)
            self.assertEqual(self.reasons(), {}, wanted)

    def test_what_waits_and_what_is_none(self) -> None:
        self.publish("gamma-1.0.tar.gz", sdist("gamma"))
        for key in (WHEEL, "beta/notes.txt", "gamma-2.0.zip", "delta/x.whl.metadata"):
            self.store.add(key, b"")
        self.assertEqual(
            {name: why is WAITING for name, why in self.reasons().items()},
            {"acme": True, "beta": True, "delta": False, "x": False},
        )

    def test_one_that_is_published_meanwhile(self) -> None:
        def before(operation: str, key: str) -> None:
            if (operation, key) == ("list", ""):
                self.store.before = lambda operation, key: None
                self.publish()

        self.store.before = before
        self.assertEqual(self.reasons(), {})


class UnservedCase(SurveyCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.make(self.domain), self.make(self.domain.beside())

    def make(self, domain: Domain) -> Unserved:
        return Unserved(self.store, domain.clock, domain.manifests.check_open)

    def adopt(self, unserved: Unserved) -> None:
        domain = self.domain
        adopter = Adopter(domain.store, domain.manifests, domain.publisher, unserved)
        work = started(adopter.run())
        domain.settle(work)
        self.successResultOf(work)

    def refusal(self, unserved: Unserved, name: str, *, asks: bool = True) -> str:
        work = started(unserved.refuse(project_name(name), asks=asks))
        error: Unavailable = self.failureResultOf(work, Unavailable).value
        return error.message

    def absent(self, unserved: Unserved, name: str, *, asks: bool = True) -> None:
        self.successResultOf(started(unserved.refuse(project_name(name), asks=asks)))


class UnservedTests(UnservedCase):
    def test_nothing_is_absent_before_anybody_has_looked(self) -> None:
        work = started(self.one.refuse(ACME, asks=True))
        self.assertNoResult(work)
        self.domain.clock.advance(PATIENCE)
        self.assertEqual(self.failureResultOf(work, Unavailable).value.message, WAITING)
        self.assertIsNone(self.one.reasons())
        self.assertTrue(self.one.holds("acme"))
        self.one.find({})
        self.absent(self.one, "acme")
        self.assertFalse(self.one.holds("acme"))

    def test_who_asks_at_a_start_waits_for_a_moment(self) -> None:
        works = [started(self.one.refuse(ACME, asks=asks)) for asks in (True, False)]
        self.domain.clock.advance(PATIENCE / 2)
        self.one.find({})
        for work in works:
            self.successResultOf(work)

    def test_while_files_are_read_and_after(self) -> None:
        self.store.add(WHEEL, wheel())
        self.store.add("beta-1.0-py3-none-any.whl", wheel("beta")[:99])
        self.two.find({})
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held if operation == "open" else None
        domain = self.domain
        adopter = Adopter(domain.store, domain.manifests, domain.publisher, self.one)
        work = started(adopter.run())
        for unserved in (self.one, self.two):
            for name in ("acme", "beta"):
                self.assertEqual(self.refusal(unserved, name), WAITING)
            self.absent(unserved, "gamma")
        held.callback(None)
        self.successResultOf(work)
        self.domain.clock.advance(1)
        for unserved in (self.one, self.two):
            # It has a manifest by now; who asks here has not found one.
            self.assertEqual(self.refusal(unserved, "acme"), PUBLISHED)
            self.assertIn("was not taken: ", self.refusal(unserved, "beta"))

    def test_another_server_reads_it_before_it_asks_others(self) -> None:
        for server in (self.one, self.two):
            server.find({})
        self.absent(self.two, "acme")
        self.successResultOf(started(self.one.tell({ACME: "It is broken."})))
        self.absent(self.two, "acme", asks=False)
        self.domain.clock.advance(1)
        # Where nobody is asked, it has a minute.
        self.absent(self.two, "acme", asks=False)
        self.assertEqual(self.refusal(self.two, "acme"), "It is broken.")
        self.successResultOf(started(self.one.tell({})))
        self.domain.clock.advance(60)
        self.absent(self.two, "acme", asks=False)

    def test_it_is_asked_once_in_a_while_however_many_ask(self) -> None:
        self.one.find({})
        self.store.calls.clear()
        for _ in range(2):
            for name in ("acme", "beta", "gamma"):
                self.absent(self.one, name)
        folders = [("list", f"{name}/") for name in ("acme", "beta", "gamma")]
        self.assertEqual(self.store.calls, [("get", KEY), *folders])

    def test_what_came_while_the_server_ran(self) -> None:
        self.one.find({})
        for key, why in (
            (f"acme/{WHEEL}", COPIED),
            (f"acme/{ID}/{WHEEL}", "rebuild acme"),
            ("acme/notes.txt", COPIED),
        ):
            self.store.objects.clear()
            self.store.add(key, b"")
            self.absent(self.one, "acme", asks=False)
            for asks in (True, False):
                self.assertIn(why, self.refusal(self.one, "acme", asks=asks))
            self.domain.clock.advance(60)
        self.store.objects.clear()
        self.store.add("acme/beta-1.0.tar.gz", b"")
        self.absent(self.one, "acme")
        self.store.add(f"acme/{WHEEL}", b"")
        self.absent(self.one, "acme")
        self.domain.clock.advance(60)
        self.assertEqual(self.refusal(self.one, "acme"), COPIED)

    def test_a_first_upload_that_ends_meanwhile(self) -> None:
        self.one.find({})
        self.store.after = self.publishing_at("acme/")
        self.absent(self.one, "acme")
        self.domain.clock.advance(60)
        self.store.before = self.publishing_at("acme/")
        self.assertEqual(self.refusal(self.one, "acme"), PUBLISHED)

    def test_an_object_that_is_gone_goes_on_to_hold(self) -> None:
        self.one.find({})
        self.successResultOf(started(self.two.tell({ACME: "It is broken."})))
        self.assertEqual(self.refusal(self.one, "acme"), "It is broken.")
        del self.store.objects[KEY]
        self.domain.clock.advance(1)
        self.assertEqual(self.refusal(self.one, "acme"), "It is broken.")
        self.adopt(self.two)  # and finds nothing
        self.domain.clock.advance(1)
        self.absent(self.one, "acme")

    def test_nothing_is_written_where_nothing_is_new(self) -> None:
        for _ in range(2):
            self.successResultOf(started(self.one.tell({ACME: "It is broken."})))
        self.successResultOf(started(self.two.tell({ACME: "It is broken."})))
        puts = [key for operation, key in self.store.calls if operation == "put"]
        self.assertEqual(puts, [KEY])

    def test_two_look_at_the_same_time(self) -> None:
        def before(operation: str, key: str) -> None:
            if operation == "put":
                self.store.before = lambda operation, key: None
                self.successResultOf(started(self.two.tell({BETA: "Damaged."})))

        self.store.before = before
        self.successResultOf(started(self.one.tell({ACME: "Broken."})))
        self.assertEqual(self.one.reasons(), {ACME: "Broken.", BETA: "Damaged."})

    def test_what_a_broken_upload_left_is_not_written_down(self) -> None:
        for why in (UNFINISHED, IN_DOUBT):
            self.successResultOf(started(self.one.tell({ACME: why})))
            self.assertEqual(self.refusal(self.one, "acme"), why)
            self.assertNotIn(KEY, self.store.objects)

    def test_a_store_that_takes_nothing_now(self) -> None:
        self.store.fail_next("put", StoreError(AWAY))
        self.successResultOf(started(self.one.tell({ACME: "Broken."})))
        self.assertEqual(self.refusal(self.one, "acme"), "Broken.")
        self.assertEqual(self.one.reasons(), {ACME: "Broken."})

    def test_a_store_that_is_away(self) -> None:
        self.one.find({})
        self.store.fail_next("get", StoreError(AWAY))
        self.assertEqual(self.refusal(self.one, "acme"), AWAY)

    def test_a_damaged_object_makes_nothing_absent(self) -> None:
        self.one.find({})
        self.store.add(KEY, b"[")
        self.assertIn("pypicloud refresh", self.refusal(self.one, "acme"))
        self.assertTrue(self.one.holds("acme"))
        self.adopt(self.two)
        self.domain.clock.advance(1)
        self.absent(self.one, "acme")

    def test_a_read_that_a_write_overtook_is_not_believed(self) -> None:
        self.successResultOf(started(self.one.tell({BETA: "Broken."})))
        self.domain.clock.advance(1)
        held: Deferred[None] = Deferred()

        def after(operation: str, key: str) -> Deferred[None] | None:
            self.store.after = lambda operation, key: None
            return held

        self.store.after = after
        work = started(self.one.refuse(ACME, asks=True))
        self.assertNoResult(work)
        self.successResultOf(started(self.one.tell({ACME: "Broken."})))
        held.callback(None)
        self.failureResultOf(work, Unavailable)
        self.assertEqual(self.refusal(self.one, "acme"), "Broken.")


class AdoptingTests(UnservedCase):
    def test_what_is_good_is_served_and_what_is_not_is_ours(self) -> None:
        for key, data in (
            (SDIST, sdist()),
            (WHEEL, wheel()[:50]),
            ("beta-1.0-py3-none-any.whl", wheel("beta")[:50]),
            ("gamma-1.0.egg", b""),
            ("delta/delta-1.0.rpm", b""),
            ("epsilon/1.0/metadata.json", b"{}"),
        ):
            self.store.add(key, data)
        self.adopt(self.one)
        self.assertEqual(
            set(self.one.reasons() or {}), {"beta", "gamma", "delta", "epsilon"}
        )
        # Another run finds the same, and the next server at its start.
        self.adopt(self.two)
        self.assertEqual(self.one.reasons(), self.two.reasons())

    def test_one_that_breaks_off(self) -> None:
        self.store.add(WHEEL, wheel())
        self.store.fail_next("open", StoreError(AWAY))
        domain = self.domain
        adopter = Adopter(domain.store, domain.manifests, domain.publisher, self.one)
        self.failureResultOf(started(adopter.run()), StoreError)
        self.two.find({})
        for unserved in (self.one, self.two):
            self.assertEqual(self.refusal(unserved, "acme"), WAITING)

    def test_a_dry_run_tells_nobody(self) -> None:
        self.store.add(WHEEL, b"")
        domain = self.domain
        adopter = Adopter(
            domain.store, domain.manifests, domain.publisher, self.one, dry_run=True
        )
        self.successResultOf(started(adopter.run()))
        self.assertNotIn(KEY, self.store.objects)

    def test_nothing_is_begun_anew_where_a_manifest_is_lost(self) -> None:
        self.store.add(SDIST, sdist())
        self.publish()
        del self.store.objects[manifest_key(ACME)]
        self.adopt(self.one)
        self.assertIn("rebuild acme", self.refusal(self.one, "acme"))
        self.assertNotIn(manifest_key(ACME), self.store.objects)
        work = started(self.domain.publish(SDIST, sdist()))
        error = self.failureResultOf(work, Unavailable).value
        self.assertIn("rebuild acme", error.message)
        self.assertNotIn(manifest_key(ACME), self.store.objects)
