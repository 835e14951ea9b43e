"""Files that are no bundle, or one that somebody has changed."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest, Conflict, StoreError
from pypicloud_tw.json_values import encode
from pypicloud_tw.moving.bundle.tar import (
    HEAD,
    Draft,
    check_digest,
    is_bundle,
    open_bundle,
    read_list,
    save_list,
)
from pypicloud_tw.moving.bundle.values import (
    BundleIndex,
    KeptBundled,
    KeptProject,
    Member,
    OwnFile,
    OwnProject,
)

DATA = b"bytes of a file"
DIGEST = sha256(DATA).hexdigest()
MADE = datetime(2026, 3, 1, tzinfo=UTC)
FILE = OwnFile("acme-1.0.tar.gz", DIGEST, len(DATA), MADE)
PROJECT = OwnProject("acme", "acme", 1, (FILE,))
INDEX = BundleIndex(
    MADE, 1, own=(PROJECT,), members=(Member(DIGEST, len(DATA)),), source="0" * 32
).named()


class TarCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "a.tar"
        self.good = self.write(INDEX)

    def write(self, index: BundleIndex, data: bytes = DATA) -> bytes:
        draft = Draft.create(self.path)
        draft.head(index)
        for member in index.members:
            draft.begin(member)
            draft.write(data)
            draft.pad(member)
        draft.place()
        return self.path.read_bytes()

    def refused(self, data: bytes) -> str:
        self.path.write_bytes(data)
        return str(self.assertRaises(BadRequest, open_bundle, self.path))


class HostileTests(TarCase):
    def test_a_good_one(self) -> None:
        opened = open_bundle(self.path)
        self.assertEqual(opened.index, INDEX)
        self.assertEqual(opened.read(DIGEST, 0, 2**20), DATA)
        self.assertEqual(opened.read(DIGEST, 6, 2), b"of")
        self.assertEqual(opened.read(DIGEST, len(DATA), 9), b"")
        self.assertTrue(is_bundle(self.path))

    def test_any_tar_can_read_it(self) -> None:
        with tarfile.open(self.path) as archive:
            self.assertEqual(archive.getnames(), [HEAD, f"files/{DIGEST}"])
            member = archive.extractfile(f"files/{DIGEST}")
            assert member is not None
            self.assertEqual(member.read(), DATA)

    def test_no_bundle(self) -> None:
        self.assertIn("no tar", self.refused(b""))
        self.assertIn("no tar", self.refused(b"PK\x03\x04" * 512))
        self.assertFalse(is_bundle(self.path))
        other = io.BytesIO()
        with tarfile.open(fileobj=other, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("evil"))
        self.assertIn("does not begin with", self.refused(other.getvalue()))
        self.assertFalse(is_bundle(self.folder / "missing"))

    def test_cut_short(self) -> None:
        for length in (600, len(self.good) // 2, len(self.good) - 1):
            told = self.refused(self.good[:length])
            self.assertIn("cut short", told, length)
            self.assertIn("Carry it here once more", told)

    def test_longer(self) -> None:
        self.assertIn("longer than it says", self.refused(self.good + b"x"))

    def test_other_entries(self) -> None:
        """Links, devices, paths, names twice: whatever a tar can have besides."""
        for change in _changes():
            told = self.refused(self.with_entry(change))
            self.assertRegex(told, "something else at byte|longer than it says")

    def with_entry(self, change: Callable[[tarfile.TarInfo], None]) -> bytes:
        """Have the member's header changed, and its checksum right."""
        at = len(self.good) - 1024 - 1024
        info = tarfile.TarInfo.frombuf(self.good[at : at + 512], "ascii", "strict")
        change(info)
        header = info.tobuf(tarfile.GNU_FORMAT)
        return self.good[:at] + header + self.good[at + 512 :]

    def test_a_compressed_one(self) -> None:
        """Nothing is unpacked: there are no bombs."""

        self.assertIn("no tar", self.refused(gzip.compress(self.good)))

    def test_a_bomb_of_an_index(self) -> None:
        info = tarfile.TarInfo(HEAD)
        info.size, info.mode = 2**32, 0o644
        told = self.refused(info.tobuf(tarfile.USTAR_FORMAT) + b"{}")
        self.assertIn("does not begin with", told)

    def test_deep_json(self) -> None:
        self.path.write_bytes(b"{" + b'"a":[' * 100_000)
        self.assertRaises(BadRequest, read_list, self.path)

    @given(st.integers(0, 4096), st.binary(min_size=1, max_size=8))
    @settings(max_examples=60, deadline=None)
    def test_any_change(self, at: int, data: bytes) -> None:
        """It is refused, or is of the bytes that are checked when they are taken."""
        changed = self.good[:at] + data + self.good[at + len(data) :]
        self.path.write_bytes(changed[: len(self.good)])
        try:
            opened = open_bundle(self.path)
        except BadRequest:
            return
        self.assertEqual(opened.index, INDEX)
        start, size = opened.places[DIGEST]
        for part in (slice(start), slice(start + size, None)):
            self.assertEqual(changed[: len(self.good)][part], self.good[part])


class IndexTests(TarCase):
    def refused_index(self, **changes: Any) -> str:
        index = evolve(INDEX, **changes)
        self.write(index)
        return str(self.assertRaises(BadRequest, open_bundle, self.path))

    def test_changed(self) -> None:
        told = self.refused_index(own=(evolve(PROJECT, status="archived"),))
        self.assertIn("was changed since it was made", told)

    def refused_though_named(self, **changes: Any) -> str:
        index = evolve(INDEX, **changes).named()
        self.write(index)
        return str(self.assertRaises(BadRequest, open_bundle, self.path))

    def test_twice(self) -> None:
        told = self.refused_though_named(members=INDEX.members * 2)
        self.assertIn("a member twice", told)

    def test_no_digest(self) -> None:
        for name in ("../../etc/passwd", "A" * 64, ""):
            told = self.refused_though_named(members=(Member(name, len(DATA)),))
            self.assertIn("no SHA-256", told)
            file = evolve(FILE, sha256=name)
            own = (evolve(PROJECT, files=(file,)),)
            self.assertIn("no SHA-256", self.refused_though_named(own=own))

    def test_sizes(self) -> None:
        own = (evolve(PROJECT, files=(evolve(FILE, size=-1),)),)
        self.assertIn("below zero", self.refused_though_named(own=own))

    def test_numbers(self) -> None:
        for key, wrong in (
            ("number", 0),
            ("chain", "../x"),
            ("source", "../x"),
            ("follows", "x"),
        ):
            told = self.refused_though_named(**{key: wrong})
            self.assertIn("which bundle it is", told)

    def test_names(self) -> None:
        """None that leads elsewhere, and none twice."""
        for own in (
            (PROJECT, PROJECT),
            (evolve(PROJECT, name="../acme"),),
            (evolve(PROJECT, name="Acme"),),
            (evolve(PROJECT, name="b"), evolve(PROJECT, name="a")),
        ):
            self.assertIn("has a project twice", self.told(evolve(INDEX, own=own)))
        kept = KeptProject("acme", "", 0.0, "", (KeptBundled("../../x", DIGEST, 1),))
        told = self.told(evolve(INDEX, kept=(kept,)))
        self.assertIn("a filename with a folder in it", told)

    def test_times(self) -> None:
        kept = KeptProject("acme", "", float("inf"), "")
        told = self.told(evolve(INDEX, kept=(kept,)))
        self.assertRegex(told, "a time that is none|is no bundle")

    def test_addresses(self) -> None:
        for base in ("http://[", "javascript:x", "https://", "up.example/simple/"):
            kept = KeptProject("acme", base, 0.0, "")
            told = self.told(evolve(INDEX, kept=(kept,)))
            self.assertIn("an address of an index that is none", told)

    def told(self, index: BundleIndex) -> str:
        self.write(index.named())
        return str(self.assertRaises(BadRequest, open_bundle, self.path))

    def test_newer(self) -> None:
        newer = json.dumps({**encode(INDEX), "format": 2, "more": 1})
        self.path.write_text(newer)
        told = str(self.assertRaises(BadRequest, read_list, self.path))
        self.assertIn("has the format 2; this version reads 1", told)


class DigestTests(TarCase):
    def test_of_the_whole(self) -> None:
        digest = sha256(self.good).hexdigest()
        check_digest(self.path, digest.upper())
        self.path.write_bytes(self.good[:-1])
        told = str(self.assertRaises(BadRequest, check_digest, self.path, digest))
        self.assertIn(f"not {digest}", told)

    def test_what_is_not_there(self) -> None:
        missing = self.folder / "missing.tar"
        for look in (open_bundle, read_list, lambda path: check_digest(path, "")):
            told = str(self.assertRaises(BadRequest, look, missing))
            self.assertIn("missing.tar: No such file", told)

    def test_what_is_no_file(self) -> None:
        """Nobody waits for what is written into a pipe."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for path in (pipe, self.folder):
            self.assertFalse(is_bundle(path))
            for look in (open_bundle, read_list, lambda path: check_digest(path, "")):
                told = str(self.assertRaises(BadRequest, look, path))
                self.assertIn("is no file", told)


class DraftTests(TarCase):
    def test_one_at_a_time(self) -> None:
        draft = Draft.create(self.path)
        self.addCleanup(draft.abandon)
        told = str(self.assertRaises(Conflict, Draft.create, self.path))
        self.assertIn("a.tar is being written by another command", told)

    def test_after_one_that_was_killed(self) -> None:
        (self.folder / ".a.tar.draft").write_bytes(b"x" * 10**6)
        self.assertEqual(self.write(INDEX), self.good)
        self.assertEqual([one.name for one in self.folder.iterdir()], ["a.tar"])

    def test_the_next_one_is_left_alone(self) -> None:
        """By one that is in its place, and cleans up."""
        draft = Draft.create(self.path)
        draft.head(INDEX)
        draft.place()
        other = Draft.create(self.path)
        draft.abandon()
        other.write(b"x")
        other.settle()
        self.assertEqual(self.path.read_bytes(), b"x")

    def test_nothing_is_left(self) -> None:
        draft = Draft.create(self.folder / "b.tar")
        draft.write(b"x")
        draft.abandon()
        self.assertEqual([one.name for one in self.folder.iterdir()], ["a.tar"])

    def test_it_is_whole_or_not_there(self) -> None:
        draft = Draft.create(self.path)
        draft.head(INDEX)
        self.assertEqual(self.path.read_bytes(), self.good)
        draft.abandon()

    def test_where_nothing_can_be_written(self) -> None:
        nowhere = self.folder / "missing" / "a.tar"
        self.assertRaises(StoreError, Draft.create, nowhere)
        self.assertRaises(StoreError, save_list, nowhere, INDEX)

    def test_the_list(self) -> None:
        listed = self.folder / "a.tar.json"
        save_list(listed, INDEX)
        self.assertEqual(read_list(listed), INDEX)
        self.assertEqual(read_list(self.path), INDEX)


def _changes() -> list[Callable[[tarfile.TarInfo], None]]:
    def renamed(name: str) -> Callable[[tarfile.TarInfo], None]:
        def change(info: tarfile.TarInfo) -> None:
            info.name = name

        return change

    def of_type(kind: bytes) -> Callable[[tarfile.TarInfo], None]:
        def change(info: tarfile.TarInfo) -> None:
            info.type, info.linkname = kind, "/etc/passwd"

        return change

    def resized(info: tarfile.TarInfo) -> None:
        info.size += 1

    def setuid(info: tarfile.TarInfo) -> None:
        info.mode = 0o4755

    kinds = (
        tarfile.LNKTYPE,
        tarfile.SYMTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
    )
    names = ("/etc/passwd", f"files/../{DIGEST}", "files/" + "0" * 64, HEAD)
    return [*map(renamed, names), *map(of_type, kinds), resized, setuid]
