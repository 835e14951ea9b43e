"""Acts on projects: each is one swap, one entry of the history and one record."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import (
    BadRequest,
    ConditionFailed,
    Conflict,
    Forbidden,
    HistoryDamaged,
    NotFound,
    PypicloudError,
    StoreError,
)
from pypicloud_tw.index.acts import Acted, Acts, state_of
from pypicloud_tw.index.audit import Act, Actor, Proof
from pypicloud_tw.index.history import NAMED
from pypicloud_tw.index.history_pages import HistoryPart
from pypicloud_tw.index.model import (
    LONGEST_REASON,
    File,
    HistoryEntry,
    Project,
    Selection,
)
from pypicloud_tw.index.names import project_name
from tests.builders import sdist, wheel
from tests.web.doubles import Domain, started, stored_project

ACME = project_name("acme")
WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
NEXT = "acme-2.0-py3-none-any.whl"
ANN = Actor("ann", Proof("token"), "192.0.2.1")
DAY = 24 * 3600

EVERYTHING = Selection()
RELEASE, FILE = Selection("1.0"), Selection(file=WHEEL)


class ActsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.store = self.domain.store
        self.records: list[Act] = []
        self.domain.publisher.audit = self.records.append
        self.publish(WHEEL, wheel())
        self.publish(SDIST, sdist())
        self.publish(NEXT, wheel(version="2.0"))
        self.records.clear()

    @property
    def acts(self) -> Acts:
        return self.domain.index.acts

    def publish(self, filename: str, data: bytes) -> None:
        work = started(self.domain.publish(filename, data))
        self.domain.settle(work)
        self.successResultOf(work)

    def do(self, work: Coroutine[Any, Any, Acted]) -> Acted:
        self.domain.clock.advance(1)
        waiting = started(work)
        self.domain.settle(waiting)
        acted = self.successResultOf(waiting)
        self.assertEqual(acted.project, self.project)
        self.assertEqual(acted.state, state_of(self.project))
        return acted

    def fails(
        self, work: Coroutine[Any, Any, Acted], error: type[PypicloudError]
    ) -> str:
        before, records = self.project, list(self.records)
        waiting = started(work)
        self.domain.settle(waiting)
        message: str = self.failureResultOf(waiting, error).value.message
        self.assertEqual((self.project, self.records), (before, records))
        return message

    def changes_nothing(self, work: Coroutine[Any, Any, Acted]) -> None:
        swaps, records = self.domain.manifests.swaps, list(self.records)
        self.assertIsNone(self.do(work).entry)
        self.assertEqual(self.domain.manifests.swaps, swaps)
        self.assertEqual(self.records, records)

    @property
    def project(self) -> Project:
        return stored_project(self.store)

    @property
    def last(self) -> HistoryEntry:
        return self.project.history[-1]

    def file(self, filename: str) -> File:
        file = self.project.file(filename)
        assert file is not None
        return file

    def names(self) -> set[str]:
        return {file.filename for file in self.project.files}

    def yanked(self) -> dict[str, str | None]:
        return {file.filename: file.yanked for file in self.project.files}


class YankTests(ActsCase):
    def test_a_release_and_back(self) -> None:
        acted = self.do(self.acts.yank(ACME, Selection("1.0.0"), "broken", actor=ANN))
        self.assertEqual(self.yanked(), {WHEEL: "broken", SDIST: "broken", NEXT: None})
        self.assertEqual(acted.entry, self.last)
        self.assertEqual(
            evolve(self.last, id="", before=None),
            HistoryEntry(
                "",
                self.domain.publisher.now(),
                "yanked",
                "ann",
                "token",
                "192.0.2.1",
                "1.0",
                (WHEEL, SDIST),
                2,
                "broken",
            ),
        )
        self.do(self.acts.unyank(ACME, RELEASE, actor=ANN))
        self.assertEqual(set(self.yanked().values()), {None})
        self.assertEqual(self.last.act, "un-yanked")
        self.assertEqual(
            self.records,
            [
                Act(ANN, "yanked", "acme", "1.0", reason="broken"),
                Act(ANN, "un-yanked", "acme", "1.0"),
            ],
        )

    def test_a_file(self) -> None:
        self.do(self.acts.yank(ACME, FILE, actor=ANN))
        self.assertEqual(self.yanked(), {WHEEL: "", SDIST: None, NEXT: None})
        digest = self.file(WHEEL).sha256
        self.assertEqual(
            self.records, [Act(ANN, "yanked", "acme", "1.0", WHEEL, digest, "")]
        )
        self.assertEqual((self.last.version, self.last.files), ("1.0", (WHEEL,)))

    def test_what_is_so_already(self) -> None:
        self.changes_nothing(self.acts.unyank(ACME, RELEASE))
        self.do(self.acts.yank(ACME, FILE, "broken"))
        self.changes_nothing(self.acts.yank(ACME, FILE, "broken"))
        self.do(self.acts.yank(ACME, RELEASE, "broken"))
        self.assertEqual(self.last.files, (SDIST,))

    def test_what_is_not_there(self) -> None:
        for what, said in (
            (Selection("3.0"), "no such release of acme here; there are 2.0, 1.0."),
            (Selection(file="x.whl"), f"no such file of acme here; there are {NEXT}"),
            (Selection("2.0", WHEEL), "is not of that release"),
        ):
            self.assertIn(said, self.fails(self.acts.yank(ACME, what), NotFound))
        self.do(self.acts.delete(ACME, RELEASE))
        said = self.fails(self.acts.yank(ACME, RELEASE), NotFound)
        self.assertIn("was deleted; restore it", said)
        said = self.fails(self.acts.yank(project_name("other"), RELEASE), NotFound)
        self.assertIn("no project other", said)

    def test_bad_requests(self) -> None:
        said = self.fails(self.acts.yank(ACME, EVERYTHING), BadRequest)
        self.assertIn("which release", said)
        self.fails(self.acts.unyank(ACME, EVERYTHING), BadRequest)
        long = "x" * (LONGEST_REASON + 1)
        said = self.fails(self.acts.yank(ACME, RELEASE, long), BadRequest)
        self.assertIn("at most 1000 characters", said)

    def test_reasons_that_terminals_obey_or_nobody_can_write(self) -> None:
        """One that cannot be written fails for its asker alone."""
        for bad in ("\x1b[2J", "\0", "half \ud800", "\u202e"):
            for work in (
                self.acts.yank(ACME, RELEASE, bad),
                self.acts.delete(ACME, RELEASE, bad),
                self.acts.prune(ACME, ["1.0"], reason=bad),
                self.acts.set_status(ACME, "archived", bad),
            ):
                self.assertIn("printable", self.fails(work, BadRequest))
        self.do(self.acts.yank(ACME, RELEASE, "broken:\r\n\tß"))
        # Persian needs what joins no letters.
        self.do(self.acts.yank(ACME, RELEASE, "نمی\N{ZERO WIDTH NON-JOINER}شود"))


class DeleteTests(ActsCase):
    def test_a_file_a_release_and_all(self) -> None:
        self.do(self.acts.delete(ACME, FILE, actor=ANN))
        self.assertEqual(self.names(), {SDIST, NEXT})
        self.do(self.acts.delete(ACME, RELEASE, "old", actor=ANN))
        self.assertEqual(self.names(), {NEXT})
        acted = self.do(self.acts.delete(ACME, EVERYTHING, actor=ANN))
        self.assertEqual(self.names(), set())
        self.assertEqual(
            {t.filename: t.act for t in self.project.tombstones},
            dict(
                zip(
                    (WHEEL, SDIST, NEXT),
                    (entry.id for entry in self.project.history[-3:]),
                    strict=True,
                )
            ),
        )
        assert acted.entry is not None
        self.assertEqual((acted.entry.version, acted.entry.count), (None, 1))
        self.assertEqual(
            [(r.act, r.version, r.file, r.reason) for r in self.records],
            [
                ("removed", "1.0", WHEEL, None),
                ("removed", "1.0", None, "old"),
                ("removed", None, None, None),
            ],
        )

    def test_what_is_so_already(self) -> None:
        for what in (FILE, RELEASE, EVERYTHING):
            self.do(self.acts.delete(ACME, what))
            self.changes_nothing(self.acts.delete(ACME, what))
        said = self.fails(self.acts.delete(ACME, Selection("9")), NotFound)
        self.assertIn("it has no files", said)

    def test_several_releases_at_once(self) -> None:
        swaps = self.domain.manifests.swaps
        work = self.acts.prune(ACME, ["1.0", "2.0"], reason="rules", actor=ANN)
        acted = self.do(work)
        self.assertEqual(self.domain.manifests.swaps, swaps + 1)
        self.assertEqual(self.names(), set())
        assert acted.entry is not None
        self.assertEqual((acted.entry.act, acted.entry.count), ("pruned", 3))
        self.assertEqual(self.records, [Act(ANN, "pruned", "acme", reason="rules")])
        self.changes_nothing(self.acts.prune(ACME, ["1.0"]))
        self.changes_nothing(self.acts.prune(ACME, []))
        self.do(self.acts.undo(ACME))
        self.assertEqual(self.names(), {WHEEL, SDIST, NEXT})

    def test_a_release_that_is_not_there_prunes_nothing(self) -> None:
        self.fails(self.acts.prune(ACME, ["1.0", "9"]), NotFound)


class RestoreTests(ActsCase):
    def test_as_it_was(self) -> None:
        self.do(self.acts.yank(ACME, FILE, "broken"))
        before = self.project.files
        for what in (FILE, RELEASE, EVERYTHING):
            self.do(self.acts.delete(ACME, what))
            acted = self.do(self.acts.restore(ACME, what, actor=ANN))
            self.assertEqual(self.project.files, before)
            self.assertEqual(self.project.tombstones, ())
            self.assertEqual(acted.left, ())
        self.assertEqual(
            [(r.act, r.version, r.file) for r in self.records if r.actor == ANN],
            [
                ("restored", "1.0", WHEEL),
                ("restored", "1.0", None),
                ("restored", None, None),
            ],
        )

    def test_what_is_so_already(self) -> None:
        for what in (FILE, RELEASE, EVERYTHING):
            self.changes_nothing(self.acts.restore(ACME, what))
        self.fails(self.acts.restore(ACME, Selection("9")), NotFound)

    def test_in_time(self) -> None:
        self.do(self.acts.delete(ACME, RELEASE))
        self.domain.clock.advance(3 * DAY)
        self.do(self.acts.delete(ACME, Selection("2.0")))
        self.domain.clock.advance(4 * DAY)
        said = self.fails(self.acts.restore(ACME, RELEASE), NotFound)
        self.assertIn(f"{WHEEL} cannot be restored: it was deleted longer ago", said)
        self.assertIn(SDIST, said)
        acted = self.do(self.acts.restore(ACME, EVERYTHING))
        self.assertEqual(self.names(), {NEXT})
        self.assertEqual(len(acted.left), 2)
        self.changes_nothing(self.acts.restore(ACME, EVERYTHING))

    def test_never(self) -> None:
        self.acts.restore_for = 0
        self.do(self.acts.delete(ACME, RELEASE))
        self.fails(self.acts.restore(ACME, RELEASE), NotFound)

    def test_what_a_sweep_took_or_an_older_version_deleted(self) -> None:
        self.do(self.acts.delete(ACME, RELEASE))
        for changed, why in (
            ({"purged": True, "file": None}, "a sweep has removed its bytes."),
            ({"purged": False, "file": None}, "an older version of this program"),
        ):
            self.tombstone(SDIST, **changed)
            said = self.fails(self.acts.restore(ACME, Selection(file=SDIST)), NotFound)
            self.assertIn(f"{SDIST} cannot be restored: {why}", said)
        for is_first in (True, False):
            acted = self.do(self.acts.restore(ACME, RELEASE))
            self.assertEqual(self.names(), {WHEEL, NEXT})
            self.assertEqual(acted.entry is not None, is_first)
            [left] = acted.left
            self.assertIn(f"{SDIST} cannot be restored", left)

    def tombstone(self, filename: str, **changed: Any) -> None:
        def change(project: Project) -> Project:
            tombstones = tuple(
                evolve(t, **changed) if t.filename == filename else t
                for t in project.tombstones
            )
            return evolve(project, tombstones=tombstones)

        self.successResultOf(started(self.domain.publisher.change(ACME, change)))

    def test_a_name_that_is_taken(self) -> None:
        for taken in ("Acme-1.0.tar.gz", "acme-1.0.0.tar.gz"):
            self.do(self.acts.delete(ACME, RELEASE))
            self.publish(taken, sdist())
            said = f"{SDIST} cannot be restored: another file has its name."
            acted = self.do(self.acts.restore(ACME, RELEASE))
            self.assertIn(said, acted.left)
            self.assertEqual(self.names(), {WHEEL, taken, NEXT})
            self.changes_nothing(self.acts.restore(ACME, RELEASE))
            one = self.acts.restore(ACME, Selection(file=SDIST))
            self.assertEqual(self.fails(one, Conflict), said)
            self.do(self.acts.delete(ACME, Selection(file=taken)))
            self.do(self.acts.restore(ACME, Selection(file=SDIST)))

    def test_of_two_spellings_the_last(self) -> None:
        other = "Acme-1.0.tar.gz"
        self.do(self.acts.delete(ACME, Selection(file=SDIST)))
        self.publish(other, sdist())
        self.do(self.acts.delete(ACME, RELEASE))
        acted = self.do(self.acts.restore(ACME, RELEASE))
        self.assertEqual(self.names(), {WHEEL, other, NEXT})
        self.assertEqual(
            acted.left, (f"{SDIST} cannot be restored: another file has its name.",)
        )

    def test_undone_where_a_name_is_taken(self) -> None:
        deleted = self.do(self.acts.delete(ACME, RELEASE)).entry
        assert deleted is not None
        self.publish("Acme-1.0.tar.gz", sdist())
        said = self.fails(self.acts.undo(ACME, deleted.id), Conflict)
        self.assertIn(f"{SDIST} cannot be restored: another file has its name.", said)


class StatusTests(ActsCase):
    def test_each(self) -> None:
        for status in ("archived", "deprecated", "active"):
            self.do(self.acts.set_status(ACME, status, "why", actor=ANN))
            self.assertEqual(
                (self.project.status, self.project.status_reason), (status, "why")
            )
            self.changes_nothing(self.acts.set_status(ACME, status, "why"))
        self.assertEqual(
            [record.sentence for record in self.records],
            [
                f"ann status acme: {status}: why"
                for status in ("archived", "deprecated", "active")
            ],
        )

    def test_no_such_status(self) -> None:
        unknown: Any = "gone"
        said = self.fails(self.acts.set_status(ACME, unknown), BadRequest)
        self.assertIn("there are active, archived, quarantined, deprecated", said)

    def test_uploads(self) -> None:
        other = wheel(version="3.0")
        for status in ("archived", "quarantined"):
            self.do(self.acts.set_status(ACME, status))
            work = started(self.domain.publish("acme-3.0-py3-none-any.whl", other))
            said = self.failureResultOf(work, Forbidden).value.message
            self.assertIn(f"The project acme is {status} and takes no uploads", said)
        self.do(self.acts.set_status(ACME, "deprecated"))
        self.publish("acme-3.0-py3-none-any.whl", other)

    def test_acts_are_done_all_the_same(self) -> None:
        self.do(self.acts.set_status(ACME, "archived"))
        self.do(self.acts.yank(ACME, RELEASE))
        self.do(self.acts.delete(ACME, RELEASE))
        self.do(self.acts.restore(ACME, RELEASE))


class UndoTests(ActsCase):
    def undo(self, act: str | None = None) -> Acted:
        return self.do(self.acts.undo(ACME, act, actor=ANN))

    def test_each_kind(self) -> None:
        self.do(self.acts.yank(ACME, FILE, "first"))
        works: tuple[Callable[[], Coroutine[Any, Any, Acted]], ...] = (
            lambda: self.acts.yank(ACME, RELEASE, "broken"),
            lambda: self.acts.unyank(ACME, RELEASE),
            lambda: self.acts.delete(ACME, FILE),
            lambda: self.acts.delete(ACME, EVERYTHING),
            lambda: self.acts.prune(ACME, ["1.0"]),
            lambda: self.acts.set_status(ACME, "deprecated", "use other"),
        )
        for work in works:
            before = self.project
            acted = self.do(work())
            assert acted.entry is not None
            undone = self.undo()
            assert undone.entry is not None
            self.assertEqual(undone.entry.undoes, acted.entry.id)
            self.assertEqual(undone.entry.reason, acted.entry.act)
            self.assertEqual(
                (self.project.files, self.project.tombstones, self.project.status),
                (before.files, before.tombstones, before.status),
            )
            self.assertEqual(self.records[-1].act, "undone")
            self.changes_nothing(self.acts.undo(ACME, acted.entry.id))

    def test_a_restore(self) -> None:
        self.do(self.acts.delete(ACME, RELEASE))
        self.do(self.acts.restore(ACME, RELEASE))
        self.undo()
        self.assertEqual(self.names(), {NEXT})
        self.assertEqual({t.act for t in self.project.tombstones}, {self.last.id})
        self.do(self.acts.restore(ACME, RELEASE))

    def test_one_after_the_other(self) -> None:
        self.do(self.acts.yank(ACME, FILE, "first"))
        self.do(self.acts.yank(ACME, FILE, "second"))
        self.undo()
        self.assertEqual(self.file(WHEEL).yanked, "first")
        self.undo()
        self.assertIsNone(self.file(WHEEL).yanked)
        said = self.fails(self.acts.undo(ACME), NotFound)
        self.assertIn("Nothing was done with acme that can be undone", said)

    def test_by_its_id(self) -> None:
        first = self.do(self.acts.yank(ACME, FILE, "broken")).entry
        self.do(self.acts.set_status(ACME, "archived"))
        self.do(self.acts.yank(ACME, Selection("2.0")))
        assert first is not None
        self.undo(first.id)
        self.assertEqual(self.yanked(), {WHEEL: None, SDIST: None, NEXT: ""})
        said = self.fails(self.acts.undo(ACME, "0" * 16), NotFound)
        self.assertIn("no such act", said)

    def test_what_was_touched_since(self) -> None:
        first = self.do(self.acts.yank(ACME, FILE, "broken")).entry
        second = self.do(self.acts.delete(ACME, RELEASE)).entry
        assert first is not None
        assert second is not None
        said = self.fails(self.acts.undo(ACME, first.id), Conflict)
        self.assertIn(f"removed, by act {second.id}. Undo that first.", said)
        self.undo()
        self.undo(first.id)
        self.assertEqual(set(self.yanked().values()), {None})

    def test_of_many_files(self) -> None:
        """All of their names are known, not only those that the entry has."""
        for number in range(30):
            self.publish(f"acme-3.0-{number}-py3-none-any.whl", wheel(version="3.0"))
        entry = self.do(self.acts.yank(ACME, Selection("3.0"))).entry
        assert entry is not None
        self.publish("acme-3.0.tar.gz", sdist(version="3.0"))
        self.undo(entry.id)
        self.do(self.acts.yank(ACME, Selection("3.0")))
        again = self.last.id
        self.do(self.acts.delete(ACME, Selection(file="acme-3.0-9-py3-none-any.whl")))
        self.fails(self.acts.undo(ACME, again), Conflict)

    def test_what_cannot_be(self) -> None:
        published = self.project.history[0]
        said = self.fails(self.acts.undo(ACME, published.id), Conflict)
        self.assertIn("delete the file", said)
        self.do(self.acts.yank(ACME, FILE))
        undone = self.undo().entry
        assert undone is not None
        said = self.fails(self.acts.undo(ACME, undone.id), Conflict)
        self.assertIn("cannot be undone: undone", said)

    def test_too_late(self) -> None:
        self.do(self.acts.delete(ACME, RELEASE))
        self.domain.clock.advance(8 * DAY)
        said = self.fails(self.acts.undo(ACME), Conflict)
        self.assertIn("cannot be undone any more", said)
        self.assertIn("longer ago", said)


class HistoryTests(ActsCase):
    def test_in_parts(self) -> None:
        self.do(self.acts.yank(ACME, FILE))
        self.do(self.acts.delete(ACME, FILE))
        told: list[str] = []
        cursor = None
        while True:
            part = self.successResultOf(
                started(self.acts.history(ACME, cursor, limit=2))
            )
            told += [entry.act for entry in part.entries]
            cursor = part.cursor
            if cursor is None:
                break
        self.assertEqual(told, ["removed", "yanked", *["published"] * 3])

    def pages(self, limit: int) -> Iterator[HistoryPart]:
        cursor = None
        while True:
            part = self.successResultOf(
                started(self.acts.history(ACME, cursor, limit=limit))
            )
            yield part
            cursor = part.cursor
            if cursor is None:
                return

    def long_history(self, count: int) -> list[str]:
        """Do more than a manifest keeps; tell the reasons, newest first."""
        reasons = [str(number) for number in range(count)]
        for reason in reasons:
            self.successResultOf(started(self.acts.yank(ACME, FILE, reason)))
        return [*reversed(reasons)]

    def test_what_is_older_than_the_manifest(self) -> None:
        reasons = self.long_history(210)
        for limit in (7, 100, 1000):
            told = [e.reason for part in self.pages(limit) for e in part.entries]
            self.assertEqual(told, [*reasons, None, None, None])

    def test_one_segment_is_read_for_a_page(self) -> None:
        self.long_history(210)
        *_, before_last, _ = self.pages(20)
        self.store.calls.clear()
        work = started(self.acts.history(ACME, before_last.cursor, limit=20))
        self.successResultOf(work)
        read = [key for call, key in self.store.calls if ".history/" in key]
        self.assertEqual(len(read), 1)

    def test_acts_between_two_pages(self) -> None:
        """The act that a cursor names has left the manifest since."""
        reasons = self.long_history(90)
        first = self.successResultOf(started(self.acts.history(ACME, limit=5)))
        self.long_history(120)
        work = started(self.acts.history(ACME, first.cursor, limit=5))
        told = [entry.reason for entry in self.successResultOf(work).entries]
        self.assertEqual(told, reasons[5:10])

    def test_a_history_that_is_damaged(self) -> None:
        self.long_history(210)
        segment = min(k for k in self.store.objects if k.startswith(".history/"))
        del self.store.objects[segment]
        first = self.successResultOf(started(self.acts.history(ACME, limit=1000)))
        self.assertGreater(len(first.entries), 50)
        work = started(self.acts.history(ACME, first.cursor))
        error = self.failureResultOf(work, HistoryDamaged).value
        self.assertIn(segment, error.message)

    def test_no_such_cursor_or_project(self) -> None:
        for cursor in ("nothing", "", ".", "00000001-" + "0" * 32 + ".x", "1.2.3"):
            work = started(self.acts.history(ACME, cursor))
            self.failureResultOf(work, BadRequest)
        work = started(self.acts.history(project_name("other")))
        self.failureResultOf(work, NotFound)

    def test_of_many_files_the_first_are_named(self) -> None:
        for number in range(3, 30):
            version = f"{number}.0"
            self.publish(f"acme-{version}.tar.gz", sdist(version=version))
        entry = self.do(self.acts.delete(ACME, EVERYTHING)).entry
        assert entry is not None
        self.assertEqual((len(entry.files), entry.count), (NAMED, 30))


class RaceTests(ActsCase):
    """Acts in one batch, in two processes, and after answers that were lost."""

    def test_a_precondition_sees_its_own_batch(self) -> None:
        state = state_of(self.project)

        def check(project: Project) -> None:
            if state_of(project) != state:
                raise ConditionFailed("It has changed.")

        works = [
            started(self.acts.yank(ACME, FILE, reason, check=check))
            for reason in ("one", "two", "three")
        ]
        for work in works:
            self.domain.settle(work)
        self.successResultOf(works[0])
        for work in works[1:]:
            self.failureResultOf(work, ConditionFailed)
        self.assertEqual(self.file(WHEEL).yanked, "one")
        self.assertEqual(len(self.records), 1)

    def test_two_processes(self) -> None:
        other = self.domain.beside()
        other.publisher.audit = self.records.append
        works = [
            started(acts.delete(ACME, RELEASE, actor=ANN))
            for acts in (self.acts, other.index.acts, self.acts)
        ]
        for work in works:
            self.domain.settle(work)
        done = [self.successResultOf(work).entry is not None for work in works]
        self.assertEqual(sum(done), 1)
        self.assertEqual([record.act for record in self.records], ["removed"])

    def test_an_answer_that_was_lost(self) -> None:
        def after(operation: str, key: str) -> None:
            if operation == "put" and key.startswith(".index/"):
                self.store.after = lambda operation, key: None
                raise StoreError("lost")

        self.store.after = after
        acted = self.do(self.acts.yank(ACME, FILE, "broken", actor=ANN))
        self.assertEqual(acted.entry, self.last)
        self.assertEqual(len(self.records), 1)

    def test_another_server_hears_of_each(self) -> None:
        """Within ``fresh_for``; and the same act is done there already."""
        other = self.domain.beside()
        other.publisher.audit = self.records.append
        works: tuple[Callable[[Acts], Coroutine[Any, Any, Acted]], ...] = (
            lambda acts: acts.yank(ACME, RELEASE, "broken"),
            lambda acts: acts.unyank(ACME, RELEASE),
            lambda acts: acts.delete(ACME, FILE),
            lambda acts: acts.restore(ACME, FILE),
            lambda acts: acts.prune(ACME, ["2.0"]),
            lambda acts: acts.undo(ACME, self.last.id),
            lambda acts: acts.set_status(ACME, "archived"),
            lambda acts: acts.set_status(ACME, "quarantined", "malware"),
            lambda acts: acts.set_status(ACME, "active"),
        )
        for number, work in enumerate(works):
            self.successResultOf(started(other.catalog.project(ACME)))
            waiting = started(work(self.acts))
            project = self.successResultOf(waiting).project
            self.domain.clock.advance(self.domain.fresh_for)
            seen = self.successResultOf(started(other.catalog.project(ACME)))
            self.assertEqual(seen.project, project)
            if number != 5:  # of an undo, the last entry is the undo itself
                again = self.successResultOf(started(work(other.index.acts)))
                self.assertIsNone(again.entry)
            self.assertEqual(len(self.records), number + 1)

    def test_whoever_asked_goes_away(self) -> None:
        work = started(self.acts.yank(ACME, FILE, "broken"))
        work.cancel()
        work.addErrback(lambda _: None)
        self.domain.clock.advance(1)
        self.assertEqual(self.file(WHEEL).yanked, "broken")
        self.assertEqual(len(self.records), 1)
