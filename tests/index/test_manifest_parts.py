"""The manifest of a large project: what does not change is not written again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import ManifestDamaged, StoreError, Unavailable
from pypicloud_tw.index import manifest_parts
from pypicloud_tw.index.admission import UploadRules, admission
from pypicloud_tw.index.layout import SWEEP_AGE
from pypicloud_tw.index.manifest import decode, encode, in_order, manifest_key
from pypicloud_tw.index.manifest_parts import (
    LARGEST,
    MOST_LOOSE,
    PARTS,
    SMALLEST,
    WHOLE_AT_MOST,
    Placement,
    decode_files,
    decode_root,
    decode_tombstones,
    encode_files,
    encode_root,
    encode_tombstones,
    part_key,
    part_of,
    place,
)
from pypicloud_tw.index.manifests import Change, Manifests, Versioned
from pypicloud_tw.index.model import (
    FORMAT,
    WHOLE,
    File,
    HistoryEntry,
    Project,
    Tombstone,
)
from pypicloud_tw.index.names import project_name
from pypicloud_tw.store.memory import MemoryStore
from tests.builders import MORNING, file
from tests.doubles import InlineOffload
from tests.index.test_manifest import projects

ACME = project_name("acme")
ROOT = manifest_key(ACME)


def numbered(number: int, **more: Any) -> File:
    version = f"1.{number}"
    return file(f"acme-{version}-py3-none-any.whl", version=version, **more)


def buried(number: int) -> Tombstone:
    dead = file(f"acme-0.{number}.tar.gz", version=f"0.{number}")
    return Tombstone(dead.filename, dead.sha256, dead.key, MORNING, file=dead)


def project_of(count: int, tombstones: int = 0) -> Project:
    return Project(
        ACME,
        "Acme",
        in_order(map(numbered, range(count))),
        tuple(map(buried, range(tombstones))),
    )


def drawing() -> Callable[[], str]:
    random = Random(1)
    return lambda: random.randbytes(16).hex()


class PlaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.draw = drawing()

    def place(self, project: Project, before: Placement | None = None) -> Placement:
        placement = place(project, before, self.draw)
        assert placement is not None
        return placement

    def test_a_small_project_is_one_object(self) -> None:
        self.assertIsNone(place(project_of(WHOLE_AT_MOST), None, self.draw))
        self.assertIsNone(place(project_of(WHOLE_AT_MOST - 1, 1), None, self.draw))

    def test_one_that_shrinks_is_one_object_again_later(self) -> None:
        large = self.place(project_of(WHOLE_AT_MOST + 1))
        half = WHOLE_AT_MOST // 2
        self.assertIsNotNone(place(project_of(half + 1), large, self.draw))
        self.assertIsNone(place(project_of(half), large, self.draw))

    def test_a_new_file_goes_into_the_root(self) -> None:
        project = project_of(1000)
        before = self.place(project)
        new = numbered(1000)
        after = self.place(evolve(project, files=(*project.files, new)), before)
        self.assertEqual(after.ids, before.ids)
        self.assertEqual(after.files.loose, (new,))
        self.assertIs(after.tombstones, before.tombstones)

    def test_many_new_ones_go_into_the_part_with_room(self) -> None:
        placement, project, ids = None, project_of(WHOLE_AT_MOST), set[str]()
        for number in range(WHOLE_AT_MOST, WHOLE_AT_MOST + 2 * LARGEST):
            project = evolve(project, files=(*project.files, numbered(number)))
            placement = self.place(project, placement)
            ids |= placement.ids
            self.assertLessEqual(len(placement.files.loose), MOST_LOOSE)
        assert placement is not None
        sizes = [len(part.entries) for part in placement.files.parts]
        self.assertLessEqual(max(sizes), LARGEST)
        self.assertLessEqual(len(ids), 3 + 2 * LARGEST // MOST_LOOSE)

    def test_a_change_writes_its_part_alone(self) -> None:
        project = project_of(1000)
        before = self.place(project)
        files = list(project.files)
        files[500] = evolve(files[500], yanked="broken")
        after = self.place(evolve(project, files=tuple(files)), before)
        self.assertEqual(len(after.ids - before.ids), 1)
        self.assertEqual(len(before.ids - after.ids), 1)
        [part] = [p for p in after.files.parts if p.id not in before.ids]
        self.assertIn(files[500], part.entries)
        self.assertEqual(after.files.loose, ())

    def test_what_is_left_of_a_part_stays_one_or_goes_into_the_root(self) -> None:
        project = project_of(1000)
        before = self.place(project)
        first = before.files.parts[0].these
        for left, loose in ((SMALLEST, 0), (SMALLEST - 1, SMALLEST - 1)):
            gone = set(list(first)[left:])
            files = tuple(f for f in project.files if id(f) not in gone)
            after = self.place(evolve(project, files=files), before)
            self.assertEqual(len(after.files.loose), loose)
            self.assertEqual(len(after.ids - before.ids), 0 if loose else 1)

    def test_equal_files_of_one_name_are_all_kept(self) -> None:
        twice = Project(ACME, "Acme", (numbered(1),) * 200 + (numbered(1),) * 200)
        placement = self.place(twice)
        held = [*placement.files.loose]
        held += (e for part in placement.files.parts for e in part.entries)
        self.assertEqual(held, list(twice.files))


class CodecTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        project = evolve(
            project_of(300, 300), changes=("1",), extra={"x": 1}, format=FORMAT
        )
        placement = place(project, None, drawing())
        assert placement is not None
        root = decode_root(ACME, encode_root(project, placement))
        self.assertTrue(root.large)
        self.assertEqual(root.files, tuple(p.id for p in placement.files.parts))
        self.assertEqual(
            root.tombstones, tuple(p.id for p in placement.tombstones.parts)
        )
        rest = evolve(project, files=(), tombstones=())
        self.assertEqual(root.project, rest)
        for part in placement.files.parts:
            again = decode_files(ACME, part.id, encode_files(ACME, part))
            self.assertEqual(again.entries, part.entries)
        for dead in placement.tombstones.parts:
            other = decode_tombstones(ACME, dead.id, encode_tombstones(ACME, dead))
            self.assertEqual(other.entries, dead.entries)

    def test_an_older_version_takes_it_for_no_small_project(self) -> None:
        placement = place(project_of(300), None, drawing())
        assert placement is not None
        data = encode_root(project_of(300), placement)
        error = self.assertRaises(ManifestDamaged, decode, ACME, data)
        self.assertIn("'files'", error.message)

    def test_a_small_one_is_read_as_it_always_was(self) -> None:
        project = project_of(3, 2)
        root = decode_root(ACME, encode(project))
        self.assertEqual((root.large, root.project), (False, project))
        self.assertEqual(project.format, WHOLE)

    def test_refuses_to_write_a_newer_format(self) -> None:
        newer = evolve(project_of(300), format=FORMAT + 1)
        error = self.assertRaises(Unavailable, encode_root, newer, Placement())
        self.assertIn("newer server", error.message)

    def test_damage(self) -> None:
        placement = place(project_of(300), None, drawing())
        assert placement is not None
        good = json.loads(encode_root(project_of(300), placement))
        one = "0" * 32
        for parts in ([one, one], ["x"], [1], None, "x", {"a": 1}):
            document = {**good, "files": {"parts": parts, "recent": []}}
            error = self.assertRaises(
                ManifestDamaged, decode_root, ACME, json.dumps(document).encode()
            )
            self.assertIn(ROOT, error.message)
        part = placement.files.parts[0]
        for data in (b"{}", b"[", encode_files(ACME, placement.files.parts[1])):
            error = self.assertRaises(
                ManifestDamaged, decode_files, ACME, part.id, data
            )
            self.assertIn(part_key(ACME, part.id), error.message)

    def test_keys(self) -> None:
        key = part_key(ACME, "0" * 32)
        self.assertEqual(part_of(key), (ACME, "0" * 32))
        for other in (f"{PARTS}Acme/{'0' * 32}.json", f"{PARTS}acme/x.json", ROOT):
            self.assertIsNone(part_of(other), other)


class PartsCase(SynchronousTestCase):
    """Two servers on one store."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.one, self.other, self.third = (
            Manifests(self.store, self.clock, Random(n)) for n in range(3)
        )

    def settle(self, waiting: Deferred[Versioned]) -> Versioned:
        for _ in range(200):
            if waiting.called:
                break
            self.clock.advance(2)
        return self.successResultOf(waiting)

    def change(self, change: Change, by: Manifests | None = None) -> Versioned:
        return self.settle((by or self.one).change(ACME, change, create=True))

    def read(self, by: Manifests | None = None) -> Project:
        manifests = by or Manifests(self.store, self.clock, Random(9))
        work = Deferred.fromCoroutine(manifests.read(ACME))
        return self.successResultOf(work).project

    def damaged(self) -> str:
        work = Deferred.fromCoroutine(Manifests(self.store, self.clock).read(ACME))
        error = self.failureResultOf(work, ManifestDamaged).value
        assert isinstance(error, ManifestDamaged)
        return error.message

    def parts(self) -> list[str]:
        return sorted(key for key in self.store.objects if key.startswith(PARTS))

    def puts(self) -> list[str]:
        return [key for operation, key in self.store.calls if operation == "put"]

    def written(self) -> int:
        return sum(self.store.objects[key].info.size for key in self.puts())

    def fill(self, count: int, tombstones: int = 0) -> None:
        whole = project_of(count, tombstones)
        self.change(lambda p: evolve(p, files=whole.files, tombstones=whole.tombstones))
        self.store.calls.clear()


def yank(*numbers: int) -> Change:
    names = {numbered(number).filename for number in numbers}

    def change(project: Project) -> Project:
        files = tuple(
            evolve(f, yanked="broken") if f.filename in names else f
            for f in project.files
        )
        return evolve(project, files=files)

    return change


def upload(number: int) -> Change:
    return admission(numbered(number), "Acme", UploadRules(), overwrite=False)


def acted(number: int) -> Change:
    admit = upload(number)
    entry = HistoryEntry(f"{number:016x}", MORNING, "published", "ann")
    return lambda p: evolve(admit(p), history=(*p.history, entry))


class StoredTests(PartsCase):
    def test_a_manifest_of_the_first_format_goes_over_at_its_next_change(self) -> None:
        self.store.add(ROOT, encode(project_of(1000, 500)))
        self.assertEqual(self.read().format, WHOLE)
        self.assertEqual(self.parts(), [])
        self.change(upload(1000))
        self.assertNotEqual(self.parts(), [])
        project = self.read()
        self.assertEqual(project.format, FORMAT)
        self.assertEqual(project.files, project_of(1001).files)
        self.assertEqual(len(project.tombstones), 500)

    def test_a_small_one_stays_as_it_was(self) -> None:
        self.store.add(ROOT, encode(project_of(10)))
        self.change(upload(10))
        self.assertEqual(self.parts(), [])
        self.assertEqual(decode(ACME, self.store.objects[ROOT].data).format, WHOLE)

    def test_parts_are_written_before_the_root_that_names_them(self) -> None:
        self.fill(0)
        self.fill(1000)
        self.change(yank(500))
        [part, root] = self.puts()
        self.assertIn(part, self.parts())
        self.assertEqual(root, ROOT)

    def test_a_change_costs_what_it_changes(self) -> None:
        """Bytes and objects of one change, beside a project of one file."""
        self.fill(1)
        self.change(upload(1))
        first = self.written()
        costs = []
        for count in (300, 5000):
            self.store.objects.clear()
            self.setUp()
            self.fill(count)
            self.change(upload(count))
            self.assertEqual(self.puts(), [ROOT])
            costs.append(self.written())
            self.store.calls.clear()
            self.change(yank(count // 2))
            self.assertEqual(len(self.puts()), 2)
            self.assertLess(self.written(), 150_000)
        self.assertLess(costs[1], costs[0] + 2500)  # the names of 37 parts more
        self.assertLess(costs[1], 2 * first + 2500)

    def test_tombstones_cost_nothing_where_they_do_not_change(self) -> None:
        self.fill(1000)
        self.change(upload(1000))
        plain = self.written()
        self.store.objects.clear()
        self.setUp()
        self.fill(1000, 20_000)
        self.change(upload(1000))
        self.assertEqual(self.puts(), [ROOT])
        self.assertLess(self.written(), plain + 7500)  # the names of 157 parts

    def test_twenty_thousand_acts_cost_no_more_than_none(self) -> None:
        """With as many deleted names: at most twice a plain project of 5,000 files."""

        plain, few = self.cost_of_uploads(project_of(5000))
        acts = (HistoryEntry("0" * 16, MORNING, "yanked", "ann"),) * 20_000
        full = evolve(project_of(5000, 20_000), history=acts)
        much, many = self.cost_of_uploads(full)
        self.assertLess(much, 2 * plain)
        self.assertLess(many, 1.1 * few)

    def cost_of_uploads(self, project: Project) -> tuple[int, int]:
        """Make a hundred, each with its act; give the bytes and objects written."""
        self.setUp()
        self.change(lambda _: project)
        total = objects = 0
        for number in range(5000, 5100):
            self.store.calls.clear()
            self.change(acted(number))
            total += self.written()
            objects += len(self.puts())
        return total, objects

    def test_names_stay_taken_when_tombstones_lie_in_parts(self) -> None:
        self.fill(1000, 1000)
        late = Manifests(self.store, self.clock)
        again = file("Acme-0.0500.tar.gz", version="0.500", sha256="1" * 64)
        change = admission(again, "Acme", UploadRules(), overwrite=False)
        waiting = late.change(ACME, change)
        failure = self.failureResultOf(waiting)
        self.assertIn("was deleted", str(failure.value))

    def test_what_is_known_is_not_read_again(self) -> None:
        self.fill(1000)
        before = self.read(self.other)
        self.change(yank(500))
        self.store.calls.clear()
        after = self.read(self.other)
        gets = [key for operation, key in self.store.calls if operation == "get"]
        self.assertEqual(len(gets), 2)
        self.assertEqual(gets[0], ROOT)
        self.assertEqual(after.files[500].yanked, "broken")
        self.assertIs(after.files[0], before.files[0])
        self.assertEqual(after.files, self.read().files)

    def test_parts_are_read_some_at_a_time(self) -> None:
        self.fill(5000)
        under_way: list[Deferred[None]] = []

        def hold(operation: str, key: str) -> Deferred[None] | None:
            if not key.startswith(PARTS):
                return None
            under_way.append(Deferred())
            return under_way[-1]

        self.store.before = hold
        work = Deferred.fromCoroutine(self.third.read(ACME))
        most = 0
        while not work.called:
            held, under_way[:] = under_way[:], []
            most = max(most, len(held))
            for one in held:
                one.callback(None)
        self.assertEqual(len(self.successResultOf(work).project.files), 5000)
        self.assertEqual(most, 8)

    def test_a_part_that_is_lost_or_damaged(self) -> None:
        """The whole project is unavailable: never a page of some of its files."""
        self.fill(1000)
        part = self.parts()[2]
        stored = self.store.objects.pop(part)
        self.assertIn(f"restore {part} from a backup", self.damaged())
        self.store.add(part, b"{}")
        self.assertIn(f"restore {part} from a backup", self.damaged())
        self.store.objects[part] = stored
        self.assertEqual(len(self.read().files), 1000)

    def test_a_part_that_was_replaced_and_swept_while_it_was_read(self) -> None:
        self.fill(1000)
        old = set(self.parts())

        def overtake(operation: str, key: str) -> None:
            if operation == "get" and key.startswith(PARTS):
                self.store.before = lambda operation, key: None
                self.change(yank(*range(1000)), self.other)
                for part in old:
                    del self.store.objects[part]

        self.read(self.other)
        self.store.before = overtake
        project = self.read()
        self.assertEqual({f.yanked for f in project.files}, {"broken"})

    def test_a_crash_between_part_and_root_changes_nothing(self) -> None:
        self.fill(1000)

        def stop(operation: str, key: str) -> None:
            if (operation, key) == ("put", ROOT):
                raise StoreError("It was killed.")

        self.store.before = stop
        waiting = self.one.change(ACME, yank(500))
        self.clock.pump([2] * 20)
        self.failureResultOf(waiting, StoreError)
        self.store.before = lambda operation, key: None
        self.assertEqual(self.read().files, project_of(1000).files)

    def test_too_slow_for_the_sweep(self) -> None:
        """Parts that a sweep may have taken for orphans are named by nobody."""
        self.fill(1000)

        def stall(operation: str, key: str) -> None:
            if operation == "put" and key.startswith(PARTS):
                self.clock.advance(SWEEP_AGE / 2 + 1)

        self.store.before = stall
        waiting = self.one.change(ACME, yank(500))
        self.clock.pump([2] * 20)
        failure = self.failureResultOf(waiting, StoreError)
        self.assertIn("took too long", failure.value.message)
        self.assertNotIn(ROOT, self.puts())
        self.assertEqual(self.read().files, project_of(1000).files)


class AnySequenceTests(PartsCase):
    """With bounds so small that few entries make a large project."""

    def setUp(self) -> None:
        super().setUp()
        for name, value in {
            "WHOLE_AT_MOST": 8,
            "LARGEST": 6,
            "SMALLEST": 2,
            "MOST_LOOSE": 3,
        }.items():
            self.patch(manifest_parts, name, value)

    def told(self, project: Project) -> Project:
        """What it says, with tombstones in one order."""
        tombstones = sorted(project.tombstones, key=repr)
        files = sorted(project.files, key=repr)
        return evolve(project, files=tuple(files), tombstones=tuple(tombstones))

    @settings(max_examples=25)
    @given(projects(14))
    def test_any_project_survives(self, project: Project) -> None:
        self.setUp()
        state = self.change(lambda _: project)
        self.assertEqual(self.told(self.read()), self.told(state.project))
        self.assertEqual(
            evolve(self.told(state.project), changes=(), format=WHOLE, serial=0),
            evolve(self.told(project), changes=(), serial=0),
        )

    @settings(max_examples=25)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["upload", "yank", "delete", "restore", "purge"]),
                st.sets(st.integers(0, 30), max_size=12),
                st.booleans(),
            ),
            max_size=12,
        )
    )
    def test_any_sequence_of_changes_by_two_servers(
        self, acts: list[tuple[str, set[int], bool]]
    ) -> None:
        self.setUp()
        expected = Project(ACME, "acme")
        for act, numbers, mine in acts:
            change = edit(act, numbers)
            expected = change(expected)
            self.change(change, self.one if mine else self.other)
            for reader in (self.third, None):
                project = self.read(reader)
                self.assertEqual(project.files, expected.files)
                self.assertEqual(
                    set(map(repr, project.tombstones)),
                    set(map(repr, expected.tombstones)),
                )

    @settings(max_examples=25)
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=30))
    def test_any_interleaving_keeps_everything(
        self, writes: list[tuple[bool, int]]
    ) -> None:
        self.setUp()
        waiting = [
            (self.one if mine else self.other).change(ACME, upload(n), create=True)
            for mine, n in writes
        ]
        for one in waiting:
            self.settle(one)
        if writes:
            names = {numbered(n).filename for _, n in writes}
            self.assertEqual({f.filename for f in self.read().files}, names)


def edit(act: str, numbers: Iterable[int]) -> Change:
    """Make a change of the files of these numbers."""
    names = {numbered(n).filename: numbered(n) for n in numbers}

    def change(project: Project) -> Project:
        files = {f.filename: f for f in project.files}
        dead = {t.filename: t for t in project.tombstones}
        for name, one in names.items():
            if act == "upload" and name not in dead:
                files.setdefault(name, one)
            elif act == "yank" and name in files:
                files[name] = evolve(files[name], yanked="broken")
            elif act == "delete" and name in files:
                gone = files.pop(name)
                dead[name] = Tombstone(name, gone.sha256, gone.key, MORNING, file=gone)
            elif act == "restore" and name in dead and dead[name].file:
                files[name] = dead.pop(name).file or one
            elif act == "purge" and name in dead:
                dead[name] = evolve(dead[name], purged=True, file=None)
        return evolve(
            project, files=in_order(files.values()), tombstones=tuple(dead.values())
        )

    return change
