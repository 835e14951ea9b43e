"""What lies in the store already is adopted where it lies, once, and stays."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import (
    Conflict,
    ObjectNotFound,
    ObjectUnreadable,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.index.first_uploads import PUBLISHING
from pypicloud_tw.index.layout import is_foreign, is_own
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.names import project_name
from pypicloud_tw.index.swaps import BATCH
from pypicloud_tw.maintenance.adopt import AT_ONCE, UNDER_WAY, Adopter
from pypicloud_tw.maintenance.progress import Progress, Skipped
from pypicloud_tw.store.interfaces import Unlistable, Unlisted
from pypicloud_tw.store.memory import Hook, MemoryStore
from tests.builders import bare_sdist, metadata, sdist, wheel, zip_of
from tests.web.doubles import (
    BEGINNING,
    Domain,
    damage,
    started,
    stored_project,
    stored_projects,
)

WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
OTHER_WHEEL = wheel(extra=[("acme/__init__.py", b"other = True\n")])
AWAY = "The store is away."
ACME = project_name("acme")


class AdoptCase(SynchronousTestCase):
    rules = UploadRules()

    def setUp(self) -> None:
        self.domain = Domain(rules=self.rules)
        self.store = self.domain.store
        self.reports: list[tuple[int, int]] = []

    def begin(self, *, dry_run: bool = False) -> Deferred[Progress]:
        domain = self.domain

        def report(progress: Progress) -> None:
            self.reports.append((progress.done, progress.found))

        adopter = Adopter(
            domain.store,
            domain.manifests,
            domain.publisher,
            report=report,
            dry_run=dry_run,
        )
        return started(adopter.run())

    def run_it(self, *, dry_run: bool = False) -> Progress:
        work = self.begin(dry_run=dry_run)
        self.domain.settle(work)
        return self.successResultOf(work)

    def publish(self, filename: str, data: bytes) -> None:
        self.successResultOf(started(self.domain.publish(filename, data)))

    def counts(self, progress: Progress) -> tuple[int, int, int, int]:
        """Found, known, adopted, skipped."""
        return (
            progress.found,
            progress.known,
            progress.adopted,
            len(progress.skipped),
        )

    def names(self) -> dict[str, list[str]]:
        return {
            name: [file.filename for file in project.files]
            for name, project in stored_projects(self.store).items()
        }


class AdoptTests(AdoptCase):
    def test_a_wheel_with_all_that_is_known_of_it(self) -> None:
        self.store.add(f"old/{WHEEL}", wheel())
        self.domain.clock.advance(1000)
        self.assertEqual(self.counts(self.run_it()), (1, 0, 1, 0))
        (file,) = stored_project(self.store).files
        self.assertEqual(file.key, f"old/{WHEEL}")
        self.assertEqual(file.sha256, sha256(wheel()).hexdigest())
        self.assertEqual(file.size, len(wheel()))
        self.assertEqual(file.requires_python, ">=3.8")
        self.assertEqual(file.summary, "A tool of Acme's")
        self.assertIsNone(file.uploader)
        # It was there then, whenever it was found.
        self.assertEqual(file.upload_time.timestamp(), BEGINNING)
        # Its folder is left as it is: its metadata lies in a place of ours.
        assert file.metadata_key is not None
        self.assertTrue(is_own(file.metadata_key), file.metadata_key)
        self.assertEqual(self.store.objects[file.metadata_key].data, metadata())
        self.assertEqual(self.store.objects[f"old/{WHEEL}"].data, wheel())

    def test_flat_in_folders_and_in_the_layouts_of_old(self) -> None:
        for key in (
            WHEEL,
            f"acme/{SDIST}",
            "0a1b/other/other-1.0.tar.gz",
            "a/b/c/d/Third_Tool-2.0-py3-none-any.whl",
        ):
            name = key.rpartition("/")[2].partition("-")[0]
            version = "2.0" if name == "Third_Tool" else "1.0"
            make = wheel if key.endswith(".whl") else sdist
            self.store.add(key, make(name, version))
        self.assertEqual(self.counts(self.run_it()), (4, 0, 4, 0))
        self.assertEqual(
            self.names(),
            {
                "acme": [WHEEL, SDIST],
                "other": ["other-1.0.tar.gz"],
                "third-tool": ["Third_Tool-2.0-py3-none-any.whl"],
            },
        )
        self.assertEqual(damage(self.store), [])
        shown = stored_project(self.store, "third-tool").display_name
        self.assertEqual(shown, "Third_Tool")

    def test_a_second_run_reads_nothing_and_changes_nothing(self) -> None:
        self.store.add(WHEEL, wheel())
        self.store.add(f"sub/{SDIST}", sdist())
        self.run_it()
        objects = dict(self.store.objects)
        self.store.calls.clear()
        self.assertEqual(self.counts(self.run_it()), (2, 2, 0, 0))
        self.assertEqual(self.store.objects, objects)
        operations = {operation for operation, _ in self.store.calls}
        self.assertEqual(operations, {"list", "get"})

    def test_another_process_sees_what_was_adopted(self) -> None:
        other = self.domain.beside()
        self.publish("acme-2.0.tar.gz", sdist(version="2.0"))
        self.successResultOf(started(other.catalog.project(ACME)))
        self.store.add(WHEEL, wheel())
        self.run_it()
        self.domain.clock.advance(1)
        entry = self.successResultOf(started(other.catalog.project(ACME)))
        self.assertEqual(len(entry.project.files), 2)

    def test_a_manifest_that_is_lost_after_the_look(self) -> None:
        self.publish(WHEEL, wheel())
        self.store.add(f"old/{SDIST}", sdist())

        def after(operation: str, key: str) -> None:
            if (operation, key) == ("list", ".publishing/"):
                self.store.objects.pop(manifest_key(ACME), None)

        self.store.after = after
        progress = self.run_it()
        self.assertEqual(self.counts(progress), (1, 0, 0, 1))
        self.assertIn("is lost", progress.skipped[0].reason)
        self.assertNotIn(manifest_key(ACME), self.store.objects)

    def test_nothing_is_stored_by_who_may_not_change_anything(self) -> None:
        self.store.add(f"old/{WHEEL}", wheel())
        self.domain.manifests.standing.wait("Not yet.")
        work = self.begin()
        self.domain.settle(work)
        self.failureResultOf(work, Unavailable)
        self.assertEqual([k for k in self.store.objects if is_own(k)], [])

    def test_what_was_published_stays(self) -> None:
        self.publish("acme-2.0.tar.gz", sdist(version="2.0"))
        self.store.add(WHEEL, wheel())
        self.assertEqual(self.counts(self.run_it()), (1, 0, 1, 0))
        self.assertEqual(self.names(), {"acme": [WHEEL, "acme-2.0.tar.gz"]})

    def test_the_same_bytes_twice_are_one_file(self) -> None:
        self.store.add(f"a/{WHEEL}", wheel())
        self.store.add(f"b/{WHEEL}", wheel())
        self.assertEqual(self.counts(self.run_it()), (2, 1, 1, 0))
        self.assertEqual(self.names(), {"acme": [WHEEL]})
        objects = dict(self.store.objects)
        self.assertEqual(self.counts(self.run_it()), (2, 2, 0, 0))
        self.assertEqual(self.store.objects, objects)

    def test_many_are_adopted_a_few_at_a_time(self) -> None:
        for number in range(3 * AT_ONCE):
            name = f"acme-1.{number}.tar.gz"
            self.store.add(name, sdist(version=f"1.{number}"))
        waiting: list[Deferred[None]] = []

        def before(operation: str, key: str) -> Deferred[None] | None:
            if operation != "open":
                return None
            waiting.append(Deferred())
            return waiting[-1]

        self.store.before = before
        work = self.begin()
        for _ in range(3):
            self.assertEqual(len(waiting), AT_ONCE)
            batch, waiting[:] = list(waiting), []
            for one in batch:
                one.callback(None)
        progress = self.successResultOf(work)
        count = 3 * AT_ONCE
        self.assertEqual(self.counts(progress), (count, 0, count, 0))
        self.assertEqual(len(self.names()["acme"]), count)

    def test_those_that_wait_share_a_swap_and_its_reading(self) -> None:
        for number in range(UNDER_WAY):
            name = f"acme-1.{number}.tar.gz"
            self.store.add(name, sdist(version=f"1.{number}"))
        held: list[Deferred[None]] = []

        def before(operation: str, key: str) -> Deferred[None] | None:
            if (operation, key) != ("put", ".index/acme.json") or held:
                return None
            held.append(Deferred())
            return held[-1]

        self.store.before = before
        work = self.begin()
        held[0].callback(None)
        self.assertEqual(self.successResultOf(work).adopted, UNDER_WAY)
        # One for the first, which waits for nobody; all others came in the meantime.
        batches = 1 + -(-(UNDER_WAY - 1) // BATCH)
        self.assertEqual(self.domain.manifests.swaps, batches)
        read = self.store.calls.count(("get", ".index/acme.json"))
        # By the adoption; each swap is made of what the one before wrote.
        self.assertEqual(read, 1)

    def test_progress_is_told(self) -> None:
        for number in range(3):
            self.store.add(f"acme-{number}.tar.gz", sdist(version=str(number)))
        self.store.add("README", b"")
        self.run_it()
        self.assertEqual(self.reports[0], (1, 4))
        self.assertEqual(self.reports[-1], (4, 4))
        self.assertEqual(self.reports, sorted(self.reports))

    def test_a_dry_run_tells_the_same_and_writes_nothing(self) -> None:
        self.store.add(WHEEL, wheel())
        self.store.add("README", b"")
        objects = dict(self.store.objects)
        self.assertEqual(self.counts(self.run_it(dry_run=True)), (2, 0, 1, 1))
        self.assertEqual(self.store.objects, objects)
        self.assertNotIn("open", {operation for operation, _ in self.store.calls})
        self.assertEqual(self.counts(self.run_it()), (2, 0, 1, 1))


class OldTests(AdoptCase):
    """Whatever installers take was taken by pypicloud 1.x, and cached by it."""

    def test_a_version_that_only_the_folder_tells_from_the_name(self) -> None:
        key = "ab12/acme/acme-1.0-2.tar.gz"
        self.store.add(key, sdist("acme", "1.0-2"))
        self.assertEqual(self.counts(self.run_it()), (1, 0, 1, 0))
        [file] = stored_project(self.store, ACME).files
        self.assertEqual((file.key, file.version), (key, "1.0.post2"))
        self.assertEqual(self.counts(self.run_it()), (1, 1, 0, 0))

    def test_a_source_distribution_without_metadata(self) -> None:
        self.store.add(SDIST, bare_sdist())
        self.assertEqual(self.counts(self.run_it()), (1, 0, 1, 0))
        [file] = stored_project(self.store, ACME).files
        self.assertEqual(file.requires_python, None)


class LegacyTests(AdoptCase):
    rules = UploadRules(legacy_formats=True)

    def test_old_formats_where_they_are_taken(self) -> None:
        data = zip_of([("acme-1.0/PKG-INFO", metadata())])
        self.store.add("acme-1.0.zip", data)
        self.store.add("acme-1.0.win32.exe", b"MZ")
        self.assertEqual(self.counts(self.run_it()), (2, 0, 2, 0))
        self.assertEqual(damage(self.store), [])


class NotOursTests(AdoptCase):
    def test_our_own_objects_and_hidden_ones_are_not_looked_at(self) -> None:
        self.publish(WHEEL, wheel())
        for key in (
            f"acme/{'0' * 32}/acme-9.0-py3-none-any.whl",  # an orphan of a publish
            f".cache/{SDIST}",
            f".hidden/{SDIST}",
            f"sub/.git/{SDIST}",
            f"._{SDIST}",
            f"sub/{WHEEL}.metadata",
            # Folders, as consoles draw them; the first is the prefix's own.
            "",
            "acme/",
        ):
            self.store.add(key, sdist())
        objects = dict(self.store.objects)
        self.assertEqual(self.counts(self.run_it()), (0, 0, 0, 0))
        self.assertEqual(self.store.objects, objects)

    def test_folders_that_only_look_like_ours(self) -> None:
        for key in (
            f"Acme/{'0' * 32}/{WHEEL}",  # no normalized name
            f"acme/{'0' * 31}/{WHEEL}",
            f"sub/acme/{'0' * 32}/{WHEEL}",
        ):
            self.assertTrue(is_foreign(key), key)
            self.assertFalse(is_own(key), key)

    def test_what_is_no_distribution_is_skipped_with_its_reason(self) -> None:
        for key, data, reason in (
            ("README.txt", b"", "must end in .whl or .tar.gz"),
            ("acme-1.0.zip", b"", "Files that end in .zip are not taken here"),
            ("acme.whl", b"", "not a valid wheel name"),
            ("a b-1.0.tar.gz", b"", "printable ASCII"),
            (WHEEL, b"not a zip file", "cannot be opened as the archive"),
            (SDIST, sdist()[:-30], "cannot be opened as the archive"),
            ("acme-2.0.tar.gz", sdist(), "Version is not the one"),
            ("other-1.0.tar.gz", sdist(), "Name is not the project"),
            ("empty-1.0.tar.gz", b"", "cannot be opened as the archive"),
        ):
            self.store.objects.clear()
            self.store.add(key, data)
            self.store.add("good-1.0.tar.gz", sdist("good"))
            progress = self.run_it()
            self.assertEqual(self.counts(progress), (2, 0, 1, 1), key)
            (skipped,) = progress.skipped
            self.assertEqual(skipped.key, key)
            self.assertIn(reason, skipped.reason)
            self.assertEqual(self.names(), {"good": ["good-1.0.tar.gz"]})
            self.assertEqual(damage(self.store), [])

    def test_other_bytes_of_a_name_that_is_taken(self) -> None:
        self.publish(WHEEL, wheel())
        self.store.add(f"copy/{WHEEL}", OTHER_WHEEL)
        progress = self.run_it()
        self.assertEqual(
            progress.skipped,
            [
                Skipped(
                    f"copy/{WHEEL}",
                    "Another file of this name and other bytes is named already.",
                )
            ],
        )
        (file,) = stored_project(self.store).files
        self.assertEqual(file.sha256, sha256(wheel()).hexdigest())
        self.assertEqual(damage(self.store), [])

    def test_what_was_deleted_does_not_come_back(self) -> None:
        self.store.add(WHEEL, wheel())
        self.run_it()
        self.successResultOf(started(self.domain.delete("1.0")))
        self.assertEqual(self.counts(self.run_it()), (1, 1, 0, 0))
        self.store.add(f"copy/{WHEEL}", wheel())
        progress = self.run_it()
        self.assertIn("was deleted", progress.skipped[0].reason)
        self.assertEqual(self.names(), {"acme": []})

    @settings(max_examples=50)
    @given(
        st.lists(
            st.text(
                st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
                min_size=1,
            ).filter(lambda name: name not in (".", "..", ".tmp", ".locks")),
            min_size=1,
            max_size=4,
        )
    )
    def test_any_name_at_all(self, segments: list[str]) -> None:
        self.setUp()
        self.store.add("/".join(segments), b"anything")
        self.store.add(f"sub/{SDIST}", sdist())
        progress = self.run_it()
        self.assertEqual(progress.adopted, 1)
        self.assertEqual(self.names(), {"acme": [SDIST]})


class FailureTests(AdoptCase):
    def test_a_file_that_goes_away_is_skipped(self) -> None:
        for number in range(10):
            self.store.add(f"acme-{number}.tar.gz", sdist(version=str(number)))

        def before(operation: str, key: str) -> None:
            if (operation, key) == ("open", "acme-5.tar.gz"):
                raise ObjectNotFound("There is no such object in the store.")

        self.store.before = before
        progress = self.run_it()
        self.assertEqual(self.counts(progress), (10, 0, 9, 1))
        self.assertEqual(progress.skipped[0].key, "acme-5.tar.gz")
        self.assertIn("no such object", progress.skipped[0].reason)

    def test_the_store_goes_away_and_a_repetition_ends_it(self) -> None:
        for operation, nth in (
            ("list", 1),
            ("get", 3),
            ("open", 7),
            ("deliver", 7),
            ("put", 9),
        ):
            with self.subTest(operation):
                self.setUp()
                self.goes_away(operation, nth)

    def goes_away(self, operation: str, nth: int) -> None:
        for number in range(20):
            self.store.add(f"acme-{number}.tar.gz", sdist(version=str(number)))
        seen: list[str] = []

        def before(asked: str, key: str) -> None:
            seen.append(asked)
            if seen.count(operation) >= nth:
                raise StoreError(AWAY)

        self.store.before = before
        work = self.begin()
        self.domain.settle(work)
        self.assertEqual(self.failureResultOf(work, StoreError).value.message, AWAY)
        # Nobody works on behind its back.
        asked = len(self.store.calls)
        self.domain.clock.advance(1000)
        self.assertEqual(len(self.store.calls), asked)
        self.assertEqual(damage(self.store), [])
        self.store.before = lambda operation, key: None
        progress = self.run_it()
        self.assertEqual(progress.known + progress.adopted, 20)
        self.assertEqual(len(self.names()["acme"]), 20)
        self.assertEqual(damage(self.store), [])

    def test_a_failure_stops_the_others_too(self) -> None:
        for number in range(3 * AT_ONCE):
            self.store.add(f"acme-{number}.tar.gz", sdist(version=str(number)))
        waiting: list[Deferred[None]] = []

        def before(operation: str, key: str) -> Deferred[None] | None:
            if operation != "open":
                return None
            waiting.append(Deferred())
            return waiting[-1]

        self.store.before = before
        work = self.begin()
        self.assertEqual(len(waiting), AT_ONCE)
        waiting[0].errback(StoreError(AWAY))
        # They end what they have begun, and nobody works on when it has ended.
        self.assertNoResult(work)
        for one in waiting[1:]:
            one.callback(None)
        self.failureResultOf(work, StoreError)
        opened = [key for operation, key in self.store.calls if operation == "open"]
        self.assertEqual(len(opened), AT_ONCE)
        self.assertEqual(len(self.names()["acme"]), AT_ONCE - 1)

    def test_a_file_that_must_not_be_read_keeps_no_other_out(self) -> None:
        self.store.add("secret-1.0.tar.gz", sdist("secret"))
        self.store.add(WHEEL, wheel())

        def before(operation: str, key: str) -> None:
            if operation == "open" and key.startswith("secret"):
                raise ObjectUnreadable("A file must not be read.")

        self.store.before = before
        progress = self.run_it()
        self.assertEqual(
            progress.skipped, [Skipped("secret-1.0.tar.gz", "A file must not be read.")]
        )
        self.assertEqual(self.names(), {"acme": [WHEEL]})

    def test_a_damaged_manifest_keeps_no_other_project_out(self) -> None:
        self.store.add(".index/other.json", b"{")
        self.store.add("other-1.0.tar.gz", sdist("other"))
        self.store.add(WHEEL, wheel())
        progress = self.run_it()
        self.assertEqual(self.counts(progress), (2, 0, 1, 1))
        self.assertEqual(progress.skipped[0].key, "other-1.0.tar.gz")
        self.assertIn("manifest of other is damaged", progress.skipped[0].reason)
        self.assertEqual(self.store.objects[".index/other.json"].data, b"{")

    def test_a_folder_that_may_not_be_read_is_told_of(self) -> None:
        self.store.add(f"old/{SDIST}", sdist())
        listed = MemoryStore.list

        def listing(store: MemoryStore, prefix: str, **options: Any) -> Any:
            if not prefix:
                options["unlisted"](Unlisted("beta/", Unlistable.FOLDER))
            return listed(store, prefix, **options)

        self.patch(MemoryStore, "list", listing)
        progress = self.run_it()
        self.assertEqual(self.counts(progress), (2, 0, 1, 1))
        [skipped] = progress.skipped
        self.assertEqual(skipped.key, "beta/")
        self.assertIn("give it the right to", skipped.reason)

    def test_one_that_broke_off_is_repeated(self) -> None:
        """What it had placed by then is no loss."""
        for wanted in (".metadata", ".marker"):
            self.setUp()
            self.store.add(f"old/{WHEEL}", wheel())
            self.store.after = self.dying_at(wanted)
            self.failureResultOf(self.begin(), ZeroDivisionError)
            self.store.after = lambda operation, key: None
            for _ in range(2):
                self.run_it()
                self.assertEqual(self.names(), {"acme": [WHEEL]}, wanted)
            told = [key for key in self.store.objects if PUBLISHING in key]
            self.assertEqual(told, [], wanted)

    def dying_at(self, wanted: str) -> Hook:
        def after(operation: str, key: str) -> None:
            if operation == "put" and key.endswith(wanted):
                raise ZeroDivisionError

        return after

    def test_the_server_stops_meanwhile(self) -> None:
        self.store.add(WHEEL, wheel())
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held if operation == "open" else None
        work = self.begin()
        work.cancel()
        self.failureResultOf(work, CancelledError)
        self.assertEqual(stored_projects(self.store), {})

    def test_an_upload_of_the_name_at_that_moment_wins(self) -> None:
        self.store.add(f"old/{WHEEL}", wheel())
        held: list[Deferred[None]] = []

        def before(operation: str, key: str) -> Deferred[None] | None:
            if operation != "put" or not key.endswith(".metadata"):
                return None
            self.store.before = lambda operation, key: None
            held.append(Deferred())
            return held[-1]

        self.store.before = before
        work = self.begin()
        self.publish(WHEEL, OTHER_WHEEL)
        held[0].callback(None)
        progress = self.successResultOf(work)
        self.assertEqual(self.counts(progress), (1, 0, 0, 1))
        self.assertIn("other bytes", progress.skipped[0].reason)
        self.assertEqual(damage(self.store), [])

    def test_an_upload_of_an_adopted_name_conflicts(self) -> None:
        self.store.add(f"old/{WHEEL}", wheel())
        self.run_it()
        self.publish(WHEEL, wheel())
        (file,) = stored_project(self.store).files
        self.assertEqual(file.key, f"old/{WHEEL}")
        work = started(self.domain.publish(WHEEL, OTHER_WHEEL))
        error = self.failureResultOf(work, Conflict).value
        self.assertIn("already exists", error.message)


class FirstProgramTests(AdoptCase):
    """A bucket of pypicloud 1.x tells digests; files are judged all the same."""

    def put(self, key: str, data: bytes, **metadata: str) -> None:
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        work = started(self.store.put(key, data, metadata=named))
        self.successResultOf(work)

    def test_a_large_wheel_is_read_whole(self) -> None:
        data = wheel(extra=[("acme/data", random.Random(1).randbytes(2**20))])
        digest = sha256(data).hexdigest()
        self.put(WHEEL, data, hash_sha256=digest, hash_md5="0" * 32, name="acme")
        self.store.calls.clear()
        self.assertEqual(self.run_it().adopted, 1)
        self.assertEqual(self.store.calls.count(("open", WHEEL)), 1)
        [file] = stored_project(self.store, ACME).files
        # Its own digests, whatever is told of them.
        self.assertEqual((file.sha256, file.size), (digest, len(data)))
        self.assertIsNone(file.md5)
        self.assertEqual(file.requires_python, ">=3.8")
        assert file.metadata_key is not None
        self.assertEqual(self.store.objects[file.metadata_key].data, metadata())

    def test_what_is_no_archive_is_skipped_whatever_is_told_of_it(self) -> None:
        data = random.Random(1).randbytes(2**20)
        for name in (WHEEL, SDIST):
            self.put(name, data, hash_sha256=sha256(data).hexdigest(), name="acme")
            [skipped] = self.run_it().skipped
            self.assertIn("cannot be opened as the archive", skipped.reason)
            self.store.objects.clear()

    def test_what_is_told_of_a_file_that_says_nothing_of_itself(self) -> None:
        told = {"requires_python": ">=3.9", "summary": "Told", "name": "Acme"}
        self.put(SDIST, bare_sdist(), **told)
        self.assertEqual(self.run_it().adopted, 1)
        project = stored_project(self.store, ACME)
        self.assertEqual(project.display_name, "Acme")
        [file] = project.files
        self.assertEqual((file.requires_python, file.summary), (">=3.9", "Told"))

    def test_what_is_told_of_another_project_is_ignored(self) -> None:
        self.put(SDIST, bare_sdist(), requires_python=">=3.9", name="other")
        self.assertEqual(self.run_it().adopted, 1)
        [file] = stored_project(self.store, ACME).files
        self.assertIsNone(file.requires_python)

    def test_bytes_that_are_not_those_of_the_digest_are_skipped(self) -> None:
        self.put(SDIST, sdist(), hash_sha256="0" * 64)
        [skipped] = self.run_it().skipped
        self.assertIn("not those that hash-sha256", skipped.reason)
        self.assertEqual(stored_projects(self.store), {})

    def test_what_is_no_digest_is_not_believed(self) -> None:
        self.put(WHEEL, wheel(), hash_sha256="unknown")
        self.assertEqual(self.run_it().adopted, 1)
        [file] = stored_project(self.store, ACME).files
        self.assertEqual(file.sha256, sha256(wheel()).hexdigest())

    def test_a_wheel_that_is_none_is_skipped(self) -> None:
        self.put(WHEEL, b"junk" * 2**16, hash_sha256="0" * 64)
        [skipped] = self.run_it().skipped
        self.assertIn("cannot be opened", skipped.reason)
