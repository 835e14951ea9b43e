"""A project's older acts go into objects beside its manifest, and can be read there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import HistoryDamaged, StoreError
from pypicloud_tw.index.manifest import encode, manifest_key
from pypicloud_tw.index.manifests import Change, Manifests
from pypicloud_tw.index.model import HistoryEntry, Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.index.older_history import (
    HISTORY,
    KEPT,
    LONGEST,
    MOST,
    MOST_BYTES,
    Segment,
    ambiguous,
    decode_segment,
    encode_segment,
    move_older,
    segment_key,
    segment_of,
)
from pypicloud_tw.store.memory import MemoryStore
from tests.builders import file
from tests.doubles import InlineOffload

ACME = project_name("acme")
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def entry(number: int, reason: str | None = None) -> HistoryEntry:
    at = BEGUN + timedelta(minutes=number)
    return HistoryEntry(f"{number:016x}", at, "yanked", "ann", reason=reason)


def moved_by(project: Project) -> tuple[Project, tuple[Segment, ...]]:
    return move_older(project, lambda: "0" * 32)


def acted(*numbers: int) -> Change:
    """A change that adds acts to a project's history, each once."""

    def change(project: Project) -> Project:
        return evolve(project, history=(*project.history, *map(entry, numbers)))

    return change


class MoveTests(SynchronousTestCase):
    def project(self, count: int, older: str | None = None) -> Project:
        history = tuple(map(entry, range(count)))
        return Project(ACME, "Acme", (file(),), history=history, older_history=older)

    def test_few_stay(self) -> None:
        project = self.project(MOST)
        self.assertEqual(moved_by(project), (project, ()))

    def test_of_too_many_the_oldest_go(self) -> None:
        project, [segment] = moved_by(self.project(MOST + 1))
        self.assertEqual(project.history, tuple(map(entry, range(MOST + 1)))[-KEPT:])
        self.assertEqual(segment.entries, tuple(map(entry, range(MOST + 1 - KEPT))))
        self.assertIsNone(segment.older)
        self.assertEqual(project.older_history, segment.id)
        self.assertTrue(segment.id.startswith("00000001-"), segment.id)

    def test_each_names_the_one_before_it(self) -> None:
        project, segments = moved_by(self.project(3 * LONGEST, f"00000007-{0:032x}"))
        older = [segment.older for segment in segments]
        self.assertEqual(older, [f"00000007-{0:032x}", *(s.id for s in segments[:-1])])
        self.assertEqual(project.older_history, segments[-1].id)
        self.assertEqual(
            {s.id[:8] for s in segments}, {"00000008", "00000009", "00000010"}
        )

    def test_large_ones_go_earlier_and_the_newest_stays(self) -> None:
        """What undoing the newest act takes is in it."""
        long = [entry(n, "x" * (MOST_BYTES // 2)) for n in range(3)]
        before = evolve(self.project(0), history=tuple(long))
        project, [segment] = moved_by(before)
        self.assertEqual(project.history, (long[2],))
        self.assertEqual(segment.entries, (long[0], long[1]))
        self.assertEqual(moved_by(project), (project, ()))

    @given(st.lists(st.integers(0, 150), max_size=6))
    def test_nothing_is_lost(self, acts: list[int]) -> None:
        project, segments, done = self.project(0), list[Segment](), 0
        for count in acts:
            more = tuple(map(entry, range(done, done + count)))
            project, moved = moved_by(evolve(project, history=project.history + more))
            segments += moved
            done += count
            self.assertLessEqual(len(project.history), MOST)
        told = [e for segment in segments for e in segment.entries]
        self.assertEqual([*told, *project.history], list(map(entry, range(done))))


class CodecTests(SynchronousTestCase):
    segment = Segment(f"00000002-{1:032x}", (entry(1), entry(2)), f"00000001-{2:032x}")

    def test_round_trip(self) -> None:
        data = encode_segment(ACME, self.segment)
        self.assertEqual(decode_segment(ACME, self.segment.id, data), self.segment)

    def test_keys(self) -> None:
        key = segment_key(ACME, self.segment.id)
        self.assertEqual(segment_of(key), (ACME, self.segment.id))
        for other in (f"{HISTORY}Acme/{self.segment.id}.json", f"{HISTORY}acme/x.json"):
            self.assertIsNone(segment_of(other), other)

    def test_damage(self) -> None:
        good = json.loads(encode_segment(ACME, self.segment))
        for key, bad in {
            "name": "other",
            "id": f"00000002-{3:032x}",
            "older": self.segment.id,
            "history": [{}],
        }.items():
            data = json.dumps({**good, key: bad}).encode()
            error = self.assertRaises(
                HistoryDamaged, decode_segment, ACME, self.segment.id, data
            )
            self.assertIn(segment_key(ACME, self.segment.id), error.message)

    def test_what_a_listing_leaves_open(self) -> None:
        ids = [f"{number:08}-{n:032x}" for n, number in enumerate((1, 2, 2, 3, 4, 4))]
        self.assertEqual(list(ambiguous(ids[3], ids)), [4, 2])
        self.assertEqual(list(ambiguous(None, ids[:2])), [])


class StoredTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.manifests = Manifests(self.store, self.clock, Random(1))
        self.change(lambda project: evolve(project, files=(file(),)), create=True)

    def change(self, change: Change, *, create: bool = False) -> Project:
        waiting = self.manifests.change(ACME, change, create=create)
        self.clock.pump([2] * 5)
        return self.successResultOf(waiting).project

    def older(self, project: Project) -> tuple[list[HistoryEntry], Exception | None]:
        found: list[HistoryEntry] = []

        async def read() -> Exception | None:
            try:
                async for one in self.manifests.older_history(project):
                    found.append(one)
            except HistoryDamaged as e:
                return e
            return None

        return found, self.successResultOf(Deferred.fromCoroutine(read()))

    def segments(self) -> list[str]:
        return sorted(key for key in self.store.objects if key.startswith(HISTORY))

    def test_all_acts_can_be_read(self) -> None:
        for at in range(0, 3 * MOST, 10):
            project = self.change(acted(*range(at, at + 10)))
        self.assertLessEqual(len(project.history), MOST)
        older, _ = self.older(project)
        told = [*reversed(project.history), *older]
        self.assertEqual(told, [entry(n) for n in reversed(range(3 * MOST))])

    def test_they_are_written_before_the_manifest_that_names_them(self) -> None:
        self.change(acted(*range(MOST)))
        self.store.calls.clear()
        self.change(acted(MOST))
        [segment] = self.segments()
        puts = [key for operation, key in self.store.calls if operation == "put"]
        self.assertEqual(puts, [segment, manifest_key(ACME)])

    def test_a_crash_between_them_changes_nothing(self) -> None:
        self.change(acted(*range(MOST)))
        before = self.store.objects[manifest_key(ACME)]

        def stop(operation: str, key: str) -> None:
            if (operation, key) == ("put", manifest_key(ACME)):
                raise StoreError("It was killed.")

        self.store.before = stop
        waiting = self.manifests.change(ACME, acted(MOST))
        self.clock.pump([2] * 20)
        self.failureResultOf(waiting, StoreError)
        self.assertIs(self.store.objects[manifest_key(ACME)], before)
        self.store.before = lambda operation, key: None
        project = self.change(acted(MOST))
        older, _ = self.older(project)
        self.assertEqual(len(older) + len(project.history), MOST + 1)

    def test_a_lost_one_ends_the_history_and_nothing_else(self) -> None:
        for at in range(0, 3 * MOST, 10):
            project = self.change(acted(*range(at, at + 10)))
        all_of_them, _ = self.older(project)
        lost, *_ = self.segments()
        del self.store.objects[lost]
        older, error = self.older(project)
        self.assertEqual(older, all_of_them[: len(older)])
        self.assertLess(0, len(older))
        self.assertIn(f"{lost} is not in the store", str(error))
        self.assertEqual(len(self.change(acted(-1)).files), 1)

    def test_a_damaged_one_likewise(self) -> None:
        project = self.change(acted(*range(2 * MOST)))
        [segment] = self.segments()
        self.store.add(segment, b"{}")
        older, error = self.older(project)
        self.assertEqual(older, [])
        self.assertIn("is damaged", str(error))

    def test_a_manifest_with_too_many_is_mended_by_the_next_change(self) -> None:
        many = tuple(map(entry, range(20_000)))
        project = Project(ACME, "Acme", (file(),), history=many)
        self.store.add(manifest_key(ACME), encode(project))
        project = self.change(acted(20_000))
        self.assertEqual(len(project.history), KEPT)
        older, _ = self.older(project)
        self.assertEqual(len(older), 20_001 - KEPT)

    def test_its_cost_does_not_grow(self) -> None:
        """Bytes of a swap after 20,000 acts, beside one after a hundred."""

        def written(count: int) -> int:
            self.store.objects.clear()
            self.change(lambda project: evolve(project, files=(file(),)), create=True)
            self.change(acted(*range(count)))
            self.store.calls.clear()
            self.change(acted(count))
            keys = [key for operation, key in self.store.calls if operation == "put"]
            return sum(self.store.objects[key].info.size for key in keys)

        self.assertLess(written(20_000), 2 * written(MOST - 1))
