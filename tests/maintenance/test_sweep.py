"""A sweep removes what nothing names and no more; a verify tells what is wrong."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.stored import sweep_records
from pypicloud_tw.access.document_format import BEGUN, Contents, encode
from pypicloud_tw.access.document_format import KEY as ACCESS
from pypicloud_tw.access.tokens.records import OwnerTokens, document_key
from pypicloud_tw.access.tokens.records import encode as encode_tokens
from pypicloud_tw.access.tokens.text import owner_key
from pypicloud_tw.errors import NotFound, StoreError
from pypicloud_tw.index.admission import Claims
from pypicloud_tw.index.first_uploads import PUBLISHING
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.manifest_parts import PARTS, part_key
from pypicloud_tw.index.manifests import Change
from pypicloud_tw.index.model import HistoryEntry, Project, Selection
from pypicloud_tw.index.names import project_name
from pypicloud_tw.index.older_history import HISTORY, segment_key
from pypicloud_tw.maintenance.sweep import CLOCK, Sweeper, Swept
from pypicloud_tw.maintenance.verify import Fault, Kind, Verifier
from pypicloud_tw.store.memory import MemoryStore
from tests.builders import file, sdist, wheel
from tests.web.doubles import Domain, damage, started, stored_project

ACME = project_name("acme")
WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
DAY = 86_400.0
ORPHAN = f"acme/{'a' * 32}/{WHEEL}"


class IndexCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.store = self.domain.store

    def publish(self, filename: str = WHEEL, data: bytes | None = None) -> None:
        work = started(self.domain.publish(filename, data or wheel(), Claims()))
        self.domain.settle(work)
        self.successResultOf(work)

    def remove(self) -> None:
        work = started(self.domain.delete("1.0"))
        self.domain.settle(work)
        self.successResultOf(work)

    def sweep(self, *, dry_run: bool = False) -> Swept:
        sweeper = Sweeper(self.store, self.domain.manifests, DAY, dry_run)
        work = started(sweeper.run())
        self.domain.settle(work)
        return self.successResultOf(work)

    def project(self) -> Project:
        return stored_project(self.store, ACME)

    def later(self, seconds: float) -> None:
        self.domain.clock.advance(seconds)


class BesideTests(IndexCase):
    """Parts of manifests and segments of histories."""

    def fill(self, files: int = 1000, acts: int = 300) -> Project:
        entries = tuple(
            HistoryEntry(f"{n:016x}", datetime(2026, 1, 1, tzinfo=UTC), "yanked")
            for n in range(acts)
        )
        many = tuple(file(f"acme-{n:04}.tar.gz", version=f"{n}") for n in range(files))
        return self.change(lambda p: evolve(p, files=many, history=entries))

    def change(self, change: Change) -> Project:
        waiting = self.domain.manifests.change(ACME, change, create=True)
        self.domain.settle(waiting)
        return self.successResultOf(waiting).project

    def beside(self) -> set[str]:
        return {k for k in self.store.objects if k.startswith((PARTS, HISTORY))}

    def test_what_is_named_stays(self) -> None:
        self.fill()
        before = self.beside()
        self.later(10 * DAY)
        self.assertEqual(self.sweep().removed, [])
        self.assertEqual(self.beside(), before)

    def test_what_was_replaced_goes_when_it_is_old(self) -> None:
        self.fill()
        before = self.beside()
        self.change(
            lambda p: evolve(p, files=(evolve(p.files[0], yanked=""), *p.files[1:]))
        )
        [old] = {key for key in before if key.startswith(PARTS)} - self.parts()
        self.assertEqual(self.sweep().removed, [])
        self.later(DAY + 1)
        self.assertEqual(self.sweep(dry_run=True).removed, [old])
        self.assertIn(old, self.beside())
        self.assertEqual(self.sweep().removed, [old])
        self.assertEqual(len(self.beside()), len(before))

    def parts(self) -> set[str]:
        state = self.successResultOf(started(self.domain.manifests.read(ACME)))
        assert state.placement is not None
        return {part_key(ACME, one) for one in state.placement.ids}

    def test_what_a_lost_swap_left(self) -> None:
        project = self.fill()
        named = self.beside()
        newest = str(project.older_history)
        number = int(newest.partition("-")[0])
        orphans = {
            part_key(ACME, "a" * 32),
            segment_key(ACME, f"{number + 1:08}-{'a' * 32}"),
            segment_key(ACME, f"{number:08}-{'b' * 32}"),
            segment_key(ACME, f"{number - 1:08}-{'c' * 32}"),
        }
        for key in orphans:
            self.store.add(key, b"{}")
        self.later(DAY + 1)
        self.assertEqual(set(self.sweep().removed), orphans)
        self.assertEqual(self.beside(), named)

    def test_a_project_that_cannot_be_read_keeps_all(self) -> None:
        self.fill()
        before = self.beside()
        self.store.add(part_key(ACME, "a" * 32), b"{}")
        self.store.add(manifest_key(ACME), b"{}")
        self.later(DAY + 1)
        self.assertEqual(self.sweep().removed, [])
        del self.store.objects[manifest_key(ACME)]
        self.assertEqual(self.sweep().removed, [])
        self.assertLess(before, self.beside())

    def test_of_a_history_that_is_damaged_nothing_goes_that_it_may_name(self) -> None:
        project = self.fill()
        newest = str(project.older_history)
        number = int(newest.partition("-")[0])
        beyond = segment_key(ACME, f"{number + 1:08}-{'a' * 32}")
        self.store.add(beyond, b"{}")
        self.store.add(segment_key(ACME, f"{number - 1:08}-{'c' * 32}"), b"{}")
        self.store.add(segment_key(ACME, newest), b"{}")
        self.later(DAY + 1)
        self.assertEqual(self.sweep().removed, [beyond])

    def test_one_that_is_named_in_between(self) -> None:
        """The listing is older than the manifest that is read after it."""
        self.fill()
        self.later(DAY + 1)
        seen = self.beside()

        def name_more(operation: str, key: str) -> None:
            if operation == "list" and key == HISTORY:
                self.store.after = lambda operation, key: None
                self.change(lambda p: evolve(p, files=p.files[:-1]))

        self.store.after = name_more
        [removed] = self.sweep().removed
        self.assertIn(removed, seen)
        fresh = self.domain.beside().manifests
        self.assertEqual(
            len(self.successResultOf(started(fresh.read(ACME))).project.files), 999
        )


class SweepTests(IndexCase):
    def test_removes_orphans_that_are_old(self) -> None:
        self.publish()
        before = set(self.store.objects)
        self.store.add(ORPHAN, b"broken off")
        self.store.add(f"{ORPHAN}.metadata", b"broken off")
        self.store.add(f"never-published/{'b' * 32}/x.whl", b"broken off")
        self.store.add(f"{PUBLISHING}never-published/{'b' * 32}", b"")
        self.store.add(".probe/x/y", b"broken off")
        self.assertEqual(self.sweep().removed, [])
        self.later(DAY + 1)
        self.assertEqual(len(self.sweep().removed), 4)
        self.assertEqual(set(self.store.objects) - {CLOCK}, before)

    def test_records_that_were_kept_long_enough(self) -> None:
        old, new = (
            f".audit/2026-02-{day}/a/000000-000001.jsonl" for day in ("20", "27")
        )
        for key in (old, new):
            self.store.add(key, b"{}\n")
        for dry_run in (True, False):
            sweeper = Sweeper(
                self.store,
                self.domain.manifests,
                DAY,
                dry_run,
                others=(partial(sweep_records, keep=3 * DAY),),
            )
            swept = self.successResultOf(started(sweeper.run()))
            self.assertEqual(swept.removed, [old])
            self.assertEqual(old in self.store.objects, dry_run)
        self.assertIn(new, self.store.objects)

    def test_leaves_what_is_not_ours(self) -> None:
        others = {"acme-2.0.tar.gz", "acme/acme-2.0.tar.gz", "notes/2020/plan.txt"}
        for key in others:
            self.store.add(key, b"theirs")
        self.later(10 * DAY)
        self.assertEqual(self.sweep().removed, [])
        self.assertLessEqual(others, set(self.store.objects))

    def test_leaves_who_may_do_what(self) -> None:
        kept = {ACCESS, BEGUN, f".access/tokens/{'a' * 32}.json"}
        for key in kept:
            self.store.add(key, b"{}")
        self.later(10 * DAY)
        self.assertEqual(self.sweep().removed, [])
        self.assertLessEqual(kept, set(self.store.objects))

    def test_a_dry_run_only_tells(self) -> None:
        self.publish()
        self.store.add(ORPHAN, b"broken off")
        self.later(DAY + 1)
        self.assertEqual(self.sweep(dry_run=True).removed, [ORPHAN])
        self.assertIn(ORPHAN, self.store.objects)

    def test_a_dry_run_counts_unfinished_uploads(self) -> None:
        asked: list[bool] = []

        async def abandon(before: datetime, *, dry_run: bool = False) -> int:
            asked.append(dry_run)
            return 3

        self.patch(MemoryStore, "abandon_uploads", staticmethod(abandon))
        self.assertEqual(self.sweep(dry_run=True).unfinished, 3)
        self.assertEqual(self.sweep().unfinished, 3)
        self.assertEqual(asked, [True, False])

    def test_a_damaged_manifest_keeps_its_project_only(self) -> None:
        """It may name anything, so nothing of that project is touched."""
        self.publish()
        kept = f"other/{'c' * 32}/other-1.0.tar.gz"
        for key in (ORPHAN, kept, ".index/other.json"):
            self.store.add(key, b"{}")
        self.later(DAY + 1)
        swept = self.sweep()
        self.assertEqual(swept.removed, [ORPHAN])
        self.assertIn(kept, self.store.objects)
        [left] = swept.left
        self.assertIn("The manifest of other is damaged", left)

    def test_a_newer_format_keeps_its_project(self) -> None:
        """It may name files where this version does not look."""
        self.publish()
        kept = set(self.store.objects)
        manifest = self.store.objects[manifest_key(ACME)].data
        newer = manifest.replace(b'"_format":1', b'"_format":9')
        self.store.add(manifest_key(ACME), newer.replace(b'"files"', b'"more_files"'))
        self.later(DAY + 1)
        swept = self.sweep()
        self.assertEqual((swept.removed, swept.purged), ([], []))
        self.assertLessEqual(kept, set(self.store.objects))

    def test_what_is_named_while_it_sweeps_is_left(self) -> None:
        """Objects are listed first and manifests read after, never the other way."""
        self.publish(SDIST, sdist())
        self.later(DAY + 1)
        named = self.project().files[0].key
        first_get = next(
            i for i, call in enumerate(self.calls_of_a_sweep()) if call[0] == "get"
        )
        listed = self.calls_of_a_sweep().index(("list", ""))
        self.assertLess(listed, first_get)
        self.assertIn(named, self.store.objects)

    def calls_of_a_sweep(self) -> list[tuple[str, str]]:
        before = len(self.store.calls)
        self.sweep()
        return self.store.calls[before:]

    def test_purges_what_was_removed_long_enough_ago(self) -> None:
        self.publish()
        [file] = self.project().files
        self.remove()
        self.assertEqual(self.sweep().purged, [])
        self.assertIn(file.key, self.store.objects)
        self.later(DAY + 1)
        self.assertEqual(self.sweep().purged, [file.key, file.metadata_key])
        self.assertNotIn(file.key, self.store.objects)
        [tombstone] = self.project().tombstones
        self.assertTrue(tombstone.purged)
        self.assertEqual(self.sweep().purged, [])

    def test_keeps_what_can_be_restored(self) -> None:
        self.publish()
        keys = set(self.project().files[0].keys)
        self.remove()
        for days, purged in ((5, []), (3, [*self.project().tombstones[0].keys])):
            self.later(days * DAY)
            sweeper = Sweeper(
                self.store, self.domain.manifests, DAY, restore_for=7 * DAY
            )
            self.assertEqual(
                self.successResultOf(started(sweeper.run())).purged, purged
            )
        self.assertEqual(keys & set(self.store.objects), set())
        [tombstone] = self.project().tombstones
        self.assertIsNone(tombstone.file)

    def test_whoever_swaps_first_wins(self) -> None:
        """What is restored while a sweep is about to purge it stays."""
        for first in ("restore", "purge"):
            self.domain = Domain()
            self.store = self.domain.store
            self.publish()
            keys = set(self.project().files[0].keys)
            self.remove()
            self.later(2 * DAY)
            held: Deferred[None] = Deferred()
            manifest = ("put", manifest_key(ACME))

            def before(
                operation: str,
                key: str,
                held: Deferred[None] = held,
                manifest: tuple[str, str] = manifest,
            ) -> Deferred[None] | None:
                return held if (operation, key) == manifest else None

            restore = self.domain.beside().index.acts.restore
            sweeper = Sweeper(self.store, self.domain.manifests, DAY)
            self.store.before = before
            if first == "restore":
                swept = started(sweeper.run())
                self.store.before = lambda operation, key: None
                restored: Deferred[Any] = started(restore(ACME, Selection("1.0")))
            else:
                restored = started(restore(ACME, Selection("1.0")))
                self.store.before = lambda operation, key: None
                swept = started(sweeper.run())
            held.callback(None)
            self.domain.settle(restored)
            self.domain.settle(swept)
            self.assertEqual(damage(self.store), [])
            if first == "restore":
                self.successResultOf(restored)
                self.assertEqual(self.successResultOf(swept).purged, [])
                self.assertEqual(len(self.project().files), 1)
                self.assertLessEqual(keys, set(self.store.objects))
            else:
                error = self.failureResultOf(restored, NotFound).value
                self.assertIn("a sweep has removed its bytes", error.message)
                self.assertEqual(keys & set(self.store.objects), set())

    def test_what_is_restored_and_deleted_anew_meanwhile_has_its_time(self) -> None:
        self.publish()
        keys = set(self.project().files[0].keys)
        self.remove()
        self.later(2 * DAY)
        held: Deferred[None] = Deferred()
        manifest = ("put", manifest_key(ACME))
        self.store.before = lambda operation, key: (
            held if (operation, key) == manifest else None
        )
        swept = started(Sweeper(self.store, self.domain.manifests, DAY).run())
        self.store.before = lambda operation, key: None
        other = self.domain.beside()
        acts = other.index.acts
        for act in (acts.restore, acts.delete):
            work: Deferred[Any] = started(act(ACME, Selection("1.0")))
            self.domain.settle(work)
            self.successResultOf(work)
        held.callback(None)
        self.domain.settle(swept)
        self.assertEqual(self.successResultOf(swept).purged, [])
        self.assertLessEqual(keys, set(self.store.objects))
        [tombstone] = self.project().tombstones
        self.assertFalse(tombstone.purged)

    def test_says_purged_before_it_removes(self) -> None:
        self.publish()
        [file] = self.project().files
        self.remove()
        self.later(DAY + 1)
        purged: list[bool] = []

        def before(operation: str, key: str) -> None:
            if (operation, key) == ("delete", file.key):
                purged.append(self.project().tombstones[0].purged)

        self.store.before = before
        self.sweep()
        self.assertEqual(purged, [True])

    def test_a_file_that_came_back_is_left(self) -> None:
        self.publish()
        self.remove()
        self.publish()
        [file] = self.project().files
        self.later(DAY + 1)
        self.sweep()
        self.assertIn(file.key, self.store.objects)
        self.assertEqual(self.project().files, (file,))

    def test_an_adopted_file_stays_where_its_owner_put_it(self) -> None:
        self.publish()
        work = started(
            self.domain.publisher.change(
                ACME,
                lambda p: evolve(
                    p, files=tuple(evolve(f, key="mine/acme.whl") for f in p.files)
                ),
            )
        )
        self.domain.settle(work)
        self.store.add("mine/acme.whl", b"theirs")
        self.remove()
        self.later(DAY + 1)
        self.sweep()
        self.assertIn("mine/acme.whl", self.store.objects)


class LostTests(IndexCase):
    """A project that has lost its manifest is a loss, and not a heap of orphans."""

    def lose(self) -> set[str]:
        self.publish()
        self.later(DAY + 1)
        del self.store.objects[manifest_key(ACME)]
        return {key for key in self.store.objects if key.startswith("acme/")}

    def test_nothing_of_it_is_touched(self) -> None:
        kept = self.lose()
        for dry_run in (True, False):
            swept = self.sweep(dry_run=dry_run)
            self.assertEqual(swept.removed, [])
            [left] = swept.left
            self.assertIn("pypicloud rebuild acme", left)
        self.assertLessEqual(kept, set(self.store.objects))

    def test_a_first_upload_that_was_broken_off_is_swept(self) -> None:
        self.domain.publisher.checkpoint = self.die
        work = started(self.domain.publish(WHEEL, wheel(), Claims()))
        self.failureResultOf(work, ZeroDivisionError)
        self.assertIn(f"{ACME}/", str(list(self.store.objects)))
        self.later(DAY + 1)
        self.assertEqual(len(self.sweep().removed), 1)

    def test_and_may_be_repeated(self) -> None:
        self.domain.publisher.checkpoint = self.die
        work = started(self.domain.publish(WHEEL, wheel(), Claims()))
        self.failureResultOf(work, ZeroDivisionError)
        self.domain = self.domain.beside()
        self.publish()
        [file] = self.project().files
        self.later(DAY + 1)
        self.assertEqual(len(self.sweep().removed), 1)
        self.assertIn(file.key, self.store.objects)

    at = "publish:file"

    def die(self, step: str) -> None:
        if step == self.at:
            raise ZeroDivisionError

    def test_of_a_store_that_knows_nothing_of_first_uploads(self) -> None:
        """One that was made before they were told."""
        self.store.add(ORPHAN, wheel())
        self.later(DAY + 1)
        swept = self.sweep()
        self.assertEqual((swept.removed, len(swept.left)), ([], 1))
        self.assertIn("pypicloud rebuild acme", swept.left[0])

    def test_one_that_was_broken_off_beside_what_was_lost(self) -> None:
        kept = self.lose()
        folder = ORPHAN.rpartition("/")[0]
        self.store.add(ORPHAN, b"broken off")
        self.store.add(f"{PUBLISHING}{folder}", b"")
        self.later(DAY + 1)
        self.assertEqual(self.sweep().removed, [ORPHAN])
        self.assertLessEqual(kept, set(self.store.objects))
        self.assertEqual(self.told(), [])

    def test_a_manifest_that_is_lost_before_its_upload_has_ended(self) -> None:
        """Whether it was written is not known any more."""
        for step in ("publish:swapped", "publish:told"):
            self.setUp()
            self.at = step
            self.domain.publisher.checkpoint = self.die
            work = started(self.domain.publish(WHEEL, wheel(), Claims()))
            self.failureResultOf(work, ZeroDivisionError)
            del self.store.objects[manifest_key(ACME)]
            self.later(DAY + 1)
            swept = self.sweep()
            self.assertEqual(swept.removed, [], step)
            self.assertIn("upload it again, or let its operator", swept.in_doubt[0])
            self.assertEqual(len(self.told()), 1)

    def told(self) -> list[str]:
        return [key for key in self.store.objects if key.startswith(PUBLISHING)]

    def test_what_tells_of_an_upload_ends_with_it(self) -> None:
        self.at = "publish:swapped"
        self.domain.publisher.checkpoint = self.die
        work = started(self.domain.publish(WHEEL, wheel(), Claims()))
        self.failureResultOf(work, ZeroDivisionError)
        self.assertEqual(len(self.told()), 1)
        self.sweep(dry_run=True)
        self.assertEqual(len(self.told()), 1)
        self.sweep()
        self.assertEqual(self.told(), [])

    def test_what_tells_of_one_that_may_go_on_stays(self) -> None:
        folder = ORPHAN.rpartition("/")[0]
        self.store.add(f"{PUBLISHING}{folder}", b"")
        self.sweep()
        self.assertEqual(len(self.told()), 1)
        self.later(DAY + 1)
        self.sweep()
        self.assertEqual(self.told(), [])


class VerifyTests(IndexCase):
    def faults(self, *, deep: bool = False) -> list[Fault | None]:
        work: Awaitable[list[Fault | None]] = started(self.collect(deep=deep))
        return self.successResultOf(work)  # type: ignore[arg-type]  # a Deferred

    async def collect(self, *, deep: bool = False) -> list[Fault | None]:
        domain = self.domain
        verifier = Verifier(self.store, domain.manifests, domain.offload, deep)
        return [fault async for fault in verifier.faults()]

    def problem(self, *, deep: bool = False) -> str:
        [fault] = self.faults(deep=deep)
        assert fault is not None
        self.assertEqual((fault.project, fault.filename), ("acme", WHEEL))
        return fault.problem

    def replace(self, key: str | None, data: bytes) -> None:
        assert key is not None
        self.store.add(key, data)

    def test_all_is_well(self) -> None:
        self.publish()
        self.publish(SDIST, sdist())
        self.assertEqual(self.faults(deep=True), [None, None])

    def test_a_part_of_a_manifest_or_of_a_history(self) -> None:
        many = tuple(file(f"acme-{n:04}.tar.gz", version=f"{n}") for n in range(300))
        entries = tuple(
            HistoryEntry(f"{n:016x}", datetime(2026, 1, 1, tzinfo=UTC), "yanked")
            for n in range(300)
        )
        work = self.domain.manifests.change(
            ACME, lambda p: evolve(p, files=many, history=entries), create=True
        )
        self.domain.settle(work)
        newest, *_ = sorted(
            (k for k in self.store.objects if k.startswith(HISTORY)), reverse=True
        )
        self.store.add(newest, b"{}")
        told = {f.key: f for f in self.faults() if f is not None}
        self.assertIn(newest, told[f"{HISTORY}acme/"].problem)
        part = next(k for k in self.store.objects if k.startswith(PARTS))
        del self.store.objects[part]
        self.domain = self.domain.beside()  # this one knows it
        told = {f.key: f for f in self.faults() if f is not None}
        self.assertIn(f"restore {part}", told[manifest_key(ACME)].problem)
        self.assertIs(told[manifest_key(ACME)].kind, Kind.WRONG)

    def test_the_access_document(self) -> None:
        self.publish()
        self.store.add(BEGUN, b"")
        [file, fault] = self.faults()
        self.assertIsNone(file)
        self.assertEqual(
            str(fault).partition(": restore")[0],
            f"the access document ({ACCESS}): The access document is gone",
        )
        self.store.add(ACCESS, b"{")
        [_, fault] = self.faults()
        assert fault is not None
        self.assertIn("from a backup. (JSONDecodeError)", fault.problem)
        self.assertIs(fault.kind, Kind.WRONG)
        self.store.add(ACCESS, encode(Contents()))
        self.assertEqual(self.faults(), [None])

        def cut(operation: str, key: str) -> None:
            if key == ACCESS:
                raise StoreError("The line was cut.")

        self.store.before = cut
        [_, fault] = self.faults()
        assert fault is not None
        self.assertIs(fault.kind, Kind.UNSEEN)

    def test_the_documents_of_tokens(self) -> None:
        ann, bob = (document_key(owner_key(owner)) for owner in ("ann", "bob"))
        self.store.add(ann, encode_tokens(OwnerTokens("ann")))
        self.store.add(".access/tokens/README", b"somebody's note")
        self.assertEqual(self.faults(), [])
        self.store.add(bob, encode_tokens(OwnerTokens("ann")))
        [fault] = self.faults()
        assert fault is not None
        self.assertEqual((fault.project, fault.key), ("tokens", bob))
        self.assertIn(f"in {bob} are damaged", fault.problem)
        self.assertIs(fault.kind, Kind.WRONG)

        def cut(operation: str, key: str) -> None:
            if (operation, key) == ("get", ann):
                raise StoreError("The line was cut.")

        self.store.before = cut
        kinds = {fault.key: fault.kind for fault in self.faults() if fault is not None}
        self.assertEqual(kinds, {ann: Kind.UNSEEN, bob: Kind.WRONG})

    def test_what_is_gone_short_or_other(self) -> None:
        self.publish()
        [file] = self.project().files
        whole = self.store.objects[file.key].data
        self.replace(file.key, whole[:-1])
        self.assertIn("bytes and not", self.problem())
        self.replace(file.key, b"x" + whole[1:])
        self.assertEqual(self.faults(), [None])
        self.assertIn("another SHA-256", self.problem(deep=True))
        del self.store.objects[file.key]
        self.assertEqual(self.problem(), "it is not in the store")

    def test_core_metadata_is_looked_at_too(self) -> None:
        self.publish()
        [file] = self.project().files
        self.replace(file.metadata_key, b"other")
        self.assertIn("core metadata has another", self.problem())

    def test_a_file_that_cannot_be_read_is_a_fault_and_not_the_end(self) -> None:
        self.publish()
        self.publish(SDIST, sdist())
        self.store.fail_next("head", StoreError("S3 refuses access."))
        told = [fault.problem for fault in self.faults() if fault is not None]
        self.assertEqual(told, ["S3 refuses access."])

    def test_a_store_that_is_away_is_no_fault(self) -> None:
        """Nothing is known of what it keeps."""
        self.publish()
        for operation in ("get", "head"):
            self.store.fail_next(operation, StoreError("away"))
            self.store.fail_next("ping", StoreError("away"))
            work = started(self.collect())
            self.failureResultOf(work, StoreError)

    def test_digests_take_no_room_on_disk(self) -> None:
        self.publish()
        self.faults(deep=True)
        self.assertNotIn("_open_temporary", self.domain.offload.threaded)

    def test_a_damaged_manifest_is_a_fault_and_not_the_end(self) -> None:
        self.publish()
        self.store.add(".index/other.json", b"{}")
        self.publish(SDIST, sdist())
        wrong = [fault for fault in self.faults() if fault is not None]
        self.assertEqual([fault.project for fault in wrong], ["other"])
        self.assertIn("damaged", wrong[0].problem)

    def test_what_makes_a_name_ours_and_is_not_served(self) -> None:
        self.publish()
        self.publish("other-1.0.tar.gz", sdist("other"))
        del self.store.objects[manifest_key(ACME)]
        self.store.add("beta-1.0-py3-none-any.whl", b"")
        self.store.add("README", b"")
        wrong = [fault for fault in self.faults() if fault is not None]
        told = {fault.project: fault.problem for fault in wrong}
        self.assertEqual(set(told), {"acme", "beta"})
        self.assertIn("pypicloud rebuild acme", told["acme"])
        self.assertIn("pypicloud refresh", told["beta"])
        kinds = {fault.project: fault.kind for fault in wrong}
        self.assertEqual(kinds, {"acme": Kind.WRONG, "beta": Kind.UNSERVED})
        self.assertEqual(str(wrong[1]), f"beta (.index/beta.json): {wrong[1].problem}")

    def test_what_could_not_be_looked_at(self) -> None:
        self.publish()
        self.store.fail_next("head", StoreError("S3 refuses access."))
        [fault] = self.faults()
        assert fault is not None
        self.assertIs(fault.kind, Kind.UNSEEN)
        self.store.fail_next("get", StoreError("S3 refuses access."))
        [fault] = self.faults()
        assert fault is not None
        self.assertIs(fault.kind, Kind.UNSEEN)
