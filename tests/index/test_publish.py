"""A publish is whole or not there, whatever fails and whoever else writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import blake2b, md5, sha256
from itertools import count

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import (
    BadRequest,
    Conflict,
    InsufficientStorage,
    NotFound,
    PreconditionFailed,
    PypicloudError,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index import marker
from pypicloud_tw.index.admission import Claims, UploadRules, same_version
from pypicloud_tw.index.first_uploads import PUBLISHING
from pypicloud_tw.index.layout import SWEEP_AGE
from pypicloud_tw.index.manifest import encode, manifest_key
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import Filename, project_name
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.store.memory import MemoryStore
from tests.builders import metadata, sdist, wheel, zip_of
from tests.web.doubles import (
    BEGINNING,
    Domain,
    damage,
    data_keys,
    named,
    started,
    stored_project,
    stored_projects,
)

ACME = project_name("acme")
MANIFEST = manifest_key(ACME)
WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"

#: Other bytes, and as good as the first.
OTHER_WHEEL = wheel(extra=[("acme/__init__.py", b"other = True\n")])
#: Names that installers take for that of the first.
RESPELLED = (
    "Acme-1.0-py3-none-any.whl",
    "acme-1.0.0-py3-none-any.whl",
    "acme-v1.0-py3-none-any.whl",
    "acme-1.0-py3.py3-none-any.whl",
)

AWAY = "The store is away."


class PublishCase(SynchronousTestCase):
    rules = UploadRules()
    overwrite = False

    def setUp(self) -> None:
        self.one = Domain(rules=self.rules, overwrite=self.overwrite)
        self.store = self.one.store

    def publish(
        self, filename: str = WHEEL, data: bytes | None = None, **claims: str
    ) -> File:
        work = started(self.one.publish(filename, data or wheel(), Claims(**claims)))
        self.one.settle(work)
        file = self.successResultOf(work).file(filename)
        assert file is not None
        return file

    def refused(
        self,
        kind: type[PypicloudError],
        sentence: str,
        filename: str = WHEEL,
        data: bytes | None = None,
        **claims: str,
    ) -> None:
        work = started(self.one.publish(filename, data or wheel(), Claims(**claims)))
        self.one.settle(work)
        error = self.failureResultOf(work, kind).value
        self.assertIn(sentence, error.message)

    def break_store(self, operation: str, ending: str) -> None:
        """Have every *operation* on keys of that ending fail from now on."""

        def before(asked: str, key: str) -> None:
            if asked == operation and key.endswith(ending):
                raise StoreError(AWAY)

        self.store.before = before

    def heal(self) -> None:
        self.store.before = self.store.after = lambda operation, key: None

    def assert_whole(self) -> None:
        """What is named is there."""
        self.assertEqual(damage(self.store), [])

    def assert_tidy(self) -> None:
        """What is named is there, and nothing else is."""
        self.assert_whole()
        self.assertEqual(data_keys(self.store), named(self.store))


class RecordTests(PublishCase):
    def test_a_wheel_with_all_that_is_known_of_it(self) -> None:
        data = wheel()
        file = self.publish(WHEEL, data)
        self.assertRegex(file.key, rf"^acme/[0-9a-f]{{32}}/{WHEEL}$")
        self.assertEqual(
            file,
            File(
                filename=WHEEL,
                version="1.0",
                key=file.key,
                size=len(data),
                sha256=sha256(data).hexdigest(),
                upload_time=datetime.fromtimestamp(BEGINNING, UTC),
                requires_python=">=3.8",
                metadata_key=f"{file.key}.metadata",
                metadata_sha256=sha256(metadata()).hexdigest(),
                uploader="ann",
                summary="A tool of Acme's",
            ),
        )
        self.assertEqual(stored_project(self.store).files, (file,))
        self.assertEqual(self.store.objects[f"{file.key}.metadata"].data, metadata())
        self.assert_tidy()

    def test_a_source_distribution_has_no_metadata_beside_it(self) -> None:
        # Its PKG-INFO may be dynamic, so PEP 658 does not speak of it.
        file = self.publish(SDIST, sdist())
        self.assertIsNone(file.metadata_key)
        self.assertEqual(file.requires_python, ">=3.8")
        self.assert_tidy()

    def test_the_name_is_shown_as_its_file_spells_it(self) -> None:
        data = wheel("Acme_Tool", core_metadata=metadata("Acme.Tool"))
        self.publish("Acme_Tool-1.0-py3-none-any.whl", data)
        project = stored_project(self.store, "acme-tool")
        self.assertEqual(project.display_name, "Acme.Tool")

    def test_files_are_in_order_of_version_then_name(self) -> None:
        for version in ("10.0", "9.0", "1.0"):
            self.publish(f"acme-{version}-py3-none-any.whl", wheel(version=version))
        self.publish(SDIST, sdist())
        self.assertEqual(
            [file.filename for file in stored_project(self.store).files],
            [
                WHEEL,
                SDIST,
                "acme-9.0-py3-none-any.whl",
                "acme-10.0-py3-none-any.whl",
            ],
        )

    def test_the_steps_are_in_the_order_that_a_crash_needs(self) -> None:
        self.publish()
        self.assertEqual(
            self.one.steps,
            ["publish:file", "publish:metadata", "publish:swapped", "publish:told"],
        )
        changes = [c for c in self.store.calls if c[0] in ("commit", "put")]
        self.assertEqual(
            [operation for operation, _ in changes],
            ["put", "commit", *["put"] * 5],
        )
        [file] = stored_project(self.store).files
        told = f"{PUBLISHING}{file.key.rpartition('/')[0]}"
        self.assertEqual(
            [key for _, key in changes],
            [
                *(told, file.key, file.metadata_key, told, MANIFEST),
                # Once for a million changes.
                *(marker.RESERVED_KEY, marker.KEY),
            ],
        )
        # The project's first: no other costs what tells of it.
        self.assertEqual(self.store.calls[-1], ("delete", told))
        self.store.calls.clear()
        self.publish(SDIST, sdist())
        self.assertNotIn(PUBLISHING, str(self.store.calls))
        self.assertNotIn("list", str(self.store.calls))

    def test_archives_are_looked_into_elsewhere(self) -> None:
        self.publish()
        self.assertIn("look_into", self.one.offload.processed)

    def test_text_that_no_encoding_can_write_does_not_stop_it(self) -> None:
        broken = metadata().replace(b"A tool", b"A \xff\xed\xa0\x80 tool")
        self.publish(WHEEL, wheel(core_metadata=broken))
        self.assert_tidy()


class SameNameTests(PublishCase):
    def test_identical_bytes_succeed_and_change_nothing(self) -> None:
        first = self.publish()
        objects = dict(self.store.objects)
        self.one.clock.advance(60)
        self.assertEqual(self.publish(), first)
        changed = {k for k, v in self.store.objects.items() if objects.get(k) != v}
        self.assertLessEqual(changed, {marker.KEY})
        self.assertEqual(
            [key for operation, key in self.store.calls if operation == "commit"],
            [first.key],
        )

    def test_other_bytes_conflict_before_anything_is_stored(self) -> None:
        first = self.publish()
        self.refused(Conflict, "File already exists", data=OTHER_WHEEL)
        # twine and uv look for these words.
        self.refused(Conflict, "already exist", data=OTHER_WHEEL)
        self.assertEqual(stored_project(self.store).files, (first,))
        self.assert_tidy()

    def test_a_deleted_name_is_not_taken_with_other_bytes(self) -> None:
        self.publish()
        self.successResultOf(started(self.one.delete("1.0")))
        self.refused(Conflict, "was deleted", data=OTHER_WHEEL)
        self.refused(Conflict, "already exist", data=OTHER_WHEEL)
        self.assertEqual(stored_project(self.store).files, ())

    def test_a_deleted_name_comes_back_with_the_same_bytes(self) -> None:
        first = self.publish()
        self.successResultOf(started(self.one.delete("1.0")))
        second = self.publish()
        # The first object may be swept at any time.
        self.assertNotEqual(second.key, first.key)
        self.assertEqual(stored_project(self.store).tombstones, ())
        self.assert_whole()

    def test_other_spellings_are_not_taken_with_other_bytes(self) -> None:
        first = self.publish()
        for filename in RESPELLED:
            self.refused(Conflict, "already exists", filename, OTHER_WHEEL)
        self.assertEqual(stored_project(self.store).files, (first,))
        self.assert_tidy()

    def test_other_spellings_of_a_deleted_name_are_not_taken_either(self) -> None:
        self.publish()
        self.successResultOf(started(self.one.delete("1.0")))
        for filename in RESPELLED:
            self.refused(Conflict, "was deleted", filename, OTHER_WHEEL)
        self.assertEqual(stored_project(self.store).files, ())

    def test_other_builds_and_kinds_are_other_files(self) -> None:
        self.publish()
        self.publish("acme-1.0-1-py3-none-any.whl", OTHER_WHEEL)
        self.publish("acme-1.0-py2.py3-none-any.whl", OTHER_WHEEL)
        self.publish(SDIST, sdist())
        self.assertEqual(len(stored_project(self.store).files), 4)


class DeletedMeanwhileTests(PublishCase):
    def test_a_file_that_is_there_and_is_deleted_before_the_swap(self) -> None:
        self.publish()
        other, reads = self.one.beside(), []

        async def delete() -> None:
            await other.delete("1.0")

        def before(operation: str, key: str) -> Awaitable[None] | None:
            if (operation, key) == ("get", MANIFEST):
                reads.append(key)
                if len(reads) == 2:  # it was found there
                    return started(delete())
            return None

        self.store.before = before
        self.publish()
        self.heal()
        self.assert_whole()
        self.assertEqual(len(stored_project(self.store).files), 1)

    def test_a_manifest_that_is_lost_before_the_swap_takes_no_object_along(
        self,
    ) -> None:
        self.publish()

        def after(operation: str, key: str) -> None:
            if operation == "commit":
                self.store.objects.pop(MANIFEST, None)

        self.store.after = after
        work = started(self.one.publish(SDIST, sdist(), Claims()))
        self.one.settle(work)
        self.failureResultOf(work, PypicloudError)
        self.heal()
        # It may be rebuilt of what lies there.
        self.assertIn(SDIST, {key.rpartition("/")[2] for key in self.store.objects})


class OverwriteTests(PublishCase):
    overwrite = True

    def test_other_bytes_replace_the_first(self) -> None:
        first = self.publish()
        second = self.publish(data=OTHER_WHEEL)
        self.assertNotEqual(second.key, first.key)
        self.assertEqual(stored_project(self.store).files, (second,))
        self.assert_whole()

    def test_other_bytes_under_another_spelling_replace_it_too(self) -> None:
        """Installers take both for one file, and would install either."""
        self.publish()
        for filename in RESPELLED:
            last = self.publish(filename, OTHER_WHEEL)
            self.assertIn(last, stored_project(self.store).files)
            self.assertIsNone(stored_project(self.store).file(WHEEL))
        again = self.publish()
        self.assertEqual(stored_project(self.store).files, (again,))

    def test_not_those_of_a_deleted_file(self) -> None:
        self.publish()
        self.successResultOf(started(self.one.delete("1.0")))
        self.refused(Conflict, "was deleted", data=OTHER_WHEEL)


class ReuploadTests(PublishCase):
    rules = UploadRules(reupload_deleted=True)

    def test_a_deleted_name_is_taken_again(self) -> None:
        self.publish()
        self.successResultOf(started(self.one.delete("1.0")))
        second = self.publish(data=OTHER_WHEEL)
        project = stored_project(self.store)
        self.assertEqual((project.files, project.tombstones), ((second,), ()))
        self.assert_whole()

    def test_one_that_is_there_is_not(self) -> None:
        self.publish()
        self.refused(Conflict, "File already exists", data=OTHER_WHEEL)


class ClaimsTests(PublishCase):
    def nothing_kept(
        self, kind: type[PypicloudError], sentence: str, **claims: str
    ) -> None:
        self.refused(kind, sentence, WHEEL, wheel(), **claims)
        self.assertEqual(self.store.objects, {})
        self.assertNotIn("commit", [operation for operation, _ in self.store.calls])

    def test_another_name(self) -> None:
        for name in (
            "other",
            "acme-",
            "\x00",
            "acm\N{LATIN SMALL LETTER E WITH ACUTE}",
        ):
            self.nothing_kept(BadRequest, "form's name is not", name=name)

    def test_another_version(self) -> None:
        for version in ("2.0", "1.0.dev0", "nonsense", "1.0+local"):
            self.nothing_kept(BadRequest, "form's version is not", version=version)

    def test_other_digests(self) -> None:
        wrong = sha256(b"other").hexdigest()
        self.nothing_kept(BadRequest, "The SHA-256 digest", sha256=wrong)
        self.nothing_kept(BadRequest, "The MD5 digest", md5=wrong[:32])
        self.nothing_kept(BadRequest, "The BLAKE2b-256 digest", blake2b_256=wrong)
        self.nothing_kept(BadRequest, "The SHA-256 digest", sha256="not even hex")

    def test_one_right_digest_does_not_excuse_a_wrong_one(self) -> None:
        self.nothing_kept(
            BadRequest,
            "The BLAKE2b-256 digest",
            md5=md5(wheel()).hexdigest(),
            blake2b_256="0" * 64,
        )

    def test_a_right_sha256_is_enough(self) -> None:
        # Others prove nothing that it does not: they are neither checked nor kept.
        file = self.publish(sha256=sha256(wheel()).hexdigest(), md5="0" * 32)
        self.assertIsNone(file.md5)
        self.assertIsNone(file.blake2b_256)

    def test_other_digests_are_kept_where_they_had_to_be_checked(self) -> None:
        file = self.publish(md5=md5(wheel()).hexdigest())
        self.assertEqual(file.md5, md5(wheel()).hexdigest())
        self.assertEqual(file.blake2b_256, blake2b(wheel(), digest_size=32).hexdigest())

    def test_other_spellings_are_the_same(self) -> None:
        self.publish(
            name="ACME",
            version="v1.0.0",
            sha256=sha256(wheel()).hexdigest().upper(),
            md5=md5(wheel()).hexdigest(),
        )
        self.assert_tidy()

    def test_archives_that_lie(self) -> None:
        for data, sentence in (
            (b"not a zip file", "cannot be opened as the archive"),
            (wheel()[:-20], "cannot be opened as the archive"),
            (wheel("other"), ".dist-info folder names another"),
            (wheel(core_metadata=metadata(version="2.0")), "Version is not the one"),
            (zip_of([("../evil", b"")]), "leads out of it"),
            (b"", "cannot be opened as the archive"),
        ):
            work = started(self.one.publish(WHEEL, data))
            error = self.failureResultOf(work, BadRequest).value
            self.assertIn(sentence, error.message)
            self.assertEqual(self.store.objects, {})

    def test_versions_are_compared_as_such(self) -> None:
        for one, other, same in (
            ("1.0", "1.0.0", True),
            ("1.0-1", "1.0.post1", True),
            ("1.0", "1.1", False),
            ("no version", "no version", True),
            ("no version", "1.0", False),
        ):
            self.assertIs(same_version(one, other), same, (one, other))


class FailureTests(PublishCase):
    """The store fails at each step: an honest answer, and a repetition heals."""

    def heals(self, *, orphans: bool) -> None:
        """A repetition succeeds, and what is named afterwards is whole."""
        self.assert_whole()
        self.heal()
        file = self.publish()
        self.assertEqual(stored_project(self.store).files, (file,))
        self.assert_whole()
        if not orphans:
            self.assert_tidy()
        # Other servers hear of it too.
        other = started(self.one.beside().catalog.project(ACME))
        self.assertEqual(self.successResultOf(other).project.files, (file,))

    def nothing_visible(self) -> None:
        self.failureResultOf(started(self.one.catalog.project(ACME)), NotFound)

    def test_no_room_to_begin_with(self) -> None:
        self.store.fail_next("begin", InsufficientStorage("No room."))
        self.refused(InsufficientStorage, "No room.")
        self.assertEqual(self.store.objects, {})
        self.heals(orphans=False)

    def test_away_when_asked_whether_it_is_there_already(self) -> None:
        self.break_store("get", ".json")
        self.refused(StoreError, AWAY)
        self.assertEqual(self.store.objects, {})
        self.heals(orphans=False)

    def test_commit_of_the_file(self) -> None:
        self.store.fail_next("commit", StoreError(AWAY))
        self.refused(StoreError, AWAY)
        self.nothing_visible()
        self.heals(orphans=False)

    def test_commit_whose_answer_is_lost(self) -> None:
        self.lose("commit", WHEEL)
        self.refused(StoreError, AWAY)
        self.nothing_visible()
        self.heals(orphans=True)

    def test_metadata(self) -> None:
        self.break_store("put", ".metadata")
        self.refused(StoreError, AWAY)
        self.nothing_visible()
        self.assertNotIn(MANIFEST, self.store.objects)
        self.heals(orphans=True)

    def test_one_failure_of_the_swap_is_tried_again(self) -> None:
        calls = []

        def before(operation: str, key: str) -> None:
            if (operation, key) == ("put", MANIFEST):
                calls.append(key)
                if len(calls) == 1:
                    raise StoreError(AWAY)

        self.store.before = before
        self.publish()
        self.assertEqual(len(calls), 2)
        self.assert_tidy()

    def test_swap(self) -> None:
        self.break_store("put", ".json")
        self.refused(StoreError, AWAY)
        self.nothing_visible()
        self.heals(orphans=True)

    def test_swap_whose_answer_is_lost(self) -> None:
        self.lose("put", ".json")
        self.publish()
        self.assertEqual(self.one.manifests.swaps, 1)
        self.assert_tidy()

    def test_swap_whose_answer_is_lost_and_then_the_store(self) -> None:
        def after(operation: str, key: str) -> None:
            if (operation, key) == ("put", MANIFEST):
                self.break_store("get", ".json")
                raise StoreError(AWAY)

        self.store.after = after
        self.refused(StoreError, AWAY)
        # It was made, and nobody may take its objects away.
        self.assert_tidy()
        self.heals(orphans=False)

    def test_marker(self) -> None:
        self.break_store("put", marker.KEY)
        self.refused(StoreError, AWAY)
        # Committed, but not told: so it was not acknowledged, and is whole.
        self.assertEqual(len(stored_project(self.store).files), 1)
        self.assert_tidy()
        self.assertNotIn(marker.KEY, self.store.objects)
        self.heals(orphans=False)
        self.assertIn(marker.KEY, self.store.objects)

    def test_one_failure_of_the_marker_is_made_good(self) -> None:
        self.store.before = self.failing_once("put", marker.KEY)
        self.publish()
        self.publish(SDIST, sdist())
        other = started(self.one.beside().catalog.project(ACME))
        self.assertEqual(len(self.successResultOf(other).project.files), 2)

    def test_discarding(self) -> None:
        # The one that lost the race cannot take its object away: a conflict still.
        first = self.hold_swap()
        second = started(self.one.beside().publish(WHEEL, OTHER_WHEEL))
        self.break_store("delete", "")
        self.one.settle(second)
        first.callback(None)
        self.one.settle(self.work)
        error = self.failureResultOf(self.work, Conflict).value
        self.assertIn("File already exists", error.message)
        self.assert_whole()

    def test_a_manifest_that_is_damaged_is_never_written_over(self) -> None:
        self.store.add(MANIFEST, b"{")
        self.refused(StoreError, "is damaged")
        self.assertEqual(self.store.objects[MANIFEST].data, b"{")

    def test_a_newer_format_is_not_written_over(self) -> None:
        newer = encode(Project(ACME, "acme")).replace(b'"_format":1', b'"_format":3')
        self.store.add(MANIFEST, newer)
        self.refused(Unavailable, "written by a newer server")
        self.assertEqual(self.store.objects[MANIFEST].data, newer)
        self.assert_tidy()

    def test_too_slow_for_the_sweep(self) -> None:
        publication = Publication(self.one.publisher)
        self.successResultOf(started(publication.begin(Filename.parse(WHEEL))))
        self.successResultOf(started(publication.write(wheel())))
        self.one.clock.advance(SWEEP_AGE / 2 + 1)
        error = self.failureResultOf(
            started(publication.finish(Claims())), Unavailable
        ).value
        self.assertIn("took too long", error.message)
        self.nothing_visible()

    def test_too_slow_while_it_waits_for_its_turn(self) -> None:
        """Others were first, again and again; a sweep may have taken the file."""

        def overtake(operation: str, key: str) -> None:
            if (operation, key) == ("put", MANIFEST):
                self.heal()
                self.one.clock.advance(SWEEP_AGE)
                raise PreconditionFailed("Another was first.")

        self.store.before = overtake
        self.refused(StoreError, "took too long")
        self.nothing_visible()

    def hold_swap(self) -> Deferred[None]:
        """Begin a publish whose swap waits; it goes on when the result fires."""
        held: Deferred[None] = Deferred()

        def before(operation: str, key: str) -> Deferred[None] | None:
            if (operation, key) != ("put", MANIFEST):
                return None
            self.heal()
            return held

        self.store.before = before
        self.work = started(self.one.publish(WHEEL, wheel()))
        self.assertNoResult(self.work)
        return held

    def lose(self, operation: str, ending: str) -> None:
        """Have the next such operation done, and its answer lost."""
        self.store.after = self.failing_once(operation, ending)

    def failing_once(self, operation: str, ending: str) -> Callable[[str, str], None]:
        failed: list[str] = []

        def hook(asked: str, key: str) -> None:
            if asked == operation and key.endswith(ending) and not failed:
                failed.append(key)
                raise StoreError(AWAY)

        return hook


class Held:
    """Every call of a store waits until it is let go."""

    def __init__(self, store: MemoryStore) -> None:
        self.waiting: list[Deferred[None]] = []
        store.before = self.hold

    def hold(self, operation: str, key: str) -> Deferred[None]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def let_go(self, number: int = 0) -> None:
        self.waiting.pop(number % len(self.waiting)).callback(None)


class RaceTests(PublishCase):
    def setUp(self) -> None:
        super().setUp()
        self.two = self.one.beside()

    def test_two_processes_publish_two_files(self) -> None:
        held = Held(self.store)
        first = started(self.one.publish(WHEEL, wheel()))
        second = started(self.two.publish(SDIST, sdist()))
        self.run_all(held, first, second)
        self.successResultOf(first)
        self.successResultOf(second)
        names = {file.filename for file in stored_project(self.store).files}
        self.assertEqual(names, {WHEEL, SDIST})
        self.assert_tidy()

    def test_the_same_name_with_other_bytes_has_one_winner(self) -> None:
        for other in ("one", "two"):
            self.setUp()
            held = Held(self.store)
            works = [
                started(self.one.publish(WHEEL, wheel())),
                started(getattr(self, other).publish(WHEEL, OTHER_WHEEL)),
            ]
            self.run_all(held, *works)
            results = [self.outcome(work) for work in works]
            self.assertEqual(sorted(map(str, results)), ["409", "None"])
            # The loser's object is gone.
            self.assert_tidy()
            self.heal()

    def test_the_same_bytes_at_once_are_one_file(self) -> None:
        for other in ("one", "two"):
            self.setUp()
            held = Held(self.store)
            works = [
                started(self.one.publish(WHEEL, wheel())),
                started(getattr(self, other).publish(WHEEL, wheel())),
            ]
            self.run_all(held, *works)
            self.assertEqual([self.outcome(work) for work in works], [None, None])
            self.assert_tidy()

    def test_a_yank_in_the_same_swap_costs_no_bytes(self) -> None:
        self.publish()
        held: Deferred[None] = Deferred()

        def before(operation: str, key: str) -> Deferred[None] | None:
            return held if (operation, key) == ("put", MANIFEST) else None

        self.store.before = before
        works: list[Deferred[Project]] = [
            started(self.one.yank("1.0", "broken")),
            started(self.one.publish(SDIST, sdist())),
            started(self.one.yank("1.0", "very broken")),
        ]
        self.heal()
        held.callback(None)
        for work in works:
            self.successResultOf(work)
        yanked = {file.yanked for file in stored_project(self.store).files}
        self.assertEqual(yanked, {"very broken"})
        self.assert_tidy()

    def test_the_same_bytes_while_they_are_deleted(self) -> None:
        """What was there when it was looked for is stored again where it is not."""
        self.publish()
        held: Deferred[None] = Deferred()
        looks = count()

        def before(operation: str, key: str) -> Deferred[None] | None:
            # That the file is there is known without a look: the first is the swap's.
            if (operation, key) != ("get", MANIFEST):
                return None
            return held if next(looks) == 0 else None

        self.store.before = before
        work = started(self.one.publish(WHEEL, wheel()))
        self.assertNoResult(work)
        self.heal()
        self.successResultOf(started(self.two.delete("1.0")))
        held.callback(None)
        self.one.settle(work)
        self.successResultOf(work)
        self.assert_whole()
        self.assertEqual(len(stored_project(self.store).files), 1)

    def test_a_change_after_a_lost_answer_costs_no_bytes(self) -> None:
        def after(operation: str, key: str) -> Deferred[None] | None:
            if (operation, key) != ("put", MANIFEST):
                return None
            self.heal()
            yank = self.two.yank("1.0", "broken")
            self.successResultOf(started(yank))
            raise StoreError(AWAY)

        self.store.after = after
        self.assertEqual(self.publish().yanked, "broken")
        self.assert_tidy()

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.sampled_from("abcd"), min_size=2, max_size=5),
        st.lists(st.integers(0, 50), max_size=80),
    )
    def test_any_interleaving(self, what: list[str], order: list[int]) -> None:
        """Whatever was acknowledged is there, whole; nothing else is named."""
        one = Domain()
        domains = [one, one.beside()]
        held = Held(one.store)
        files = {
            "a": (WHEEL, wheel()),
            "b": (WHEEL, OTHER_WHEEL),
            "c": (SDIST, sdist()),
            "d": ("acme-2.0-py3-none-any.whl", wheel(version="2.0")),
        }
        works = [
            (files[letter], started(domains[number % 2].publish(*files[letter])))
            for number, letter in enumerate(what)
        ]
        for number in order:
            if held.waiting:
                held.let_go(number)
            else:
                one.clock.advance(1)
        deferreds = [work for _, work in works]
        self.run_all(held, *deferreds, clock_of=one)
        project = stored_project(one.store)
        for (filename, data), work in works:
            status = self.outcome(work)
            file = project.file(filename)
            assert file is not None
            right = file.sha256 == sha256(data).hexdigest()
            self.assertEqual(status, None if right else 409)
        self.assertEqual(damage(one.store), [])
        self.assertEqual(data_keys(one.store), named(one.store))

    def run_all(
        self, held: Held, *works: Deferred[Project], clock_of: Domain | None = None
    ) -> None:
        """Let everything go, in turn, until all is done."""
        clock = (clock_of or self.one).clock
        for _ in range(1000):
            if all(work.called for work in works) and not held.waiting:
                return
            if held.waiting:
                held.let_go()
            else:
                clock.advance(2)
        self.fail("It does not come to an end.")

    def outcome(self, work: Deferred[Project]) -> int | None:
        """Tell the status of what was refused; None for success."""
        caught: list[int | None] = []
        work.addCallbacks(
            lambda _: caught.append(None),
            lambda failure: caught.append(failure.value.status),
        )
        return caught[0]


class CancelTests(PublishCase):
    """Clients go away; what is under way ends well, and nothing is logged."""

    def begin_until(self, operation: str, ending: str) -> Deferred[None]:
        held: Deferred[None] = Deferred()

        def before(asked: str, key: str) -> Deferred[None] | None:
            return held if asked == operation and key.endswith(ending) else None

        self.store.before = before
        self.work = started(self.one.publish(WHEEL, wheel()))
        self.assertNoResult(self.work)
        self.heal()
        self.work.cancel()
        self.failureResultOf(self.work, CancelledError)
        return held

    def test_before_the_swap_it_is_not_there(self) -> None:
        for operation, ending in (
            ("get", ".json"),
            ("commit", WHEEL),
            ("put", ".metadata"),
        ):
            self.setUp()
            self.begin_until(operation, ending)
            self.assertEqual(stored_projects(self.store), {})
            self.publish()
            self.assert_whole()

    def test_in_the_swap_it_goes_on_and_is_told(self) -> None:
        held = self.begin_until("put", ".json")
        self.assertEqual(stored_projects(self.store), {})
        held.callback(None)
        self.assert_tidy()
        self.assertEqual(self.one.steps[-1], "publish:told")
        self.assertIn(marker.KEY, self.store.objects)

    def test_the_marker_is_told_all_the_same(self) -> None:
        held = self.begin_until("put", marker.KEY)
        held.callback(None)
        self.assertEqual(self.one.steps[-1], "publish:told")
        self.assertIn(marker.KEY, self.store.objects)

    def test_a_failure_that_nobody_waits_for_disturbs_nobody(self) -> None:
        held = self.begin_until("put", ".json")
        held.errback(Conflict("refused"))
        self.publish()
        self.assert_whole()


class RemoveTests(PublishCase):
    def remove(self, version: str) -> Project:
        return self.successResultOf(started(self.one.delete(version)))

    def test_every_file_of_the_release(self) -> None:
        wheel_file, sdist_file = self.publish(), self.publish(SDIST, sdist())
        kept = self.publish("acme-2.0.tar.gz", sdist(version="2.0"))
        self.one.clock.advance(60)
        project = self.remove("1.0.0")
        self.assertEqual(project, stored_project(self.store))
        self.assertEqual(project.files, (kept,))
        self.assertEqual(
            {
                (t.filename, t.sha256, t.key, t.metadata_key, t.purged)
                for t in project.tombstones
            },
            {
                (f.filename, f.sha256, f.key, f.metadata_key, False)
                for f in (wheel_file, sdist_file)
            },
        )
        self.assertEqual(
            {t.deleted.timestamp() for t in project.tombstones}, {BEGINNING + 60}
        )
        # Readers of a page of a moment ago still find the bytes, until a sweep.
        self.assertIn(wheel_file.key, self.store.objects)

    def test_what_is_not_there(self) -> None:
        missing = started(self.one.delete("1.0"))
        error = self.failureResultOf(missing, NotFound).value
        self.assertIn("no project acme", error.message)
        self.assertEqual(self.store.objects, {})
        self.publish()
        other = started(self.one.delete("2.0"))
        error = self.failureResultOf(other, NotFound).value
        self.assertIn("no such release of acme", error.message)
        self.assertEqual(len(stored_project(self.store).files), 1)

    def test_others_hear_of_it(self) -> None:
        two = self.one.beside()
        self.publish()
        self.successResultOf(started(two.catalog.project(ACME)))
        self.remove("1.0")
        self.one.clock.advance(1)
        entry = self.successResultOf(started(two.catalog.project(ACME)))
        self.assertEqual(entry.project.files, ())

    def test_the_store_is_away(self) -> None:
        self.publish()
        self.break_store("put", ".json")
        work = started(self.one.delete("1.0"))
        self.one.settle(work)
        self.assertEqual(self.failureResultOf(work, StoreError).value.message, AWAY)
        self.assertEqual(len(stored_project(self.store).files), 1)


class YankTests(PublishCase):
    def yank(self, reason: str | None) -> File:
        work = started(self.one.yank("1.0", reason))
        return self.successResultOf(work).files[0]

    def test_with_a_reason_without_and_not_any_more(self) -> None:
        file = self.publish()
        for reason in ("broken", "", None):
            self.assertEqual(self.yank(reason), evolve(file, yanked=reason))
            self.assertEqual(stored_project(self.store).files[0].yanked, reason)

    def test_what_is_so_already_is_not_written(self) -> None:
        self.publish()
        self.yank("broken")
        swaps = self.one.manifests.swaps
        self.yank("broken")
        self.assertEqual(self.one.manifests.swaps, swaps)

    def test_an_upload_of_the_same_bytes_does_not_undo_it(self) -> None:
        self.publish()
        self.yank("broken")
        self.assertEqual(self.publish().yanked, "broken")
        self.assert_tidy()
