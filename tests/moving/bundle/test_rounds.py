"""Bundles from one store to another: in order, out of order, twice."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import Conflict, PayloadTooLarge, StoreError
from pypicloud_tw.index.model import ProjectStatus, Selection
from pypicloud_tw.index.names import project_name
from pypicloud_tw.moving.bundle.arrived import MOST_TAKEN, Arrived, StoredArrived
from pypicloud_tw.moving.bundle.identity import KEY
from pypicloud_tw.moving.bundle.tar import open_bundle, read_list
from pypicloud_tw.moving.bundle.values import BundleIndex
from pypicloud_tw.moving.report import Progress
from pypicloud_tw.moving.sources.bundle import BundleBody
from pypicloud_tw.upstream.prepare import unpack
from tests.moving.bundle.doubles import Side, whl

ACME = project_name("acme")


class RoundsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.out, self.room = Side(), Side()
        self.number = 0

    def bundle(self, *patterns: str, since: int | None = None) -> Path:
        """Pack what changed since the last one, or since another."""
        last = self.number if since is None else since
        before = self.path(last) if last else None
        self.number += 1
        self.out.pack(self.path(self.number), before, *patterns)
        return self.path(self.number)

    def path(self, number: int) -> Path:
        return self.folder / f"{number}.tar"

    def refused(self, path: Path) -> str:
        before = dict(self.room.domain.store.objects)
        told = str(self.assertRaises(Conflict, self.room.take, path))
        self.assertEqual(self.room.domain.store.objects, before)
        return told

    def left_alone(self, path: Path) -> None:
        """Assert that a later state is known in the room."""
        before = self.room.project()
        report = self.room.take(path)
        self.assertEqual(self.room.project(), before)
        (remark,) = report.remarks
        self.assertIn("a later state of it was taken here", remark.why)
        self.assertEqual((remark.project, report.exit_code), ("acme", 1))

    def whole(self) -> Path:
        """Pack everything, as the first of a chain."""
        return self.bundle(since=0)

    def records(self) -> list[str]:
        return [key for key in self.room.keys if key.startswith(".bundles/")]

    def damaged(self, path: Path) -> Path:
        """Make another of a bundle, whose largest member has other bytes."""
        opened = open_bundle(path)
        member = max(opened.index.members, key=lambda one: one.size)
        start, size = opened.places[member.sha256]
        data = path.read_bytes()
        other = path.with_suffix(".damaged.tar")
        other.write_bytes(data[:start] + b"x" * size + data[start + size :])
        return other


class OwnTests(RoundsCase):
    def test_what_arrives(self) -> None:
        data = self.out.publish()
        self.out.wait(self.out.domain.yank("1.0", "broken"))
        report = self.room.take(self.bundle())
        (file,), (sent,) = self.room.project().files, self.out.project().files
        self.assertEqual(file.sha256, sha256(data).hexdigest())
        self.assertEqual(file.upload_time, sent.upload_time)
        self.assertEqual((file.yanked, file.uploader), ("broken", "ann"))
        self.assertEqual((report.total("taken"), report.exit_code), (1, 0))

    def test_only_what_is_new(self) -> None:
        self.out.publish("1.0")
        first = self.bundle()
        new = self.out.publish("2.0")
        second = self.bundle()
        (member,) = open_bundle(second).index.members
        self.assertEqual(member.sha256, sha256(new).hexdigest())
        self.room.take(first)
        self.room.take(second)
        self.assertEqual(self.room.names(), [whl("1.0"), whl("2.0")])

    def test_again(self) -> None:
        self.out.publish()
        first = self.bundle()
        self.room.take(first)
        project = self.room.project()
        report = self.room.take(first)
        self.assertEqual((report.total("taken"), report.total("there")), (0, 1))
        self.assertEqual(self.room.project(), project)

    def test_a_gap(self) -> None:
        self.out.publish("1.0")
        self.room.take(self.bundle())
        self.out.publish("2.0")
        self.bundle()
        self.out.publish("3.0")
        self.bundle()
        self.out.publish("4.0")
        told = self.refused(self.bundle())
        self.assertIn("Bundle 4 follows 3, and 1 is here: 2, 3 are missing", told)
        self.assertIn("(2 files", told)
        self.room.take(self.path(2))
        self.assertIn("and 2 is here: 3 is missing", self.refused(self.path(4)))
        self.room.take(self.path(3))
        self.room.take(self.path(4))
        self.assertEqual(len(self.room.names()), 4)

    def test_a_gap_from_the_start(self) -> None:
        self.out.publish("1.0")
        self.bundle()
        self.out.publish("2.0")
        told = self.refused(self.bundle())
        self.assertIn("none was taken here: 1 is missing", told)

    def test_a_gap_without_a_file(self) -> None:
        """All that it tells of is there: nothing is lost."""
        self.out.publish("1.0")
        self.room.take(self.bundle())
        self.bundle()
        self.out.publish("2.0")
        self.room.take(self.bundle())
        self.assertEqual(len(self.room.names()), 2)

    def test_a_lost_bundle_is_made_again(self) -> None:
        self.out.publish("1.0")
        self.room.take(self.bundle())
        self.out.publish("2.0")
        self.bundle()  # is lost on its way
        self.room.take(self.bundle(since=1))
        self.assertEqual(len(self.room.names()), 2)

    def test_an_older_one(self) -> None:
        self.out.publish("1.0")
        first = self.bundle()
        self.room.take(first)
        self.out.wait(self.out.domain.yank("1.0", "broken"))
        self.room.take(self.bundle())
        self.left_alone(first)

    def test_a_clock_that_was_set_back(self) -> None:
        """The next one is the next one, whatever it says about when it was made."""
        self.out.publish("1.0")
        self.room.take(self.bundle())
        self.out.publish("2.0")
        self.out.clock.rightNow -= 10**6
        self.room.take(self.bundle())
        self.assertEqual(len(self.room.names()), 2)

    def test_what_is_done_with_releases(self) -> None:
        self.out.publish("1.0")
        self.out.publish("2.0")
        self.room.take(self.bundle())
        acts = self.out.domain.index.acts
        self.out.wait(self.out.domain.yank("1.0", "broken"))
        self.out.wait(self.out.domain.delete("2.0"))
        self.out.wait(acts.set_status(ACME, "deprecated", "use other"))
        self.room.take(self.bundle())
        project = self.room.project()
        self.assertEqual([f.yanked for f in project.files], ["broken"])
        self.assertEqual(
            (project.status, project.status_reason), ("deprecated", "use other")
        )
        self.assertEqual(project.history[-1].who, "root (command)")
        # And back.
        self.out.wait(self.out.domain.yank("1.0", None))
        self.out.wait(acts.restore(ACME, Selection("2.0")))
        self.out.wait(acts.set_status(ACME, "active"))
        report = self.room.take(self.bundle())
        project = self.room.project()
        self.assertEqual([f.yanked for f in project.files], [None, None])
        self.assertEqual(project.status, "active")
        self.assertEqual(report.exit_code, 0)

    def reopened(self, status: ProjectStatus) -> None:
        """Assert that what comes with the opening of a project is taken with it."""
        acts = self.out.domain.index.acts
        self.out.publish("1.0")
        self.out.wait(acts.set_status(ACME, status))
        self.room.take(self.bundle())
        self.out.wait(acts.set_status(ACME, "active"))
        self.out.publish("2.0")
        report = self.room.take(self.bundle())
        self.assertEqual(report.exit_code, 0, report.remarks)
        self.assertEqual(self.room.names(), [whl("1.0"), whl("2.0")])
        self.assertEqual(self.room.project().status, "active")

    def test_a_project_that_was_archived(self) -> None:
        self.reopened("archived")

    def test_a_project_that_was_quarantined(self) -> None:
        self.reopened("quarantined")

    def test_what_is_in_quarantine(self) -> None:
        """It goes nowhere, and what is in the room is closed."""
        acts = self.out.domain.index.acts
        self.out.publish("1.0")
        self.room.take(self.bundle())
        self.out.publish("2.0")
        self.out.wait(acts.set_status(ACME, "quarantined", "malware"))
        second = self.bundle()
        self.assertEqual(open_bundle(second).index.members, ())
        self.room.take(second)
        self.assertEqual(self.room.project().status, "quarantined")
        self.assertEqual(self.room.names(), [whl("1.0")])

    def test_what_was_decided_here_stays(self) -> None:
        self.out.publish("1.0")
        self.out.publish("2.0")
        self.room.take(self.bundle())
        acts = self.room.domain.index.acts
        self.room.wait(self.room.domain.yank("1.0", "not here"))
        self.room.wait(self.room.domain.delete("2.0"))
        self.room.wait(acts.set_status(ACME, "deprecated"))
        self.out.publish("3.0")
        self.room.take(self.bundle())
        project = self.room.project()
        told = {file.filename: file.yanked for file in project.files}
        self.assertEqual(told, {whl("1.0"): "not here", whl("3.0"): None})
        self.assertEqual(project.status, "deprecated")

    def test_projects_by_pattern(self) -> None:
        self.out.publish(name="acme")
        self.out.publish(name="other")
        self.room.take(self.bundle("ac*"))
        self.assertEqual(self.room.names(), [whl("1.0")])
        told = self.assertRaises(Conflict, self.bundle).message
        self.assertIn("made of other projects", told)

    def test_a_part_is_not_the_whole(self) -> None:
        """Who takes a part of a bundle can still take the rest."""
        self.out.publish(name="acme")
        self.out.publish(name="other")
        first = self.bundle()
        self.out.publish("2.0")
        second = self.bundle()
        self.room.take(first, "acme")
        self.assertIn("1 is missing", self.refused(second))
        self.room.take(first)
        self.assertEqual(self.room.names("other"), [whl("1.0", "other")])
        self.room.take(second)

    def test_a_part_is_remembered(self) -> None:
        self.out.publish()
        self.room.take(self.whole(), "acme")
        self.out.wait(self.out.domain.delete("1.0"))
        self.room.take(self.whole(), "acme")
        self.assertEqual(self.room.names(), [])

    def test_dry_run(self) -> None:
        self.out.publish()
        packed = self.out.pack(self.path(1), dry_run=True)
        self.assertEqual((packed.files, packed.sha256), (1, None))
        self.assertEqual(list(self.folder.iterdir()), [])
        first = self.bundle()
        report = self.room.take(first, dry_run=True)
        self.assertEqual(report.total("taken"), 1)
        self.assertEqual(self.room.keys, [])

    def test_a_damaged_store(self) -> None:
        """What is not as it should be goes into no bundle."""
        self.out.publish()
        store, file = self.out.domain.store, self.out.project().files[0]
        self.out.wait(store.put(file.key, b"x" * file.size))
        told = self.assertRaises(StoreError, self.bundle).message
        self.assertIn("verify --deep", told)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_what_goes_away_meanwhile(self) -> None:
        """A quarantine moves objects: there is no bundle, and the next try has none."""
        acts, out = self.out.domain.index.acts, self.out
        for version in ("1.0", "2.0"):
            out.publish(version)

        class Told(list[Progress]):
            def append(self, progress: Progress) -> None:
                if progress.done == 1:
                    out.wait(acts.set_status(ACME, "quarantined"))

        out.told = Told()
        told = self.assertRaises(StoreError, self.bundle).message
        self.assertIn("or moved into quarantine, since this began", told)
        self.assertEqual(list(self.folder.iterdir()), [])
        out.pack(self.path(1))
        self.assertEqual(open_bundle(self.path(1)).index.members, ())

    def test_equal_bundles(self) -> None:
        self.out.publish()
        self.out.pack(self.path(1))
        self.out.clock.advance(-60)
        self.out.pack(self.path(2))
        first, second = self.path(1).read_bytes(), self.path(2).read_bytes()
        self.assertEqual(first, second)

    def test_the_list_beside_it(self) -> None:
        self.out.publish()
        packed = self.out.pack(self.path(1))
        self.assertEqual(packed.sha256, sha256(self.path(1).read_bytes()).hexdigest())
        self.assertEqual(packed.size, self.path(1).stat().st_size)
        self.assertEqual(packed.list, Path(f"{self.path(1)}.json"))
        self.assertEqual(read_list(packed.list), read_list(self.path(1)))


class WholeTests(RoundsCase):
    """Bundles of other chains, and of other indexes."""

    def test_an_older_whole_one(self) -> None:
        """It deletes nothing again, and brings back nothing."""
        self.out.publish("1.0")
        self.out.publish("2.0")
        self.out.wait(self.out.domain.delete("2.0"))
        self.out.wait(self.out.domain.yank("1.0", "broken"))
        older = self.whole()
        self.out.wait(self.out.domain.index.acts.restore(ACME, Selection("2.0")))
        self.out.wait(self.out.domain.yank("1.0", None))
        self.room.take(self.whole())
        self.assertEqual(self.room.names(), [whl("1.0"), whl("2.0")])
        self.left_alone(older)

    def test_the_rest_of_an_older_one(self) -> None:
        """What has not changed since is taken: it may have been refused then."""
        self.out.publish(name="other")
        self.out.publish()
        older = self.whole()
        self.out.wait(self.out.domain.yank("1.0", "broken"))
        self.room.take(self.whole(), "acme")
        self.left_alone(older)
        self.assertEqual(self.room.names("other"), [whl("1.0", "other")])

    def test_what_a_newer_whole_one_changes(self) -> None:
        """It is compared with what came last, of whatever chain."""
        self.out.publish("1.0")
        self.out.publish("2.0")
        self.out.wait(self.out.domain.yank("1.0", "broken"))
        self.room.take(self.whole())
        self.out.wait(self.out.domain.yank("1.0", None))
        self.out.wait(self.out.domain.delete("2.0"))
        report = self.room.take(self.whole())
        self.assertEqual([f.yanked for f in self.room.project().files], [None])
        self.assertEqual(report.exit_code, 0)
        self.assertEqual(len(self.records()), 1)

    def test_a_chain_that_is_gone_on_with(self) -> None:
        """After a whole one that was taken for a lost bundle."""
        self.out.publish("1.0")
        self.room.take(self.bundle())
        self.out.publish("2.0")
        self.bundle()  # is lost on its way
        self.room.take(self.whole())
        self.out.publish("3.0")
        self.room.take(self.bundle(since=2))
        self.assertEqual(len(self.room.names()), 3)

    def test_what_no_bundle_has_brought(self) -> None:
        """It is not deleted because it once was elsewhere."""
        self.out.publish()
        self.out.wait(self.out.domain.delete("1.0"))
        self.room.publish()
        self.room.take(self.whole())
        self.assertEqual(self.room.names(), [whl("1.0")])

    def test_one_that_was_ended(self) -> None:
        """What it brought before its end is known to the next one."""
        self.out.publish()
        self.out.keep()  # whose wheel is larger
        self.room.take(self.damaged(self.whole()))
        self.assertEqual(self.room.names(), [whl("1.0")])
        self.out.wait(self.out.domain.delete("1.0"))
        self.room.take(self.whole())
        self.assertEqual(self.room.names(), [])

    def test_of_two_indexes(self) -> None:
        other = Side(clock=self.out.clock)
        self.out.publish("1.0")
        other.publish("5.0")
        path = self.folder / "other.tar"
        other.pack(path)
        self.room.take(path)
        self.room.take(self.whole())
        self.assertEqual(self.room.names(), [whl("1.0"), whl("5.0")])
        self.assertEqual(len(self.records()), 2)
        told = str(self.assertRaises(Conflict, other.pack, path, self.path(1)))
        self.assertIn("was made of another index", told)

    def test_of_this_index_itself(self) -> None:
        """What it says may have been changed since."""
        self.out.publish()
        first = self.whole()
        self.out.wait(self.out.domain.yank("1.0", "broken"))
        told = str(self.assertRaises(Conflict, self.out.take, first))
        self.assertIn("made of this very index", told)

    def test_side_by_side(self) -> None:
        """Who remembers what came has seen all that did."""
        store = self.room.domain.store
        first, second = (
            self.room.wait(StoredArrived.read(store, "0" * 32)) for _ in range(2)
        )
        first = self.room.wait(first.write(Arrived()))
        with self.assertRaisesRegex(Conflict, "Take one at a time"):
            self.room.wait(second.write(Arrived()))
        self.room.wait(first.write(Arrived()))

    def test_how_many_are_remembered(self) -> None:
        index, arrived = BundleIndex(datetime(2026, 3, 1, tzinfo=UTC), 1), Arrived()
        for number in range(1, MOST_TAKEN + 2):
            arrived = arrived.with_bundle(evolve(index, number=number).named())
        self.assertEqual(len(arrived.taken), MOST_TAKEN)
        self.assertEqual(arrived.taken[-1].number, MOST_TAKEN + 1)

    def test_damaged_objects(self) -> None:
        self.out.publish()
        self.room.take(self.whole())
        (record,) = self.records()
        self.room.wait(self.room.domain.store.put(record, b"{"))
        told = str(self.assertRaises(StoreError, self.room.take, self.whole()))
        self.assertIn(f"The object {record} is damaged", told)
        self.out.wait(self.out.domain.store.put(KEY, b"x"))
        told = str(self.assertRaises(StoreError, self.whole))
        self.assertIn(f"The object {KEY} is damaged", told)


class DamagedTests(RoundsCase):
    def test_a_file(self) -> None:
        """It is not taken for one that a rule refused: a whole bundle brings it."""
        self.out.publish()
        first = self.bundle()
        report = self.room.take(self.damaged(first))
        self.assertEqual((report.damaged, report.exit_code), (True, 2))
        self.assertEqual(report.remarks[0].trouble, "failed")
        self.assertEqual(self.room.take(first).exit_code, 0)
        self.assertEqual(self.room.names(), [whl("1.0")])

    def test_it_is_not_tried_again(self) -> None:
        self.out.publish()
        before = self.room.clock.seconds()
        self.room.take(self.damaged(self.bundle()))
        self.assertLess(self.room.clock.seconds() - before, 2)


class KeptTests(RoundsCase):
    def test_how_long_it_took(self) -> None:
        """Kept files count, too."""

        class Slow(list[Progress]):
            def append(self, progress: Progress) -> None:
                clock.advance(3)

        clock = self.room.clock
        self.room.told = Slow()
        self.out.keep()
        self.assertEqual(self.room.take(self.bundle()).seconds, 3)

    def test_what_arrives(self) -> None:
        data = self.out.keep()
        report = self.room.take(self.bundle())
        digest = sha256(data).hexdigest()
        name = whl("1.0", "beta")
        # With its record, and its core metadata.
        self.assertEqual(
            self.room.kept(), [f"{digest}.1640995200", name, f"{name}.metadata"]
        )
        self.assertEqual((report.total("taken"), report.exit_code), (1, 0))
        # It is no project of the index.
        self.assertEqual(self.room.wait(self.room.domain.catalog.names()), ())
        page = self.room.wait(self.room.pages.load("beta"))
        assert page is not None
        body = unpack(page.answer, 2**20)
        self.assertIn(name.encode(), body)
        self.assertNotIn(b"9.9", body)

    def test_only_what_is_new(self) -> None:
        self.out.keep("1.0")
        self.room.take(self.bundle())
        self.out.keep("2.0")
        second = self.bundle()
        self.assertEqual(len(open_bundle(second).index.members), 2)
        self.assertEqual(self.room.take(second).total("there"), 1)

    def test_a_clock_that_ran_ahead(self) -> None:
        """Its page does not outlast what comes later."""
        self.out.clock.advance(10**8)
        self.out.keep("1.0")
        self.room.take(self.bundle())
        self.out.clock.rightNow -= 10**8
        self.out.keep("2.0")
        self.room.take(self.bundle())
        page = self.room.wait(self.room.pages.load("beta"))
        assert page is not None
        body = unpack(page.answer, 2**20)
        self.assertIn(whl("2.0", "beta").encode(), body)
        self.assertLessEqual(page.confirmed, self.room.clock.seconds())

    def test_metadata_that_is_none(self) -> None:
        """It is not read whole, however long it is."""
        self.out.keep()
        opened = open_bundle(self.bundle())
        metadata = opened.index.kept[0].files[0].metadata
        assert metadata is not None
        start, _ = opened.places[metadata]
        opened.places[metadata] = start, 2**30
        body = BundleBody(opened, self.room.domain.offload, metadata)
        failure = self.failureResultOf(Deferred.fromCoroutine(body.read_all()))
        self.assertIn("more than", str(failure.check(PayloadTooLarge) and failure))

    def test_what_the_room_has_removed(self) -> None:
        """It is told, and the next bundle is taken all the same."""
        self.out.keep("1.0")
        self.room.take(self.bundle())
        for key in self.room.keys:
            if key.startswith(".cache/beta/"):
                self.room.wait(self.room.domain.store.delete(key))
        self.out.keep("2.0")
        report = self.room.take(self.bundle())
        self.assertIn("An earlier bundle has brought it", report.remarks[0].why)
        self.assertEqual((report.total("taken"), report.exit_code), (1, 1))
        self.out.keep("3.0")
        self.assertEqual(self.room.take(self.bundle()).total("taken"), 1)

    def test_names_that_are_ours(self) -> None:
        """Nothing is kept under them (decision D5)."""
        self.out.keep(name="acme")
        self.room.publish(name="acme", version="7.0")
        report = self.room.take(self.bundle())
        self.assertIn("acme is a project of this index", report.remarks[0].why)
        self.assertEqual(self.room.kept("acme"), [])
        self.assertEqual(report.exit_code, 1)

    def test_what_was_quarantined(self) -> None:
        told: Any = {"project-status": {"status": "quarantined", "reason": "spam"}}
        self.out.keep(**told)
        self.room.take(self.bundle())
        self.assertEqual(self.room.standings.of("beta").status, "quarantined")
        self.out.keep()
        self.room.take(self.bundle())
        self.assertEqual(self.room.standings.of("beta").status, "active")

    def test_own_files_alone(self) -> None:
        self.out.keep()
        self.out.publish()
        self.out.pack(self.path(1), contents=("own",))
        self.room.take(self.path(1))
        self.assertEqual((self.room.kept(), self.room.names()), ([], [whl("1.0")]))

    def test_other_bytes(self) -> None:
        """Each file is checked when it is taken."""
        self.out.keep()
        report = self.room.take(self.damaged(self.bundle()))
        self.assertIn("are not those that it says", report.remarks[0].why)
        self.assertEqual([key for key in self.room.kept() if key.endswith(".whl")], [])
        self.assertEqual((report.damaged, report.exit_code), (True, 2))
