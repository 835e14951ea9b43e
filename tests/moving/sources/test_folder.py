"""Folders of distribution files: what of them is taken, and what is not."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from pypicloud_tw.moving.sources.disk import Disk
from pypicloud_tw.moving.sources.folder import FolderKind
from tests.moving.sources.doubles import SourceTestCase, write

WHEEL = "acme-1.0-py3-none-any.whl"
SDIST = "acme-1.1.tar.gz"
MORNING = datetime(2024, 5, 1, 8, tzinfo=UTC)


class FolderTests(SourceTestCase):
    kind = FolderKind()

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.place = str(self.folder)

    def write(self, **files: bytes) -> None:
        write(self.folder, **files)

    def test_flat(self) -> None:
        self.write(**{WHEEL: b"wheel", SDIST: b"sdist", "Big.Tool-2.zip": b"zip"})
        self.assertEqual(self.names(), ["acme", "big-tool"])
        self.assertEqual(set(self.files()), {WHEEL, SDIST})

    def test_nested(self) -> None:
        """As pypiserver reads a folder, and pypicloud 1.x writes one."""
        self.write(**{f"acme/1.0/{WHEEL}": b"wheel", f"sdists/old/{SDIST}": b"sdist"})
        self.assertEqual(set(self.files()), {WHEEL, SDIST})

    def test_time_and_size(self) -> None:
        self.write(**{WHEEL: b"wheel"})
        os.utime(self.folder / WHEEL, (MORNING.timestamp(), MORNING.timestamp()))
        file = self.files()[WHEEL]
        self.assertEqual((file.uploaded, file.size), (MORNING, 5))

    def test_read(self) -> None:
        self.write(**{WHEEL: b"wheel" * 200_000})
        source = self.source()
        file = self.files()[WHEEL]
        self.assertEqual(self.bytes_of(source, file), b"wheel" * 200_000)
        self.assertIn("DiskBody._piece", "".join(self.workshop.offload.threaded))

    def test_changes_while_it_is_read(self) -> None:
        """It is whole, and as it was when it was opened, or an error."""

        def cut(path: Path) -> None:
            os.truncate(path, 300_000)

        def append(path: Path) -> None:
            with path.open("ab") as file:
                file.write(b"y")

        def overwrite(path: Path) -> None:
            with path.open("r+b") as file:
                file.write(b"y" * 600_000)

        for change in (cut, append, overwrite):
            self.write(**{WHEEL: b"x" * 600_000})
            os.utime(self.folder / WHEEL, (MORNING.timestamp(), MORNING.timestamp()))
            body = self.wait(Disk(self.folder, self.workshop.offload).open(WHEEL))
            self.wait(body.read())
            change(self.folder / WHEEL)
            self.wait(body.read())
            self.assertIn("was changed while", self.refused(body.read()))
            body.close()
        body.close()

    def test_gone(self) -> None:
        self.write(**{WHEEL: b"wheel"})
        source, file = self.source(), self.files()[WHEEL]
        (self.folder / WHEEL).unlink()
        self.assertIn("There is no file", self.refused(source.open(file)))

    def test_other_files(self) -> None:
        """Pages, hidden files, what lies beside distributions: none is one."""
        others = ["index.html", ".hidden-1.0.tar.gz", f"{WHEEL}.metadata", "notes.txt"]
        self.write(**dict.fromkeys(others, b"x"), **{WHEEL: b"x"})
        self.write(**{f".git/{SDIST}": b"x"})
        self.assertEqual(self.names(), ["acme"])
        self.assertEqual(set(self.files()), {WHEEL})

    def test_ambiguous_name(self) -> None:
        """The folder says whose file it is."""
        self.write(**{"acme/acme-1.0-1.tar.gz": b"x"})
        self.assertEqual(self.names(), ["acme"])

    def test_unreadable_name(self) -> None:
        """Whoever takes it says what is wrong with its name."""
        self.write(**{"acme-nightly.whl": b"x"})
        self.assertEqual(self.names(), ["acme"])
        self.assertEqual(set(self.files()), {"acme-nightly.whl"})

    def test_digest_beside(self) -> None:
        digest = sha256(b"wheel").hexdigest()
        line = f"{digest.upper()}  {WHEEL}\n".encode()
        self.write(**{WHEEL: b"wheel", f"{WHEEL}.sha256": line})
        self.assertEqual(self.files()[WHEEL].digests, {"sha256": digest})

    def test_damaged_digest_beside(self) -> None:
        """The file is not taken as if there were none."""
        self.write(**{WHEEL: b"wheel", f"{WHEEL}.sha256": b"\xff" * 64})
        project = self.project()
        self.assertEqual(project.files, ())
        (note,) = project.notes
        self.assertEqual(note.filename, WHEEL)
        self.assertIn("no SHA-256", note.why)

    def test_long_digest_beside(self) -> None:
        self.write(**{WHEEL: b"wheel", f"{WHEEL}.sha256": b"a" * 100_000})
        self.assertIn("more than 65,536 bytes", self.project().notes[0].why)

    def test_former(self) -> None:
        """pypicloud 1.x's own notes."""
        meta = b'{"hash_sha256": "AB", "hash_md5": "c", "uploader": "bob", "x": 1}'
        self.write(**{f"acme/1.0/{WHEEL}": b"x", f"acme/1.0/{WHEEL}.meta": meta})
        file = self.files()[WHEEL]
        self.assertEqual((file.uploader, file.digests), ("bob", {"sha256": "ab"}))

    def test_damaged_former(self) -> None:
        self.write(**{WHEEL: b"x", f"{WHEEL}.meta": b'{"uploader": 7}'})
        self.assertIn("'uploader' must be text", self.project().notes[0].why)

    def test_signature(self) -> None:
        self.write(**{WHEEL: b"x", f"{WHEEL}.asc": b"pgp"})
        self.assertEqual(self.files()[WHEEL].signature, f"{WHEEL}.asc")

    def test_links_within(self) -> None:
        self.write(**{f"pool/{WHEEL}": b"wheel"})
        (self.folder / "current").symlink_to("pool")
        (self.folder / "acme-1.0-py2-none-any.whl").symlink_to(f"pool/{WHEEL}")
        files = self.files()
        self.assertEqual(set(files), {WHEEL, "acme-1.0-py2-none-any.whl"})
        linked = files["acme-1.0-py2-none-any.whl"]
        self.assertEqual(self.bytes_of(self.source(), linked), b"wheel")
        self.assertEqual(self.project().notes, ())

    def test_links_out(self) -> None:
        """Neither is followed; each is named where it is missed."""
        outside = Path(self.mktemp())
        write(outside, **{WHEEL: b"x", "secret": b"x"})
        (self.folder / WHEEL).symlink_to((outside / WHEEL).absolute())
        (self.folder / "More").symlink_to(outside.absolute())
        (self.folder / SDIST).symlink_to("nowhere")
        self.assertEqual(self.names(), ["acme", "more"])
        project = self.project()
        self.assertEqual(project.files, ())
        self.assertEqual({note.filename for note in project.notes}, {WHEEL, SDIST})
        self.assertIn("leads out of the folder", self.project("more").notes[0].why)

    def test_link_put_in_place(self) -> None:
        """What became a link since it was listed is not followed."""
        secret = Path(self.mktemp())
        secret.write_bytes(b"secret")
        self.write(**{WHEEL: b"x"})
        source, file = self.source(), self.files()[WHEEL]
        (self.folder / WHEEL).unlink()
        (self.folder / WHEEL).symlink_to(secret.absolute())
        self.assertIn("There is no file", self.refused(source.open(file)))

    def test_name_that_is_no_text(self) -> None:
        path = os.path.join(os.fsencode(self.folder), b"acme-\xff.whl")
        with open(path, "wb") as file:
            file.write(b"x")
        (note,) = self.project("acme").notes
        self.assertIn("not UTF-8", note.why)

    def test_too_many(self) -> None:
        self.write(**{f"acme-{number}.tar.gz": b"" for number in range(4)})

        async def count(most: int) -> int:
            disk = Disk(self.folder, self.workshop.offload)
            return len([info async for info in disk.files(most=most)])

        self.assertEqual(self.wait(count(4)), 4)
        self.assertIn("more than 3 files", self.refused(count(3)))

    def test_no_such_project(self) -> None:
        self.assertIn(
            "There is no file of other", self.refused(self.source().project("other"))
        )

    def test_one_look(self) -> None:
        """However many projects are asked for."""
        self.write(**{WHEEL: b"x", "other-1.tar.gz": b"x"})
        source = self.source()
        self.wait(source.names())
        # One look has more turns than one on a machine that is busy.
        looked = self.workshop.offload.threaded.count("_turn")
        self.assertGreater(looked, 0)
        self.wait(source.project("acme"))
        self.wait(source.project("other"))
        self.assertEqual(self.workshop.offload.threaded.count("_turn"), looked)

    def test_detected(self) -> None:
        self.assertEqual(self.found(), "FolderSource")

    def test_no_folder(self) -> None:
        place = f"{self.folder}/none"
        making = self.kind.make(place, self.workshop.tools)
        self.assertIn("There is no folder", self.refused(making))
